"""The virtual microscope as devices of pymmcore-plus, driven by the public core alone."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from parfocal.simulate.worlds import WORLDS

WHY = "the extra mm is not installed: pip install 'parfocal[mm]'"
unicore = pytest.importorskip("pymmcore_plus.experimental.unicore", reason=WHY)
useq = pytest.importorskip("useq", reason=WHY)
devices = pytest.importorskip("parfocal.simulate.pymmcore", reason=WHY)
from parfocal.simulate import bench  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BEADS = [
    ("Preset,fluorescence-20x", "Preset,beads-20x"),
    ("Label,FITC", "Label,light"),
    ("Label,DAPI", "Label,light"),
]


def load(folder, *changes):
    """A core with the shipped configuration, some of its text replaced."""
    text = devices.config_path().read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config = folder / "microscope.cfg"
    config.write_text(text, "utf-8")
    core = unicore.UniMMCore(mm_path=str(folder))
    core.loadSystemConfiguration(config)
    return core


@pytest.fixture(scope="module", autouse=True)
def cores_end_before_python():
    """A core that still lives at exit may deliver an event to an interpreter that is gone."""
    yield
    gc.collect()


@pytest.fixture
def core(tmp_path):
    core = load(tmp_path, *BEADS)
    yield core
    core.unloadAllDevices()


def test_the_shipped_configuration_loads_everything(tmp_path):
    core = load(tmp_path)
    assert core.getAvailableConfigs("Channel") == ("DAPI", "FITC")
    assert core.getPixelSizeUm() == 0.325
    assert set(core.getLoadedPeripheralDevices("World")) == {
        "Camera", "Z", "XY", "Shutter", "Filter", "Illumination"
    }  # fmt: skip
    core.setConfig("Channel", "DAPI")
    assert core.getStateLabel("Filter") == "DAPI"
    assert core.getState("Filter") == 1
    assert core.getCurrentConfig("Channel") == "DAPI"
    core.unloadAllDevices()


def test_the_example_brings_the_shipped_configuration():
    beside = ROOT / "examples" / "virtual_microscope.cfg"
    assert beside.read_text("utf-8") == devices.config_path().read_text("utf-8")


def test_peripherals_of_the_hub_are_classes_of_the_module():
    for name, text in devices.World().get_installed_peripherals():
        assert getattr(devices, name).__doc__.startswith(text)


def test_images_have_the_exposure_and_region_that_were_set(core):
    core.setExposure(50.0)
    dim = core.snap()
    core.setExposure(500.0)
    assert core.getExposure() == 500.0
    assert core.snap().mean() - 100 == pytest.approx(10 * (dim.mean() - 100), rel=0.1)
    core.setROI(20, 30, 100, 60)
    assert (core.getImageWidth(), core.getImageHeight()) == (100, 60)
    part = core.snap()
    core.clearROI()
    whole = core.snap()
    assert part.shape == (60, 100)
    assert np.corrcoef(part.ravel(), whole[30:90, 20:120].ravel())[0, 1] > 0.7


def test_the_stage_moves_focus(core):
    assert float(core.getProperty("World", "TrueDefocus_um")) == 0.0
    core.setZPosition(6.0)
    core.waitForDevice("Z")
    assert core.getZPosition() == 6.0
    assert float(core.getProperty("World", "TrueDefocus_um")) == 6.0
    core.setRelativePosition(-2.0)
    assert core.getZPosition() == 4.0
    core.setOrigin("Z")
    assert core.getZPosition() == 0.0
    core.home("Z")
    assert core.getZPosition() == -4.0
    assert float(core.getProperty("World", "TrueDefocus_um")) == 0.0


def test_the_xy_stage_moves_the_specimen(core):
    core.setXYPosition(20.0, -10.0)
    core.waitForDevice("XY")
    assert core.getXYPosition() == (20.0, -10.0)
    core.setOriginXY("XY")
    core.setXYPosition(1.0, 2.0)
    assert core.getXYPosition() == (1.0, 2.0)


def test_devices_that_fail_raise_runtime_errors_and_recover(core):
    core.setProperty("World", "FailNextFrames", "2")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gave no image"):
            core.snap()
    assert core.getProperty("World", "FailNextFrames") == 0
    assert core.snap().shape == (256, 256)
    assert core.getProperty("World", "Images") == 3
    core.setProperty("World", "StallNextMoves", 1)
    with pytest.raises(RuntimeError, match=r"stalled: it stands at \d"):
        core.setZPosition(50.0)
    core.setZPosition(50.0)
    with pytest.raises(RuntimeError, match="Nothing has moved"):
        core.setZPosition(1e5)
    assert core.getZPosition() == 50.0
    with pytest.raises(RuntimeError, match="exposes for"):
        core.setExposure(0.0)


def test_the_shutter_lights_the_specimen_if_it_is_left_to_it(core):
    assert core.snap().mean() > 105
    core.setProperty("Shutter", "AutoShutter", "0")
    assert core.snap().mean() == pytest.approx(100, abs=1)
    core.setShutterOpen(True)
    assert core.getShutterOpen()
    assert core.snap().mean() > 105
    core.setShutterOpen(False)


def test_a_sequence_comes_from_the_camera_thread_while_the_stage_moves(core):
    core.startContinuousSequenceAcquisition(0)
    for z in (1.0, 2.0, 3.0):
        core.setZPosition(z)
        core.sleep(20)
    core.stopSequenceAcquisition()
    images = [core.popNextImage() for _ in range(core.getRemainingImageCount())]
    assert len(images) >= 3
    assert all(image.shape == (256, 256) for image in images)
    assert core.getProperty("World", "Images") >= len(images)
    core.startSequenceAcquisition(5, 0, True)
    while core.isSequenceRunning():
        core.sleep(5)
    assert core.getRemainingImageCount() == 5


def test_events_of_an_acquisition_come_in_order_with_their_images(core):
    sequence = useq.MDASequence(
        axis_order="pz", stage_positions=[(0, 0, 0), (30, 0, 0)], z_plan={"range": 4, "step": 2}
    )
    seen = []
    core.mda.events.frameReady.connect(
        lambda image, event, *_: seen.append((dict(event.index), event.z_pos, image.shape))
    )
    thread = core.run_mda(sequence)
    thread.join(60)
    assert not thread.is_alive()
    assert [(index["p"], index["z"]) for index, _, _ in seen] == [
        (p, z) for p in range(2) for z in range(3)
    ]
    assert [z for _, z, _ in seen] == [-2.0, 0.0, 2.0] * 2
    assert {shape for _, _, shape in seen} == {(256, 256)}


def test_an_acquisition_is_cancelled_from_another_thread(core):
    sequence = useq.MDASequence(time_plan={"interval": 0, "loops": 1000})
    frames = []
    core.mda.events.frameReady.connect(lambda *_: frames.append(1))
    thread = core.run_mda(sequence)
    while len(frames) < 3:
        time.sleep(0.01)
    core.mda.cancel()
    thread.join(20)
    assert not thread.is_alive()
    assert 3 <= len(frames) < 1000


def test_in_real_time_the_stage_is_busy_and_can_be_stopped(tmp_path):
    core = load(tmp_path, ("Time,simulated", "Time,real"))
    core.setZPosition(100.0)
    assert core.deviceBusy("Z")
    time.sleep(0.05)
    core.stop("Z")
    with pytest.raises(RuntimeError, match="was stopped"):
        core.waitForDevice("Z")
    assert 0.0 < core.getZPosition() < 100.0
    core.setZPosition(core.getZPosition() + 1.0)
    core.waitForDevice("Z")
    assert not core.deviceBusy("Z")
    core.unloadAllDevices()


def test_cores_have_worlds_of_their_own_and_loading_anew_makes_a_new_one(tmp_path):
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    first, second = (load(folder, *BEADS) for folder in folders)
    first.setZPosition(9.0)
    first.snap()
    assert second.getZPosition() == 0.0
    assert second.getProperty("World", "Images") == 0
    with pytest.raises(RuntimeError, match="before the microscope is used"):
        first.setProperty("World", "Seed", 7)
    first.loadSystemConfiguration(folders[0] / "microscope.cfg")
    assert (first.getZPosition(), first.getProperty("World", "Images")) == (0.0, 0)
    for core in (first, second):
        core.unloadAllDevices()
    assert len(bench._BENCHES) == 0


def test_the_seed_of_the_file_decides_the_images(tmp_path):
    images = []
    for seed in (1, 1, 2):
        core = load(tmp_path, *BEADS, ("Seed,1", f"Seed,{seed}"))
        images.append(core.snap())
        core.unloadAllDevices()
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_an_unknown_preset_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(RuntimeError, match=WORLDS[0].name):
        load(tmp_path, ("Preset,fluorescence-20x", "Preset,electron"))


def test_the_example_runs_without_parfocal_in_its_text(tmp_path):
    script = ROOT / "examples" / "micromanager_virtual.py"
    assert not re.search(r"^\s*(import|from)\s+parfocal", script.read_text("utf-8"), re.M)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = done.stdout
    for line in ("region of interest: (120, 200)", "position 1, DAPI: 9 planes",
                 "sequence: 8 images", "camera: The camera gave no image", "stage: The focus stage",
                 "limit: The focus stage refuses", "recovered:", "cost: 49 images"):  # fmt: skip
        assert line in told
    from parfocal.io.opening import open_stack

    stack = open_stack(tmp_path / "stack.ome.zarr", position=0, channel=0)
    assert stack.images.shape == (9, 512, 512)
