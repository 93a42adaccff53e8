"""Transfer functions at any defocus, from a table of planes that is filled when it is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from parfocal.core.setup import OpticalSetup
from parfocal.optics.imaging import Band, plane_otfs, radial_otfs

PsfFunction = Callable[[list[float], int], Tensor]
"""Defocus of each plane in um and a window in px to point-spread functions (z, y, x)."""

STEPS_PER_DEPTH = 10  # table planes per depth of field, near focus
WIDENING_DEPTHS = 3.0  # from here on their distance grows with defocus
SAMPLES_PER_CUTOFF = 2.2  # of the table's PSFs; 2 is the least
RADIAL_LENGTH = 16_384
LEAST_WINDOW_PX, MOST_WINDOW_PX = 256, 1024
_MOST_NODES = 4096


def window_px(
    setup: OpticalSetup, defocus_um: float, *, pixel_um: float, spread_um: float = 0.0
) -> int:
    """Window that holds the geometric blur at a defocus and its diffraction, a power of two.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.65, immersion_index=1.56)
    >>> window_px(setup, 10.0, pixel_um=0.2), window_px(setup, 100.0, pixel_um=0.2)
    (256, 1024)
    """
    sine = min(0.98, setup.na / setup.immersion_index)
    blur_um = 2 * abs(defocus_um) * sine / math.sqrt(1 - sine**2)
    needed = (1.25 * blur_um + spread_um) / pixel_um + LEAST_WINDOW_PX / 2
    return int(min(MOST_WINDOW_PX, max(LEAST_WINDOW_PX, 2 ** math.ceil(math.log2(needed)))))


class TransferTable:
    """Transfer functions of one set of optics, on any grid, at any defocus.

    Point-spread functions are computed once at table planes, a tenth of a depth of field apart
    near focus and farther beyond (even in asinh of defocus, as blur grows in proportion), and
    interpolated between by cubic convolution [Keys1981]_. Round ones are kept as a profile along
    the radius, others as a plane for each grid.

    Parameters
    ----------
    setup
        The optics: cut-off and depth of field.
    psf
        Point-spread functions (z, y, x) at given defocus and window, sampled at ``pixel_um``
        of this table, with the centre at index size // 2.
    is_round
        Whether they are symmetric about the optical axis.
    is_even
        Whether they are equal at -defocus, so that half of them need no computing.
    cutoff_per_um
        Highest frequency that they pass; the setup's own where none is given.
    spread_um
        Width of the spot in focus, where aberrations make it wider than diffraction.
    integrates
        Whether ``psf`` integrates over pixels, which is then undone.

    Notes
    -----
    Error of interpolation below 2e-3 of the in-focus transfer at zero frequency (tests/unit).
    Light that leaves the largest window (1024 px, about 230 wavelengths / NA) folds back.
    """

    def __init__(
        self,
        setup: OpticalSetup,
        psf: PsfFunction,
        *,
        is_round: bool,
        is_even: bool = False,
        cutoff_per_um: float | None = None,
        spread_um: float = 0.0,
        integrates: bool = False,
    ) -> None:
        self.setup = setup
        self.is_round = is_round
        self.cutoff_per_um = cutoff_per_um or setup.cutoff_per_um
        self.pixel_um = 1.0 / (SAMPLES_PER_CUTOFF * self.cutoff_per_um)
        self.is_even = is_even
        self.spread_um = spread_um
        self.integrates = integrates
        self._unit_um = WIDENING_DEPTHS * setup.depth_of_field_um
        self._psf = psf
        self._profiles: dict[int, Tensor] = {}
        self._planes: dict[int, Tensor] = {}
        self._band: Band | None = None
        self._radii: tuple[Tensor, Tensor] | None = None

    def otfs(
        self, defocus_um: Sequence[float], band: Band
    ) -> Float[Tensor, "d n"] | Complex[Tensor, "d n"]:
        """Transfer function at each defocus, for the frequencies of a band."""
        far = torch.tensor(list(defocus_um), dtype=torch.float64) / self._unit_um
        positions = far.asinh() * (WIDENING_DEPTHS * STEPS_PER_DEPTH)
        taps, weights = _cubic(positions)
        taps = taps.abs() if self.is_even else taps
        nodes, where = torch.unique(taps.flatten(), return_inverse=True)
        self._fill([int(node) for node in nodes], band)
        kept = self._profiles if self.is_round else self._planes
        if not self.is_round:
            return _blended([kept[int(node)] for node in nodes], where.view(taps.shape), weights)
        rows = torch.stack([kept[int(node)] for node in nodes])
        mix = torch.zeros(len(positions), len(nodes), dtype=torch.float64)
        mix.scatter_add_(1, where.view(taps.shape), weights)
        return self._along_radius(mix.to(rows.device, rows.dtype) @ rows, band)

    def _node_um(self, node: int) -> float:
        return self._unit_um * math.sinh(node / (WIDENING_DEPTHS * STEPS_PER_DEPTH))

    def _fill(self, nodes: list[int], band: Band) -> None:
        """Compute the planes that are not there yet, those of one window together."""
        if not self.is_round and band is not self._band:
            self._planes.clear()
        if band is not self._band:
            self._band, self._radii = band, None
        kept = self._profiles if self.is_round else self._planes
        if len(kept) > _MOST_NODES:
            kept.clear()
        windows: dict[int, list[int]] = {}
        for node in nodes:
            if node not in kept:
                defocus_um = self._node_um(node)
                lengths = {"pixel_um": self.pixel_um, "spread_um": self.spread_um}
                size_px = window_px(self.setup, defocus_um, **lengths)
                windows.setdefault(size_px, []).append(node)
        for size_px, missing in windows.items():
            batch = max(1, 16 * LEAST_WINDOW_PX**2 // size_px**2)
            for start in range(0, len(missing), batch):
                some = missing[start : start + batch]
                psfs = self._psf([self._node_um(node) for node in some], size_px)
                if self.is_round:
                    rows, step = radial_otfs(psfs, pixel_um=self.pixel_um, length=RADIAL_LENGTH)
                    side = step * self.pixel_um * torch.arange(rows.shape[1], device=rows.device)
                    blur = torch.sinc(side).float()
                else:
                    rows = plane_otfs(psfs, band, pixel_um=self.pixel_um)
                    blur = band.pixel_response(self.pixel_um)
                rows = rows / blur if self.integrates else rows
                kept.update(zip(some, rows, strict=True))

    def _along_radius(self, profiles: Float[Tensor, "d r"], band: Band) -> Float[Tensor, "d n"]:
        """Read each profile at the radius of every frequency; equal radii are read once."""
        if self._radii is None:
            scale = RADIAL_LENGTH * self.pixel_um
            rounded = (band.radius.double() * scale * 4096).round()
            self._radii = torch.unique(rounded, return_inverse=True)
        radii, inverse = self._radii
        place = radii / 4096
        low = place.long().clamp_(max=profiles.shape[-1] - 2)
        share = (place - low).to(profiles.dtype)
        below, above = profiles.index_select(1, low), profiles.index_select(1, low + 1)
        return torch.lerp(below, above, share.expand_as(below)).index_select(1, inverse)


def _blended(
    rows: Sequence[Complex[Tensor, " n"]], taps: Int[Tensor, "d 4"], weights: Float[Tensor, "d 4"]
) -> Complex[Tensor, "d n"]:
    """Weighted sums of four rows each; long ones, of which a matrix product would take all."""
    sums = rows[0].new_zeros(len(taps), len(rows[0])) if rows else torch.zeros(0, 0)
    for total, four, shares in zip(sums, taps.tolist(), weights.tolist(), strict=True):
        for tap, share in zip(four, shares, strict=True):
            if share:
                total.add_(rows[tap], alpha=share)
    return sums


def _cubic(positions: Float[Tensor, " d"]) -> tuple[Tensor, Float[Tensor, "d 4"]]:
    """The four planes about each position and their weights [Keys1981]_."""
    first = positions.floor()
    t = (positions - first)[:, None]
    weights = torch.cat(
        (
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ),
        dim=1,
    )
    return first.long()[:, None] + torch.arange(-1, 3), weights
