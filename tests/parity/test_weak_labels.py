"""Masks by rule against window after window cut out, scikit-image and the notebook's loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import filters

from benchmarks.segment import LOOPS, notebook_map
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG, multi_stride_map
from parfocal.segment.pixel_maps import plan_maps, score_windows
from parfocal.segment.thresholds import BINS, THRESHOLDS, Histogram, split
from parfocal.segment.weak_labels import NEAR_PEAK, weak_labels


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    sharp = 3000 * rng.random((45, 58))
    blurs = [gaussian_filter(sharp, 0.8 + 1.5 * abs(z - 1)) for z in range(4)]
    return rng.poisson(np.stack(blurs)).astype(np.uint16)


def maps_of(counts, measure, plan):
    scores = score_windows(FocalStack.of(counts), measure, plan)
    return np.stack(
        [plan.to_pixels(plan.cells([score[z] for score in scores])) for z in range(len(counts))]
    )


def slow_centred(plane, kernel, window_px, strides_px):
    """By the definition: windows about the middle, cut off, scored alone; mean, then largest."""
    best = np.full(plane.shape, -np.inf)
    for stride in strides_px:
        total, count = np.zeros(plane.shape), np.zeros(plane.shape)
        spans = []
        for size in plane.shape:
            side = min(window_px, size)
            side += (size - side) % 2
            middle = (size - side) // 2
            starts = [middle]
            while starts[0] > 0:
                starts = [starts[0] - stride, *starts, starts[-1] + stride]
            spans.append([(max(s, 0), min(s + side, size)) for s in starts])
        for y0, y1 in spans[0]:
            for x0, x1 in spans[1]:
                total[y0:y1, x0:x1] += float(kernel(plane[y0:y1, x0:x1].astype(np.float64)))
                count[y0:y1, x0:x1] += 1
        assert (count > 0).all()
        best = np.maximum(best, total / count)
    return best


@pytest.mark.parametrize("measure", ["std", "tenengrad", "dcts", "haar_dwt"])
@pytest.mark.parametrize("shape", [(45, 58), (44, 57)])
def test_maps_are_means_of_centred_windows(counts, measure, shape):
    counts = counts[:1, : shape[0], : shape[1]]
    plan = plan_maps(shape, [12, 17], [4, 7])
    kernel = CATALOG[measure].function
    expected = np.maximum(
        slow_centred(counts[0], kernel, 12, (4, 7)), slow_centred(counts[0], kernel, 17, (4, 7))
    )
    np.testing.assert_allclose(maps_of(counts, measure, plan)[0], expected, rtol=2e-5)


@pytest.mark.parametrize("measure", ["std", "laplacian", "entropy"])
def test_corner_sums_are_the_published_map(counts, measure):
    plan = plan_maps(counts.shape[1:], [16], [5, 8, 14], centred=False, overlap="sum")
    expected = multi_stride_map(counts, measure, 16, (5, 8, 14))
    np.testing.assert_allclose(maps_of(counts, measure, plan), expected, rtol=2e-5)


@pytest.mark.parametrize("measure", LOOPS)
def test_maps_are_those_of_the_loops_that_the_benchmark_times(counts, measure):
    plan = plan_maps(counts.shape[1:], [16], [8, 10], centred=False, overlap="sum")
    plane = counts[2]
    expected = notebook_map(plane[:40, :40], LOOPS[measure], 16, (8, 10))
    plan = plan_maps((40, 40), [16], [8, 10], centred=False, overlap="sum")
    found = maps_of(plane[None, :40, :40], measure, plan)[0]
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_are_those_of_scikit_image(name):
    rng = np.random.default_rng(2)
    low, high = rng.normal(10, 1.5, (90, 60)), rng.normal(25, 2.0, (90, 40))
    image = np.concatenate([low, high], axis=1).astype(np.float32)
    row = THRESHOLDS[name]
    weights = np.ones(image.shape, dtype=np.int64)
    found = split(Histogram.of([image], weights), name)
    bin_width = np.ptp(image) / BINS
    assert abs(found - row.function(image)) <= 1.01 * bin_width


def test_cells_count_by_their_pixels():
    cells = np.array([[1.0, 2.0, 9.0]], dtype=np.float32)
    weights = np.array([[50, 30, 4]])
    expanded = np.repeat(cells[0], weights[0])
    found = split(Histogram.of([cells], weights), "otsu")
    assert found == pytest.approx(filters.threshold_otsu(expanded), abs=8.0 / BINS)


@pytest.mark.parametrize("per", ["peak", "stack", "plane"])
def test_masks_are_maps_split_by_scikit_image(counts, per):
    maps = np.asarray([slow_centred(plane, CATALOG["std"].function, 8, (2,)) for plane in counts])
    best, least = maps.max(0), maps.min(0)
    if per == "peak":
        near = maps - least >= NEAR_PEAK * (best - least)
        expected = near & (maps > filters.threshold_otsu(maps))
    elif per == "stack":
        expected = maps > filters.threshold_otsu(maps)
    else:
        expected = np.stack([plane > filters.threshold_otsu(plane) for plane in maps])
    found = weak_labels(counts, per=per).masks
    assert (found != expected).mean() < 0.01
