"""How sharp is each plane, tile and pixel, and where is best focus."""

from __future__ import annotations

from parfocal.score.curve import focus_curve
from parfocal.score.depth import depth_map
from parfocal.score.fusion import apply_fusion, fuse
from parfocal.score.plane import best_focus
from parfocal.score.quality import focus_quality

__all__ = ["apply_fusion", "best_focus", "depth_map", "focus_curve", "focus_quality", "fuse"]
