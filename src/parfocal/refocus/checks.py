"""What comes in, checked and laid out for deconvolution; and out again as the kind that came."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.shapes import as_float_tensor
from parfocal.core.stack import FocalStack
from parfocal.refocus.edges import Frame
from parfocal.refocus.psfs import Blur, as_psf, reach_px


@dataclass(frozen=True, eq=False, kw_only=True)
class Exposure:
    """An image in the circular field in which it is deconvolved.

    Parameters
    ----------
    data
        Counts, continued beyond the edges.
    background
        Counts that are no light of the object; it broadcasts to the field.
    weights
        1 for pixels that count and 0 for saturated and unseen ones; None where all count.
    blur
        From the object to the expected image less the background.
    frame
        Where the image lies in the field.
    """

    data: Float[Tensor, "*field"]
    background: Float[Tensor, "*level"]
    weights: Float[Tensor, "*weighed"] | None
    blur: Blur
    frame: Frame

    def light(self) -> Float[Tensor, "*field"]:
        """Counts above the background, with noise and all."""
        return self.data - self.background


def lay_out(
    image: Any,
    psf: Any,
    *,
    background: Any,
    edges: str,
    saturation_counts: float | None,
    device: str,
) -> Exposure:
    """Check an image and a point-spread function, and lay them out in a circular field.

    Raises
    ------
    ShapeError
        If the image has fewer axes than the point-spread function, or the background does not
        fit it.
    InputError
        If pixels or the background are NaN or infinite, or all are saturated.
    """
    counts = as_counts(image, device=device)
    own = as_psf(psf, like=counts)
    if counts.ndim < own.ndim or not counts.numel():
        raise ShapeError(
            f"An image of shape {tuple(counts.shape)} cannot be deconvolved by a point-spread "
            f"function of shape {tuple(own.shape)}: the image needs its axes, none of them empty, "
            "and may have more before them."
        )
    frame = Frame.around(counts.shape[counts.ndim - own.ndim :], reach_px(own), edges)
    weights = frame.seen(counts) if edges == "extend" else None
    if saturation_counts is not None:
        clear = counts < saturation_counts
        if not bool(clear.any()):
            raise InputError(
                f"Every pixel is at {saturation_counts:g} counts (saturation_counts) or above: "
                "there is nothing to deconvolve."
            )
        if not bool(clear.all()):
            # A blend of clear and saturated pixels beyond the edges is not clear.
            kept = (frame.grow(clear.to(counts)) >= 1).to(counts)
            weights = kept if weights is None else weights * kept
    return Exposure(
        data=frame.grow(counts),
        background=_as_background(background, counts, frame),
        weights=weights,
        blur=Blur.of(own, frame.padded),
        frame=frame,
    )


def as_counts(image: Any, *, device: str) -> Float[Tensor, "*image"]:
    """An image of any kind, or the planes of a FocalStack, as finite floats on a device."""
    pixels = image.read() if isinstance(image, FocalStack) else image
    counts = as_float_tensor(pixels, device=pick_device(device))
    if counts.numel() and not bool(torch.isfinite(counts.sum())):
        bad = int((~torch.isfinite(counts)).sum())
        if bad:
            raise InputError(
                f"The image holds {bad} pixels that are NaN or infinite; replace them first."
            )
    return counts


def _as_background(background: Any, counts: Tensor, frame: Frame) -> Tensor:
    level = as_float_tensor(background).to(counts)
    if not bool(torch.isfinite(level).all()):
        raise InputError("background holds NaN or infinite values; give counts.")
    if level.numel() == 1:
        return level.reshape(())
    axes = len(frame.sizes)
    own = level.shape[::-1]
    fits = len(own) <= counts.ndim and all(
        size in (1, count) for size, count in zip(own, counts.shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"background of shape {tuple(level.shape)} does not fit images of shape "
            f"{tuple(counts.shape)}; give one number, or as many as there are pixels."
        )
    return frame.grow(level.expand(*level.shape[:-axes], *frame.sizes))


def require_iterations(iterations: int, *, total_variation: float = 0.0) -> None:
    """Refuse counts of iterations below 1, and weights of total variation outside 0 to 0.1."""
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; give 1 or more (100 is usual).")
    if not 0 <= total_variation <= 0.1:
        raise InputError(
            f"total_variation is {total_variation:g}; give 0 (none) to 0.1 (0.002 is usual)."
        )


def require_positive(name: str, value: float, *, most: float = math.inf) -> None:
    """Refuse numbers that are not above 0, or above ``most``."""
    if not 0 < value <= most or not math.isfinite(value):
        limit = "" if math.isinf(most) else f" and at most {most:g}"
        raise InputError(f"{name} is {value:g}; give a number above 0{limit}.")


def as_it_came(result: Tensor, image: Any) -> Any:
    """A tensor on the device of the tensor that came; NumPy for all else."""
    if isinstance(image, Tensor):
        return result.to(image.device)
    return result.cpu().numpy()
