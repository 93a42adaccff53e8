"""Array kinds and shapes: what may come in, and how it goes out again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import ShapeError

P = ParamSpec("P")
R = TypeVar("R")

Images = Float[Tensor, "*batch y x"]
Scores = Float[Tensor, "*batch"]


def as_float_tensor(images: Any, *, device: torch.device | str | None = None) -> Tensor:
    """Turn NumPy, torch, dask or xarray images into a floating-point tensor, in counts.

    Integers become float32 (float64 when they have 32 bits or more); floats keep their width,
    except float16, which becomes float32. What is no array of numbers raises ShapeError.
    """
    if isinstance(images, Tensor):
        tensor = images
    else:
        try:
            array = np.asarray(images)
        except ValueError as error:
            raise ShapeError(
                "Images must all be of one size, but NumPy cannot make one array of what came; "
                "crop them, or give them one by one."
            ) from error
        if array.dtype == object or array.dtype.kind not in "biuf":
            raise ShapeError(
                f"Images must be real numbers, but came as {array.dtype}; "
                "convert complex or object arrays first."
            )
        is_float = array.dtype.kind == "f"
        native = np.float64 if array.dtype.itemsize >= (8 if is_float else 4) else np.float32
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=native))
    if not tensor.is_floating_point():
        wide_integer = tensor.dtype in (torch.int32, torch.int64)
        tensor = tensor.to(torch.float64 if wide_integer else torch.float32)
    elif tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return tensor if device is None else tensor.to(device)


def require_images(images: Tensor, *, least_y: int = 1, least_x: int = 1, what: str = "") -> None:
    """Raise ShapeError unless the last two axes are images of at least the given size."""
    if images.ndim < 2:
        raise ShapeError(
            f"Images need at least two axes (y, x), but came with shape {tuple(images.shape)}."
        )
    size_y, size_x = images.shape[-2:]
    if size_y < least_y or size_x < least_x:
        name = f"{what} needs" if what else "This needs"
        raise ShapeError(
            f"{name} images of at least {least_y} x {least_x} px (y, x), "
            f"but they are {size_y} x {size_x} px."
        )


def on_any_array(function: Callable[P, R]) -> Callable[P, R]:
    """Let a kernel on tensors take NumPy, dask or xarray images; NumPy comes out for those.

    The first argument is converted; a tensor result goes back as NumPy unless the images came
    as a tensor. The kernel's own signature is unchanged.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if not args:  # the images came by keyword
            name = next(iter(signature(function).parameters))
            if name not in kwargs:
                return function(*args, **kwargs)
            args = (kwargs.pop(name),)  # type: ignore[assignment]
        first, *rest = args
        came_as_tensor = isinstance(first, Tensor)
        result = cast(Any, function)(as_float_tensor(first), *rest, **kwargs)
        if came_as_tensor or not isinstance(result, Tensor):
            return cast(R, result)
        return cast(R, result.detach().cpu().numpy())

    return wrapper
