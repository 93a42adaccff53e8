"""Blind refocusing as a task: simulated fields, views by assumed distances, truth in focus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.refocus_unet import RefocusMaps, RefocusNetwork, field_logits
from parfocal.refocus.hypotheses import (
    HYPOTHESES_DOF,
    levels_of,
    refocus_facts,
    views_of,
)
from parfocal.simulate.blurred_fields import OBJECTS, BlurredBatch
from parfocal.simulate.clear_fields import STAINED, ClearFields
from parfocal.simulate.stained_fields import fields_of
from parfocal.train.loop import Batch, Schedule
from parfocal.train.refocus_losses import ms_ssim, to_unit_range
from parfocal.train.starting import start_from

MARGIN_PX = 16
"""Of a field around its patch: light comes from beyond a patch's edges."""
CUT_SHARE = 0.25
"""Of the batches: the patch is the whole image, and mirrors of it lie beyond its edges."""
LEAST_SCALE = 1e-3
"""Of errors, in standard deviations of the image."""


class RefocusRecipe(BaseModel):
    """Everything that decides what a refocusing network learns.

    Parameters
    ----------
    bins, reach_dof
        Classes of |defocus| from 0 to the reach, in depths of field; fields are drawn to one
        step below it.
    widths, blocks
        Of the network.
    objects
        Families of specimens that it sees.
    clear
        Fields of each batch that are replaced by transmitted light, which the network learns to
        tell from fluorescence, and nothing else.
    batch, patch_px, steps, epoch_steps, peak_rate
        Of training; a checkpoint is written after each epoch.
    absolute, structure, relative, mix, doubt, distance
        Weights of the terms of the loss: absolute error, 1 - MS-SSIM, logarithm of the error over
        that of the input, absolute error of the mix of views alone, likelihood of the errors under
        their predicted size, and cross-entropy of |defocus|.
    start
        Name or folder of a model whose weights it starts from; empty for weights drawn anew.
    members
        Networks of the ensemble.
    is_dark
        Whether it learns stains by transmitted light, not fluorescence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["refocus"] = "refocus"
    name: str = "deep-r-fluorescence"
    bins: Annotated[int, Field(ge=3)] = 17
    reach_dof: Annotated[float, Field(gt=1)] = 8.0
    widths: tuple[int, ...] = (32, 64, 96, 128)
    blocks: tuple[int, ...] = (1, 1, 2, 3)
    objects: tuple[str, ...] = OBJECTS
    clear: Annotated[int, Field(ge=0)] = 1
    batch: Annotated[int, Field(ge=1)] = 12
    patch_px: Annotated[int, Field(ge=48)] = 128
    steps: Annotated[int, Field(ge=1)] = 17_000
    epoch_steps: Annotated[int, Field(ge=1)] = 250
    peak_rate: Annotated[float, Field(gt=0)] = 1.2e-3
    absolute: Annotated[float, Field(ge=0)] = 4.0
    structure: Annotated[float, Field(ge=0)] = 0.5
    relative: Annotated[float, Field(ge=0)] = 0.2
    mix: Annotated[float, Field(ge=0)] = 0.5
    doubt: Annotated[float, Field(ge=0)] = 0.02
    distance: Annotated[float, Field(ge=0)] = 0.1
    start: str = ""
    members: Annotated[int, Field(ge=1)] = 1
    is_dark: bool = False

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return Schedule(
            steps=self.steps, epoch_steps=self.epoch_steps, peak_rate=self.peak_rate,
            weight_decay=1e-4, warm_steps=100, average=0.998,
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, object]:
        """Keyword arguments of the network."""
        return {
            "views": 1 + len(HYPOTHESES_DOF), "bins": self.bins + 1,
            "widths": list(self.widths), "blocks": list(self.blocks),
        }  # fmt: skip


class BrightfieldRecipe(RefocusRecipe):
    """Stains by transmitted light: what fluorescence has taught, with its sign changed.

    Light that stains take away adds up as light that dyes give does, so that training goes on from
    the network for fluorescence.
    """

    name: str = "deep-r-brightfield"
    steps: Annotated[int, Field(ge=1)] = 6_000
    peak_rate: Annotated[float, Field(gt=0)] = 6e-4
    start: str = "deep-r-fluorescence"
    is_dark: bool = True


class RefocusTask:
    """Trains a ``RefocusNetwork`` on fields of ``BlurredFields``."""

    def __init__(self, recipe: RefocusRecipe) -> None:
        self.recipe = recipe

    @property
    def name(self) -> str:
        """The recipe with all that decides one member's weights: no other checkpoint fits."""
        return self.recipe.model_dump_json(exclude={"members"})

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = RefocusNetwork(**self.recipe.settings)  # type: ignore[arg-type]
        if self.recipe.start:
            start_from(network, self.recipe.start)
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Views, facts, truth and labels without end."""
        recipe = self.recipe
        size_px = recipe.patch_px + 2 * MARGIN_PX
        source = fields_of(is_dark=recipe.is_dark)(
            batch=recipe.batch,
            size_px=size_px,
            reach_dof=recipe.reach_dof * (1 - 1 / (recipe.bins - 1)),
            nominal_dof=HYPOTHESES_DOF,
            seed=seed,
            device=str(device),
            objects=recipe.objects,
        )
        clear = None
        if recipe.clear:
            stained = 0.0 if recipe.is_dark else STAINED
            clear = ClearFields(size_px=size_px, seed=seed, device=str(device), stained=stained)
        dice = torch.Generator().manual_seed(seed)
        for fields in source:
            is_cut = float(torch.rand((), generator=dice)) < CUT_SHARE
            others = None if clear is None else clear.draw(recipe.clear).images[:, 0]
            yield self.batch_of(fields, is_cut=is_cut, clear=others)

    def batch_of(
        self, fields: BlurredBatch, *, is_cut: bool = False, clear: Tensor | None = None
    ) -> Batch:
        """Views (b, k, y, x), facts (b, f), truth (b, y, x) and labels (b, bins + 1) of fields.

        The last class of the labels stands for what is no fluorescence, or no stain.
        """
        bins = self.recipe.bins
        dof = fields.defocus_um.abs() / fields.depth_um
        labels = distance_labels(dof, bins=bins, reach_dof=self.recipe.reach_dof)
        labels = functional.pad(labels, (0, 1))
        whole, sharp = fields.images, fields.sharp
        if clear is not None:
            count = len(clear)
            whole = torch.cat([clear, whole[count:]])
            sharp = torch.cat([clear, sharp[count:]])
            labels[:count] = functional.one_hot(torch.tensor(bins), bins + 1).to(labels)
        images = inside(whole)
        levels = levels_of(images, is_dark=self.recipe.is_dark)
        if is_cut:
            around = [MARGIN_PX] * 4
            whole = functional.pad(images[:, None], around, mode="reflect")[:, 0]
        pixel = fields.pixel_um * fields.na / fields.wavelength_um
        views = views_of(whole, levels, transfers=fields.nominal, pixel=pixel)
        facts = refocus_facts(pixel=pixel, ratio=fields.na / fields.index, noise=levels.noise)
        truth = levels.normalised(inside(sharp))
        views = inside(views).contiguous(memory_format=torch.channels_last)
        return views, facts, truth, labels

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cost of images, of their doubt and of their distance."""
        views, facts, truth, labels = batch
        maps: RefocusMaps = network(views, facts)
        with torch.autocast(views.device.type, enabled=False):
            return self._cost(maps, views, truth, labels)

    def _cost(self, maps: RefocusMaps, views: Tensor, truth: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        wrong = functional.cross_entropy(field_logits(maps.logits, maps.weights), labels)
        glows = (labels[:, -1] == 0).nonzero()[:, 0]
        sharp, mixed, truth = maps.sharp[glows], maps.mixed[glows], truth[glows]
        low, span = to_unit_range(truth)
        error = ((sharp - truth).abs() / span).mean()
        of_mix = ((mixed - truth).abs() / span).mean()
        alike = ms_ssim((sharp - low) / span, (truth - low) / span).mean()
        relative = relative_error(sharp, views[glows, 0], truth).mean()
        doubt = doubt_cost(maps.scales[glows], sharp.detach(), views[glows, 0], truth)
        return (
            recipe.absolute * error
            + recipe.structure * (1 - alike)
            + recipe.relative * relative
            + recipe.mix * of_mix
            + recipe.doubt * doubt
            + recipe.distance * wrong
        )


def inside(fields: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b v u"]:
    """Fields without their margins."""
    return fields[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def relative_error(
    sharp: Float[Tensor, "b y x"], image: Float[Tensor, "b y x"], truth: Float[Tensor, "b y x"]
) -> Float[Tensor, " b"]:
    """Logarithm of the root mean square error over that of the input, field by field.

    A field of a few points is dark almost everywhere: its mean error is next to nothing whatever
    becomes of the points, and only beside that of the input does it count as any other field.

    Examples
    --------
    >>> truth = torch.zeros(1, 2, 2)
    >>> round(float(relative_error(truth + 1, truth + 2, truth)), 2)
    -0.69
    """
    mine, before = ((part - truth).square().mean((1, 2)) for part in (sharp, image))
    least = LEAST_SCALE**2
    return 0.5 * ((mine + least).log() - (before + least).log())


def doubt_cost(
    scales: Float[Tensor, "b 2 v u"],
    sharp: Float[Tensor, "b y x"],
    image: Float[Tensor, "b y x"],
    truth: Float[Tensor, "b y x"],
) -> Tensor:
    """Negative log-likelihood of the errors of answer and input, as Laplace's with these scales.

    Examples
    --------
    >>> truth = torch.zeros(1, 2, 2)
    >>> float(doubt_cost(torch.zeros(1, 2, 1, 1), truth + 1, truth + 1, truth))
    1.0
    """
    errors = torch.stack([(sharp - truth).abs(), (image - truth).abs()], 1)
    sizes = functional.avg_pool2d(errors, 2).clamp(min=LEAST_SCALE)
    scales = scales.clamp(-8.0, 6.0)
    return (sizes * (-scales).exp() + scales).mean()


def distance_labels(
    dof: Float[Tensor, " b"], *, bins: int, reach_dof: float
) -> Float[Tensor, "b bins"]:
    """Share each |defocus| between its two neighbouring classes.

    Examples
    --------
    >>> distance_labels(torch.tensor([1.5]), bins=3, reach_dof=2.0)
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    place = (dof * (bins - 1) / reach_dof).clamp(0, bins - 1)
    lower = place.floor().clamp(max=bins - 2)
    labels = functional.one_hot(lower.long(), bins) * (1 - (place - lower))[:, None]
    return labels + functional.one_hot(lower.long() + 1, bins) * (place - lower)[:, None]
