"""Images by transmitted light: one tilted wave, any incoherent source, half-annulus contrast."""

from __future__ import annotations

from typing import Any

from jaxtyping import Complex, Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.exit_waves import ExitWaves
from parfocal.optics.illumination import Source, half_annulus_source, led_source
from parfocal.optics.zernike import Aberrations


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
    >>> import torch
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> empty = torch.ones(1, 16, 16, dtype=torch.complex64)
    >>> at = {"z_um": torch.zeros(1), "heights_um": torch.zeros(1)}
    >>> coherent_images(empty, setup, na_yx=(0.0, 0.4), **at).mean().round(decimals=5)
    tensor(1.)
    >>> coherent_images(empty, setup, na_yx=(0.0, 0.6), **at).max()
    tensor(0.)
    """
    source = led_source([na_yx])
    waves = ExitWaves(slices, setup, heights_um=heights_um, source=source, aberrations=aberrations)
    return waves.images(z_um)


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
    >>> import torch
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
    waves = ExitWaves(slices, setup, heights_um=heights_um, source=source, aberrations=aberrations)
    return waves.images(z_um) / waves.light


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
    >>> import torch
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    >>> empty = torch.ones(1, 16, 16, dtype=torch.complex64)
    >>> half_annulus_images(empty, setup, torch.zeros(1), heights_um=torch.zeros(1),
    ...                     na_in=0.3, na_out=0.5).abs().max() < 1e-5
    tensor(True)
    """
    halves = half_annulus_waves(
        slices, setup, heights_um=heights_um, na_in=na_in, na_out=na_out, angle_rad=angle_rad,
        points=points, aberrations=aberrations,
    )  # fmt: skip
    return contrast_of(halves, z_um)


def half_annulus_waves(
    slices: Complex[Tensor, "*b l y x"],
    setup: OpticalSetup,
    *,
    na_in: float,
    na_out: float,
    angle_rad: float = 0.0,
    points: int = 32,
    **light: Any,
) -> tuple[ExitWaves, ExitWaves]:
    """Waves of the two halves of a ring, for ``contrast_of`` at many planes one after the other.

    ``light`` holds ``heights_um`` and what else ``ExitWaves`` takes.
    """
    half = half_annulus_source(na_in, na_out, angle_rad=angle_rad, points=points)
    if float(half.na_yx.norm(dim=1).min()) > setup.na:
        raise InputError(
            f"No light of a ring from NA {na_in:g} to {na_out:g} enters an objective of NA "
            f"{setup.na:g}: lower na_in."
        )
    return (
        ExitWaves(slices, setup, source=half, **light),
        ExitWaves(slices, setup, source=half.opposite(), **light),
    )


def contrast_of(
    halves: tuple[ExitWaves, ExitWaves], z_um: Float[Tensor, " z"]
) -> Float[Tensor, "*b z y x"]:
    """Difference of the images by two halves over their sum."""
    a, b = (half.images(z_um) for half in halves)
    return (a - b) / (a + b)
