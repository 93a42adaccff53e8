"""Refocusing one image onto surfaces by a trained network: when it answers, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, ShapeError
from parfocal.core.results import Refocused, Status
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.refocus.fitness import (
    Extremes,
    asked_image,
    field_levels,
    refuse_optics,
    working_share,
)
from parfocal.refocus.refocuser import LEAST_TRUST, PASSED, Untrusted
from parfocal.refocus.surface_looking import Shown, SurfaceLooker
from parfocal.refocus.surface_trust import SurfaceCalibration, surface_verdict
from parfocal.refocus.tiling import tiles_of
from parfocal.refocus.virtual_stack import VirtualStack

LEAST_DOF = 1e-3
"""Surfaces nearer than that are the image's own plane."""
TILE_PX = 768
LEAST_FLUX = 0.1
"""Of an answer over its input: less cannot be put right."""


class SurfaceRefocuser:
    """Shows one image as it would be on other surfaces.

    Parameters
    ----------
    networks
        One network.
    card
        Where it comes from; its ``calibration`` holds the numbers behind trust and verdict.
    is_section
        Whether to show a confocal-equivalent section in place of what the same microscope shows.
    device
        Where to compute.
    """

    def __init__(
        self,
        networks: Sequence[Any],
        card: ModelCard,
        *,
        is_section: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = pick_device(str(device))
        self.looker = SurfaceLooker(networks, self.device)
        self.card, self.is_section = card, is_section
        self.calibration = SurfaceCalibration.model_validate(card.calibration)

    @property
    def name(self) -> str:
        """Name of the model, and what of it is asked."""
        return f"{self.card.name} (section)" if self.is_section else self.card.name

    def refocus(
        self,
        image: Any,
        surface_um: Any,
        *,
        setup: OpticalSetup | None = None,
        spherical_waves: float | None = None,
        saturation_counts: float | None = None,
        untrusted: Untrusted = "answer",
    ) -> Refocused:
        """Show an image on one surface, or say why not; see ``to_surface``."""
        asked, setup = asked_image(image, setup)
        shape = (int(asked.shape[0]), int(asked.shape[1]))
        surface = self._surface(surface_um, shape, setup)
        if not self.is_section and float(np.abs(surface).max()) < LEAST_DOF:
            return self._passed(asked, setup)
        seen = self.look(
            asked, [surface], setup=setup, spherical_waves=spherical_waves,
            saturation_counts=saturation_counts,
        )  # fmt: skip
        if isinstance(seen, Refocused):
            return seen
        shown, floor = seen[0][0], seen[1]
        verdict = surface_verdict(shown.facts, self.calibration)
        refusal = self._refusal(shown, verdict)
        if refusal is not None:
            return self._declined(Status.UNCERTAIN, refusal, shape)
        sharp, flux = self._with_light(shown, floor), 1.0
        if self.is_section:
            flux = shown.flux
        if untrusted == "input":
            raw = _pixels(asked)
            sharp = np.where(shown.trust < LEAST_TRUST, raw, sharp).astype(np.float32)
            flux = float((sharp - np.float64(floor)).sum() / (raw - np.float64(floor)).sum())
        return Refocused(
            status=Status.FOUND, reason=f"{self._said(surface)}; nearer to the truth there than "
            f"the image with a chance of {100 * verdict:.0f} %", method=self.name, image=sharp,
            trust=shown.trust, verdict=verdict, flux=flux, card=self._card(),
            provenance=self._provenance(setup, spherical_waves, surface, untrusted=untrusted),
            warnings=self._warnings(setup, spherical_waves),
        )  # fmt: skip

    def stack(
        self,
        image: Any,
        z_um: Any,
        *,
        setup: OpticalSetup | None = None,
        spherical_waves: float | None = None,
        saturation_counts: float | None = None,
    ) -> VirtualStack:
        """Show an image on even planes; see ``virtual_stack``."""
        asked, setup = asked_image(image, setup)
        shape = (int(asked.shape[0]), int(asked.shape[1]))
        heights = np.atleast_1d(np.asarray(z_um, dtype=np.float64))
        if heights.ndim != 1 or not heights.size:
            raise ShapeError(f"z_um has shape {heights.shape}; give heights (z,) in um.")
        surfaces = [self._surface(float(height), shape, setup) for height in heights]
        seen = self.look(
            asked, surfaces, setup=setup, spherical_waves=spherical_waves,
            saturation_counts=saturation_counts,
        )  # fmt: skip
        common: dict[str, Any] = {
            "z_um": heights.astype(np.float32), "card": self._card(),
            "provenance": self._provenance(setup, spherical_waves, None),
            "warnings": self._warnings(setup, spherical_waves),
        }  # fmt: skip
        if isinstance(seen, Refocused):
            blank = np.zeros((len(heights), *shape), np.float32)
            return VirtualStack(
                status=seen.status, reason=seen.reason, images=None, trust=blank,
                verdicts=np.full(len(heights), np.nan, np.float32), **common,
            )  # fmt: skip
        planes, floor = seen
        own = [
            not self.is_section and isinstance(each, float) and abs(each) < LEAST_DOF
            for each in surfaces
        ]
        raw = _pixels(asked).astype(np.float32) if any(own) else None
        images = [
            raw if is_own and raw is not None else self._with_light(each, floor)
            for each, is_own in zip(planes, own, strict=True)
        ]
        verdicts = [
            np.nan if is_own else surface_verdict(each.facts, self.calibration)
            for each, is_own in zip(planes, own, strict=True)
        ]
        return VirtualStack(
            status=Status.FOUND, reason=f"{len(heights)} planes from one image",
            images=np.stack(images), verdicts=np.array(verdicts, np.float32),
            trust=np.stack([
                np.ones(shape, np.float32) if is_own else each.trust
                for each, is_own in zip(planes, own, strict=True)
            ]),
            **common,
        )  # fmt: skip

    def look(
        self,
        image: Any,
        surfaces_dof: Sequence[NDArray[np.float32] | float],
        *,
        setup: OpticalSetup,
        spherical_waves: float | None = None,
        saturation_counts: float | None = None,
        with_expected: bool = False,
    ) -> tuple[list[Shown], float] | Refocused:
        """What the network shows on each surface, and the floor in counts; or why it may not."""
        shape = (int(image.shape[0]), int(image.shape[1]))
        tiles = list(tiles_of(shape, working_share(setup), most_px=TILE_PX))
        extremes = Extremes()
        for tile in tiles:
            part = tile.part_inside(tile.read(image, device=self.device))
            extremes.add(part, saturation_counts)
        refusal = extremes.refusal() or refuse_optics(shape, setup)
        if refusal is not None:
            return self._declined(*refusal, shape)
        told = self._told(spherical_waves)
        levels = field_levels(image, tiles, device=self.device)
        # A pupil of the other sign shows the world from below.
        surfaces = surfaces_dof if told >= 0 else [-each for each in surfaces_dof]
        shown = self.looker.look(
            image, surfaces, tiles=tiles, levels=levels, setup=setup, told=abs(told),
            is_section=self.is_section, calibration=self.calibration, with_expected=with_expected,
        )  # fmt: skip
        return shown, float(levels.counts(levels.floor[:, None, None]))

    def _told(self, spherical_waves: float | None) -> float:
        if spherical_waves is None:
            return self.calibration.assumed_waves
        most = self.calibration.spherical_waves[1]
        if not abs(spherical_waves) <= 1.2 * most:
            raise InputError(
                f"spherical_waves is {spherical_waves:g}; this network knows -{most:g} to {most:g} "
                "waves RMS: measure it by parfocal.optics.retrieve_pupil on a bead."
            )
        return float(spherical_waves)

    def _surface(
        self, surface_um: Any, shape: tuple[int, int], setup: OpticalSetup
    ) -> NDArray[np.float32] | float:
        """A surface in depths of field, checked."""
        given = surface_um.detach().cpu() if isinstance(surface_um, Tensor) else surface_um
        heights = np.asarray(given, dtype=np.float32)
        if heights.ndim and heights.shape != shape:
            raise ShapeError(
                f"The surface has shape {heights.shape}, the image {shape}; give one height in um "
                "for each pixel, or one for all."
            )
        if not bool(np.isfinite(heights).all()):
            bad = int((~np.isfinite(heights)).sum())
            raise InputError(
                f"The surface holds {bad} heights that are NaN or infinite; fill them first."
            )
        dof = heights / np.float32(setup.depth_of_field_um)
        most = self.calibration.surface_dof
        if float(np.abs(dof).max()) > most + 1e-3:
            raise InputError(
                f"The surface reaches {float(np.abs(heights).max()):.4g} um from the image's plane "
                f"({float(np.abs(dof).max()):.1f} depths of field); this network knows up to "
                f"{most * setup.depth_of_field_um:.4g} um ({most:g} depths of field)."
            )
        return dof if heights.ndim else float(dof)

    def _refusal(self, shown: Shown, verdict: float) -> str | None:
        """Why an answer is none."""
        most = self.calibration.most_flux
        if not self.is_section and not 1 / most < shown.flux < most:
            return (
                f"the answer would hold {shown.flux:.2f} times the light of the input: it cannot "
                "be believed"
            )
        if verdict < LEAST_TRUST:
            return (
                "the answer would be nearer to the truth there than the image itself with a chance "
                f"of {100 * verdict:.0f} % only"
            )
        return None

    def _with_light(self, shown: Shown, floor: float) -> NDArray[np.float32]:
        """An answer with the light of its input: focusing moves light, and loses none."""
        if self.is_section or not shown.flux > LEAST_FLUX:
            return shown.image
        dark = np.float32(floor)
        right: NDArray[np.float32] = (shown.image - dark) / np.float32(shown.flux) + dark
        return right

    def _warnings(self, setup: OpticalSetup, spherical_waves: float | None) -> tuple[str, ...]:
        known, found = self.calibration, []
        pixel = setup.pixel_um * setup.na / setup.wavelength_um
        ratio = setup.na / setup.immersion_index
        if pixel > known.pixels[1]:
            found.append(
                f"pixels are {pixel:.2g} wavelength / NA, coarser than the {known.pixels[1]:g} "
                "that training knew"
            )
        if not known.ratios[0] <= ratio <= known.ratios[1]:
            found.append(
                f"NA over index is {ratio:.2f}; training knew {known.ratios[0]:g} to "
                f"{known.ratios[1]:g}"
            )
        if spherical_waves is None:
            found.append(
                "one image tells above from below by its spherical aberration alone, which is "
                f"assumed to be {known.assumed_waves:+g} waves RMS: give "
                "spherical_waves (--spherical-waves)"
            )
        elif abs(spherical_waves) < known.spherical_waves[0]:
            found.append(
                f"a spherical aberration of {spherical_waves:g} waves RMS is too weak to tell "
                "above from below in one image"
            )
        return (*found,)

    def _passed(self, image: Any, setup: OpticalSetup) -> Refocused:
        kept = _pixels(image)
        if not bool(np.isfinite(kept.sum())):
            raise InputError("The image holds pixels that are NaN or infinite; replace them first.")
        return Refocused(
            status=Status.FOUND, reason="the image's own plane: it is passed through",
            method=PASSED, image=kept, trust=np.ones(kept.shape, np.float32), flux=1.0,
            card=self._card(), provenance=self._provenance(setup, None, 0.0),
        )  # fmt: skip

    def _provenance(
        self,
        setup: OpticalSetup,
        spherical_waves: float | None,
        surface: NDArray[np.float32] | float | None,
        *,
        untrusted: str = "answer",
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "setup": setup.model_dump(mode="json"), "untrusted": untrusted,
            "spherical_waves": self._told(spherical_waves), "section": self.is_section,
            "bfloat16": self.looker.is_narrow,
        }  # fmt: skip
        if surface is not None:
            ends = (float(np.min(surface)), float(np.max(surface)))
            facts["surface_um"] = [round(end * setup.depth_of_field_um, 4) for end in ends]
        return facts

    def _declined(self, status: Status, reason: str, shape: Sequence[int]) -> Refocused:
        return Refocused(
            status=status, reason=reason, method=self.name, image=None,
            trust=np.zeros(shape, np.float32), card=self._card(),
        )  # fmt: skip

    def _said(self, surface: NDArray[np.float32] | float) -> str:
        low, high = float(np.min(surface)), float(np.max(surface))
        if high - low < LEAST_DOF:
            return f"shown {low:+.1f} depths of field from the image's plane"
        return (
            f"shown on a surface {low:+.1f} to {high:+.1f} depths of field from the image's plane"
        )

    def _card(self) -> dict[str, Any]:
        card = self.card
        return {"name": card.name, "sha256": card.sha256, "commit": card.commit}


def _pixels(image: Any) -> NDArray[Any]:
    """The input as it is."""
    return image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
