"""Bring a blurred image into focus after capture."""

from __future__ import annotations

from parfocal.refocus.asking import RefocusSettings
from parfocal.refocus.blind import blind
from parfocal.refocus.deconvolution import deconvolve
from parfocal.refocus.iterations import landweber, richardson_lucy
from parfocal.refocus.levelling import surface_of
from parfocal.refocus.linear import wiener
from parfocal.refocus.psfs import defocus_psf
from parfocal.refocus.surface import to_surface, virtual_series, virtual_stack
from parfocal.refocus.tiled import to_file

__all__ = [
    "RefocusSettings",
    "blind",
    "deconvolve",
    "defocus_psf",
    "landweber",
    "richardson_lucy",
    "surface_of",
    "to_file",
    "to_surface",
    "virtual_series",
    "virtual_stack",
    "wiener",
]
