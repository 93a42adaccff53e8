"""Spectrum networks as tasks: batches from features of simulated stacks that are held in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.spectrum import SpectrumNetwork, SpectrumPerceptron
from parfocal.predict.pairs import two_hot
from parfocal.predict.posterior import certainty
from parfocal.predict.spectrum import magnitude_features, phase_features, published_bins
from parfocal.predict.spectrum_windows import COLUMNS, ROWS, log_powers, window_powers, window_px
from parfocal.simulate.led_fields import FeatureSet, LedFields, LedStack
from parfocal.train.loop import Batch, Judge, Schedule, Trained, train_network

Count = Annotated[int, Field(ge=1)]
Kinds = tuple[tuple[str, int], ...]
LEAST_STORED = 1e-6
"""Of the mean power: smaller ones are kept as this."""


class LedRecipe(BaseModel):
    """What both spectrum networks learn from.

    Parameters
    ----------
    kinds
        (specimen, stacks) that are trained on.
    size_px, pixel_um, planes, reach_um
        Of the simulated stacks, see ``LedFields``.
    na, wavelength_nm, led_na_yx
        Optics and light.
    batch, steps, epoch_steps, peak_rate
        Of training; a checkpoint is written after each epoch.
    members
        Networks of the ensemble.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kinds: Kinds
    size_px: Annotated[int, Field(ge=128)] = 512
    pixel_um: Annotated[float, Field(gt=0)] = 0.26
    planes: Count = 20
    reach_um: Annotated[float, Field(gt=0)] = 30.0
    na: Annotated[float, Field(gt=0)] = 0.5
    wavelength_nm: Annotated[float, Field(gt=0)] = 530.0
    led_na_yx: tuple[float, float] = (0.0, 0.3)
    batch: Annotated[int, Field(ge=2)] = 32
    steps: Count = 2500
    epoch_steps: Count = 250
    peak_rate: Annotated[float, Field(gt=0)] = 2e-3
    members: Count = 1

    @property
    def fields(self) -> LedFields:
        """How its stacks are simulated."""
        names = ("size_px", "pixel_um", "planes", "reach_um", "na", "wavelength_nm", "led_na_yx")
        return LedFields(**{name: getattr(self, name) for name in names})


class LedPhaseRecipe(LedRecipe):
    """Our spectrum network.

    Parameters
    ----------
    bins, classes_reach
        Classes, and the largest defocus that they stand for, in depths of field.
    widths, hidden, dropout
        Of the network.
    """

    kind: Literal["led"] = "led"
    name: str = "led-phase"
    kinds: Kinds = (
        ("phase_cells", 150), ("tissue_section", 120), ("histology", 40), ("glass_beads", 30),
        ("blood_smear", 40),
    )  # fmt: skip
    members: Count = 2
    bins: Annotated[int, Field(ge=3)] = 65
    classes_reach: Annotated[float, Field(gt=0)] = 16.0
    widths: tuple[int, ...] = (16, 32, 48, 64)
    hidden: Count = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(
            steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate,
            weight_decay=0.02, average=0.99, warm_steps=100,
        )  # fmt: skip


class Pinkard2019Recipe(LedRecipe):
    """The published network, features, loss and rate [Pinkard2019]_.

    Named corrections. A field of 133 um is one patch, where the paper cuts 665 um to four of
    333 um: simulating sixteen times the area would take the budget. The number that is learnt is
    in depths of field, not um. Training ends after ``steps`` and keeps the epoch that is best on
    validation stacks, where the paper stops 2,000 steps after the best.

    Parameters
    ----------
    magnitude
        Whether the features are magnitudes, as published, or else phases.
    hidden, layers, dropout
        Of the network.
    validation
        Stacks of each kind that choose the epoch.
    """

    kind: Literal["pinkard2019"] = "pinkard2019"
    name: str = "pinkard2019"
    kinds: Kinds = (("phase_cells", 150),)
    planes: Count = 60
    batch: Annotated[int, Field(ge=2)] = 25
    steps: Count = 100_000
    epoch_steps: Count = 1000
    peak_rate: Annotated[float, Field(gt=0)] = 2e-5
    magnitude: bool = True
    hidden: Count = 100
    layers: Count = 10
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.6
    validation: Count = 10

    @property
    def side(self) -> float:
        """Side of a patch in wavelength / NA."""
        return self.size_px * self.pixel_um * self.na / (self.wavelength_nm / 1000)

    @property
    def schedule(self) -> Schedule:
        """Plain Adam at a rate that stays, as published."""
        return _Steady(
            steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate,
            weight_decay=0.0, average=0.0, warm_steps=0, clip=math.inf,
        )  # fmt: skip


class _Steady(Schedule):
    def rate(self, step: int) -> float:
        """Learning rate of every step."""
        return self.peak_rate


def power_features(stack: LedStack, fields: LedFields) -> Float[Tensor, "z w v u"]:
    """Logarithm of the power of each window over the field's mean power: 3 x 3 windows.

    Windows are kept apart, so that training can draw fields of one, of four, or of nine.
    """
    side = window_px(fields.setup)
    places = [round(place) for place in torch.linspace(0, fields.size_px - side, 3).tolist()]
    planes = []
    for image in stack.images:
        windows = [image[y : y + side, x : x + side] for y in places for x in places]
        powers = window_powers(torch.stack(windows))
        planes.append((powers / powers.mean() + LEAST_STORED).log())
    return torch.stack(planes)


def vector_features(
    stack: LedStack, *, side: float, magnitude: bool = True
) -> Float[Tensor, "z f"]:
    """Published features of each image, which is one patch."""
    across, along = published_bins(side)
    extract = magnitude_features if magnitude else phase_features
    return extract(stack.images, cuts=(1, 1), across=across, along=along)[:, 0]


def extract_of(recipe: LedRecipe) -> Callable[[LedStack], Tensor]:
    """What turns a stack into the features of a recipe."""
    if isinstance(recipe, Pinkard2019Recipe):
        return partial(vector_features, side=recipe.side, magnitude=recipe.magnitude)
    return partial(power_features, fields=recipe.fields)


GROUPS = tuple((k,) for k in range(9)) + tuple(
    (k, k + 1, k + 3, k + 4) for k in (0, 1, 3, 4)
) + (tuple(range(9)),) * 5  # fmt: skip
"""Windows that make a field: one, four that touch, or all."""


class ClassesTask:
    """Trains a ``SpectrumNetwork`` on power spectra of part of each field."""

    def __init__(
        self, recipe: LedPhaseRecipe, examples: FeatureSet, *, first: nn.Module | None = None
    ) -> None:
        self.recipe, self.examples, self.first = recipe, examples, first
        self.depth_um = recipe.fields.setup.depth_of_field_um

    @property
    def name(self) -> str:
        """The recipe with all that decides one member's weights: no other checkpoint fits."""
        start = "" if self.first is None else f" from a network, {len(self.examples)} stacks"
        return self.recipe.model_dump_json(exclude={"members"}) + start

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SpectrumNetwork(
                bins=recipe.bins, rows=ROWS, columns=COLUMNS, widths=recipe.widths,
                hidden=recipe.hidden, dropout=recipe.dropout,
            )  # fmt: skip
        if self.first is not None:
            network.load_state_dict(self.first.state_dict())
        else:
            powers = self.examples.features[:, ::4].flatten(0, 1).float().exp().mean(1)
            network.learn_scale(log_powers(powers))
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Spectra (b, v, u) and two-hot labels without end."""
        recipe, dice = self.recipe, torch.Generator().manual_seed(seed)
        features, defocus = self.examples.features, self.examples.defocus_um / self.depth_um
        stacks, planes = defocus.shape

        def draw(most: int, count: int = recipe.batch) -> Tensor:
            return torch.randint(most, (count,), generator=dice)

        while True:
            which, plane, group = draw(stacks), draw(planes), draw(len(GROUPS))
            picked = zip(which.tolist(), plane.tolist(), group.tolist(), strict=True)
            powers = torch.stack(
                [features[s, z, list(GROUPS[g])].float().exp().mean(0) for s, z, g in picked]
            )
            mirrored = torch.rand(recipe.batch, generator=dice) < 0.5
            powers = torch.where(mirrored[:, None, None], powers.flip(-1), powers)
            labels = two_hot(defocus[which, plane], bins=recipe.bins, reach=recipe.classes_reach)
            yield log_powers(powers).to(device), labels.to(device)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy against two-hot labels."""
        spectra, labels = batch
        return functional.cross_entropy(network(spectra).float(), labels)


class NumberTask:
    """Trains a ``SpectrumPerceptron`` as published: squared error of one number."""

    def __init__(
        self, recipe: Pinkard2019Recipe, examples: FeatureSet, *, first: nn.Module | None = None
    ) -> None:
        self.recipe, self.first = recipe, first
        self.stacks = len(examples)
        self.features = examples.features.flatten(0, 1)
        self.targets = examples.defocus_um.flatten() / recipe.fields.setup.depth_of_field_um

    @property
    def name(self) -> str:
        """The recipe with all that decides one member's weights: no other checkpoint fits."""
        start = "" if self.first is None else f" from a network, {self.stacks} stacks"
        return self.recipe.model_dump_json(exclude={"members"}) + start

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SpectrumPerceptron(
                inputs=self.features.shape[1], hidden=recipe.hidden, layers=recipe.layers,
                dropout=recipe.dropout,
            )  # fmt: skip
        if self.first is not None:
            network.load_state_dict(self.first.state_dict())
        else:
            network.learn_scale(self.features.float())
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Features (b, f) and defocus in depths of field without end."""
        dice = torch.Generator().manual_seed(seed)
        while True:
            which = torch.randint(len(self.targets), (self.recipe.batch,), generator=dice)
            yield self.features[which].float().to(device), self.targets[which].to(device)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error in depths of field."""
        features, targets = batch
        return functional.mse_loss(network(features)[:, 0].float(), targets)


def fit_spectrum(
    recipe: LedRecipe,
    examples: FeatureSet,
    *,
    seed: int = 0,
    first: nn.Module | None = None,
    validation: FeatureSet | None = None,
    **how: object,
) -> Trained:
    """Train one network of a recipe on features that are at hand.

    Parameters
    ----------
    recipe
        ``LedPhaseRecipe`` or ``Pinkard2019Recipe``.
    examples
        Features by ``extract_of`` of that recipe.
    seed
        Of weights and batches.
    first
        A network to go on from: fine-tuning, with its scale of the features.
    validation
        Stacks that choose the epoch; the last weights are kept without.
    how
        ``device``, ``checkpoint`` and ``on_step`` of ``train_network``.
    """
    published = isinstance(recipe, Pinkard2019Recipe)
    task: ClassesTask | NumberTask = (
        NumberTask(recipe, examples, first=first)
        if isinstance(recipe, Pinkard2019Recipe)
        else ClassesTask(_ours(recipe), examples, first=first)
    )
    schedule = recipe.schedule if published else _ours(recipe).schedule  # type: ignore[attr-defined]
    judge = None
    if validation is not None:
        name = f"squared error on {len(validation)} stacks"
        judge = Judge(name, lambda network: rmse_um(network, recipe, validation))
    precision = torch.float32 if published else None
    return train_network(task, schedule, seed=seed, judge=judge, precision=precision, **how)  # type: ignore[arg-type]


def _ours(recipe: LedRecipe) -> LedPhaseRecipe:
    return recipe if isinstance(recipe, LedPhaseRecipe) else LedPhaseRecipe()


class LedAnswers(NamedTuple):
    """What a network says of each image of a set.

    Parameters
    ----------
    um
        Defocus.
    certainty
        Of the distribution it comes from; None from a network that says a number alone.
    """

    um: Float[Tensor, "s z"]
    certainty: Float[Tensor, "s z"] | None


@torch.inference_mode()
def answers_of(network: nn.Module, recipe: LedRecipe, examples: FeatureSet) -> LedAnswers:
    """Ask a network about each image of a set; ours about the mirrored spectrum too."""
    network = network.eval()
    depth_um = recipe.fields.setup.depth_of_field_um
    parts = torch.split(examples.features.flatten(0, 1), 256)
    shape = examples.defocus_um.shape
    if not isinstance(recipe, LedPhaseRecipe):
        numbers = torch.cat([network(part.float())[:, 0] for part in parts])
        return LedAnswers(numbers.reshape(shape) * depth_um, None)
    shares = torch.cat([_shares(network, log_powers(p.float().exp().mean(1))) for p in parts])
    classes = torch.linspace(-recipe.classes_reach, recipe.classes_reach, recipe.bins)
    return LedAnswers(
        (shares @ classes).reshape(shape) * depth_um, certainty(shares).reshape(shape)
    )


def _shares(network: nn.Module, spectra: Float[Tensor, "b v u"]) -> Float[Tensor, "b c"]:
    """Mean distribution of a spectrum and of its mirror image across the LED's axis."""
    both: Tensor = network(torch.cat([spectra, spectra.flip(-1)])).float().softmax(-1)
    return both.reshape(2, len(spectra), -1).mean(0)


def rmse_um(network: nn.Module, recipe: LedRecipe, examples: FeatureSet) -> float:
    """Root mean square error of a network on a set, in um."""
    error = answers_of(network, recipe, examples).um - examples.defocus_um
    return float(error.square().mean().sqrt())
