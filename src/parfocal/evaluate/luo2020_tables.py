"""The Luo 2020 benchmark as tables that a terminal, a page and JSON show alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parfocal.evaluate.luo2020 import BLIND, INPUT, NETWORK, FieldRow, mean_of, worse_than_input
from parfocal.evaluate.luo2020_real import RealPlane
from parfocal.evaluate.luo2020_study import Study, distinct
from parfocal.evaluate.luo2020_targets import target_table
from parfocal.evaluate.study_tables import Table
from parfocal.refocus.refocuser import PASSED

RANGES = (
    "Networks trained up to so many depths of field, 500 photons: PSNR (dB) / SSIM, by defocus in "
    "depths of field"
)
STAINS = (
    "Stains by transmitted light, every wave by itself: PSNR (dB) / SSIM, by defocus in depths of "
    "field (share declined or passed through)"
)


def tables(found: Study) -> list[Table]:
    """Every table of what was run."""
    made = [target_table(found)] if found.fields else []
    made += [_of_photons(found, photons) for photons in distinct(r.photons for r in found.fields)]
    if any(row.method == BLIND for row in found.fields):
        made.append(_given(found))
    if found.ranges:
        made.append(_by_distance(RANGES, found.ranges))
    if found.beads:
        made.append(_beads(found))
    if found.tilt:
        made.append(_tilt(found))
    if found.clear:
        made.append(_clear(found))
    if found.stains:
        made.append(_by_distance(STAINS, found.stains))
    if found.times:
        made.append(_times(found))
    if found.real:
        made += [real_table(found.real), _declined(found.real)]
    return made


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; nothing where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def percent(value: float, digits: int = 0) -> str:
    """A share for a table."""
    return "" if not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def _of_photons(found: Study, photons: float) -> Table:
    distances = distinct(r.dof for r in found.fields if r.photons == photons)
    cells = []
    for method in distinct(row.method for row in found.fields):
        values = [method]
        for dof in distances:
            own = found.of(method, dof, photons)
            values.append(
                f"{number(mean_of(own, 'psnr'), 1)} / {number(mean_of(own, 'ssim'))} / "
                f"{number(mean_of(own, 'rmse'), 3)}"
            )
        cells.append((*values, number(mean_of([r for r in found.fields if r.method == method],
                                               "seconds"))))  # fmt: skip
    return Table(
        title=f"{photons:g} photons: PSNR (dB) / SSIM / RMSE, by defocus in depths of field",
        heads=("method", *(f"{dof:g}" for dof in distances), "s"),
        cells=tuple(cells),
    )


def _given(found: Study) -> Table:
    cells = []
    for photons in distinct(row.photons for row in found.fields):
        for dof in distinct(row.dof for row in found.fields):
            given, whole = found.of(BLIND, dof, photons), found.of(NETWORK, dof, photons)
            inputs = found.of(INPUT, dof, photons)
            if not given:
                continue
            states = [row.status for row in given]
            light = [abs(row.flux - 1) for row in given]
            cells.append(
                (
                    f"{photons:g}", f"{dof:g}", str(len(given)),
                    percent(states.count(PASSED) / len(states)),
                    percent(sum(s not in ("found", PASSED) for s in states) / len(states)),
                    percent(worse_than_input(given, inputs)),
                    percent(worse_than_input(whole, inputs)), percent(max(light), 1),
                )
            )  # fmt: skip
    return Table(
        title="What the blind refocuser gives",
        heads=(
            "photons", "DoF", "fields", "passed through", "declined", "given, worse than input",
            "network, worse than input", "light off by at most",
        ),
        cells=tuple(cells),
    )  # fmt: skip


def _beads(found: Study) -> Table:
    names = distinct(row.method for row in found.beads)
    cells = []
    for z_um in distinct(row.defocus_um for row in found.beads):
        by = {row.method: row for row in found.beads if row.defocus_um == z_um}
        values = [f"{z_um:+g}"]
        for name in names:
            row = by.get(name)
            if row is None:
                values.append("")
                continue
            said = "" if row.status == "found" else f" ({row.status})"
            width = number(row.width_um) or "no fit"
            values.append(f"{width} / {number(row.peak)} / {number(row.encircled)}{said}")
        cells.append(tuple(values))
    return Table(
        title="Beads of 300 nm: width (um) / peak / light within 1 um, of the truth's, by defocus",
        heads=("um", *names),
        cells=tuple(cells),
    )


def _tilt(found: Study) -> Table:
    names = list(found.tilt[0].sharpness)
    cells = [
        (number(row.defocus_um), *(
            f"{number(row.sharpness[name])} / {number(row.rmse[name], 3)}" for name in names
        ))
        for row in found.tilt
    ]  # fmt: skip
    return Table(
        title="A field tilted by 1.5 degrees: sharpness of rows beside the truth's / RMSE",
        heads=("defocus (um)", *names),
        cells=tuple(cells),
    )


def _clear(found: Study) -> Table:
    return Table(
        title="Transmitted light, to be declined by the network for fluorescence",
        heads=("specimen", "fields", "declined"),
        cells=tuple(
            (row.kind, str(row.fields), percent(row.declined / max(1, row.fields)))
            for row in found.clear
        ),
    )


def _by_distance(title: str, rows: Sequence[FieldRow]) -> Table:
    distances = distinct(row.dof for row in rows)
    cells = []
    for method in distinct(row.method for row in rows):
        values = [method]
        for dof in distances:
            own = [row for row in rows if (row.method, row.dof) == (method, dof)]
            values.append(f"{number(mean_of(own, 'psnr'), 1)} / {number(mean_of(own, 'ssim'))}")
            if method == BLIND:
                kept = sum(row.status != "found" for row in own)
                values[-1] += f" ({percent(kept / len(own))})"
        cells.append(tuple(values))
    return Table(
        title=title,
        heads=("method", *(f"{dof:g}" for dof in distances)),
        cells=tuple(cells),
    )


def _times(found: Study) -> Table:
    cells = [
        (row.name, number(row.seconds_per_mm2), number(row.published), number(row.seconds),
         number(row.spread_s), str(row.runs), number(row.images, 1), number(row.error_um),
         "" if row.found is None else percent(row.found), number(row.processor_s),
         number(row.load, 1))
        for row in found.times
    ]  # fmt: skip
    return Table(
        title="Seconds for each mm^2 at 20x: searches on the virtual microscope's clock, and after "
        "capture",
        heads=("way", "s/mm^2", "paper", "s a field", "SD", "runs", "images", "error (um)",
               "answered", "processor s", "load"),
        cells=tuple(cells),
    )  # fmt: skip


def real_table(planes: Sequence[RealPlane]) -> Table:
    """Recorded stacks, plane by plane."""
    known = "Richardson-Lucy, z of the stage"
    cells = []
    for plane in planes:
        is_truth = plane.offset_um == 0
        gains = (number(plane.gain_db), number(plane.gain_over_gaussian_db))
        interval = ""
        if math.isfinite(plane.dof):
            interval = (
                f"{plane.dof:.1f} ({plane.interval_dof[0]:.1f} to {plane.interval_dof[1]:.1f})"
            )
        cells.append(
            (plane.stack, f"{plane.offset_um:+.2f}", f"{plane.offset_dof:+.1f}", plane.status,
             interval, "" if is_truth else number(plane.psnr["input"], 1),
             number(plane.psnr.get("blind", math.nan), 1), *gains,
             "" if is_truth else number(plane.psnr.get(known, math.nan) - plane.psnr["input"]),
             number(plane.flux, 3), number(plane.width_change))
        )  # fmt: skip
    return Table(
        title="Recorded stacks, none trained on: gain in dB at best gain and offset",
        heads=("stack", "um", "DoF", "status", "said (DoF)", "input (dB)", "answer (dB)",
               "over input",
               "over best Gaussian", "RL at z of stage", "light", "bead width"),
        cells=tuple(cells),
    )  # fmt: skip


def _declined(planes: Sequence[RealPlane]) -> Table:
    """Why planes of recorded stacks were declined, the first reason of each stack in full."""
    cells = []
    for stack in distinct(plane.stack for plane in planes):
        own = [plane for plane in planes if plane.stack == stack]
        without = [plane for plane in own if "blind" not in plane.psnr]
        reason = without[0].reason if without else ""
        cells.append((stack, f"{len(without)} of {len(own)}", own[0].note, reason))
    return Table(
        title="Recorded stacks: what they are, and why planes were declined",
        heads=("stack", "declined", "what", "why, of the first"),
        cells=tuple(cells),
    )
