"""Refocus one image by its optics: the blur of its distance from focus is undone, if known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.results import Refocused, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.optics import Aberrations
from parfocal.refocus.checks import as_counts, require_iterations
from parfocal.refocus.edges import Frame
from parfocal.refocus.iterations import landweber, richardson_lucy
from parfocal.refocus.linear import noise_ratio, wiener
from parfocal.refocus.psfs import Blur, defocus_psf, reach_px
from parfocal.refocus.varying import Tile, by_tiles

ITERATIONS = {"richardson-lucy": 25, "landweber": 100, "wiener": 1}
IN_FOCUS_DOF = 1.0
"""Nearer to focus an image is passed through: noise and aberrations outweigh the blur."""
FARTHEST_DOUBT_DOF = 0.5
"""A distance wrong by this much gains nothing on average (``benchmarks/deconvolution.py``)."""
MOST_CLIPPED = 0.05
FLUX_KEPT = 0.05
TILE_PX, VARYING_TILE_PX = 2048, 192
OVERLAP_PX = 32
STEP_DOF = 0.05  # distances of tiles are rounded to this, so that few functions are computed
BIN_PX = 8


def deconvolve(
    image: Any,
    *,
    setup: OpticalSetup | None,
    defocus_um: Any,
    interval_um: tuple[float, float] | None = None,
    method: str = "richardson-lucy",
    iterations: int | None = None,
    background: float | None = None,
    aberrations: Aberrations | None = None,
    saturation_counts: float | None = None,
    device: str = "cpu",
) -> Refocused:
    """Bring an image into focus by undoing the blur of a known distance.

    Parameters
    ----------
    image
        Counts (y, x) of fluorescence, of any array kind.
    setup
        The optics.
    defocus_um
        Distance from focus in um: a number, a map (y, x), or a function of the arrays y and x (in
        px) that returns one. Its sign matters only to aberrations.
    interval_um
        Its 90 % interval (low, high), as ``predict`` or ``focus_quality`` give it. One that
        leaves open whether the result is better than the input is declined. Without it the
        distance is believed.
    method
        "richardson-lucy" (accelerated), "landweber" (step 1) or "wiener".
    iterations
        Default 25, 100 and 1.
    background
        Counts without light; by default the darkest 8 x 8 px.
    aberrations
        Known aberrations of the optics; none by default.
    saturation_counts
        Pixels from here on are left out; trust is low around them.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The image as the same optics would show it in focus, with its background. Within one depth of
    field the input is passed through. ``trust`` is the share of a pixel's light that fell on
    pixels that count.

    Raises
    ------
    MetadataError
        If the optics are not known.
    InputError, ShapeError, UnknownNameError
        If pixels or distances are NaN, shapes do not fit, or the method is unknown.

    Notes
    -----
    Only as good as the distance: wrong by half a depth of field it gains nothing on average, and
    wrong by one it harms.

    A field that varies is deconvolved in overlapping tiles of 192 px, each with the blur of its
    own mean distance; larger images than 2048 px in tiles of that. The image and its result are
    held whole, everything else by the tile.

    Laws: flips commute (one tile); gain-linear.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
    >>> blurred = 10_000 * defocus_psf(setup, 3.0) + 10
    >>> result = deconvolve(blurred, setup=setup, defocus_um=3.0)
    >>> result.status.value, bool(np.asarray(result).max() > 5 * blurred.max())
    ('found', True)
    >>> deconvolve(blurred, setup=setup, defocus_um=3.0, interval_um=(1.0, 6.0)).status.value
    'uncertain'
    """
    if setup is None:
        raise MetadataError(
            "Deconvolution needs the optics: give setup= (--na, --wavelength-nm, --pixel-um)."
        )
    if method not in ITERATIONS:
        raise UnknownNameError("method", method, ITERATIONS)
    steps = ITERATIONS[method] if iterations is None else iterations
    require_iterations(steps)
    counts = as_counts(image, device=device)
    if counts.ndim != 2 or not counts.numel():
        raise ShapeError(
            f"An image to refocus is (y, x), but came with shape {tuple(counts.shape)}; "
            "give one plane and one channel."
        )
    counts = counts.float()
    distance_um = _as_distances(defocus_um, counts)
    answer = _Answer(counts, setup, method, distance_um, interval_um, saturation_counts)
    declined = answer.decline()
    if declined is not None:
        return declined
    level = darkest_counts(counts) if background is None else background
    plan = Sharpening(setup, method, steps, level, aberrations, saturation_counts)
    sharp, trust = plan.carry_out(counts, distance_um)
    return answer.of(sharp, trust, level=level, iterations=steps)


def darkest_counts(counts: Float[Tensor, "y x"]) -> float:
    """Mean of the darkest 8 x 8 px (the darkest pixel of a smaller image).

    Examples
    --------
    >>> darkest_counts(torch.arange(256.0).reshape(16, 16))
    59.5
    """
    side = BIN_PX if min(counts.shape) >= BIN_PX else 1
    binned = torch.nn.functional.avg_pool2d(counts[None, None], side)
    return float(binned.min())


@dataclass(frozen=True, eq=False)
class Sharpening:
    """How an image is sharpened, whatever its distance.

    ``noise_to_signal`` is Wiener's; without it each region says its own.
    """

    setup: OpticalSetup
    method: str
    iterations: int
    level: float
    aberrations: Aberrations | None = None
    saturation_counts: float | None = None
    noise_to_signal: float | None = None

    def carry_out(self, counts: Tensor, distance_um: Tensor) -> tuple[Tensor, Tensor]:
        """Sharp image with its background, and trust."""
        uniform = distance_um.ndim == 0
        halo = self.halo_px(float(distance_um.abs().max()))
        layout = {
            "tile_px": TILE_PX if uniform else VARYING_TILE_PX,
            "overlap_px": OVERLAP_PX,
            "halo_px": halo,
        }

        def here(tile: Tile) -> float:
            if uniform:
                return float(distance_um)
            grain = STEP_DOF * self.setup.depth_of_field_um
            return grain * round(float(distance_um[tile.rows, tile.columns].mean()) / grain)

        sharp = by_tiles(counts, lambda patch, tile: self._sharp(patch, here(tile)), **layout)
        if self.saturation_counts is None or not bool((counts >= self.saturation_counts).any()):
            return sharp, torch.ones_like(counts)
        trust = by_tiles(counts, lambda patch, tile: self._trust(patch, here(tile)), **layout)
        return sharp, trust.clamp_(0.0, 1.0)

    def halo_px(self, farthest_um: float) -> int:
        """Pixels around a region that its answer depends on: twice the reach of the blur."""
        return 2 * max(reach_px(self._psf(farthest_um, torch.zeros(()))))

    def _sharp(self, patch: Tensor, distance_um: float) -> Tensor:
        if abs(distance_um) <= IN_FOCUS_DOF * self.setup.depth_of_field_um:
            return patch
        ceiling = self.saturation_counts
        if ceiling is not None and bool((patch >= ceiling).all()):
            return patch
        psf, where = self._psf(distance_um, patch), str(patch.device)
        if self.method == "wiener":
            ratio = self.noise_to_signal or noise_ratio(patch)
            sharp: Tensor = wiener(patch - self.level, psf, ratio, device=where)
        elif self.method == "landweber":
            sharp = landweber(
                patch, psf, self.iterations, background=self.level, saturation_counts=ceiling,
                device=where,
            )  # fmt: skip
        else:
            sharp = richardson_lucy(
                patch, psf, self.iterations, background=self.level, saturation_counts=ceiling,
                acceleration="biggs", device=where,
            )  # fmt: skip
        return _blurred(sharp, self._psf(0.0, patch)).add_(self.level)

    def _trust(self, patch: Tensor, distance_um: float) -> Tensor:
        """Share of each pixel's light that fell on pixels that are not saturated."""
        clear = (patch < (self.saturation_counts or math.inf)).to(patch)
        return _blurred(clear, self._psf(distance_um, patch).flip(0, 1))

    def _psf(self, distance_um: float, like: Tensor) -> Tensor:
        return _kept_psf(self.setup, distance_um, self.aberrations).to(like)


def _kept_psf(setup: OpticalSetup, distance_um: float, aberrations: Aberrations | None) -> Tensor:
    if aberrations is None:
        return _nominal_psf(setup, abs(distance_um))
    return defocus_psf(setup, distance_um, aberrations=aberrations if distance_um else None)


@lru_cache(maxsize=32)
def _nominal_psf(setup: OpticalSetup, distance_um: float) -> Tensor:
    return defocus_psf(setup, distance_um)


def _blurred(sharp: Tensor, psf: Tensor) -> Tensor:
    """Blur an image, mirrored beyond its edges."""
    frame = Frame.around(sharp.shape, reach_px(psf), "mirror")
    return frame.crop(Blur.of(psf, frame.padded).apply(frame.grow(sharp))).contiguous()


def _as_distances(defocus_um: Any, counts: Tensor) -> Tensor:
    """A number, or one distance for each pixel."""
    if callable(defocus_um):
        rows, columns = (np.arange(size, dtype=np.float64) for size in counts.shape)
        defocus_um = np.asarray(defocus_um(rows[:, None], columns[None, :]), dtype=np.float32)
        defocus_um = np.broadcast_to(defocus_um, tuple(counts.shape)).copy()
    distance_um = as_float_tensor(defocus_um).to(counts)
    if distance_um.numel() == 1:
        distance_um = distance_um.reshape(())
    if distance_um.ndim and distance_um.shape != counts.shape:
        raise ShapeError(
            f"defocus_um has shape {tuple(distance_um.shape)}, but the image "
            f"{tuple(counts.shape)}; give one number, or one for each pixel."
        )
    if not bool(torch.isfinite(distance_um).all()):
        raise InputError("defocus_um holds NaN or infinite values; give distances in um.")
    return distance_um


@dataclass(frozen=True, eq=False)
class _Answer:
    """The result, or why there is none."""

    counts: Tensor
    setup: OpticalSetup
    method: str
    distance_um: Tensor
    interval_um: tuple[float, float] | None
    saturation_counts: float | None

    def decline(self) -> Refocused | None:
        """The answer to images and distances that are not to be deconvolved."""
        low, high = (float(value) for value in self.counts.aminmax())
        if low == high:
            return self._none(Status.BLANK, "the image has one grey value only")
        ceiling = math.inf if self.saturation_counts is None else self.saturation_counts
        clipped = float((self.counts >= ceiling).float().mean())
        if clipped > MOST_CLIPPED:
            return self._none(
                Status.SATURATED,
                f"{100 * clipped:.0f} % of the pixels are saturated: expose less, and try again",
            )
        depth = self.setup.depth_of_field_um
        doubt = self._doubt_um() / depth
        farthest = float(self.distance_um.abs().max()) / depth
        if farthest + doubt <= IN_FOCUS_DOF or (farthest <= IN_FOCUS_DOF and not doubt):
            return self._passed_through()
        if doubt > FARTHEST_DOUBT_DOF:
            return self._none(
                Status.UNCERTAIN,
                f"the distance from focus may be wrong by {doubt:.2g} depths of field, and beyond "
                f"{FARTHEST_DOUBT_DOF:g} deconvolution harms as often as it helps: "
                "find the distance more closely",
            )
        return self._passed_through() if farthest <= IN_FOCUS_DOF else None

    def of(self, sharp: Tensor, trust: Tensor, *, level: float, iterations: int) -> Refocused:
        """The sharp image and what is known of it."""
        light = float((self.counts - level).sum(dtype=torch.float64))
        kept = float((sharp - level).sum(dtype=torch.float64))
        flux = kept / light if light > 0 else None
        warnings = []
        if flux is not None and abs(flux - 1) > FLUX_KEPT:
            warnings.append(f"the light changed by {100 * (flux - 1):+.0f} %")
        if self.interval_um is None:
            warnings.append("no interval came with the distance, so it was believed")
        far = float(self.distance_um.abs().max())
        depths = far / self.setup.depth_of_field_um
        uniform = self.distance_um.ndim == 0
        return Refocused(
            status=Status.FOUND,
            reason=f"the blur of {'' if uniform else 'up to '}{far:.3g} um ({depths:.1f} depths "
            f"of field) was undone by {self.method}",
            method=self.method,
            image=sharp.cpu().numpy(),
            trust=trust.cpu().numpy(),
            flux=flux,
            defocus_um=float(self.distance_um) if uniform else None,
            interval_um=self.interval_um,
            provenance={**self._provenance(), "iterations": iterations, "background": level},
            warnings=tuple(warnings),
        )

    def _doubt_um(self) -> float:
        """Farthest that the truth may lie from the distance."""
        if self.interval_um is None:
            return 0.0
        low, high = self.interval_um
        if self.distance_um.ndim:
            raise InputError(
                "interval_um belongs to one distance, but defocus_um is a map; leave it out."
            )
        own = float(self.distance_um)
        if not low <= own <= high:
            raise InputError(
                f"interval_um ({low:g}, {high:g}) does not hold defocus_um {own:g}; give "
                "(low, high) around it, with its sign."
            )
        return max(high - own, own - low)

    def _none(self, status: Status, reason: str) -> Refocused:
        trust = np.zeros(tuple(self.counts.shape), dtype=np.float32)
        return Refocused(
            status=status, reason=reason, method=self.method, image=None, trust=trust,
            interval_um=self.interval_um, provenance=self._provenance(),
        )  # fmt: skip

    def _passed_through(self) -> Refocused:
        pixels = self.counts.cpu().numpy()
        return Refocused(
            status=Status.FOUND,
            reason=f"within {IN_FOCUS_DOF:g} depth of field of focus: left as it is",
            method="passed through", image=pixels, trust=np.ones_like(pixels), flux=1.0,
            interval_um=self.interval_um, provenance=self._provenance(),
        )  # fmt: skip

    def _provenance(self) -> dict[str, Any]:
        return {"method": self.method, "setup": self.setup.model_dump()}
