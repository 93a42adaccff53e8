"""Deconvolution by iteration: photons' likelihood, or least squares, with light never below 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import ShapeError, UnknownNameError
from parfocal.core.shapes import as_float_tensor
from parfocal.refocus.checks import (
    Exposure,
    as_it_came,
    lay_out,
    require_iterations,
    require_positive,
)
from parfocal.refocus.smoothing import total_variation_divisor

ACCELERATIONS = ("none", "biggs")
Field = Float[Tensor, "*field"]
FAINT = 1e-6
"""Least expected counts, relative to the mean: where nothing is expected, nothing is divided by."""
HESITATION = 1e-3
"""Where fewer of an object pixel's photons than this share are seen, it stays what it was."""


@torch.no_grad()
def richardson_lucy(
    image: Any,
    psf: Any,
    iterations: int = 100,
    *,
    background: Any = 0.0,
    acceleration: str = "none",
    edges: str = "mirror",
    total_variation: float = 0.0,
    saturation_counts: float | None = None,
    start: Any = None,
    device: str = "cpu",
) -> Any:
    """Deconvolve by the likelihood of photons [Richardson1972]_ [Lucy1974]_.

    Parameters
    ----------
    image
        Counts (..., y, x), or (..., z, y, x) for a point-spread function in 3-D, of any array
        kind, or a FocalStack. Counts below 0 count as 0.
    psf
        Point-spread function (y, x) or (z, y, x), normalised here; its middle is at index
        ``size // 2`` and is not moved. It may be larger than the image.
    iterations
        Steps. More are sharper, and noisier.
    background
        Counts without light of the object (camera offset, haze): a number, or one per pixel.
        The model is psf * object + background; the result does not hold it.
    acceleration
        "biggs": each step begins ahead, where the steps before point to [Biggs1997]_; about a
        third of the iterations or fewer give the same image.
    edges
        "mirror": the image goes on as its reflection. "extend": what lies beyond is unknown, and
        is estimated as far as it shines in. "periodic": it goes round.
    total_variation
        Weight of total variation, which keeps noise down and edges sharp [Dey2006]_; 0.002 to
        0.01.
    saturation_counts
        Pixels from here on are left out of the likelihood.
    start
        Object to begin with, of the image's shape, not below 0; by default the image less its
        background, even where that is the mean only.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The object in counts above the background, float32 (float64 for images that are), as a
    tensor if it came as one and as NumPy otherwise.

    Raises
    ------
    InputError, ShapeError, UnknownNameError
        If pixels are NaN, sizes do not fit, all is saturated, or a name is unknown.

    Notes
    -----
    With a background, noise below it cannot be light, so that a dim image gains a
    little light.

    Laws: the likelihood never falls (no acceleration, no total variation); with no background
    and periodic edges the sum is kept; flips commute; gain-linear; a point as point-spread
    function returns the image.

    Examples
    --------
    >>> psf = torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 8
    >>> blurred = torch.zeros(7, 7)
    >>> blurred[2:5, 2:5] = 80 * psf
    >>> sharp = richardson_lucy(blurred, psf, 50)
    >>> round(float(sharp[3, 3])), round(float(sharp.sum()))
    (80, 80)
    """
    require_iterations(iterations, total_variation=total_variation)
    if acceleration not in ACCELERATIONS:
        raise UnknownNameError("acceleration", acceleration, ACCELERATIONS)
    exposure = lay_out(
        image, psf, background=background, edges=edges, saturation_counts=saturation_counts,
        device=device,
    )  # fmt: skip
    step = _lucy_step(exposure, total_variation)
    first = _first_guess(exposure, start)
    if acceleration == "biggs":
        sharp = iterate_ahead(first, step, iterations, axes=exposure.blur.axes)
    else:
        sharp = first
        for _ in range(iterations):
            sharp = step(sharp)
    return as_it_came(exposure.frame.crop(sharp).contiguous(), image)


@torch.no_grad()
def landweber(
    image: Any,
    psf: Any,
    iterations: int = 100,
    step: float = 1.0,
    *,
    background: Any = 0.0,
    edges: str = "mirror",
    saturation_counts: float | None = None,
    start: Any = None,
    device: str = "cpu",
) -> Any:
    """Deconvolve by least squares along the gradient, with light never below 0 [Landweber1951]_.

    Parameters
    ----------
    image, psf, background, edges, saturation_counts, start, device
        As in ``richardson_lucy``; counts below 0 stay as they are.
    iterations
        Steps. More are sharper, and noisier.
    step
        Length of a step, 0 < step < 2, relative to the inverse of the largest eigenvalue of
        psf^T psf. That is 1 for a normalised point-spread function, so that this is also the
        absolute length.

    Returns
    -------
    The object in counts above the background, of the kind that came.

    Raises
    ------
    InputError, ShapeError, UnknownNameError
        If pixels are NaN, sizes do not fit, all is saturated, or a name is unknown.

    Notes
    -----
    Each step costs two transforms where every pixel counts, and four where some are left out
    (``edges="extend"``, saturation).

    Laws: the squared error never rises; flips commute; gain-linear; a point as point-spread
    function returns the image above 0.

    Examples
    --------
    >>> psf = torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 8
    >>> blurred = torch.zeros(7, 7)
    >>> blurred[2:5, 2:5] = 80 * psf
    >>> round(float(landweber(blurred, psf, 50)[3, 3]))
    80
    """
    require_iterations(iterations)
    require_positive("step", step, most=1.999)
    exposure = lay_out(
        image, psf, background=background, edges=edges, saturation_counts=saturation_counts,
        device=device,
    )  # fmt: skip
    light, weights, blur = exposure.light(), exposure.weights, exposure.blur
    sharp = _first_guess(exposure, start)
    if weights is None:
        # The gradient psf^T (light - psf u) in two transforms instead of four.
        target, squared = blur.back(light), blur.adjoint * blur.transfer
        for _ in range(iterations):
            error = blur.filter(sharp, squared).sub_(target)
            sharp.sub_(error, alpha=step).clamp_(min=0.0)
    else:
        for _ in range(iterations):
            error = blur.apply(sharp).sub_(light).mul_(weights)
            sharp.sub_(blur.back(error), alpha=step).clamp_(min=0.0)
    return as_it_came(exposure.frame.crop(sharp).contiguous(), image)


def iterate_ahead(
    first: Field, step: Callable[[Field], Field], iterations: int, *, axes: tuple[int, ...]
) -> Field:
    """Repeat a step, each time from where the last ones point to [Biggs1997]_.

    Parameters
    ----------
    first
        Where to begin; kept as it is.
    step
        From one estimate to the next; may use up what it is given.
    iterations
        How often.
    axes
        Axes of one image; each image of a batch goes ahead by itself.

    Notes
    -----
    The step ahead is the last move times the share of the last correction that repeats the one
    before, at most 1. Needs memory for four more fields.

    Examples
    --------
    >>> halve = lambda field: field / 2
    >>> bool(iterate_ahead(torch.ones(1), halve, 8, axes=(-1,)) < 1 / 2**8)
    True
    """
    sharp, last = first, None
    correction: Tensor | None = None
    share = torch.zeros(())
    for _ in range(iterations):
        if last is None:
            ahead = sharp.clone()
        else:
            ahead = torch.sub(sharp, last).mul_(share).add_(sharp).clamp_(min=0.0)
        last, sharp = sharp, step(ahead.clone())
        now = torch.sub(sharp, ahead, out=ahead)
        share = now.new_zeros(()) if correction is None else _repeated(now, correction, axes)
        correction = now
    return sharp


def _repeated(now: Field, before: Field, axes: tuple[int, ...]) -> Tensor:
    """Share of a correction that repeats the one before, 0 to 1."""
    flat, other = before.flatten(-len(axes)), now.flatten(-len(axes))
    power = torch.linalg.vecdot(flat, flat).clamp_(min=1e-30)
    share: Tensor = torch.linalg.vecdot(other, flat).div_(power).clamp_(0.0, 1.0)
    return share.reshape(*share.shape, *(1,) * len(axes))


def _lucy_step(exposure: Exposure, total_variation: float) -> Callable[[Field], Field]:
    """One step of Richardson and Lucy; it uses up the estimate that it is given."""
    data, blur, weights = exposure.data.clamp(min=0.0), exposure.blur, exposure.weights
    # The model may be 0 where the data are, and a rounding error below it.
    faintest = FAINT * max(float(data.mean()), 1e-30)
    seen = None if weights is None else blur.back(weights).clamp_(min=0.0).add_(HESITATION)
    if weights is not None:
        data.mul_(weights)

    def step(sharp: Field) -> Field:
        model = blur.apply(sharp).add_(exposure.background).clamp_(min=faintest)
        factor = blur.back(torch.div(data, model, out=model))
        if seen is not None:
            factor.add_(HESITATION).div_(seen)
        sharp.mul_(factor.clamp_(min=0.0))
        if total_variation:
            light = sharp.sum(blur.axes, keepdim=True)
            sharp.div_(total_variation_divisor(sharp, total_variation, axes=blur.axes))
            sharp.mul_(light.div_(sharp.sum(blur.axes, keepdim=True).clamp_(min=1e-30)))
        return sharp

    return step


def _first_guess(exposure: Exposure, start: Any) -> Field:
    """The given object, or the light of the image where it is above a little."""
    frame = exposure.frame
    light = exposure.light()
    if start is None:
        # Nothing grows from 0, so that no pixel begins there.
        level = light.mean(exposure.blur.axes, keepdim=True).clamp_(min=0.0)
        return torch.maximum(light, 0.1 * level)
    given = as_float_tensor(start).to(light)
    shape = (*light.shape[: light.ndim - len(frame.sizes)], *frame.sizes)
    if given.shape != shape:
        raise ShapeError(
            f"start has shape {tuple(given.shape)}; give an object of the image's shape {shape}."
        )
    return frame.grow(given.clamp(min=0.0))
