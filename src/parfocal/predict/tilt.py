"""Tilt of the field from the defocus of its patches: a plane, fitted so that few can spoil it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from parfocal.core.errors import InputError
from parfocal.core.results import PatchDefocus

LEAST_CERTAINTY = 0.25
"""Patches that are less certain have no say."""
LEAST_PATCHES = 9
"""Certain patches below which there is no answer."""
THINNEST = 0.1
"""Least width of the certain patches' places, over their length: on a line one slope is unknown."""
CHANCE = 0.01
"""How often the scatter of a level field may pass for a tilt."""
ORDERS = 999
"""Random orders of the patches that say what scatter alone would do."""
BIWEIGHT = 4.685
"""Residuals of so many scales have no say: 95 % efficient on normal ones."""
MAD_SCALE = 1.4826
ROUNDS = 30


def fit_tilt(
    patches: PatchDefocus, *, pixel_um: float, least_rise_um: float = 0.0
) -> tuple[float, float] | None:
    """Slope of the defocus along (y, x) in um per mm, or None where the patches cannot tell.

    A plane through the certain patches by least absolute deviations, then by Tukey's biweight
    [Beaton1974]_, each patch weighted by its certainty squared. It is an answer only if it stands
    out of the patches' scatter: fewer than one in a hundred random orders of the same patches may
    rise as steeply. So a level field passes for a tilted one in about one of a hundred cases, if
    its patches err independently of each other.

    Parameters
    ----------
    patches
        Defocus and certainty of each patch; NaN where there is nothing to judge.
    pixel_um
        Distance of pixel centres in the images that the patches were cut from.
    least_rise_um
        Rise of the plane over the certain patches below which there is no answer: what a network
        errs by from one kind of structure to another, which is no scatter.

    Raises
    ------
    InputError
        If ``pixel_um`` is not positive.

    Notes
    -----
    Laws: an added defocus changes nothing; mirrored patches mirror the tilt; a fifth of the
    patches may be anything.

    Examples
    --------
    >>> rows, columns = np.mgrid[:6, :6]
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (6, 6))
    >>> tilted = PatchDefocus(defocus_um=0.4 * columns + noise, certainty=np.full((6, 6), 0.6),
    ...                       patch_px=200.0, stride_px=(200.0, 200.0))
    >>> y, x = fit_tilt(tilted, pixel_um=0.5)  # 0.4 um in 0.1 mm
    >>> round(y), round(x)
    (0, 4)
    """
    if not pixel_um > 0:
        raise InputError(f"pixel_um is {pixel_um!r}; give the positive distance of pixel centres.")
    defocus_um, certainty = patches.defocus_um, patches.certainty
    sure = np.isfinite(defocus_um) & (np.nan_to_num(certainty) >= LEAST_CERTAINTY)
    if sure.sum() < LEAST_PATCHES:
        return None
    stride_mm = np.asarray(patches.stride_px) * pixel_um / 1000
    places = np.argwhere(sure) * stride_mm
    spans = np.linalg.svd(places - places.mean(0), compute_uv=False)
    if spans.min() < THINNEST * spans.max() or spans.max() == 0:
        return None
    values, weights = defocus_um[sure], certainty[sure] ** 2
    if not _stands_out(places, values, weights):
        return None
    slopes = _slopes(places, values, weights)
    if np.ptp(places @ slopes) < least_rise_um:
        return None
    return float(slopes[0]), float(slopes[1])


def _stands_out(
    places: Float[np.ndarray, "p 2"],
    values: Float[np.ndarray, " p"],
    weights: Float[np.ndarray, " p"],
) -> bool:
    """Whether values rise over the places more than they do in random orders."""
    middle = np.median(values)
    scale = MAD_SCALE * float(np.median(np.abs(values - middle)))
    pull = weights * np.clip(values - middle, -scale, scale)
    pull -= pull.mean()
    axes = np.linalg.svd(places - places.mean(0), full_matrices=False)[0]
    # The same orders each time: the answer is a function of the patches alone.
    orders = np.random.default_rng(0).permuted(np.tile(pull, (ORDERS, 1)), axis=1)
    seen, chance = np.square(pull @ axes).sum(), np.square(orders @ axes).sum(1)
    return bool(seen > 0 and (1 + (chance >= seen).sum()) / (1 + ORDERS) <= CHANCE)


def _slopes(
    places: Float[np.ndarray, "p 2"],
    values: Float[np.ndarray, " p"],
    weights: Float[np.ndarray, " p"],
) -> Float[np.ndarray, " 2"]:
    """Slopes of a robust plane: absolute deviations to begin with, then the biweight."""
    design = np.column_stack([np.ones(len(places)), places - places.mean(0)])
    tiny = 1e-9 * max(1.0, float(np.abs(values).max()))
    solution = _solve(design, values, weights)
    for _ in range(ROUNDS):
        far = np.maximum(np.abs(values - design @ solution), tiny)
        solution = _solve(design, values, weights / far)
    roots = np.sqrt(weights / weights.mean())
    for _ in range(ROUNDS):
        residuals = np.abs(values - design @ solution) * roots
        scale = max(MAD_SCALE * float(np.median(residuals)), tiny)
        say = np.square(1 - np.square(np.clip(residuals / (BIWEIGHT * scale), 0, 1)))
        solution = _solve(design, values, weights * say)
    return solution[1:]


def _solve(
    design: Float[np.ndarray, "p k"],
    values: Float[np.ndarray, " p"],
    weights: Float[np.ndarray, " p"],
) -> Float[np.ndarray, " k"]:
    """Weighted least squares."""
    roots = np.sqrt(weights)
    solution: Float[np.ndarray, " k"] = np.linalg.lstsq(
        design * roots[:, None], values * roots, rcond=None
    )[0]
    return solution
