"""Blurred and noisy images beside what they should show, each field with optics of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.optics.batches import Stain, pupil_psfs
from parfocal.optics.nominal import nominal_transfers
from parfocal.simulate.batch_noise import GAIN, Exposures, noisy_counts
from parfocal.simulate.batches import BATCHES_KEPT, LEAST_PX, RENEWED_TOGETHER
from parfocal.simulate.object_pool import ObjectPool
from parfocal.simulate.training_optics import ZERNIKES

OBJECTS = (
    "beads", "nuclei", "packed_nuclei", "filaments", "microtubules", "mitochondria", "cells",
    "epithelium",
)  # fmt: skip
NEAR_SHARE = 0.22  # of the fields: within one depth of field
TWO_LAYERS, THICK = 0.2, 0.1  # shares of the optics
SLICES = (-0.5, -0.25, 0.25, 0.5)  # of a thick object, in its thickness; and its middle
WIDEST_BLUR = 0.25  # of the field's side: radius of the geometric blur
FEW_PHOTONS, MANY_PHOTONS = 5.0, 2000.0
SATURATED, CORRELATED = 0.03, 0.1  # shares of the fields
TEXTURES_A_DISC = 8
RING_SHARE = 0.25  # of the discs: more, and defocused points pass for rings
OPTICS = ("na", "index", "wavelength_um", "pixel_um")


@dataclass(frozen=True, eq=False, kw_only=True)
class BlurredBatch:
    """One image of each field, and the same field in focus.

    Parameters
    ----------
    images
        Counts less the camera's offset.
    sharp
        What the same optics without aberrations would show in focus, every layer of the object
        at once, without noise; in the same counts, background included.
    defocus_um
        Stage z of the image less that of best focus, of the brighter layer.
    na, index, wavelength_um, pixel_um
        Optics of each field.
    background
        Counts of the even background in either image: of the empty field, by transmitted light.
    photons
        Electrons of the image's brightest pixel, less the background; by transmitted light with it.
    nominal
        Transfer functions (``rfft2``) of the optics without aberrations, at each of the distances
        asked for: of even functions around the origin, so real.
    transfer
        Transfer function of the brighter layer, the point at the middle pixel.
    """

    images: Float[Tensor, "b y x"]
    sharp: Float[Tensor, "b y x"]
    defocus_um: Float[Tensor, " b"]
    na: Float[Tensor, " b"]
    index: Float[Tensor, " b"]
    wavelength_um: Float[Tensor, " b"]
    pixel_um: Float[Tensor, " b"]
    background: Float[Tensor, " b"]
    photons: Float[Tensor, " b"]
    nominal: Float[Tensor, "b k y kx"]
    transfer: Tensor

    @property
    def depth_um(self) -> Float[Tensor, " b"]:
        """Depth of field, n wavelength / NA^2."""
        return self.index * self.wavelength_um / self.na.square()


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """What all fields of a measurement have in common: each is one thin layer.

    Parameters
    ----------
    defocus_dof
        |defocus| in depths of field.
    photons
        Electrons of the brightest pixel of the image as it is taken, less the background; by
        transmitted light of the empty field.
    """

    defocus_dof: float
    photons: float


class BlurredFields:
    """An endless source of blurred images with their truth, made on the training device.

    Each field has optics of its own: NA / n from 0.1 to 0.95, aberrations as in
    ``FieldBatches``, pixels from 0.2 to 0.6 wavelength / NA; defocus of either sign up to
    ``reach_dof``, or until the geometric blur has a quarter of the field's side as its radius,
    and in one of five fields below one depth of field; a second, dimmer layer at another depth
    in a fifth, objects up to six depths thick in a tenth. 5 to 2000 photons, background, read
    noise; 3 % saturated, 10 % with correlated noise. Discs and rings are among the objects, so
    that a disc in focus is known from a point that is not.

    Parameters
    ----------
    batch, size_px
        Fields in a batch, pixels along a side. Fields wrap around.
    reach_dof
        Largest |defocus| in depths of field.
    nominal_dof
        |defocus| at which the nominal optics are computed too.
    seed, device
        What draws everything; where batches are made and stay.
    objects
        Rows of ``SPECIMENS``.
    textures
        How many textures of 1 / f amplitude; twice as many fields of a few balls and of a few
        points, and an eighth as many pictures of discs and rings, from which crops are cut.
    reuse
        How often, in the mean, one set of optics is used.
    fixed
        What every field has in common, for measuring; None to draw each anew.
    Examples
    --------
    >>> fields = BlurredFields(batch=2, size_px=32, seed=1, objects=("beads",), nominal_dof=(1.0,))
    >>> drawn = fields.draw()
    >>> drawn.images.shape, drawn.nominal.shape
    (torch.Size([2, 32, 32]), torch.Size([2, 1, 32, 17]))
    """

    def __init__(
        self,
        *,
        batch: int = 12,
        size_px: int = 160,
        reach_dof: float = 7.0,
        nominal_dof: tuple[float, ...] = (),
        seed: int = 0,
        device: str = "cpu",
        objects: tuple[str, ...] = OBJECTS,
        textures: int = 8,
        reuse: int = 24,
        fixed: Fixed | None = None,
    ) -> None:
        if min(batch, reuse) < 1 or size_px < LEAST_PX:
            raise InputError(
                f"A batch of {batch} fields of {size_px} px, each used {reuse} times, cannot be; "
                f"give at least 1 of each, and {LEAST_PX} px."
            )
        self.batch, self.size_px, self.reach_dof = batch, size_px, reach_dof
        self.nominal_dof, self._fixed = nominal_dof, fixed
        self.device = pick_device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        dice = torch.Generator().manual_seed(seed)
        pictures = [discs_and_rings(2 * size_px, dice) for _ in range(textures // TEXTURES_A_DISC)]
        self._pool = ObjectPool(
            objects,
            textures=textures,
            balls=2 * textures,
            points=2 * textures,
            pictures=pictures,
            size_px=size_px,
            seed=seed,
            device=self.device,
        )
        self._reuse, self._due, self._oldest = reuse, 0.0, 0
        parts = [self._draw_optics(batch) for _ in range(BATCHES_KEPT if reuse > 1 else 1)]
        self._bank = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def __iter__(self) -> Iterator[BlurredBatch]:
        while True:
            yield self.draw()

    def draw(self) -> BlurredBatch:
        """Draw and image the next batch."""
        kept = len(self._bank["na"])
        self._due += self.batch / self._reuse
        if self._due >= min(RENEWED_TOGETHER, kept):
            self._renew(min(int(self._due), kept))
            self._due %= 1.0
        order = torch.randperm(kept, generator=self.generator, device=self.device)[: self.batch]
        some = {name: values[order] for name, values in self._bank.items()}
        light, sharp = self._imaged(some)
        camera = self._exposures()
        light, camera, glow, floor = self._lit(light, sharp, camera)
        images = noisy_counts(light[:, None], camera, self.generator)[:, 0]
        return BlurredBatch(
            images=images,
            sharp=torch.addcmul(floor[:, None, None], sharp, glow[:, None, None]),
            defocus_um=some["z_um"],
            background=floor,
            photons=camera.photons,
            nominal=some["nominal"],
            transfer=some["first"],
            **{name: some[name] for name in OPTICS},
        )

    def _renew(self, count: int) -> None:
        """Replace the optics that have been there longest."""
        kept = len(self._bank["na"])
        oldest = (self._oldest + torch.arange(count, device=self.device)) % kept
        self._oldest = (self._oldest + count) % kept
        for name, values in self._draw_optics(count).items():
            self._bank[name].index_copy_(0, oldest, values)

    def _draw_optics(self, count: int) -> dict[str, Tensor]:
        """Optics, positions and transfer functions of fields."""
        ratio = self._uniform(0.1, 0.95, count)
        index = 1.0 + self._uniform(0.0, 0.53, count) * (self._uniform(0.0, 1.0, count) > 0.5)
        na, wavelength = ratio * index, self._uniform(0.42, 0.7, count)
        pixel = self._uniform(0.2, 0.6, count) * wavelength / na
        depth = index * wavelength / na.square()
        slope = ratio / (1 - ratio.square()).sqrt()
        most = WIDEST_BLUR * self.size_px * pixel / (slope * depth)
        z_um = torch.minimum(self._distances_dof(count), most) * depth
        z_um = z_um * self._normal(count).sign()
        kind = self._uniform(0.0, 1.0, count)
        if self._fixed is not None:
            kind = torch.ones_like(kind)  # one thin layer
        share = self._uniform(0.1, 0.45, count) * (kind < TWO_LAYERS)
        height = self._uniform(1.0, 5.0, count) * self._normal(count).sign()
        other = torch.minimum((z_um / depth - height).abs(), most) * depth
        other = other * (z_um / depth - height).sign()
        is_thick = (kind >= TWO_LAYERS) & (kind < TWO_LAYERS + THICK)
        thickness = self._uniform(1.0, 6.0, count).minimum(most) * depth * is_thick
        optics = {"na": na, "index": index, "wavelength_um": wavelength, "pixel_um": pixel}
        waves = self._aberrations(count)
        stain = self._stain(count)
        first = self._psfs(z_um[:, None], optics, waves, stain)[:, 0]
        thick = is_thick.nonzero()[:, 0]
        if len(thick):
            layers = torch.tensor(SLICES, device=self.device) * thickness[thick, None]
            part = {name: value[thick] for name, value in optics.items()}
            own = None if stain is None else stain.chosen(thick)
            more = self._psfs(z_um[thick, None] + layers, part, waves[thick], own)
            first[thick] = (first[thick] + more.sum(1)) / (len(SLICES) + 1)
        second = torch.zeros_like(first)
        two = share.nonzero()[:, 0]
        if len(two):
            part = {name: value[two] for name, value in optics.items()}
            own = None if stain is None else stain.chosen(two)
            second[two] = self._psfs(other[two, None], part, waves[two], own)[:, 0]
        distances = (0.0, *self.nominal_dof)
        nominal = nominal_transfers(defocus_dof=distances, size_px=self.size_px, **optics)
        return optics | {
            "z_um": z_um, "share": share,
            "first": torch.fft.rfft2(first), "second": torch.fft.rfft2(second),
            "focus": nominal[:, 0], "nominal": nominal[:, 1:],
        }  # fmt: skip

    def _distances_dof(self, count: int) -> Float[Tensor, " b"]:
        """|defocus| in depths of field: one in five below 1, fewer the farther."""
        if self._fixed is not None:
            return torch.full((count,), self._fixed.defocus_dof, device=self.device)
        near = self._uniform(0.0, 1.0, count)
        far = 1.0 + (self.reach_dof - 1.0) * self._uniform(0.0, 1.0, count) ** 1.3
        return torch.where(self._uniform(0.0, 1.0, count) < NEAR_SHARE, near, far)

    def _stain(self, count: int) -> Stain | None:
        """What takes light away, where it does not give it."""
        return None

    def _psfs(
        self,
        z_um: Float[Tensor, "b z"],
        optics: dict[str, Tensor],
        waves: Tensor,
        stain: Stain | None,
    ) -> Float[Tensor, "b z y x"]:
        return pupil_psfs(
            z_um=z_um, size_px=self.size_px, zernike_waves=waves, beyond="fold", stain=stain,
            na=optics["na"], index=optics["index"], wavelength_um=optics["wavelength_um"],
            pixel_um=optics["pixel_um"],
        )  # fmt: skip

    def _aberrations(self, count: int) -> Float[Tensor, "b j"]:
        """Spherical aberration of SD 0.15 waves, other terms 0.03; a third have none."""
        waves = 0.03 * self._normal(count, ZERNIKES)
        waves[:, 12] *= 5.0
        waves[:, [0, 1, 2, 4]] = 0.0
        return waves * (self._uniform(0.0, 1.0, count, 1) > 1 / 3)

    def _imaged(
        self, some: dict[str, Tensor]
    ) -> tuple[Float[Tensor, "b y x"], Float[Tensor, "b y x"]]:
        """Light through each field's own transfer functions, and the same in focus."""
        share = some["share"]
        above = self._pool.draw(len(share), self.generator).mul_((1 - share)[:, None, None])
        blurred, whole = above * some["first"], above
        two = share.nonzero()[:, 0]
        if len(two):
            below = self._pool.draw(len(two), self.generator).mul_(share[two, None, None])
            blurred.index_add_(0, two, below * some["second"][two])
            whole = above.index_add(0, two, below)
        size = (self.size_px, self.size_px)
        light = torch.fft.irfft2(blurred, s=size)
        sharp = torch.fft.irfft2(whole * some["focus"], s=size)
        half = self.size_px // 2  # light came through points at the middle pixel
        return light.roll((-half, -half), (1, 2)), sharp

    def _lit(
        self, light: Float[Tensor, "b y x"], sharp: Float[Tensor, "b y x"], camera: Exposures
    ) -> tuple[Float[Tensor, "b y x"], Exposures, Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Light on the camera and its exposure; counts for a unit of light, and of none."""
        glow = GAIN * camera.photons / light.amax((1, 2)).clamp(min=1e-6)
        return light, camera, glow, GAIN * camera.background

    def _exposures(self) -> Exposures:
        """5 to 2000 photons, background to twice that, read noise 0.5 to 4 electrons."""
        count = self.batch
        low, high = math.log(FEW_PHOTONS), math.log(MANY_PHOTONS)
        photons = torch.exp(self._uniform(low, high, count))
        if self._fixed is not None:
            photons = torch.full_like(photons, self._fixed.photons)
        background = (
            photons * self._uniform(0.0, 2.0, count) * self._uniform(0.0, 1.0, count).square()
        )
        clips = self._uniform(0.0, 1.0, count) < SATURATED
        share = torch.where(clips, self._uniform(0.5, 0.9, count), 3.0)
        correlates = self._uniform(0.0, 1.0, count) < CORRELATED
        return Exposures(
            photons=photons,
            background=background,
            drift=torch.ones(count, 1, device=self.device),
            read_noise=torch.exp(self._uniform(-0.7, 1.4, count)),
            most=share * (photons + background) + 15.0,
            correlation=torch.where(correlates, self._uniform(0.4, 0.9, count), 0.0),
        )

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * drawn

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)


def discs_and_rings(size_px: int, generator: torch.Generator) -> Float[Tensor, "y x"]:
    """Discs and rings of many sizes with sharp rims: what a defocused point looks like.

    Examples
    --------
    >>> field = discs_and_rings(64, torch.Generator().manual_seed(0))
    >>> float(field.min()), field.shape
    (0.0, torch.Size([64, 64]))
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    field = torch.zeros(size_px, size_px)
    line = torch.arange(size_px) + 0.0
    for _ in range(max(4, size_px**2 // 1500)):
        radius = math.exp(uniform(0.0, math.log(size_px / 16)))
        y, x = ((line - uniform(0.0, float(size_px))) % size_px - size_px / 2 for _ in range(2))
        away = (y[:, None].square() + x.square()).sqrt()
        # Pixels at the rim are filled in part.
        shape = (radius + 0.5 - away).clamp(0.0, 1.0)
        if uniform(0.0, 1.0) < RING_SHARE:
            inner = radius * uniform(0.3, 0.9)
            shape = shape * (away - inner + 0.5).clamp(0.0, 1.0)
        field += uniform(0.2, 1.0) * shape
    return field
