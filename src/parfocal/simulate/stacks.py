"""From a recipe to a stack with its truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt16

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.core.stack import FocalStack
from parfocal.io.opening import open_stack
from parfocal.optics.noise import expose
from parfocal.simulate.catalog import find_specimen, make_specimen
from parfocal.simulate.focus_truth import in_focus
from parfocal.simulate.imaging import Renderer, binned, sheet_profile
from parfocal.simulate.modalities import (
    LightSheetImaging,
    Transmitting,
    WidefieldImaging,
    object_pixel_um,
)
from parfocal.simulate.objects import specimen_from_image, specimen_from_volume
from parfocal.simulate.recipes import StackRecipe
from parfocal.simulate.specimen import (
    Specimen,
    bend,
    structure_height,
    structure_weight,
)
from parfocal.simulate.terrain import EmptySettings, Terrain

LAYERS_PER_DEPTH = 2.0  # of field
MOST_LAYERS, MOST_SLICES = 64, 16  # of emission; of transmitted light, which crosses them
MARGIN_PX = 32  # camera pixels around a bent field, where the two ends of a slope meet
PLANES_AT_ONCE = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedStack:
    """Counts with all that is true of them.

    Parameters
    ----------
    recipe
        What was asked for.
    seed
        What drew it.
    counts
        What the camera gave.
    focus_um
        Stage z at which the mean height of all structure, weighted by its brightness, is in focus.
    height_um
        Stage z that focuses the structure at each camera pixel; NaN where there is none.
    in_focus
        Camera pixels that hold structure within half a depth of field of each plane.
    specimen
        What was imaged, at its own sampling; add ``reference_um`` to its heights for stage z.
    reference_um
        Stage z at which the specimen's height 0 is in focus.
    """

    recipe: StackRecipe
    seed: int
    counts: UInt16[np.ndarray, "z y x"]
    focus_um: float
    height_um: Float[np.ndarray, "y x"]
    in_focus: Bool[np.ndarray, "z y x"]
    specimen: Specimen
    reference_um: float

    @property
    def stack(self) -> FocalStack:
        """The counts as a stack like any other; it does not tell the truth."""
        recipe = self.recipe
        transmitted = not self.specimen.is_fluorescent
        return FocalStack(
            images=self.counts,
            z_um=np.array(recipe.z_um),
            pixel_um=recipe.setup.pixel_um,
            setup=recipe.setup,
            source=f"{recipe.name}, seed {self.seed}",
            name=f"{recipe.name}-{self.seed}",
            saturation_counts=float(math.floor(recipe.camera.saturation_counts)),
            modality="brightfield" if transmitted else "fluorescence",
        )

    def facts(self) -> dict[str, Any]:
        """What is true, but for the arrays, for a file's metadata."""
        return {
            "focus_um": self.focus_um,
            "reference_um": self.reference_um,
            "seed": self.seed,
            "specimen": self.specimen.name,
            "family": self.specimen.family,
            "recipe": self.recipe.model_dump(mode="json"),
        }

    def truth(self) -> dict[str, np.ndarray]:
        """The arrays of the truth, for a file."""
        return {"height_um": self.height_um, "in_focus": self.in_focus.astype(np.uint8)}


def simulate_stack(
    recipe: StackRecipe,
    *,
    seed: int | None = None,
    device: str = "cpu",
    begin_plane: Callable[[str], None] | None = None,
    renderers: dict[str, Renderer] | None = None,
) -> SimulatedStack:
    """Simulate one stack with its truth; the same recipe and seed give the same counts.

    Parameters
    ----------
    recipe
        What is imaged, and how.
    seed
        Draws specimen, focus and noise; the recipe's own if None.
    device
        Where to compute. The specimen is drawn on the CPU, so that it is the same everywhere.
    begin_plane
        Called with a line of progress as each plane is begun.
    renderers
        Microscopes of earlier stacks, by their settings; a new one joins them. Stacks of the same
        optics then share its transfer functions, which cost most.

    Raises
    ------
    InputError
        If the specimen cannot be made, or shows nothing in this way of imaging.

    Examples
    --------
    >>> from parfocal.simulate.presets import load_recipe
    >>> recipe = load_recipe("luo2020", size_px=64, planes=3, z_step_um=4.0, focus_um=4.0)
    >>> made = simulate_stack(recipe, seed=1)
    >>> made.counts.shape, abs(made.focus_um - 4.0) < 1.0
    ((3, 64, 64), True)
    """
    seed = recipe.seed if seed is None else seed
    where = pick_device(device)
    dice = np.random.default_rng([seed, 7])
    reference_um = _draw_focus(recipe, dice)
    specimen = _make(recipe, seed)
    imaging = recipe.imaging
    if recipe.held_sheet and isinstance(imaging, LightSheetImaging):
        profile = sheet_profile(imaging, -specimen.heights_um)
        specimen = _lit_by(specimen, profile)
        imaging = WidefieldImaging(
            model=imaging.model, aberrations=imaging.aberrations, layers=imaging.layers
        )
    optics = f"{recipe.setup.model_dump_json()} {imaging.model_dump_json()} {where}"
    kept = {} if renderers is None else renderers
    renderer = kept.setdefault(optics, Renderer(recipe.setup, imaging, device=where))
    generator = torch.Generator(where).manual_seed(seed)
    here = specimen.to(where)
    relative_um = [z - reference_um for z in recipe.z_um]
    margin = _margin_px(recipe)
    planes = []
    for start in range(0, len(relative_um), PLANES_AT_ONCE):
        together = relative_um[start : start + PLANES_AT_ONCE]
        if begin_plane is not None:
            for number in range(start, start + len(together)):
                begin_plane(f"plane {number + 1} of {recipe.planes}")
        images = renderer.images(here, together)
        size_y, size_x = recipe.shape_px
        light = images[:, margin : margin + size_y, margin : margin + size_x]
        photons = light.clamp(min=0.0) * recipe.photons + recipe.background_photons
        counts = expose(photons, recipe.camera, generator=generator)
        planes.append(counts.cpu().numpy().astype(np.uint16))
    height, mask, mean_um = _truth(recipe, specimen, relative_um, margin)
    return SimulatedStack(
        recipe=recipe,
        seed=seed,
        counts=np.concatenate(planes),
        focus_um=mean_um + reference_um,
        height_um=height + reference_um,
        in_focus=mask,
        specimen=specimen,
        reference_um=reference_um,
    )


def _draw_focus(recipe: StackRecipe, dice: np.random.Generator) -> float:
    """Stage z of the specimen's reference."""
    focus = recipe.focus_um
    if focus is None:
        low, high = recipe.z_um[0], recipe.z_um[-1]
        focus = (low + 0.25 * (high - low), low + 0.75 * (high - low))
    value = float(dice.uniform(*focus)) if isinstance(focus, tuple) else focus
    return value + recipe.surface.offset_um


def _is_flat(recipe: StackRecipe) -> bool:
    surface = recipe.surface
    return not (surface.tilt_x_um_per_mm or surface.tilt_y_um_per_mm or surface.bump_um)


def _margin_px(recipe: StackRecipe) -> int:
    return 0 if _is_flat(recipe) else MARGIN_PX


def _make(recipe: StackRecipe, seed: int) -> Specimen:
    """The specimen of a recipe, bent to its surface."""
    chosen, setup = recipe.specimen, recipe.setup
    pixel_um = object_pixel_um(setup, recipe.imaging)
    factor, margin = round(setup.pixel_um / pixel_um), _margin_px(recipe)
    size_y, size_x = ((side + 2 * margin) * factor for side in recipe.shape_px)
    if chosen.path is not None:
        specimen = _of_file(recipe, pixel_um, (size_y, size_x))
    else:
        thickness = chosen.thickness_um
        if thickness is None:
            thickness = find_specimen(chosen.name).thickness_um
        step_um = chosen.layer_step_um or _layer_step_um(recipe, thickness)
        specimen = make_specimen(
            chosen.name,
            (size_y, size_x),
            pixel_um=pixel_um,
            thickness_um=thickness,
            layer_step_um=step_um if thickness > step_um else None,
            generator=torch.Generator().manual_seed(seed),
            **chosen.options,
        )
    if _is_flat(recipe):
        return specimen
    terrain = Terrain(recipe.surface, EmptySettings(), seed=seed)
    y = (torch.arange(size_y, dtype=torch.float64) - (size_y - 1) / 2) * pixel_um
    x = (torch.arange(size_x, dtype=torch.float64) - (size_x - 1) / 2) * pixel_um
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    surface = (terrain.height_um(columns, rows) - recipe.surface.offset_um).float()
    extent = float(surface.max() - surface.min() + specimen.heights_um.diff().sum())
    return bend(specimen, surface, step_um=_layer_step_um(recipe, extent))


def _layer_step_um(recipe: StackRecipe, thickness_um: float) -> float:
    """Half a depth of field, or what keeps the number of layers in bounds."""
    most = MOST_SLICES if isinstance(recipe.imaging, Transmitting) else MOST_LAYERS
    return max(recipe.setup.depth_of_field_um / LAYERS_PER_DEPTH, thickness_um / (most - 1))


def _of_file(recipe: StackRecipe, pixel_um: float, shape: tuple[int, int]) -> Specimen:
    """An image or a volume as object, mirrored at its edges, from its corner."""
    path, chosen = recipe.specimen.path, recipe.specimen.options
    z_step_um = recipe.specimen.layer_step_um or recipe.setup.depth_of_field_um
    volume = open_stack(str(path), z_step_um=z_step_um).read()
    options: dict[str, Any] = {"pixel_um": pixel_um, "name": path.name if path else ""}
    transmits = isinstance(recipe.imaging, Transmitting)
    options |= {"meaning": "transmission" if transmits else "emission", **chosen}
    if len(volume) == 1:
        made = specimen_from_image(volume[0], **options)
    else:
        made = specimen_from_volume(volume, layer_step_um=z_step_um, **options)
    return made.window(0, 0, size_y=shape[0], size_x=shape[1])


def _lit_by(specimen: Specimen, profile: Float[Tensor, " layer"]) -> Specimen:
    if specimen.emission is None:
        raise InputError(f"The specimen {specimen.name!r} does not glow; a sheet needs emission.")
    return Specimen(
        pixel_um=specimen.pixel_um,
        heights_um=specimen.heights_um,
        emission=specimen.emission * profile[:, None, None],
        family=specimen.family,
        name=specimen.name,
    )


def _truth(
    recipe: StackRecipe, specimen: Specimen, z_um: list[float], margin: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Height and in-focus mask per camera pixel, and the mean height, within the field."""
    factor = round(recipe.setup.pixel_um / specimen.pixel_um)
    size_y, size_x = (side * factor for side in recipe.shape_px)
    field = specimen.window(margin * factor, margin * factor, size_y=size_y, size_x=size_x)
    weight = binned(structure_weight(field), factor)
    coarse = Specimen(pixel_um=recipe.setup.pixel_um, heights_um=field.heights_um, emission=weight)
    depth_um = recipe.setup.depth_of_field_um
    mask = in_focus(
        coarse, torch.tensor(z_um), depth_of_field_um=depth_um,
        resolution_um=recipe.setup.lateral_resolution_um,
    )  # fmt: skip
    total = weight.sum((1, 2)).double()
    share = total.sum().clamp(min=1e-12)
    mean_um = float((total * field.heights_um.double()).sum() / share)
    return structure_height(coarse).double().numpy(), mask.numpy(), mean_um
