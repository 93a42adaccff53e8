"""The aperture that a stack speaks for: from answers that fall short, by a toy and by the twin."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.core.results import DefocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.predict import fit_aperture, load
from parfocal.predict.aperture import stage_scale
from parfocal.simulate import load_recipe, simulate_stack

SETUP = OpticalSetup(na=0.6, wavelength_nm=500, pixel_um=0.4)
Z_UM = np.arange(-8.0, 9.0)
PLANES = Z_UM[:, None, None] * np.ones((4, 4))
PAIRS = [(k, k + 2) for k in range(15)]


class Toy:
    """Reads the defocus off the pixels, times what a wrong aperture makes of it."""

    def __init__(self, na: float, *, declines_beyond: float = np.inf, noise: float = 0.0) -> None:
        self.na, self.most, self.noise = na, declines_beyond, noise
        self.dice = np.random.default_rng(0)
        self.asked = 0

    def predict(self, images, *, spacing_um=None, setup=None):
        self.asked += 1
        truth = float(images[0].mean())
        if abs(truth) > self.most:
            return DefocusEstimate(status=Status.UNCERTAIN, reason="far")
        answer = truth * self.na / setup.na + self.noise * float(self.dice.normal())
        return DefocusEstimate(
            status=Status.FOUND, reason="", defocus_um=answer, defocus_dof=answer,
            interval_um=(answer - 1, answer + 1),
        )  # fmt: skip


@pytest.mark.parametrize("na", [0.4, 0.5, 0.8])
def test_the_aperture_in_use_is_found_from_answers_that_fall_short(na):
    toy = Toy(na, noise=0.1)
    fit = fit_aperture(toy, PLANES, Z_UM, setup=SETUP, pairs=PAIRS)
    assert fit is not None
    assert not fit.agrees
    assert fit.scale == pytest.approx(na / 0.6, rel=0.03)
    assert fit.na == pytest.approx(na, rel=0.05)
    assert toy.asked < 8 * len(PAIRS)


def test_answers_that_move_as_the_stage_speak_for_what_was_told_and_nothing_more_is_asked():
    toy = Toy(0.6)
    fit = fit_aperture(toy, PLANES, Z_UM, setup=SETUP, pairs=PAIRS)
    assert fit is not None
    assert (fit.agrees, fit.na, fit.scale) == (True, 0.6, pytest.approx(1.0))
    assert toy.asked == len(PAIRS)


def test_few_answers_or_a_short_range_say_nothing():
    assert fit_aperture(Toy(0.4), PLANES, Z_UM, setup=SETUP, pairs=PAIRS[:3]) is None
    assert (
        fit_aperture(Toy(0.4, declines_beyond=1.0), PLANES, Z_UM, setup=SETUP, pairs=PAIRS) is None
    )
    assert stage_scale([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], depth_um=2.0) is None


def test_answers_nearer_than_a_depth_are_not_compared():
    # Twenty planes 0.1 um apart, along which answers drift five times too far.
    near = [k * 0.1 for k in range(20)] + [4.0, 8.0]
    steep = [k * 0.5 for k in range(20)] + [4.0, 8.0]
    assert stage_scale(near, steep, depth_um=2.0) < 1.5


def test_a_scale_that_no_aperture_explains_has_none():
    class Stubborn(Toy):
        def predict(self, images, *, spacing_um=None, setup=None):
            return super().predict(images, setup=SETUP)

    fit = fit_aperture(Stubborn(0.3), PLANES, Z_UM, setup=SETUP, pairs=PAIRS)
    assert fit is not None
    assert (fit.na, fit.scale) == (None, pytest.approx(0.5))


def test_planes_are_read_one_by_one_and_must_fit_their_positions():
    class Lazy:
        def __len__(self):
            return len(PLANES)

        def __getitem__(self, plane):
            assert isinstance(plane, int)
            return PLANES[plane]

    whole = fit_aperture(Toy(0.5), PLANES, Z_UM, setup=SETUP, pairs=PAIRS)
    assert fit_aperture(Toy(0.5), Lazy(), Z_UM, setup=SETUP, pairs=PAIRS) == whole
    with pytest.raises(InputError, match="do not fit"):
        fit_aperture(Toy(0.5), PLANES[1:], Z_UM, setup=SETUP, pairs=PAIRS)
    with pytest.raises(InputError, match="lower, upper"):
        fit_aperture(Toy(0.5), PLANES, Z_UM, setup=SETUP, pairs=[(3, 1)])


def test_a_simulated_lens_that_is_not_filled_is_recognised():
    recipe = load_recipe("luo2020", seed=3, size_px=192, planes=21)
    made = simulate_stack(recipe)
    told = recipe.setup.model_copy(update={"na": 0.94})
    step = round(1.2 * recipe.setup.effective_depth_of_field_um / recipe.z_step_um)
    pairs = [(k, k + step) for k in range(21 - step)]
    fit = fit_aperture(load("pair-fluorescence"), made.counts, recipe.z_um, setup=told, pairs=pairs)
    assert fit is not None
    assert fit.scale < 0.85
    assert fit.na == pytest.approx(recipe.setup.na, rel=0.12)
