"""The transform against PyWavelets, and the choices against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from scipy.ndimage import median_filter, uniform_filter

from parfocal.core.errors import ShapeError
from parfocal.score.selection import choose_by_variance, choose_by_wavelets
from parfocal.score.wavelets import (
    _FIRST,
    _QUARTER_SHIFT,
    analyse_dual_tree,
    band_energy,
    synthesise_dual_tree,
)

LEVELS = 3


def pywt_wavelet(level: int, tree: int) -> pywt.Wavelet:
    """The filters of one tree as PyWavelets takes them (it convolves; parfocal correlates)."""
    low = np.array(_FIRST if level == 0 else _QUARTER_SHIFT)
    if tree:
        low = np.roll(low[::-1], -1) if level == 0 else low[::-1]
    high = low[::-1] * (-1.0) ** np.arange(10)
    return pywt.Wavelet("tree", filter_bank=[low[::-1], high[::-1], low, high])


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(48, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("tree_x", [0, 1])
@pytest.mark.parametrize("tree_y", [0, 1])
def test_each_tree_is_the_transform_of_pywavelets(image, tree_x, tree_y):
    details, low = analyse_dual_tree(image, levels=LEVELS)
    rest = image.numpy() / 2.0  # the four trees share the energy
    for level in range(LEVELS):
        banks = pywt_wavelet(level, tree_y), pywt_wavelet(level, tree_x)
        rest, bands = pywt.dwt2(rest, banks, mode="periodization")
        for ours, theirs in zip(details[level][tree_x, tree_y], bands, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-7)
    np.testing.assert_allclose(low[tree_x, tree_y].numpy(), rest, atol=1e-6)


def test_synthesis_is_inverse_and_adjoint(image):
    details, low = analyse_dual_tree(image, levels=LEVELS)
    assert torch.allclose(synthesise_dual_tree(details, low), image, atol=1e-7)
    energy = sum(float(level.square().sum()) for level in details) + float(low.square().sum())
    assert energy == pytest.approx(float(image.square().sum()), rel=1e-7)
    generator = torch.Generator().manual_seed(4)
    others = tuple(torch.rand(d.shape, dtype=d.dtype, generator=generator) for d in details)
    rough = torch.rand(low.shape, dtype=low.dtype, generator=generator)
    forward = sum(float((a * b).sum()) for a, b in zip(details, others, strict=True))
    forward += float((low * rough).sum())
    assert float((synthesise_dual_tree(others, rough) * image).sum()) == pytest.approx(forward)


def test_band_energy_does_not_ripple_when_the_image_shifts():
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    both, single = [], []
    for shift in range(8):
        radius = ((y - 64.0) ** 2 + (x - 60.0 - shift) ** 2).sqrt()
        details, _ = analyse_dual_tree(torch.sigmoid(1.5 * (30.0 - radius)).double(), levels=3)
        both.append(torch.stack([band_energy(level).sum((-1, -2)) for level in details]))
        single.append(torch.stack([d[0, 0].square().sum((-1, -2)) for d in details]))
    ripple, real = (torch.stack(e).std(0) / torch.stack(e).mean(0) for e in (both, single))
    assert ripple.max() < 0.06
    assert ripple.mean() < 0.15 * real.mean()


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ShapeError, match="multiples of 8 px"):
        analyse_dual_tree(torch.zeros(32, 36), levels=3)


def slow_fusion(planes, levels):
    """Selection as the docstring says it, plane by plane in NumPy."""
    parts = [analyse_dual_tree(plane, levels=levels) for plane in planes]
    evidence = None
    details, index = [], None
    for level in reversed(range(levels)):
        energy = np.stack([(p[0][level].numpy() ** 2).sum((0, 1)) for p in parts])
        agreed = np.median(energy.argmax(0), axis=0)
        agreed = median_filter(agreed, 3, mode="nearest").astype(int)
        mean = uniform_filter(energy.sum(1), (0, 3, 3), mode="nearest")
        own = np.log(mean)
        own -= own.mean(0)
        if evidence is not None:
            size = tuple(own.shape[-2:])
            own += torch.nn.functional.interpolate(
                torch.from_numpy(evidence)[None], size=size, mode="bilinear", align_corners=False
            )[0].numpy()
        evidence = own
        index = median_filter(evidence.argmax(0), 3, mode="nearest")
        if level == levels - 1:
            coarsest = index
        stacked = np.stack([p[0][level].numpy() for p in parts])
        picked = np.take_along_axis(stacked, agreed[None, None, None, None], axis=0)[0]
        details.insert(0, torch.from_numpy(picked))
    low = np.stack([p[1].numpy() for p in parts])
    low = np.take_along_axis(low, coarsest[None, None, None], axis=0)[0]
    return index, synthesise_dual_tree(tuple(details), torch.from_numpy(low)).numpy()


@pytest.mark.parametrize("keep_bytes", [0, 2**30])
def test_selection_matches_a_slow_reference(keep_bytes):
    generator = torch.Generator().manual_seed(5)
    planes = torch.poisson(torch.full((5, 64, 96), 40.0, dtype=torch.float64), generator=generator)
    index, image = slow_fusion(planes, LEVELS)
    choice = choose_by_wavelets(planes, levels=LEVELS, keep_bytes=keep_bytes)
    assert np.mean(choice.index.numpy() != index) < 0.002
    assert np.mean(np.abs(choice.image.numpy() - image) > 1e-6) < 0.02


def test_variance_matches_scipy():
    planes = torch.rand(4, 40, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    choice = choose_by_variance(planes, window_px=9)
    size = (0, 9, 9)
    mean = uniform_filter(planes.numpy(), size, mode="nearest")
    variance = uniform_filter(planes.numpy() ** 2, size, mode="nearest") - mean**2
    np.testing.assert_array_equal(choice.index.numpy(), variance.argmax(0))
