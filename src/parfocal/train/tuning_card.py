"""Whether a fine-tuned model is better, and the card that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parfocal.models.card import ModelCard
from parfocal.predict.calibration import Calibration
from parfocal.train.making import code_revision
from parfocal.train.stack_trials import ClassicalError, StackTrials, recalibrated
from parfocal.train.tuning_plan import TuningPlan

RULE = (
    "a fine-tuned model is kept if its mean |error| over all pairs of the stacks that judge, "
    "declined ones too and every stack alike, is less than before, and less than that of DCTS "
    "with the images that a classical search takes"
)


@dataclass(frozen=True)
class Verdict:
    """Mean |error| on the stacks that judge, in effective depths of field.

    Parameters
    ----------
    before, after
        Of the model to begin with, and of the fine-tuned one.
    classical
        Of DCTS, and how many images it takes.
    stacks
        How many judge.
    """

    before: float
    after: float
    classical: ClassicalError
    stacks: int

    @property
    def is_better(self) -> bool:
        """Whether the fine-tuned model is kept (``RULE``)."""
        return self.after < self.before and self.after < self.classical.mean

    @property
    def advice(self) -> str:
        """What to do about a model that is not kept."""
        if self.after < self.before:
            return (
                "On these stacks a classical search is better, where there is time for its images; "
                "--option classical_images=4 compares with as many as two looks of a network take."
            )
        return "Stacks of more specimens, or a smaller --option peak_rate, may help."

    def __str__(self) -> str:
        what = f"{self.stacks} held-out stack{'s' if self.stacks > 1 else ''}"
        return (
            f"mean |error| on {what}: {self.after:.2f} effective depths of field after, "
            f"{self.before:.2f} before, {self.classical.mean:.2f} by DCTS with "
            f"{self.classical.images:.0f} images"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What came of fine-tuning.

    Parameters
    ----------
    verdict
        On the stacks that judge.
    held_out, judged
        Trials of the fine-tuned model on all stacks held out, and on those that judge.
    steps
        After which each member's weights were kept.
    seconds, machine
        How long it took, and on what.
    """

    verdict: Verdict
    held_out: StackTrials
    judged: StackTrials
    steps: tuple[int, ...]
    seconds: float
    machine: str


def tuned_card(plan: TuningPlan, outcome: Outcome, *, name: str) -> ModelCard:
    """Card of a fine-tuned model: all that the one before said that still holds, and what is new.

    Figures of the model before are not those of this one and are left out.
    """
    base, verdict = plan.card, outcome.verdict
    start = Calibration.model_validate(base.calibration)
    calibration, coverage, said = recalibrated(outcome.held_out, start)
    metrics = outcome.judged.metrics("stacks") | {
        "mean_error_depths_all_pairs_before": round(verdict.before, 4),
        "mean_error_depths_dcts": round(verdict.classical.mean, 4),
        "images_dcts": round(verdict.classical.images, 1),
        "stacks": float(verdict.stacks),
    }
    measured = outcome.judged.coverage() if coverage is None else coverage
    return base.model_copy(
        update={
            "name": name,
            "recipe": _recipe(plan, outcome),
            "commit": code_revision(),
            "seed": plan.seed,
            "data": _data(plan, verdict),
            "seconds": round(outcome.seconds, 1),
            "machine": outcome.machine,
            "metrics": metrics,
            "coverage": {} if measured is None else {"stacks": round(measured, 4)},
            "calibration": calibration.model_dump(mode="json"),
            "limits": (
                *base.limits,
                "Fine-tuned for the microscope of its stacks; on another one the model before may "
                "be better.",
                said,
            ),
        }
    )


def _recipe(plan: TuningPlan, outcome: Outcome) -> dict[str, Any]:
    parts = {part: plan.part(numbers) for part, numbers in vars(plan.split).items()}
    return {
        "kind": "tuned",
        "base": plan.card.name,
        "base_sha256": plan.card.sha256,
        "pair": plan.pair.model_dump(mode="json"),
        "tuning": plan.recipe.model_dump(mode="json"),
        "kept_steps": list(outcome.steps),
        "focus_um": {
            part: {known.name: round(known.focus_um, 4) for known in own}
            for part, own in parts.items()
        },
    }


def _data(plan: TuningPlan, verdict: Verdict) -> str:
    """What it was trained on, chosen by and measured on."""
    learnt, chose, judged = (
        f"{len(numbers)} stacks of {len({known.specimen for known in plan.part(numbers)})} "
        "specimens"
        for numbers in (plan.split.learn, plan.split.choose, plan.split.judge)
    )
    chosen = (
        f"of each member the epoch with the least mean |error| on {chose}"
        if plan.split.choose
        else "the last averaged weights, since no stack was left to choose by"
    )
    labels = ", ".join(dict.fromkeys(known.label for known in plan.found.stacks))
    return (
        f"{plan.card.name} (trained on: {plan.card.data}), fine-tuned on {learnt}, with a share of "
        f"{plan.recipe.simulated:g} simulated pairs among them. Kept: {chosen}. Measured on "
        f"{judged}, all others. Labels: {labels}. Rule: {RULE}. {verdict}."
    )
