"""How tiles become one curve."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.score.field import combine_tiles
from parfocal.score.tiles import Scale


def tile_scores(peaks: list[float], heights: list[float]) -> np.ndarray:
    """Smooth curves (z, 1, tiles) of given peaks and heights on a small floor."""
    z = np.arange(21.0)[:, None]
    curves = np.array(heights) * (1 + ((z - np.array(peaks)) / 2.5) ** 2) ** -2
    return (curves + 0.01)[:, None, :]


def test_one_bright_tile_does_not_speak_for_the_field():
    # Half of all energy is reached at the second tile, whose range is the cap.
    scores = tile_scores([4.0] + [14.0] * 6, [5.0] + [1.0] * 6)
    field = combine_tiles(scores, Scale("tenengrad"), pixels=10**6)
    assert field.weights.max() == pytest.approx(field.weights.min(), rel=0.01)
    assert field.peak.plane == pytest.approx(14.0, abs=0.3)


def test_a_tile_below_the_cap_weighs_as_its_energy():
    scores = tile_scores([10.0] * 4, [1.0, 1.0, 1.0, 0.25])
    field = combine_tiles(scores, Scale("tenengrad"), pixels=10**6)
    assert field.weights / field.weights.max() == pytest.approx([1, 1, 1, 0.25], rel=0.02)
    assert field.effective_tiles == pytest.approx(3.25**2 / 3.0625, rel=0.02)


def test_excluded_tiles_do_not_vote():
    scores = tile_scores([4.0, 14.0, 14.0], [1.0, 1.0, 1.0])
    excluded = np.array([[False, True, True]])
    field = combine_tiles(scores, Scale("tenengrad"), pixels=10**6, excluded=excluded)
    assert field.votes.tolist() == [[True, False, False]]
    assert field.peak.plane == pytest.approx(4.0, abs=0.1)
