"""Deep fields of unseen specimens, asked as a user would: they set and measure trust."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.refocus.surface_refocuser import SurfaceRefocuser
from parfocal.refocus.trust import SMOOTH_CELLS
from parfocal.simulate.surface_fields import Only, SurfaceBatch, SurfaceFields
from parfocal.train.refocus_losses import ms_ssim, to_unit_range
from parfocal.train.refocus_trials import rank_correlation

BATCH = 4
EDGE_PX = 32
"""Of a simulated field that wraps around, around the image that is asked about."""
PIXELS = 64
"""Places of each field that are kept for the calibration of trust."""


@dataclass(frozen=True, kw_only=True)
class SurfaceTrial:
    """What a refocuser showed of one field on one surface whose truth is known.

    Parameters
    ----------
    kind
        Specimen.
    is_even, is_section
        Whether the surface is a plane of one height; whether the truth is a section.
    dof, spherical
        Mean |height| of the surface in depths of field; the aberration in waves.
    facts
        What its verdict is made of: see ``surface_verdict_facts``.
    psnr
        Of input, answer, and answer on the surface turned upside down, in dB of the truth's range.
    ssim
        Structural similarity at three scales, likewise.
    ranked
        Rank correlation, over places, of predicted and true error of the answer.
    size, predicted
        Mean absolute error of the answer, true and predicted, in those of a flat image.
    gains, is_better
        Of some places: the logarithm of the predicted errors' ratio, and whether the answer is
        nearer to the truth.
    """

    kind: str
    is_even: bool
    is_section: bool
    dof: float
    spherical: float
    facts: tuple[float, float, float]
    flux: float
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    ranked: float
    size: float
    predicted: float
    gains: tuple[float, ...]
    is_better: tuple[bool, ...]


def try_surfaces(
    refocusers: tuple[SurfaceRefocuser, SurfaceRefocuser],
    kinds: Sequence[str],
    *,
    fields: int,
    size_px: int,
    seed: int,
    only: Only | None = None,
    sections: float = 0.25,
    on_field: Callable[[str], None] | None = None,
) -> list[SurfaceTrial]:
    """Simulate deep fields and ask about each, on an even and on an uneven surface.

    Parameters
    ----------
    refocusers
        For what the same microscope shows, and for sections.
    kinds
        Rows of ``SPECIMENS``.
    fields, size_px
        How many fields of each, and their side.
    seed
        Draws them.
    only
        What every field has in common, each asked on an even surface alone; None for fields as in
        training.
    sections
        Share of the truths that are sections.
    on_field
        Called with the kind of specimen before each field.
    """
    trials = []
    for number, kind in enumerate(kinds):
        source = SurfaceFields(
            batch=BATCH, size_px=size_px + 2 * EDGE_PX, seed=seed + 1000 * number,
            objects=(kind,), sparse=(kind,), sections=sections, only=only, reuse=(1, BATCH),
            device=str(refocusers[0].device),
        )  # fmt: skip
        for first in range(0, fields, BATCH):
            both = source.draw()
            for k in range(min(BATCH, fields - first)):
                if on_field is not None:
                    on_field(kind)
                for drawn in both if only is None else both[:1]:
                    refocuser = refocusers[int(drawn.is_section[k])]
                    trial = _try_field(refocuser, drawn, k, kind)
                    if trial is not None:
                        trials.append(trial)
    return trials


def _try_field(
    refocuser: SurfaceRefocuser, drawn: SurfaceBatch, k: int, kind: str
) -> SurfaceTrial | None:
    image, truth, surface = (
        cut(each[k]) for each in (drawn.images, drawn.truth, drawn.surface_dof)
    )
    is_even = drawn.is_even
    asked: Any = float(surface[0, 0]) if is_even else surface.cpu().numpy()
    seen = refocuser.look(
        image, [asked, -asked], setup=setup_of(drawn, k), spherical_waves=float(drawn.told[k]),
        with_expected=True,
    )  # fmt: skip
    if isinstance(seen, Refocused):
        return None
    right, flipped = (torch.from_numpy(each.image).to(truth) for each in seen[0])
    low, span = to_unit_range(truth[None])
    span = span.clamp(min=0.5 * float(image.std()))
    scored = [
        scores((each[None] - low) / span, (truth[None] - low) / span)
        for each in (image, right, flipped)
    ]
    expected = torch.from_numpy(cast(NDArray[Any], seen[0][0].expected)).to(truth)
    ranked, gains, is_better = _places(expected, image, right, truth)
    flat = float((image - image.mean()).abs().mean().clamp(min=1e-6))
    return SurfaceTrial(
        kind=kind,
        is_even=is_even,
        is_section=bool(drawn.is_section[k]),
        dof=float(surface.abs().mean()),
        spherical=float(drawn.spherical[k]),
        facts=seen[0][0].facts,
        flux=seen[0][0].flux,
        psnr=tuple(score[0] for score in scored),
        ssim=tuple(score[1] for score in scored),
        ranked=ranked,
        size=float((right - truth).abs().mean()) / flat,
        predicted=float(expected[0].mean()) / flat,
        gains=gains,
        is_better=is_better,
    )


def cut(field: Float[Tensor, "y x"]) -> Float[Tensor, "v u"]:
    """A field without its edge."""
    return field[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]


def setup_of(drawn: SurfaceBatch, k: int) -> OpticalSetup:
    """The optics of one field."""
    return OpticalSetup(
        na=float(drawn.na[k]),
        wavelength_nm=1000 * float(drawn.wavelength_um[k]),
        pixel_um=float(drawn.pixel_um[k]),
        immersion_index=float(drawn.index[k]),
    )


def scores(shown: Float[Tensor, "1 y x"], truth: Float[Tensor, "1 y x"]) -> tuple[float, float]:
    """Peak signal-to-noise ratio in dB and structural similarity, of images of range 1.

    Examples
    --------
    >>> truth = torch.rand(1, 64, 64)
    >>> psnr, ssim = scores(truth + 0.1, truth)
    >>> round(psnr)
    20
    """
    error = float((shown - truth).square().mean())
    return -10 * math.log10(max(error, 1e-12)), float(ms_ssim(shown, truth))


def _places(
    expected: Tensor, image: Tensor, answer: Tensor, truth: Tensor
) -> tuple[float, tuple[float, ...], tuple[bool, ...]]:
    """Rank correlation of predicted and true errors, and samples for the calibration of trust."""
    errors = torch.stack([(each - truth).abs() for each in (answer, image)])
    window = 2 * SMOOTH_CELLS
    sizes = functional.avg_pool2d(errors[None], window)[0]
    around = functional.avg_pool2d(expected[None], window)[0]
    gain = (around[1] / around[0].clamp(min=1e-12)).log().flatten()
    better = (sizes[0] < sizes[1]).flatten()
    chosen = torch.linspace(0, len(gain) - 1, min(PIXELS, len(gain))).long()
    return (
        rank_correlation(around[0].flatten(), sizes[0].flatten()),
        tuple(gain[chosen].tolist()),
        tuple(better[chosen].tolist()),
    )
