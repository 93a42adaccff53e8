"""Synthetic truth: specimens, how a microscope images them, and a microscope to drive."""

from parfocal.simulate.catalog import (
    SPECIMENS,
    SpecimenRow,
    find_specimen,
    make_specimen,
)
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.objects import (
    draw_windows,
    specimen_from_image,
    specimen_from_volume,
)
from parfocal.simulate.specimen import (
    Specimen,
    bend,
    in_focus,
    structure_height,
)

__all__ = [
    "SPECIMENS",
    "Draws",
    "Field",
    "Specimen",
    "SpecimenRow",
    "bend",
    "draw_windows",
    "find_specimen",
    "in_focus",
    "make_specimen",
    "specimen_from_image",
    "specimen_from_volume",
    "structure_height",
]
