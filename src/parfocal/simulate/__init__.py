"""Synthetic truth: specimens, how a microscope images them, and a microscope to drive."""

from parfocal.simulate.catalog import (
    SPECIMENS,
    SpecimenRow,
    find_specimen,
    make_specimen,
)
from parfocal.simulate.field import Draws, Field
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
    "find_specimen",
    "in_focus",
    "make_specimen",
    "structure_height",
]
