"""An answer carries pixels and a decline carries none."""

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.core.masks import FocusMasks
from parfocal.core.refocused import Refocused
from parfocal.core.results import Status


def test_masks_act_like_an_array_of_booleans():
    truth = np.zeros((2, 3, 4), dtype=bool)
    truth[1, 0] = True
    masks = FocusMasks(
        status=Status.FOUND, reason="", masks=truth, method="std", z_um=np.arange(2.0)
    )
    assert np.asarray(masks).dtype == bool
    assert (np.asarray(masks) == truth).all()
    assert masks[1].sum() == 4
    assert (len(masks), masks.ndim) == (2, 3)
    np.testing.assert_allclose(masks.coverage, [0.0, 1 / 3])
    assert masks.to_dict()["coverage"][1] == pytest.approx(1 / 3)


def test_a_decline_with_a_mask_is_refused():
    with pytest.raises(InputError, match="must be empty"):
        FocusMasks(
            status=Status.BLANK, reason="", masks=np.ones((1, 2, 2), dtype=bool), method="std",
            z_um=np.zeros(1),
        )  # fmt: skip


def test_a_decline_has_no_image_and_says_why_when_asked_for_one():
    declined = Refocused(
        status=Status.UNCERTAIN, reason="it may be phase contrast.", method="none", image=None,
        trust=np.zeros((2, 2)),
    )  # fmt: skip
    with pytest.raises(InputError, match="phase contrast"):
        np.asarray(declined)
    assert declined.to_dict()["status"] == "uncertain"


@pytest.mark.parametrize(
    ("status", "image", "trust"),
    [(Status.FOUND, None, 1.0), (Status.FLAT, 1.0, 0.0), (Status.FLAT, None, 0.5)],
)
def test_a_refocused_image_is_whole_or_absent(status, image, trust):
    pixels = None if image is None else np.full((2, 2), image)
    with pytest.raises(InputError, match="must"):
        Refocused(status=status, reason="", method="", image=pixels, trust=np.full((2, 2), trust))
