from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.refocus import looking, refocuser
from parfocal.refocus.blind import blind, load_refocuser
from parfocal.refocus.tiling import tiles_of
from tests.fabricate.models import write_tiny_model
from tests.fabricate.refocusers import CLEAR, write_tiny_refocuser

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)


@pytest.fixture(scope="module")
def image():
    dice = np.random.default_rng(0)
    light = np.zeros((96, 130))
    light[20:24, 30:36], light[60, 100] = 300, 900
    return dice.poisson(light + 50).astype(np.uint16)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_refocuser(tmp_path_factory.mktemp("models") / "tiny")


def test_an_answer_says_what_was_done_and_keeps_the_light(image, model):
    result = blind(image, setup=SETUP, model=model)
    assert result.status == Status.FOUND
    assert result.method == "tiny"
    assert result.shape == image.shape
    depth_um = SETUP.depth_of_field_um
    assert result.defocus_um == pytest.approx(3.0 * depth_um, rel=1e-3)
    low, high = result.interval_um
    assert 0 < low < result.defocus_um < high
    assert "3.0 depths of field" in result.reason
    assert float(np.asarray(result).sum()) == pytest.approx(float(image.sum()), rel=1e-3)
    assert result.flux == 1.0
    assert 0.5 < result.verdict <= 1.0
    assert result.card["name"] == "tiny"
    assert len(result.card["sha256"]) == 64
    assert result.provenance["setup"]["na"] == 0.75


def test_a_network_that_answers_its_first_view_gives_the_image_back(image, model):
    np.testing.assert_allclose(
        np.asarray(blind(image, setup=SETUP, model=model)), image, rtol=0.02, atol=2.0
    )


def test_an_image_in_focus_is_passed_through_pixel_by_pixel(image, tmp_path):
    model = write_tiny_refocuser(tmp_path / "near", half_depths=0)
    result = blind(image, setup=SETUP, model=model)
    assert result.method == "passed through"
    np.testing.assert_array_equal(result.image, image)
    assert result.image.dtype == np.float32
    assert bool((result.trust == 1).all())


def test_an_image_that_may_be_in_focus_is_passed_unless_the_answer_is_surely_better(
    image, tmp_path
):
    unsure = {"half_depths": 2, "widen": 10.0}
    doubtful = write_tiny_refocuser(tmp_path / "doubtful", gain=0.2, **unsure)
    better = write_tiny_refocuser(tmp_path / "better", gain=2.0, **unsure)
    assert blind(image, setup=SETUP, model=doubtful).method == "passed through"
    assert blind(image, setup=SETUP, model=better).method == "better"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"half_depths": 16}, "beyond 7 nothing was learnt"),
        ({"gain": -1.0}, "chance of 2 % only"),
    ],
)
def test_what_cannot_be_believed_is_declined_with_a_reason(image, tmp_path, told, words):
    result = blind(image, setup=SETUP, model=write_tiny_refocuser(tmp_path / "no", **told))
    assert result.status == Status.UNCERTAIN
    assert words in result.reason
    assert result.image is None
    assert not result.trust.any()
    assert result.defocus_um is None


@pytest.mark.parametrize(
    ("sign", "told", "is_declined"),
    [(0, CLEAR, True), (0, 6, False), (-1, 6, True), (1, CLEAR, False)],
    ids=["even and seen", "even", "darker than its surroundings", "bright on a dark ground"],
)
def test_transmitted_light_is_declined_by_the_network_or_by_its_grey_values(
    tmp_path, sign, told, is_declined
):
    dice = np.random.default_rng(1)
    image = 500 + 20 * dice.normal(size=(96, 96))
    image[30:40, 30:40] += 300 * sign
    model = write_tiny_refocuser(tmp_path / "model", half_depths=told)
    result = blind(image, setup=SETUP, model=model)
    assert (result.status == Status.UNCERTAIN and "transmitted" in result.reason) == is_declined


@pytest.mark.parametrize(
    ("sign", "told", "is_declined"),
    [(0, CLEAR, True), (0, 6, False), (1, 6, True), (-1, CLEAR, False)],
    ids=["transparent", "even", "brighter than its surroundings", "dark on a bright ground"],
)
def test_what_is_no_stain_is_declined_by_a_network_for_stains(tmp_path, sign, told, is_declined):
    dice = np.random.default_rng(1)
    image = 500 + 20 * dice.normal(size=(96, 96))
    image[30:40, 30:40] += 300 * sign
    model = write_tiny_refocuser(tmp_path / "model", half_depths=told, is_dark=True)
    result = blind(image, setup=SETUP, model=model)
    assert (result.status == Status.UNCERTAIN and "absorb" in result.reason) == is_declined


def test_a_network_for_stains_sees_what_they_take_away(image, model, tmp_path):
    stains = write_tiny_refocuser(tmp_path / "stains", is_dark=True)
    white = 5000.0
    glows = blind(image, setup=SETUP, model=model)
    shades = blind(white - image, setup=SETUP, model=stains, saturation_counts=9999.0)
    assert shades.found
    np.testing.assert_allclose(white - shades.image, glows.image, atol=0.02)
    np.testing.assert_allclose(shades.trust, glows.trust, atol=1e-5)
    assert shades.defocus_um == pytest.approx(glows.defocus_um, rel=1e-5)
    assert shades.verdict == pytest.approx(glows.verdict, rel=1e-4)
    assert shades.flux == pytest.approx(1.0, abs=1e-6)


def test_an_answer_expected_to_be_worse_is_declined_whatever_the_verdict(image, tmp_path):
    model = write_tiny_refocuser(tmp_path / "worse", gain=-0.5, verdict_offset=9.0)
    result = blind(image, setup=SETUP, model=model)
    assert result.status == Status.UNCERTAIN
    assert "expects a larger error" in result.reason


def test_an_answer_that_makes_light_is_declined(image, model, monkeypatch):
    seen = looking.look

    def brighter(*arguments, **named):
        found = seen(*arguments, **named)
        return looking.Look(**{**vars(found), "flux": 1.5})

    monkeypatch.setattr(refocuser, "look", brighter)
    result = blind(image, setup=SETUP, model=model)
    assert result.status == Status.UNCERTAIN
    assert "1.50 times the light" in result.reason


def test_light_that_is_a_little_off_is_put_right(image, model, monkeypatch):
    seen = looking.look
    expected = blind(image, setup=SETUP, model=model)

    def brighter(*arguments, **named):
        found = seen(*arguments, **named)
        return looking.Look(**{**vars(found), "sharp": found.sharp * 1.1, "flux": 1.1})

    monkeypatch.setattr(refocuser, "look", brighter)
    result = blind(image, setup=SETUP, model=model)
    assert result.provenance["flux_before"] == 1.1
    slope = np.polyfit(expected.image.ravel(), result.image.ravel(), 1)[0]
    assert slope == pytest.approx(1.0, rel=1e-2)


def test_untrusted_pixels_can_be_the_input_s(image, tmp_path):
    model = write_tiny_refocuser(tmp_path / "tiny", trust_offset=-9.0)
    kept = blind(image, setup=SETUP, model=model, untrusted="input")
    np.testing.assert_array_equal(kept.image, image)
    assert kept.flux == pytest.approx(1.0)
    shown = blind(image, setup=SETUP, model=model)
    assert not np.array_equal(shown.image, image)


@pytest.mark.parametrize(
    ("pixels", "status"),
    [
        (np.full((64, 64), 7.0), Status.BLANK),
        (np.where(np.arange(64) < 40, 255, 3)[:, None] * np.ones((1, 64)), Status.SATURATED),
    ],
)
def test_images_without_information_are_declined(model, pixels, status):
    result = blind(pixels, setup=SETUP, model=model)
    assert result.status == status
    assert result.image is None


def test_a_known_ceiling_finds_what_is_saturated(image, model):
    assert blind(image, setup=SETUP, model=model, saturation_counts=55.0).status == "saturated"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixel_um": 0.65}, "too coarse"),
        ({"na": 0.98, "pixel_um": 0.2}, "NA 0.98 is 0.98"),
        ({"pixel_um": 0.02}, "at least 32 are needed"),
    ],
)
def test_optics_unlike_those_of_training_are_declined(image, model, changes, words):
    result = blind(image, setup=SETUP.model_copy(update=changes), model=model)
    assert result.status == Status.UNCERTAIN
    assert words in result.reason


def test_pixels_a_little_coarser_than_those_of_training_are_warned_of(image, model):
    setup = SETUP.model_copy(update={"pixel_um": 0.5})
    result = blind(image, setup=setup, model=model)
    assert result.found
    assert "coarser" in result.warnings[0]


def test_fine_pixels_come_back_as_they_were(image, model):
    fine = SETUP.model_copy(update={"pixel_um": 0.1})
    wide = np.kron(image, np.ones((3, 3)))
    result = blind(wide, setup=fine, model=model)
    assert result.shape == wide.shape
    assert float(np.asarray(result).sum()) == pytest.approx(float(wide.sum()), rel=1e-3)


def test_every_kind_of_array_gives_the_same(image, model):
    dask = pytest.importorskip("dask.array")
    expected = np.asarray(blind(image, setup=SETUP, model=model))
    for same in (
        torch.from_numpy(image.astype(np.float32)),
        dask.from_array(image, chunks=64),
        image.astype(np.float64),
    ):
        np.testing.assert_array_equal(np.asarray(blind(same, setup=SETUP, model=model)), expected)


def test_a_stack_of_one_plane_brings_its_own_optics(image, model):
    stack = FocalStack(images=image[None], z_um=np.zeros(1), setup=SETUP)
    assert blind(stack, model=model).found
    with pytest.raises(ShapeError, match="A stack of 2 planes"):
        blind(FocalStack(images=np.stack([image, image]), z_um=np.arange(2.0)), model=model)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_an_error(image, model, bad):
    pixels = image.astype(float)
    pixels[5, 5] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        blind(pixels, setup=SETUP, model=model)


def test_what_is_no_image_is_an_error(model):
    with pytest.raises(ShapeError, match="looks like colour"):
        blind(np.zeros((64, 64, 3)), setup=SETUP, model=model)
    with pytest.raises(ShapeError, match=r"has shape \(4,\)"):
        blind(np.zeros(4), setup=SETUP, model=model)
    with pytest.raises(ShapeError, match="must be an array"):
        blind([[1.0, 2.0]], setup=SETUP, model=model)


def test_missing_optics_name_their_flags(image, model):
    with pytest.raises(MetadataError, match="--na, --wavelength-nm, --pixel-um"):
        blind(image, model=model)


def test_a_model_for_something_else_is_refused(image, tmp_path):
    with pytest.raises(MetadataError, match="refocuses nothing"):
        load_refocuser(write_tiny_model(tmp_path / "pair"))
    with pytest.raises(UnknownNameError):
        load_refocuser("psychic")


def test_a_model_is_read_once_and_again_after_it_was_written_anew(model, tmp_path):
    assert load_refocuser(model) is load_refocuser(model)
    first = load_refocuser(write_tiny_refocuser(tmp_path / "tiny"))
    again = load_refocuser(write_tiny_refocuser(tmp_path / "tiny", half_depths=2))
    assert first is not again


def test_tiles_are_the_whole_away_from_their_borders_and_no_seam_is_seen(model, monkeypatch):
    dice = np.random.default_rng(3)
    scene = torch.from_numpy(dice.random((600, 320)).astype(np.float32))
    scene = torch.nn.functional.avg_pool2d(scene[None, None], 9, 1, 4)[0, 0].numpy()
    image = dice.poisson(400 * scene**4).astype(np.float32)
    whole = np.asarray(blind(image, setup=SETUP, model=model))

    def small(shape, share):
        return tiles_of(shape, share, most_px=352)

    monkeypatch.setattr(refocuser, "tiles_of", small)
    assert len(list(small(image.shape, 1.0))) == 6
    tiled = np.asarray(blind(image, setup=SETUP, model=model))
    difference = np.abs(tiled - whole)
    assert float(difference.mean()) < 0.01 * float(image.std())
    steps = np.abs(np.diff(tiled, axis=0)).mean(1)
    assert steps[199] < 1.2 * np.median(steps)
    assert steps[399] < 1.2 * np.median(steps)
