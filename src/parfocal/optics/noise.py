"""What a camera makes of light: shot noise, read noise, gain, offset, and where counts end."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from parfocal.core.errors import InputError

ShotNoise = Literal["auto", "poisson", "gaussian"]
Setting = float | Float[Tensor, "..."]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

ENOUGH_ELECTRONS = 10.0  # from here on "auto" draws a normal value for Poisson's


class CameraModel(BaseModel):
    """A camera: how it turns photons into counts, and what it adds.

    Parameters
    ----------
    electrons_per_photon
        Quantum efficiency.
    counts_per_electron
        Gain.
    offset_counts
        Counts of a pixel without light.
    read_noise_electrons
        Standard deviation of the read noise, as electrons.
    dark_electrons
        Mean dark signal of one exposure.
    full_well_electrons
        Electrons that a pixel holds; more are lost.
    bits
        Depth of the converter: counts end at 2^bits - 1.
    hot_pixel_fraction
        Share of the pixels that are hot.
    hot_pixel_electrons
        Mean of what a hot pixel adds to each exposure; from pixel to pixel exponential.
    hot_pixel_seed
        Draws which pixels are hot: they belong to the camera, not to the exposure.

    Notes
    -----
    The defaults are those of a common sCMOS camera.

    Examples
    --------
    >>> CameraModel().saturation_counts
    65535.0
    >>> CameraModel(full_well_electrons=15000).saturation_counts
    30100.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    electrons_per_photon: Annotated[float, Field(gt=0, le=1)] = 0.8
    counts_per_electron: Positive = 2.0
    offset_counts: NotNegative = 100.0
    read_noise_electrons: NotNegative = 1.5
    dark_electrons: NotNegative = 0.0
    full_well_electrons: Positive = 45_000.0
    bits: Annotated[int, Field(ge=1, le=16)] = 16
    hot_pixel_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    hot_pixel_electrons: NotNegative = 500.0
    hot_pixel_seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _offset_leaves_room(self) -> CameraModel:
        if self.offset_counts >= self.ceiling_counts:
            raise ValueError(
                f"offset_counts is {self.offset_counts:g}, but {self.bits} bits end at "
                f"{self.ceiling_counts:g}: lower offset_counts or raise bits"
            )
        return self

    @property
    def ceiling_counts(self) -> float:
        """The converter's highest count, 2^bits - 1."""
        return 2.0**self.bits - 1.0

    @property
    def saturation_counts(self) -> float:
        """Mean counts of a pixel that can take no more light: full well or converter."""
        full = self.offset_counts + self.counts_per_electron * self.full_well_electrons
        return min(self.ceiling_counts, full)


def hot_pixel_electrons(
    camera: CameraModel, size_y: int, size_x: int, *, device: torch.device | str = "cpu"
) -> Float[Tensor, "y x"]:
    """Mean electrons that each pixel of this camera adds by itself to one exposure.

    Parameters
    ----------
    camera
        Its ``hot_pixel_seed`` alone decides which pixels are hot, on any device.
    size_y, size_x
        Size of the image in pixels; another size is another sensor.
    device
        Where the result lies.

    Returns
    -------
    Electrons; 0 for all but ``round(hot_pixel_fraction * size_y * size_x)`` pixels.

    Examples
    --------
    >>> hot = hot_pixel_electrons(CameraModel(hot_pixel_fraction=0.01), 100, 100)
    >>> (hot > 0).sum().item()
    100
    """
    total = size_y * size_x
    count = round(camera.hot_pixel_fraction * total)
    generator = torch.Generator().manual_seed(camera.hot_pixel_seed)
    electrons = torch.zeros(total)
    if count:
        where = torch.randperm(total, generator=generator)[:count]
        electrons[where] = camera.hot_pixel_electrons * torch.empty(count).exponential_(
            generator=generator
        )
    return electrons.reshape(size_y, size_x).to(device)


def expose(
    photons: Float[Tensor, "*batch y x"],
    camera: CameraModel,
    *,
    generator: torch.Generator,
    method: ShotNoise = "auto",
) -> Float[Tensor, "*batch y x"]:
    """One exposure by a camera of the light that is expected on each pixel.

    Parameters
    ----------
    photons
        Expected photons per pixel and exposure.
    camera
        What the camera does to them.
    generator
        Source of the noise, on the device of the photons.
    method
        As in ``camera_counts``.

    Returns
    -------
    Whole counts in float32, from 0 to ``camera.ceiling_counts``.

    Notes
    -----
    Laws: mean = offset + gain * (QE * photons + dark); variance = gain^2 * (QE * photons +
    dark + read^2) + 1/12, below saturation [Janesick2007]_; the slope of variance over mean is
    the gain.

    Examples
    --------
    >>> light = torch.full((64, 64), 1000.0)
    >>> counts = expose(light, CameraModel(), generator=torch.Generator().manual_seed(1))
    >>> abs(counts.mean().item() - 1700.0) < 3.0
    True
    """
    electrons = camera.electrons_per_photon * photons + camera.dark_electrons
    if camera.hot_pixel_fraction:
        electrons = electrons + hot_pixel_electrons(
            camera, photons.shape[-2], photons.shape[-1], device=photons.device
        )
    return camera_counts(
        electrons,
        gain=camera.counts_per_electron,
        offset=camera.offset_counts,
        read_noise=camera.read_noise_electrons,
        ceiling=camera.ceiling_counts,
        full_well=camera.full_well_electrons,
        generator=generator,
        method=method,
    )


@torch.no_grad()
def camera_counts(
    electrons: Float[Tensor, "*batch y x"],
    *,
    gain: Setting,
    offset: Setting,
    read_noise: Setting,
    ceiling: Setting,
    full_well: Setting | None = None,
    generator: torch.Generator,
    method: ShotNoise = "auto",
) -> Float[Tensor, "*batch y x"]:
    """Counts of a batch in which each image may have a camera of its own.

    Parameters
    ----------
    electrons
        Expected electrons per pixel and exposure: photons times quantum efficiency, and dark
        signal. Values below 0, which Fourier transforms leave behind, count as 0.
    gain
        Counts per electron. This and the next four are numbers, or tensors that broadcast
        to the images (``(b, 1, 1)`` for one camera per image).
    offset
        Counts without light.
    read_noise
        Standard deviation in electrons.
    ceiling
        Highest count.
    full_well
        Most electrons a pixel holds; without end if None.
    generator
        Source of the noise, on the device of the electrons.
    method
        Shot noise: ``poisson`` draws it exactly; ``gaussian`` draws a normal value bent to
        Poisson's skewness; ``auto`` takes the second where 10 electrons or more are expected.

    Returns
    -------
    Whole counts in float32, from 0 to the ceiling. No gradient passes.

    Raises
    ------
    InputError
        If the method is unknown.

    Notes
    -----
    The normal stand-in is round(m + sqrt(m - 5/36) z + (z^2 - 1) / 6), the first terms of
    Cornish and Fisher's expansion [Cornish1938]_ less what rounding adds. At 10 electrons its
    mean and variance are Poisson's to 3e-5, and the two distributions are nowhere more than
    0.001 apart (0.0005 at 20; without the skew term 0.015): no test on fewer than about a
    million pixels tells them apart.

    Examples
    --------
    >>> light = torch.full((2, 32, 32), 400.0)
    >>> gain = torch.tensor([1.0, 3.0]).reshape(2, 1, 1)
    >>> source = torch.Generator().manual_seed(1)
    >>> camera_counts(
    ...     light, gain=gain, offset=0.0, read_noise=1.0, ceiling=1000.0, generator=source
    ... ).amax((1, 2)) <= 1000.0
    tensor([True, True])
    """
    if method not in get_args(ShotNoise):
        raise InputError(f"There is no shot noise {method!r}; use auto, poisson or gaussian.")
    mean = electrons.to(torch.float32).clamp_min(0.0)
    if method == "poisson":
        drawn = torch.poisson(mean, generator=generator)
    else:
        drawn = _near_poisson(mean, generator)
    dim = mean < ENOUGH_ELECTRONS
    if method == "auto" and dim.any():
        # Poisson's draw of nothing costs next to nothing, so bright pixels are free here.
        drawn = torch.where(dim, torch.poisson(mean.mul_(dim), generator=generator), drawn)
    nothing = torch.zeros((), device=drawn.device)  # a tensor, as the ceiling may be
    if full_well is not None:
        drawn.clamp_(max=torch.as_tensor(full_well).to(drawn))
    counts = torch.randn(drawn.shape, generator=generator, device=drawn.device)
    counts.mul_(read_noise).add_(drawn).mul_(gain).add_(offset).round_()
    return counts.clamp_(min=nothing, max=torch.as_tensor(ceiling).to(counts))


def _near_poisson(mean: Tensor, generator: torch.Generator) -> Tensor:
    bell = torch.randn(mean.shape, generator=generator, device=mean.device)
    spread = (mean - 5.0 / 36.0).clamp_min_(0.0).sqrt_().add_(bell, alpha=1.0 / 6.0)
    return bell.mul_(spread).add_(mean).sub_(1.0 / 6.0).round_().clamp_min_(0.0)
