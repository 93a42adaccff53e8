"""Specimens from the user's own images and volumes, and windows cut from any specimen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.shapes import as_float_tensor
from parfocal.simulate.specimen import Specimen

Meaning = Literal["emission", "transmission", "phase"]
_MEANINGS = ("emission", "transmission", "phase")


def specimen_from_image(
    image: Any,
    *,
    pixel_um: float,
    meaning: Meaning = "emission",
    sample_um: float | None = None,
    phase_rad: float = 1.0,
    mirror: bool = True,
    name: str = "image",
) -> Specimen:
    """Take a sharp image as a flat specimen.

    Parameters
    ----------
    image
        One image (y, x), or (y, x, colour) whose colours are averaged; any array.
    pixel_um
        Distance between the image's pixels in the object, in um. Give a smaller one than it was
        taken with to shrink the blur that the image already has.
    meaning
        What a grey value is: light that is emitted, light that is let through, or phase.
    sample_um
        Distance between the specimen's pixels; the image's own if not given. Coarser ones
        average the image over their area.
    phase_rad
        Largest phase, where ``meaning`` is phase.
    mirror
        Put mirror images beside and below, so that the specimen wraps around without a seam and
        is twice as large; without it a seam stays at the edges.

    Returns
    -------
    One layer at height 0. For emission, the first percentile is taken as the background and the
    maximum becomes 1. For transmission, the 99th percentile is taken as the empty field.

    Raises
    ------
    ShapeError
        If it is no image.
    InputError
        If it holds no finite contrast, or a length is not positive.

    Examples
    --------
    >>> specimen = specimen_from_image(torch.eye(8), pixel_um=0.5)
    >>> specimen.shape, specimen.emission.max().item()
    ((1, 16, 16), 1.0)
    """
    grey = as_float_tensor(image).float()
    if grey.ndim == 3 and grey.shape[-1] in (3, 4):
        grey = grey[..., :3].mean(-1)
    if grey.ndim != 2:
        raise ShapeError(
            f"An image must be (y, x) or (y, x, colour), but came as {tuple(grey.shape)}; "
            "for a volume use specimen_from_volume."
        )
    layers = _prepared(grey[None], pixel_um, sample_um, mirror)
    return _meant(layers, torch.zeros(1), sample_um or pixel_um, meaning, phase_rad, name)


def specimen_from_volume(
    volume: Any,
    *,
    pixel_um: float,
    layer_step_um: float,
    meaning: Meaning = "emission",
    sample_um: float | None = None,
    phase_rad: float = 1.0,
    mirror: bool = True,
    name: str = "volume",
) -> Specimen:
    """Take a volume (z, y, x) as a specimen of layers, the middle one at height 0.

    Options as for ``specimen_from_image``; the first plane is the lowest. Phase and absorption
    of a plane are shared out so that the whole stack has the stated phase, or the loss of the
    mean over planes.

    Examples
    --------
    >>> specimen = specimen_from_volume(torch.rand(3, 8, 8), pixel_um=0.5, layer_step_um=2.0)
    >>> specimen.heights_um
    tensor([-2.,  0.,  2.])
    """
    planes = as_float_tensor(volume).float()
    if planes.ndim != 3:
        raise ShapeError(f"A volume must be (z, y, x), but came as {tuple(planes.shape)}.")
    if not layer_step_um > 0:
        raise InputError(f"layer_step_um must be positive, but came as {layer_step_um:g}.")
    layers = _prepared(planes, pixel_um, sample_um, mirror)
    index = torch.arange(len(layers), device=layers.device, dtype=torch.float32)
    heights = (index - 0.5 * (len(layers) - 1)) * layer_step_um
    return _meant(layers, heights, sample_um or pixel_um, meaning, phase_rad, name)


def draw_windows(
    specimens: Sequence[Specimen],
    count: int,
    *,
    size_px: int,
    generator: torch.Generator,
) -> list[Specimen]:
    """Cut windows at random places of random specimens, turned and mirrored at random.

    A pool that is made once gives many different patches, for training. Windows of periodic
    specimens are all as good; they do not wrap around themselves.

    Examples
    --------
    >>> dice = torch.Generator().manual_seed(1)
    >>> whole = specimen_from_image(torch.rand(16, 16), pixel_um=0.5)
    >>> [part.shape for part in draw_windows([whole], 2, size_px=8, generator=dice)]
    [(1, 8, 8), (1, 8, 8)]
    """
    if not specimens:
        raise InputError("The pool is empty; give at least one specimen.")
    where = torch.rand(count, 5, generator=generator, device=generator.device).tolist()
    windows = []
    for pick, down, right, turn, flip in where:
        whole = specimens[int(pick * len(specimens))]
        _, size_y, size_x = whole.shape
        part = whole.window(int(down * size_y), int(right * size_x), size_y=size_px, size_x=size_px)
        windows.append(part.turned(int(4.0 * turn), mirror=flip < 0.5))
    return windows


def _prepared(
    planes: Float[Tensor, "z y x"], pixel_um: float, sample_um: float | None, mirror: bool
) -> Tensor:
    """Checked, resampled and mirrored planes."""
    for name, length in (("pixel_um", pixel_um), ("sample_um", sample_um)):
        if length is not None and not length > 0:
            raise InputError(f"{name} must be positive, but came as {length:g}.")
    if min(planes.shape) < 1:
        raise ShapeError(f"The image is empty: {tuple(planes.shape)}.")
    if not bool(torch.isfinite(planes).all()):
        raise InputError("The image holds values that are not finite; fill them first.")
    if bool(planes.max() == planes.min()):
        raise InputError("The image has one grey value only, so nothing in it can be in focus.")
    if sample_um is not None and sample_um != pixel_um:
        ratio = pixel_um / sample_um
        size = [max(1, round(side * ratio)) for side in planes.shape[1:]]
        mode = "area" if ratio < 1 else "bilinear"
        planes = torch.nn.functional.interpolate(planes[None], size=size, mode=mode)[0]
    if mirror:
        planes = torch.cat((planes, planes.flip(-1)), -1)
        planes = torch.cat((planes, planes.flip(-2)), -2)
    return planes


def _meant(
    planes: Tensor,
    heights_um: Tensor,
    pixel_um: float,
    meaning: str,
    phase_rad: float,
    name: str,
) -> Specimen:
    if meaning not in _MEANINGS:
        raise InputError(f"meaning must be one of {', '.join(_MEANINGS)}, not {meaning!r}.")
    count = len(planes)
    heights = heights_um.to(planes.device)
    if meaning == "transmission":
        empty = _quantile(planes, 0.99).clamp(min=1e-6)
        loss = -torch.log((planes / empty).clamp(1e-3, 1.0)) / count
        return Specimen(
            pixel_um=pixel_um, heights_um=heights, absorption=loss, family="images", name=name
        )
    light = (planes - _quantile(planes, 0.01)).clamp(min=0.0)
    if not bool(light.any()):
        light = planes - planes.min()
    light = light / light.sum(0).max()
    if meaning == "phase":
        return Specimen(
            pixel_um=pixel_um, heights_um=heights, phase_rad=phase_rad * light, family="images",
            name=name,
        )  # fmt: skip
    return Specimen(
        pixel_um=pixel_um, heights_um=heights, emission=light, family="images", name=name
    )


def _quantile(values: Tensor, share: float) -> Tensor:
    """A quantile, from at most a million of the values."""
    flat = values.flatten()
    return torch.quantile(flat[:: max(1, len(flat) // 1_000_000)], share)
