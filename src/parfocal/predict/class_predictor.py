"""Signed defocus by the published network of Li 2021, with its own rules for whole fields."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.nets.li2021 import PATCH_PX, Li2021Network, scaled
from parfocal.predict.certainty import (
    LEAST_CERTAINTY,
    chosen_class_um,
    mean_of_certain,
    two_main_classes,
)
from parfocal.predict.checks import Refusal, asked_stack, refuse_images, require_optics
from parfocal.predict.patches import Places
from parfocal.predict.posterior import certainty

LIVE_PATCHES = 64
"""Patches from which the two main classes decide, as published for 8 x 8; below, their mean."""
TOLERANCE = 0.05
"""Largest relative difference to the optics that the network was trained for."""
AT_ONCE = 16


class ClassCalibration(BaseModel):
    """What a network of classes needs to be asked rightly.

    Parameters
    ----------
    reach_um
        Classes lie evenly from -reach to +reach.
    spacing_um
        Distance of the images.
    setup
        Optics that it was trained for; it is told none.
    clip_counts, dark_counts, unit_counts
        See ``scaled``.
    least_certainty
        Of a patch that has a say.
    half_width_um
        Half of the 90 % interval; nothing of the kind is published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reach_um: float = Field(default=36.0, gt=0)
    spacing_um: float = Field(default=6.0, gt=0)
    setup: OpticalSetup
    clip_counts: float = 10_000.0
    dark_counts: float = 0.0
    unit_counts: float = 10_000.0
    least_certainty: float = LEAST_CERTAINTY
    half_width_um: float = Field(gt=0)

    @property
    def scale(self) -> dict[str, float]:
        """Options of ``scaled``."""
        return {name: getattr(self, name) for name in ("clip_counts", "dark_counts", "unit_counts")}


class ClassPredictor:
    """Predicts signed defocus from one to three images as [Li2021]_ does, patch by patch.

    Parameters
    ----------
    networks
        One ``Li2021Network``.
    card
        Where it comes from; its ``calibration`` is a ``ClassCalibration``.
    device
        Where to compute.

    Notes
    -----
    It knows one microscope and one distance of the images, and declines others. Below 64 patches
    the answer is the mean of the certain ones, from there the mean of the two main classes.
    Erratum: where no patch is certain it declines; the public code answers -36 um.
    """

    def __init__(
        self, networks: Sequence[Any], card: ModelCard, *, device: str | torch.device = "cpu"
    ) -> None:
        self.device = pick_device(str(device))
        self.network = cast(Li2021Network, networks[0]).to(self.device).eval()
        self.card = card
        self.calibration = ClassCalibration.model_validate(card.calibration)
        classes = int(card.settings["classes"])
        reach_um = self.calibration.reach_um
        self.classes_um: Float[Tensor, " c"] = torch.linspace(-reach_um, reach_um, classes)

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
        """Estimate how far the first image is from focus, and on which side.

        Parameters
        ----------
        images
            (n, y, x) in counts, in order of increasing stage z, as many as the network takes.
        spacing_um
            Distance of neighbouring images; needed where there is more than one.
        setup
            The optics.
        saturation_counts
            Counts at which the camera clips; the largest pixel where unknown.

        Raises
        ------
        ShapeError, InputError
            If the images are no short stack of finite numbers.
        MetadataError
            If the optics or the spacing are missing.
        """
        stack = asked_stack(images, spacing_um, device=self.device)
        setup = require_optics(setup)
        refusal = refuse_images(stack, saturation_counts) or self._refuse(stack, spacing_um, setup)
        if refusal is not None:
            return DefocusEstimate(status=refusal[0], reason=refusal[1])
        places = Places.of(stack.shape[-2:], 1.0)
        corners = itertools.product(places.rows, places.columns)
        patches = [stack[:, y : y + PATCH_PX, x : x + PATCH_PX] for y, x in corners]
        return self._conclude(self.probabilities(torch.stack(patches)), places, setup)

    @torch.inference_mode()
    def probabilities(self, patches: Float[Tensor, "p n y x"]) -> Float[Tensor, "p c"]:
        """Distribution over ``classes_um`` of patches in counts, by the first of two images.

        Of three images it is that of the second, as published.
        """
        inputs = scaled(patches.to(self.device), **self.calibration.scale)
        parts = [self.network(some).softmax(-1).cpu() for some in torch.split(inputs, AT_ONCE)]
        return torch.cat(parts)

    def _refuse(
        self, stack: Float[Tensor, "n y x"], spacing_um: float | None, setup: OpticalSetup
    ) -> Refusal | None:
        """Decline what the network was not trained for."""
        known, own = self.calibration.setup, self.calibration
        if len(stack) != self.network.images:
            text = f"{self.name} takes {self.network.images} images, and {len(stack)} came"
        elif min(stack.shape[-2:]) < PATCH_PX:
            text = f"the images are smaller than a patch of {PATCH_PX} px"
        elif spacing_um is not None and _differ(spacing_um, own.spacing_um):
            text = f"the images are {spacing_um:g} um apart; training knew {own.spacing_um:g} alone"
        elif _differ(setup.na, known.na) or _differ(setup.pixel_um, known.pixel_um):
            text = (
                f"NA {setup.na:g} with pixels of {setup.pixel_um:g} um is another microscope than "
                f"that of the training, NA {known.na:g} with {known.pixel_um:g} um"
            )
        else:
            return None
        return Status.UNCERTAIN, text

    def _conclude(
        self, probabilities: Float[Tensor, "p c"], places: Places, setup: OpticalSetup
    ) -> DefocusEstimate:
        own, count = self.calibration, len(probabilities)
        # Of three images the middle one is judged; the first is asked.
        back_um = own.spacing_um if self.network.images == 3 else 0.0
        joined = two_main_classes if count >= LIVE_PATCHES else mean_of_certain
        answer = joined(probabilities, self.classes_um, least=own.least_certainty)
        sure = certainty(probabilities)
        shape = (len(places.rows), len(places.columns))
        chosen = (chosen_class_um(probabilities, self.classes_um) - back_um).reshape(shape)
        kept = sure >= own.least_certainty
        common: dict[str, Any] = {
            "certainty": float(sure.mean()),
            "probabilities": probabilities[kept if bool(kept.any()) else slice(None)]
            .mean(0)
            .double()
            .numpy(),
            "classes_um": (self.classes_um - back_um).double().numpy(),
            "patches": PatchDefocus(
                defocus_um=chosen.double().numpy(),
                certainty=sure.reshape(shape).double().numpy(),
                patch_px=places.side_px,
                stride_px=places.stride_px,
            ),
        }
        if answer is None:
            text = f"none of {count} patches reaches certainty {own.least_certainty:g}"
            return DefocusEstimate(status=Status.UNCERTAIN, reason=text, **common)
        if abs(answer) >= own.reach_um:
            side = "above" if answer > 0 else "below"
            text = f"at least {own.reach_um:g} um {side} focus: move towards it and ask again"
            return DefocusEstimate(status=Status.EDGE, reason=text, **common)
        defocus_um = answer - back_um
        return DefocusEstimate(
            status=Status.FOUND,
            reason=f"{int(kept.sum())} of {count} patches are certain",
            defocus_um=defocus_um,
            defocus_dof=defocus_um / setup.depth_of_field_um,
            interval_um=(defocus_um - own.half_width_um, defocus_um + own.half_width_um),
            **common,
        )


def _differ(value: float, known: float) -> bool:
    return bool(np.abs(value / known - 1) > TOLERANCE)
