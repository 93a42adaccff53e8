"""Synthetic truth: specimens, how a microscope images them, and a microscope to drive."""

from parfocal.simulate.batches import FieldBatch, FieldBatches
from parfocal.simulate.catalog import (
    SPECIMENS,
    SpecimenRow,
    find_specimen,
    make_specimen,
)
from parfocal.simulate.faults import Fault, FaultSettings
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.focus_truth import in_focus
from parfocal.simulate.imaging import Imaging, Renderer
from parfocal.simulate.ledger import DoseLedger, LedgerEntry
from parfocal.simulate.microscope import VirtualMicroscope
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
    structure_height,
)
from parfocal.simulate.stacks import SimulatedStack, simulate_stack
from parfocal.simulate.stages import StageSettings
from parfocal.simulate.terrain import DriftSettings, EmptySettings, SurfaceSettings
from parfocal.simulate.world import (
    ChannelSettings,
    DetectorSettings,
    LightSettings,
    SpecimenSettings,
    WorldSettings,
)
from parfocal.simulate.worlds import WORLDS, WorldRow, world_preset

__all__ = [
    "PRESETS",
    "SPECIMENS",
    "WORLDS",
    "BrightfieldImaging",
    "ChannelSettings",
    "ConfocalImaging",
    "DetectorSettings",
    "DoseLedger",
    "Draws",
    "DriftSettings",
    "EmptySettings",
    "Fault",
    "FaultSettings",
    "Field",
    "FieldBatch",
    "FieldBatches",
    "Imaging",
    "LedImaging",
    "LedgerEntry",
    "LightSettings",
    "LightSheetImaging",
    "ObjectSettings",
    "PhaseContrastImaging",
    "Preset",
    "Renderer",
    "SimulatedStack",
    "Specimen",
    "SpecimenRow",
    "SpecimenSettings",
    "SpinningDiskImaging",
    "StackRecipe",
    "StageSettings",
    "SurfaceSettings",
    "VirtualMicroscope",
    "WidefieldImaging",
    "WorldRow",
    "WorldSettings",
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
    "world_preset",
]
