"""Focal stacks: what they accept, and what they read."""

from __future__ import annotations

from functools import partial

import dask.array
import numpy as np
import pytest
import torch

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.shapes import as_float_tensor
from parfocal.core.stack import FocalStack

IMAGES = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)


@pytest.mark.parametrize("kind", [np.asarray, dask.array.from_array, torch.from_numpy])
def test_any_array_kind_is_read(kind):
    images = kind(IMAGES.astype(np.int32))
    stack = FocalStack.of(images, z_step_um=0.5)
    assert stack.read(1, slice(1, 3)).tolist() == IMAGES[1, 1:3].tolist()
    assert stack.read().is_floating_point()


def test_only_what_is_asked_for_is_read():
    class Watched:
        shape, dtype = IMAGES.shape, IMAGES.dtype

        def __init__(self):
            self.seen = []

        def __getitem__(self, index):
            self.seen.append(index)
            return IMAGES[index]

    images = Watched()
    FocalStack.of(images, z_step_um=1.0).read_counts(2, slice(0, 2), slice(1, 4))
    assert images.seen == [(2, slice(0, 2), slice(1, 4))]


def test_z_may_rise_or_fall_but_not_turn():
    assert FocalStack.of(IMAGES, z_um=np.array([3.0, 1.0, 0.0])).z_step_um == 1.5
    for z_um in ([0.0, 1.0, 1.0], [0.0, 2.0, 1.0]):
        with pytest.raises(MetadataError, match=r"not monotonic: plane 1 .*--z-step-um"):
            FocalStack.of(IMAGES, z_um=np.array(z_um))
    with pytest.raises(MetadataError, match="plane 2 is not a number"):
        FocalStack.of(IMAGES, z_um=np.array([0.0, 1.0, np.nan]))


def test_shapes_that_are_no_stack_are_refused():
    with pytest.raises(ShapeError, match=r"\(4, 5\)"):
        FocalStack.of(IMAGES[0])
    with pytest.raises(ShapeError, match="none of them empty"):
        FocalStack.of(IMAGES[:0])
    with pytest.raises(ShapeError, match="3 planes but 2 z"):
        FocalStack.of(IMAGES, z_um=np.array([0.0, 1.0]))


def test_saturation_is_the_limit_of_the_type():
    assert FocalStack.of(IMAGES).saturation_counts == 65535
    assert FocalStack.of(IMAGES.astype(np.uint8)).saturation_counts == 255
    assert FocalStack.of(IMAGES.astype(np.float32)).saturation_counts is None


def test_numbers_keep_their_digits():
    assert as_float_tensor(IMAGES).dtype == torch.float32
    assert as_float_tensor(IMAGES.astype(np.uint32)).dtype == torch.float64
    assert as_float_tensor(IMAGES.astype(np.float64)).dtype == torch.float64
    assert as_float_tensor(IMAGES.astype(np.float16)).dtype == torch.float32
    assert as_float_tensor(torch.ones(2, 2, dtype=torch.bfloat16)).dtype == torch.float32
    with pytest.raises(ShapeError, match="complex"):
        as_float_tensor(IMAGES.astype(complex))


def test_devices_are_named_or_refused():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="use cpu, cuda or auto"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="--device cpu"):
            pick_device("cuda")


def test_images_by_keyword_reach_a_kernel():
    from parfocal.measures import variance

    assert variance(images=IMAGES[0]) == pytest.approx(IMAGES[0].var())


@pytest.mark.parametrize("kind", ["complex64", "U3", "object", "datetime64[s]"])
@pytest.mark.parametrize("wrap", [np.asarray, partial(dask.array.from_array, chunks=(1, 4, 5))])
def test_images_that_are_no_real_numbers_are_refused_at_once(kind, wrap):
    with pytest.raises(ShapeError, match=r"must be real numbers, but came as .*; convert"):
        FocalStack.of(wrap(np.zeros((3, 4, 5), dtype=kind)))


def test_lists_of_planes_are_a_stack():
    for images in (IMAGES.tolist(), list(IMAGES)):
        stack = FocalStack.of(images, z_step_um=0.5)
        np.testing.assert_array_equal(stack.read_counts(), IMAGES)
    with pytest.raises(ShapeError, match="differ in shape"):
        FocalStack.of([IMAGES[0], IMAGES[0, :2]])
    with pytest.raises(ShapeError, match=r"no images \(None\)"):
        FocalStack.of(None)
