"""The demonstration's stacks are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.evaluate.trial import (
    blurred,
    blurred_stack,
    fabricated_trial,
    phase_stack,
    tilted_stack,
)

Z_UM = np.arange(0.0, 21.0, 1.0)


def _texture(size: int = 96) -> np.ndarray:
    noise = blurred(np.random.default_rng(3).random((size, size)), 2.0)
    return (noise - noise.min()) / np.ptp(noise)


def _spread(counts: np.ndarray) -> np.ndarray:
    return counts.astype(float).var(axis=(1, 2))


def test_blur_is_symmetric_and_keeps_light():
    texture = _texture()
    assert np.array_equal(blurred(texture, 3.0), blurred(texture, -3.0))
    assert blurred(texture, 4.0).mean() == pytest.approx(texture.mean(), rel=0.02)


def test_sharpest_plane_is_nearest_to_focus():
    counts = blurred_stack(_texture(), Z_UM, 6.2, generator=np.random.default_rng(0))
    assert counts.dtype == np.uint16
    assert _spread(counts).argmax() == 6


def test_phase_object_has_least_contrast_in_focus():
    counts = phase_stack(_texture(), Z_UM, 10.0, generator=np.random.default_rng(0))
    contrast = _spread(counts)
    assert contrast[5:16].argmin() == 5
    assert contrast[:10].max() > 2 * contrast[10]
    assert contrast[11:].max() > 2 * contrast[10]


def test_tilted_object_is_sharp_low_on_the_left_and_high_on_the_right():
    counts = tilted_stack(
        _texture(128), Z_UM, 10.0, rise_um=12.0, generator=np.random.default_rng(0)
    )
    left, right = _spread(counts[:, :, :32]).argmax(), _spread(counts[:, :, -32:]).argmax()
    assert abs(left - 5.5) <= 1.5
    assert abs(right - 14.5) <= 1.5


def test_same_seed_makes_the_same_stack():
    first, known = fabricated_trial(seed=4)
    second, _ = fabricated_trial(seed=4)
    assert np.array_equal(first.images, second.images)
    assert known.position == 13.2
