"""Deep-R as published: a generator against a discriminator, several updates of each in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.nets.luo2020 import Luo2020Discriminator, Luo2020Generator
from parfocal.simulate.blurred_fields import OBJECTS, BlurredBatch, BlurredFields
from parfocal.train.checkpoints import read_checkpoint, write_checkpoint
from parfocal.train.loop import Progress, pick_precision
from parfocal.train.refocus_losses import ms_ssim, to_unit_range
from parfocal.train.refocus_task import MARGIN_PX, inside

GENERATOR_UPDATES, DISCRIMINATOR_UPDATES = 6, 3
CUT_OFF = 0.1
"""Of BerHu: this share of the truth's standard deviation."""
STEADY = 0.99
"""Share of a running mean of each term that stays."""
VALIDATION = 24
UNSEEN_SEED = 1_000_003


class Luo2020Recipe(BaseModel):
    """What decides what Deep-R learns; defaults as published but for their length.

    Parameters
    ----------
    widths, judge_widths
        Channels of generator and discriminator.
    objects
        Families of specimens that it sees.
    reach_dof
        Largest |defocus|.
    batch, patch_px
        Of training; the paper has patches of 512 px.
    steps, epoch_steps
        Iterations, of six updates of the generator and three of the discriminator; a checkpoint
        after each epoch, when the validation also chooses the best. The paper has 100,000.
    rate, judge_rate
        Of Adam, for the generator and for the discriminator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["luo2020"] = "luo2020"
    name: str = "luo2020"
    widths: tuple[int, ...] = (32, 64, 128, 256)
    judge_widths: tuple[int, ...] = (16, 32, 64, 128)
    objects: tuple[str, ...] = OBJECTS
    reach_dof: Annotated[float, Field(gt=0)] = 7.0
    batch: Annotated[int, Field(ge=1)] = 5
    patch_px: Annotated[int, Field(ge=48)] = 128
    steps: Annotated[int, Field(ge=1)] = 400
    epoch_steps: Annotated[int, Field(ge=1)] = 50
    rate: Annotated[float, Field(gt=0)] = 5e-4
    judge_rate: Annotated[float, Field(gt=0)] = 1e-6
    members: Literal[1] = 1


@dataclass(eq=False)
class _State:
    """All that a run must remember to go on."""

    generator: nn.Module
    judge: nn.Module
    makers: torch.optim.Optimizer
    judges: torch.optim.Optimizer
    means: Tensor
    best: dict[str, Tensor]
    scores: list[float]
    step: int = 0

    @classmethod
    def start(cls, recipe: Luo2020Recipe, seed: int, device: torch.device) -> _State:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = Luo2020Generator(widths=recipe.widths).to(device)
            judge = Luo2020Discriminator(widths=recipe.judge_widths).to(device)
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        makers = torch.optim.Adam(generator.parameters(), lr=recipe.rate)
        judges = torch.optim.Adam(judge.parameters(), lr=recipe.judge_rate)
        return cls(generator, judge, makers, judges, torch.zeros(3, device=device), {}, [])

    def parts(self) -> dict[str, Any]:
        return {"generator": self.generator, "judge": self.judge, "makers": self.makers,
                "judges": self.judges}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        values = {name: part.state_dict() for name, part in self.parts().items()}
        return values | {"means": self.means, "best": self.best, "scores": self.scores,
                         "step": self.step}  # fmt: skip

    def load(self, kept: dict[str, Any]) -> None:
        for name, part in self.parts().items():
            part.load_state_dict(kept[name])
        self.means, self.best = kept["means"], kept["best"]
        self.scores, self.step = kept["scores"], kept["step"]


def train_luo2020(
    recipe: Luo2020Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> nn.Module:
    """Train a generator as published, and give the one with the least BerHu in validation.

    The three terms are held to equal shares, each divided by its own running mean: the paper
    balances them by hand. A run that was killed goes on from its checkpoint and ends the same.

    Raises
    ------
    ReadError
        If the checkpoint belongs to another recipe or seed.
    InputError
        If the cost is no number any more.
    """
    where = pick_device(device)
    state = _State.start(recipe, seed, where)
    identity: dict[str, object] = {"task": recipe.model_dump_json(), "seed": seed}
    if checkpoint is not None and checkpoint.exists():
        state.load(read_checkpoint(checkpoint, identity, where))
    known = next(batches_of(recipe, UNSEEN_SEED + seed, where, batch=VALIDATION))
    while state.step < recipe.steps:
        epoch = state.step // recipe.epoch_steps
        batches = batches_of(recipe, seed * 100_003 + epoch, where)
        while state.step < min(recipe.steps, (epoch + 1) * recipe.epoch_steps):
            cost = _iterate(state, *next(batches), where)
            state.step += 1
            if on_step is not None:
                on_step(Progress(state.step, recipe.steps, cost, 0.0, recipe.rate))
        _keep_best(state, *known)
        if checkpoint is not None:
            write_checkpoint(checkpoint, {"identity": identity, **state.to_dict()})
    state.generator.load_state_dict(state.best)
    return state.generator.eval()


def batches_of(
    recipe: Luo2020Recipe, seed: int, device: torch.device, *, batch: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of images and truths (b, 1, y, x), normalised by the image, without end."""
    source = BlurredFields(
        batch=recipe.batch if batch is None else batch, size_px=recipe.patch_px + 2 * MARGIN_PX,
        reach_dof=recipe.reach_dof, seed=seed, device=str(device), objects=recipe.objects,
    )  # fmt: skip
    for fields in source:
        yield pairs_of(fields)


def pairs_of(
    fields: BlurredBatch,
) -> tuple[Float[Tensor, "b 1 y x"], Float[Tensor, "b 1 y x"]]:
    """Images of zero mean and unit variance, and their truths in the same units."""
    images = inside(fields.images)
    mean, spread = images.mean((1, 2), keepdim=True), images.std((1, 2), keepdim=True)
    spread = spread.clamp(min=1e-6)
    images, truths = ((each - mean) / spread for each in (images, inside(fields.sharp)))
    return images[:, None], truths[:, None]


def _iterate(state: _State, images: Tensor, truths: Tensor, device: torch.device) -> float:
    """Six updates of the generator and three of the discriminator, on one batch."""
    precision = pick_precision(device)
    value = 0.0
    for number in range(GENERATOR_UPDATES):
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            made = state.generator(images).float()
            verdict = state.judge(made).float()
        terms = generator_terms(made, truths, verdict)
        now = terms.detach()
        is_first = state.step == 0 and number == 0
        state.means = now if is_first else torch.lerp(now, state.means, STEADY)
        _update(state.makers, (terms / state.means.clamp(min=1e-6)).mean())
        value = float(now[2])
        if number % 2:
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                wrong, right = state.judge(made.detach()).float(), state.judge(truths).float()
            _update(state.judges, discriminator_cost(wrong, right))
    if not value < float("inf"):
        raise InputError(f"Training diverged at iteration {state.step}: give a lower rate.")
    return value


def _update(learner: torch.optim.Optimizer, cost: Tensor) -> None:
    learner.zero_grad(set_to_none=True)
    cost.backward()  # type: ignore[no-untyped-call]
    learner.step()


def generator_terms(
    made: Float[Tensor, "b 1 y x"], truth: Float[Tensor, "b 1 y x"], verdict: Float[Tensor, " b"]
) -> Float[Tensor, " terms"]:
    """The three terms before they are balanced: (1 - D)^2, 1 - MS-SSIM and BerHu.

    The paper prints MS-SSIM with a plus sign in a cost that falls; its words mean this.
    """
    low, span = to_unit_range(truth[:, 0])
    alike = ms_ssim((made[:, 0] - low) / span, (truth[:, 0] - low) / span)
    return torch.stack(
        [(1 - verdict).square().mean(), (1 - alike).mean(), reversed_huber(made, truth)]
    )


def discriminator_cost(wrong: Float[Tensor, " b"], right: Float[Tensor, " b"]) -> Tensor:
    """D(G(x))^2 + (1 - D(y))^2 [Mao2017]_.

    Examples
    --------
    >>> discriminator_cost(torch.zeros(2), torch.ones(2))
    tensor(0.)
    """
    return wrong.square().mean() + (1 - right).square().mean()


def reversed_huber(made: Float[Tensor, "*b y x"], truth: Float[Tensor, "*b y x"]) -> Tensor:
    """BerHu [Laina2016]_: absolute differences up to a tenth of the truth's SD, then squares.

    Examples
    --------
    >>> truth = torch.tensor([[[-1.0, 1.0]]])
    >>> reversed_huber(truth, truth), bool(reversed_huber(truth + 1, truth) > 1)
    (tensor(0.), True)
    """
    cut = (CUT_OFF * truth.std((-2, -1), keepdim=True)).clamp(min=1e-3)
    size = (made - truth).abs()
    return torch.where(size <= cut, size, (size.square() + cut.square()) / (2 * cut)).mean()


@torch.no_grad()
def _keep_best(state: _State, images: Tensor, truths: Tensor) -> None:
    score = float(reversed_huber(state.generator(images), truths))
    if not state.scores or score < min(state.scores):
        state.best = {k: v.clone() for k, v in state.generator.state_dict().items()}
    state.scores.append(score)
