from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.protocols import DefocusPredictor
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard
from parfocal.nets.pair import PairNetwork
from parfocal.predict.pair_predictor import PairPredictor, clear_evidence

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 2 um, and 3 with the pixel
DEPTH_UM = 3.0
REACH = 8.0


class Oracle(nn.Module):
    """Answers the difference of the two images' brightness, in effective depths of field."""

    def __init__(self, width=0.3, clear=-9.0):
        super().__init__()
        self.width, self.clear = width, clear

    def forward(self, images, facts):
        first, second = images.mean((2, 3)).unbind(1)
        classes = torch.linspace(-REACH, REACH, 33)
        logits = -0.5 * (((second - first) * 4 - classes[:, None]) / self.width).square().T
        return torch.cat([logits, torch.full((len(logits), 1), self.clear)], 1)


def _card(**calibration):
    return ModelCard(
        name="oracle", task="", architecture="parfocal.nets.pair:PairNetwork", settings={},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration=calibration, limits=(),
    )  # fmt: skip


def _images(size=128, count=2, seed=0):
    return np.random.default_rng(seed).poisson(100, (count, size, size)).astype(np.uint16)


@pytest.fixture
def oracle():
    return PairPredictor([Oracle()], _card())


def _brighter_second(step):
    images = np.random.default_rng(0).normal(100, 20, (2, 256, 256))
    images[1] += step
    return images


def test_an_answer_is_the_first_images_defocus_in_um_and_in_depths_of_field(oracle):
    images = _brighter_second(10.0)
    joint = images.std()
    middle = 4 * (images[1].mean() - images[0].mean()) / joint
    guess = oracle.predict(images, spacing_um=3.0, setup=SETUP)
    assert guess.status == "found"
    # The middle of the pair is half a spacing above the first image.
    assert guess.defocus_um == pytest.approx((middle - 0.5) * DEPTH_UM, abs=0.15)
    assert guess.defocus_dof == pytest.approx(guess.defocus_um / 2.0)
    low, high = guess.interval_um
    assert low < guess.defocus_um < high
    assert guess.patches.defocus_um.shape == (2, 2)
    assert guess.patches.stride_px == (128.0, 128.0)
    assert isinstance(oracle, DefocusPredictor)


def test_gain_and_offset_do_not_change_the_answer(oracle):
    images = _brighter_second(10.0)
    one = oracle.predict(images, spacing_um=3.0, setup=SETUP)
    other = oracle.predict(9.0 * images + 500, spacing_um=3.0, setup=SETUP)
    assert other.defocus_um == pytest.approx(one.defocus_um, abs=1e-3)


def test_images_swapped_give_the_answer_mirrored():
    torch.manual_seed(0)
    predictor = PairPredictor([PairNetwork(bins=34), PairNetwork(bins=34)], _card())
    images = _images()
    one = predictor.predict(images, spacing_um=3.0, setup=SETUP)
    two = predictor.predict(images[::-1], spacing_um=3.0, setup=SETUP)
    middle = one.classes_um[:, None]
    assert middle.shape == two.classes_um[:, None].shape
    # Seen from the other side, defocus d of the first image is -(d + spacing) of the new first.
    mean_one = float((one.probabilities * one.classes_um).sum())
    mean_two = float((two.probabilities * two.classes_um).sum())
    assert mean_two == pytest.approx(-(mean_one + 3.0), abs=0.05)


def test_any_subset_of_a_short_stack_will_do(oracle):
    images = np.random.default_rng(1).normal(100, 20, (5, 128, 128))
    images += 10.0 * np.arange(5)[:, None, None]
    two = oracle.predict(images[:2], spacing_um=3.0, setup=SETUP)
    five = oracle.predict(images, spacing_um=3.0, setup=SETUP)
    assert two.status == five.status == "found"
    alone = oracle.predict(images[0], setup=SETUP)
    assert alone.defocus_um == pytest.approx(0.0, abs=0.1)


def test_doubt_widens_the_interval_and_too_much_declines():
    images = _brighter_second(10.0)
    narrow, wide = (
        PairPredictor([Oracle(width)], _card()).predict(images, spacing_um=3.0, setup=SETUP)
        for width in (0.3, 1.0)
    )
    assert np.diff(wide.interval_um) > np.diff(narrow.interval_um)
    lost = PairPredictor([Oracle(50.0)], _card()).predict(images, spacing_um=3.0, setup=SETUP)
    assert lost.status == "uncertain"
    assert lost.defocus_um is None
    assert lost.probabilities is not None


def test_focus_beyond_the_reach_is_said_to_be_beyond(oracle):
    guess = oracle.predict(_brighter_second(150.0), spacing_um=3.0, setup=SETUP)
    assert guess.status == "edge"
    assert "above focus" in guess.reason


def test_two_networks_that_contradict_each_other_are_ambiguous():
    class Contrary(Oracle):
        def forward(self, images, facts):
            return super().forward(images.flip(1), facts)

    predictor = PairPredictor([Oracle(), Contrary()], _card())
    guess = predictor.predict(_brighter_second(20.0), spacing_um=3.0, setup=SETUP)
    assert guess.status == "ambiguous"
    assert "either side" in guess.reason


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda images: np.full_like(images, 7), "blank", "one grey value"),
        (lambda images: np.minimum(images, 100), "saturated", "expose less"),
        (lambda images: images[:, :20, :20], "uncertain", "at least 32"),
    ],
)
def test_images_that_cannot_be_judged_are_declined(oracle, change, status, reason):
    guess = oracle.predict(change(_images()), spacing_um=3.0, setup=SETUP)
    assert guess.status == status
    assert reason in guess.reason
    assert guess.defocus_um is None


@pytest.mark.parametrize(
    ("setup", "spacing_um", "reason"),
    [
        (SETUP, 30.0, "about 3 um apart"),
        (SETUP, 0.1, "about 3 um apart"),
        (SETUP.model_copy(update={"pixel_um": 3.0}), 3.0, "bin less"),
        (SETUP.model_copy(update={"na": 0.99}), 1.0, "immersion index"),
    ],
)
def test_optics_that_training_did_not_know_are_declined(oracle, setup, spacing_um, reason):
    guess = oracle.predict(_images(), spacing_um=spacing_um, setup=setup)
    assert guess.status == "uncertain"
    assert reason in guess.reason


def test_what_is_no_short_stack_is_refused_in_one_line(oracle):
    images = _images().astype(float)
    images[1, 3, 3] = np.nan
    with pytest.raises(InputError, match="Image 1 of 2 holds pixels"):
        oracle.predict(images, spacing_um=3.0, setup=SETUP)
    with pytest.raises(MetadataError, match="--spacing-um"):
        oracle.predict(_images(), setup=SETUP)
    with pytest.raises(MetadataError, match="--na"):
        oracle.predict(_images(), spacing_um=3.0)
    with pytest.raises(InputError, match="positive distance"):
        oracle.predict(_images(), spacing_um=-3.0, setup=SETUP)
    with pytest.raises(ShapeError, match="1 to 51"):
        oracle.predict(np.zeros((2, 2, 8, 8)), spacing_um=3.0, setup=SETUP)


def test_what_looks_like_transmitted_light_is_declined_with_that_reason():
    predictor = PairPredictor([Oracle(clear=9.0)], _card())
    guess = predictor.predict(_brighter_second(10.0), spacing_um=3.0, setup=SETUP)
    assert guess.status == "uncertain"
    assert "look like transmitted light" in guess.reason
    assert guess.defocus_um is None
    doubtful = PairPredictor([Oracle(clear=-1.0)], _card())
    guess = doubtful.predict(_brighter_second(10.0), spacing_um=3.0, setup=SETUP)
    assert guess.status == "uncertain"
    assert "may be transmitted light, or fluorescence far from focus" in guess.reason


def test_one_clear_patch_outweighs_many_that_show_nothing():
    prior = torch.full((60,), 0.1)
    assert clear_evidence(torch.cat([prior, torch.tensor([0.999])])) > 0.5
    assert clear_evidence(torch.cat([prior, torch.tensor([0.001])])) < -0.5
    assert clear_evidence(prior) == pytest.approx(0.0, abs=1e-3)


def test_a_field_whose_defocus_rises_along_y_is_tilted_that_way_and_a_level_one_is_not(oracle):
    rows = np.linspace(-1, 1, 1024)[:, None]
    images = np.random.default_rng(4).normal(1000, 100, (2, 1024, 1024))
    level = oracle.predict(images, spacing_um=3.0, setup=SETUP)
    images[1] += 50 * rows  # two effective depths from the first row to the last: 4 * 50 / 100
    guess = oracle.predict(images, spacing_um=3.0, setup=SETUP)
    assert level.tilt_um_per_mm is None
    down, along = guess.tilt_um_per_mm
    rise_um = 2 * 4 * 0.5 * DEPTH_UM
    assert down == pytest.approx(rise_um / (1024 * 0.5e-3), rel=0.15)
    assert abs(along) < 0.1 * down


def test_one_broad_peak_around_focus_is_an_answer_and_not_two():
    predictor = PairPredictor([Oracle(width=1.0)], _card())
    guess = predictor.predict(_images(256), spacing_um=3.0, setup=SETUP)
    assert guess.found, guess.reason
    low, high = guess.interval_um
    assert low < -DEPTH_UM / 2 < high
