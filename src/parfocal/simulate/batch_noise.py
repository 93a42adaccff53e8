"""Cameras of training batches: light to counts, each field with a camera and light of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

GAIN, OFFSET = 2.0, 100  # counts per electron; counts without light, where counts begin
SATURATED, CORRELATED = 0.15, 0.15  # shares of the fields
DRIFT = 0.1  # largest difference in brightness between the images of a field


@dataclass(frozen=True, eq=False, kw_only=True)
class Exposures:
    """How the fields of a batch are exposed.

    Parameters
    ----------
    photons, background
        Electrons of the brightest pixel and of the background.
    drift
        Brightness of each image.
    read_noise
        Standard deviation in electrons.
    most
        Electrons at which counts end.
    correlation
        Standard deviation in px of the Gaussian that correlates noise; 0 leaves it white.
    """

    photons: Float[Tensor, " b"]
    background: Float[Tensor, " b"]
    drift: Float[Tensor, "b n"]
    read_noise: Float[Tensor, " b"]
    most: Float[Tensor, " b"]
    correlation: Float[Tensor, " b"]

    def part(self, first: int, count: int) -> Exposures:
        """Those of some neighbouring fields."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return Exposures(**{name: value[first : first + count] for name, value in values.items()})


def draw_exposures(count: int, images: int, generator: torch.Generator) -> Exposures:
    """3 to 1000 photons, background to three times that, read noise 0.5 to 4; some saturate.

    Examples
    --------
    >>> draw_exposures(4, 2, torch.Generator().manual_seed(0)).drift.shape
    torch.Size([4, 2])
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=generator, device=generator.device)
        return low + (high - low) * drawn

    photons = torch.exp(uniform(1.1, 6.9, count))
    background = photons * uniform(0.0, 3.0, count) * uniform(0.0, 1.0, count).square()
    clips = uniform(0.0, 1.0, count) < SATURATED
    share = torch.where(clips, uniform(0.4, 0.9, count), 3.0)
    correlates = uniform(0.0, 1.0, count) < CORRELATED
    return Exposures(
        photons=photons,
        background=background,
        drift=uniform(1.0 - DRIFT / 2, 1.0 + DRIFT / 2, count, images),
        read_noise=torch.exp(uniform(-0.7, 1.4, count)),
        most=share * (photons + background) + 15.0,
        correlation=torch.where(correlates, uniform(0.4, 0.9, count), 0.0),
    )


def noisy_counts(
    light: Float[Tensor, "b n y x"], camera: Exposures, generator: torch.Generator
) -> Float[Tensor, "b n y x"]:
    """Counts less the camera's offset, of light whose brightest pixel in a field is ``photons``.

    Shot and read noise are one normal draw, bent to the skewness that both have at the field's
    mean [Cornish1938]_: the mean is exact, the variance to 2 % from five electrons on.

    Examples
    --------
    >>> dice = torch.Generator().manual_seed(0)
    >>> counts = noisy_counts(torch.rand(4, 2, 8, 8), draw_exposures(4, 2, dice), dice)
    >>> counts.shape, bool((counts == counts.round()).all())
    (torch.Size([4, 2, 8, 8]), True)
    """
    peak = light.amax((1, 2, 3)).clamp(min=1e-6)
    brightness = GAIN * camera.drift
    glow, floor = camera.photons / peak, camera.background
    usual = glow * light.mean((1, 2, 3)) + floor
    read = camera.read_noise.square()
    skew = GAIN * usual / (usual + read) / 6.0

    def each(values: Tensor) -> Tensor:
        return values.reshape(len(light), -1, 1, 1)

    # All in counts. The mean is less what the bent draw adds, which its variance is given back.
    mean = torch.addcmul(
        each(brightness * floor[:, None] - skew[:, None]), light, each(brightness * glow[:, None])
    )
    bell = torch.randn(mean.shape, generator=generator, device=mean.device)
    for field in camera.correlation.nonzero()[:, 0].tolist():
        bell[field] = correlated(bell[field], float(camera.correlation[field]))
    spread = torch.add(each(GAIN**2 * read + GAIN * skew), mean, alpha=GAIN)
    counts = spread.sqrt_().addcmul_(bell, each(skew)).mul_(bell).add_(mean).round_()
    ceiling = each((GAIN * camera.most).round())
    return torch.minimum(counts.clamp_(min=-OFFSET), ceiling, out=counts)


def correlated(noise: Float[Tensor, "n y x"], sigma_px: float) -> Float[Tensor, "n y x"]:
    """White noise blurred by a small Gaussian, of unit variance again, as interpolation does.

    Examples
    --------
    >>> noise = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> round(float(correlated(noise, 0.7).std()), 1)
    1.0
    """
    step = torch.arange(3, dtype=torch.float64)
    middle, near, far = torch.exp(-0.5 * (step / sigma_px).square()).tolist()
    scale = 1.0 / math.sqrt(middle**2 + 2 * near**2 + 2 * far**2)
    for axis in (-2, -1):  # sums of rolled copies: a convolution of one channel is far slower
        sides = near * (noise.roll(1, axis) + noise.roll(-1, axis))
        sides += far * (noise.roll(2, axis) + noise.roll(-2, axis))
        noise = scale * sides.add_(noise, alpha=middle)
    return noise
