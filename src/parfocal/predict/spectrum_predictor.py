"""Signed defocus from one image by an off-axis LED, by spectrum networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, cast

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from parfocal.core.device import pick_device
from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.models.card import ModelCard
from parfocal.nets.fast import gated_copies
from parfocal.nets.spectrum import SpectrumNetwork
from parfocal.predict.checks import Refusal, asked_stack, refuse_images, require_optics
from parfocal.predict.pairs import bin_centres
from parfocal.predict.posterior import LEAST_SIDE, FieldPosterior, centre, certainty, join
from parfocal.predict.spectrum import magnitude_features, phase_features, published_bins, towards_x
from parfocal.predict.spectrum_windows import log_powers, spectrum_tiles, window_px

OPTICS_SHARE = 0.1
"""NA over index, and the LED's direction over the NA, may differ by this from training."""
PROBES = 8
"""Spectra on which fast copies of the networks are compared with them."""
TOGETHER = 32
"""Spectra that run through a network together: those of one image, and mirrored."""
COARSER = 1.03
"""Pixels may be this much coarser than the band of the image asks for."""
Positive = Annotated[float, Field(gt=0)]


class SpectrumCalibration(BaseModel):
    """What a spectrum predictor must know beside its weights; lengths in depths of field.

    Parameters
    ----------
    kind
        ``classes``: a distribution over classes, from ``log_powers``. ``magnitude``, ``phase``: one
        number, from the published features or from the phase of the same frequencies.
    na, led_na
        Aperture over immersion index, and direction of the LED over the aperture, in training.
    bins, classes_reach
        Classes, and the largest defocus that they stand for.
    side
        Of the published kind: side of a patch in wavelength / NA.
    reach
        Largest defocus of an answer.
    least_certainty
        Certainty of the field below which there is no answer.
    widen, floor
        The interval is the estimate +- widen * sqrt(spread^2 + floor^2); the published kind has
        no spread.
    most_strange
        Mean squared z-score of a spectrum above which it is like none of training.
    most_apart
        Standard deviation of the answers of the networks, and of their views of the mirrored
        spectrum, above which they know no such specimen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classes", "magnitude", "phase"] = "classes"
    na: Positive = 0.5
    led_na: Positive = 0.6
    bins: int = 65
    classes_reach: float = 16.0
    side: Positive = 314.0
    reach: float = 14.0
    least_certainty: float = 0.1
    widen: Positive = 1.645
    floor: Annotated[float, Field(ge=0)] = 0.3
    most_strange: Positive = 1e6
    most_apart: Positive = 1e6


class SpectrumPredictor:
    """Predicts signed defocus from one image by an off-axis LED, or from several.

    Parameters
    ----------
    networks
        The ensemble: ``SpectrumNetwork``, or ``SpectrumPerceptron`` as published.
    card
        Where it comes from; its ``calibration`` is a ``SpectrumCalibration``.
    device
        Where to compute.
    led_na_yx
        Direction (na_y, na_x) of the LED, on an axis of the camera; towards +x where not given.

    Notes
    -----
    Laws: gain and offset do not matter; the batch does not matter; an image mirrored across the
    LED's axis has the same answer. A transparent specimen is not sharpest in focus, which
    ``sharpest_in_focus`` tells to searches.
    """

    sharpest_in_focus = False

    def __init__(
        self,
        networks: Sequence[Any],
        card: ModelCard,
        *,
        device: str | torch.device = "cpu",
        led_na_yx: tuple[float, float] | None = None,
    ) -> None:
        self.device = pick_device(str(device))
        self.networks = [network.to(self.device).eval() for network in networks]
        self.card = card
        self.calibration = SpectrumCalibration.model_validate(card.calibration)
        self.led_na_yx = led_na_yx
        self.classes = bin_centres(self.calibration.bins, self.calibration.classes_reach)

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.card.name

    @cached_property
    def working(self) -> list[nn.Module]:
        """Fast copies of networks of the kind ``classes``, made when first needed."""
        first = cast(SpectrumNetwork, self.networks[0])
        dice = torch.Generator().manual_seed(0)
        scores = torch.randn(PROBES, *first.mean.shape, generator=dice).to(self.device)
        probes = first.mean + scores * first.spread
        return gated_copies(self.networks, (probes,), at_once=TOGETHER)[0]

    @torch.inference_mode()
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
            (y, x) in counts, or (n, y, x) in order of increasing stage z.
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
            If the images are no short stack of finite numbers, or the LED is on no axis.
        MetadataError
            If the optics or the spacing are missing.
        """
        stack = asked_stack(images, spacing_um, device=self.device)
        setup = require_optics(setup)
        refusal = refuse_images(stack, saturation_counts) or self._refuse_optics(stack, setup)
        if refusal is not None:
            return DefocusEstimate(status=refusal[0], reason=refusal[1])
        if self.led_na_yx is not None:
            stack = towards_x(stack, self.led_na_yx)
        step = 0.0 if len(stack) == 1 else (spacing_um or 0.0) / setup.depth_of_field_um
        if self.calibration.kind == "classes":
            return self._by_classes(stack, step, setup)
        return self._by_number(stack, step, setup)

    def _refuse_optics(self, stack: Float[Tensor, "n y x"], setup: OpticalSetup) -> Refusal | None:
        """Decline optics that training did not cover."""
        known, ratio = self.calibration, setup.na / setup.immersion_index
        if abs(ratio / known.na - 1) > OPTICS_SHARE:
            return (
                Status.UNCERTAIN,
                f"NA {setup.na:g} is {ratio:.2f} of the immersion index; training knew "
                f"{known.na:g}, and a tenth more or less: train {self.name} for this objective",
            )
        if self.led_na_yx is not None:
            led = max(abs(value) for value in self.led_na_yx) / setup.na
            if abs(led / known.led_na - 1) > OPTICS_SHARE:
                return (
                    Status.UNCERTAIN,
                    f"the LED at NA {led * setup.na:.2g} is {led:.2f} of the objective's; training "
                    f"knew {known.led_na:g}: choose the LED at {known.led_na * setup.na:.2g}",
                )
        coarsest_um = setup.wavelength_um / (2 * setup.na * (1 + known.led_na))
        if setup.pixel_um > COARSER * coarsest_um:
            return (
                Status.UNCERTAIN,
                f"pixels of {setup.pixel_um:g} um mix up the frequencies of an image by this LED: "
                f"at most {coarsest_um:.3g} um will do",
            )
        least = window_px(setup)
        if known.kind == "classes" and min(stack.shape[-2:]) < least:
            return (
                Status.UNCERTAIN,
                f"the images are {min(stack.shape[-2:])} px wide; at these optics give at least "
                f"{least}",
            )
        return None

    def _by_classes(
        self, stack: Float[Tensor, "n y x"], step: float, setup: OpticalSetup
    ) -> DefocusEstimate:
        calibration = self.calibration
        looks, strange, apart = [], [], []
        for number, image in enumerate(stack):
            powers, places = spectrum_tiles(image, setup)
            spectra = log_powers(powers)
            strange.append(self._strangeness(spectra))
            shares, spread = self._judge(spectra)
            apart.append(float(spread.mean()))
            looks.append(_shifted(shares, self.classes, number * step))
        flat = torch.cat(looks)
        field = join(flat, self.classes, certainty(flat).clamp(min=1e-6).square())
        mean = torch.stack(looks).mean(0)
        depth_um = setup.depth_of_field_um
        patches = PatchDefocus(
            defocus_um=(centre(mean, self.classes) * depth_um)
            .reshape(places.shape)
            .double()
            .numpy(),
            certainty=certainty(mean).reshape(places.shape).double().numpy(),
            patch_px=places.side_px,
            stride_px=places.stride_px,
        )
        status, reason = self._verdict(field, max(strange), max(apart))
        common: dict[str, Any] = {
            "certainty": field.certainty,
            "probabilities": field.probabilities.double().numpy(),
            "classes_um": (self.classes * depth_um).double().numpy(),
            "patches": patches,
        }
        if status != Status.FOUND:
            return DefocusEstimate(status=status, reason=reason, **common)
        half = calibration.widen * math.hypot(field.spread, calibration.floor)
        return _answer(reason, field.centre, half, setup, **common)

    def _judge(
        self, spectra: Float[Tensor, "t v u"]
    ) -> tuple[Float[Tensor, "t c"], Float[Tensor, " t"]]:
        """Mean distribution over networks and mirrored views, and how far these are apart."""
        both = torch.cat([spectra, spectra.flip(-1)])
        logits = [network(both).float() for network in self.working]
        views = torch.cat(logits).softmax(-1).reshape(-1, len(spectra), logits[0].shape[-1]).cpu()
        return views.mean(0), centre(views, self.classes).std(0, correction=0)

    def _strangeness(self, spectra: Float[Tensor, "t v u"]) -> float:
        network = cast(SpectrumNetwork, self.networks[0])
        return float(network.scores(spectra.mean(0)).square().mean())

    @torch.inference_mode()
    def doubts(self, image: Any, *, setup: OpticalSetup) -> tuple[float, float]:
        """How strange an image's spectrum is, about 1 in training, and how far views are apart.

        The LED lies towards +x; the views are the networks', in depths of field.
        """
        powers, _ = spectrum_tiles(as_float_tensor(image, device=self.device).float(), setup)
        spectra = log_powers(powers)
        return self._strangeness(spectra), float(self._judge(spectra)[1].mean())

    def _verdict(self, field: FieldPosterior, strange: float, apart: float) -> tuple[Status, str]:
        known = self.calibration
        shares = field.probabilities
        if strange > known.most_strange:
            return (
                Status.UNCERTAIN,
                f"the spectrum is like none of training ({strange:.1f}, at most "
                f"{known.most_strange:.1f}): another light, magnification or kind of specimen",
            )
        if apart > known.most_apart:
            return (
                Status.UNCERTAIN,
                f"the networks are {apart:.1f} depths of field apart, at most "
                f"{known.most_apart:.1f}: fine-tune them on this kind of specimen",
            )
        if field.certainty < known.least_certainty:
            return (
                Status.UNCERTAIN,
                f"the network cannot tell (certainty {field.certainty:.2f}, at least "
                f"{known.least_certainty:g} is asked): too dim, too empty, or unlike anything it "
                "was trained on",
            )
        if float(shares[self.classes.abs() > known.reach].sum()) > 0.5:
            return Status.EDGE, _beyond(known.reach, field.centre)
        low = float(shares[self.classes < -0.75].sum())
        high = float(shares[self.classes > 0.75].sum())
        if min(low, high) > LEAST_SIDE:
            return (
                Status.AMBIGUOUS,
                f"focus may lie on either side ({100 * low:.0f} % below, {100 * high:.0f} % above)",
            )
        return (
            Status.FOUND,
            f"certainty {field.certainty:.2f} from {field.patches:.0f} patches",
        )

    def _by_number(
        self, stack: Float[Tensor, "n y x"], step: float, setup: OpticalSetup
    ) -> DefocusEstimate:
        """As published: the median over patches, and the mean over images."""
        known = self.calibration
        side = round(known.side * setup.wavelength_um / setup.na / setup.pixel_um)
        cuts = (stack.shape[-2] // side, stack.shape[-1] // side)
        if not all(cuts):
            return DefocusEstimate(
                status=Status.UNCERTAIN,
                reason=f"the published network takes patches of {side} px at these optics, and the "
                f"images are {stack.shape[-2]} x {stack.shape[-1]} px",
            )
        whole = stack[..., : side * cuts[0], : side * cuts[1]]
        across, along = published_bins(known.side)
        extract = magnitude_features if known.kind == "magnitude" else phase_features
        features = extract(whole, cuts=cuts, across=across, along=along)
        flat = features.flatten(0, 1)
        values = torch.stack([network(flat)[:, 0] for network in self.networks]).mean(0)
        values = values.reshape(features.shape[:2])
        steps = step * torch.arange(len(stack), device=self.device)
        middle = float((values.median(-1).values - steps).mean())
        if abs(middle) > known.reach:
            return DefocusEstimate(status=Status.EDGE, reason=_beyond(known.reach, middle))
        count = values.shape[-1]
        return _answer(f"median of {count} patches", middle, known.widen * known.floor, setup)


def _answer(
    reason: str, middle: float, half: float, setup: OpticalSetup, **more: Any
) -> DefocusEstimate:
    """An answer from depths of field."""
    depth_um = setup.depth_of_field_um
    return DefocusEstimate(
        status=Status.FOUND,
        reason=reason,
        defocus_um=middle * depth_um,
        defocus_dof=middle,
        interval_um=((middle - half) * depth_um, (middle + half) * depth_um),
        **more,
    )


def _beyond(reach: float, middle: float) -> str:
    side = "above" if middle > 0 else "below"
    return (
        f"the images are further than {reach:g} depths of field {side} focus: move towards it and "
        "ask again"
    )


def _shifted(
    shares: Float[Tensor, "t c"], classes: Float[Tensor, " c"], shift: float
) -> Float[Tensor, "t c"]:
    """Distribution over the first image's defocus, from that of an image ``shift`` above it."""
    if shift == 0:
        return shares
    place = (classes + shift - classes[0]) / (classes[1] - classes[0])
    lower = place.floor().long()
    share = place - lower
    padded = torch.nn.functional.pad(shares, (1, 1))
    last = padded.shape[-1] - 1
    low, high = padded[:, (lower + 1).clamp(0, last)], padded[:, (lower + 2).clamp(0, last)]
    moved = low * (1 - share) + high * share
    return moved / moved.sum(-1, keepdim=True).clamp(min=1e-12)
