"""Bring a blurred image into focus after capture."""

from __future__ import annotations

from parfocal.refocus.iterations import landweber, richardson_lucy
from parfocal.refocus.linear import wiener

__all__ = ["landweber", "richardson_lucy", "wiener"]
