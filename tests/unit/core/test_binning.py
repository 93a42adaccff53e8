"""Pixels averaged in blocks, at once and as they are read."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.core.binning import bin_pixels, binned
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack

IMAGES = np.random.default_rng(0).integers(0, 65535, (3, 13, 17)).astype(np.uint16)


def slow(images: np.ndarray, side: int) -> np.ndarray:
    rows, columns = images.shape[-2] // side, images.shape[-1] // side
    out = np.zeros((*images.shape[:-2], rows, columns))
    for row in range(rows):
        for column in range(columns):
            block = images[..., row * side : (row + 1) * side, column * side : (column + 1) * side]
            out[..., row, column] = block.astype(float).mean(axis=(-2, -1))
    return out


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_every_block_is_its_mean(side):
    assert np.allclose(bin_pixels(IMAGES, side), slow(IMAGES, side), rtol=1e-6)


@pytest.mark.parametrize(
    "part",
    [np.s_[:, :, :], np.s_[1], np.s_[0:2, 1:3, 2:5], np.s_[2, :4], np.s_[:, -2:, -3:]],
)
def test_a_lazy_stack_reads_the_same_block(part):
    stack = binned(FocalStack.of(IMAGES, z_step_um=1.0), 2)
    assert np.allclose(stack.images[part], slow(IMAGES, 2)[part])


def test_pixel_size_and_optics_follow():
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    stack = binned(FocalStack.of(IMAGES, setup=setup), 3)
    assert stack.shape == (3, 4, 5)
    assert stack.pixel_um == stack.setup.pixel_um == pytest.approx(0.6)
    assert stack.saturation_counts is None
    assert binned(stack, 1) is stack
