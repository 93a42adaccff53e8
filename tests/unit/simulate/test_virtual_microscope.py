"""The virtual microscope, one behaviour at a time, with optics that cost nothing."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import torch

from parfocal.core import protocols
from parfocal.core.errors import CameraError, InputError, StageError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.noise import CameraModel
from parfocal.simulate.faults import Fault, FaultSettings
from parfocal.simulate.microscope import VirtualMicroscope
from parfocal.simulate.modalities import LedImaging, LightSheetImaging
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, EmptySettings, SurfaceSettings
from parfocal.simulate.world import (
    ChannelSettings,
    DetectorSettings,
    LightSettings,
    SpecimenSettings,
    WorldSettings,
)
from parfocal.simulate.worlds import WORLDS, world_preset

SETUP = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
QUIET = CameraModel(read_noise_electrons=0.0, electrons_per_photon=1.0, counts_per_electron=1.0)

BALLS = SpecimenSettings(
    name="beads",
    size_px=96,
    thickness_um=0.0,
    options={"diameter_um": 5.0, "per_mm2": 10_000.0, "brightness_sigma": 0.2},
)


class Fading:
    """Images that fade as 1 / (1 + z^2) with each layer's defocus; nothing is blurred."""

    seen: list

    def __init__(self, setup, imaging):
        self.setup, self.imaging, self.seen = setup, imaging, []

    def images(self, specimen, z_um):
        self.seen.append(list(z_um))
        finer = round(self.setup.pixel_um / specimen.pixel_um)
        light = specimen.emission if specimen.emission is not None else specimen.absorption
        share = 1 / (1 + (z_um[:, None] - specimen.heights_um) ** 2)
        return torch.nn.functional.avg_pool2d(torch.einsum("zl,lyx->zyx", share, light), finer)


def microscope(**values):
    detector = values.pop("detector", {})
    world = WorldSettings.of(
        **{
            "setup": SETUP,
            "specimen": BALLS,
            "detector": DetectorSettings(
                **{"size_y_px": 48, "size_x_px": 64, "camera": QUIET, **detector}
            ),
            "channels": (ChannelSettings(name="light", photons_per_ms=100.0),),
            **values,
        }
    )
    return VirtualMicroscope(world, make_images=Fading)


def signal(image):
    return image.astype(float).sum() - 100.0 * image.size


@pytest.mark.parametrize(
    "name",
    ["Microscope", "Exposure", "XYStage", "Channels", "Light", "LedArray", "LightSheet", "Stream",
     "Brake", "Clock", "DoseMeter"],
)  # fmt: skip
def test_it_offers_every_protocol(name):
    assert isinstance(microscope(), getattr(protocols, name))


def test_defocus_is_stage_minus_focus():
    scope = microscope(surface=SurfaceSettings(offset_um=7.0))
    scope.move_to_um(10.0)
    assert scope.truth.focus_um() == 7.0
    assert scope.truth.defocus_um() == pytest.approx(3.0)
    scope.snap()
    assert scope._path._maker().seen[-1] == pytest.approx([3.0])


def test_images_are_brightest_in_focus_and_whole_counts():
    scope = microscope(surface=SurfaceSettings(offset_um=4.0))
    sums = {}
    for z in (2.0, 4.0, 6.0):
        scope.move_to_um(z)
        image = scope.snap()
        sums[z] = signal(image)
    assert (image.dtype, image.shape) == (np.uint16, (48, 64))
    assert max(sums, key=sums.get) == 4.0
    assert sums[2.0] == pytest.approx(sums[6.0], rel=0.05)


def test_tilt_focuses_each_side_of_the_field_elsewhere():
    scope = microscope(surface=SurfaceSettings(tilt_x_um_per_mm=500.0))
    truth = scope.truth.focus_map_um()
    assert (truth[:, -1] - truth[:, 0]).tolist() == pytest.approx([63 * 0.25] * 48, rel=1e-3)
    assert truth[24, 32].item() == pytest.approx(scope.truth.focus_um(), abs=1e-6)
    scope.move_to_um(float(truth[0, 8]))
    left = scope.snap().astype(float)
    scope.move_to_um(float(truth[0, 56]))
    right = scope.snap().astype(float)
    assert left[:, :16].sum() > right[:, :16].sum()
    assert left[:, -16:].sum() < right[:, -16:].sum()


def test_xy_moves_the_specimen_under_the_field():
    scope = microscope()
    first = scope.snap().astype(float)
    scope.move_xy_to_um(5.0, 3.0)
    second = scope.snap().astype(float)
    assert scope.xy_um() == (5.0, 3.0)
    match = np.corrcoef(first[6:, 10:].ravel(), second[:-6, :-10].ravel())[0, 1]
    assert match > 0.9
    scope.move_xy_to_um(48.0, 48.0)  # one period of the specimen
    assert np.corrcoef(first.ravel(), scope.snap().astype(float).ravel())[0, 1] > 0.9


def test_focus_follows_the_surface_over_xy():
    scope = microscope(surface=SurfaceSettings(tilt_y_um_per_mm=2.0))
    scope.move_xy_to_um(0.0, 1500.0)
    assert scope.truth.focus_um() == pytest.approx(3.0)
    assert scope.truth.focus_um(0.0, -500.0) == pytest.approx(-1.0)


def test_an_empty_place_has_background_alone():
    scope = microscope(empty=EmptySettings(extent_um=200.0))
    scope.move_xy_to_um(1000.0, 0.0)
    image = scope.snap()
    assert image.mean() == pytest.approx(100.0 + 0.5 * 20.0, rel=0.02)
    assert image.std() < 2 * np.sqrt(10.0)


def test_a_soft_limit_refuses_and_a_hard_limit_stops():
    scope = microscope(z=StageSettings(low_um=-10.0, high_um=50.0, hard_high_um=40.0))
    with pytest.raises(StageError, match=r"soft limits are -10 \.\. 50 um\. Nothing has moved"):
        scope.move_to_um(51.0)
    assert scope.position_um() == 0.0
    with pytest.raises(StageError, match="hard limit"):
        scope.move_to_um(45.0)
    assert scope.position_um() == 40.0
    with pytest.raises(StageError, match="x stage refuses"):
        scope.move_xy_to_um(1e6, 5.0)
    with pytest.raises(StageError, match="y stage refuses"):
        scope.move_xy_to_um(5.0, 1e6)
    assert scope.xy_um() == (0.0, 0.0)


def test_a_stalled_stage_says_where_it_stands():
    scope = microscope(faults=FaultSettings(z_stalls=Fault(at=(1,)), xy_stalls=Fault(at=(1,))))
    with pytest.raises(StageError) as caught:
        scope.move_to_um(10.0)
    assert f"{scope.position_um():.3f}" in str(caught.value)
    scope.move_to_um(10.0)
    with pytest.raises(StageError, match="stalled"):
        scope.move_xy_to_um(100.0, 100.0)


def test_a_failed_frame_costs_its_light_and_the_next_one_comes():
    scope = microscope(faults=FaultSettings(frames=Fault(at=(2,))))
    scope.snap()
    with pytest.raises(CameraError, match="exposure 2 failed"):
        scope.snap()
    scope.snap()
    assert [entry.image for entry in scope.ledger.entries] == [True, False, True]
    assert (scope.ledger.images, scope.ledger.lost, scope.ledger.dose) == (3, 1, 60.0)


def test_drift_moves_focus_while_time_passes():
    scope = microscope(drift=DriftSettings(um_per_hour=6.0, steps=((1000.0, 2.0),)))
    scope.wait_s(1800.0)
    assert scope.truth.defocus_um() == pytest.approx(-5.0)
    assert scope.truth.focus_um(0.0, 0.0, 600.0) == pytest.approx(1.0)


def test_simulated_time_costs_no_real_time():
    scope = microscope()
    begin = time.perf_counter()
    scope.wait_s(86_400.0)
    scope.set_exposure_ms(30_000.0)
    scope.snap()
    assert scope.now_s() == pytest.approx(86_400.0 + 30.0 + 0.01)
    assert time.perf_counter() - begin < 5.0


def test_bleaching_is_exponential_in_dose_and_stays_in_its_field():
    channel = ChannelSettings(
        name="light", photons_per_ms=400.0, background_per_ms=0.0, bleach_dose_ms=100.0
    )
    scope = microscope(channels=(channel,), detector={"exposure_ms": 10.0})
    sums = np.array([signal(scope.snap()) for _ in range(30)])
    slope = np.polyfit(10.0 * np.arange(30), np.log(sums), 1)[0]
    assert -1 / slope == pytest.approx(100.0, rel=0.02)
    assert scope.truth.brightness_left()[0, 0].item() == pytest.approx(np.exp(-3.0), rel=1e-4)
    scope.move_xy_to_um(16.0, 0.0)  # half a field
    left = scope.truth.brightness_left()
    assert left[0, 0].item() == pytest.approx(np.exp(-3.0), rel=1e-4)
    assert left[0, -1].item() == 1.0


def test_bleaching_stops_at_its_floor():
    channel = ChannelSettings(name="light", bleach_dose_ms=1.0, bleach_floor=0.3)
    scope = microscope(channels=(channel,))
    scope.snap()
    assert scope.truth.brightness_left().mean().item() == pytest.approx(0.3)


def test_without_light_it_is_dark_and_an_open_shutter_bleaches():
    channel = ChannelSettings(name="light", bleach_dose_ms=1000.0)
    scope = microscope(channels=(channel,), light=LightSettings(auto_shutter=False, power=0.5))
    assert scope.snap().max() == 100
    assert (scope.ledger.dose, scope.light_is_on()) == (0.0, False)
    scope.set_light(True)
    assert signal(scope.snap()) > 0
    scope.wait_s(1.0 - scope.now_s() + 0.03)
    scope.set_light(False)
    assert scope.ledger.dose == pytest.approx(500.0)
    assert scope.truth.brightness_left()[0, 0].item() == pytest.approx(np.exp(-0.5))
    scope.wait_s(10.0)
    assert scope.ledger.dose == pytest.approx(500.0)


def test_exposure_scales_the_light_and_saturates():
    scope = microscope(detector={"camera": QUIET.model_copy(update={"bits": 12})})
    short = signal(scope.snap())
    scope.set_exposure_ms(40.0)
    assert signal(scope.snap()) == pytest.approx(2 * short, rel=0.03)
    scope.set_exposure_ms(5000.0)
    assert scope.snap().max() == 4095
    with pytest.raises(CameraError, match="exposure stays 5000 ms"):
        scope.set_exposure_ms(0.0)


def test_auto_gain_brings_the_image_into_range():
    detector = {"auto_gain": True, "exposure_ms": 200.0}
    detector["camera"] = QUIET.model_copy(update={"bits": 12, "full_well_electrons": 1e6})
    scope = microscope(detector=detector)
    peaks = [np.percentile(scope.snap(), 99.9) for _ in range(10)]
    assert peaks[0] == 4095
    assert 0.5 * 4095 < peaks[-1] < 4095
    assert scope.gain() < 1.0


def test_a_channel_changes_colour_offset_and_specimen():
    channels = (
        ChannelSettings(name="red", focus_offset_um=1.5),
        ChannelSettings(name="blue", wavelength_nm=450.0, photons_per_ms=0.0),
    )
    scope = microscope(channels=channels)
    assert (scope.channels(), scope.channel()) == (("red", "blue"), "red")
    assert scope.truth.focus_um() == 1.5
    scope.set_channel("blue")
    assert scope.truth.focus_um() == 0.0
    assert scope.snap().mean() == pytest.approx(110.0, rel=0.02)
    assert scope._path._maker().setup.wavelength_nm == 450.0
    assert scope.ledger.entries[-1].channel == "blue"
    with pytest.raises(UnknownNameError, match="blue, red"):
        scope.set_channel("green")
    assert scope.channel() == "blue"


def test_leds_and_sheets_are_steered_where_there_are_any():
    glass = SpecimenSettings(name="glass_beads", size_px=96)
    led = microscope(imaging=LedImaging(na_yx=((0.0, 0.3),)), specimen=glass)
    assert led.leds() == ((0.0, 0.3),)
    led.set_leds([(0.2, 0.0), (-0.2, 0.0)])
    assert led._path._maker().imaging.na_yx == ((0.2, 0.0), (-0.2, 0.0))
    with pytest.raises(InputError, match="NA below 1"):
        led.set_leds([(1.2, 0.0)])
    with pytest.raises(InputError, match="no light sheet"):
        led.set_sheet_offset_um(1.0)
    sheet = microscope(imaging=LightSheetImaging(waist_um=5.0))
    sheet.set_sheet_offset_um(-4.0)
    assert sheet.sheet_offset_um() == sheet._path._maker().imaging.sheet_offset_um == -4.0
    off = microscope(imaging=LightSheetImaging(), light=LightSettings(sheet_error_um=6.0))
    off.set_sheet_offset_um(-4.0)
    assert (off.sheet_offset_um(), off.truth.sheet_offset_um()) == (-4.0, 2.0)
    assert off._path._maker().imaging.sheet_offset_um == 2.0
    with pytest.raises(InputError, match="no LED array"):
        sheet.set_leds([(0.0, 0.1)])


def test_a_sweep_streams_evenly_and_at_the_frame_rate():
    scope = microscope(detector={"exposure_ms": 20.0, "readout_ms": 5.0})
    begin = None
    positions = []
    for z, image in scope.sweep(-5.0, 5.0, 11):
        begin = scope.now_s() if begin is None else begin
        positions.append(z)
        assert image.shape == (48, 64)
    assert positions == pytest.approx(list(range(-5, 6)), abs=1e-6)
    assert scope.now_s() - begin == pytest.approx(10 * 0.025, abs=0.03)
    assert scope.ledger.exposure_ms == 220.0


def test_a_sweep_no_faster_than_the_stage():
    scope = microscope(z=StageSettings(low_um=-50.0, high_um=50.0, speed_um_per_s=10.0))
    list(scope.sweep(0.0, 40.0, 3))
    assert scope.now_s() > 4.0


def test_images_of_a_fast_sweep_blur_along_z():
    scope = microscope(detector={"exposure_ms": 100.0, "readout_ms": 0.0})
    list(scope.sweep(-20.0, 20.0, 5))
    seen = scope._path._maker().seen
    assert all(len(positions) > 4 for positions in seen[1:-1])
    assert np.mean(seen[2]) == pytest.approx(0.0, abs=1e-4)


def test_a_sweep_refuses_first_and_stops_when_closed_or_failed():
    scope = microscope(faults=FaultSettings(frames=Fault(at=(3,))))
    with pytest.raises(StageError, match="Nothing has moved"):
        scope.sweep(0.0, 1e4, 5)
    with pytest.raises(InputError, match="at least 2"):
        scope.sweep(0.0, 10.0, 1)
    sweep = scope.sweep(0.0, 10.0, 6)
    next(sweep)
    sweep.close()
    scope.wait_s(100.0)
    assert scope.position_um() < 4.0
    with pytest.raises(CameraError):
        list(scope.sweep(0.0, 10.0, 6))
    scope.wait_s(100.0)
    assert scope.position_um() < 10.0


def test_abort_stops_a_sweep():
    scope = microscope()
    sweep = scope.sweep(0.0, 10.0, 6)
    next(sweep)
    next(sweep)
    scope.abort()
    with pytest.raises(StageError, match="sweep was stopped"):
        next(sweep)
    assert 0.0 < scope.position_um() < 10.0


def test_abort_from_another_thread_stops_a_real_move():
    scope = microscope(time="real", z=StageSettings(speed_um_per_s=1.0))
    threading.Timer(0.1, scope.abort).start()
    begin = time.perf_counter()
    with pytest.raises(StageError, match="was stopped"):
        scope.move_to_um(20.0)
    assert time.perf_counter() - begin < 5.0
    assert 0.05 < scope.position_um() < 5.0


def test_a_move_that_was_begun_is_asked_until_it_is_over():
    scope = microscope(z=StageSettings(speed_um_per_s=1.0), faults=FaultSettings())
    scope.begin_move_to_um(5.0)
    assert scope.is_moving()
    scope.wait_s(2.0)
    assert scope.position_um() == pytest.approx(2.0)
    scope.wait_s(10.0)
    assert not scope.is_moving()
    assert not scope.is_moving("xy")


def test_another_hand_on_the_stage_shows_in_the_position():
    scope = microscope()
    scope.move_to_um(5.0)
    scope.truth.push_um(1.25)
    assert scope.position_um() == scope.truth.carriage_um() == 6.25


def test_the_same_seed_and_calls_give_the_same_images():
    def run(seed):
        scope = microscope(
            seed=seed,
            z=StageSettings(repeatability_um=0.3),
            faults=FaultSettings(frames=Fault(probability=0.3)),
        )
        images = []
        for z in range(6):
            scope.move_to_um(float(z))
            try:
                images.append(scope.snap())
            except CameraError:
                images.append(None)
        return images

    first, again, other = run(3), run(3), run(4)
    assert [image is None for image in first] == [image is None for image in again]
    assert all(a is b or np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(
        (a is None) != (b is None) or (a is not None and not np.array_equal(a, b))
        for a, b in zip(first, other, strict=True)
    )


def test_the_ledger_adds_up_and_is_saved(tmp_path):
    scope = microscope()
    for z in (1.0, 2.0):
        scope.move_to_um(z)
        scope.snap()
    scope.set_exposure_ms(5.0)
    scope.snap()
    ledger = scope.ledger
    assert (ledger.images, ledger.exposure_ms, ledger.dose) == (3, 45.0, 45.0)
    assert sum(entry.dose for entry in ledger.entries) == ledger.dose
    assert [entry.z_commanded_um for entry in ledger.entries] == [1.0, 2.0, 2.0]
    assert ledger.seconds == ledger.entries[-1].time_s - ledger.entries[0].time_s > 0
    saved = json.loads(ledger.save(tmp_path / "cost.json").read_text())
    assert (saved["images"], saved["entries"][1]["z_um"]) == (3, 2.0)
    lines = ledger.save(tmp_path / "cost.csv").read_text().splitlines()
    assert lines[0].startswith("number,time_s,z_commanded_um,z_um,x_um,y_um,channel")
    assert len(lines) == 4
    with pytest.raises(InputError, match=r"\.json or \.csv"):
        ledger.save(tmp_path / "cost.txt")


def test_impossible_worlds_are_refused_in_one_line():
    twice = (ChannelSettings(name="a"), ChannelSettings(name="a"))
    with pytest.raises(InputError, match="share a name"):
        WorldSettings.of(setup=SETUP, channels=twice)
    with pytest.raises(InputError, match="no known name"):
        WorldSettings.of(setup=SETUP, nonsense=1)
    with pytest.raises(UnknownNameError, match="beads-20x"):
        VirtualMicroscope("microscope")
    with pytest.raises(InputError, match="0 seconds or more"):
        microscope().wait_s(-1.0)


def test_with_real_optics_it_is_sharpest_where_the_truth_says():
    beads = world_preset("beads-20x").changed(
        surface=SurfaceSettings(offset_um=3.0, tilt_x_um_per_mm=4.0),
        drift=DriftSettings(um_per_hour=3.6),
        z=StageSettings(low_um=-50.0, high_um=50.0, backlash_um=0.5),
        seed=2,
    )
    scope = VirtualMicroscope(beads)
    scope.wait_s(1000.0)
    scope.move_xy_to_um(250.0, 0.0)
    focus = scope.truth.focus_um()
    assert focus == pytest.approx(3.0 + 1.0 + 1.0, abs=0.01)
    scope.move_to_um(focus - 10.0)  # from below, where the play does not count
    z_um = focus + 0.4 * np.arange(-6, 7)
    scores = []
    for z in z_um:
        scope.move_to_um(z)
        scores.append(np.square(np.diff(scope.snap().astype(float), axis=1)).mean())
    scores = np.array(scores) - min(scores)
    assert (scores * z_um).sum() / scores.sum() == pytest.approx(focus, abs=0.4)
    assert abs(z_um[int(scores.argmax())] - focus) <= 0.4


@pytest.mark.parametrize("row", WORLDS, ids=[row.name for row in WORLDS])
def test_every_preset_survives_json(row):
    settings = world_preset(row.name)
    assert WorldSettings.model_validate_json(settings.model_dump_json()) == settings
