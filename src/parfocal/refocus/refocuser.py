"""Blind refocusing of one image by a trained network: when it answers, and what it says then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.results import Refocused, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.models.card import ModelCard
from parfocal.refocus.fitness import (
    Extremes,
    asked_image,
    field_levels,
    refuse_optics,
    warn_of_optics,
    working_share,
)
from parfocal.refocus.hypotheses import Levels
from parfocal.refocus.looking import Ensemble, Look, look
from parfocal.refocus.tiling import tiles_of
from parfocal.refocus.trust import (
    Distance,
    RefocusCalibration,
    distance_of,
    passes,
    verdict_facts,
    verdict_of,
)

Untrusted = Literal["answer", "input"]
LEAST_TRUST = 0.5
PASSED = "passed through"
LEAST_EVEN, MOST_EVEN = 0.8, 3.0
"""An image is darker than its surroundings, and so no fluorescence, where it is less even than the
first; it is light on a dark ground, and no transmitted light, above the second. For stains, which
are dark on a light ground, with their sign changed."""
UNLIKE = {
    False: "the image looks like transmitted light (brightfield or phase contrast): this network "
    "knows fluorescence only; for stains that absorb give --model deep-r-brightfield",
    True: "the image does not look like stains that absorb: it is brighter than its surroundings "
    "(fluorescence) or transparent (phase), and this network knows neither",
}


@dataclass(frozen=True, kw_only=True)
class RefocusFacts:
    """What decides how far an answer is trusted.

    Parameters
    ----------
    distance
        |defocus| as the network sees it.
    gain
        Logarithm of the summed predicted errors, input over answer.
    verdict
        Chance that the answer is better than the input.
    flux
        Light of the answer over that of the input, before it was put right.
    noise
        Standard deviation of the noise in those of the image.
    floor
        Counts of the dark.
    """

    distance: Distance
    gain: float
    verdict: float
    flux: float
    noise: float
    floor: float


class BlindRefocuser:
    """Brings one image into focus without being told how far it is from it.

    Parameters
    ----------
    networks
        The ensemble; its answers are averaged.
    card
        Where it comes from; its ``calibration`` holds the numbers behind trust and verdict.
    device
        Where to compute.
    """

    def __init__(
        self, networks: Sequence[Any], card: ModelCard, *, device: str | torch.device = "cpu"
    ) -> None:
        self.device = pick_device(str(device))
        self.ensemble = Ensemble(networks, self.device)
        self.card = card
        self.calibration = RefocusCalibration.model_validate(card.calibration)

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.card.name

    def refocus(
        self,
        image: Any,
        *,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
        untrusted: Untrusted = "answer",
    ) -> Refocused:
        """Bring an image into focus, or say why not.

        Parameters
        ----------
        image
            Counts (y, x), of any array kind; lazy ones are read tile by tile.
        setup
            The optics.
        saturation_counts
            Counts at which the camera clips; the largest pixel where unknown.
        untrusted
            "input" puts the raw pixels where trust is below a half.

        Raises
        ------
        ShapeError, InputError
            If it is no image of finite numbers.
        MetadataError
            If the optics are missing.
        """
        asked, setup = asked_image(image, setup)
        seen = self.look(asked, setup=setup, saturation_counts=saturation_counts)
        if isinstance(seen, Refocused):
            return seen
        facts = self.facts_of(*seen)
        refusal = self.refusal(facts)
        if refusal is not None:
            return self._declined(*refusal, seen[0].sharp.shape)
        return self._conclude(asked, seen[0], facts, setup, untrusted)

    @torch.inference_mode()
    def look(
        self,
        image: Any,
        *,
        setup: OpticalSetup,
        saturation_counts: float | None = None,
        with_expected: bool = False,
    ) -> tuple[Look, Levels] | Refocused:
        """What the networks say of an image, and its levels; or why they are not asked."""
        shape = (int(image.shape[0]), int(image.shape[1]))
        tiles = list(tiles_of(shape, working_share(setup)))
        extremes = Extremes()
        for tile in tiles:
            part = tile.part_inside(tile.read(image, device=self.device))
            extremes.add(part, saturation_counts)
        refusal = extremes.refusal() or refuse_optics(shape, setup)
        if refusal is not None:
            return self._declined(*refusal, shape)
        levels = field_levels(image, tiles, device=self.device, is_dark=self.calibration.is_dark)
        seen = look(
            image, tiles, levels, setup, ensemble=self.ensemble, calibration=self.calibration,
            with_expected=with_expected,
        )  # fmt: skip
        return seen, levels

    def facts_of(self, seen: Look, levels: Levels) -> RefocusFacts:
        """What decides how far an answer is trusted."""
        distance, noise = distance_of(seen.logits, self.calibration), float(levels.noise)
        if levels.evenness > MOST_EVEN:
            distance = replace(distance, clear=0.0)
        elif levels.evenness < LEAST_EVEN:
            distance = replace(distance, clear=1.0)
        facts = verdict_facts(seen.gain, distance.centre, noise)
        return RefocusFacts(
            distance=distance,
            gain=seen.gain,
            verdict=verdict_of(facts, self.calibration),
            flux=seen.flux,
            noise=noise,
            floor=float(levels.counts(levels.floor[:, None, None])),
        )

    def is_passed(self, facts: RefocusFacts) -> bool:
        """Whether the input is as good as it gets: in focus, or so near that nothing is won."""
        return passes(
            facts.distance.interval,
            gain=facts.gain,
            verdict=facts.verdict,
            calibration=self.calibration,
        )

    def refusal(self, facts: RefocusFacts) -> tuple[Status, str] | None:
        """Why the networks' answer is none."""
        calibration, distance = self.calibration, facts.distance
        if distance.clear > calibration.most_clear:
            return Status.UNCERTAIN, UNLIKE[calibration.is_dark]
        if distance.beyond > 0.5:
            return Status.UNCERTAIN, (
                f"the image is about {distance.centre:.1f} depths of field from focus, and beyond "
                f"{calibration.most_dof:g} nothing was learnt: go nearer to focus"
            )
        if self.is_passed(facts):
            return None
        if not 1 / calibration.most_flux < facts.flux < calibration.most_flux:
            return Status.UNCERTAIN, (
                f"the answer would hold {facts.flux:.2f} times the light of the input: it cannot "
                "be believed"
            )
        doubt = None
        if facts.verdict < LEAST_TRUST:
            chance = f"{100 * facts.verdict:.0f} %"
            doubt = f"the answer would be better than the input with a chance of {chance} only"
        elif facts.gain < 0:
            doubt = (
                "the network expects a larger error of its answer than of the input: this is in "
                "focus, or unlike anything it was trained on"
            )
        return None if doubt is None else (Status.UNCERTAIN, f"{_said(distance)}, and {doubt}")

    def _conclude(
        self, image: Any, seen: Look, facts: RefocusFacts, setup: OpticalSetup, untrusted: Untrusted
    ) -> Refocused:
        distance, depth_um = facts.distance, setup.depth_of_field_um
        low, high = distance.interval
        common: dict[str, Any] = {
            "status": Status.FOUND, "card": self._card(), "defocus_um": distance.centre * depth_um,
            "interval_um": (low * depth_um, high * depth_um), "warnings": warn_of_optics(setup),
            "provenance": {
                "setup": setup.model_dump(mode="json"), "untrusted": untrusted,
                "flux_before": facts.flux, "bfloat16": self.ensemble.is_narrow,
            },
        }  # fmt: skip
        if self.is_passed(facts):
            kept = _pixels(image)
            return Refocused(
                reason=f"{_said(distance)}: nothing is won, so the input is passed through",
                method=PASSED, image=kept, trust=np.ones(kept.shape, np.float32), flux=1.0,
                **common,
            )  # fmt: skip
        sharp, flux = with_light(seen.sharp, facts), 1.0
        if untrusted == "input":
            raw = _pixels(image)
            sharp = np.where(seen.trust < LEAST_TRUST, raw, sharp).astype(np.float32)
            light = np.float64(facts.floor)
            flux = float((sharp - light).sum() / (raw - light).sum())
        chance = f"{100 * facts.verdict:.0f} %"
        return Refocused(
            reason=f"{_said(distance)}; better than the input with a chance of {chance}",
            method=self.name, image=sharp, trust=seen.trust, verdict=facts.verdict, flux=flux,
            **common,
        )  # fmt: skip

    def _declined(self, status: Status, reason: str, shape: Sequence[int]) -> Refocused:
        return Refocused(
            status=status, reason=reason, method=self.name, image=None,
            trust=np.zeros(shape, np.float32), card=self._card(),
        )  # fmt: skip

    def _card(self) -> dict[str, Any]:
        card = self.card
        return {"name": card.name, "sha256": card.sha256, "commit": card.commit}


def with_light(sharp: NDArray[np.float32], facts: RefocusFacts) -> NDArray[np.float32]:
    """An answer with the light of its input, above the floor.

    A mix of deconvolutions keeps the light but for the network's error, which is put right.
    """
    floor = np.float32(facts.floor)
    right: NDArray[np.float32] = (sharp - floor) / np.float32(facts.flux) + floor
    return right


def _said(distance: Distance) -> str:
    low, high = distance.interval
    return f"{distance.centre:.1f} depths of field from focus ({low:.1f} to {high:.1f})"


def _pixels(image: Any) -> NDArray[Any]:
    """The input as it is, as floating-point numbers that hold every count."""
    kept: NDArray[Any] = as_float_tensor(
        image if isinstance(image, Tensor) else np.asarray(image), device="cpu"
    ).numpy()
    return kept
