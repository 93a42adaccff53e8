from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from parfocal.core.errors import MetadataError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.predict.class_predictor import ClassPredictor

SETUP = OpticalSetup(
    na=0.6, wavelength_nm=580, pixel_um=0.65, immersion_index=1.56, sample_index=1.56
)
CALIBRATION = {"setup": SETUP.model_dump(mode="json"), "half_width_um": 5.0}


class Scripted(nn.Module):
    """Answers class k of 13 for patches of mean k / 100 after scaling; above 12 it cannot tell."""

    def __init__(self, images: int = 2) -> None:
        super().__init__()
        self.images = images

    def forward(self, patches):
        said = (patches.mean((1, 2, 3)) * 100).round().long()
        logits = torch.zeros(len(patches), 13)
        sure = said <= 12
        logits[sure, said[sure]] = 50.0
        return logits


def predictor(images: int = 2, **changes) -> ClassPredictor:
    card = ModelCard(
        name="scripted", task="", architecture="", settings={"images": images, "classes": 13},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration=CALIBRATION | changes, limits=(),
    )  # fmt: skip
    return ClassPredictor([Scripted(images)], card)


def field(classes: list[list[int]], images: int = 2) -> np.ndarray:
    """Images (n, y, x) whose patches say these classes: counts of 100 each, a little textured."""
    counts = np.kron(100.0 * np.array(classes), np.ones((128, 128)))
    counts = counts + (np.indices(counts.shape).sum(0) % 2 * 2 - 1)
    return np.stack([counts] * images)


def ask(images, one: ClassPredictor | None = None, **options):
    options = {"spacing_um": 6.0, "setup": SETUP, "saturation_counts": 65535.0} | options
    return (one or predictor()).predict(images, **options)


def test_a_small_field_is_the_mean_of_its_certain_patches():
    guess = ask(field([[7, 7, 8], [99, 7, 8], [99, 99, 8]]))
    assert guess.status == Status.FOUND
    assert guess.defocus_um == pytest.approx((3 * 6 + 3 * 12) / 6)
    assert guess.interval_um == pytest.approx((guess.defocus_um - 5, guess.defocus_um + 5))
    assert guess.reason == "6 of 9 patches are certain"
    assert guess.patches.defocus_um.shape == (3, 3)
    assert guess.patches.certainty[1, 0] == pytest.approx(0.0, abs=1e-6)


def test_a_large_field_is_decided_by_its_two_main_classes():
    rows = [[10] * 8] * 5 + [[11] * 8] * 2 + [[0] * 8]
    guess = ask(field(rows))
    assert guess.defocus_um == pytest.approx((24 * 40 + 30 * 16) / 56)


def test_without_a_certain_patch_it_declines():
    guess = ask(field([[99, 99], [99, 99]]))
    assert guess.status == Status.UNCERTAIN
    assert guess.defocus_um is None
    assert "none of 4 patches" in guess.reason


def test_at_the_last_class_it_says_the_side_and_no_number():
    assert "at least 36 um above" in ask(field([[12, 12], [12, 12]])).reason
    guess = ask(field([[0, 0], [0, 0]]))
    assert (guess.status, guess.defocus_um) == (Status.EDGE, None)


def test_of_three_images_the_first_is_answered():
    guess = ask(field([[7]], images=3), predictor(3))
    assert guess.defocus_um == pytest.approx(6.0 - 6.0)
    assert guess.classes_um[0] == -42.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spacing_um": 8.0}, "6 alone"),
        ({"setup": SETUP.model_copy(update={"na": 0.3})}, "another microscope"),
        ({"setup": SETUP.model_copy(update={"pixel_um": 0.325})}, "another microscope"),
    ],
)
def test_what_training_did_not_know_is_declined(options, said):
    guess = ask(field([[7]]), **options)
    assert guess.status == Status.UNCERTAIN
    assert said in guess.reason


def test_other_numbers_of_images_and_small_images_are_declined():
    assert "takes 2 images, and 3 came" in ask(field([[7]], images=3)).reason
    assert "smaller than a patch" in ask(field([[7]])[:, :64]).reason


def test_missing_optics_are_asked_for():
    with pytest.raises(MetadataError, match="--na"):
        predictor().predict(field([[7]]), spacing_um=6.0)


def test_a_blank_image_is_declined():
    images = field([[7]])
    images[1] = 700.0
    guess = ask(images)
    assert guess.status == Status.BLANK
    assert math.isnan(guess.defocus_um or math.nan)
