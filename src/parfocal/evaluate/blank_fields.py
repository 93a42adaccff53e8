"""Fields with nothing in them: how much of them does a segmenter take for in focus?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt16
from numpy.typing import NDArray
from scipy import ndimage

from parfocal.core.errors import UnknownNameError
from parfocal.core.results import FocusMasks
from parfocal.core.stack import FocalStack

READ_NOISE, OFFSET_COUNTS = 2.0, 100.0
PHOTONS = (5.0, 3000.0)
"""Range from which the brightness of each field is drawn."""

_Images = NDArray[np.float64]


def _even(photons: _Images, dice: np.random.Generator) -> _Images:
    return dice.poisson(photons).astype(np.float64)


def _shaded(photons: _Images, dice: np.random.Generator) -> _Images:
    y, x = (np.linspace(-1, 1, size) for size in photons.shape[1:])
    return _even(photons * (1 - 0.2 * (y[:, None] ** 2 + x**2)), dice)


def _fading(photons: _Images, dice: np.random.Generator) -> _Images:
    return _even(photons * np.linspace(1.0, 0.5, len(photons))[:, None, None], dice)


def _correlated(photons: _Images, dice: np.random.Generator) -> _Images:
    noise = ndimage.gaussian_filter(_even(photons, dice) - photons, (0, 0.6, 0.6))
    made: _Images = photons + noise
    return made


def _hot(photons: _Images, dice: np.random.Generator) -> _Images:
    hot = dice.random(photons.shape[1:]) < 1e-3
    return _even(photons, dice) + hot * 20.0 * np.sqrt(photons)


def _striped(photons: _Images, dice: np.random.Generator) -> _Images:
    stripes = dice.normal(0.0, 0.3, photons.shape[2]) * np.sqrt(photons)
    return _even(photons, dice) + stripes


BLANK_KINDS: dict[str, Callable[[_Images, np.random.Generator], _Images]] = {
    "even": _even,
    "shaded": _shaded,
    "fading": _fading,
    "correlated": _correlated,
    "hot pixels": _hot,
    "striped": _striped,
}
"""Photon noise of an even field, and what cameras and lamps do to it."""


@dataclass(frozen=True, kw_only=True)
class BlankRow:
    """One kind of blank field: how many were segmented, and what share of all pixels."""

    kind: str
    fields: int
    answered: int
    false_positive: float


def blank_stack(
    kind: str, *, seed: int, planes: int = 8, size_px: int = 128
) -> UInt16[np.ndarray, "z y x"]:
    """Draw a stack with nothing in it but light and noise.

    Parameters
    ----------
    kind
        A key of ``BLANK_KINDS``.
    seed
        Draws the brightness and the noise.

    Raises
    ------
    UnknownNameError
        If there is no such kind.

    Examples
    --------
    >>> blank_stack("even", seed=0).shape
    (8, 128, 128)
    """
    if kind not in BLANK_KINDS:
        raise UnknownNameError("kind of blank field", kind, BLANK_KINDS)
    dice = np.random.default_rng([seed, 3])
    photons = np.exp(dice.uniform(*np.log(PHOTONS)))
    light = BLANK_KINDS[kind](np.full((planes, size_px, size_px), photons), dice)
    light += OFFSET_COUNTS + dice.normal(0.0, READ_NOISE, light.shape)
    return np.clip(np.rint(light), 0, 65535).astype(np.uint16)


def blank_false_positives(
    segmenter: Callable[[FocalStack], FocusMasks],
    *,
    kinds: Iterable[str] = tuple(BLANK_KINDS),
    seeds: Sequence[int] = tuple(range(10)),
    size_px: int = 128,
) -> tuple[BlankRow, ...]:
    """Segment blank fields of each kind.

    Parameters
    ----------
    segmenter
        Gives the masks of a stack, as ``weak_labels`` or a network.
    kinds
        Keys of ``BLANK_KINDS``.
    seeds
        One field each.
    size_px
        Side of the fields.

    Examples
    --------
    >>> from parfocal.segment.weak_labels import weak_labels
    >>> blank_false_positives(weak_labels, kinds=["even"], seeds=[1])[0].false_positive
    0.0
    """
    rows = []
    for kind in kinds:
        found = [
            segmenter(FocalStack.of(blank_stack(kind, seed=seed, size_px=size_px)))
            for seed in seeds
        ]
        rows.append(
            BlankRow(
                kind=kind,
                fields=len(found),
                answered=sum(masks.found for masks in found),
                false_positive=float(np.mean([masks.masks.mean() for masks in found])),
            )
        )
    return tuple(rows)
