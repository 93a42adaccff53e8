"""Masks by rule: what is answered, what is declined and why, and how wrong calls are told."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from parfocal.core.errors import InputError, ShapeError, UnknownNameError
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status
from parfocal.evaluate.blank_fields import BLANK_KINDS, blank_false_positives, blank_stack
from parfocal.segment.thresholds import THRESHOLDS
from parfocal.segment.weak_labels import MODES, weak_labels
from tests.fabricate.scenes import phase_scene


def through_focus(*, planes=7, size=64, focus=3, seed=0):
    """Texture that is sharp in one plane, in counts, with photon noise."""
    rng = np.random.default_rng(seed)
    sharp = 4000 * rng.random((size, size))
    images = [gaussian_filter(sharp, 0.7 + 1.5 * abs(z - focus)) for z in range(planes)]
    return rng.poisson(np.stack(images)).astype(np.uint16)


@pytest.fixture(scope="module")
def counts():
    return through_focus()


@pytest.mark.parametrize("per", ["peak", "stack"])
def test_only_the_sharp_plane_is_in_focus(counts, per):
    masks = weak_labels(counts, per=per)
    assert masks.found
    assert masks.masks.dtype == np.bool_
    assert masks.shape == counts.shape
    assert masks.coverage.argmax() == 3
    assert masks.coverage[3] > 0.5
    assert masks.coverage[[0, 1, 5, 6]].max() == 0


def test_per_plane_splits_every_plane_even_the_blurred(counts):
    assert (weak_labels(counts, per="plane").coverage > 0).all()


def test_published_mode_starts_windows_at_the_corner(counts):
    with_code = weak_labels(counts, mode="li2023", window_px=16, strides_px=[8])
    assert with_code.found
    assert "li2023" in with_code.method
    assert not np.array_equal(with_code.masks[3], weak_labels(counts, per="plane").masks[3])


@pytest.mark.parametrize("threshold", sorted(set(THRESHOLDS) - {"minimum"}))
def test_every_threshold_keeps_the_sharp_plane(counts, threshold):
    masks = weak_labels(counts, threshold=threshold, per="stack")
    assert masks.coverage.argmax() == 3
    assert np.unique(masks.thresholds).size == 1


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_fused_measures_agree_with_their_members(counts, fusion):
    masks = weak_labels(counts, measure=("std", "tenengrad"), fusion=fusion)
    assert masks.coverage.argmax() == 3
    assert "std, tenengrad" in masks.method


def test_a_measure_fused_with_itself_is_the_measure(counts):
    one, twice = weak_labels(counts), weak_labels(counts, measure=["std", "std"])
    np.testing.assert_array_equal(one.masks, twice.masks)


@pytest.mark.parametrize(
    "wrap",
    [
        torch.from_numpy,
        lambda a: da.from_array(a, chunks=(2, 40, 64)),
        lambda a: xr.DataArray(a, dims=("z", "y", "x")),
        lambda a: FocalStack.of(a, z_step_um=0.5, pixel_um=0.1),
    ],
    ids=["torch", "dask", "xarray", "FocalStack"],
)
def test_every_kind_of_images_gives_the_same_masks(counts, wrap):
    counts = counts.astype(np.int32)
    np.testing.assert_array_equal(weak_labels(wrap(counts)).masks, weak_labels(counts).masks)


def test_sampling_goes_through(counts):
    masks = weak_labels(FocalStack.of(counts, z_step_um=0.5, pixel_um=0.1))
    assert (masks.pixel_um, masks.z_known, masks.z_um[2]) == (0.1, True, 1.0)


def test_one_plane_is_split_by_itself(counts):
    half = counts[3:4].copy()
    half[:, :, 32:] = gaussian_filter(half[:, :, 32:].astype(float), (0, 6, 6))
    mask = weak_labels(half).masks[0]
    assert mask[:, :24].mean() > 0.6
    assert not mask[:, 40:].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", BLANK_KINDS)
def test_blank_fields_have_no_mask(kind, mode):
    for seed in (0, 1):
        masks = weak_labels(blank_stack(kind, seed=seed, planes=5, size_px=96), mode=mode)
        assert masks.status in (Status.BLANK, Status.FLAT)
        assert not masks.masks.any()
        assert masks.reason


def test_false_positive_fraction_of_blank_fields_is_nought():
    rows = blank_false_positives(weak_labels, seeds=[5], size_px=64)
    assert [row.kind for row in rows] == [*BLANK_KINDS]
    assert max(row.false_positive for row in rows) == 0.0


def test_gain_free_measures_decline_correlated_noise_too():
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 20, (4, 96, 96)), (0, 0.7, 0.7))
    assert weak_labels(500 + noise, measure="dcts", window_px=32, strides_px=[32]).status == "flat"


def test_constant_clipped_and_spoilt_stacks_are_declined():
    even = np.full((4, 32, 32), 7, dtype=np.uint16)
    assert weak_labels(even).status == Status.BLANK
    clipped = weak_labels(np.full((4, 32, 32), 65535, dtype=np.uint16))
    assert clipped.status == Status.SATURATED
    assert "100 %" in clipped.reason
    assert not weak_labels(np.full((4, 32, 32), np.nan)).found


def test_a_few_nan_pixels_cost_their_windows_only(counts):
    spoilt = counts.astype(np.float32)
    spoilt[3, 5, 60] = np.nan
    masks = weak_labels(spoilt)
    assert masks.found
    assert not masks.masks[3, 5, 60]
    assert "planes 3 hold NaN" in " ".join(masks.warnings)
    far = masks.masks[:, 20:, :40]
    assert (far == weak_labels(counts).masks[:, 20:, :40]).mean() > 0.98


def test_windows_that_all_hold_nan_fail():
    images = through_focus().astype(np.float32)
    images[:, ::4, ::4] = np.nan
    assert weak_labels(images).status == Status.FAILED


def test_a_phase_object_is_ambiguous():
    scene = phase_scene(3, size=96, focus_share=0.5)
    masks = weak_labels(scene.stack)
    assert masks.status == Status.AMBIGUOUS
    assert "phase object" in masks.reason
    assert not masks.masks.any()


def test_brightfield_is_warned_of(counts):
    stack = FocalStack(images=counts, z_um=np.arange(7.0), modality="brightfield, colour")
    assert "least contrast in focus" in weak_labels(stack).warnings[0]


def test_windows_larger_than_the_images_are_cut_to_them(counts):
    masks = weak_labels(counts, window_px=200, strides_px=[50])
    assert "cut to images of 64 px" in masks.warnings[0]
    assert masks.masks[3].all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"measure": "sharpness"}, UnknownNameError, "Choose one of: brenner"),
        ({"threshold": "huang"}, UnknownNameError, "isodata, li, mean"),
        ({"per": "row"}, UnknownNameError, "peak, plane, stack"),
        ({"fusion": "sum"}, UnknownNameError, "max, mean"),
        ({"mode": "paper"}, UnknownNameError, "li2023, parfocal"),
        ({"window_px": 8, "strides_px": [16]}, ShapeError, "strides_px no larger than window_px"),
        ({"window_px": 0}, InputError, "give 1 px or more"),
        ({"window_px": 2, "measure": "tenengrad"}, InputError, "give 3 px or more"),
        ({"window_px": []}, InputError, "window_px is empty"),
        ({"strides_px": [-2]}, InputError, "positive whole numbers"),
        ({"measure": ()}, InputError, "measure is empty"),
    ],
)
def test_wrong_calls_say_what_is_allowed(counts, options, error, words):
    with pytest.raises(error, match=words):
        weak_labels(counts, **options)


def test_images_without_z_are_refused(counts):
    with pytest.raises(ShapeError, match=r"axes \(z, y, x\)"):
        weak_labels(counts[0])
