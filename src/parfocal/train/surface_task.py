"""Refocusing onto a surface as a task: deep simulated fields, light by height, truth there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from parfocal.nets.refocus_unet import STEP
from parfocal.nets.surface_unet import Asked, Emission, SurfaceMaps, SurfaceNetwork, Told
from parfocal.refocus.height_copies import (
    CUES,
    HEIGHTS_DOF,
    LEVEL_DOF,
    hat,
    height_cues,
    matched,
    section_share,
    surface_facts,
    taken_out,
)
from parfocal.refocus.hypotheses import levels_of
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
from parfocal.train.starting import start_from

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
        that of the input, absolute error before the correction, likelihood of the errors under
        their predicted size, and cross-entropy of heights with the true ones.
    start
        Name or folder of a model whose weights it starts from; empty for none.
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
    steps: Annotated[int, Field(ge=1)] = 8_500
    epoch_steps: Annotated[int, Field(ge=1)] = 200
    peak_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    absolute: Annotated[float, Field(ge=0)] = 4.0
    structure: Annotated[float, Field(ge=0)] = 0.5
    relative: Annotated[float, Field(ge=0)] = 0.2
    mix: Annotated[float, Field(ge=0)] = 2.0
    doubt: Annotated[float, Field(ge=0)] = 0.02
    height: Annotated[float, Field(ge=0)] = 1.5
    start: str = ""

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
            "heights": len(HEIGHTS_DOF),
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
            network = SurfaceNetwork(**self.recipe.settings)  # type: ignore[arg-type]
        if self.recipe.start:
            start_from(network, self.recipe.start)
        return network

    def batches(self, seed: int, device: torch.device) -> Iterator[Batch]:
        """Images, sharpened copies, cues, facts, surfaces, truth and heights without end."""
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
        floor, truth, shares = batch[:3]
        told = Told(*batch[3:8])
        image, asked = told.image, Asked(*batch[8:])
        found, maps = network(told, floor, asked)
        with torch.autocast(image.device.type, enabled=False):
            costs = [self._cost(each, inside(image), truth[:, k]) for k, each in enumerate(maps)]
            return torch.stack(costs).mean() + self.recipe.height * height_cost(found, shares)

    def _cost(self, maps: SurfaceMaps, image: Tensor, truth: Tensor) -> Tensor:
        recipe = self.recipe
        low, span = to_unit_range(truth)
        shown, mixed = inside(maps.shown), inside(maps.mixed)
        error = ((shown - truth).abs() / span).mean()
        of_mix = ((mixed - truth).abs() / span).mean()
        alike = ms_ssim((shown - low) / span, (truth - low) / span).mean()
        relative = relative_error(shown, image, truth).mean()
        margin = MARGIN_PX // STEP
        scales = maps.scales[..., margin:-margin, margin:-margin]
        doubt = doubt_cost(scales, shown.detach(), image, truth)
        return (
            recipe.absolute * error
            + recipe.structure * (1 - alike)
            + recipe.relative * relative
            + recipe.mix * of_mix
            + recipe.doubt * doubt
        )


def height_cost(found: Emission, shares: Float[Tensor, "b k v u"]) -> Tensor:
    """Cross-entropy of the heights that were found with those of the light, field by field.

    A field of a few points counts as much as one that is full of light.
    """
    margin = MARGIN_PX // STEP
    scores = found.scores[..., margin:-margin, margin:-margin]
    right = (scores.log_softmax(1)[:, :-1] * shares).sum((1, 2, 3))
    return -(right / shares.sum((1, 2, 3)).clamp(min=1e-6)).mean()


def batch_of(even: SurfaceBatch, uneven: SurfaceBatch, *, is_cut: bool = False) -> Batch:
    """Floor, truth and heights of light; then what ``Told`` and ``Asked`` hold."""
    levels = levels_of(inside(even.images))
    whole = even.images
    if is_cut:
        whole = functional.pad(inside(whole)[:, None], [MARGIN_PX] * 4, mode="reflect")[:, 0]
    pixel = even.pixel_um * even.na / even.wavelength_um
    transfers = _planes(even, _steps(0.0))
    clear, fits = taken_out(whole, levels, transfers=transfers, pixel=pixel)
    facts = surface_facts(
        pixel=pixel, ratio=even.na / even.index, noise=levels.noise, spherical=even.told
    )
    shares = functional.avg_pool2d(inside(height_shares(even)), STEP)
    truth = torch.stack([levels.normalised(inside(each.truth)) for each in (even, uneven)], 1)
    image = levels.normalised(whole)
    alike = matched(image, levels, transfers=transfers)
    told = Told(image, clear, alike, height_cues(fits), facts)
    return levels.floor, truth, shares, *told, *_asked(even, uneven)


def _asked(even: SurfaceBatch, uneven: SurfaceBatch) -> Asked:
    """One plane for the even surface, and planes ``LEVEL_DOF`` apart for the uneven one."""
    wanted = even.surface_dof[:, 0, 0]
    lowest = (uneven.surface_dof.amin((1, 2)) / STEP_DOF).floor() * STEP_DOF
    planes, says = [_passed(even, wanted)], []
    for number in range((LEVELS - 1) // PER_LEVEL + 2):
        level = lowest + number * LEVEL_DOF
        says.append(hat(uneven.surface_dof, level))
        planes.append(_passed(uneven, level))
    ones = torch.ones_like(even.surface_dof)[:, None]
    first = functional.pad(ones, (0, 0, 0, 0, 0, len(says)))
    second = functional.pad(torch.stack(says, 1), (0, 0, 0, 0, 1, 0))
    both = (even, uneven)
    return Asked(
        surface_dof=torch.stack([each.surface_dof for each in both], 1),
        transfers=torch.stack(planes, 1),
        says=torch.stack([first, second], 1),
        is_section=torch.stack([each.is_section.to(ones) for each in both], 1),
    )


def _passed(drawn: SurfaceBatch, level_dof: Float[Tensor, " b"]) -> Float[Tensor, "b k y kx"]:
    """Transfer functions to a plane, times what of each height's light counts there."""
    counts = torch.where(drawn.is_section[:, None], section_share(level_dof), 1.0)
    return _planes(drawn, _steps(level_dof)) * counts[:, :, None, None]


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


def inside(fields: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b v u"]:
    """Fields without their margins."""
    return fields[..., MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
