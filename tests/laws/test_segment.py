"""Laws of masks by rule: they follow the images, and hold nothing that is far from focus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from parfocal.core.stack import FocalStack
from parfocal.segment import pixel_maps
from parfocal.segment.pixel_maps import plan_maps, score_windows
from parfocal.segment.weak_labels import PERS, weak_labels
from parfocal.simulate import load_recipe, simulate_stack


def slanted(seed, shape=(5, 40, 52)):
    """Texture in focus at another plane in each place, and blurred away from it, in counts."""
    rng = np.random.default_rng(seed)
    planes, size_y, size_x = shape
    sharp = 2000 * rng.random((size_y, size_x))
    depth = np.linspace(0, planes - 1, size_x)
    blurred = [gaussian_filter(sharp, 0.6 + 1.2 * k) for k in range(planes)]
    away = np.abs(np.arange(planes)[:, None] - depth)
    low = np.minimum(away.astype(int), planes - 2)
    share = (away - low)[:, None]
    stack = np.stack(blurred)
    columns = np.arange(size_x)
    images = [
        (1 - share[z]) * stack[low[z], :, columns].T + share[z] * stack[low[z] + 1, :, columns].T
        for z in range(planes)
    ]
    return rng.poisson(np.stack(images)).astype(np.float64)


FLIPS = {
    "up": lambda a: a[:, ::-1],
    "left": lambda a: a[:, :, ::-1],
    "turned": lambda a: np.rot90(a, axes=(1, 2)),
    "through": lambda a: a[::-1],
}


@pytest.mark.parametrize("turn", FLIPS)
@given(
    per=st.sampled_from(PERS),
    seed=st.integers(0, 10**6),
    size=st.sampled_from([(40, 52), (41, 50), (33, 39)]),
)
@settings(max_examples=12)
def test_masks_follow_flips_and_turns(turn, per, seed, size):
    images = slanted(seed, (3, *size))
    options = {"measure": "tenengrad", "window_px": (8, 11), "strides_px": (3, 4), "per": per}
    turned = weak_labels(np.ascontiguousarray(FLIPS[turn](images)), **options)
    expected = FLIPS[turn](weak_labels(images, **options).masks)
    assert (turned.masks != expected).mean() < 1e-3  # rounding, at the threshold itself


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), gain=st.sampled_from([0.25, 2.0, 16.0]))
def test_masks_keep_under_gain(seed, gain):
    images = slanted(seed)
    np.testing.assert_array_equal(weak_labels(gain * images).masks, weak_labels(images).masks)


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), offset=st.sampled_from([64.0, 4096.0]))
def test_masks_keep_under_offset(seed, offset):
    images = slanted(seed)
    moved, still = weak_labels(images + offset), weak_labels(images)
    assert (moved.masks != still.masks).mean() < 1e-3


@pytest.mark.parametrize("measure", ["std", "haar_dwt", "dcts"])
def test_bands_of_rows_equal_the_whole(monkeypatch, measure):
    stack = FocalStack.of(slanted(3, (2, 67, 50)))
    plan = plan_maps((67, 50), (12, 20), (5, 7))
    whole = score_windows(stack, measure, plan)
    for band_px in (50 * 9, 50 * 30):
        monkeypatch.setattr(pixel_maps, "BAND_PX", band_px)
        for one, other in zip(score_windows(stack, measure, plan), whole, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_masks_of_bands_equal_those_of_the_whole(monkeypatch):
    counts = slanted(4, (4, 96, 80)).astype(np.uint16)
    whole = weak_labels(counts)
    monkeypatch.setattr(pixel_maps, "BAND_PX", 80 * 24)
    np.testing.assert_array_equal(weak_labels(counts).masks, whole.masks)


@pytest.mark.parametrize("specimen", ["nuclei", "mitochondria"])
def test_planes_far_from_focus_are_empty_and_the_sharp_one_is_kept(specimen):
    recipe = load_recipe(
        "luo2020", size_px=128, planes=9, z_step_um=2.0, focus_um=8.0,
        specimen={"name": specimen, "thickness_um": 0.8},
    )  # fmt: skip
    made = simulate_stack(recipe, seed=2)
    masks = weak_labels(made.stack)
    assert masks.found
    sharp = int(np.abs(masks.z_um - made.focus_um).argmin())
    assert masks.coverage.argmax() == sharp
    assert masks.masks[sharp][made.in_focus[sharp]].mean() > 0.3
    assert masks.coverage[[0, 1, 7, 8]].max() < 0.05 * masks.coverage[sharp]
