"""Images by transmitted light: one tilted wave, any incoherent source, half-annulus contrast.

Light comes from deep in the specimen (large z) and leaves it at the lowest height, towards the
objective. A tilted wave is split off as a factor: what is left is periodic, with all its
frequencies moved by the tilt, so that a tilt need not fit the grid. The frequencies that the
pupil passes are cut out as one block, and each plane costs one inverse transform of that block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat

import torch
from jaxtyping import Complex, Float
from scipy.fft import next_fast_len
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.illumination import Source, half_annulus_source, led_source
from parfocal.optics.propagation import angular_spectrum, travel_factor
from parfocal.optics.zernike import Aberrations, zernike_basis

MOST_POINTS_AT_ONCE = 2**19  # complex samples of all source points together: fits a cache
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


def coherent_images(
    slices: Complex[Tensor, "*b l y x"],
    setup: OpticalSetup,
    z_um: Float[Tensor, " z"],
    *,
    heights_um: Float[Tensor, " l"],
    na_yx: tuple[float, float] = (0.0, 0.0),
    aberrations: Aberrations | None = None,
) -> Float[Tensor, "*b z y x"]:
    """Image a specimen lit by one plane wave, at any tilt.

    As ``transmitted_images`` for a single point; the incident wave has intensity 1, so that an
    empty specimen is 1 for waves inside the objective's aperture and 0 (dark field) outside.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> empty = torch.ones(1, 16, 16, dtype=torch.complex64)
    >>> at = {"z_um": torch.zeros(1), "heights_um": torch.zeros(1)}
    >>> coherent_images(empty, setup, na_yx=(0.0, 0.4), **at).mean().round(decimals=5)
    tensor(1.)
    >>> coherent_images(empty, setup, na_yx=(0.0, 0.6), **at).max()
    tensor(0.)
    """
    source = led_source([na_yx])
    return _images(slices, setup, z_um, heights_um, source=source, aberrations=aberrations)


def transmitted_images(
    slices: Complex[Tensor, "*b l y x"],
    setup: OpticalSetup,
    z_um: Float[Tensor, " z"],
    *,
    heights_um: Float[Tensor, " l"],
    source: Source,
    aberrations: Aberrations | None = None,
) -> Float[Tensor, "*b z y x"]:
    """Image a specimen by Abbe's sum: the images of all waves of a source, added [Hopkins1953]_.

    Parameters
    ----------
    slices
        Complex amplitude of each layer, exp(-absorption / 2 + i phase), where phase is a delay;
        ``setup.pixel_um`` apart and periodic in y and x.
    setup
        Objective and sampling. All lengths along z are those of the stage, in its immersion.
    z_um
        Planes of the stage, in any order; even steps are fastest.
    heights_um
        Height of each layer, rising: it is in focus at that z.
    source
        Directions and brightness of the light.
    aberrations
        Of the objective.

    Returns
    -------
    Intensities. The mean is 1 for an empty specimen; with a source wholly outside the objective's
    aperture (dark field), the light that comes in is 1.

    Raises
    ------
    InputError
        If the pixel is too coarse (the message says which one would do), heights do not rise, or
        the source is steeper than the immersion allows.
    ShapeError
        If layers and heights differ in number.

    Notes
    -----
    Laws: equal to ``coherent_images`` for one point; linear in the source; differentiable in
    slices, heights and z. float32 holds to about 1e-5 of the mean.

    Layers are crossed one by one, with exact propagation between them [Cowley1957]_: forward
    scattering of any strength, no reflection. Polarisation is left out. Positive delays (cells in
    water) shine at negative defocus, between themselves and the objective, and are dark at
    positive defocus. Each pixel is a sample; sum over blocks of a finer grid for an area.

    Examples
    --------
    >>> from parfocal.optics.illumination import disc_source
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> delay = torch.zeros(1, 32, 32)
    >>> delay[0, 14:18, 14:18] = 0.5
    >>> images = transmitted_images(
    ...     torch.exp(1j * delay), setup, torch.tensor([-3.0, 3.0]),
    ...     heights_um=torch.zeros(1), source=disc_source(0.1, points=8))
    >>> images[:, 16, 16] > 1.0
    tensor([ True, False])
    """
    passes = source.na_yx.norm(dim=1) <= setup.na * ON_THE_EDGE
    light = source.weights[passes] if bool(passes.any()) else source.weights
    images = _images(slices, setup, z_um, heights_um, source=source, aberrations=aberrations)
    return images / light.sum().to(images)


def half_annulus_images(
    slices: Complex[Tensor, "*b l y x"],
    setup: OpticalSetup,
    z_um: Float[Tensor, " z"],
    *,
    heights_um: Float[Tensor, " l"],
    na_in: float,
    na_out: float,
    angle_rad: float = 0.0,
    points: int = 32,
    aberrations: Aberrations | None = None,
) -> Float[Tensor, "*b z y x"]:
    """Differential phase contrast, (A - B) / (A + B), by opposite halves of a ring [Tian2015]_.

    Parameters
    ----------
    slices, setup, z_um, heights_um, aberrations
        As in ``transmitted_images``.
    na_in, na_out
        Inner and outer numerical aperture of the ring.
    angle_rad
        Direction of half A, from +x to +y.
    points
        Waves that stand for each half.

    Returns
    -------
    Contrast between -1 and 1; 0 where the specimen is empty, and in focus for pure absorption.

    Raises
    ------
    InputError, ShapeError
        As in ``transmitted_images``, and if no wave of the ring enters the objective.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> empty = torch.ones(1, 16, 16, dtype=torch.complex64)
    >>> half_annulus_images(empty, setup, torch.zeros(1), heights_um=torch.zeros(1),
    ...                     na_in=0.3, na_out=0.5).abs().max() < 1e-5
    tensor(True)
    """
    half = half_annulus_source(na_in, na_out, angle_rad=angle_rad, points=points)
    if float(half.na_yx.norm(dim=1).min()) > setup.na:
        raise InputError(
            f"No light of a ring from NA {na_in:g} to {na_out:g} enters an objective of NA "
            f"{setup.na:g}: lower na_in."
        )
    a, b = (
        _images(slices, setup, z_um, heights_um, source=one, aberrations=aberrations)
        for one in (half, half.opposite())
    )
    return (a - b) / (a + b)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Blocks:
    """What the pupil passes of each wave's spectrum: s waves, m rows and n columns each."""

    rows: Tensor  # (s m), into the spectrum
    columns: Tensor  # (s n)
    frequency2: Float[Tensor, "s m n"]  # once tilted, per um^2
    pupil: Complex[Tensor, "s m n"]

    def of(self, spectrum: Complex[Tensor, "b seen y x"]) -> Complex[Tensor, "b s m n"]:
        each = torch.arange(spectrum.shape[1], device=spectrum.device)  # 1 serves all waves
        cut = spectrum[:, each[:, None, None], self.rows[:, :, None], self.columns[:, None, :]]
        passed: Tensor = cut * self.pupil
        return passed


def _images(
    slices: Tensor,
    setup: OpticalSetup,
    z_um: Tensor,
    heights_um: Tensor,
    *,
    source: Source,
    aberrations: Aberrations | None,
) -> Tensor:
    """Weighted sum of the images of all waves, of intensity 1 each."""
    _check(slices, setup, z_um, heights_um, source)
    stack = slices.reshape(-1, *slices.shape[-3:])
    shape = stack.shape[-2:]
    real = stack.real.dtype
    # Intensities have twice the pupil's band: a coarser grid may hold them.
    widths = [4.0 * setup.na / setup.wavelength_um * size * setup.pixel_um for size in shape]
    coarse = [
        min(size, 2 * next_fast_len(math.ceil(width / 2.0 + 1.0)))
        for size, width in zip(shape, widths, strict=True)
    ]
    z_um, heights_um = (values.to(stack.device, real) for values in (z_um, heights_um))
    planes: list[Tensor] = []
    for group, spectra in _lit(stack, setup, heights_um, source.to(stack.device), coarse):
        blocks = _cut_out(shape, setup, group, aberrations, real=real)
        gain = (group.weights.sqrt() / (shape[0] * shape[1])).to(real)
        fields = blocks.of(spectra) * gain[:, None, None]
        for k, step in enumerate(_defocus_steps(blocks, setup, heights_um[0] - z_um)):
            fields = fields * step
            rows = torch.fft.ifft(fields, n=coarse[1], dim=-1, norm="forward")
            waves = torch.fft.ifft(rows, n=coarse[0], dim=-2, norm="forward")
            light = (waves.real.square() + waves.imag.square()).sum(1)
            if k == len(planes):
                planes.append(light)
            else:
                planes[k] = planes[k] + light
    images = _onto_grid(torch.stack(planes, dim=1), shape)
    return images.reshape(*slices.shape[:-3], len(planes), *shape)


def _check(
    slices: Tensor, setup: OpticalSetup, z_um: Tensor, heights_um: Tensor, source: Source
) -> None:
    if slices.ndim < 3 or slices.shape[-3] != len(heights_um):
        raise ShapeError(
            f"Slices need axes (layer, y, x) with one layer for each of {len(heights_um)} heights, "
            f"but came with shape {tuple(slices.shape)}."
        )
    if not len(z_um):
        raise InputError("z_um is empty: give one plane or more.")
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


def _lit(
    stack: Tensor, setup: OpticalSetup, heights_um: Tensor, source: Source, coarse: list[int]
) -> Iterator[tuple[Source, Tensor]]:
    """Groups of waves, and the spectra (b, 1 or s, y, x) of the light that leaves the specimen."""
    thin = stack.shape[1] == 1
    size = coarse[0] * coarse[1] if thin else stack.shape[-2] * stack.shape[-1]
    together = max(1, MOST_POINTS_AT_ONCE // (size * stack.shape[0]))
    common = torch.fft.fft2(stack)  # of a single layer, whatever the tilt
    for start in range(0, len(source), together):
        part = slice(start, start + together)
        group = Source(na_yx=source.na_yx[part], weights=source.weights[part])
        if thin:
            yield group, common
            continue
        tilts = [(float(na_y), float(na_x)) for na_y, na_x in group.na_yx]
        fields = [_crossed(stack, setup, heights_um, na_yx) for na_yx in tilts]
        yield group, torch.fft.fft2(torch.stack(fields, dim=1))


def _crossed(
    stack: Tensor, setup: OpticalSetup, heights_um: Tensor, na_yx: tuple[float, float]
) -> Tensor:
    """Field behind the lowest layer, less the tilted wave as a factor, of each specimen."""
    field = stack[:, -1]
    for layer in range(stack.shape[1] - 2, -1, -1):
        field = angular_spectrum(
            field,
            heights_um[layer + 1 : layer + 2] - heights_um[layer : layer + 1],
            wavelength_nm=setup.wavelength_nm,
            pixel_um=setup.pixel_um,
            index=setup.immersion_index,
            na_yx=na_yx,
        )[:, 0]
        field = field * stack[:, layer]
    return field


def _cut_out(
    shape: torch.Size,
    setup: OpticalSetup,
    source: Source,
    aberrations: Aberrations | None,
    *,
    real: torch.dtype,
) -> _Blocks:
    """Where the pupil lies in each wave's spectrum, and what it does there."""
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
    return _Blocks(
        rows=places[0],
        columns=places[1],
        frequency2=frequency2.to(real),
        pupil=pupil.to(real.to_complex()),
    )


def _defocus_steps(
    blocks: _Blocks, setup: OpticalSetup, travel_um: Float[Tensor, " z"]
) -> Iterator[Tensor]:
    """Factors that bring the fields to the first plane, and from each plane to the next."""
    step_of = partial(
        travel_factor,
        blocks.frequency2,
        wavelength_um=setup.wavelength_um,
        index=setup.immersion_index,
    )
    yield step_of(travel_um[0])
    steps_um = travel_um.diff()
    mean_um = steps_um.mean()
    if not steps_um.requires_grad and bool(((steps_um - mean_um).abs() < ONE_STEP_UM).all()):
        yield from repeat(step_of(mean_um), len(steps_um))
    else:
        yield from map(step_of, steps_um)


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
