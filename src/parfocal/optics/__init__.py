"""Wave optics in torch: batched, differentiable kernels that make images of points and fields."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parfocal.optics.batches import pupil_psfs
    from parfocal.optics.layers import Layers, focal_shift_um
    from parfocal.optics.psf import widefield_psf
    from parfocal.optics.retrieval import FittedPsf, fit_aberrations
    from parfocal.optics.sectioning import confocal_psf, light_sheet_psf, spinning_disk_psf
    from parfocal.optics.zernike import Aberrations, zernike

_ADDRESSES = {
    "Aberrations": "zernike",
    "FittedPsf": "retrieval",
    "Layers": "layers",
    "confocal_psf": "sectioning",
    "fit_aberrations": "retrieval",
    "focal_shift_um": "layers",
    "light_sheet_psf": "sectioning",
    "pupil_psfs": "batches",
    "spinning_disk_psf": "sectioning",
    "widefield_psf": "psf",
    "zernike": "zernike",
}

__all__ = [
    "Aberrations",
    "FittedPsf",
    "Layers",
    "confocal_psf",
    "fit_aberrations",
    "focal_shift_um",
    "light_sheet_psf",
    "pupil_psfs",
    "spinning_disk_psf",
    "widefield_psf",
    "zernike",
]


def __getattr__(name: str) -> Any:
    if name in _ADDRESSES:
        return getattr(import_module(f"parfocal.optics.{_ADDRESSES[name]}"), name)
    raise AttributeError(f"module 'parfocal.optics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
