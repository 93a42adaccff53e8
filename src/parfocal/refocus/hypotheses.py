"""Views of one image: itself, and what it would be if its |defocus| were this or that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

HYPOTHESES_DOF = (1.0, 2.0, 3.0, 4.5, 6.5)
"""|defocus| that the views assume, in depths of field."""
REGULAR, CORNER = 0.2, 0.05
"""Noise-to-signal of the start is this share of the image's own, and grows from this frequency, in
cut-offs, as its square: pictures have most of their power where it is lowest."""
ITERATIONS = 2
DAMPING = 0.2
"""Standard deviations added to both sides of a ratio: dim pixels would follow their noise."""
LEAST_LIGHT = 0.02
"""Of the start above the floor, in standard deviations: what is 0 stays so."""
LEAST_NOISE = 3e-3
"""Of the noise's standard deviation, in those of the image."""
NORMAL_MEDIAN = 0.6745
FLOOR_RANK = 0.01
MOST_RANKED = 2**16
"""Pixels of an image that are put in order, at least; of larger ones some are left out."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Levels:
    """What an image is normalised by.

    Parameters
    ----------
    mean, spread
        Mean and standard deviation in counts; the latter negative where structure is darker than
        what is around it, so that normalised structure is bright.
    noise
        Standard deviation of the noise, in those of the image.
    floor
        Level of the dark, in standard deviations above the mean.
    evenness
        How far the brightest pixels are above the median over how far the darkest are below it.
    """

    mean: Float[Tensor, " b"]
    spread: Float[Tensor, " b"]
    noise: Float[Tensor, " b"]
    floor: Float[Tensor, " b"]
    evenness: float = 1.0

    def turned(self) -> Levels:
        """What images whose sign was changed are normalised by, for them as they were."""
        return replace(self, mean=-self.mean, spread=-self.spread)

    def normalised(self, images: Float[Tensor, "b y x"]) -> Float[Tensor, "b y x"]:
        """Images in standard deviations from their mean."""
        return (images - self.mean[:, None, None]) / self.spread[:, None, None]

    def counts(self, images: Float[Tensor, "b y x"]) -> Float[Tensor, "b y x"]:
        """Normalised images in counts again."""
        return torch.addcmul(self.mean[:, None, None], images, self.spread[:, None, None])


def levels_of(images: Float[Tensor, "b y x"], *, is_dark: bool = False) -> Levels:
    """Mean, spread, noise [Immerkaer1996]_ and floor of each image.

    Parameters
    ----------
    images
        Counts.
    is_dark
        Whether structure is darker than what is around it: the floor is then the brightest.

    Notes
    -----
    Laws: gain-free and offset-free in ``noise`` and ``floor``; mirror-free.

    Examples
    --------
    >>> images = 7 + 3 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> levels = levels_of(images)
    >>> round(float(levels.mean)), round(float(levels.spread)), round(float(levels.noise))
    (7, 3, 1)
    """
    if is_dark:
        return levels_of(-images).turned()
    mean = images.mean((1, 2))
    spread = images.std((1, 2)).clamp(min=1e-6)
    small = (images - mean[:, None, None]) / spread[:, None, None]
    bend = small.new_tensor([1.0, -2.0, 1.0])
    rough = functional.conv2d(small[:, None], (bend[:, None] * bend)[None, None]).flatten(1)
    rough = rough[:, :: max(1, rough.shape[1] // MOST_RANKED)]
    noise = rough.abs().median(1).values / (6.0 * NORMAL_MEDIAN)
    smooth = functional.avg_pool2d(small[:, None], 5, 1).flatten(1)
    smooth = smooth[:, :: max(1, smooth.shape[1] // MOST_RANKED)]
    rank = max(1, round(FLOOR_RANK * smooth.shape[1]))
    return Levels(
        mean=mean,
        spread=spread,
        noise=noise.clamp(min=LEAST_NOISE, max=1.0),
        floor=smooth.kthvalue(rank, 1).values,
    )


def noise_to_signal(
    size: Sequence[int], levels: Levels, pixel: Float[Tensor, " b"]
) -> Float[Tensor, "b y kx"]:
    """What Wiener's estimate of images of a size takes for noise over signal, as ``rfft2`` lies.

    Examples
    --------
    >>> levels = levels_of(torch.rand(1, 16, 16))
    >>> noise_to_signal((16, 16), levels, torch.tensor([0.3])).shape
    torch.Size([1, 16, 9])
    """
    y = torch.fft.fftfreq(size[0], device=pixel.device)
    x = torch.fft.rfftfreq(size[1], device=pixel.device)
    radius2 = (y[:, None].square() + x.square()) / (2.0 * CORNER * pixel[:, None, None]).square()
    power = levels.noise.square()
    power = REGULAR * power / (1.0 - power).clamp(min=0.05)
    noise: Tensor = power[:, None, None] * (1.0 + radius2)
    return noise


def views_of(
    images: Float[Tensor, "b y x"],
    levels: Levels,
    *,
    transfers: Float[Tensor, "b k y kx"],
    pixel: Float[Tensor, " b"],
) -> Float[Tensor, "b views y x"]:
    """Images and their deconvolutions, as if they wrapped around.

    For each transfer function Wiener's estimate [Wiener1949]_, cut off at the floor, and two
    steps of Richardson and Lucy [Richardson1972]_ from there: positivity gives back some of what
    linear filters cannot, and survives a distance that is a little wrong.

    Parameters
    ----------
    images
        Counts.
    levels
        What they are normalised by.
    transfers
        Real transfer functions of the assumed distances.
    pixel
        Pixel in units of wavelength / NA.

    Returns
    -------
    Normalised views, the image first.

    Notes
    -----
    Laws: flips and transposes commute; rolls commute; gain-free, offset-free.

    Examples
    --------
    >>> images = torch.rand(1, 16, 16)
    >>> same = torch.ones(1, 1, 16, 9)
    >>> views_of(images, levels_of(images), transfers=same, pixel=torch.tensor([0.3])).shape
    torch.Size([1, 2, 16, 16])
    """
    size = images.shape[-2:]
    small = levels.normalised(images)
    noise = noise_to_signal(size, levels, pixel)
    floor = levels.floor[:, None, None]
    spectra = torch.fft.rfft2(small)
    seen = (small - floor).clamp_(min=0.0).add_(DAMPING)
    views = images.new_empty(len(images), 1 + transfers.shape[1], *size)
    views[:, 0] = small
    for number, transfer in enumerate(transfers.unbind(1), start=1):  # one by one: less memory
        start = torch.fft.irfft2(spectra * (transfer / (transfer.square() + noise)), s=size)
        guess = start.sub_(floor).clamp_(min=LEAST_LIGHT)
        for _ in range(ITERATIONS):
            model = torch.fft.irfft2(torch.fft.rfft2(guess).mul_(transfer), s=size)
            ratio = torch.div(seen, model.clamp_(min=0.0).add_(DAMPING), out=model)
            more = torch.fft.irfft2(torch.fft.rfft2(ratio).mul_(transfer), s=size)
            guess.mul_(more.clamp_(min=0.0))
        torch.add(guess, floor, out=views[:, number])
    return views


def refocus_facts(
    *, pixel: Float[Tensor, " b"], ratio: Float[Tensor, " b"], noise: Float[Tensor, " b"]
) -> Float[Tensor, "b 3"]:
    """What the network is told: pixel in wavelength / NA, NA / n, noise; each of order 1.

    Examples
    --------
    >>> half = torch.tensor([0.5])
    >>> refocus_facts(pixel=0.8 * half, ratio=half, noise=0.2 * half)
    tensor([[0., 0., 0.]])
    """
    return torch.stack([5.0 * (pixel - 0.4), 2.0 * (ratio - 0.5), (noise / 0.1).log10()], -1)
