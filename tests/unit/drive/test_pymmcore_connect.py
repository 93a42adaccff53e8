"""A core as a microscope: its public calls, and what its devices raise, in plain words."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal import drive
from parfocal.core import protocols
from parfocal.core.errors import (
    CameraError,
    DeviceError,
    InputError,
    ReadError,
    StageError,
    UnknownNameError,
)

WHY = "the extra mm is not installed: pip install 'parfocal[mm]'"
mm = pytest.importorskip("parfocal.drive.pymmcore", reason=WHY)
connecting = pytest.importorskip("parfocal.drive.pymmcore.connect", reason=WHY)
cores = pytest.importorskip("tests.fabricate.cores", reason=WHY)
connect, grey, load = mm.connect, connecting.grey, connecting.load
Autofocus, AutofocusCore = mm.Autofocus, mm.AutofocusCore
rig_core = cores.rig_core

LIMITS = drive.Limits(z_min_um=-12, z_max_um=12)


@pytest.fixture
def built(tmp_path):
    made = []

    def build(**values):
        made.append(rig_core(tmp_path, **values))
        return made[-1]

    yield build
    for each in made:
        each.core.unloadAllDevices()


def test_a_core_offers_the_protocols_that_a_core_can(built):
    scope = connect(built().core)
    offered = (
        "Microscope", "Exposure", "XYStage", "Channels", "Light", "Brake", "Clock",
    )  # fmt: skip
    for name in offered:
        assert isinstance(scope, getattr(protocols, name)), name
    assert not isinstance(scope, protocols.Stream)
    scope.move_to_um(4.5)
    scope.move_xy_to_um(7.0, 8.0)
    scope.set_channel("blue")
    scope.set_exposure_ms(30.0)
    assert (scope.position_um(), scope.xy_um()) == (4.5, (7.0, 8.0))
    assert (scope.channel(), scope.channels()) == ("blue", ("blue", "red"))
    assert scope.exposure_ms() == 30.0
    assert scope.snap().shape == (48, 48)


def test_autofocus_works_on_a_core(built):
    made = built(focus_um=3.0)
    report = drive.autofocus(connect(made.core), limits=LIMITS)
    assert report.found, report.reason
    assert abs(made.rig.z_um - 3.0) < 0.2


@pytest.mark.parametrize(
    ("without", "options", "words"),
    [
        (("Drive",), {}, "no focus stage set.*focus=LABEL.*Loaded: none"),
        (("Eye",), {}, "no camera set.*camera=LABEL.*Loaded: none"),
        ((), {"focus": "Eye"}, "'Eye' is no focus stage.*Loaded: Drive"),
        ((), {"camera": "Canon"}, "'Canon' is no camera.*Loaded: Eye"),
    ],
)
def test_a_core_without_stage_or_camera_is_refused_in_one_line(built, without, options, words):
    with pytest.raises(InputError, match=words) as caught:
        connect(built(without=without).core, **options)
    assert "\n" not in str(caught.value)


def test_the_focus_stage_can_be_named(built):
    made = built()
    made.core.setFocusDevice("")
    scope = connect(made.core, focus="Drive")
    scope.move_to_um(2.0)
    assert scope.position_um() == 2.0


def test_what_a_driver_raises_comes_as_stage_and_camera_errors(built):
    made = built(faults={0: "raise"}, snap_faults={0: "raise"})
    scope = connect(made.core)
    with pytest.raises(StageError, match=r"'Drive' failed on its way to 3 um: serial port closed"):
        scope.move_to_um(3.0)
    with pytest.raises(CameraError, match=r"'Eye' gave no image: camera gone"):
        scope.snap()
    made.rig.xy_fails = 1
    with pytest.raises(StageError, match="xy controller does not answer"):
        scope.move_xy_to_um(1.0, 1.0)
    for bad in (0.0, 5000.0, float("nan")):
        with pytest.raises(CameraError, match="exposure"):
            scope.set_exposure_ms(bad)
    with pytest.raises(UnknownNameError, match="Choose one of: blue, red"):
        scope.set_channel("green")


def test_a_stage_that_stays_busy_is_given_up(built):
    made = built()
    made.rig.busy_for = 10**9
    with pytest.raises(StageError, match=r"still busy after 0.05 s"):
        connect(made.core, timeout_s=0.05).move_to_um(1.0)


def test_a_lost_connection_is_a_device_error_everywhere(built):
    made = built()
    scope = connect(made.core)
    made.core.unloadAllDevices()
    for call in (scope.snap, scope.position_um, scope.xy_um):
        with pytest.raises(DeviceError):
            call()
    with pytest.raises(DeviceError):
        scope.move_to_um(1.0)


def test_live_mode_is_named_as_the_reason(built):
    made = built()
    scope = connect(made.core)
    made.core.startContinuousSequenceAcquisition(0)
    with pytest.raises(CameraError, match="live mode: stop it"):
        scope.snap()
    made.core.stopSequenceAcquisition()


def test_colour_becomes_luminance_and_odd_shapes_are_refused(built):
    assert connect(built(colour=True).core).snap().shape == (48, 48)
    pixel = np.array([[[100, 0, 0], [0, 100, 0], [0, 0, 100]]], dtype=np.uint8)
    assert grey(pixel).tolist() == [[30, 59, 11]]
    assert grey(np.dstack([pixel, pixel[..., 0]])).tolist() == [[30, 59, 11]]
    with pytest.raises(CameraError, match=r"shape \(3, 4, 5, 2\)"):
        grey(np.zeros((3, 4, 5, 2)))


def test_a_stage_that_takes_sequences_streams(built):
    made = built(drive=cores.SteppedDrive, focus_um=1.0)
    scope = connect(made.core)
    assert isinstance(scope, protocols.Stream)
    planes = list(scope.sweep(-2.0, 2.0, 5))
    assert [z_um for z_um, _ in planes] == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert np.argmax([image.std() for _, image in planes]) == 3
    assert not made.core.isSequenceRunning()
    with pytest.raises(StageError, match="holds 2 to 20 positions, not 21"):
        next(scope.sweep(-2.0, 2.0, 21))
    closed = scope.sweep(-2.0, 2.0, 5)
    next(closed)
    closed.close()
    assert not made.core.isSequenceRunning()


def test_configuration_files_that_do_not_load_say_why(tmp_path):
    with pytest.raises(ReadError, match="no such configuration file"):
        connect(tmp_path / "absent.cfg")
    broken = tmp_path / "broken.cfg"
    broken.write_text("#py pyDevice,Camera,parfocal.simulate.pymmcore,Kamera\n", "utf-8")
    with pytest.raises(DeviceError, match=r"broken\.cfg could not be loaded: .*Kamera"):
        connect(broken)


def test_full_focus_on_a_plain_core(built):
    made = built(kind=AutofocusCore, focus_um=4.0)
    core = made.core
    core.loadPyDevice("Autofocus", Autofocus(LIMITS))
    core.initializeDevice("Autofocus")
    assert core.getAutoFocusDevice() == ""
    core.setAutoFocusDevice("Autofocus")
    assert core.getAutoFocusDevice() == "Autofocus"
    core.fullFocus()
    assert abs(made.rig.z_um - 4.0) < 0.2
    assert core.getLastFocusScore() >= core.getCurrentFocusScore() * 0.9 > 0
    core.setAutoFocusOffset(1.5)
    core.incrementalFocus()
    assert core.getAutoFocusOffset() == 1.5
    assert abs(made.rig.z_um - 5.5) < 0.2
    assert not core.isContinuousFocusEnabled()
    assert not core.isContinuousFocusLocked()
    core.enableContinuousFocus(False)
    with pytest.raises(RuntimeError, match="does not run by itself"):
        core.enableContinuousFocus(True)


def test_full_focus_without_an_answer_raises_and_the_stage_goes_back(built):
    made = built(kind=AutofocusCore, contrast=0.0, z_um=1.0)
    core = made.core
    device = Autofocus()
    core.loadPyDevice("Autofocus", device)
    core.initializeDevice("Autofocus")
    core.setAutoFocusDevice("Autofocus")
    with pytest.raises(RuntimeError, match="outside the limits"):
        core.fullFocus()
    assert made.rig.commands == []
    for name, value in {"ZMin_um": -6, "ZMax_um": 6, "Search": "sweep", "MaxImages": 9}.items():
        core.setProperty("Autofocus", name, value)
    assert device.limits == drive.Limits(z_min_um=-6, z_max_um=6, max_images=9)
    assert device.search == drive.SweepSearch()
    with pytest.raises(RuntimeError, match=r"no focus \(blank\)"):
        core.fullFocus()
    assert made.rig.z_um == 1.0
    assert made.rig.images <= 9


def test_without_its_device_the_calls_go_on_to_the_core_below(built):
    core = built(kind=AutofocusCore).core
    with pytest.raises(RuntimeError):
        core.fullFocus()
    assert core.getAutoFocusDevice() == ""
    assert not core.isContinuousFocusEnabled()
    assert issubclass(AutofocusCore, mm.AutofocusCalls)


def test_the_autofocus_device_loads_from_a_configuration_file(tmp_path):
    from parfocal.simulate.pymmcore import config_path

    lines = [
        "#py pyDevice,Autofocus,parfocal.drive.pymmcore.autofocus,Autofocus",
        "Property,Core,Initialize,1", "#py Property,Autofocus,ZMin_um,-20",
        "#py Property,Autofocus,ZMax_um,20", "#py Property,Core,AutoFocus,Autofocus",
    ]  # fmt: skip
    file = tmp_path / "with_autofocus.cfg"
    file.write_text("\n".join([config_path().read_text("utf-8"), *lines]), "utf-8")
    core = load(file, kind=AutofocusCore)
    assert core.getAutoFocusDevice() == "Autofocus"
    assert isinstance(connect(core), mm.CoreMicroscope)
    core.unloadAllDevices()
