"""What defocus does to the power spectrum of one image, and which defocus explains a spectrum.

The model: power = object * abs(OTF)^2 * pixel + noise. The optical transfer function (OTF) of a
defocused circular pupil is known from the optics [Hopkins1955]_. The object's spectrum is not: it
is a power of frequency, times a smooth curve that is drawn from a Gaussian process. The noise is
white. Amplitude, power, curve and noise are fitted to each trial defocus, and what they leave
over says how well that defocus explains the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

# Trial distances from focus, in depths of field: even steps near focus, even ratios beyond.
DEFOCUS_DOF: NDArray[np.float64] = np.concatenate(
    [np.arange(0.0, 2.0, 0.125), np.geomspace(2.0, 20.0, 32)]
)
# Spherical aberration in waves (balanced, 6 r^4 - 6 r^2 + 1), and full depth of the specimen in
# depths of field, that a good microscope and a thin specimen may add; all are tried.
SPHERICAL_WAVES = (-0.08, 0.0, 0.08)
THICKNESS_DOF = (0.25, 1.5)
# Images are taken near focus rather than far: prior odds halve at this distance.
NEAR_DOF = 4.0
FREQUENCIES: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)

BINS = 28
HIGHEST = 1.3  # of the cut-off; beyond 1 there is only noise
LEAST_CYCLES = 3.0  # in a tile: slower structure belongs to the illumination and the window
# Squared width of the Hann window's kernel in periodogram cells: neighbours are not independent.
HANN_CELLS = 3.78
OBJECT_SLOPE = (2.0, 1.0)  # mean and spread of the object's spectrum's power of frequency
CURVE = (0.35, 0.8)  # standard deviation of the log object spectrum about a line; length in ln s
OBJECT_SIZE = (2.0, 4.0)  # mean and spread of q in exp(-q s^2): structure is not made of points
SCATTER = 0.2  # of each bin's logarithm beyond counting: no real spectrum is quite smooth
# Share of the change that the spherical aberration above makes to a ring's logarithm, as further
# scatter: for aberrations that are not tried. It is greatest where the OTF is nearly zero.
OPTICS_DOUBT, MOST_DOUBT = 0.5, 0.2
# Start of the noise below the lowest power seen, in logarithm, and its spread.
NOISE_STARTS = ((-0.1, 0.3), (-2.0, 1.2))
NEWTON_STEPS, NEWTON_SHARE = 6, 0.8
AMPLITUDE = 5.0  # standard deviation of its logarithm about a first guess: free


@lru_cache(maxsize=16)
def defocused_otf(sin_alpha: float, spherical_waves: float = 0.0) -> Float[np.ndarray, "d s"]:
    """Optical transfer function of a defocused circular pupil, incoherent light [Hopkins1955]_.

    Parameters
    ----------
    sin_alpha
        NA over immersion index. Small values give Hopkins' paraxial defocus, W20 = d / 2 waves;
        larger ones the spherical wavefront sqrt(1 - sin_alpha^2 r^2).
    spherical_waves
        Balanced primary spherical aberration, waves * (6 r^4 - 6 r^2 + 1).

    Returns
    -------
    Real OTF at each of ``DEFOCUS_DOF`` and ``FREQUENCIES`` (fractions of the cut-off).

    Notes
    -----
    The pupil's autocorrelation by Gauss-Legendre quadrature over the overlap of two discs; one
    quarter of it is enough, since the phase difference is odd along the shift.

    Examples
    --------
    >>> otf = defocused_otf(0.5)
    >>> [round(float(value), 3) for value in otf[0, [0, 50, 100]]]  # in focus
    [1.0, 0.391, 0.0]
    """
    nodes_x, weights_x = (value / 2 for value in np.polynomial.legendre.leggauss(64))
    nodes_y, weights_y = (value / 2 for value in np.polynomial.legendre.leggauss(16))
    shift = FREQUENCIES[:, None, None]
    x = (1 - shift) * (nodes_x[:, None] + 0.5)
    height = np.sqrt(np.maximum(1 - (x + shift) ** 2, 0.0))
    y = height * (nodes_y + 0.5)
    area = (1 - shift) * weights_x[:, None] * weights_y * height * 4 / np.pi

    def wavefront(r2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Waves per depth of field of defocus, and waves of aberration."""
        r2 = np.minimum(r2, 1.0)
        cosine = np.sqrt(1 - sin_alpha**2 * r2)
        return -r2 / (1 + cosine), spherical_waves * (6 * r2**2 - 6 * r2)

    near, far = wavefront((x - shift) ** 2 + y**2), wavefront((x + shift) ** 2 + y**2)
    defocus, fixed = near[0] - far[0], near[1] - far[1]
    otf = np.empty((len(DEFOCUS_DOF), len(FREQUENCIES)))
    for row, distance in enumerate(DEFOCUS_DOF):
        waves = np.cos(2 * np.pi * (distance * defocus + fixed))
        otf[row] = np.einsum("sxy,sxy->s", waves, area)
    return otf


@lru_cache(maxsize=16)
def transfer_table(sin_alpha: float) -> Float[np.ndarray, "h d s"]:
    """Squared OTF for each pair of aberration and thickness, averaged over the thickness."""
    rows = []
    for thickness in THICKNESS_DOF:
        offsets = thickness * (np.arange(9) / 8 - 0.5)
        for waves in SPHERICAL_WAVES:
            # Defocus on the other side of focus is the same with the aberration's sign reversed.
            above = defocused_otf(sin_alpha, waves) ** 2
            below = defocused_otf(sin_alpha, -waves) ** 2
            mean = np.zeros_like(above)
            for offset in offsets:
                at = DEFOCUS_DOF + offset
                mean += np.where(
                    (at >= 0)[:, None], _at_rows(above, np.abs(at)), _at_rows(below, np.abs(at))
                )
            rows.append(mean / len(offsets))
    return np.stack(rows)


def _at_rows(table: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of a table at distances between the trial ones."""
    at = np.interp(distance, DEFOCUS_DOF, np.arange(len(DEFOCUS_DOF)))
    low = np.minimum(at.astype(int), len(DEFOCUS_DOF) - 2)
    part = (at - low)[:, None]
    result: NDArray[np.float64] = (1 - part) * table[low] + part * table[low + 1]
    return result


@dataclass(frozen=True, eq=False)
class Rings:
    """How a tile's periodogram is gathered into rings of equal frequency.

    ``cells`` are the cells used, ``ring`` the ring of each, ``count`` how many a ring has,
    ``frequency`` its mean frequency as a fraction of the cut-off; ``gather`` (ring, s) turns
    abs(OTF)^2 at ``FREQUENCIES`` into the mean power in each ring, for an object of spectrum
    s^-slope seen by square pixels, with what folds back from above the camera's limit.
    """

    cells: NDArray[np.int64]
    ring: NDArray[np.int64]
    count: NDArray[np.int64]
    frequency: NDArray[np.float64]
    gather: NDArray[np.float64]

    def mean(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power in each ring."""
        sums = np.bincount(self.ring, power.ravel()[self.cells], minlength=len(self.count))
        result: NDArray[np.float64] = sums / self.count
        return result


@lru_cache(maxsize=16)
def rings(sizes: tuple[int, int], cutoff_cycles_per_px: float) -> Rings:
    """Rings for tiles of ``sizes`` (y, x) px, and what the optics put into each."""
    size_y, size_x = sizes
    v = np.fft.fftfreq(size_y)[:, None] + np.zeros(size_x // 2 + 1)
    u = np.fft.rfftfreq(size_x) + np.zeros((size_y, 1))
    radius = np.hypot(u, v)
    # Rows and columns of the sensor leave their pattern on the axes.
    on_axis = (np.abs(u) * size_x < 1.5) | (np.abs(v) * size_y < 1.5)
    # Stay off the folding edge, where what lies above it is seen in mirror image.
    highest = min(HIGHEST * cutoff_cycles_per_px, 0.49)
    lowest = LEAST_CYCLES / min(sizes)
    edges = np.geomspace(lowest, highest, BINS + 1)
    ring = np.digitize(radius, edges) - 1
    used = (ring >= 0) & (ring < BINS) & ~on_axis
    _, place = np.unique(ring[used], return_inverse=True)
    count = np.bincount(place)
    enough = count >= 4
    renumber = np.cumsum(enough) - 1
    cells = np.flatnonzero(used)[enough[place]]
    place = renumber[place[enough[place]]]
    count = count[enough]
    u, v = u.ravel()[cells], v.ravel()[cells]
    gather = np.zeros((len(count), len(FREQUENCIES)))
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            fx, fy = u + column, v + row
            s = np.hypot(fx, fy) / cutoff_cycles_per_px
            seen = np.flatnonzero((s < 1) & (s > 0))
            weight = s[seen] ** -OBJECT_SLOPE[0] * (np.sinc(fx[seen]) * np.sinc(fy[seen])) ** 2
            at = s[seen] * (len(FREQUENCIES) - 1)
            low = np.minimum(at.astype(int), len(FREQUENCIES) - 2)
            for step, share in ((0, 1 - (at - low)), (1, at - low)):
                np.add.at(gather, (place[seen], low + step), weight * share)
    frequency = np.bincount(place, np.hypot(u, v)) / count / cutoff_cycles_per_px
    return Rings(cells, place, count, frequency, gather / count[:, None])


@dataclass(frozen=True, eq=False)
class Explanation:
    """How well each trial defocus explains a spectrum.

    ``density`` is the posterior per depth of field at ``DEFOCUS_DOF``; ``misfit`` the best
    explanation's squared error per ring, 1 or less where the model holds.
    """

    density: Float[np.ndarray, " d"]
    misfit: float


def explain(
    power: Float[np.ndarray, " ring"], rings_: Rings, *, sin_alpha: float, tiles: float
) -> Explanation:
    """Find how probable each defocus is, given the mean power in each ring.

    Parameters
    ----------
    power
        Mean periodogram in each ring, in any unit.
    sin_alpha
        NA over immersion index.
    tiles
        Number of independent tiles that were averaged.
    """
    cells = np.maximum(rings_.count * tiles / HANN_CELLS, 1.0)
    floored = np.maximum(power, 1e-15 * power.max())
    seen = np.log(floored) - (digamma(cells) - np.log(cells))
    scatter = polygamma(1, cells) + SCATTER**2
    table = transfer_table(sin_alpha) @ rings_.gather.T
    shape = table.shape
    change = np.log(table + 1e-9).reshape(len(THICKNESS_DOF), -1, *shape[1:]).var(axis=1)
    doubt = np.minimum(OPTICS_DOUBT**2 * change, MOST_DOUBT**2)
    doubt = np.repeat(doubt, len(SPHERICAL_WAVES), axis=0).reshape(-1, shape[-1])
    mean, prior = _object_prior(rings_.frequency)
    optics = table.reshape(-1, shape[-1]) * np.exp(mean)
    fits = [_fit(seen, optics, prior, scatter, doubt, start) for start in NOISE_STARTS]
    evidence = np.stack([fit[0] for fit in fits])
    misfit = np.stack([fit[1] for fit in fits])
    best = np.unravel_index(int(evidence.argmax()), evidence.shape)
    log_density = np.logaddexp.reduce(evidence.reshape(-1, shape[1]), axis=0)
    log_density -= np.log1p((DEFOCUS_DOF / NEAR_DOF) ** 2)
    density = np.exp(log_density - log_density.max())
    density /= np.trapezoid(density, DEFOCUS_DOF)
    return Explanation(density, float(misfit[best]))


def _object_prior(
    frequency: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (beyond the slope that the rings hold) and covariance of the log object spectrum."""
    typical, size = OBJECT_SIZE
    spread, length = CURVE
    log_s, square = np.log(frequency), frequency**2
    covariance = (
        AMPLITUDE**2
        + OBJECT_SLOPE[1] ** 2 * np.outer(log_s, log_s)
        + size**2 * np.outer(square, square)
        + spread**2 * np.exp(-0.5 * ((log_s[:, None] - log_s) / length) ** 2)
    )
    return -typical * square, covariance


def _fit(
    seen: NDArray[np.float64],
    optics: NDArray[np.float64],
    prior: NDArray[np.float64],
    scatter: NDArray[np.float64],
    doubt: NDArray[np.float64],
    noise_start: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit object and noise to each row of ``optics``: log evidence and misfit.

    Laplace's approximation: log(signal + noise) is made linear about the best fit so far.
    """
    start, spread = noise_start
    floor = seen.min() + start
    logs = np.log(optics + 1e-12 * optics.max(axis=1, keepdims=True) + 1e-300)
    # The amplitude starts where the strongest rings are met.
    top = logs >= np.sort(logs, axis=1)[:, -6:-5]
    mean = logs + ((seen - logs) * top).sum(axis=1, keepdims=True) / top.sum(axis=1, keepdims=True)
    signal, dark = mean.copy(), np.full((len(optics), 1), floor)
    diagonal = range(len(seen))
    for _ in range(NEWTON_STEPS):
        total = np.logaddexp(signal, dark)
        share = np.exp(signal - total)
        rest = 1 - share
        certain = share[:, :, None] * prior * share[:, None, :]
        certain += spread**2 * rest[:, :, None] * rest[:, None, :]
        certain[:, diagonal, diagonal] += scatter
        covariance = certain.copy()
        covariance[:, diagonal, diagonal] += doubt * share**2
        error = seen - total + share * (signal - mean) + rest * (dark - floor)
        pull = np.linalg.solve(covariance, error[:, :, None])[:, :, 0]
        # Whole steps overshoot where the OTF is nearly zero.
        signal += NEWTON_SHARE * (mean + (share * pull) @ prior - signal)
        dark += NEWTON_SHARE * (floor + spread**2 * (rest * pull).sum(1, keepdims=True) - dark)
    # Doubt of the optics forgives what it must, but makes no distance less probable: it is
    # greatest far from focus, and would speak for focus wherever nothing else does.
    evidence = -0.5 * ((error * pull).sum(axis=1) + np.linalg.slogdet(certain)[1])
    left = seen - np.logaddexp(signal, dark)
    misfit = np.square(left) / (scatter + doubt * share**2)
    return evidence, misfit.mean(axis=1)
