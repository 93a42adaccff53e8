"""What is under the microscope: layers of light, absorption and phase, and where they lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError

PHASE_REFERENCE_NM = 550.0
CHANNELS = ("emission", "absorption", "phase_rad")


@dataclass(frozen=True, eq=False, kw_only=True)
class Specimen:
    """A specimen as layers, with the truth of where everything lies.

    Procedural specimens wrap around in y and x: any rolled window of one is as good as another,
    and imaging by circular FFT needs no margin.

    Parameters
    ----------
    pixel_um
        Distance between pixel centres, in um.
    heights_um
        Height of each layer, rising, along increasing stage z; 0 is the specimen's reference.
    emission
        Fluorescence: relative brightness; the sum over layers has a maximum of about 1.
    absorption
        Transmission: natural logarithm of the loss of intensity, per layer.
    phase_rad
        Transmission: phase delay per layer at 550 nm, in rad.
    family, name
        Kind of structure, for splits that keep a family unseen, and the row of the table.

    Raises
    ------
    ShapeError
        If a channel has other layers than ``heights_um``, or channels differ in shape.
    InputError
        If no channel is given, heights do not rise, or the pixel is not positive.

    Examples
    --------
    >>> light = torch.zeros(2, 4, 4); light[1, 2, 2] = 1.0
    >>> dot = Specimen(pixel_um=0.1, heights_um=torch.tensor([0.0, 2.0]), emission=light)
    >>> dot.shape, structure_height(dot)[2, 2].item()
    ((2, 4, 4), 2.0)
    """

    pixel_um: float
    heights_um: Float[Tensor, " layer"]
    emission: Float[Tensor, "_layer _y _x"] | None = None
    absorption: Float[Tensor, "_layer _y _x"] | None = None
    phase_rad: Float[Tensor, "_layer _y _x"] | None = None
    family: str = "own"
    name: str = "own"

    def __post_init__(self) -> None:
        present = self.channels
        if not present:
            raise InputError("A specimen needs emission, absorption or phase_rad; none was given.")
        shapes = {tuple(channel.shape) for channel in present.values()}
        layers = self.heights_um.shape[0]
        if len(shapes) > 1 or any(len(shape) != 3 or shape[0] != layers for shape in shapes):
            raise ShapeError(
                f"Every channel must have the axes (layer, y, x) with {layers} layers, as "
                f"heights_um has, and the same size; they came as {sorted(shapes)}."
            )
        if min(next(iter(shapes))) < 1:
            raise ShapeError(f"A specimen needs pixels and layers; it came as {sorted(shapes)}.")
        if not (self.pixel_um > 0 and math.isfinite(self.pixel_um)):
            raise InputError(f"pixel_um must be positive, but came as {self.pixel_um:g}.")
        if layers > 1 and not bool((self.heights_um.diff() > 0).all()):
            raise InputError("heights_um must rise from layer to layer; sort the layers.")

    @property
    def channels(self) -> dict[str, Tensor]:
        """The channels that are there, by name."""
        found = {name: getattr(self, name) for name in CHANNELS}
        return {name: channel for name, channel in found.items() if channel is not None}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, y, x."""
        layers, size_y, size_x = next(iter(self.channels.values())).shape
        return layers, size_y, size_x

    @property
    def device(self) -> torch.device:
        """Where the layers live."""
        return self.heights_um.device

    @property
    def is_fluorescent(self) -> bool:
        """Whether it gives light of its own."""
        return self.emission is not None

    @property
    def is_transmissive(self) -> bool:
        """Whether it changes light that passes."""
        return self.absorption is not None or self.phase_rad is not None

    def to(self, device: torch.device | str) -> Specimen:
        """The same specimen on another device."""
        return replace(
            self._each(lambda channel: channel.to(device)), heights_um=self.heights_um.to(device)
        )

    def slices(self, wavelength_nm: float) -> Complex[Tensor, "layer y x"]:
        """Complex amplitude of each layer at a wavelength: exp(-absorption / 2 + i phase).

        The phase is that of 550 nm times 550 / wavelength (an optical path without dispersion).

        Raises
        ------
        InputError
            If the specimen has neither absorption nor phase, or the wavelength is not positive.
        """
        if not self.is_transmissive:
            raise InputError(
                f"The specimen {self.name!r} has only emission; "
                "image it by fluorescence, or choose one with absorption or phase."
            )
        if not wavelength_nm > 0:
            raise InputError(f"wavelength_nm must be positive, but came as {wavelength_nm:g}.")
        blank = torch.zeros((), device=self.device).expand(self.shape)
        loss = blank if self.absorption is None else self.absorption
        phase = blank if self.phase_rad is None else self.phase_rad
        return torch.polar(torch.exp(-0.5 * loss), phase * (PHASE_REFERENCE_NM / wavelength_nm))

    def window(self, row: int, column: int, *, size_y: int, size_x: int) -> Specimen:
        """A part whose first pixel is (row, column), wrapping around the edges."""
        if size_y < 1 or size_x < 1:
            raise ShapeError(f"A window needs at least 1 x 1 px, not {size_y} x {size_x}.")
        _, whole_y, whole_x = self.shape
        rows = (row + torch.arange(size_y, device=self.device)) % whole_y
        columns = (column + torch.arange(size_x, device=self.device)) % whole_x
        return self._each(lambda channel: channel[:, rows[:, None], columns])

    def turned(self, quarter_turns: int = 0, *, mirror: bool = False) -> Specimen:
        """Turned by quarter turns about the optical axis, after a mirror along x if asked."""
        return self._each(
            lambda channel: torch.rot90(
                channel.flip(-1) if mirror else channel, quarter_turns, dims=(-2, -1)
            )
        )

    def raised(self, by_um: float) -> Specimen:
        """The same structure higher by a distance; layers stay as they are."""
        return replace(self, heights_um=self.heights_um + by_um)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Specimen:
        changed = {name: change(channel) for name, channel in self.channels.items()}
        return replace(self, **changed)  # type: ignore[arg-type]


def bend(specimen: Specimen, surface_um: Float[Tensor, "y x"], *, step_um: float) -> Specimen:
    """Raise every structure by the height of a surface, onto layers ``step_um`` apart.

    What falls between two layers is shared linearly, so that each column keeps its sum and its
    mean height exactly.

    Parameters
    ----------
    specimen
        What is bent; its layers may be at any distances.
    surface_um
        Height that is added, pixel by pixel, in um.
    step_um
        Distance of the new layers, in um; at most half a depth of field looks continuous.

    Raises
    ------
    ShapeError
        If the surface has not the specimen's y and x.
    InputError
        If the step is not positive or the surface is not finite.

    Notes
    -----
    Laws: each column's sum is kept; its mean height rises by the surface.

    Examples
    --------
    >>> flat = Specimen(pixel_um=1.0, heights_um=torch.zeros(1), emission=torch.ones(1, 1, 3))
    >>> structure_height(bend(flat, torch.tensor([[0.0, 0.5, 2.0]]), step_um=1.0))
    tensor([[0.0000, 0.5000, 2.0000]])
    """
    if tuple(surface_um.shape) != specimen.shape[1:]:
        raise ShapeError(
            f"The surface is {tuple(surface_um.shape)}, the specimen {specimen.shape[1:]} (y, x)."
        )
    if not step_um > 0:
        raise InputError(f"step_um must be positive, but came as {step_um:g}.")
    if not bool(torch.isfinite(surface_um).all()):
        raise InputError("The surface holds values that are not finite; fill them first.")
    surface = surface_um.to(specimen.device, torch.float32)
    low = float(specimen.heights_um[0] + surface.min())
    high = float(specimen.heights_um[-1] + surface.max())
    layers = max(1, math.ceil((high - low) / step_um - 1e-5) + 1)
    heights = low + step_um * torch.arange(layers, device=specimen.device)

    def move(channel: Tensor) -> Tensor:
        moved = channel.new_zeros(layers, *channel.shape[1:])
        for height, light in zip(specimen.heights_um, channel, strict=True):
            place = ((height + surface - low) / step_um).clamp(0.0, layers - 1.0)
            below = place.floor().long().clamp(max=max(layers - 2, 0))
            share = place - below
            moved.scatter_add_(0, below[None], (light * (1.0 - share))[None])
            above = (below + 1).clamp(max=layers - 1)
            moved.scatter_add_(0, above[None], (light * share)[None])
        return moved

    moved = {name: move(channel) for name, channel in specimen.channels.items()}
    return replace(specimen, heights_um=heights, **moved)  # type: ignore[arg-type]


def structure_weight(specimen: Specimen) -> Float[Tensor, "layer y x"]:
    """How much structure each voxel holds: its emission, or else absorption plus |phase|."""
    if specimen.emission is not None:
        return specimen.emission
    parts = [channel.abs() for channel in specimen.channels.values()]
    return torch.stack(parts).sum(0)


def structure_height(specimen: Specimen, *, floor: float = 1e-3) -> Float[Tensor, "y x"]:
    """Mean height of the structure at each pixel, weighted by its brightness, in um.

    The weight is the emission; without one, absorption plus the modulus of the phase. NaN where
    the sum over layers is at most ``floor`` times its maximum: nothing is there to focus on.

    Examples
    --------
    >>> light = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    >>> two = Specimen(pixel_um=1.0, heights_um=torch.tensor([0.0, 3.0]), emission=light)
    >>> structure_height(two)
    tensor([[1.5000,    nan]])
    """
    weight = structure_weight(specimen)
    total = weight.sum(0)
    moment = torch.einsum("l,lyx->yx", specimen.heights_um, weight)
    there = total > floor * total.max()
    nowhere = torch.full_like(total, math.nan)
    return torch.where(there, moment / torch.where(there, total, 1.0), nowhere)
