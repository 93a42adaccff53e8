"""Fine-tune an ensemble on a user's stacks, and keep it only where it is better on others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.package import save_model
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.train.log import train_logged
from parfocal.train.loop import Judge, Progress
from parfocal.train.making import Step, machine_name
from parfocal.train.ranks import current_ranks
from parfocal.train.stack_trials import StackTrials, classical_error, try_stacks
from parfocal.train.tuning_card import Outcome, Verdict, tuned_card
from parfocal.train.tuning_plan import TuningPlan
from parfocal.train.tuning_task import TuningTask


class NotBetterError(InputError):
    """A fine-tuned model that is not kept, since it is not better on stacks it never saw."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fine-tuned model that was kept."""

    card: ModelCard
    verdict: Verdict


def tune_model(
    plan: TuningPlan,
    folder: Path,
    *,
    device: str = "cpu",
    log: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> Tuned:
    """Fine-tune each member, judge the ensemble on stacks that it never saw, and save it.

    Of each member the epoch is kept that does best on the stacks that choose; where there are
    none, the last. Each member has a checkpoint in the folder until the end: a run that was
    killed goes on from there. A model in the folder is replaced at the very end, and only by a
    better one.

    Parameters
    ----------
    plan
        From ``plan_tuning``.
    folder
        Where weights and card are written.
    device
        Where to train and to try.
    log
        Folder for TensorBoard.
    on_progress
        Called after each step of training, and before each stack is tried.

    Raises
    ------
    NotBetterError
        If the result is not better (``RULE``); nothing is written.
    ReadError
        If a checkpoint in the folder belongs to other settings.
    """
    where = pick_device(device)
    done = 0

    def tell(what: str, count: int) -> None:
        nonlocal done
        done = count
        if on_progress is not None:
            on_progress(Step(what, count, plan.total))

    held_out = plan.part(plan.split.held_out)
    judging = {known.name for known in plan.part(plan.split.judge)}

    def tried(networks: Sequence[nn.Module]) -> StackTrials:
        predictor = PairPredictor(networks, plan.card, device=device)
        return try_stacks(
            predictor, held_out, most_pairs=plan.recipe.most_pairs,
            on_stack=lambda name: tell(f"trying {name}", done + 1),
        )  # fmt: skip

    before = tried(plan.networks)
    networks, seconds, steps = _train(plan, folder, device=device, log=log, tell=tell)
    after = tried(networks)
    classical = classical_error(plan.part(plan.split.judge), images=plan.recipe.classical_images)
    verdict = Verdict(
        _of(before, judging).mean_error, _of(after, judging).mean_error, classical, len(judging)
    )
    is_first = current_ranks().is_first
    if not verdict.is_better:
        if is_first:
            _clear(plan, folder)
        raise NotBetterError(
            f"not kept: {verdict}; {plan.card.name} stays as it is. {verdict.advice}"
        )
    outcome = Outcome(
        verdict=verdict, held_out=after, judged=_of(after, judging), steps=tuple(steps),
        seconds=seconds, machine=machine_name(where),
    )  # fmt: skip
    card = tuned_card(plan, outcome, name=folder.name)
    if is_first:
        card = replace_model(folder, card, networks)
        _clear(plan, folder)
    return Tuned(card, verdict)


def replace_model(folder: Path, card: ModelCard, networks: list[nn.Module]) -> ModelCard:
    """Save a model whole: until the new one is complete on disk, the old one stays."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    card = save_model(new, card, networks)
    folder.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return card


def _train(
    plan: TuningPlan,
    folder: Path,
    *,
    device: str,
    log: Path | None,
    tell: Callable[[str, int], None],
) -> tuple[list[nn.Module], float, list[int]]:
    """Fine-tune every member; the networks, the seconds, and the steps that were kept."""
    choosing, recipe = plan.part(plan.split.choose), plan.recipe
    judge = None
    if choosing:

        def score(network: nn.Module) -> float:
            predictor = PairPredictor([network], plan.card, device=device)
            return try_stacks(predictor, choosing, most_pairs=recipe.most_pairs).mean_error

        judge = Judge(f"mean |error| on held-out stacks {plan.digest}", score)
    networks, seconds, kept = [], 0.0, []
    begun = len(plan.split.held_out)
    for member, network in enumerate(plan.networks):
        origin = {"base": plan.card.sha256[:8], "member": member, "stacks": plan.digest}
        task = TuningTask(recipe, plan.pair, network, plan.part(plan.split.learn), origin=origin)

        def follow(at: Progress, member: int = member) -> None:
            what = f"member {member + 1} of {len(plan.networks)}, loss {at.loss:.3f}"
            tell(what, begun + member * recipe.steps + at.step)

        trained = train_logged(
            task, recipe.schedule, seed=plan.seed + member, device=device,
            checkpoint=_checkpoint(folder, member), judge=judge, on_step=follow,
            log=None if log is None else log / f"member-{member}",
        )  # fmt: skip
        networks.append(trained.network)
        seconds += trained.seconds
        kept.append(trained.step)
        tell("fine-tuned", begun + (member + 1) * recipe.steps)
    return networks, seconds, kept


def _of(trials: StackTrials, names: set[str]) -> StackTrials:
    """Trials of some stacks."""
    chosen: Any = [name in names for name in trials.stacks.tolist()]
    return StackTrials(**{name: values[chosen] for name, values in vars(trials).items()})


def _checkpoint(folder: Path, member: int) -> Path:
    return folder / f"member-{member}.ckpt"


def _clear(plan: TuningPlan, folder: Path) -> None:
    """Remove checkpoints, and the folder if nothing else is in it."""
    for member in range(len(plan.networks)):
        _checkpoint(folder, member).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
