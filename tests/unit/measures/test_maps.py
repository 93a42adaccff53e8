"""Focus maps: kinds of arrays, windows that do not fit, pixels that are not finite."""

from __future__ import annotations

from contextlib import contextmanager

import dask.array as da
import jaxtyping
import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.measures import fast, fast_compile, fast_strips, fast_threads
from parfocal.measures.catalog import CATALOG
from parfocal.measures.maps import focus_map, multi_stride_map

STACK = np.random.default_rng(0).integers(0, 4096, (3, 40, 52), dtype=np.uint16)


@pytest.mark.parametrize("measure", ["brenner", "wavelet_sum", "dcts"])
def test_batch_axes_are_kept_and_planes_do_not_mix(measure):
    whole = focus_map(STACK[:2].reshape(1, 2, 40, 52), measure, 16, 12)
    alone = np.stack([focus_map(plane, measure, 16, 12) for plane in STACK[:2]])
    assert whole.shape == (1, 2, 3, 4)
    np.testing.assert_allclose(whole[0], alone, rtol=1e-6)


def test_kind_that_came_in_goes_out():
    expected = focus_map(STACK, "tenengrad", 16, 12)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == np.float32
    assert focus_map(STACK.astype(np.float64), "tenengrad", 16, 12).dtype == np.float64
    for tensor in (torch.from_numpy(STACK.astype(np.float32)), torch.from_numpy(STACK)):
        found = focus_map(tensor, "tenengrad", 16, 12)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("make", [focus_map, multi_stride_map])
def test_dask_stays_lazy_plane_by_plane(make):
    settings = (16, 12) if make is focus_map else (16, (8, 12))
    loaded = []

    def load(block):
        loaded.append(block.shape)
        return block

    lazy = da.from_array(STACK, chunks=(1, 20, 30)).map_blocks(load, dtype=STACK.dtype)
    found = make(lazy, "brenner", *settings)
    assert isinstance(found, da.Array)
    assert not any(size for shape in loaded for size in shape[:1] if shape[-1] == 30)
    assert found.chunks[0] == (1, 1, 1)
    expected = make(STACK, "brenner", *settings)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.compute(), expected)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(STACK.astype(">u2"), id="big-endian"),
        pytest.param(STACK.astype(np.int32), id="int32"),
        pytest.param(np.asfortranarray(STACK), id="Fortran order"),
        pytest.param(np.repeat(STACK, 2, axis=-1)[..., ::2], id="strided"),
        pytest.param(np.broadcast_to(STACK, (1, *STACK.shape))[0], id="read-only"),
        pytest.param(STACK.tolist(), id="nested lists"),
    ],
)
def test_any_memory_layout_and_dtype_gives_the_same_map(images):
    found = focus_map(images, "smd", 16, 12)
    np.testing.assert_allclose(found, focus_map(STACK, "smd", 16, 12), rtol=1e-6)


def test_bands_of_one_plane_join_without_a_seam(monkeypatch):
    whole = {name: focus_map(STACK[0], name, 12, 5) for name in ("smd", "haar_dwt", "entropy")}
    monkeypatch.setattr(fast_threads.numba, "get_num_threads", lambda: 3)
    for name, expected in whole.items():
        np.testing.assert_array_equal(focus_map(STACK[0], name, 12, 5), expected)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(fast_threads.numba, "get_num_threads", lambda: 3)

    def refuse(item):
        raise InputError(f"item {item}")

    with pytest.raises(InputError, match="item"):
        fast_threads.run_shared(refuse, [1, 2, 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("measure", ["variance", "steerable", "haar_dwt", "entropy", "dcts"])
def test_a_pixel_that_is_not_finite_spoils_only_its_own_windows(measure, bad):
    image = STACK[0].astype(np.float64)
    clean = focus_map(image, measure, 16, 12)
    image[2, 3] = bad
    found = focus_map(image, measure, 16, 12)
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[1:], clean[1:], rtol=1e-9)
    np.testing.assert_allclose(found[0, 1:], clean[0, 1:], rtol=1e-9)


def test_multi_stride_map_of_a_spoilt_pixel_has_no_hole():
    image = STACK[0].astype(np.float64)
    image[20, 20] = np.nan
    found = multi_stride_map(image, "std", 16, (8, 12))
    assert np.isfinite(found).all()
    assert found[20, 20] == 0.0


def test_window_may_be_a_pair():
    found = focus_map(STACK[0], "brenner", (20, 10), 10)
    assert found.shape == (3, 5)
    expected = CATALOG["brenner"].function(STACK[0, 10:30, 20:30].astype(np.float64))
    assert found[1, 2] == pytest.approx(expected, rel=1e-6)


def test_gradients_flow_through_a_map():
    image = torch.from_numpy(STACK[0].astype(np.float64)).requires_grad_()
    focus_map(image, "variance", 16, 12).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_mean_overlap_of_one_pixel_wide_stripes_is_their_deviation():
    stripes = np.ones((40, 40))
    stripes[:, 1::2] = 3.0
    middle = (slice(16, 24), slice(16, 24))
    mean = multi_stride_map(stripes, "std", 16, (4, 8), overlap="mean")
    np.testing.assert_allclose(mean[middle], 1.0)
    total = multi_stride_map(stripes, "std", 16, (4, 8), overlap="sum")
    np.testing.assert_allclose(total[middle], 16.0)  # stride 4: 4 x 4 windows over each pixel


def test_every_compiled_measure_has_features_of_the_stated_reach():
    images = torch.from_numpy(STACK[:1].astype(np.float64))
    for name, one in fast.PASSES.items():
        local = CATALOG[name].local_measure
        assert local is not None
        assert local.pitch_px == one.pitch_px
        sizes = [tuple(feature.shape[-2:]) for feature in local.features(images)]
        size_y, size_x = 40 // one.pitch_px, 52 // one.pitch_px
        reach_px = one.reach_px[: len(sizes)] if one.weights else one.reach_px
        assert sizes == [(size_y - dy, size_x - dx) for dy, dx in reach_px]


@pytest.mark.parametrize(("size_y", "size_x"), [(9, 64), (40, 70), (5, 20), (1, 31)])
def test_vectors_stay_within_the_image(size_y, size_x):
    image = np.zeros((size_y, size_x), np.uint16)
    for y in range(size_y):
        stop = fast_strips._loadable.py_func(image, y, 2, 32)
        assert stop < size_x + 32
        if stop > 0:
            assert y * size_x + (stop - 32) + 2 + 32 <= image.size


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch):
    asked = []

    def njit(*, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(fast_compile, "njit", njit)
    assert fast_compile.compiled(abs) is abs
    assert asked == [True, False]


def test_kept_kernels_expire_when_any_source_changes(monkeypatch):
    monkeypatch.setattr(fast_compile, "_newest_source", lambda: (1.0, 2))
    kernel = fast_compile.compiled(no_op)
    assert kernel._cache._cache_file._source_stamp == (1.0, 2)


def no_op():
    """Compile to nothing."""


@pytest.mark.parametrize("name", ["vollath4", "variance", "vollath5"])
def test_small_and_large_pixels_meet_in_one_map_without_a_rounding(name):
    # Whole numbers: sums of squares in one half up to SMALL, in two above, are the same sums.
    rng = np.random.default_rng(5)
    faint = rng.integers(0, 2**14, (40, 52), dtype=np.uint16)
    faint[:, 0] = 2**14 - 1  # the largest squares that are added up in one half
    faint[:, 1] = 0
    mixed = faint.copy()
    mixed[33, 51] = 2**14  # one large pixel changes the path of its rows alone
    for image in (faint, mixed, np.full_like(faint, 65_535)):
        exact = focus_map(image.astype(np.float64), name, 24, 5)
        np.testing.assert_allclose(focus_map(image, name, 24, 5), exact, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("brenner", 64, 8), ShapeError, "64 x 64 px .* 40 x 52 px: give a smaller window_px"),
        (("brenner", 16, 0), InputError, "stride_px must be a positive whole number"),
        (("brenner", 16, -4), InputError, "stride_px must be a positive whole number"),
        (("brenner", (16, 0), 8), InputError, "window_px must be a positive whole number"),
        (("tenengrad", 2, 8), ShapeError, "needs windows of at least 3 px, but window_px is 2"),
        (("brener", 16, 8), UnknownNameError, "no measure called 'brener'"),
        (("midband_power", 16, 8), MetadataError, "setup=OpticalSetup.*--na"),
    ],
)
def test_a_wrong_call_says_what_to_do(arguments, error, says):
    with pytest.raises(error, match=says) as caught:
        focus_map(STACK, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"strides_px": ()}, InputError, "at least one stride"),
        ({"strides_px": (8, 0)}, InputError, "strides_px must be a positive whole number"),
        ({"strides_px": (8, 17)}, ShapeError, "no larger than window_px"),
        ({"measure": "midband_power"}, MetadataError, "--wavelength-nm"),
    ],
)
def test_a_wrong_multi_stride_call_says_what_to_do(settings, error, says):
    with pytest.raises(error, match=says):
        multi_stride_map(STACK, **{"window_px": 16, "strides_px": (8,), **settings})


def test_images_need_two_axes():
    with pytest.raises(ShapeError, match=r"two axes \(y, x\)"):
        focus_map(np.zeros(9), "brenner", 3, 1)


@pytest.mark.parametrize("window_px", [16.5, (16, 16, 16), "16", None, True])
def test_a_window_that_is_no_number_of_pixels_is_refused(window_px):
    with jaxtyping_off(), pytest.raises(InputError, match="window_px must be"):
        focus_map(STACK, "brenner", window_px, 8)


def test_an_unknown_overlap_is_refused():
    with jaxtyping_off(), pytest.raises(InputError, match="overlap must be 'sum' or 'mean'"):
        multi_stride_map(STACK, "std", 16, (8,), overlap="max")


@contextmanager
def jaxtyping_off():
    """Call as a user does, whose mistakes no type checker catches first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
