"""Blurred fields of unseen specimens, asked as a user would: they set and measure trust."""

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
from parfocal.refocus.iterations import richardson_lucy
from parfocal.refocus.refocuser import BlindRefocuser, with_light
from parfocal.refocus.trust import SMOOTH_CELLS
from parfocal.simulate.blurred_fields import BlurredBatch, Fixed
from parfocal.simulate.clear_fields import ClearFields
from parfocal.simulate.stained_fields import fields_of
from parfocal.train.refocus_losses import ms_ssim, to_unit_range

BATCH = 4
EDGE_PX = 32
"""Of a simulated field that wraps around, around the image that is asked about."""
RICHARDSON_LUCY = 100
PIXELS = 64
"""Places of each field that are kept for the calibration of trust."""
NO_DISTANCE = -1.0
TRANSPARENT = ("phase_cells",)
"""Specimens by transmitted light that absorb next to nothing."""


@dataclass(frozen=True, kw_only=True)
class RefocusTrial:
    """What a refocuser said of one field whose truth is known.

    Parameters
    ----------
    kind
        Specimen.
    is_fluorescence
        Or stains, where the network is for these; else it is to be declined, and only ``clear`` is
        known.
    dof, photons
        |defocus| in depths of field; electrons at the brightest pixel of the image.
    centre, spread, clear, gain, noise, flux, is_passed, is_declined
        What the refocuser saw, and whether it would pass the image through or decline it.
    psnr
        Of input, answer, and (where asked for) Richardson-Lucy with the true point-spread
        function, in dB of the truth's range.
    ssim
        Structural similarity at three scales, likewise.
    ranked
        Rank correlation, over places, of predicted and true error of the answer.
    size, predicted
        Mean absolute error of the answer, true over the truth's range, and predicted over the
        answer's.
    gains, is_better
        Of some places: the logarithm of the predicted errors' ratio, and whether the answer is
        nearer to the truth.
    """

    kind: str
    is_fluorescence: bool
    clear: float
    dof: float = NO_DISTANCE
    photons: float = math.nan
    centre: float = math.nan
    spread: float = math.nan
    gain: float = math.nan
    noise: float = math.nan
    flux: float = math.nan
    is_passed: bool = False
    is_declined: bool = False
    size: float = math.nan
    predicted: float = math.nan
    psnr: tuple[float, ...] = ()
    ssim: tuple[float, ...] = ()
    ranked: float = math.nan
    gains: tuple[float, ...] = ()
    is_better: tuple[bool, ...] = ()


def try_refocus(
    refocuser: BlindRefocuser,
    kinds: Sequence[str],
    *,
    fields: int,
    size_px: int,
    seed: int,
    fixed: Fixed | None = None,
    with_deconvolution: bool = False,
    on_field: Callable[[str], None] | None = None,
) -> list[RefocusTrial]:
    """Simulate what a network is for, fluorescence or stains, and ask about each field.

    Parameters
    ----------
    refocuser
        Asked as a user would, one image after the other, but never declined.
    kinds
        Rows of ``SPECIMENS``.
    fields, size_px
        How many fields of each, and their side.
    seed
        Draws them.
    fixed
        |defocus| and photons of every field, of one thin layer; None for fields as in training.
    with_deconvolution
        Whether 100 steps of Richardson-Lucy with the true point-spread function stand beside.
    on_field
        Called with the kind of specimen before each field.
    """
    trials = []
    for number, kind in enumerate(kinds):
        source = fields_of(is_dark=refocuser.calibration.is_dark)(
            batch=BATCH, size_px=size_px + 2 * EDGE_PX, seed=seed + 1000 * number,
            device=str(refocuser.device), objects=(kind,), textures=0, reuse=1, fixed=fixed,
        )  # fmt: skip
        for first in range(0, fields, BATCH):
            drawn = source.draw()
            for k in range(min(BATCH, fields - first)):
                if on_field is not None:
                    on_field(kind)
                trial = _try_field(refocuser, drawn, k, kind, with_deconvolution)
                if trial is not None:
                    trials.append(trial)
    return trials


def try_clear(
    refocuser: BlindRefocuser,
    kinds: Sequence[str],
    *,
    fields: int,
    size_px: int,
    seed: int,
    on_field: Callable[[str], None] | None = None,
) -> list[RefocusTrial]:
    """Simulate transmitted light, which must be declined, and ask about each field.

    Kinds that absorb are left out for a network that is for stains.
    """
    trials = []
    for number, kind in enumerate(kinds):
        if refocuser.calibration.is_dark and kind not in TRANSPARENT:
            continue
        source = ClearFields(size_px=size_px, seed=seed + 1000 * number, specimen=kind, kept=fields)
        for _ in range(fields):
            if on_field is not None:
                on_field(kind)
            drawn = source.draw(1)
            setup = _setup(drawn, 0)
            # Optics of training: a pixel that is coarser is said to be finer.
            finest = 0.6 * setup.wavelength_um / setup.na
            setup = setup.model_copy(update={"pixel_um": min(setup.pixel_um, finest)})
            seen = refocuser.look(drawn.images[0, 0], setup=setup)
            if not isinstance(seen, Refocused):
                facts = refocuser.facts_of(*seen)
                trials.append(
                    RefocusTrial(kind=kind, is_fluorescence=False, clear=facts.distance.clear)
                )
    return trials


def _try_field(
    refocuser: BlindRefocuser, drawn: BlurredBatch, k: int, kind: str, with_deconvolution: bool
) -> RefocusTrial | None:
    image, truth = cut(drawn.images[k]), cut(drawn.sharp[k])
    seen = refocuser.look(image, setup=_setup(drawn, k), with_expected=True)
    if isinstance(seen, Refocused):
        return None
    facts = refocuser.facts_of(*seen)
    answer = torch.from_numpy(with_light(seen[0].sharp, facts)).to(truth)
    shown = [image, answer]
    if with_deconvolution:
        shown.append(cut(deconvolved(drawn, k, is_dark=refocuser.calibration.is_dark)))
    low, span = to_unit_range(truth[None])
    scored = [_scores((each[None] - low) / span, (truth[None] - low) / span) for each in shown]
    expected = torch.from_numpy(cast(NDArray[Any], seen[0].expected)).to(truth)
    ranked, gains, is_better = _places(expected, image, answer, truth)
    shown_span = float((answer.amax() - answer.amin()).clamp(min=1e-6))
    distance = facts.distance
    return RefocusTrial(
        kind=kind,
        is_fluorescence=True,
        dof=float((drawn.defocus_um[k] / drawn.depth_um[k]).abs()),
        photons=float(drawn.photons[k]),
        centre=distance.centre,
        spread=distance.spread,
        clear=distance.clear,
        gain=facts.gain,
        noise=facts.noise,
        flux=facts.flux,
        is_passed=refocuser.is_passed(facts),
        is_declined=refocuser.refusal(facts) is not None,
        psnr=tuple(score[0] for score in scored),
        ssim=tuple(score[1] for score in scored),
        size=float((answer - truth).abs().mean() / span),
        predicted=float(expected[0].mean()) / shown_span,
        ranked=ranked,
        gains=gains,
        is_better=is_better,
    )


def deconvolved(drawn: BlurredBatch, k: int, *, is_dark: bool = False) -> Float[Tensor, "y x"]:
    """Richardson-Lucy with the true point-spread function and background of a whole field.

    Of stains it gets what they take away.
    """
    psf = torch.fft.irfft2(drawn.transfer[k], s=drawn.images.shape[1:])
    background = float(drawn.background[k])
    if is_dark:
        taken: Tensor = richardson_lucy(
            (background - drawn.images[k]).clamp(min=0.0), psf.clamp(min=0.0), RICHARDSON_LUCY,
            edges="periodic",
        )  # fmt: skip
        return background - taken
    result: Tensor = richardson_lucy(
        drawn.images[k], psf, RICHARDSON_LUCY, background=background, edges="periodic"
    )
    return result + background


def cut(field: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b v u"]:
    """A field without its edge."""
    return field[..., EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]


def _scores(shown: Float[Tensor, "1 y x"], truth: Float[Tensor, "1 y x"]) -> tuple[float, float]:
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


def rank_correlation(one: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> float:
    """Spearman's correlation; ties as they come.

    Examples
    --------
    >>> round(rank_correlation(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0.1, 0.3, 0.4])), 6)
    1.0
    """
    ranks = torch.stack([each.argsort().argsort().double() for each in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def _setup(drawn: Any, k: int) -> OpticalSetup:
    return OpticalSetup(
        na=float(drawn.na[k]),
        wavelength_nm=1000 * float(drawn.wavelength_um[k]),
        pixel_um=float(drawn.pixel_um[k]),
        immersion_index=float(drawn.index[k]),
    )
