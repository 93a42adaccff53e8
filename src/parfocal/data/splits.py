"""Splits that leak nothing: a specimen, and all its stacks, is in one part alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parfocal.core.errors import InputError
from parfocal.data.stacks import LabelledStack


@dataclass(frozen=True)
class Split:
    """Numbers of the stacks to learn from, to choose a checkpoint by, and to judge by."""

    learn: tuple[int, ...]
    choose: tuple[int, ...]
    judge: tuple[int, ...]

    @property
    def held_out(self) -> tuple[int, ...]:
        """Stacks that nothing was learnt from."""
        return (*self.choose, *self.judge)


def split_stacks(specimens: Sequence[str], *, held_out: float = 0.4, seed: int = 0) -> Split:
    """Split stacks by what they show.

    Of the specimens held out, half (at least one) judge; the others choose. The order in which
    the stacks come does not matter.

    Parameters
    ----------
    specimens
        Of each stack.
    held_out
        Share of the specimens that nothing is learnt from; at least one.
    seed
        Draws which.

    Raises
    ------
    InputError
        If there are fewer than two specimens.

    Notes
    -----
    Laws: no specimen is in two parts; every stack is in one; the order of the stacks is free.

    Examples
    --------
    >>> split_stacks(["a", "b", "b", "c", "d", "e"], seed=1)
    Split(learn=(1, 2, 3, 4), choose=(0,), judge=(5,))
    """
    names = sorted(set(specimens))
    if len(names) < 2:
        raise InputError(
            f"{len(specimens)} usable stacks show {len(names)} specimens: give at least two, so "
            "that one can be held out."
        )
    order = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
    held = min(len(names) - 1, max(1, round(held_out * len(names))))
    judging = math.ceil(held / 2)
    parts = order[:judging], order[judging:held], order[held:]
    judge, choose, learn = (
        tuple(k for k, name in enumerate(specimens) if name in part) for part in parts
    )
    return Split(learn, choose, judge)


def plane_marks(known: LabelledStack) -> frozenset[bytes]:
    """A digest of each plane's counts; planes of one grey value are left out.

    Two stacks that share one show the same field of view, whatever they are called.
    """
    marks = set()
    for plane in range(known.stack.shape[0]):
        counts = np.ascontiguousarray(known.stack.read_counts(plane))
        if counts.min() != counts.max():
            head = f"{counts.shape} {counts.dtype} ".encode()
            marks.add(hashlib.blake2b(head + counts.tobytes(), digest_size=16).digest())
    return frozenset(marks)


def joined_specimens(
    specimens: Sequence[str], marks: Sequence[frozenset[bytes]]
) -> tuple[str, ...]:
    """Specimens after those that share a plane have been made one.

    Examples
    --------
    >>> one, other = frozenset([b"1"]), frozenset([b"1", b"2"])
    >>> joined_specimens(["a", "b", "c"], [one, other, frozenset()])
    ('a', 'a', 'c')
    """
    names = list(specimens)
    owner: dict[bytes, int] = {}
    for number, own in enumerate(marks):
        for mark in own:
            first = owner.setdefault(mark, number)
            old, new = names[number], names[first]
            if old != new:
                names = [new if name == old else name for name in names]
    return tuple(names)


def require_apart(split: Split, marks: Sequence[frozenset[bytes]], names: Sequence[str]) -> None:
    """Raise InputError if two parts of a split share a field of view."""
    parts = (split.learn, split.choose, split.judge)
    for number, part in enumerate(parts):
        for other in parts[number + 1 :]:
            for one, two in ((a, b) for a in part for b in other):
                if marks[one] & marks[two]:
                    raise InputError(
                        f"{names[one]} and {names[two]} show the same images and are in different "
                        "parts of the split: give them one specimen."
                    )
