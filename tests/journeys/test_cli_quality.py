"""Single planes and one-sided stacks with known optics: how far from focus, in depths of field."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parfocal.cli.main import run
from parfocal.core.results import FocusCurve, FocusEstimate, FocusQuality, Status
from parfocal.evaluate.verdict import Verdict, judge
from parfocal.io.writing import write_stack
from tests.fabricate.scenes import phase_scene

OPTICS = ["--na", "0.5", "--wavelength-nm", "500", "--pixel-um", "0.25"]


def widefield_points(defocus_um: np.ndarray, size: int = 192) -> np.ndarray:
    """Counts (z, y, x) of random points under NA 0.5 at 500 nm, 0.25 um pixels."""
    rng = np.random.default_rng(0)
    points = np.zeros((size, size))
    np.add.at(points, tuple(rng.integers(0, size, (2, 120))), rng.lognormal(0, 0.5, 120))
    frequency = np.fft.fftfreq(size, 0.25)
    square = frequency[None, :] ** 2 + frequency[:, None] ** 2
    along_z = np.sqrt(np.maximum(2.0**2 - square, 0))
    images = []
    for z in defocus_um:
        amplitude = np.fft.ifft2((square <= 1.0) * np.exp(2j * np.pi * along_z * z))
        spread = np.abs(amplitude) ** 2
        images.append(np.fft.ifft2(np.fft.fft2(points) * np.fft.fft2(spread)).real)
    expected = np.array(images).clip(0)
    return rng.poisson(expected / expected.max() * 800 + 20).astype(np.uint16)


def record(path, capsys, *options):
    assert run(["score", str(path), "--json", *OPTICS, *options]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    return result


@pytest.mark.parametrize(
    ("defocus_um", "verdicts"), [(0.0, {"keep"}), (6.0, {"image again", "check"})]
)
def test_a_single_plane_gets_a_verdict_from_its_spectrum(tmp_path, capsys, defocus_um, verdicts):
    counts = widefield_points(np.array([defocus_um]))
    path = write_stack(counts, tmp_path / "plane.ome.tif", z_step_um=1.0)
    result = record(path, capsys)
    assert result["status"] == "uncertain"
    assert result["z_um"] is None
    assert result["quality"]["status"] == "found"
    low, high = result["quality"]["interval_dof"]
    assert low - 0.3 <= defocus_um / 2.0 <= high + 0.3
    assert result["verdict"] in verdicts
    assert "depths of field from focus" in result["advice"]


def test_a_one_sided_stack_says_how_far_its_sharpest_plane_is(tmp_path, capsys):
    counts = widefield_points(np.arange(4.0, 16.0, 2.0))
    path = write_stack(counts, tmp_path / "above.ome.tif", z_step_um=2.0)
    result = record(path, capsys)
    assert result["status"] == "edge"
    assert "depths of field from focus" in result["advice"]


def test_without_optics_there_is_no_quality(tmp_path, capsys):
    path = write_stack(widefield_points(np.zeros(1)), tmp_path / "plane.ome.tif", z_step_um=1.0)
    assert run(["score", str(path), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["quality"] is None


def test_a_found_stack_is_not_judged_by_one_spectrum():
    curve = FocusCurve(z_um=np.zeros(1), scores=np.ones(1), measure="tenengrad")
    one = FocusEstimate(status=Status.UNCERTAIN, reason="one", curve=curve, measure="tenengrad")
    far = FocusQuality(
        status=Status.FOUND, reason="far", defocus_dof=5.0, interval_dof=(4.0, 6.0),
        defocus_um=10.0, interval_um=(8.0, 12.0), grade="far out of focus",
    )  # fmt: skip
    assert judge(one, quality=far).verdict == Verdict.AGAIN
    assert judge(one).verdict == Verdict.CHECK


def test_no_depth_map_is_written_of_a_phase_object(tmp_path, capsys):
    scene = phase_scene(1)
    path = write_stack(scene.counts, tmp_path / "cells.ome.tif", z_step_um=0.5)
    target = tmp_path / "depth.ome.tif"
    assert run(["score", str(path), "--depth-map", str(target)]) == 0
    printed = capsys.readouterr()
    assert "a phase object; no depth map was written" in printed.err
    assert "wrote" not in printed.out
    assert not target.exists()
