from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.results import DefocusEstimate, DepthMap, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.package import load_model, save_model
from parfocal.refocus import surface_refocuser
from parfocal.refocus.levelling import surface_of
from parfocal.refocus.surface import (
    load_surface_refocuser,
    to_surface,
    virtual_series,
    virtual_stack,
)
from parfocal.refocus.surface_refocuser import SurfaceRefocuser
from parfocal.train.held_out import HeldOut
from parfocal.train.surface_making import surface_card
from parfocal.train.surface_task import SurfaceRecipe, SurfaceTask

SETUP = OpticalSetup(na=0.6, wavelength_nm=500, pixel_um=0.25)
DOF_UM = SETUP.depth_of_field_um
RECIPE = SurfaceRecipe(name="tiny", widths=(8, 8, 8), blocks=(1, 1, 1), steps=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that never learnt: what is tested here must hold with any weights."""
    folder = tmp_path_factory.mktemp("surface") / "tiny"
    card = surface_card(RECIPE, HeldOut(), seed=0, seconds=0.0, machine="none")
    # Verdicts of a network that never learnt would decline at random.
    card.calibration.update({"verdict_offset": 5.0, "most_flux": 1e6})
    save_model(folder, card, [SurfaceTask(RECIPE).build(0)])
    return folder


@pytest.fixture(scope="module")
def image():
    dice = np.random.default_rng(0)
    light = np.zeros((96, 80))
    light[dice.integers(0, 96, 30), dice.integers(0, 80, 30)] = 400.0
    return dice.poisson(gaussian_filter(light, 2.5) * 20 + 20).astype(np.float32)


def ask(image, surface_um, model, **options):
    return to_surface(image, surface_um, setup=SETUP, model=model, spherical_waves=0.16, **options)


def test_a_surface_of_zeros_returns_the_input(image, model):
    for zeros in (0.0, np.zeros(image.shape)):
        same = ask(image, zeros, model)
        assert same.method == "passed through"
        assert np.array_equal(np.asarray(same), image)


def test_a_number_and_a_map_of_it_agree(image, model):
    one = ask(image, 2.0, model)
    other = ask(image, np.full(image.shape, 2.0), model)
    assert one.found
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-3 * image.max())


def test_an_aberration_of_the_other_sign_shows_the_world_from_below(image, model):
    surface = np.linspace(-1, 2, 80, dtype=np.float32) + np.zeros((96, 1), np.float32)
    one = to_surface(image, surface, setup=SETUP, model=model, spherical_waves=0.2)
    other = to_surface(image, -surface, setup=SETUP, model=model, spherical_waves=-0.2)
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_stack_holds_what_single_planes_show(image, model):
    stack = virtual_stack(image, [-2.0, 0.0, 1.5], setup=SETUP, model=model, spherical_waves=0.16)
    assert np.asarray(stack).shape == stack.trust.shape == (3, 96, 80)
    for plane, z_um in zip(np.asarray(stack), stack.z_um, strict=True):
        alone = np.asarray(ask(image, float(z_um), model))
        np.testing.assert_allclose(plane, alone, atol=1e-3 * image.max())
    assert np.isnan(stack.verdicts[1])
    assert 0 < stack.verdicts[0] < 1


def test_light_is_kept(image, model):
    answer = ask(image, 3.0, model)
    assert answer.flux == 1.0
    assert float(np.asarray(answer).mean()) == pytest.approx(float(image.mean()), rel=0.02)


def test_where_there_is_no_light_the_level_of_the_dark_is_shown(image, model):
    refocuser = SurfaceRefocuser(*load_model(model))
    working = refocuser.looker.working
    find, show = working.find, working.show

    def dark(*asked, **options):
        found = find(*asked, **options)
        return found._replace(light=0 * found.light)

    working.find = dark
    working.show = lambda found, mixed, *rest: show(found, mixed, *rest)._replace(shown=mixed)
    (shown,), floor = refocuser.look(image, [2.0], setup=SETUP, spherical_waves=0.16)
    np.testing.assert_allclose(shown.image, floor, rtol=1e-4)


def test_a_section_shows_the_light_near_its_surface_alone(image, model):
    whole, part = (SurfaceRefocuser(*load_model(model), is_section=each) for each in (False, True))
    common = {"setup": SETUP, "spherical_waves": 0.16}
    (all_of_it,), floor = whole.look(image, [7.5], **common)
    (near,), _ = part.look(image, [7.5], **common)
    light = [float((each.image - floor).clip(0).sum()) for each in (all_of_it, near)]
    assert light[1] < 0.6 * light[0]
    assert float(near.image.min()) > floor - 1e-3 * float(image.std())  # none is darker than dark


def test_tiles_are_seamless(model, monkeypatch):
    """The same image in one piece and in nine; no steeper across borders than elsewhere."""
    dice = np.random.default_rng(3)
    light = np.zeros((320, 320))
    light[dice.integers(0, 320, 300), dice.integers(0, 320, 300)] = 9000.0
    big = dice.poisson(gaussian_filter(light, 3.0) + 20).astype(np.float32)
    whole = np.asarray(ask(big, 2.0, model))
    monkeypatch.setattr("parfocal.refocus.surface_refocuser.TILE_PX", 256)
    parts = np.asarray(ask(big, 2.0, model))
    away = np.abs(whole - parts)[40:-40, 40:-40]
    assert float(away.mean()) < 0.2 * float(whole.std())
    steps = np.abs(np.diff(parts, axis=1)).mean(0)[40:-40]
    borders = np.array([107, 214]) - 40
    near = np.concatenate([steps[at - 2 : at + 2] for at in borders])
    assert float(near.max()) < 1.2 * float(np.quantile(steps, 0.99))


def test_a_series_is_its_images_one_by_one(image, model):
    images = np.stack([image, image[::-1]])
    series = list(virtual_series(images, [1.0], setup=SETUP, model=model, spherical_waves=0.16))
    alone = virtual_stack(images[1], [1.0], setup=SETUP, model=model, spherical_waves=0.16)
    np.testing.assert_array_equal(np.asarray(series[1]), np.asarray(alone))


def test_images_enter_as_tensors_too(image, model):
    one, other = ask(image, 1.0, model), ask(torch.from_numpy(image), torch.tensor(1.0), model)
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    ("surface", "error", "words"),
    [
        (np.zeros((5, 5)), ShapeError, "one height in um for each pixel"),
        (np.nan, InputError, "fill them first"),
        (9.0 * DOF_UM, InputError, "this network knows up to"),
        ([[1.0], [2.0]], ShapeError, "one height in um"),
    ],
    ids=["wrong shape", "NaN", "too far", "a column"],
)
def test_bad_surfaces_are_refused_in_one_line(image, model, surface, error, words):
    with pytest.raises(error, match=words) as caught:
        ask(image, surface, model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "status"),
    [(np.full((64, 64), 7.0), Status.BLANK), (np.ones((64, 64)) * 9 + np.eye(64) * -5,
                                              Status.SATURATED)],
    ids=["blank", "saturated"],
)  # fmt: skip
def test_images_without_an_answer_have_none(model, bad, status):
    for found in (ask(bad, 1.0, model), virtual_stack(bad, [1.0], setup=SETUP, model=model)):
        assert found.status == status
        with pytest.raises(InputError):
            np.asarray(found)
        assert not found.trust.any()


def test_bad_images_are_refused(model):
    with pytest.raises(InputError, match="NaN"):
        ask(np.full((64, 64), np.nan), 1.0, model)
    with pytest.raises(ShapeError, match="colour"):
        ask(np.ones((64, 64, 3)), 1.0, model)
    with pytest.raises(MetadataError, match="--na"):
        to_surface(np.ones((64, 64)), 1.0, model=model)
    with pytest.raises(InputError, match="spherical_waves is 2"):
        to_surface(np.eye(64), 1.0, setup=SETUP, model=model, spherical_waves=2.0)
    with pytest.raises(MetadataError, match="SurfaceNetwork"):
        load_surface_refocuser("pair-fluorescence")


def test_an_assumed_side_is_said(image, model):
    assumed = to_surface(image, 1.0, setup=SETUP, model=model)
    assert "spherical_waves" in assumed.warnings[0]
    weak = to_surface(image, 1.0, setup=SETUP, model=model, spherical_waves=0.0)
    assert "too weak" in weak.warnings[0]
    assert ask(image, 1.0, model).warnings == ()


def test_untrusted_places_can_keep_the_input(image, model, monkeypatch):
    answer = ask(image, 2.0, model)
    least = float(np.quantile(answer.trust, 0.3))
    assert 0.0 < least < answer.verdict
    monkeypatch.setattr(surface_refocuser, "LEAST_TRUST", least)
    kept = ask(image, 2.0, model, untrusted="input")
    low = answer.trust < least
    np.testing.assert_array_equal(np.asarray(kept)[low], image[low])
    np.testing.assert_array_equal(np.asarray(kept)[~low], np.asarray(answer)[~low])
    more = np.asarray(kept, float).sum() - np.asarray(answer, float).sum()
    assert low.any()
    assert np.sign(kept.flux - answer.flux) == np.sign(more)


def test_a_tilt_becomes_the_surface_that_levels_it():
    found = DefocusEstimate(
        status=Status.FOUND, reason="", defocus_um=1.0, defocus_dof=1.0, interval_um=(0.0, 2.0),
        tilt_um_per_mm=(20.0, 0.0),
    )  # fmt: skip
    surface = surface_of(found, (101, 3), pixel_um=1.0)
    assert surface[50, 1] == pytest.approx(-1.0)
    assert surface[100, 1] - surface[0, 1] == pytest.approx(-2.0)
    nothing = DefocusEstimate(status=Status.BLANK, reason="nothing there")
    with pytest.raises(InputError, match="nothing there"):
        surface_of(nothing, (8, 8), pixel_um=1.0)


def test_a_depth_map_is_smoothed_through_what_it_knows():
    y, x = np.mgrid[-1:1:40j, -1:1:50j]
    truth = 3 + 2 * x - y + 0.5 * x * x
    heights = truth.astype(np.float32).copy()
    heights[10:20, 10:30] = np.nan
    heights[30, 30] = 90.0
    found = DepthMap(
        z_um=heights, confidence=np.ones((40, 50), np.float32), index=heights, measure="x",
        window_px=8,
    )  # fmt: skip
    surface = surface_of(found, (80, 100), pixel_um=1.0, image_z_um=3.0)
    assert surface.shape == (80, 100)
    np.testing.assert_allclose(surface[1::2, 1::2], truth - 3, atol=0.12)
    blank = DepthMap(
        z_um=heights * np.nan, confidence=np.ones((40, 50), np.float32), index=heights,
        measure="x", window_px=8,
    )  # fmt: skip
    with pytest.raises(InputError, match="knows 0 heights"):
        surface_of(blank, (8, 8), pixel_um=1.0)


def test_the_error_behind_a_verdict_is_that_of_the_map_in_deviations_of_the_image(image, model):
    refocuser = load_surface_refocuser(model)
    (shown,), _ = refocuser.look(
        image, [2.0], setup=SETUP, spherical_waves=0.16, with_expected=True
    )  # fmt: skip
    asked, other = (refocuser.look(
        gain * image, [2.0], setup=SETUP, spherical_waves=0.16
    )[0][0].error for gain in (1.0, 3.0))  # fmt: skip
    ratio = float(shown.expected[0].mean()) / shown.error
    assert 0.2 * float(image.std()) < ratio < 3.0 * float(image.std())
    assert asked == pytest.approx(shown.error, rel=1e-5)
    assert other == pytest.approx(asked, rel=0.02)
    assert shown.facts[1] == pytest.approx(np.log(shown.error))
