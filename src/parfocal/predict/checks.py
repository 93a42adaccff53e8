"""Reasons not to ask the network at all: what came is no pair it was trained for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.results import Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.predict.pairs import (
    COARSEST_PIXEL,
    LEAST_SPACING,
    MOST_SPACING,
    WIDEST_RATIO,
    resampling,
)

MOST_IMAGES = 51
MOST_CLIPPED = 0.05
"""Share of pixels at the largest value beyond which too much is lost."""
LEAST_SIDE_PX = 32
"""Smallest side of an image after resampling."""
Refusal = tuple[Status, str]


def require_optics(setup: OpticalSetup | None) -> OpticalSetup:
    """The optics, which a defocus cannot be told without; MetadataError where there are none."""
    if setup is None:
        raise MetadataError(
            "The defocus of images needs the optics: give setup= (--na, --wavelength-nm, "
            "--pixel-um)."
        )
    return setup


def asked_stack(
    images: Any, spacing_um: float | None, *, device: torch.device
) -> Float[Tensor, "n y x"]:
    """Images of any kind as float32 on a device; what is no short stack raises its error."""
    stack = as_float_tensor(images, device=device).float()
    stack = stack[None] if stack.ndim == 2 else stack
    require_short_stack(stack, spacing_um)
    return stack


def require_short_stack(images: Tensor, spacing_um: float | None) -> None:
    """Raise ShapeError or InputError unless (n, y, x), finite, with a spacing where n > 1."""
    require_few_images(images.shape, spacing_um)
    # The extremes are NaN or infinite where a pixel is, and cost a tenth of testing each.
    bad = [k for k, image in enumerate(images) if not _is_finite(image)]
    if bad:
        raise InputError(
            f"Image {bad[0]} of {len(images)} holds pixels that are NaN or infinite; "
            "replace them, or leave the image out."
        )


def _is_finite(image: Float[Tensor, "y x"]) -> bool:
    if not image.numel() or not image.is_floating_point():
        return True
    return all(math.isfinite(float(value)) for value in image.aminmax())


def require_few_images(shape: Sequence[int], spacing_um: float | None) -> None:
    """Raise unless a shape is (n, y, x) of few images, with a spacing where n > 1."""
    if len(shape) != 3 or not 1 <= shape[0] <= MOST_IMAGES:
        raise ShapeError(
            f"Images to predict from must be (n, y, x) with 1 to {MOST_IMAGES} of one size, but "
            f"came with shape {tuple(shape)}."
        )
    if shape[0] > 1 and spacing_um is None:
        raise MetadataError(
            "Several images need their distance: give spacing_um (--spacing-um), positive along "
            "increasing stage z."
        )
    if spacing_um is not None and not 0 < spacing_um < float("inf"):
        raise InputError(
            f"spacing_um is {spacing_um!r}; give the positive distance of neighbouring images, "
            "and the images in order of increasing stage z."
        )


def refuse_images(images: Float[Tensor, "n y x"], ceiling: float | None) -> Refusal | None:
    """Decline images that hold nothing, or that are clipped."""
    for number, image in enumerate(images):
        low, high = image.aminmax()
        if low == high:
            return (
                Status.BLANK,
                f"image {number} has one grey value only: there is nothing to judge",
            )
    top = images.max() if ceiling is None else torch.tensor(ceiling)
    # Into floats at once: counting booleans takes twice as long.
    clipped = float(torch.ge(images, top, out=torch.empty_like(images)).mean((1, 2)).max())
    if clipped > MOST_CLIPPED:
        return (
            Status.SATURATED,
            f"{100 * clipped:.0f} % of an image's pixels are at the largest value: "
            "expose less, and try again",
        )
    return None


def refuse_optics(
    images: Float[Tensor, "n y x"], spacing_um: float | None, setup: OpticalSetup
) -> Refusal | None:
    """Decline optics and distances that training did not cover."""
    share = resampling(setup)
    side = min(images.shape[-2:]) * share
    pixel = setup.pixel_um * setup.na / setup.wavelength_um
    ratio = setup.na / setup.immersion_index
    if side < LEAST_SIDE_PX:
        return (
            Status.UNCERTAIN,
            f"the images are {side * setup.pixel_um / share:.3g} um wide, which is "
            f"{side:.0f} px at half a wavelength / NA: give at least {LEAST_SIDE_PX}",
        )
    if pixel > COARSEST_PIXEL:
        return (
            Status.UNCERTAIN,
            f"pixels of {setup.pixel_um:g} um are {pixel:.2g} wavelength / NA, and training knew "
            f"none above {COARSEST_PIXEL:g}: bin less",
        )
    if ratio > WIDEST_RATIO:
        return (
            Status.UNCERTAIN,
            f"NA {setup.na:g} is {ratio:.2f} of the immersion index; training knew up to "
            f"{WIDEST_RATIO:g}",
        )
    if spacing_um is not None:
        depth = effective_depth_um(setup)
        spacing = spacing_um / depth
        most = spacing * (len(images) - 1)
        if most < LEAST_SPACING or spacing > MOST_SPACING:
            return (
                Status.UNCERTAIN,
                f"the images are {spacing_um:g} um apart, {spacing:.2g} effective depths of field; "
                f"training knew {LEAST_SPACING:g} to {MOST_SPACING:g}: "
                f"take them about {depth:.2g} um apart",
            )
    return None


def effective_depth_um(setup: OpticalSetup) -> float:
    """Depth of field with the share of the pixel, after resampling: the network's unit."""
    pixel_um = setup.pixel_um / resampling(setup)
    return setup.depth_of_field_um + setup.immersion_index * pixel_um / setup.na
