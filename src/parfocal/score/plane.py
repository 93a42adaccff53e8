"""Best focus of a field: a plane between planes, its interval, and when not to answer."""

from __future__ import annotations

import numpy as np

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.core.results import FocusCurve, FocusEstimate, Status, TileFocus
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG
from parfocal.measures.peaks import find_peak
from parfocal.score.checks import MODALITIES, MOST_CLIPPED, Verdict, judge
from parfocal.score.field import LEAST_SIGNIFICANCE, FieldCurve, combine_tiles, standard_error
from parfocal.score.tiles import (
    Region,
    Scale,
    TileScan,
    choose_tile_px,
    even_out_flicker,
    scan_tiles,
)

AUTO_SCALES = (Scale("tenengrad"), Scale("tenengrad", 2), Scale("tenengrad", 4))


def best_focus(
    stack: FocalStack,
    measure: str = "auto",
    *,
    region: tuple[int, int, int, int] | None = None,
    tile_px: int | None = None,
    modality: str = "auto",
    tissue_only: bool = True,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> FocusEstimate:
    """Find the plane of best focus of a field, with a 90 % interval, or say why there is none.

    The field is divided into tiles; tiles that hold nothing but noise do not vote. The others'
    focus curves are averaged, the peak is located between planes, and checked: contrast against
    noise, the ends of the stack, a second peak, agreement of fine and coarse structure, clipped
    pixels, and whether this is a phase object, whose contrast is least in focus.

    Parameters
    ----------
    stack
        A stack from ``open_stack`` or ``FocalStack.of``; read plane by plane.
    measure
        A name in ``parfocal.measures.CATALOG``; "auto" takes Tenengrad at the pixel size that
        locates focus most surely.
    region
        Rows and columns (top, bottom, left, right) in px that are judged; default the whole field.
    tile_px
        Side of a tile; default about an eighth of the field's shorter side.
    modality
        "intensity": contrast is highest in focus. "phase": least. "auto" looks.
    tissue_only
        False lets background tiles vote.
    setup
        Optics; default those of the stack. Some measures, and defocus in depths of field, need it.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    A FocusEstimate; only its status ``found`` is an answer.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs optics that are not known.
    InputError
        If a plane holds NaN, or the region does not fit.
    """
    if measure != "auto" and measure not in CATALOG:
        raise UnknownNameError("focus measure", measure, [*CATALOG, "auto"])
    setup = setup or stack.setup
    area = Region.of(stack, region)
    if modality not in MODALITIES:
        raise UnknownNameError("modality", modality, MODALITIES)
    side = choose_tile_px(area.sizes) if tile_px is None else int(tile_px)
    scales = AUTO_SCALES if measure == "auto" else (Scale(measure),)
    scan = scan_tiles(stack, scales, region=area, tile_px=side, setup=setup, device=device)
    scan = even_out_flicker(scan)
    fields = [
        combine_tiles(
            scores, scale, pixels=(side // scale.bin_px) ** 2, tissue_only=tissue_only,
            excluded=scan.clipped.max(axis=0) > MOST_CLIPPED,
        )
        for scale, scores in scan.scores.items()
    ]  # fmt: skip
    field, choice = _choose(fields, named=measure != "auto")
    verdict = judge(stack, scan, area, fields, field, modality)
    return _write(stack, scan, field, choice, verdict, setup)


def _choose(fields: list[FieldCurve], *, named: bool) -> tuple[FieldCurve, str]:
    """Take the scale whose peak moves least when tiles and noise are drawn anew."""
    if named:
        return fields[0], "named in the call"
    usable = [field for field in fields if field.significance > LEAST_SIGNIFICANCE] or fields
    errors = [standard_error(field) for field in usable]
    best = int(np.argmin(errors))
    others = "" if len(fields) == 1 else f" of {len(fields)} pixel sizes"
    return usable[best], f"steadiest peak{others}: standard error {errors[best]:.2g} planes"


def _write(
    stack: FocalStack,
    scan: TileScan,
    field: FieldCurve,
    choice: str,
    verdict: Verdict,
    setup: OpticalSetup | None,
) -> FocusEstimate:
    """Put the verdict in micrometres."""
    label = field.scale.label
    curve = FocusCurve(z_um=stack.z_um, scores=field.curve, measure=label, spread=field.spread())
    estimate = FocusEstimate(
        status=verdict.status, reason=verdict.reason, curve=curve, measure=label, choice=choice,
        modality=verdict.modality, warnings=verdict.warnings,
        tiles=_tile_focus(stack, scan, field) if field.voted else None,
    ) if verdict.plane is None else None  # fmt: skip
    if estimate is not None:
        return estimate
    if verdict.plane is None:
        raise InputError("a verdict without a plane cannot be written as found")
    numbers = np.arange(len(stack.z_um), dtype=np.float64)
    low = max(verdict.plane - verdict.half_planes[0], 0.0)
    high = min(verdict.plane + verdict.half_planes[1], numbers[-1])
    z_um, *ends = (float(np.interp(at, numbers, stack.z_um)) for at in (verdict.plane, low, high))
    tiles = _tile_focus(stack, scan, field) if verdict.modality == "intensity" else None
    in_dof = None
    if setup is not None and stack.z_known:
        in_dof = (stack.z_um - z_um) / setup.depth_of_field_um
    relief = _relief(tiles)
    return FocusEstimate(
        status=Status.FOUND, reason=verdict.reason, curve=curve, measure=label, choice=choice,
        z_um=z_um if stack.z_known else None,
        index=int(np.clip(np.rint(verdict.plane), 0, len(numbers) - 1)),
        plane=verdict.plane,
        interval_um=(min(ends), max(ends)) if stack.z_known else None,
        interval_planes=(low, high),
        modality=verdict.modality,
        tiles=tiles,
        relief_um=relief if stack.z_known else None,
        defocus_dof=in_dof,
        warnings=verdict.warnings,
    )  # fmt: skip


def _tile_focus(stack: FocalStack, scan: TileScan, field: FieldCurve) -> TileFocus | None:
    """Focus of each voting tile whose own peak lies inside the stack."""
    if not field.voted:
        return None
    z_um = np.full(field.votes.shape, np.nan)
    weight = np.zeros(field.votes.shape)
    numbers = np.arange(len(stack.z_um), dtype=np.float64)
    for place, curve, share in zip(
        np.argwhere(field.votes), field.tiles, field.weights, strict=True
    ):
        peak = find_peak(curve)
        weight[tuple(place)] = share
        if 0 < peak.index < len(numbers) - 1:
            z_um[tuple(place)] = np.interp(peak.plane, numbers, stack.z_um)
    return TileFocus(z_um=z_um, weight=weight / weight.max(), tile_px=scan.tile_px)


def _relief(tiles: TileFocus | None) -> float | None:
    """Range of focus over the tiles that speak loudest, 5th to 95th percentile."""
    if tiles is None:
        return None
    sure = np.isfinite(tiles.z_um) & (tiles.weight > 0.1)
    if sure.sum() < 4:
        return None
    low, high = np.percentile(tiles.z_um[sure], (5, 95))
    return float(high - low)
