"""What the spectra of a few images say about where focus lies: a posterior on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Real
from numpy.typing import NDArray
from scipy import fft, special
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from parfocal.core.setup import OpticalSetup

Curve = NDArray[np.float64]

# Rings of spatial frequency, half an octave each, in cycles per px; beyond them there is noise.
RING_EDGES = 2.0 ** (-6.0 + 0.5 * np.arange(11))
CORNER_PER_PX = 0.55
LEAST_COEFFICIENTS = 24
TILE_PX = 512
LEAST_SIDE_PX = 16
# Independent coefficients of a Hann-windowed ring, as a share of all.
INDEPENDENT, MANY = 0.22, 400
SEEN, NOISE_DOUBT = 4.0, 0.05
# Prior of a specimen's spectrum: power falls as frequency to this power, with these scatters.
SLOPE, SLOPE_SCATTER, RING_SCATTER, LEVEL_SCATTER = -2.5, 1.2, 0.8, 30.0
FLICKER = 0.1
# What the form of a real curve differs from the model: logarithm of power, and per depth of fall.
MISFITS = (0.12, 0.3, 0.7)
FALL_MISFIT = 0.08
# Scale of the blur, and thickness of the specimen in depths of field.
SCALES, THICKNESSES = (0.75, 1.0, 1.35, 2.0, 3.2), (0.0, 0.6, 1.5)
# Power that never falls, as a share: coherent light keeps its contrast far from focus.
FLOORED_SCALES, FLOORS, FLOORED_PRIOR = (0.75, 1.1, 1.6), (0.2, 0.04), 0.1
WIDTHS = (0.5, 0.8, 1.3, 2.0, 3.2)
COMMON_PRIOR = 0.1
COARSE, FINE = 121, 61
LOG_FLOOR = -13.0


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power of one image in rings of spatial frequency.

    ``power`` is that of the specimen, with the noise taken off; ``error`` is its standard error;
    ``seen`` says in which rings it stands out.
    """

    per_px: Curve
    power: Curve
    error: Curve

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Rings in which there is more than noise."""
        return np.asarray(self.power > SEEN * self.error)


def spectrum(image: Real[np.ndarray, "y x"]) -> Spectrum:
    """Power in rings, less the noise that the corners of the spectrum show.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> spectrum(noise).seen.any()
    np.False_
    """
    side = min(TILE_PX, *image.shape)
    rows, columns = (size // side for size in image.shape)
    tiles = np.asarray(image[: rows * side, : columns * side], dtype=np.float32)
    tiles = tiles.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
    window, which, counts, per_px = _rings(side)
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * window
    power = np.square(np.abs(fft.rfft2(tiles))).mean(axis=0, dtype=np.float64)
    sums = np.bincount(which, weights=power.ravel(), minlength=len(counts))[:-1]
    means = sums / counts[:-1]
    free = INDEPENDENT * counts[:-2] * len(tiles)
    noise = float(means[:-1][free > MANY].min(initial=means[-1]))
    rings = means[:-1] - noise
    random = (noise**2 + 2 * noise * np.maximum(rings, 0.0)) / free
    return Spectrum(per_px, rings, np.sqrt(random + (NOISE_DOUBT * noise) ** 2) + 1e-30)


@cache
def _rings(side: int) -> tuple[NDArray[np.float32], NDArray[np.intp], Curve, Curve]:
    """Window, ring of each coefficient (the corners, then the rest, are last), counts, middles."""
    line = np.hanning(side + 2)[1:-1]
    window = np.outer(line, line)
    window /= math.sqrt(float(np.square(window).sum()))
    radius = np.hypot(fft.fftfreq(side)[:, None], fft.rfftfreq(side)[None, :])
    enough = math.pi * side**2 * (RING_EDGES[1:] ** 2 - RING_EDGES[:-1] ** 2) / 2
    edges = RING_EDGES[int(np.argmax(enough >= LEAST_COEFFICIENTS)) :]
    which = np.digitize(radius, edges) - 1
    count = len(edges) - 1
    which[(which < 0) | ((radius >= edges[-1]) & (radius < CORNER_PER_PX))] = count + 1
    which[radius >= CORNER_PER_PX] = count
    counts = np.bincount(which.ravel(), minlength=count + 2).astype(np.float64)
    return window.astype(np.float32), which.ravel(), counts, np.sqrt(edges[1:] * edges[:-1])


@cache
def _blur_table() -> tuple[float, float, Curve]:
    """Logarithm of (2 J1(a) / a)^2 over a ring and its surroundings, by log a."""
    fine = np.arange(-4.0, 8.0, 0.01)
    a = np.exp(fine)
    energy = np.square(2 * special.j1(a) / a)
    kernel = np.hanning(71)
    smooth = np.convolve(np.pad(energy, 35, mode="edge"), kernel / kernel.sum(), mode="valid")
    return float(fine[0]), 0.01, np.maximum(np.log(smooth), LOG_FLOOR)


@dataclass(frozen=True, eq=False)
class BlurModel:
    """How the power in each ring falls with defocus, under several hypotheses.

    Defocus by u depths of field blurs frequency f (a share of the cut-off) by
    (2 J1(a) / a)^2, a = 4 pi u f (1 - f) [Stokseth1969]_; a specimen of some thickness is never
    less blurred than that allows, and coherent light leaves a share that never falls. The last
    ``len(widths_um)`` hypotheses let all rings fall alike, as (1 + (z / width)^2)^-2: a pinhole, a
    sheet of light, or no optics at all.

    ``scales_um``, ``thick_um`` and ``floors`` are one depth of field, the thickness and that share.
    """

    share: Curve
    scales_um: Curve
    thick_um: Curve
    floors: Curve
    widths_um: Curve
    log_prior: Curve

    @classmethod
    def of(cls, setup: OpticalSetup | None, per_px: Curve, range_um: float) -> BlurModel:
        """The hypotheses for known optics, or for any whose depth of field suits the range."""
        if setup is None:
            share = np.minimum(per_px / 0.7, 0.9)
            depths = np.geomspace(range_um / 250, range_um / 4, 12)
            scales, thick = depths, 0.3 * depths
            widths, common = depths, 0.5
            floors, doubt = np.zeros(12), np.zeros(12)
        else:
            share = np.minimum(per_px / setup.cutoff_cycles_per_px, 0.9)
            depth = setup.depth_of_field_um
            grid = np.array([(s, t) for s in SCALES for t in THICKNESSES])
            scales, thick = grid[:, 0] * depth, grid[:, 1] * depth
            widths, common = depth * np.array(WIDTHS), COMMON_PRIOR
            # A condenser of small aperture deepens the field: less likely, not impossible.
            doubt = np.logaddexp(-0.5 * (np.log(grid[:, 0]) / 0.3) ** 2, math.log(0.05))
            doubt = doubt - 0.3 * grid[:, 1]
            doubt = doubt - special.logsumexp(doubt) + math.log(1 - FLOORED_PRIOR)
            kept = np.array([(s, f) for s in FLOORED_SCALES for f in FLOORS])
            scales = np.concatenate([scales, depth * kept[:, 0]])
            thick = np.concatenate([thick, np.zeros(len(kept))])
            floors = np.concatenate([np.zeros(len(grid)), kept[:, 1]])
            doubt = np.append(doubt, np.full(len(kept), math.log(FLOORED_PRIOR / len(kept))))
        doubt = doubt - special.logsumexp(doubt) + math.log(1 - common)
        alike = np.full(len(widths), math.log(common / len(widths)))
        return cls(share, scales, thick, floors, widths, np.concatenate([doubt, alike]))

    def log_power(
        self, away_um: Float[np.ndarray, "*n"], hypotheses: NDArray[np.intp] | None = None
    ) -> Float[np.ndarray, "*all ring"]:
        """Logarithm of the power left in each ring at a distance from focus.

        With one hypothesis for each row of ``away_um``, else under all, along a first axis.
        """
        away = np.abs(away_um)
        if hypotheses is None:
            hypotheses = np.arange(len(self.log_prior))
            away = np.broadcast_to(away, (len(hypotheses), *away.shape))
        power = np.empty((*away.shape, len(self.share)))
        optical = hypotheses < len(self.scales_um)
        ones = (1,) * (away.ndim - 1)
        which = hypotheses[optical]
        blur = np.hypot(away[optical], self.thick_um[which].reshape(-1, *ones))
        blur = np.log(blur / self.scales_um[which].reshape(-1, *ones) + 1e-9)
        start, step, table = _blur_table()
        rate = np.log(4 * math.pi * self.share * (1 - self.share))
        index = (blur[..., None] + (rate - start)) / step
        fallen = table[np.clip(index, 0, len(table) - 1).astype(np.intp)]
        floor = np.log(self.floors[which] + 1e-30).reshape(-1, *ones, 1)
        power[optical] = np.maximum(fallen, floor)
        widths = self.widths_um[hypotheses[~optical] - len(self.scales_um)].reshape(-1, *ones)
        alike = np.maximum(-2 * np.log1p((away[~optical] / widths) ** 2), LOG_FLOOR)
        power[~optical] = alike[..., None]
        return power


@dataclass(frozen=True, eq=False)
class Belief:
    """A posterior over the place of focus and the hypotheses about the blur.

    ``weights`` (h, c) sum to 1 over ``focus_um`` (c); ``levels`` (h, c, ring) is the logarithm of
    the power in focus that goes with each.
    """

    model: BlurModel
    focus_um: Curve
    weights: Curve
    levels: Curve
    noise: Curve
    misfit: float

    @property
    def density(self) -> Curve:
        """Probability of each ``focus_um``."""
        return np.asarray(self.weights.sum(axis=0))

    @property
    def depth_um(self) -> float:
        """One depth of field, as believed."""
        scales = np.concatenate([self.model.scales_um, self.model.widths_um])
        return float(np.exp(self.weights.sum(axis=1) @ np.log(scales)))

    def quantiles(self, *shares: float) -> tuple[float, ...]:
        """Places below which these shares of the probability lie."""
        total = self.density.cumsum() - 0.5 * self.density
        return tuple(float(np.interp(share, total, self.focus_um)) for share in shares)


def believe(
    z_um: Float[np.ndarray, " n"],
    spectra: list[Spectrum],
    model: BlurModel,
    *,
    low_um: float,
    high_um: float,
    depth_um: float,
) -> Belief:
    """Posterior from images at some z, first on a coarse grid, then finely where it is high.

    The logarithm of each ring's power is the specimen's level in that ring, the fall with
    defocus, and errors; levels follow a power law with scatter and are integrated out.
    """
    reach = 0.15 * (high_um - low_um)
    coarse = np.linspace(low_um - reach, high_um + reach, COARSE)
    belief = _posterior(z_um, spectra, model, coarse)
    for _ in range(2):
        low, middle, high = belief.quantiles(0.02, 0.5, 0.98)
        half = min(max(0.6 * (high - low), 0.3 * depth_um), 0.5 * (coarse[-1] - coarse[0]))
        fine = np.linspace(middle - half, middle + half, FINE)
        fine = fine[(fine > coarse[0]) & (fine < coarse[-1])]
        outside = coarse[(coarse < middle - half) | (coarse > middle + half)]
        belief = _posterior(z_um, spectra, model, np.sort(np.concatenate([outside, fine])))
    return belief


@dataclass(frozen=True, eq=False)
class _Readings:
    """Logarithms of the powers of all images and rings, (n, ring), and what was seen of them."""

    logs: Curve
    error: Curve
    seen: NDArray[np.bool_]
    ceiling: Curve
    noise: Curve

    @classmethod
    def of(cls, spectra: list[Spectrum]) -> _Readings:
        power = np.array([each.power for each in spectra])
        error = np.array([each.error for each in spectra])
        logs = np.log(np.maximum(power, error))
        return cls(
            logs=logs,
            error=error / np.maximum(power, error),
            seen=np.array([each.seen for each in spectra]),
            ceiling=np.log(np.maximum(power, 0.0) + 2 * error),
            noise=np.median(error, axis=0),
        )

    def variance(self, misfit: float) -> Curve:
        """Of what was seen: noise, and what real curves differ from the model."""
        fallen = np.where(self.seen, self.logs, -np.inf).max(axis=0) - self.logs
        fallen = np.maximum(fallen, 0.0)
        whole = self.error**2 + misfit**2 + (FALL_MISFIT * fallen) ** 2
        return np.asarray(whole[self.seen])


def _posterior(z_um: Curve, spectra: list[Spectrum], model: BlurModel, focus_um: Curve) -> Belief:
    """Weights of every hypothesis and place of focus, over all misfits."""
    readings = _Readings.of(spectra)
    seen = readings.seen
    fall = model.log_power(focus_um[:, None] - z_um)  # (h, c, n, ring)
    shape, rings = fall.shape[:2], fall.shape[-1]
    mean, prior = _level_prior(model.share)
    image_of, ring_of = np.nonzero(seen)
    shared = prior[np.ix_(ring_of, ring_of)]
    shared = shared + FLICKER**2 * (image_of[:, None] == image_of)
    residual = (readings.logs[seen] - mean[ring_of])[:, None]
    residual = residual - fall[:, :, seen].reshape(-1, len(ring_of)).T
    weights, levels = [], []
    for misfit in MISFITS:
        factor = cho_factor(shared + np.diag(readings.variance(misfit)), lower=True)
        half = solve_triangular(factor[0], residual, lower=True)
        weight = -0.5 * np.square(half).sum(axis=0) - np.log(np.diag(factor[0])).sum()
        level = mean[:, None] + cho_solve(factor, prior[:, ring_of].T).T @ residual
        level = level.T.reshape(*shape, rings)
        # What was not seen must not have been promised.
        above = (level[:, :, None, :] + fall)[:, :, ~seen] - readings.ceiling[~seen]
        above = np.maximum(above, 0.0) / math.hypot(misfit, 0.5)
        weights.append(weight.reshape(shape) - 0.5 * np.square(above).sum(axis=-1))
        levels.append(level)
    logs = np.stack(weights) + model.log_prior[:, None] + np.log(np.gradient(focus_um))
    best = int(special.logsumexp(logs, axis=(1, 2)).argmax())
    shares = np.exp(logs - special.logsumexp(logs)).sum(axis=0)
    return Belief(model, focus_um, shares, levels[best], readings.noise, MISFITS[best])


def _level_prior(share: Curve) -> tuple[Curve, Curve]:
    """Mean and covariance of the logarithm of a specimen's power, in focus, in each ring."""
    slope = np.log(share / share[0])
    transfer = (np.arccos(share) - share * np.sqrt(1 - share**2)) * 2 / math.pi
    mean = SLOPE * slope + 2 * np.log(transfer)
    middle = slope - slope.mean()
    covariance = LEVEL_SCATTER**2 + SLOPE_SCATTER**2 * np.outer(middle, middle)
    return mean, covariance + RING_SCATTER**2 * np.eye(len(share))


def expected_doubt(
    belief: Belief,
    candidates_um: Float[np.ndarray, " k"],
    *,
    generator: np.random.Generator,
    particles: int = 96,
) -> Float[np.ndarray, " k"]:
    """Expected mean square doubt about focus, in um^2, after one more image at each candidate.

    Every pair of explanations keeps its squared distance, times how alike (Bhattacharyya) the
    images are that the two expect there [Kailath1967]_.
    """
    flat = belief.weights.ravel()
    steps = (np.arange(particles) + generator.random()) / particles
    picked = np.minimum(np.searchsorted(flat.cumsum(), steps * flat.sum()), len(flat) - 1)
    hypothesis, place = np.unravel_index(picked, belief.weights.shape)
    focus = belief.focus_um[place]
    away = focus[:, None] - candidates_um
    fall = belief.model.log_power(away, hypothesis)
    expected = np.exp(belief.levels[hypothesis, place][:, None, :] + fall)
    features = np.log(expected + 2 * belief.noise).swapaxes(0, 1)
    features = features / math.hypot(belief.misfit, 0.15)
    squares = np.square(features).sum(axis=-1)
    apart = squares[:, :, None] + squares[:, None, :] - 2 * features @ features.swapaxes(1, 2)
    alike = np.exp(-np.maximum(apart, 0.0) / 8)
    distance = np.square(focus[:, None] - focus[None, :])
    doubt = 0.5 * (alike * distance).mean(axis=(1, 2))
    return np.asarray(doubt)
