"""Stained fields: in focus they are their truth, and the table says what was given."""

import numpy as np
import pytest

from parfocal.evaluate.luo2020 import BLIND, INPUT, USERS, FieldRow, try_fields
from parfocal.evaluate.luo2020_stains import (
    DEEPEST,
    READ_NOISE,
    WHITE,
    draw_stains,
    stain_methods,
)
from parfocal.evaluate.luo2020_study import Study
from parfocal.evaluate.luo2020_tables import tables


def drawn(dof, **more):
    return list(
        draw_stains(("dense_tissue",), **({"fields": 2, "size_px": 64} | more), dof=dof, seed=3)
    )


def test_in_focus_an_image_is_its_truth_with_the_noise_of_the_bright_field():
    for field in drawn(0.0):
        error = field.image - field.truth
        expected = np.sqrt(field.truth.mean() + READ_NOISE**2)
        assert error.std() == pytest.approx(expected, rel=0.05)
        assert field.truth.max() < 1.3 * WHITE
        assert field.truth.min() > 0.5 * np.exp(-DEEPEST) * WHITE


def test_out_of_focus_it_is_not_and_deconvolution_of_what_is_taken_helps():
    fields = drawn(2.0)
    rows = try_fields(fields, stain_methods(None, steps=30), dof=2.0, photons=WHITE)
    of = {name: [row.psnr for row in rows if row.method == name] for name in (INPUT, USERS)}
    assert np.mean(of[USERS]) > np.mean(of[INPUT]) + 1.0
    near = try_fields(drawn(0.0), stain_methods(None, steps=1), dof=0.0, photons=WHITE)
    assert np.mean([row.psnr for row in near if row.method == INPUT]) > np.mean(of[INPUT]) + 3.0


def test_the_same_seed_draws_the_same():
    one, two = (drawn(1.0, fields=1)[0] for _ in range(2))
    np.testing.assert_array_equal(one.whole, two.whole)


def test_the_table_says_what_share_got_no_answer():
    def row(status, method=BLIND):
        return FieldRow(
            method=method, kind="a", number=0, dof=2.0, photons=WHITE, psnr=20.0, ssim=0.5,
            rmse=0.1, status=status, seconds=0.1, flux=1.0,
        )  # fmt: skip

    found = Study(stains=(row("found", INPUT), row("found"), row("uncertain")))
    (table,) = tables(found)
    assert table.cells == (("input", "20.0 / 0.50"), ("blind, as given", "20.0 / 0.50 (50 %)"))
