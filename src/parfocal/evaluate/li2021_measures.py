"""The classical focus measures of Li 2021, with thirteen images of a sweep each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parfocal.evaluate.li2021 import PATCH_PX, REACH_UM, SIDE, Answers, Cases, cut_patches
from parfocal.measures.catalog import find_measure
from parfocal.measures.peaks import peak_planes
from parfocal.simulate.sheet_scenes import Scene

SWEEP_STEP_UM, SWEEP_IMAGES = 6.0, 13
Kernel = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Classical:
    """One focus measure of the paper: its short name there, its name here, its options.

    ``published_um`` is the paper's mean |error| of a single patch, None where the text gives none.
    """

    name: str
    measure: str
    options: tuple[tuple[str, float], ...] = ()
    interpolates: bool = True
    published_um: float | None = None

    @property
    def kernel(self) -> Kernel:
        """Images to scores."""
        return partial(find_measure(self.measure).function, **dict(self.options))


CLASSICAL = (
    Classical(name="DCTS", measure="dcts", published_um=5.36),
    Classical(
        name="DCTS as published", measure="dcts", published_um=5.36, interpolates=False,
        options=(("cutoff", 100 / 128), ("prefilter_px", 0.5)),
    ),
    Classical(name="TENV", measure="tenengrad_variance", published_um=6.40),
    Classical(name="STFL", measure="steerable"),
    Classical(name="BREN", measure="brenner", published_um=8.46),
    Classical(name="WAVV", measure="wavelet_variance", published_um=11.31),
    Classical(name="VARS", measure="variance", published_um=12.26),
    Classical(name="LAPV", measure="variance_of_laplacian", published_um=18.86),
)  # fmt: skip
"""The seven measures of the paper; DCTS also exactly as its code has it."""


def classical_answers(row: Classical, cases: Cases) -> Answers:
    """Let a measure choose among 13 images, 6 um apart and centred on focus as published.

    Of each patch alone, and of the whole field as one image. It is always certain.
    """
    kernel = row.kernel
    found = np.array([_focus_of(scene, kernel, row.interpolates) for scene in cases.scenes])
    errors = found[cases.scene]
    estimates = cases.truth_um[:, None] - errors
    return Answers(
        name=row.name,
        images=SWEEP_IMAGES,
        patches_um=estimates[:, :-1],
        is_certain=np.ones(estimates[:, :-1].shape, bool),
        field_um=estimates[:, -1],
        certain_field_um=estimates[:, -1],
    )


def _focus_of(scene: Scene, kernel: Kernel, interpolates: bool) -> NDArray[Any]:
    """Where a measure finds focus, less the truth: of nine patches, then of the field."""
    z_um = np.array(scene.z_um)
    middle = int(np.abs(z_um - scene.focus_um).argmin())
    gap, reach = (round(length / (z_um[1] - z_um[0])) for length in (SWEEP_STEP_UM, REACH_UM))
    planes = np.arange(middle - reach, middle + reach + 1, gap)
    edge = SIDE * PATCH_PX
    images = torch.from_numpy(scene.counts[planes, :edge, :edge].astype(np.float32))
    scores = torch.cat([kernel(cut_patches(images)), kernel(images)[None]]).double().numpy()
    best = peak_planes(scores) if interpolates else scores.argmax(1).astype(float)
    found: NDArray[Any] = z_um[planes[0]] + best * SWEEP_STEP_UM - scene.focus_um
    return found
