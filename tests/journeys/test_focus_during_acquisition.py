"""The example acquisition runs on a virtual microscope, and on any configuration file."""

from __future__ import annotations

import gc
import logging
import re
from pathlib import Path
from runpy import run_path

import pytest

WHY = "the extra mm is not installed: pip install 'parfocal[mm]'"
mm = pytest.importorskip("parfocal.drive.pymmcore", reason=WHY)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
IN_FOCUS = re.compile(r"^(.+): (\d+) frames came; of (\d+) on the specimen (\d+) in focus", re.M)


@pytest.fixture
def example():
    logger = logging.getLogger("pymmcore-plus")
    level = logger.level
    yield run_path(str(EXAMPLES / "focus_during_acquisition.py"))
    logger.setLevel(level)
    gc.collect()  # a core that still lives at exit may deliver an event to no interpreter


def test_every_frame_of_the_example_is_accounted_for(example, tmp_path, capsys):
    words = "--pixels 48 --times 2 --policy skip --z-min -8 --z-max 8"
    example["main"](["--out", str(tmp_path), *words.split()])
    calm, trouble = capsys.readouterr().out.split("== a frame fails")
    plain, focused = (tuple(map(int, found[1:])) for found in IN_FOCUS.findall(calm))
    came, on_specimen, in_focus = focused
    assert plain[2] < in_focus == on_specimen == came == 12
    assert "16 planned = 12 taken + 0 lost + 4 skipped + 0 not reached" in calm
    assert "gave up" in trouble
    report = mm.AcquisitionReport.load(tmp_path / "skip-True.json")
    assert (report.ended, len(report.taken), report.not_reached) == ("done", 10, 0)
    assert f"policy skip: {len(report.taken)} frames came" in trouble
    lost = {(frame.index["t"], frame.index["p"], frame.index["c"]) for frame in report.lost}
    assert lost == {(1, 0, 1), (1, 2, 1)}
    assert [frame.retries for frame in report.frames if frame.index["p"] == 1] == [0, 0, 0, 1]
    assert all(frame.reason in trouble for frame in report.lost + report.skipped)


def test_the_same_script_runs_on_a_configuration_file(example, tmp_path, capsys):
    config = example["virtual_config"](tmp_path, pixels=48, seed=1)
    words = "--z-min -10 --z-max 10 --positions 0,0,2 --times 1 --na 0.75 --wavelength-nm 536"
    example["main"](["--config", str(config), "--out", str(tmp_path), *words.split()])
    assert "2 planned = 2 taken" in capsys.readouterr().out
    assert (tmp_path / "frames.ome.zarr").is_dir()
    assert mm.AcquisitionReport.load(tmp_path / "account.json").ended == "done"
    with pytest.raises(SystemExit):
        example["main"](["--config", str(config)])


def test_the_blocks_of_the_how_to_run(example, tmp_path, monkeypatch, capsys):
    config = example["virtual_config"](tmp_path, pixels=48, seed=1)
    monkeypatch.setattr("parfocal.simulate.pymmcore.config_path", lambda: config)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "how-to" / "focus-during-acquisition.md").read_text("utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(block, names)  # noqa: S102
    assert "4 planned = 4 taken" in capsys.readouterr().out
    names["scope"].core.unloadAllDevices()
