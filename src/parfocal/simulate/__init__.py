"""Synthetic truth: specimens, how a microscope images them, and a microscope to drive."""

from parfocal.simulate.catalog import (
    SPECIMENS,
    SpecimenRow,
    find_specimen,
    make_specimen,
)
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.imaging import Imaging, Renderer
from parfocal.simulate.modalities import (
    BrightfieldImaging,
    ConfocalImaging,
    LedImaging,
    LightSheetImaging,
    PhaseContrastImaging,
    SpinningDiskImaging,
    WidefieldImaging,
)
from parfocal.simulate.objects import (
    draw_windows,
    specimen_from_image,
    specimen_from_volume,
)
from parfocal.simulate.presets import PRESETS, Preset, load_recipe
from parfocal.simulate.recipes import ObjectSettings, StackRecipe
from parfocal.simulate.specimen import (
    Specimen,
    bend,
    in_focus,
    structure_height,
)
from parfocal.simulate.stacks import SimulatedStack, simulate_stack

__all__ = [
    "PRESETS",
    "SPECIMENS",
    "BrightfieldImaging",
    "ConfocalImaging",
    "Draws",
    "Field",
    "Imaging",
    "LedImaging",
    "LightSheetImaging",
    "ObjectSettings",
    "PhaseContrastImaging",
    "Preset",
    "Renderer",
    "SimulatedStack",
    "Specimen",
    "SpecimenRow",
    "SpinningDiskImaging",
    "StackRecipe",
    "WidefieldImaging",
    "bend",
    "draw_windows",
    "find_specimen",
    "in_focus",
    "load_recipe",
    "make_specimen",
    "simulate_stack",
    "specimen_from_image",
    "specimen_from_volume",
    "structure_height",
]
