"""Wave optics in torch: batched, differentiable kernels that make images of points and fields."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parfocal.optics.batches import pupil_psfs
    from parfocal.optics.exit_waves import transmission_pixel_um
    from parfocal.optics.illumination import (
        Source,
        annulus_source,
        disc_source,
        half_annulus_source,
        led_source,
    )
    from parfocal.optics.layers import Layers, focal_shift_um
    from parfocal.optics.noise import CameraModel, camera_counts, expose, hot_pixel_electrons
    from parfocal.optics.propagation import angular_spectrum, fresnel
    from parfocal.optics.psf import widefield_psf
    from parfocal.optics.retrieval import FittedPsf, fit_aberrations
    from parfocal.optics.sectioning import confocal_psf, light_sheet_psf, spinning_disk_psf
    from parfocal.optics.transmission import (
        coherent_images,
        half_annulus_images,
        transmitted_images,
    )
    from parfocal.optics.zernike import Aberrations, zernike_basis

_ADDRESSES = {
    "Aberrations": "zernike",
    "CameraModel": "noise",
    "FittedPsf": "retrieval",
    "Layers": "layers",
    "Source": "illumination",
    "angular_spectrum": "propagation",
    "annulus_source": "illumination",
    "camera_counts": "noise",
    "coherent_images": "transmission",
    "confocal_psf": "sectioning",
    "disc_source": "illumination",
    "expose": "noise",
    "fit_aberrations": "retrieval",
    "focal_shift_um": "layers",
    "fresnel": "propagation",
    "half_annulus_images": "transmission",
    "half_annulus_source": "illumination",
    "hot_pixel_electrons": "noise",
    "led_source": "illumination",
    "light_sheet_psf": "sectioning",
    "pupil_psfs": "batches",
    "spinning_disk_psf": "sectioning",
    "transmission_pixel_um": "exit_waves",
    "transmitted_images": "transmission",
    "widefield_psf": "psf",
    "zernike_basis": "zernike",
}

__all__ = [
    "Aberrations",
    "CameraModel",
    "FittedPsf",
    "Layers",
    "Source",
    "angular_spectrum",
    "annulus_source",
    "camera_counts",
    "coherent_images",
    "confocal_psf",
    "disc_source",
    "expose",
    "fit_aberrations",
    "focal_shift_um",
    "fresnel",
    "half_annulus_images",
    "half_annulus_source",
    "hot_pixel_electrons",
    "led_source",
    "light_sheet_psf",
    "pupil_psfs",
    "spinning_disk_psf",
    "transmission_pixel_um",
    "transmitted_images",
    "widefield_psf",
    "zernike_basis",
]


def __getattr__(name: str) -> Any:
    if name in _ADDRESSES:
        return getattr(import_module(f"parfocal.optics.{_ADDRESSES[name]}"), name)
    raise AttributeError(f"module 'parfocal.optics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
