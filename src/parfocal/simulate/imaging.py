"""Noise-free images of specimens, by any way of imaging, at any z."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.exit_waves import ExitWaves
from parfocal.optics.imaging import Band, images_of_spectra
from parfocal.optics.psf import make_pupil, widefield_psf
from parfocal.optics.sectioning import confocal_psf, spinning_disk_psf
from parfocal.optics.transfer import PsfFunction, TransferTable
from parfocal.optics.transmission import contrast_of, half_annulus_waves
from parfocal.optics.zernike import Aberrations, osa_orders
from parfocal.simulate.modalities import (
    ConfocalImaging,
    Glowing,
    Imaging,
    LightSheetImaging,
    PhaseContrastImaging,
    SpinningDiskImaging,
    Transmitting,
    WidefieldImaging,
    source_of,
)
from parfocal.simulate.specimen import Specimen

__all__ = ["Imaging", "Renderer", "WidefieldImaging", "is_round", "sheet_profile", "transfer_table"]

MOST_OTF_VALUES = 2**24  # of float32: 64 MB at a time


def is_round(aberrations: Aberrations | None) -> bool:
    """Whether aberrations are symmetric about the optical axis.

    Examples
    --------
    >>> [is_round(Aberrations(zernike_waves={j: 0.1})) for j in (12, 7)]
    [True, False]
    """
    terms = aberrations.zernike_waves if aberrations is not None else {}
    return all(osa_orders(j)[1] == 0 for j, waves in terms.items() if waves)


def transfer_table(
    setup: OpticalSetup, imaging: Glowing, device: torch.device | str = "cpu"
) -> TransferTable:
    """Table of transfer functions of one way of fluorescence imaging, less a sheet's profile."""
    scans = isinstance(imaging, ConfocalImaging | SpinningDiskImaging)
    cutoff = setup.cutoff_per_um
    if isinstance(imaging, ConfocalImaging | SpinningDiskImaging):
        cutoff += 2000.0 * setup.na / imaging.excitation_nm
    in_focus = make_pupil(
        setup, torch.zeros(1), aberrations=imaging.aberrations, layers=imaging.layers
    )
    diffraction_um = 20.0 * setup.wavelength_um / setup.na
    plain = imaging.layers is None and not (imaging.aberrations or Aberrations()).rms_waves

    def psf(defocus_um: list[float], size_px: int) -> Tensor:
        return compute(defocus_um, size_px)

    table = TransferTable(
        setup,
        psf,
        is_round=is_round(imaging.aberrations),
        is_even=plain,
        cutoff_per_um=cutoff,
        spread_um=max(0.0, in_focus.grid_px * in_focus.step_um - diffraction_um),
        integrates=scans,
    )
    compute = _psf_function(setup, imaging, table.pixel_um, device)
    return table


def _psf_function(
    setup: OpticalSetup, imaging: Glowing, pixel_um: float, device: torch.device | str
) -> PsfFunction:
    fine = setup.model_copy(update={"pixel_um": pixel_um})
    options: dict[str, Any] = {"model": imaging.model, "aberrations": imaging.aberrations}
    options["device"] = device
    kernel: Callable[..., Tensor] = widefield_psf
    if isinstance(imaging, SpinningDiskImaging):
        kernel = spinning_disk_psf
        options |= {name: getattr(imaging, name) for name in ("pinhole_um", "spacing_um")}
        options["excitation_nm"] = imaging.excitation_nm
    elif isinstance(imaging, ConfocalImaging):
        kernel = confocal_psf
        options |= {"excitation_nm": imaging.excitation_nm, "pinhole_airy": imaging.pinhole_airy}
        options["layers"] = imaging.layers
    else:
        options |= {"layers": imaging.layers, "pixel": "point", "beyond": "fold"}
    return lambda defocus_um, size_px: kernel(fine, defocus_um, size_px=size_px, **options)


def sheet_profile(imaging: Glowing, defocus_um: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
    """Light that a sheet sends to structures at each defocus; 1 without a sheet.

    Examples
    --------
    >>> sheet = LightSheetImaging(waist_um=8.0, sheet_offset_um=1.0)
    >>> sheet_profile(sheet, torch.tensor([-1.0, 3.0]))
    tensor([1.0000, 0.5000])
    """
    if not isinstance(imaging, LightSheetImaging):
        return torch.ones_like(defocus_um)
    return torch.exp2(-(2 * (defocus_um + imaging.sheet_offset_um) / imaging.waist_um).square())


class Renderer:
    """Noise-free images of specimens by one microscope.

    Parameters
    ----------
    setup
        Optics and pixel. A specimen may be sampled finer than the camera's pixel by a whole
        factor; its image is then summed up to camera pixels.
    imaging
        How light is sent and gathered.
    device
        Where to compute; specimens are brought there.

    Notes
    -----
    Fluorescence is 1 in focus for a wide, even layer of emission 1; transmitted light, and
    1 + contrast of phase contrast, is 1 where nothing is. Specimens wrap
    around in y and x, and so do their images. Transfer functions are tabulated once, and the
    waves behind the last specimen are kept, so that a second image at a new z costs milliseconds.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
    >>> even = Specimen(pixel_um=0.5, heights_um=torch.zeros(1), emission=torch.ones(1, 32, 32))
    >>> image = Renderer(setup, WidefieldImaging()).images(even, torch.tensor([0.0, 4.0]))
    >>> image.shape, round(float(image.mean()), 3)
    (torch.Size([2, 32, 32]), 1.0)
    """

    def __init__(
        self,
        setup: OpticalSetup,
        imaging: Glowing | Transmitting,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.setup = setup
        self.imaging = imaging
        self.device = pick_device(str(device))
        self._table: TransferTable | None = None
        self._band: Band | None = None
        self._seen: tuple[Any, Tensor, list[bool]] | None = None
        self._lit: tuple[Any, ExitWaves | tuple[ExitWaves, ExitWaves]] | None = None

    def images(
        self, specimen: Specimen, z_um: Float[Tensor, " z"] | Sequence[float]
    ) -> Float[Tensor, "z y x"]:
        """Images of a specimen by a stage that stands at each z.

        Raises
        ------
        InputError
            If the specimen has nothing to show in this way of imaging, or its pixels do not
            divide the camera's.
        """
        z = [float(value) for value in z_um]
        if not all(math.isfinite(value) for value in z):
            raise InputError("z_um holds values that are not finite; give positions in um.")
        factor = binning(self.setup, specimen)
        if isinstance(self.imaging, Glowing):
            images = self._fluorescence(specimen, z, self.imaging)
        else:
            images = self._transmission(specimen, z, self.imaging)
        return binned(images, factor)

    def _transmission(
        self, specimen: Specimen, z_um: list[float], imaging: Transmitting
    ) -> Float[Tensor, "z y x"]:
        if not specimen.is_transmissive:
            raise InputError(
                f"The specimen {specimen.name!r} only glows; image it by widefield, confocal, "
                "spinning-disk or light-sheet."
            )
        if not z_um:
            return torch.zeros((0, *specimen.shape[1:]), device=self.device)
        z = torch.tensor(z_um, device=self.device)
        waves = self._waves_of(specimen, imaging)
        if isinstance(waves, tuple):
            return 1.0 + contrast_of(waves, z)
        return waves.images(z) / waves.light

    def _waves_of(
        self, specimen: Specimen, imaging: Transmitting
    ) -> ExitWaves | tuple[ExitWaves, ExitWaves]:
        """Light behind a specimen, or the two halves of it, kept until another specimen comes."""
        if self._lit is not None and self._lit[0]() is specimen:
            return self._lit[1]
        here = specimen.to(self.device)
        setup = self.setup.model_copy(update={"pixel_um": specimen.pixel_um})
        slices = here.slices(setup.wavelength_nm)
        common: dict[str, Any] = {"heights_um": here.heights_um, "keep": True}
        common["aberrations"] = imaging.aberrations
        waves: ExitWaves | tuple[ExitWaves, ExitWaves]
        if isinstance(imaging, PhaseContrastImaging):
            common |= {name: getattr(imaging, name) for name in ("na_in", "na_out", "angle_rad")}
            waves = half_annulus_waves(slices, setup, points=imaging.waves, **common)
        else:
            waves = ExitWaves(slices, setup, source=source_of(imaging), **common)
        self._lit = (ref(specimen), waves)
        return waves

    def _fluorescence(
        self, specimen: Specimen, z_um: list[float], imaging: Glowing
    ) -> Float[Tensor, "z y x"]:
        if specimen.emission is None:
            raise InputError(
                f"The specimen {specimen.name!r} gives no light of its own; image it by "
                "brightfield, phase-contrast or led."
            )
        if self._table is None:
            self._table = transfer_table(self.setup, imaging, self.device)
        band = self._band_of(specimen)
        spectra, lit = self._spectra_of(specimen, band)
        heights = specimen.heights_um.tolist()
        distinct = {round(z - height, 4) for z in z_um for height in heights}
        most = len(z_um) or 1
        if len(distinct) * len(band.index) > MOST_OTF_VALUES:
            most = max(1, MOST_OTF_VALUES // (2 * len(heights) * len(band.index)))
        parts = [
            self._planes(spectra, lit, heights, z_um[start : start + most], band)
            for start in range(0, len(z_um), most)
        ]
        return torch.cat(parts) if parts else spectra.new_zeros((0, *band.shape))

    def _planes(
        self,
        spectra: Tensor,
        lit: list[bool],
        heights: list[float],
        z_um: list[float],
        band: Band,
    ) -> Tensor:
        """Planes of one share of the z positions; each distinct defocus has one row of OTFs."""
        rows: dict[float, int] = {}
        which = [
            [rows.setdefault(round(z - h, 4), len(rows)) if on else -1
             for h, on in zip(heights, lit, strict=True)]
            for z in z_um
        ]  # fmt: skip
        if not rows or self._table is None:
            return spectra.new_zeros((len(z_um), *band.shape))
        otfs = self._table.otfs(list(rows), band) * band.pixel_response(band.pixel_um)
        if isinstance(self.imaging, LightSheetImaging):
            otfs = otfs * sheet_profile(self.imaging, torch.tensor(list(rows)).to(otfs))[:, None]
        return images_of_spectra(spectra, otfs, torch.tensor(which), band=band)

    def _band_of(self, specimen: Specimen) -> Band:
        shape = specimen.shape[1:]
        band = self._band
        if band is None or (band.shape, band.pixel_um) != (shape, specimen.pixel_um):
            cutoff = self.setup.cutoff_per_um if self._table is None else self._table.cutoff_per_um
            band = self._band = Band.of(
                shape, pixel_um=specimen.pixel_um, cutoff_per_um=cutoff, device=self.device
            )
        return band

    def _spectra_of(self, specimen: Specimen, band: Band) -> tuple[Tensor, list[bool]]:
        """Spectra of a specimen's layers, kept until another specimen comes."""
        if self._seen is None or self._seen[0]() is not specimen:
            emission = specimen.to(self.device).emission
            lit = emission.flatten(1).any(1).tolist()  # type: ignore[union-attr]
            self._seen = (ref(specimen), band.spectra(emission), lit)  # type: ignore[arg-type]
        return self._seen[1], self._seen[2]


def binning(setup: OpticalSetup, specimen: Specimen) -> int:
    """How many of a specimen's pixels make one of the camera's, along each axis.

    Raises
    ------
    InputError
        If the camera's pixel is no whole multiple, or the field no whole number of its pixels.
    """
    ratio = setup.pixel_um / specimen.pixel_um
    factor = round(ratio)
    if factor < 1 or abs(ratio - factor) > 1e-3 * ratio:
        raise InputError(
            f"The camera's pixel ({setup.pixel_um:g} um) is no whole multiple of the specimen's "
            f"({specimen.pixel_um:g} um); make the specimen with pixel_um={setup.pixel_um:g}."
        )
    _, size_y, size_x = specimen.shape
    if size_y % factor or size_x % factor:
        raise InputError(
            f"A field of {size_y} x {size_x} px holds no whole number of camera pixels of "
            f"{factor} x {factor}; choose sizes that are multiples of {factor}."
        )
    return factor


def binned(images: Float[Tensor, "z y x"], factor: int) -> Float[Tensor, "z v u"]:
    """Mean over blocks of factor x factor pixels."""
    if factor == 1:
        return images
    return torch.nn.functional.avg_pool2d(images, factor)
