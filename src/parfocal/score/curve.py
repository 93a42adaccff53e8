"""A focus curve: one score per plane, by any measure of the catalogue."""

from __future__ import annotations

import numpy as np

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.core.results import FocusCurve
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG, score
from parfocal.score.tiles import Region, Scale, choose_tile_px, scan_tiles

# Planes of more pixels are scored tile by tile, so that no whole plane has to be held.
WHOLE_PLANE_PX = 2**25


def focus_curve(
    stack: FocalStack,
    measure: str = "brenner",
    *,
    region: tuple[int, int, int, int] | None = None,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> FocusCurve:
    """Score every plane of a stack.

    Planes are read one by one. Where a plane (or region) has more than 2^25 pixels, its score is
    the mean over tiles instead, since no whole plane is held in memory.

    Parameters
    ----------
    stack
        A stack from ``open_stack`` or ``FocalStack.of``.
    measure
        A name in ``parfocal.measures.CATALOG``.
    region
        Rows and columns (top, bottom, left, right) in px; default the whole field.
    setup
        Optics, for measures that need them; default those of the stack.
    device
        "cpu", "cuda" or "auto".

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs optics that are not known.
    InputError
        If a plane holds NaN, or the region does not fit.

    Examples
    --------
    >>> from parfocal import FocalStack
    >>> planes = np.zeros((3, 8, 8))
    >>> planes[1, :, 4:] = 9.0
    >>> focus_curve(FocalStack.of(planes, z_step_um=1.0)).scores
    array([ 0., 27.,  0.])
    """
    if measure not in CATALOG:
        raise UnknownNameError("focus measure", measure, CATALOG)
    setup = setup or stack.setup
    area = Region.of(stack, region)
    if area.sizes[0] * area.sizes[1] > WHOLE_PLANE_PX:
        side = choose_tile_px(area.sizes)
        scale = Scale(measure)
        scan = scan_tiles(stack, (scale,), region=area, tile_px=side, setup=setup, device=device)
        return FocusCurve(
            z_um=stack.z_um, scores=scan.scores[scale].mean(axis=(1, 2)), measure=measure
        )
    rows, columns = slice(area.top, area.bottom), slice(area.left, area.right)
    scores = np.zeros(stack.shape[0])
    for plane in range(stack.shape[0]):
        counts = stack.read_counts(plane, rows, columns)
        if not np.isfinite(counts.sum(dtype=np.float64)):
            raise InputError(
                f"{stack.source}: plane {plane} holds NaN or infinite pixels; "
                "replace them, or choose a region without them (--region)."
            )
        scores[plane] = float(score(counts, measure, setup=setup, device=device))
    return FocusCurve(z_um=stack.z_um, scores=scores, measure=measure)
