"""Flat objects for training, kept as spectra: they are turned, mirrored and rolled for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.shapes import as_float_tensor
from parfocal.simulate.catalog import make_specimen

PIXELS_UM, EACH = (0.15, 0.3, 0.6), 4
SLOPES = (0.7, 1.0, 1.4)  # of a texture's amplitude, which falls as 1 / frequency^slope
OVERLAP = 8  # this part of a picture's side is blended, so that it wraps around
CROPS = 12  # of each picture


class ObjectPool:
    """Objects that wrap around, drawn at any place and in any of eight orientations.

    Parameters
    ----------
    objects
        Rows of ``SPECIMENS``, each made a few times at three pixel sizes.
    textures
        How many textures of 1 / f amplitude.
    balls
        How many fields of a few balls each, from points to an eighth of the side, in the dark.
    points
        How many fields of a few points each, in the dark.
    pictures
        Sharp images of the user's (y, x), from which crops are cut; their edges are blended over
        an eighth of the side.
    size_px, seed, device
        Side of the objects; what draws them; where they lie.

    Raises
    ------
    InputError
        If a specimen does not glow, a picture is smaller than a crop, or there is nothing at all.

    Examples
    --------
    >>> pool = ObjectPool(("beads",), textures=3, size_px=32, seed=1)
    >>> len(pool), pool.draw(2, torch.Generator().manual_seed(0)).shape
    (15, torch.Size([2, 32, 17]))
    """

    def __init__(
        self,
        objects: Sequence[str],
        *,
        textures: int = 0,
        balls: int = 0,
        points: int = 0,
        pictures: Sequence[Any] = (),
        size_px: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        dice = torch.Generator().manual_seed(seed)
        made = [_glowing(name, size_px, dice) for name in objects]
        made += [texture(size_px, SLOPES[k % len(SLOPES)], dice)[None] for k in range(textures)]
        made += [few_balls(size_px, dice)[None] for _ in range(balls)]
        made += [few_points(size_px, dice)[None] for _ in range(points)]
        made += [_crops(picture, size_px, dice) for picture in pictures]
        if not made:
            raise InputError("The pool of objects is empty: give objects, textures or pictures.")
        images = torch.cat(made).to(device)
        spectra = torch.fft.rfft2(torch.stack([images, images.mT], 1).flatten(0, 1))
        # The conjugate is the object turned by half a turn; rows taken backwards mirror it.
        self._spectra = torch.stack([spectra, spectra.conj().resolve_conj()], 1).flatten(0, 1)
        self.size_px, self._count = size_px, len(images)
        line = torch.arange(size_px, device=device)
        angles = -2 * math.pi / size_px * line.double()
        self._roots = torch.complex(angles.cos(), angles.sin()).to(spectra.dtype)
        self._line = line

    def __len__(self) -> int:
        return self._count

    def draw(self, count: int, generator: torch.Generator) -> Complex[Tensor, "b y kx"]:
        """Spectra (``rfft2``) of objects that are picked, turned, mirrored and rolled at random."""
        pick = partial(torch.randint, generator=generator, device=self._line.device)
        which, flip = pick(len(self._spectra), (count,)), pick(2, (count, 1))
        shift = pick(self.size_px, (2, count, 1))
        return self.rolled(which, shift, is_flipped=flip == 1)

    def rolled(
        self, which: Int[Tensor, " b"], shift_px: Int[Tensor, "2 b 1"], *, is_flipped: Tensor
    ) -> Complex[Tensor, "b y kx"]:
        """Spectra of some objects, rolled along y and x by whole pixels, mirrored along y first."""
        size = self.size_px
        rows = torch.where(is_flipped, -self._line, self._line) % size
        spectra = self._spectra[which[:, None], rows]
        along_y, along_x = (self._roots[(self._line * shift) % size] for shift in shift_px)
        spectra *= along_y[:, :, None]
        spectra *= along_x[:, None, : size // 2 + 1]
        return spectra


def texture(size_px: int, slope: float, generator: torch.Generator) -> Float[Tensor, "y x"]:
    """Positive texture whose amplitude falls as 1 / frequency^slope; brightest pixel 1.

    Examples
    --------
    >>> texture(16, 1.0, torch.Generator().manual_seed(0)).aminmax()[1]
    tensor(1.)
    """
    y = torch.fft.fftfreq(size_px)[:, None]
    radius = torch.hypot(y, torch.fft.rfftfreq(size_px)).clamp(min=1.0 / size_px)
    white = torch.fft.rfft2(torch.randn(size_px, size_px, generator=generator))
    relief = torch.fft.irfft2(white / radius**slope, s=(size_px, size_px))
    light = torch.exp(0.7 * relief / relief.std())
    return light / light.max()


def few_balls(size_px: int, generator: torch.Generator) -> Float[Tensor, "y x"]:
    """One to six evenly filled balls of about one size, somewhere in a dark field that wraps.

    Examples
    --------
    >>> field = few_balls(64, torch.Generator().manual_seed(0))
    >>> float(field.max()), bool((field == 0).float().mean() > 0.5)
    (1.0, True)
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    field = torch.zeros(size_px, size_px)
    line = torch.arange(size_px) + 0.0
    largest = math.exp(uniform(math.log(0.5), math.log(size_px / 16)))
    for _ in range(1 + int(uniform(0.0, 6.0))):
        radius = largest * uniform(0.7, 1.0)
        y, x = ((line - uniform(0.0, float(size_px))) % size_px - size_px / 2 for _ in range(2))
        # Pixels at the rim are filled in part: within one pixel the thickness fades.
        inside = (1 - (y[:, None].square() + x.square()) / (radius + 0.5) ** 2).clamp(min=0.0)
        field += uniform(0.3, 1.0) * inside.sqrt()
    return field / field.max()


def few_points(size_px: int, generator: torch.Generator) -> Float[Tensor, "y x"]:
    """One to a dozen points anywhere between the pixels of a dark field that wraps.

    Examples
    --------
    >>> field = few_points(64, torch.Generator().manual_seed(0))
    >>> float(field.max()), bool((field > 0).float().mean() < 0.02)
    (1.0, True)
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    field = torch.zeros(size_px, size_px)
    for _ in range(round(math.exp(uniform(0.0, math.log(12.0))))):
        light = uniform(0.3, 1.0)
        (y, v), (x, u) = (divmod(uniform(0.0, float(size_px)), 1.0) for _ in range(2))
        for up, share_y in ((0, 1 - v), (1, v)):
            for on, share_x in ((0, 1 - u), (1, u)):
                field[(int(y) + up) % size_px, (int(x) + on) % size_px] += light * share_y * share_x
    return field / field.max()


def _glowing(name: str, size_px: int, dice: torch.Generator) -> Float[Tensor, "p y x"]:
    made = []
    for pixel_um in PIXELS_UM * EACH:
        specimen = make_specimen(name, size_px, pixel_um=pixel_um, thickness_um=0.0, generator=dice)
        if specimen.emission is None:
            raise InputError(f"The specimen {name!r} does not glow; choose another.")
        made.append(specimen.emission.sum(0))
    return torch.stack(made)


def _crops(picture: Any, size_px: int, dice: torch.Generator) -> Float[Tensor, "p y x"]:
    """Crops of a picture that wrap around, less the picture's darkest percent."""
    grey = as_float_tensor(picture).float().cpu()
    side = size_px + size_px // OVERLAP
    if grey.ndim != 2 or min(grey.shape) < side:
        raise ShapeError(
            f"A picture must be (y, x) of at least {side} x {side} px, but came as "
            f"{tuple(grey.shape)}; give a larger one or a smaller size_px."
        )
    dark = torch.quantile(grey.flatten()[:: max(1, grey.numel() // 1_000_000)], 0.01)
    light = (grey - dark).clamp(min=0.0)
    if not bool(light.any()):
        raise InputError("A picture has one grey value only; leave it out.")
    crops = []
    for share in torch.rand(CROPS, 2, generator=dice).tolist():
        first = [
            int(part * (whole - side + 1)) for part, whole in zip(share, grey.shape, strict=True)
        ]
        cut = light[first[0] : first[0] + side, first[1] : first[1] + side]
        crops.append(blended(blended(cut, size_px).mT, size_px).mT)
    whole = torch.stack(crops)
    return whole / whole.amax((1, 2), keepdim=True).clamp(min=1e-6)


def blended(strip: Float[Tensor, "long x"], size_px: int) -> Float[Tensor, "y x"]:
    """Make the first axis wrap around: what is too long fades in over the beginning.

    Examples
    --------
    >>> blended(torch.arange(6.0)[:, None], 4).flatten()
    tensor([2.6667, 2.3333, 2.0000, 3.0000])
    """
    extra = len(strip) - size_px
    fade = ((torch.arange(extra, device=strip.device) + 1.0) / (extra + 1.0))[:, None]
    start = torch.lerp(strip[size_px:], strip[:extra], fade)
    return torch.cat([start, strip[extra:size_px]])
