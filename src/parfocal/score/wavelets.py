"""The dual-tree complex wavelet transform, as plain convolutions on tensors.

Four real wavelet transforms run side by side, one per pair of trees (tree a or b along x, a or b
along y). Their sums and differences are the real and imaginary parts of six oriented complex
subbands, whose modulus hardly ripples when the image shifts by a pixel: the property that fusion
needs [Kingsbury2001]_.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.errors import ShapeError

# First level: one orthonormal filter, the two trees one sample apart [Selesnick2005]_.
_FIRST = (
    0.0, -0.08838834764832, 0.08838834764832, 0.69587998903400, 0.69587998903400,
    0.08838834764832, -0.08838834764832, 0.01122679215254, 0.01122679215254, 0.0,
)  # fmt: skip
# Further levels: the quarter-shift filter; tree b is tree a reversed [Kingsbury2000]_.
_QUARTER_SHIFT = (
    0.03516384, 0.0, -0.08832942, 0.23389032, 0.76027237,
    0.58751830, 0.0, -0.11430184, 0.0, 0.0,
)  # fmt: skip
_REACH_PX = 4  # ten taps reach four pixels beyond the pair they stand on
_LEAST_PX = 8

# Axes (tree x, tree y, y, x), and (tree x, tree y, band, y, x); each level has its own sizes.
Trees = Float[Tensor, "*batch 2 2 _ _"]
Details = Float[Tensor, "*batch 2 2 3 _ _"]


def analyse_dual_tree(
    images: Float[Tensor, "*batch y x"], *, levels: int = 4
) -> tuple[tuple[Details, ...], Trees]:
    """Split images into the dual-tree wavelet coefficients of each level [Selesnick2005]_.

    Parameters
    ----------
    images
        Images whose sizes are multiples of ``2**levels``; the border is taken as periodic.
    levels
        Number of halvings.

    Returns
    -------
    The details of each level, finest first, with bands (high y, high x, high both), and the
    low-pass rest of the four trees.

    Raises
    ------
    ShapeError
        If the sizes are no multiples of ``2**levels``, or too small for so many levels.

    Notes
    -----
    Laws: a Parseval frame, so that the energy of the image is the energy of its coefficients and
    ``synthesise_dual_tree`` is both the inverse and the adjoint; linear; batch-free.

    Examples
    --------
    >>> image = torch.rand(64, 96, dtype=torch.float64)
    >>> details, low = analyse_dual_tree(image, levels=3)
    >>> [tuple(level.shape) for level in details], tuple(low.shape)
    ([(2, 2, 3, 32, 48), (2, 2, 3, 16, 24), (2, 2, 3, 8, 12)], (2, 2, 8, 12))
    >>> torch.allclose(synthesise_dual_tree(details, low), image, atol=1e-6)
    True
    """
    *batch, size_y, size_x = images.shape
    least = 2**levels
    if size_y % least or size_x % least or min(size_y, size_x) < _LEAST_PX * least // 2:
        raise ShapeError(
            f"A wavelet transform of {levels} levels needs sizes that are multiples of {least} px "
            f"and at least {_LEAST_PX * least // 2} px, but the images are {size_y} x {size_x} px; "
            "pad them or take fewer levels."
        )
    low = images.reshape(-1, 1, size_y, size_x)
    details = []
    for level in range(levels):
        parts = _split_first(low) if level == 0 else _split_next(low)
        sizes = parts.shape[-2:]
        bands = torch.stack((parts[:, :, :, 0, 1], parts[:, :, :, 1, 0], parts[:, :, :, 1, 1]), 3)
        details.append(bands.reshape(*batch, 2, 2, 3, *sizes))
        low = parts[:, :, :, 0, 0].reshape(-1, 4, *sizes)
    return tuple(details), low.reshape(*batch, 2, 2, *low.shape[-2:])


def synthesise_dual_tree(details: tuple[Details, ...], low: Trees) -> Float[Tensor, "*batch y x"]:
    """Build the images whose dual-tree coefficients these are, or come nearest to these.

    Examples
    --------
    >>> details, low = analyse_dual_tree(torch.ones(64, 64), levels=2)
    >>> synthesise_dual_tree(details, low).shape
    torch.Size([64, 64])
    """
    batch = low.shape[:-4]
    images = low.reshape(-1, 4, *low.shape[-2:])
    for level in reversed(range(len(details))):
        sizes = images.shape[-2:]
        bands = details[level].reshape(-1, 2, 2, 3, *sizes)
        rough = images.reshape(-1, 2, 2, *sizes)
        parts = torch.stack((rough, bands[:, :, :, 0], bands[:, :, :, 1], bands[:, :, :, 2]), 3)
        parts = parts.reshape(-1, 2, 2, 2, 2, *sizes)
        images = _join_first(parts) if level == 0 else _join_next(parts)
    return images.reshape(*batch, *images.shape[-2:])


def band_energy(details: Details) -> Float[Tensor, "*batch 3 _ _"]:
    """Add up the energy of the four trees at each place of one level.

    It is the sum of the squared moduli of the two complex subbands (both diagonals) of each band.

    Notes
    -----
    Laws: gain-squared; all but free of shifts, as no single real tree is.

    Examples
    --------
    >>> details, _ = analyse_dual_tree(torch.ones(32, 32), levels=1)
    >>> band_energy(details[0]).shape, bool(band_energy(details[0]).max() < 1e-9)
    (torch.Size([3, 16, 16]), True)
    """
    return details.square().sum((-5, -4))


@cache
def _filters(
    first: bool, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "tree band tap"]:
    """Low-pass and high-pass filter of tree a and tree b."""
    tree_a = torch.tensor(_FIRST if first else _QUARTER_SHIFT, dtype=torch.float64)
    tree_b = torch.roll(tree_a.flip(0), -1) if first else tree_a.flip(0)
    low = torch.stack((tree_a, tree_b))
    low = low / low.square().sum(-1, keepdim=True).sqrt()
    signs = torch.ones(low.shape[-1], dtype=torch.float64)
    signs[1::2] = -1.0
    pair = torch.stack((low, low.flip(-1) * signs), dim=1)
    if first:
        pair = pair / 2.0**0.5  # the trees share the energy of the image
    return pair.to(dtype=dtype, device=device)


def _weights(planes: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
    """Kernels along x and along y for grouped convolution of all trees at once."""
    filters = _filters(first, planes.dtype, planes.device)
    taps = filters.shape[-1]
    if first:  # channels (tree x, band x), then (tree x, band x, tree y, band y)
        along_x = filters
        along_y = filters.reshape(1, 4, taps).expand(4, 4, taps)
    else:  # channels (tree x, tree y, band x), then (tree x, tree y, band x, band y)
        along_x = filters[:, None].expand(2, 2, 2, taps)
        along_y = filters[None, :, None].expand(2, 2, 2, 2, taps)
    return along_x.reshape(-1, 1, 1, taps), along_y.reshape(-1, 1, taps, 1)


def _split_first(planes: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 2 2 2 2 y2 x2"]:
    along_x, along_y = _weights(planes, first=True)
    parts = _down_y(_down_x(planes, along_x, groups=1), along_y, groups=4)
    return parts.reshape(-1, 2, 2, 2, 2, *parts.shape[-2:]).permute(0, 1, 3, 2, 4, 5, 6)


def _split_next(planes: Float[Tensor, "n 4 y x"]) -> Float[Tensor, "n 2 2 2 2 y2 x2"]:
    along_x, along_y = _weights(planes, first=False)
    parts = _down_y(_down_x(planes, along_x, groups=4), along_y, groups=8)
    return parts.reshape(-1, 2, 2, 2, 2, *parts.shape[-2:])


def _join_first(parts: Float[Tensor, "n 2 2 2 2 y2 x2"]) -> Float[Tensor, "n 1 y x"]:
    along_x, along_y = _weights(parts, first=True)
    planes = parts.permute(0, 1, 3, 2, 4, 5, 6).reshape(-1, 16, *parts.shape[-2:])
    return _up_x(_up_y(planes, along_y, groups=4), along_x, groups=1)


def _join_next(parts: Float[Tensor, "n 2 2 2 2 y2 x2"]) -> Float[Tensor, "n 4 y x"]:
    along_x, along_y = _weights(parts, first=False)
    planes = parts.reshape(-1, 16, *parts.shape[-2:])
    return _up_x(_up_y(planes, along_y, groups=8), along_x, groups=4)


def _down_x(planes: Tensor, kernel: Tensor, *, groups: int) -> Tensor:
    wide = functional.pad(planes, (_REACH_PX, _REACH_PX, 0, 0), mode="circular")
    return functional.conv2d(wide, kernel, stride=(1, 2), groups=groups)


def _down_y(planes: Tensor, kernel: Tensor, *, groups: int) -> Tensor:
    tall = functional.pad(planes, (0, 0, _REACH_PX, _REACH_PX), mode="circular")
    return functional.conv2d(tall, kernel, stride=(2, 1), groups=groups)


def _up_x(planes: Tensor, kernel: Tensor, *, groups: int) -> Tensor:
    return _wrap(functional.conv_transpose2d(planes, kernel, stride=(1, 2), groups=groups), axis=-1)


def _up_y(planes: Tensor, kernel: Tensor, *, groups: int) -> Tensor:
    return _wrap(functional.conv_transpose2d(planes, kernel, stride=(2, 1), groups=groups), axis=-2)


def _wrap(padded: Tensor, *, axis: int) -> Tensor:
    """Add what stands beyond either end to the other end: the adjoint of circular padding."""
    size = padded.shape[axis] - 2 * _REACH_PX
    middle = padded.narrow(axis, _REACH_PX, size).clone()
    middle.narrow(axis, size - _REACH_PX, _REACH_PX).add_(padded.narrow(axis, 0, _REACH_PX))
    middle.narrow(axis, 0, _REACH_PX).add_(padded.narrow(axis, size + _REACH_PX, _REACH_PX))
    return middle
