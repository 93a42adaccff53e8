"""Signed defocus from a few images a known distance apart, by an ensemble of pair networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import MetadataError
from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.models.card import ModelCard
from parfocal.nets.pair import REDUCTION_PX, PairNetwork
from parfocal.predict.checks import (
    effective_depth_um,
    refuse_images,
    refuse_optics,
    require_short_stack,
)
from parfocal.predict.pairs import (
    MOST_SPACING,
    bin_centres,
    is_blank,
    normalised,
    pair_facts,
    resample,
    resampling,
    swapped,
)
from parfocal.predict.posterior import LEAST_SIDE, FieldPosterior, centre, certainty, join

BEST_SPACING = 1.25
"""Effective depths of field between the two images that tell most."""
MOST_PATCHES = 8
"""Patches along each side of a field; larger fields are sampled."""
AT_ONCE = 32
NORMAL_90 = 1.645
CLEAR_PRIOR = 0.1
"""Probability of no fluorescence for a patch that shows nothing: the share in training."""
SURE_LOG_ODDS = 4.0


class Calibration(BaseModel):
    """How the ensemble's own doubt becomes an interval that holds, and when it declines.

    Parameters
    ----------
    widen
        The interval is the estimate +- widen * sqrt(spread^2 + floor^2), in effective depths
        of field.
    floor
        Least standard deviation.
    least_certainty
        Certainty of the field below which there is no answer.
    reach
        Largest defocus of an answer, in effective depths of field: beyond, only "far".
    most_clear
        Evidence, in [-1, 1] (``clear_evidence``), above which the field is no fluorescence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int = 33
    classes_reach: float = 8.0
    widen: float = Field(default=NORMAL_90, gt=0)
    floor: float = Field(default=0.2, ge=0)
    least_certainty: float = 0.1
    reach: float = 7.0
    most_clear: float = 0.0


@dataclass(frozen=True, eq=False)
class _Look:
    """What the networks say of one pair: patches (py, px, c) as defocus of the first image."""

    probabilities: Float[Tensor, "py px c"]
    clear: Float[Tensor, "py px"]  # probability that this is no fluorescence
    shift: float  # of the pair's middle beyond the first image, in effective depths of field


class PairPredictor:
    """Predicts signed defocus from one image or a few.

    Parameters
    ----------
    networks
        The ensemble.
    card
        Where it comes from; its ``calibration`` holds the settings of the intervals.
    device
        Where to compute.
    """

    def __init__(
        self, networks: Sequence[Any], card: ModelCard, *, device: str | torch.device = "cpu"
    ) -> None:
        self.device = pick_device(str(device))
        self.networks = [cast(PairNetwork, network).to(self.device).eval() for network in networks]
        self.card = card
        self.calibration = Calibration.model_validate(card.calibration)

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.card.name

    def predict(
        self,
        images: Any,
        *,
        spacing_um: float | None = None,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
    ) -> DefocusEstimate:
        """Estimate how far the first image is from focus, on which side, and how sure that is.

        Parameters
        ----------
        images
            (n, y, x) in counts, in order of increasing stage z; one image is an (y, x) too.
        spacing_um
            Distance of neighbouring images; needed where there is more than one.
        setup
            The optics.
        saturation_counts
            Counts at which the camera clips; the largest pixel where unknown.

        Returns
        -------
        An estimate; every status but ``found`` comes with its reason and no number.

        Raises
        ------
        ShapeError, InputError
            If the images are no short stack of finite numbers.
        MetadataError
            If the optics or the spacing are missing.
        """
        stack = as_float_tensor(images, device=self.device).float()
        stack = stack[None] if stack.ndim == 2 else stack
        require_short_stack(stack, spacing_um)
        if setup is None:
            raise MetadataError(
                "The defocus of images needs the optics: give setup= (--na, --wavelength-nm, "
                "--pixel-um)."
            )
        spacing_um = spacing_um if len(stack) > 1 else None
        refusal = refuse_images(stack, saturation_counts) or refuse_optics(stack, spacing_um, setup)
        if refusal is not None:
            return DefocusEstimate(status=refusal[0], reason=refusal[1])
        looks, depth_um, places = self._look(stack, spacing_um, setup)
        return self._conclude(looks, depth_um, setup, places)

    @torch.inference_mode()
    def _look(
        self, stack: Float[Tensor, "n y x"], spacing_um: float | None, setup: OpticalSetup
    ) -> tuple[list[_Look], float, _Places]:
        """Ask the networks about every useful pair."""
        share, depth_um = resampling(setup), effective_depth_um(setup)
        small = resample(stack, share)
        places = _Places.of(small.shape[-2:], share)
        optics = {
            "pixel": setup.pixel_um / share * setup.na / setup.wavelength_um,
            "ratio": setup.na / setup.immersion_index,
        }
        step = 0.0 if spacing_um is None else spacing_um / depth_um
        looks = []
        for first, second in _pairs(len(stack), step):
            patches = places.cut(torch.stack([small[first], small[second]]))
            distance = step * (second - first)
            probabilities, clear = self._judge(patches, distance, **optics)
            grid = len(places.rows), len(places.columns)
            looks.append(
                _Look(
                    probabilities.reshape(*grid, -1),
                    clear=clear.reshape(grid),
                    shift=step * first + distance / 2,
                )
            )
        return looks, depth_um, places

    def _judge(
        self, patches: Float[Tensor, "p 2 y x"], spacing: float, *, pixel: float, ratio: float
    ) -> tuple[Float[Tensor, "p c"], Float[Tensor, " p"]]:
        """Mean distribution of the ensemble, over the pair and the pair swapped.

        And the probability that a patch is no fluorescence; where it is blank, ``CLEAR_PRIOR``.
        """
        bins = self.calibration.bins
        parts = []
        for some in torch.split(patches, AT_ONCE):
            pairs = normalised(some)
            one = torch.ones(len(some), device=self.device)
            facts = pair_facts(pixel=one * pixel, spacing=one * spacing, ratio=one * ratio)
            total = torch.zeros(len(some), bins + 1, device=self.device)
            for network in self.networks:
                total += network(pairs, facts).softmax(-1)
                shares = network(swapped(pairs), facts).softmax(-1)
                total += torch.cat([shares[:, :bins].flip(-1), shares[:, bins:]], -1)
            total /= 2 * len(self.networks)
            total[is_blank(some), :bins] = (1.0 - CLEAR_PRIOR) / bins
            total[is_blank(some), bins:] = CLEAR_PRIOR
            parts.append(total)
        every = torch.cat(parts).cpu()
        shares = every[:, :bins]
        return shares / shares.sum(-1, keepdim=True).clamp(min=1e-9), every[:, bins]

    def _conclude(
        self, looks: list[_Look], depth_um: float, setup: OpticalSetup, places: _Places
    ) -> DefocusEstimate:
        calibration = self.calibration
        step = 2 * calibration.classes_reach / (calibration.bins - 1)
        span = max(look.shift for look in looks)
        extra = math.ceil(span / step)
        # Classes of the first image's defocus: those of a pair's middle, less the way to it.
        classes = torch.cat(
            [
                -calibration.classes_reach - step * torch.arange(extra, 0, -1),
                bin_centres(calibration.bins, calibration.classes_reach),
            ]
        )
        shifted = [_shifted(look, classes, calibration) for look in looks]
        flat = torch.cat([each.flatten(0, 1) for each in shifted])
        weights = certainty(flat).clamp(min=1e-6).square()
        field = join(flat, classes, weights)
        means = torch.stack(shifted).mean(0)
        patches = PatchDefocus(
            defocus_um=(centre(means, classes) * depth_um).double().numpy(),
            certainty=certainty(means).double().numpy(),
            patch_px=places.side_px,
            stride_px=places.stride_px,
        )
        clear = clear_evidence(torch.cat([look.clear.flatten() for look in looks]))
        status, reason = self._verdict(field, classes, span, clear)
        common: dict[str, Any] = {
            "certainty": field.certainty,
            "probabilities": field.probabilities.double().numpy(),
            "classes_um": (classes * depth_um).double().numpy(),
            "patches": patches,
        }
        if status != Status.FOUND:
            return DefocusEstimate(status=status, reason=reason, **common)
        spread = math.hypot(field.spread, calibration.floor)
        half = calibration.widen * spread * depth_um
        defocus_um = field.centre * depth_um
        return DefocusEstimate(
            status=status,
            reason=reason,
            defocus_um=defocus_um,
            defocus_dof=defocus_um / setup.depth_of_field_um,
            interval_um=(defocus_um - half, defocus_um + half),
            **common,
        )

    def _verdict(
        self, field: FieldPosterior, classes: Float[Tensor, " c"], span: float, clear: float
    ) -> tuple[Status, str]:
        calibration = self.calibration
        if clear > calibration.most_clear:
            return (
                Status.UNCERTAIN,
                "the images look like transmitted light (brightfield or phase), where the sign of "
                "the defocus cannot be trusted: this network knows fluorescence only",
            )
        probabilities = field.probabilities
        middle = classes + span / 2
        beyond = float(probabilities[middle.abs() > calibration.reach].sum())
        if field.certainty < calibration.least_certainty:
            return (
                Status.UNCERTAIN,
                f"the network cannot tell (certainty {field.certainty:.2f}, at least "
                f"{calibration.least_certainty:g} is asked): too dim, too empty, too far, or "
                "unlike anything it was trained on",
            )
        if beyond > 0.5:
            side = "above" if field.centre > 0 else "below"
            return (
                Status.EDGE,
                f"the images are further than {calibration.reach:g} effective depths of field "
                f"{side} focus: move towards it and ask again",
            )
        low = float(probabilities[middle < -0.5].sum())
        high = float(probabilities[middle > 0.5].sum())
        if min(low, high) > LEAST_SIDE:
            return (
                Status.AMBIGUOUS,
                f"focus may lie on either side ({100 * low:.0f} % below, {100 * high:.0f} % above)",
            )
        return (
            Status.FOUND,
            f"certainty {field.certainty:.2f} from {field.patches:.0f} patches",
        )


def clear_evidence(probabilities: Float[Tensor, " p"]) -> float:
    """How far patches speak for transmitted light (1) or for fluorescence (-1).

    The mean of each patch's log odds less those of a patch that shows nothing, weighted by their
    own size: one clear patch outweighs many empty ones; 1 is ``SURE_LOG_ODDS``.

    Examples
    --------
    >>> clear_evidence(torch.tensor([0.99, 0.1, 0.1])), clear_evidence(torch.tensor([0.1]))
    (1.0, 0.0)
    """
    evidence = probabilities.logit(eps=1e-4) - math.log(CLEAR_PRIOR / (1 - CLEAR_PRIOR))
    size = evidence.abs()
    mean = float((evidence * size).sum() / size.sum().clamp(min=1e-6))
    return max(-1.0, min(1.0, mean / SURE_LOG_ODDS))


def _shifted(
    look: _Look, classes: Float[Tensor, " c"], calibration: Calibration
) -> Float[Tensor, "py px k"]:
    """Distribution over the first image's defocus, from that over the pair's middle."""
    step = 2 * calibration.classes_reach / (calibration.bins - 1)
    place = (classes + look.shift + calibration.classes_reach) / step
    lower = place.floor().long()
    share = place - lower
    padded = torch.nn.functional.pad(look.probabilities, (1, 1))
    low = (lower + 1).clamp(0, calibration.bins + 1)
    high = (lower + 2).clamp(0, calibration.bins + 1)
    values = padded[..., low] * (1 - share) + padded[..., high] * share
    return values / values.sum(-1, keepdim=True).clamp(min=1e-12)


def _pairs(count: int, step: float) -> list[tuple[int, int]]:
    """Which images to compare: those whose distance tells most.

    Examples
    --------
    >>> _pairs(1, 0.0), _pairs(3, 1.2), _pairs(5, 0.4)
    ([(0, 0)], [(0, 1), (1, 2)], [(0, 3), (1, 4)])
    """
    if count == 1:
        return [(0, 0)]
    apart = max(1, min(count - 1, round(BEST_SPACING / step), int(MOST_SPACING / step)))
    return [(first, first + apart) for first in range(count - apart)]


@dataclass(frozen=True)
class _Places:
    """Where patches are cut from a resampled image."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    side: int
    share: float

    @classmethod
    def of(cls, shape: torch.Size, share: float) -> _Places:
        side = min(128, min(shape) // REDUCTION_PX * REDUCTION_PX)
        corners = [_corners(size, side) for size in shape]
        return cls(corners[0], corners[1], side, share)

    def cut(self, pair: Float[Tensor, "2 y x"]) -> Float[Tensor, "p 2 v u"]:
        """The patches, row by row."""
        return torch.stack(
            [
                pair[:, y : y + self.side, x : x + self.side]
                for y, x in itertools.product(self.rows, self.columns)
            ]
        )

    @property
    def side_px(self) -> float:
        """Side of a patch in pixels of the images as they came."""
        return self.side / self.share

    @property
    def stride_px(self) -> tuple[float, float]:
        """Distance of neighbouring patches likewise; 0 where there is one."""
        return tuple(  # type: ignore[return-value]
            float(np.diff(corners).mean()) / self.share if len(corners) > 1 else 0.0
            for corners in (self.rows, self.columns)
        )


def _corners(size: int, side: int) -> tuple[int, ...]:
    """Corners of patches that cover a side evenly.

    Examples
    --------
    >>> _corners(300, 128), _corners(128, 128)
    ((0, 86, 172), (0,))
    """
    count = min(MOST_PATCHES, -(-size // side))
    return tuple(int(place) for place in np.linspace(0, size - side, count))
