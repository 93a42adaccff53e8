"""A core that ``connect`` made a microscope keeps every promise of the contract suites."""

from __future__ import annotations

import gc

import pytest

from parfocal.testing import MicroscopeContract

WHY = "the extra mm is not installed: pip install 'parfocal[mm]'"
mm = pytest.importorskip("parfocal.drive.pymmcore", reason=WHY)
cores = pytest.importorskip("tests.fabricate.cores", reason=WHY)
virtual = pytest.importorskip("parfocal.simulate.pymmcore", reason=WHY)


@pytest.fixture(scope="module", autouse=True)
def cores_end_before_python():
    """A core that still lives at exit may deliver an event to an interpreter that is gone."""
    yield
    gc.collect()


class TestPlainCore(MicroscopeContract):
    @pytest.fixture(params=[cores.Drive, cores.SteppedDrive])
    def microscope(self, request, tmp_path):
        core = cores.rig_core(tmp_path, drive=request.param).core
        yield mm.connect(core)
        core.unloadAllDevices()


class TestVirtualCore(MicroscopeContract):
    outside_um = 101.0

    @pytest.fixture
    def microscope(self, tmp_path):
        text = virtual.config_path().read_text("utf-8")
        for old in ("fluorescence-20x", "Label,FITC", "Label,DAPI"):
            text = text.replace(old, "beads-20x" if "20x" in old else "Label,light")
        config = tmp_path / "beads.cfg"
        config.write_text(text, "utf-8")
        scope = mm.connect(config)
        yield scope
        scope.core.unloadAllDevices()
