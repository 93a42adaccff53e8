"""Which pixels of a stack are in focus."""

from __future__ import annotations

from parfocal.segment.labels import FocusLabels, FocusPart, label_volume
from parfocal.segment.mesh import FocusMesh, focus_mesh
from parfocal.segment.sections import masked_stack, optical_sections, sectioned_projection
from parfocal.segment.surface import FocusHeight, focus_height
from parfocal.segment.thresholds import THRESHOLDS
from parfocal.segment.weak_labels import weak_labels

__all__ = [
    "THRESHOLDS",
    "FocusHeight",
    "FocusLabels",
    "FocusMesh",
    "FocusPart",
    "focus_height",
    "focus_mesh",
    "label_volume",
    "masked_stack",
    "optical_sections",
    "sectioned_projection",
    "weak_labels",
]
