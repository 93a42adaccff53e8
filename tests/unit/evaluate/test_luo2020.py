"""What the Luo 2020 benchmark measures, against answers that are known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from parfocal.core.errors import InputError
from parfocal.core.results import Refocused, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.image_quality import best_gaussian, quality, with_best_gain
from parfocal.evaluate.luo2020 import (
    BLIND,
    INPUT,
    TRUE,
    USERS,
    BlurredField,
    FieldRow,
    as_published,
    mean_of,
    methods,
    nominal_psf,
    try_fields,
    worse_than_input,
)
from parfocal.evaluate.luo2020_beads import bead_planes, fitted_width_px, judge_beads
from parfocal.evaluate.luo2020_real import RealCase, light_ratio, summary, try_real
from parfocal.evaluate.luo2020_study import ClearRow, Study
from parfocal.evaluate.luo2020_tables import tables
from parfocal.evaluate.luo2020_targets import AFTER_CAPTURE, targets
from parfocal.evaluate.luo2020_tilt import judge_tilt, relative_sharpness, tilted_field
from parfocal.evaluate.luo2020_times import TimeRow, time_refocusing, time_searches
from parfocal.nets.luo2020 import Luo2020Generator

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_quality_is_that_of_scikit_image_over_the_truths_range():
    truth, shown = noise(32, 32), noise(32, 32, seed=1)
    span = float(truth.max() - truth.min())
    found = quality(shown, truth)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(truth, shown, data_range=span))
    assert found.rmse == pytest.approx(10 ** (-found.psnr / 20))
    again = quality(7 * shown - 3, 7 * truth - 3)
    assert (again.psnr, again.ssim) == pytest.approx((found.psnr, found.ssim))
    assert quality(truth, truth) == pytest.approx(quality(truth, truth))
    assert quality(truth, truth).psnr == 120.0


def test_the_best_gaussian_smooths_noise_and_leaves_what_is_clean():
    truth = np.add.outer(np.arange(48.0), np.arange(48.0))
    smoothed, width = best_gaussian(truth + 8 * noise(48, 48), truth)
    assert width >= 2.0
    assert quality(smoothed, truth).psnr > quality(truth + 8 * noise(48, 48), truth).psnr + 6
    sharp = noise(48, 48)
    assert best_gaussian(sharp, sharp)[1] == 0.0


def test_the_best_gain_leaves_no_better_one():
    truth, shown = noise(24, 24), noise(24, 24, seed=2) + 0.4 * noise(24, 24)
    fitted = with_best_gain(shown, truth)
    error = np.square(fitted - truth).mean()
    for gain, offset in ((1.02, 0.0), (0.98, 0.0), (1.0, 0.02), (1.0, -0.02)):
        moved = (fitted - fitted.mean()) * gain + fitted.mean() + offset
        assert np.square(moved - truth).mean() > error
    assert with_best_gain(np.full((24, 24), 5.0), truth) == pytest.approx(truth.mean())


def point_field(dof: float) -> BlurredField:
    """One bright point, blurred by optics without aberrations."""
    psf, focused = (nominal_psf(SETUP, each) for each in (dof, 0.0))
    whole, truth = (np.full((128, 128), 10.0) for _ in range(2))
    for field, shape in ((whole, psf), (truth, focused)):
        top = 64 - shape.shape[0] // 2
        field[top : top + shape.shape[0], top : top + shape.shape[0]] += 1e5 * shape
    return BlurredField(
        kind="point", dof=dof, photons=500.0, whole=whole.astype(np.float32), psf=psf,
        truth=truth[32:-32, 32:-32].astype(np.float32), background=10.0, setup=SETUP,
    )  # fmt: skip


def test_deconvolution_with_the_true_function_is_ahead_of_the_users():
    field = point_field(3.0)
    asked = {name: m for name, m in methods(None, steps=20).items() if name in (INPUT, TRUE, USERS)}
    rows = try_fields([field], asked, dof=3.0, photons=500.0)
    by = {row.method: row.psnr for row in rows}
    assert by[TRUE] > by[USERS] + 1
    assert by[TRUE] > by[INPUT] + 1
    assert {row.method: row.flux for row in rows}[INPUT] == 1.0
    assert worse_than_input([rows[1]], [rows[0]]) == 0.0
    assert worse_than_input([rows[0]], [rows[1]]) == 1.0
    assert mean_of(rows, "psnr") == pytest.approx(np.mean(list(by.values())))
    assert math.isnan(mean_of([], "psnr"))
    with pytest.raises(InputError, match="ask for psnr"):
        mean_of(rows, "colour")


def test_a_published_generator_gets_and_gives_counts_of_any_size():
    class Whole(torch.nn.Module):
        reduction_px = 8

        def forward(self, images):
            assert images.shape[2] % 8 == images.shape[3] % 8 == 0
            return 2 * images

    image = (50 + 5 * noise(30, 21)).astype(np.float32)
    doubled = as_published(Whole(), image)
    assert doubled - image.mean() == pytest.approx(2 * (image - image.mean()), abs=1e-3)
    made = as_published(Luo2020Generator(widths=(2, 4)), image)
    assert made.shape == image.shape


def test_beads_in_focus_are_whole_and_those_out_of_it_are_wide_and_dim():
    near, far = bead_planes((0.0, 2.5), beads=4, seed=3)
    for plane in (near, far):
        told = judge_beads(plane, {"truth": (plane.truth, "found")})[0]
        assert (told.peak, told.encircled, told.fitted) == pytest.approx((1.0, 1.0, 1.0))
        # 0.51 wavelength / NA is 0.364 um, and the bead adds 0.158 um in squares.
        assert told.width_um == pytest.approx(0.397, abs=0.03)
    focused, blurred = (judge_beads(p, {INPUT: (p.image, "found")})[0] for p in (near, far))
    assert focused.peak > 0.85
    assert focused.encircled == pytest.approx(1.0, abs=0.1)
    assert blurred.width_um > 2 * focused.width_um
    assert blurred.peak < 0.3
    assert blurred.encircled < 0.7


def test_a_width_is_found_along_both_axes_and_none_where_there_is_no_bead():
    rows, columns = np.indices((30, 30)) - 15.0
    bell = np.exp(-0.5 * ((rows / 1.5) ** 2 + (columns / 2.5) ** 2))
    assert fitted_width_px(10 * bell, (15.0, 15.0)) == pytest.approx(2 * 2.35482, rel=1e-3)
    assert math.isnan(fitted_width_px(np.ones((30, 30)), (15.0, 15.0)))


def test_rows_of_a_tilted_field_lose_sharpness_with_their_distance():
    field = tilted_field("filaments", size_px=128, photons=2000.0, seed=1)
    slope = 0.325 * math.tan(math.radians(1.5))
    assert np.diff(field.defocus_um) == pytest.approx(slope, rel=1e-3)
    assert relative_sharpness(3 * noise(9, 9), noise(9, 9)) == pytest.approx(3.0)
    rows = judge_tilt(field, {"input": field.image, "truth": field.truth}, bands=4)
    assert [row.sharpness["truth"] for row in rows] == pytest.approx([1.0] * 4)
    assert [row.rmse["truth"] for row in rows] == [0.0] * 4
    assert rows[-1].rmse["input"] > rows[0].rmse["input"]


def test_searches_take_the_time_of_their_images_on_the_microscopes_clock():
    row = time_searches(("std",), runs=1, seed=1)[0]
    assert row.found == 1.0
    assert row.error_um < 0.5
    assert row.images >= 6
    assert row.seconds >= 0.1 * row.images
    assert row.published == 37.22
    assert row.seconds_per_mm2 == pytest.approx(row.seconds / 0.443, rel=1e-3)


def test_refocusing_is_timed_on_the_whole_field():
    seen = []
    row = time_refocusing("any", lambda image: seen.append(image.shape), np.ones((24, 24)),
                          runs=2, size_px=64)  # fmt: skip
    assert seen == [(24, 24), (64, 64), (64, 64)]
    assert row.runs == 2


def answer_of(image: np.ndarray) -> Refocused:
    return Refocused(
        status=Status.FOUND, reason="done", method="m", image=image, trust=np.ones(image.shape),
        defocus_um=1.0, interval_um=(0.5, 1.5),
    )  # fmt: skip


def test_recorded_planes_are_judged_against_the_plane_in_focus():
    sharp = bead_planes((0.0, 2.0), beads=4, seed=3)
    planes = np.stack([sharp[1].image, sharp[0].image, sharp[1].image])
    stack = FocalStack.of(planes, z_step_um=2.0)
    case = RealCase(stack="beads", offsets=(-1, 0, 1, 2), setup=SETUP, is_point=True)
    found = list(try_real(case, stack, 1, lambda image, setup: answer_of(sharp[0].image)))
    assert [plane.offset_um for plane in found] == [-2.0, 0.0, 2.0]
    assert found[0].gain_db > 10
    assert math.isnan(found[1].gain_db)  # the input is the truth
    assert found[1].psnr["blind"] == 120.0
    assert found[1].width_change == pytest.approx(1.0)
    assert found[0].width_change < 0.6
    assert found[1].flux == pytest.approx(1.0)
    assert found[0].psnr["Richardson-Lucy, z of the stage"] > found[0].psnr["input"]
    said = summary(found)
    assert (said["planes"], said["answered"], said["width_in_focus"]) == (3.0, 3.0, 1.0)
    declined = Refocused(status=Status.UNCERTAIN, reason="no", method="m", image=None,
                         trust=np.zeros(planes.shape[1:]))  # fmt: skip
    none = list(try_real(case, stack, 1, lambda image, setup: declined))
    assert all(math.isnan(plane.gain_db) and plane.status == "uncertain" for plane in none)
    assert math.isnan(light_ratio(None, planes[0]))


def row_of(method: str, psnr: float, *, dof: float, photons: float = 500.0) -> FieldRow:
    return FieldRow(
        method=method, kind="k", number=0, dof=dof, photons=photons, psnr=psnr, ssim=0.5,
        rmse=0.1, status="found", seconds=0.1, flux=1.0,
    )  # fmt: skip


def test_targets_say_what_is_met_and_what_is_not():
    rows = [
        row_of(name, psnr, dof=dof)
        for dof in (0.0, 1.0, 2.0, 3.0)
        for name, psnr in ((INPUT, 20.0), (TRUE, 30.0), (USERS, 26.0), (BLIND, 29.5 - dof))
    ]
    times = (TimeRow(name=AFTER_CAPTURE, seconds=1.0, spread_s=0.0, runs=1),)
    clear = (ClearRow(kind="phase_cells", fields=4, declined=3),)
    found = Study(fields=tuple(rows), times=times, clear=clear)
    by = {target.what: target for target in targets(found)}
    against_true = by["blind against Richardson-Lucy, true PSF, 500 photons, 1 to 3 DoF"]
    assert not against_true.is_met
    assert "-1.5, -2.5, -3.5" in against_true.reached
    over_users = by["blind over Richardson-Lucy, user's PSF, 500 photons, 1 to 3 DoF"]
    assert not over_users.is_met
    assert "+2.5, +1.5, +0.5" in over_users.reached
    assert by["worse than the input within 1 DoF"].is_met
    assert by["seconds for each mm^2"].is_met
    assert not by["transmitted light declined"].is_met
    assert "the same at 50 photons" not in by
    titles = [table.title for table in tables(found)]
    assert titles[0] == "Targets"
    assert any("500 photons" in title for title in titles)
