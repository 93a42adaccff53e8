"""Wave optics in torch: batched, differentiable kernels that make images of points and fields."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parfocal.optics.batches import pupil_psfs
    from parfocal.optics.layers import Layers, focal_shift_um
    from parfocal.optics.psf import widefield_psf
    from parfocal.optics.zernike import Aberrations, zernike

_ADDRESSES = {
    "Aberrations": "zernike",
    "Layers": "layers",
    "focal_shift_um": "layers",
    "pupil_psfs": "batches",
    "widefield_psf": "psf",
    "zernike": "zernike",
}

__all__ = ["Aberrations", "Layers", "focal_shift_um", "pupil_psfs", "widefield_psf", "zernike"]


def __getattr__(name: str) -> Any:
    if name in _ADDRESSES:
        return getattr(import_module(f"parfocal.optics.{_ADDRESSES[name]}"), name)
    raise AttributeError(f"module 'parfocal.optics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
