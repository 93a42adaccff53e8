"""Waves that leave a specimen lit from behind, cut to what the objective passes of them.

Light comes from deep in the specimen (large z) and leaves it at the lowest height, towards the
objective. A tilted wave is split off as a factor: what is left is periodic, with all its
frequencies moved by the tilt, so that a tilt need not fit the grid. The frequencies that the
pupil passes are cut out as one block, and each plane costs one inverse transform of that block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import torch
from jaxtyping import Complex, Float
from scipy.fft import next_fast_len
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.illumination import Source
from parfocal.optics.propagation import grid_frequency2, travel_factor
from parfocal.optics.zernike import Aberrations, zernike_basis

MOST_POINTS_AT_ONCE = 2**19  # complex samples of all source points together: fits a cache
MOST_POINTS_KEPT = 2**25  # complex samples that wait for further planes: 400 MB with their phases
ONE_STEP_UM = 1e-5  # planes as even as this share one factor
ON_THE_EDGE = 1.0 + 1e-6  # waves at the very edge of the pupil pass


def transmission_pixel_um(setup: OpticalSetup, *, source_na: float = 0.0) -> float:
    """Coarsest pixel that holds specimen and image by transmitted light without aliasing, in um.

    lambda / (4 NA) for the intensity of all waves that the objective takes up; for a source of
    larger NA lambda / (2 (NA + source NA)), so that the detail it shows fits the specimen's grid.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> transmission_pixel_um(setup), transmission_pixel_um(setup, source_na=0.75)
    (0.25, 0.2)
    """
    return setup.wavelength_um / (2.0 * (setup.na + max(setup.na, source_na)))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Group:
    """What the pupil passes of some waves in focus of the lowest layer: s waves, m x n each."""

    fields: Complex[Tensor, "b s m n"]
    frequency2: Float[Tensor, "s m n"]  # once tilted, per um^2


class ExitWaves:
    """All waves behind a lit specimen, from which any plane is imaged.

    Parameters
    ----------
    slices, setup, heights_um, source, aberrations
        As in ``transmitted_images``.
    keep
        Keep the waves for further calls, if they fit into some hundred MB and no gradient is
        wanted: crossing a thick specimen then costs once.

    Raises
    ------
    InputError, ShapeError
        As in ``transmitted_images``.

    Examples
    --------
    >>> from parfocal.optics.illumination import led_source
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> empty = torch.ones(1, 16, 16, dtype=torch.complex64)
    >>> waves = ExitWaves(empty, setup, heights_um=torch.zeros(1), source=led_source([(0.0, 0.3)]))
    >>> waves.images(torch.tensor([5.0])).mean().round(decimals=5)
    tensor(1.)
    """

    def __init__(
        self,
        slices: Complex[Tensor, "*b l y x"],
        setup: OpticalSetup,
        *,
        heights_um: Float[Tensor, " h"],
        source: Source,
        aberrations: Aberrations | None = None,
        keep: bool = False,
    ) -> None:
        _check(slices, setup, heights_um, source)
        self._stack = slices.reshape(-1, *slices.shape[-3:])
        self._batch, self._shape = slices.shape[:-3], slices.shape[-2:]
        self._setup, self._aberrations = setup, aberrations
        self._real = slices.real.dtype
        self._heights_um = heights_um.to(slices.device, self._real)
        self._source = source.to(slices.device)
        self._coarse = [
            _coarse(size, width) for size, width in zip(self._shape, self._widths(), strict=True)
        ]
        self._keeps = keep and not (slices.requires_grad or heights_um.requires_grad)
        self._kept: list[_Group] | None = None

    @property
    def light(self) -> Tensor:
        """Brightness of an empty field; of the whole source where none of it enters directly."""
        passes = self._source.na_yx.norm(dim=1) <= self._setup.na * ON_THE_EDGE
        weights = self._source.weights
        return (weights[passes] if bool(passes.any()) else weights).sum().to(self._real)

    def images(self, z_um: Float[Tensor, " z"]) -> Float[Tensor, "*b z y x"]:
        """Weighted sum of the images of all waves, of intensity 1 each, at planes of the stage."""
        if not len(z_um):
            raise InputError("z_um is empty: give one plane or more.")
        travel_um = self._heights_um[0] - z_um.to(self._stack.device, self._real)
        planes: list[Tensor] = []
        for group in self._groups():
            fields = group.fields
            for k, step in enumerate(self._steps(group, travel_um)):
                fields = fields * step
                light = _light(fields, self._coarse)
                if k == len(planes):
                    planes.append(light)
                else:
                    planes[k] = planes[k] + light
        images = _onto_grid(torch.stack(planes, dim=1), self._shape)
        return images.reshape(*self._batch, len(planes), *self._shape)

    def _widths(self) -> list[float]:
        """Samples along y and x of a grid that just holds the intensities: twice the pupil."""
        band = 4.0 * self._setup.na / self._setup.wavelength_um * self._setup.pixel_um
        return [band * size for size in self._shape]

    def _groups(self) -> Iterable[_Group]:
        if self._kept is not None:
            return self._kept
        points = math.prod(width / 2.0 + 1.0 for width in self._widths())
        points *= len(self._source) * len(self._stack)
        if not self._keeps or points > MOST_POINTS_KEPT:
            return self._lit()
        self._kept = list(self._lit())
        return self._kept

    def _lit(self) -> Iterator[_Group]:
        """Groups of waves that fit the cache together."""
        stack, source = self._stack, self._source
        thin = stack.shape[1] == 1
        size = math.prod(self._coarse if thin else self._shape)
        together = max(1, MOST_POINTS_AT_ONCE // (size * len(stack)))
        last = torch.fft.fft2(stack[:, -1])  # of a single layer, whatever the tilt
        for start in range(0, len(source), together):
            part = slice(start, start + together)
            group = Source(na_yx=source.na_yx[part], weights=source.weights[part])
            rows, columns, frequency2, pupil = _cut_out(
                self._shape, self._setup, group, self._aberrations, real=self._real
            )
            gain = (group.weights.sqrt() / math.prod(self._shape)).to(self._real)
            spectra = last[:, None] if thin else self._crossed(last, group)
            each = torch.arange(spectra.shape[1], device=spectra.device)  # 1 serves all waves
            cut = spectra[:, each[:, None, None], rows[:, :, None], columns[:, None, :]]
            yield _Group(fields=cut * (pupil * gain[:, None, None]), frequency2=frequency2)

    def _crossed(self, last: Tensor, group: Source) -> Complex[Tensor, "b s y x"]:
        """Spectra behind the lowest layer, less each tilted wave as a factor."""
        setup, stack = self._setup, self._stack
        steps_um = self._heights_um.diff().flip(0)
        spectra = []
        for na_y, na_x in group.na_yx.tolist():
            frequency2 = grid_frequency2(
                last,
                pixel_um=setup.pixel_um,
                wavelength_nm=setup.wavelength_nm,
                na_yx=(na_y, na_x),
            )
            spectrum = last
            factors = _factors(frequency2, setup, steps_um)
            for layer, factor in zip(range(stack.shape[1] - 2, -1, -1), factors, strict=True):
                spectrum = torch.fft.fft2(torch.fft.ifft2(spectrum * factor) * stack[:, layer])
            spectra.append(spectrum)
        return torch.stack(spectra, dim=1)

    def _steps(self, group: _Group, travel_um: Float[Tensor, " z"]) -> Iterator[Tensor]:
        """Factors that bring the fields to the first plane, and from each plane to the next."""
        yield from _factors(group.frequency2, self._setup, travel_um[:1])
        yield from _factors(group.frequency2, self._setup, travel_um.diff())


def _factors(
    frequency2: Tensor, setup: OpticalSetup, distances_um: Float[Tensor, " d"]
) -> Iterator[Tensor]:
    """Travel factor of each distance; equal ones are computed once."""
    factor_of = partial(
        travel_factor,
        frequency2,
        wavelength_um=setup.wavelength_um,
        index=setup.immersion_index,
    )
    if not len(distances_um):
        return
    mean_um = distances_um.mean()
    is_even = bool(((distances_um - mean_um).abs() < ONE_STEP_UM).all())
    if is_even and not distances_um.requires_grad:
        yield from repeat(factor_of(mean_um), len(distances_um))
    else:
        yield from map(factor_of, distances_um)


def _light(fields: Complex[Tensor, "b s m n"], coarse: list[int]) -> Float[Tensor, "b v u"]:
    """Sum of the intensities of some waves, from their spectra."""
    rows = torch.fft.ifft(fields, n=coarse[1], dim=-1, norm="forward")
    waves = torch.fft.ifft(rows, n=coarse[0], dim=-2, norm="forward")
    light: Tensor = (waves.real.square() + waves.imag.square()).sum(1)
    return light


def _coarse(size: int, width: float) -> int:
    """Even size of a grid that holds ``width`` frequencies, at most the specimen's own."""
    return min(size, 2 * int(next_fast_len(math.ceil(width / 2.0 + 1.0))))


def _check(slices: Tensor, setup: OpticalSetup, heights_um: Tensor, source: Source) -> None:
    if slices.ndim < 3 or slices.shape[-3] != len(heights_um):
        raise ShapeError(
            f"Slices need axes (layer, y, x) with one layer for each of {len(heights_um)} heights, "
            f"but came with shape {tuple(slices.shape)}."
        )
    if bool((heights_um.diff() <= 0).any()):
        raise InputError("heights_um must rise from layer to layer; sort the layers.")
    if source.largest_na >= setup.immersion_index:
        raise InputError(
            f"Light at NA {source.largest_na:g} cannot pass immersion index "
            f"{setup.immersion_index:g}: lower the source's NA."
        )
    coarsest = transmission_pixel_um(setup, source_na=source.largest_na)
    if setup.pixel_um > coarsest * ON_THE_EDGE:
        raise InputError(
            f"Pixels of {setup.pixel_um:g} um alias by transmitted light of NA "
            f"{source.largest_na:.3g} seen at NA {setup.na:g} and {setup.wavelength_nm:g} nm: "
            f"give slices and setup with pixel_um = {math.floor(coarsest * 1e4) / 1e4:g} or "
            "finer, and sum the image over blocks of pixels."
        )


def _cut_out(
    shape: torch.Size,
    setup: OpticalSetup,
    source: Source,
    aberrations: Aberrations | None,
    *,
    real: torch.dtype,
) -> tuple[Tensor, Tensor, Float[Tensor, "s m n"], Complex[Tensor, "s m n"]]:
    """Rows (s m) and columns (s n) of the pupil in each wave's spectrum, frequencies, and pupil."""
    radius = setup.na / setup.wavelength_um
    device = source.na_yx.device
    places, frequencies = [], []
    for axis, size in enumerate(shape):
        bins = size * setup.pixel_um
        tilt = source.na_yx[:, axis].double() / setup.wavelength_um
        first = torch.ceil((-radius * ON_THE_EDGE - tilt) * bins)
        count = min(size, math.floor(2.0 * radius * ON_THE_EDGE * bins) + 1)
        place = first[:, None] + torch.arange(count, device=device)
        places.append(place.long() % size)
        frequencies.append(place / bins + tilt[:, None])
    y = frequencies[0][:, :, None].expand(-1, -1, frequencies[1].shape[1])
    x = frequencies[1][:, None, :].expand_as(y)
    frequency2 = y.square() + x.square()
    pupil = (frequency2 <= (radius * ON_THE_EDGE) ** 2).to(torch.complex128)
    # Zernike terms, like defocus, are phases of exp(-i delay): their waves run the other way.
    terms = aberrations.zernike_waves if aberrations else {}
    for term, waves in zip(
        zernike_basis(list(terms), -y / radius, -x / radius), terms.values(), strict=True
    ):
        phase = -2.0 * math.pi * waves * term
        pupil = pupil * torch.polar(torch.ones_like(phase), phase)
    return places[0], places[1], frequency2.to(real), pupil.to(real.to_complex())


def _onto_grid(images: Float[Tensor, "b z v u"], shape: torch.Size) -> Float[Tensor, "b z y x"]:
    """Interpolate images that hold no higher frequencies onto the specimen's grid, exactly."""
    v, u = images.shape[-2:]
    if (v, u) == tuple(shape):
        return images
    spectrum = torch.fft.rfft(images, dim=-1, norm="forward")
    if u < shape[1]:
        spectrum = spectrum[..., : (u + 1) // 2]
    wide = torch.fft.fft(spectrum, dim=-2, norm="forward")
    if v < shape[0]:
        up, down = wide[..., : (v + 1) // 2, :], wide[..., v - (v - 1) // 2 :, :]
        gap = wide.new_zeros(*wide.shape[:-2], shape[0] - up.shape[-2] - down.shape[-2],
                             wide.shape[-1])  # fmt: skip
        wide = torch.cat([up, gap, down], dim=-2)
    tall = torch.fft.ifft(wide, dim=-2, norm="forward")
    onto: Tensor = torch.fft.irfft(tall, n=shape[1], dim=-1, norm="forward")
    return onto
