"""From a recipe to a model on disk: train each member, calibrate, measure, write the card."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.models.card import ModelCard
from parfocal.models.package import CARD, save_model
from parfocal.simulate.catalog import SPECIMENS
from parfocal.train.calibrating import RULE, calibrated
from parfocal.train.held_out import HeldOut
from parfocal.train.log import train_logged
from parfocal.train.loop import Progress
from parfocal.train.pair_task import PairRecipe, PairTask
from parfocal.train.ranks import current_ranks

REACH_SHARE = 7 / 8
"""Of the classes' reach, within which answers are given."""
LIMITS = (
    "Fluorescence only: transparent specimens in brightfield are darkest or faintest in focus, and "
    "the sign of their defocus would be wrong.",
    "Trained on simulated optics alone; on a microscope unlike them the interval may not hold.",
    "Answers need the optics: a wrong NA or pixel size gives wrong lengths.",
    "One image alone does not tell the side.",
    "With more than 0.2 waves of spherical aberration (deep in a mismatched medium) a point has "
    "two sharpest planes, and the interval holds for neither: such lenses did not set it.",
)


@dataclass(frozen=True)
class Step:
    """Where making a model stands."""

    what: str
    done: int
    total: int


@runtime_checkable
class SeesObjects(Protocol):
    """A recipe that names the specimens it trains on."""

    @property
    def objects(self) -> tuple[str, ...]:
        """Rows of ``SPECIMENS``."""
        ...


def make_model(
    recipe: PairRecipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    held_out: HeldOut | None = None,
    log: Path | None = None,
    on_progress: Callable[[Step], None] | None = None,
) -> ModelCard:
    """Train an ensemble, calibrate and measure it on specimens it never saw, and save it.

    Each member has a checkpoint in the folder until the model is saved: a run that was killed
    goes on from there, and members that were finished are not trained again.

    Parameters
    ----------
    recipe
        What is trained.
    folder
        Where weights and card are written; a model that is there is replaced at the very end.
    seed
        Of the first member; member k has ``seed`` + k.
    device
        Where to train and to measure.
    held_out
        Specimens that calibrate and measure; the defaults where None.
    log
        Folder for TensorBoard, one below it for each member.
    on_progress
        Called after each step of training, and before each field of measuring.

    Returns
    -------
    The card, as it was saved.

    Raises
    ------
    InputError
        If a specimen of ``held_out`` is of a family that the recipe trains on.
    MissingExtraError
        If there shall be a log and TensorBoard is not installed.
    ReadError
        If a checkpoint in the folder belongs to other settings.
    """
    held_out = HeldOut() if held_out is None else held_out
    where = pick_device(device)
    require_unseen(recipe, held_out)
    total = recipe.members * recipe.steps + held_out.total
    done = 0

    def tell(what: str) -> None:
        if on_progress is not None:
            on_progress(Step(what, done, total))

    task, networks, seconds = PairTask(recipe), [], 0.0
    folder.mkdir(parents=True, exist_ok=True)
    for member in range(recipe.members):

        def follow(at: Progress, member: int = member) -> None:
            nonlocal done
            done = member * recipe.steps + at.step
            tell(f"member {member + 1} of {recipe.members}, loss {at.loss:.3f}")

        trained = train_logged(
            task, recipe.schedule, seed=seed + member, device=device,
            checkpoint=_checkpoint(folder, member), on_step=follow,
            log=None if log is None else log / f"member-{member}",
        )  # fmt: skip
        networks.append(trained.network)
        seconds += trained.seconds
        done = (member + 1) * recipe.steps

    def count(kind: str) -> None:
        nonlocal done
        done += 1
        tell(f"measuring on {kind}")

    card = _card(recipe, held_out, seed=seed, seconds=seconds, device=where)
    card = calibrated(networks, card, held_out, device=device, on_field=count)
    if not current_ranks().is_first:
        return card
    (folder / CARD).unlink(missing_ok=True)  # an old card must never stand beside new weights
    card = save_model(folder, card, networks)
    for member in range(recipe.members):
        _checkpoint(folder, member).unlink(missing_ok=True)
    return card


def require_unseen(recipe: SeesObjects, held_out: HeldOut) -> None:
    """Raise InputError if a held-out specimen is of a family that is trained on."""
    families = {row.name: row.family for row in SPECIMENS}
    seen = {families.get(name, name) for name in recipe.objects}
    leaks = [name for name in held_out.objects if families.get(name, name) in seen]
    if leaks:
        raise InputError(
            f"{', '.join(leaks)} cannot measure what is trained on {', '.join(sorted(seen))}: give "
            "specimens of other families."
        )


def _checkpoint(folder: Path, member: int) -> Path:
    return folder / f"member-{member}.ckpt"


def _card(
    recipe: PairRecipe, held_out: HeldOut, *, seed: int, seconds: float, device: torch.device
) -> ModelCard:
    start = {
        "bins": recipe.bins,
        "classes_reach": recipe.reach,
        "reach": REACH_SHARE * recipe.reach,
    }
    pairs = recipe.steps * recipe.batch
    unseen = ", ".join(held_out.objects)
    return ModelCard(
        name=recipe.name,
        task="signed defocus of the first of two images, a known distance apart",
        architecture="parfocal.nets.pair:PairNetwork",
        settings={"bins": recipe.bins + 1, "widths": list(recipe.widths), "hidden": recipe.hidden},
        members=recipe.members,
        recipe=recipe.model_dump(mode="json"),
        commit=code_revision(),
        seed=seed,
        data=f"{pairs} simulated pairs a member, of {', '.join(recipe.objects)} and textures, "
        f"{100 * recipe.solid:.0f} % of bodies as thick as they are wide. "
        f"Calibrated and measured on simulated fields of {held_out.size_px} px of {unseen}, which "
        f"training never saw ({held_out.fields} of each for either; errors and widths in effective "
        f"depths of field). Rule: {RULE}.",
        seconds=round(seconds, 1),
        machine=machine_name(device),
        metrics={},
        coverage={},
        calibration=start,
        limits=LIMITS,
    )


def code_revision() -> str:
    """Revision of this package's own git checkout, with "-dirty" where it was changed; or unknown.

    Examples
    --------
    >>> code_revision() != ""
    True
    """
    git = shutil.which("git")
    if git is None:
        return "unknown"
    here = Path(__file__)
    known = _ask(git, here.parent, "ls-files", "--error-unmatch", here.name)
    return (known and _ask(git, here.parent, "describe", "--always", "--dirty")) or "unknown"


def _ask(git: str, folder: Path, *arguments: str) -> str:
    """What git says, or nothing where it fails."""
    call: list[Any] = [git, "-C", folder, *arguments]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def machine_name(device: torch.device) -> str:
    """What computes, without the name of the host.

    Examples
    --------
    >>> "torch" in machine_name(torch.device("cpu"))
    True
    """
    what = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{torch.get_num_threads()} threads of {platform.machine()}"
    )
    return f"{what}, torch {torch.__version__}"
