"""Refocusing onto a surface as a task: deep simulated fields, views by height, truth there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.surface_unet import SurfaceMaps, SurfaceNetwork
from parfocal.refocus.hypotheses import Levels, levels_of
from parfocal.refocus.surface_views import (
    CUES,
    HEIGHTS_DOF,
    LEVEL_DOF,
    UNASSUMING,
    VIEWS,
    even_views,
    hat,
    height_cues,
    surface_facts,
    taken_out,
)
from parfocal.simulate.surface_fields import (
    LEVELS,
    STEP_DOF,
    SurfaceBatch,
    SurfaceFields,
)
from parfocal.simulate.surface_scenes import OBJECTS, SPARSE
from parfocal.train.loop import Batch, Schedule
from parfocal.train.refocus_losses import ms_ssim, to_unit_range
from parfocal.train.refocus_task import doubt_cost, relative_error

MARGIN_PX = 16
"""Of a field around its patch: light comes from beyond a patch's edges."""
CUT_SHARE = 0.25
"""Of the batches: the patch is the whole image, and mirrors of it lie beyond its edges."""
USES = 24
"""How often one set of optics is used, in the mean."""
PER_LEVEL = round(LEVEL_DOF / STEP_DOF)


class SurfaceRecipe(BaseModel):
    """Everything that decides what a network learns that refocuses onto surfaces.

    Parameters
    ----------
    reach_dof
        Farthest surfaces and objects, in depths of field.
    sections
        Share of the truths that are confocal-equivalent: one network serves both models.
    widths, blocks
        Of the network.
    objects, sparse
        Families of specimens that it sees: in one layer or a sheet, and in several layers.
    batch, patch_px, steps, epoch_steps, peak_rate
        Of training; each field of a batch is asked on two surfaces, an even and an uneven one.
    absolute, structure, relative, mix, doubt, height
        Weights of the terms of the loss: absolute error, 1 - MS-SSIM, logarithm of the error over
        that of the input, absolute error of the mix of views alone, likelihood of the errors
        under their predicted size, and cross-entropy of the views' weights with the true heights
        of light.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["surface"] = "surface"
    name: str = "deep-z-fluorescence"
    reach_dof: Annotated[float, Field(gt=4, le=8)] = 8.0
    sections: Annotated[float, Field(ge=0, le=1)] = 0.2
    widths: tuple[int, ...] = (32, 64, 96, 128)
    blocks: tuple[int, ...] = (1, 1, 1, 2)
    objects: tuple[str, ...] = OBJECTS
    sparse: tuple[str, ...] = SPARSE
    batch: Annotated[int, Field(ge=1)] = 6
    patch_px: Annotated[int, Field(ge=48)] = 128
    steps: Annotated[int, Field(ge=1)] = 12_000
    epoch_steps: Annotated[int, Field(ge=1)] = 200
    peak_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    absolute: Annotated[float, Field(ge=0)] = 4.0
    structure: Annotated[float, Field(ge=0)] = 0.5
    relative: Annotated[float, Field(ge=0)] = 0.2
    mix: Annotated[float, Field(ge=0)] = 0.5
    doubt: Annotated[float, Field(ge=0)] = 0.02
    height: Annotated[float, Field(ge=0)] = 0.8

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
            "views": VIEWS,
            "cues": CUES,
            "widths": list(self.widths),
            "blocks": list(self.blocks),
        }


class SurfaceTask:
    """Trains a ``SurfaceNetwork`` on fields of ``SurfaceFields``."""

    def __init__(self, recipe: SurfaceRecipe) -> None:
        self.recipe = recipe

    @property
    def name(self) -> str:
        """The recipe with all that decides the weights: no other checkpoint fits."""
        return self.recipe.model_dump_json()

    def build(self, seed: int) -> nn.Module:
        """Build the network; the generator of the process is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return SurfaceNetwork(**self.recipe.settings)  # type: ignore[arg-type]

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Views, surfaces, cues, facts, truth and shares of heights without end."""
        recipe = self.recipe
        source = SurfaceFields(
            batch=recipe.batch,
            size_px=recipe.patch_px + 2 * MARGIN_PX,
            reach_dof=recipe.reach_dof,
            sections=recipe.sections,
            seed=seed,
            device=str(device),
            objects=recipe.objects,
            sparse=recipe.sparse,
            reuse=(USES, 4 * recipe.batch),
        )
        dice = torch.Generator().manual_seed(seed)
        while True:
            is_cut = float(torch.rand((), generator=dice)) < CUT_SHARE
            yield batch_of(*source.draw(), is_cut=is_cut)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cost of images, of their doubt and of the heights at which their light was found."""
        views, surface, cues, facts, truth, shares = batch
        maps: SurfaceMaps = network(views, surface, cues, facts)
        with torch.autocast(views.device.type, enabled=False):
            return self._cost(maps, views, truth, shares)

    def _cost(self, maps: SurfaceMaps, views: Tensor, truth: Tensor, shares: Tensor) -> Tensor:
        recipe = self.recipe
        low, span = to_unit_range(truth)
        error = ((maps.shown - truth).abs() / span).mean()
        of_mix = ((maps.mixed - truth).abs() / span).mean()
        alike = ms_ssim((maps.shown - low) / span, (truth - low) / span).mean()
        relative = relative_error(maps.shown, views[:, 0], truth).mean()
        doubt = doubt_cost(maps.scales, maps.shown.detach(), views[:, 0], truth)
        right = maps.scores[:, UNASSUMING:].log_softmax(1) * shares
        wrong = -right.sum() / shares.sum().clamp(min=1e-6)
        return (
            recipe.absolute * error
            + recipe.structure * (1 - alike)
            + recipe.relative * relative
            + recipe.mix * of_mix
            + recipe.doubt * doubt
            + recipe.height * wrong
        )


def batch_of(even: SurfaceBatch, uneven: SurfaceBatch, *, is_cut: bool = False) -> Batch:
    """Views, surfaces, cues, facts, truth, and at half the sampling the shares of heights."""
    images = inside(even.images)
    levels = levels_of(images)
    whole = even.images
    if is_cut:
        whole = functional.pad(images[:, None], [MARGIN_PX] * 4, mode="reflect")[:, 0]
    pixel = even.pixel_um * even.na / even.wavelength_um
    clear, fits = taken_out(whole, levels, transfers=_planes(even, _steps(0.0)), pixel=pixel)
    small = levels.normalised(whole)
    views = torch.cat(
        [
            inside(_even_views(even, clear, small, levels)),
            inside(_uneven_views(uneven, clear, small, levels)),
        ]
    )
    both = (even, uneven)
    facts = [
        surface_facts(
            pixel=pixel, ratio=each.na / each.index, noise=levels.noise, spherical=each.told,
            section=each.is_section.to(pixel),
        )
        for each in both
    ]  # fmt: skip
    truth = [levels.normalised(inside(each.truth)) for each in both]
    surface = [inside(each.surface_dof) for each in both]
    shares = [functional.avg_pool2d(inside(height_shares(each)), 2) for each in both]
    views = views.contiguous(memory_format=torch.channels_last)
    cues = height_cues(inside(fits)).repeat(2, 1, 1, 1)
    return views, torch.cat(surface), cues, torch.cat(facts), torch.cat(truth), torch.cat(shares)


def height_shares(drawn: SurfaceBatch) -> Float[Tensor, "b k y x"]:
    """How much of each pixel's light comes from near each assumed height."""
    nodes = torch.tensor(HEIGHTS_DOF, device=drawn.images.device)
    heights = drawn.heights_dof.clamp(float(nodes[0]), float(nodes[-1]))
    upper = torch.searchsorted(nodes, heights.contiguous()).clamp(1, len(nodes) - 1)
    rise = (heights - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1])
    weights = functional.one_hot(upper, len(nodes)) * rise[..., None]
    weights = weights + functional.one_hot(upper - 1, len(nodes)) * (1 - rise)[..., None]
    return torch.einsum("blk,blyx->bkyx", weights, drawn.shares)


def _steps(level_dof: Tensor | float) -> Tensor:
    """Defocus of light at each assumed height on a plane, in steps of the grid."""
    heights = torch.tensor(HEIGHTS_DOF)
    level = level_dof[:, None].cpu() if isinstance(level_dof, Tensor) else level_dof
    return ((level - heights) / STEP_DOF).round().long()


def _planes(drawn: SurfaceBatch, steps: Tensor) -> Float[Tensor, "b k y kx"]:
    """Nominal transfer functions of some planes of the grid; the farthest for what is beyond."""
    nominal = drawn.nominal
    middle = nominal.shape[1] // 2
    place = (steps + middle).clamp(0, nominal.shape[1] - 1).to(nominal.device)
    if place.ndim == 1:
        return nominal[:, place]
    return nominal[torch.arange(len(nominal), device=nominal.device)[:, None], place]


def _even_views(drawn: SurfaceBatch, clear: Tensor, small: Tensor, levels: Levels) -> Tensor:
    wanted = drawn.surface_dof[:, 0, 0]
    return even_views(clear, small, levels, transfers=_planes(drawn, _steps(wanted)))


def _uneven_views(drawn: SurfaceBatch, clear: Tensor, small: Tensor, levels: Levels) -> Tensor:
    """Views on uneven surfaces, between planes ``LEVEL_DOF`` apart."""
    lowest = (drawn.surface_dof.amin((1, 2)) / STEP_DOF).floor() * STEP_DOF
    total = torch.zeros(len(small), VIEWS, *small.shape[1:], device=small.device)
    for number in range((LEVELS - 1) // PER_LEVEL + 2):
        level = lowest + number * LEVEL_DOF
        say = hat(drawn.surface_dof, level)
        if bool(say.any()):
            views = even_views(clear, small, levels, transfers=_planes(drawn, _steps(level)))
            total.addcmul_(views, say[:, None])
    return total


def inside(fields: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b v u"]:
    """Fields without their margins."""
    return fields[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
