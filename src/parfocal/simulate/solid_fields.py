"""Fluorescent bodies as thick as they are wide, for training: balls, shells and stacked tissue."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.simulate.batch_noise import draw_exposures, noisy_counts
from parfocal.simulate.batches import OBJECTS, FieldBatch
from parfocal.simulate.kept_images import KeptImages, Made, exposed
from parfocal.simulate.object_pool import ObjectPool, texture
from parfocal.simulate.training_optics import LENGTHS, TrainingOptics

KEPT = 128
SLICES = 7
THINNEST, THICKEST = 0.7, 7.0  # effective depths of field
LEAST_WIDTH_PX, WIDEST_SHARE = 2.0, 0.35  # of the widest ball: pixels, and share of the side
MOST_BALLS = 24
BALLS = 0.7  # share of the fields; the rest is tissue, another structure in each slice
SHELLS, SPOTTED, RESTING = 0.3, 0.3, 0.5  # shares of the balls' fields
TEXTURES = 8


class SolidFields:
    """Specimens through whose whole thickness light comes, with optics of their own.

    Balls, full or hollow, some with an uneven inside, whose height in the optics' depths of field
    follows from their width in pixels; they lie on a plane or hang about one height. Or tissue:
    another structure in each of seven slices. Optics, positions and noise as in
    ``FieldBatches``; focus is the mean height of what is fine in the slices, by its energy.

    Parameters
    ----------
    size_px, images
        Pixels along a side, and images of each field.
    reach_depths
        Largest defocus of the images' middle, in effective depths of field.
    seed
        Draws everything.
    device
        Where images go.
    objects
        Rows of ``SPECIMENS`` for the tissue.
    kept
        Fields that are kept, to be turned and exposed again: imaging them costs most.

    Examples
    --------
    >>> fields = SolidFields(size_px=32, seed=1, kept=4, objects=("beads",)).draw(2)
    >>> fields.images.shape, fields.na.shape
    (torch.Size([2, 2, 32, 32]), torch.Size([2]))
    """

    def __init__(
        self,
        *,
        size_px: int = 128,
        images: int = 2,
        reach_depths: float = 8.0,
        seed: int = 0,
        device: str = "cpu",
        objects: tuple[str, ...] = OBJECTS,
        kept: int = KEPT,
    ) -> None:
        self.size_px, self.images = size_px, images
        self.device = pick_device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self._optics = TrainingOptics(
            size_px=size_px, images=images, reach_depths=reach_depths, generator=self.generator
        )
        self._pool = ObjectPool(objects, textures=TEXTURES, size_px=size_px, seed=seed)
        self._inside = [texture(size_px, 1.0, self.generator) for _ in range(TEXTURES)]
        self._fields = KeptImages(self._make, kept=kept, generator=self.generator)

    def draw(self, count: int) -> FieldBatch:
        """Draw fields from those that are kept."""
        light, facts = self._fields.draw(count)
        camera = draw_exposures(count, self.images, self.generator)
        images = noisy_counts(light, camera, self.generator).to(self.device)
        return exposed(images, facts, camera.photons)

    def _make(self) -> Made:
        """Images of one field without noise; its optics and positions."""
        optics = self._optics.draw(1)
        depth_um = float(optics["depth_um"])
        pixel_depths = float(optics["pixel_um"]) / depth_um
        widest = WIDEST_SHARE * self.size_px * pixel_depths
        least = min(max(THINNEST, LEAST_WIDTH_PX * pixel_depths), widest)
        most = max(least, min(THICKEST, widest))
        thickness_px = math.exp(self._one(math.log(least), math.log(most))) / pixel_depths
        is_balls = self._one(0.0, 1.0) < BALLS
        slices = self._balls(thickness_px) if is_balls else self._tissue()
        step_um = thickness_px / SLICES * float(optics["pixel_um"])
        heights_um = (torch.arange(SLICES) - (SLICES - 1) / 2) * step_um
        heights_um = heights_um - mean_height(slices, heights_um)
        away_um = (optics["z_um"][0, :, None] - heights_um).flatten()
        psfs = self._optics.psfs(away_um[None], optics)
        psfs = psfs.reshape(self.images, SLICES, self.size_px, self.size_px)
        spectrum = (torch.fft.rfft2(psfs) * torch.fft.rfft2(slices)).sum(1)
        # Positive but for the rounding of the transforms.
        images = torch.fft.irfft2(spectrum, s=(self.size_px, self.size_px)).clamp(min=0.0)
        facts = torch.stack([optics[name][0] for name in LENGTHS])
        return images, torch.cat([facts, optics["z_um"][0]])

    def _balls(self, thickness_px: float) -> Float[Tensor, "k y x"]:
        """Light of balls in each slice; the highest reaches from the first to the last."""
        count = round(math.exp(self._one(0.0, math.log(MOST_BALLS))))
        is_shell, is_resting = self._one(0.0, 1.0) < SHELLS, self._one(0.0, 1.0) < RESTING
        line = torch.arange(self.size_px) + 0.0
        edges = torch.linspace(-0.5, 0.5, SLICES + 1) * thickness_px
        slices = torch.zeros(SLICES, self.size_px, self.size_px)
        smallest = self._one(0.4, 1.0)
        for ball in range(count):
            radius = thickness_px / 2 * (self._one(smallest, 1.0) if ball else 1.0)
            room = thickness_px / 2 - radius
            height = -room if is_resting else self._one(-room, room)
            down, along = (
                (line - self._one(0.0, float(self.size_px))) % self.size_px - self.size_px / 2
                for _ in range(2)
            )
            square = down[:, None].square() + along.square()
            light = in_slices(square, edges - height, radius)
            if is_shell:
                light = light - in_slices(square, edges - height, radius * self._one(0.6, 0.95))
            slices += self._one(0.3, 1.0) * light
        if self._one(0.0, 1.0) < SPOTTED:
            first = int(self._one(0.0, float(TEXTURES)))
            for k in range(SLICES):
                slices[k] *= self._inside[(first + k) % TEXTURES].roll(17 * k, 0)
        return slices

    def _tissue(self) -> Float[Tensor, "k y x"]:
        """Another structure in each slice, brightest about the middle ones."""
        spectra = self._pool.draw(SLICES, self.generator)
        slices: Tensor = torch.fft.irfft2(spectra, s=(self.size_px, self.size_px))
        place = torch.linspace(-1.0, 1.0, SLICES) - self._one(-0.5, 0.5)
        profile = torch.exp(-0.5 * (place / self._one(0.3, 1.2)).square())
        return slices.clamp(min=0.0) * profile[:, None, None]

    def _one(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))


def in_slices(
    square_px: Float[Tensor, "y x"], edges_px: Float[Tensor, " edges"], radius_px: float
) -> Float[Tensor, "k y x"]:
    """Length of each line of sight through a ball that lies between neighbouring edges.

    Parameters
    ----------
    square_px
        Square of each pixel's distance from the axis of the ball.
    edges_px
        Heights of the slices' edges, from the ball's middle.
    radius_px
        Of the ball.

    Examples
    --------
    >>> in_slices(torch.tensor([[0.0, 9.0, 30.0]]), torch.tensor([-9.0, 0.0, 9.0]), 5.0)
    tensor([[[5., 4., 0.]],
    <BLANKLINE>
            [[5., 4., 0.]]])
    """
    half = (radius_px**2 - square_px).clamp(min=0.0).sqrt()
    reached = torch.minimum(torch.maximum(edges_px[:, None, None], -half), half)
    return reached.diff(dim=0)


def mean_height(
    slices: Float[Tensor, "k y x"], heights_um: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """Where a body of slices is in focus: their mean height by the energy of what is fine.

    Examples
    --------
    >>> slices = torch.zeros(2, 4, 4)
    >>> slices[0, 0, 0], slices[1, 0, 0] = 1.0, 3.0
    >>> mean_height(slices, torch.tensor([0.0, 10.0]))
    tensor(9.)
    """
    return (fine_energy(slices) * heights_um).sum()


def fine_energy(slices: Float[Tensor, "k y x"]) -> Float[Tensor, " k"]:
    """Share of each slice in the energy of what is fine: differences between neighbours.

    Examples
    --------
    >>> slices = torch.zeros(2, 4, 4)
    >>> slices[0, 0, 0], slices[1, 0, 0] = 1.0, 3.0
    >>> fine_energy(slices)
    tensor([0.1000, 0.9000])
    """
    energy = sum((slices - slices.roll(1, axis)).square().sum((1, 2)) for axis in (1, 2))
    share: Tensor = energy / energy.sum().clamp(min=1e-12)  # type: ignore[union-attr]
    return share
