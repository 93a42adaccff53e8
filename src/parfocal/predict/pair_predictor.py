"""Signed defocus from a few images a known distance apart, by an ensemble of pair networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.nets.pair import PairNetwork
from parfocal.nets.pair_inputs import CLEAR_PRIOR
from parfocal.predict.calibration import Calibration
from parfocal.predict.checks import (
    asked_stack,
    effective_depth_um,
    refuse_images,
    refuse_optics,
    require_optics,
)
from parfocal.predict.first_image import classes_of_first, of_first
from parfocal.predict.pairs import (
    is_blank,
    normalised,
    pair_facts,
    resample,
    resampling,
    swapped,
)
from parfocal.predict.patches import Places, pairs_of
from parfocal.predict.posterior import (
    LEAST_SIDE,
    FieldPosterior,
    centre,
    certainty,
    has_valley,
    join,
)
from parfocal.predict.signal import filled_share, signal_to_noise
from parfocal.predict.tilt import fit_tilt
from parfocal.predict.working import Working, working_copies

AT_ONCE, AT_ONCE_ON_GPU = 8, 256
"""Patches judged together: few stay in a processor's cache."""
SURE_LOG_ODDS = 4.0
SEEMS_CLEAR = 0.3
"""Evidence of transmitted light above which it is said to be that."""
LEAST_RISE = 0.5
"""Effective depths of field that a tilted field rises by, at least: less is how networks err."""
FAR_OR_TRANSMITTED = (
    "this may be transmitted light, or fluorescence far from focus: go nearer to focus and ask "
    "again, or search by images"
)
TRANSMITTED = (
    "the images look like transmitted light (brightfield or phase), where the sign of "
    "the defocus cannot be trusted: this network knows fluorescence only"
)


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """What decides how far a field's answer is trusted; NaN where the networks were not asked.

    Parameters
    ----------
    signal, fill
        ``signal_to_noise`` and ``filled_share`` of its resampled images.
    clear
        ``clear_evidence`` that it is no fluorescence.
    """

    signal: float = math.nan
    fill: float = math.nan
    clear: float = math.nan


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

    @cached_property
    def working(self) -> Working:
        """Copies of the networks that are asked, made when first needed."""
        return working_copies(self.networks, self.device)

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
        return self.predict_with_facts(
            images, spacing_um=spacing_um, setup=setup, saturation_counts=saturation_counts
        )[0]

    @torch.inference_mode()
    def predict_with_facts(
        self,
        images: Any,
        *,
        spacing_um: float | None = None,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
    ) -> tuple[DefocusEstimate, FieldFacts]:
        """Estimate as ``predict`` does, and say what kind of field it was."""
        stack = asked_stack(images, spacing_um, device=self.device)
        setup = require_optics(setup)
        spacing_um = spacing_um if len(stack) > 1 else None
        refusal = refuse_images(stack, saturation_counts) or refuse_optics(stack, spacing_um, setup)
        if refusal is not None:
            return DefocusEstimate(status=refusal[0], reason=refusal[1]), FieldFacts()
        share, depth_um = resampling(setup), effective_depth_um(setup)
        small = resample(stack, share)
        places = Places.of(small.shape[-2:], share)
        step = 0.0 if spacing_um is None else spacing_um / depth_um
        looks = self._look(small, step, setup, places)
        facts = FieldFacts(
            signal=signal_to_noise(small),
            fill=filled_share(small),
            clear=clear_evidence(torch.cat([look.clear.flatten() for look in looks])),
        )
        return self._conclude(looks, facts, setup, places), facts

    def _look(
        self, small: Float[Tensor, "n y x"], step: float, setup: OpticalSetup, places: Places
    ) -> list[_Look]:
        """Ask the networks about every useful pair of resampled images, ``step`` depths apart."""
        optics = {
            "pixel": setup.pixel_um / places.share * setup.na / setup.wavelength_um,
            "ratio": setup.na / setup.immersion_index,
        }
        looks = []
        for first, second in pairs_of(len(small), step):
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
        return looks

    def _judge(
        self, patches: Float[Tensor, "p 2 y x"], spacing: float, *, pixel: float, ratio: float
    ) -> tuple[Float[Tensor, "p c"], Float[Tensor, " p"]]:
        """Mean distribution of the ensemble, over the pair and the pair swapped.

        And the probability that a patch is no fluorescence; where it is blank, ``CLEAR_PRIOR``.
        """
        bins = self.calibration.bins
        parts = []
        together = AT_ONCE if self.device.type == "cpu" else AT_ONCE_ON_GPU
        for some in torch.split(patches, together):
            pairs = normalised(some)
            one = torch.ones(len(some), device=self.device)
            facts = pair_facts(pixel=one * pixel, spacing=one * spacing, ratio=one * ratio)
            total = torch.zeros(len(some), bins + 1, device=self.device)
            for network in self.working.networks:
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
        self, looks: list[_Look], facts: FieldFacts, setup: OpticalSetup, places: Places
    ) -> DefocusEstimate:
        calibration, depth_um = self.calibration, effective_depth_um(setup)
        span = max(look.shift for look in looks)
        classes = classes_of_first(calibration, span)
        shifted = [of_first(look.probabilities, classes, look.shift, calibration) for look in looks]
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
        status, reason = self._verdict(field, classes, span, facts.clear)
        common: dict[str, Any] = {
            "certainty": field.certainty,
            "probabilities": field.probabilities.double().numpy(),
            "classes_um": (classes * depth_um).double().numpy(),
            "patches": patches,
        }
        if status != Status.FOUND:
            return DefocusEstimate(status=status, reason=reason, **common)
        spread = math.hypot(field.spread, calibration.floor)
        group = calibration.group_of(facts.signal, facts.fill)
        half = calibration.widen_of(group) * spread * depth_um
        defocus_um = field.centre * depth_um
        return DefocusEstimate(
            status=status,
            reason=reason,
            defocus_um=defocus_um,
            defocus_dof=defocus_um / setup.depth_of_field_um,
            interval_um=(defocus_um - half, defocus_um + half),
            tilt_um_per_mm=fit_tilt(
                patches, pixel_um=setup.pixel_um, least_rise_um=LEAST_RISE * depth_um
            ),
            **common,
        )

    def _verdict(
        self, field: FieldPosterior, classes: Float[Tensor, " c"], span: float, clear: float
    ) -> tuple[Status, str]:
        calibration = self.calibration
        if clear > calibration.most_clear:
            return Status.UNCERTAIN, clear_reason(clear)
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
        if min(low, high) > LEAST_SIDE and has_valley(probabilities, middle):
            return (
                Status.AMBIGUOUS,
                f"focus may lie on either side ({100 * low:.0f} % below, {100 * high:.0f} % above)",
            )
        return (
            Status.FOUND,
            f"certainty {field.certainty:.2f} from {field.patches:.0f} patches",
        )


def clear_reason(evidence: float) -> str:
    """Why a field is declined whose evidence of transmitted light is too high."""
    return TRANSMITTED if evidence > SEEMS_CLEAR else FAR_OR_TRANSMITTED


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
