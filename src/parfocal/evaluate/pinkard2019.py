"""The studies of Pinkard 2019 on simulated stacks: what each learns from, and how far it errs.

Nothing is trained here: a ``Learner`` is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from parfocal.evaluate.pinkard2019_rows import StudyRow, root_mean_square, sure_rmse_um
from parfocal.evaluate.pinkard2019_truth import published_focus_um
from parfocal.simulate.led_fields import FeatureSet, LedFields, LedScene, LedStack

CELLS, TISSUE = "phase_cells", "tissue_section"
PUBLISHED, PHASE, OURS = "published", "phase", "ours"
THICKNESS_UM = {"phase_cells": 6.0, "tissue_section": 4.0, "histology": 4.0, "glass_beads": 5.0,
                "blood_smear": 2.0}  # fmt: skip
TRAIN, TEST = 0, 500_000
"""First seeds of the stacks that are learnt from and of those that measure: split by specimen."""
ANGLES_NA = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55)
PATTERNS: dict[str, tuple[tuple[float, float], ...]] = {
    "one LED": ((0.0, 0.3),),
    "two, opposite": ((0.0, 0.3), (0.0, -0.3)),
    "two, at right angles": ((0.0, 0.3), (0.3, 0.0)),
    "line to one side": ((0.0, 0.15), (0.0, 0.3), (0.0, 0.45)),
    "line through the axis": ((0.0, -0.3), (0.0, -0.15), (0.0, 0.0), (0.0, 0.15), (0.0, 0.3)),
}
PAPER = {
    "stacks": "falls with stacks, up to 440; smaller than the cells' thickness",
    "kinds": "good on other cells, poor on tissue; 130 tissue stacks repair it",
    "feature": "magnitude fits and generalises, phase does not",
    "angle": "better the steeper, until the LED leaves the aperture",
    "pattern": "an asymmetric line of LEDs is best",
    "saliency": "the edges of the two circles",
    "truth": "half-annulus contrast, sharpest plane",
}


@runtime_checkable
class Answers(Protocol):
    """Defocus of each image of a set in um, and how sure each is; None where that is not said."""

    @property
    def um(self) -> Float[torch.Tensor, "s z"]:
        """Defocus."""
        ...

    @property
    def certainty(self) -> Float[torch.Tensor, "s z"] | None:
        """Certainty of each."""
        ...


@runtime_checkable
class Learner(Protocol):
    """What trains and answers, by the name of a method."""

    def extract(self, method: str, fields: LedFields) -> Callable[[LedStack], torch.Tensor]:
        """What turns a stack into the features of a method."""
        ...

    def learn(self, method: str, fields: LedFields, examples: FeatureSet, first: Any = None) -> Any:
        """A network trained on these stacks, or trained further."""
        ...

    def answers(
        self, method: str, fields: LedFields, network: Any, examples: FeatureSet
    ) -> Answers:
        """Its answers."""
        ...

    def saliency(
        self, method: str, fields: LedFields, network: Any, examples: FeatureSet
    ) -> Float[np.ndarray, "v u"]:
        """Mean modulus of the answer's gradient, over frequencies across and along."""
        ...


class StudySizes(BaseModel):
    """How large the studies are.

    Parameters
    ----------
    size_px, planes
        Of the simulated stacks.
    counts
        Stacks of cells that networks learn from; the largest is the base of the other studies.
    tuning
        Stacks of tissue that fine-tune.
    tests
        Stacks of each kind that measure.
    lights
        Stacks for each angle and pattern.
    truths
        Stacks whose published truth is computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: int = 512
    planes: int = 20
    counts: tuple[int, ...] = (5, 10, 20, 40)
    tuning: tuple[int, ...] = (12, 48)
    tests: int = 10
    lights: int = 12
    truths: int = 6

    @property
    def fields(self) -> LedFields:
        """How its stacks are simulated."""
        return LedFields(size_px=self.size_px, planes=self.planes)


QUICK = StudySizes(size_px=260, planes=3, counts=(2, 4), tuning=(2,), tests=1, lights=1, truths=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Studies:
    """All rows, the saliency of each method, and published less known truth of some stacks."""

    sizes: StudySizes
    rows: tuple[StudyRow, ...]
    saliency: dict[str, Float[np.ndarray, "v u"]]
    edge_share: dict[str, float]
    truth_offsets_um: tuple[float, ...]

    def of(self, study: str, method: str | None = None) -> list[StudyRow]:
        """Rows of one study."""
        return [row for row in self.rows if row.study == study and method in (None, row.method)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "sizes": self.sizes.model_dump(mode="json"),
            "paper": PAPER,
            "rows": [row.to_dict() for row in self.rows],
            "saliency_edge_share": self.edge_share,
            "published_truth_less_known_um": list(self.truth_offsets_um),
        }


class Bench:
    """Runs studies one after the other, with the stacks that they share.

    Parameters
    ----------
    sizes
        How large they are.
    learner
        What trains.
    tell
        Called with what is begun.
    """

    def __init__(
        self, sizes: StudySizes, learner: Learner, *, tell: Callable[[str], None] | None = None
    ) -> None:
        self.sizes, self.learner = sizes, learner
        self.tell = tell if tell is not None else lambda _what: None
        self.rows: list[StudyRow] = []
        self.networks: dict[str, Any] = {}
        self.methods = (PUBLISHED, OURS)
        self._sets: dict[tuple[str, str, str], FeatureSet] = {}

    def examples(self, method: str, kind: str, part: str) -> FeatureSet:
        """Stacks of one kind that train or test, simulated once for all methods."""
        key = (method, kind, part)
        if key not in self._sets:
            sizes = self.sizes
            most = {CELLS: max(sizes.counts), TISSUE: max(sizes.tuning)}[kind]
            count, first = (most, TRAIN) if part == "train" else (sizes.tests, TEST)
            methods = (*self.methods, PHASE) if kind == CELLS else self.methods
            extracts = [self.learner.extract(each, sizes.fields) for each in methods]
            self.tell(f"{count} stacks of {kind} to {part}")
            made = _gather(sizes.fields, kind, range(first, first + count), extracts)
            self._sets |= {
                (each, kind, part): examples for each, examples in zip(methods, made, strict=True)
            }
        return self._sets[key]

    def measure(
        self, study: str, method: str, case: str, network: Any, *, kind: str, stacks: int,
        learnt: FeatureSet | None = None,
    ) -> None:  # fmt: skip
        """Add the row of a network on the test stacks of a kind."""
        fields = self.sizes.fields
        tests = self.examples(method, kind, "test")
        answers = self.learner.answers(method, fields, network, tests)
        error = answers.um - tests.defocus_um
        own = None
        if learnt is not None:
            fitted = self.learner.answers(method, fields, network, learnt).um
            own = root_mean_square(fitted - learnt.defocus_um)
        self.rows.append(
            StudyRow(
                study=study, method=method, case=case, stacks=stacks,
                rmse_um=root_mean_square(error), zero_um=root_mean_square(tests.defocus_um),
                limit_um=THICKNESS_UM[kind] / 2, train_rmse_um=own,
                sure_rmse_um=sure_rmse_um(error, answers.certainty),
            )
        )  # fmt: skip

    def numbers_of_stacks(self) -> None:
        """Error against the number of stacks of cells."""
        for method in self.methods:
            cells = self.examples(method, CELLS, "train")
            for count in self.sizes.counts:
                self.tell(f"{method}, {count} stacks")
                part = cells.chosen(slice(0, count))
                network = self.learner.learn(method, self.sizes.fields, part)
                self.measure("stacks", method, f"{count}", network, kind=CELLS, stacks=count)
                self.networks[method] = network

    def kinds(self) -> None:
        """Cells to tissue, before and after fine-tuning with as many stacks of cells mixed in."""
        most = max(self.sizes.counts)
        for method in self.methods:
            base = self.networks[method]
            for kind in (CELLS, TISSUE):
                self.measure("kinds", method, f"on {kind}", base, kind=kind, stacks=most)
            cells = self.examples(method, CELLS, "train")
            tissue = self.examples(method, TISSUE, "train")
            for count in self.sizes.tuning:
                self.tell(f"{method}, fine-tuned with {count} stacks of {TISSUE}")
                both = FeatureSet.joined(
                    [tissue.chosen(slice(0, count)), cells.chosen(slice(0, min(count, most)))]
                )
                tuned = self.learner.learn(method, self.sizes.fields, both, first=base)
                for kind in (TISSUE, CELLS):
                    case = f"on {kind}, tuned with {count}"
                    self.measure("kinds", method, case, tuned, kind=kind, stacks=count)

    def magnitude_or_phase(self) -> None:
        """The same network on the magnitude and on the phase of the same frequencies."""
        most = max(self.sizes.counts)
        for method in (PUBLISHED, PHASE):
            cells = self.examples(method, CELLS, "train")
            if method == PHASE:
                self.tell("phase instead of magnitude")
                self.networks[PHASE] = self.learner.learn(method, self.sizes.fields, cells)
            case = "magnitude" if method == PUBLISHED else "phase"
            self.measure(
                "feature", method, case, self.networks[method], kind=CELLS, stacks=most,
                learnt=cells,
            )  # fmt: skip

    def lights(self) -> None:
        """One LED at several angles, and several LEDs together: the published network."""
        cases = {f"{na:g}": ((0.0, na),) for na in ANGLES_NA}
        leds = sorted({led for group in (*cases.values(), *PATTERNS.values()) for led in group})
        steepest = max(math.hypot(*led) for led in leds)
        fields = self.sizes.fields.model_copy(update={"pixel_um": 0.24})
        self.tell(f"{self.sizes.lights} stacks by {len(leds)} LEDs, to NA {steepest:g}")
        extract = self.learner.extract(PUBLISHED, fields)
        every = {**{("angle", k): v for k, v in cases.items()},
                 **{("pattern", k): v for k, v in PATTERNS.items()}}  # fmt: skip
        tests = max(1, self.sizes.lights // 4)
        parts = {name: ([], []) for name in every}  # type: ignore[var-annotated]
        for number in range(self.sizes.lights + tests):
            scene = LedScene.draw(fields, CELLS, seed=TEST + 1000 + number)
            images = {led: scene.light([led]) for led in leds}
            for name, group in every.items():
                light = torch.stack([images[led] for led in group]).mean(0)
                stack = scene.expose(light)
                part = parts[name][0] if number < self.sizes.lights else parts[name][1]
                part.append((extract(stack).half(), stack.defocus_um))
        for (study, case), (train, test) in parts.items():
            self.tell(f"{study}: {case}")
            learnt, seen = _joined(train), _joined(test)
            network = self.learner.learn(PUBLISHED, fields, learnt)
            error = self.learner.answers(PUBLISHED, fields, network, seen).um - seen.defocus_um
            self.rows.append(
                StudyRow(
                    study=study, method=PUBLISHED, case=case, stacks=len(learnt),
                    rmse_um=root_mean_square(error), zero_um=root_mean_square(seen.defocus_um),
                    limit_um=THICKNESS_UM[CELLS] / 2,
                )
            )  # fmt: skip

    def truths(self) -> tuple[float, ...]:
        """Focus by the published rule less the mean height of the structure, in um."""
        self.tell("published truth of some stacks")
        fields = self.sizes.fields.model_copy(update={"size_px": 256})
        offsets = []
        for number in range(self.sizes.truths):
            scene = LedScene.draw(fields, CELLS, seed=TEST + 2000 + number)
            found = published_focus_um(scene.specimen, fields.setup, about_um=scene.focus_um)
            offsets.append(found - scene.focus_um)
        return tuple(offsets)

    def finished(self) -> Studies:
        """Run everything that is left, and give it all."""
        self.numbers_of_stacks()
        self.kinds()
        self.magnitude_or_phase()
        self.lights()
        fields = self.sizes.fields
        maps = {
            method: self.learner.saliency(
                method, fields, self.networks[method], self.examples(method, CELLS, "test")
            )
            for method in self.methods
        }
        return Studies(
            sizes=self.sizes,
            rows=tuple(self.rows),
            saliency=maps,
            edge_share={name: edge_ratio(each, *extent(name)) for name, each in maps.items()},
            truth_offsets_um=self.truths(),
        )


def _gather(
    fields: LedFields, kind: str, seeds: range, extracts: Sequence[Any]
) -> list[FeatureSet]:
    """Features of each stack by several methods; images are simulated once."""
    parts: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in extracts]
    for seed in seeds:
        scene = LedScene.draw(fields, kind, seed=seed)
        stack = scene.expose(scene.light())
        for part, extract in zip(parts, extracts, strict=True):
            part.append((extract(stack).half(), stack.defocus_um))
    return [_joined(part) for part in parts]


def _joined(part: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> FeatureSet:
    features, defocus = zip(*part, strict=True)
    return FeatureSet(
        features=torch.stack(features), defocus_um=torch.stack(defocus), kinds=("",) * len(part)
    )


def extent(method: str) -> tuple[float, float]:
    """Largest frequency across and along of a method's features, in NA / wavelength."""
    return (0.1625, 0.9779) if method == PUBLISHED else (56 / 62.8, 64 / 62.8)


def edge_ratio(
    saliency: Float[np.ndarray, "v u"],
    across: float,
    along: float,
    *,
    led: float = 0.6,
    width: float = 0.08,
) -> float:
    """Mean saliency within ``width`` of the edge of either circle, over that elsewhere.

    The circles of radius 1 lie at +-``led`` along, all in NA / wavelength.

    Examples
    --------
    >>> edge_ratio(np.ones((5, 40)), 0.2, 1.0)
    1.0
    """
    v = (np.arange(saliency.shape[0])[:, None] + 0.5) / saliency.shape[0] * across
    u = ((np.arange(saliency.shape[1]) + 0.5) / saliency.shape[1] * 2 - 1) * along
    near = np.minimum(np.abs(np.hypot(v, u - led) - 1), np.abs(np.hypot(v, u + led) - 1)) < width
    return float(saliency[near].mean() / saliency[~near].mean())
