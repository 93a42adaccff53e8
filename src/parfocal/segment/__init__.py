"""Which pixels of a stack are in focus."""

from __future__ import annotations

from parfocal.segment.in_focus import Segmenter, in_focus, load
from parfocal.segment.labels import FocusLabels, FocusPart, label_volume
from parfocal.segment.mesh import FocusMesh, focus_mesh
from parfocal.segment.ranking import LI2023_MEASURES, AxialRank, axial_ranking
from parfocal.segment.sections import masked_stack, optical_sections, sectioned_projection
from parfocal.segment.surface import FocusHeight, focus_height
from parfocal.segment.thresholds import THRESHOLDS
from parfocal.segment.weak_labels import weak_labels

__all__ = [
    "LI2023_MEASURES",
    "THRESHOLDS",
    "AxialRank",
    "FocusHeight",
    "FocusLabels",
    "FocusMesh",
    "FocusPart",
    "Segmenter",
    "axial_ranking",
    "focus_height",
    "focus_mesh",
    "in_focus",
    "label_volume",
    "load",
    "masked_stack",
    "optical_sections",
    "sectioned_projection",
    "weak_labels",
]
