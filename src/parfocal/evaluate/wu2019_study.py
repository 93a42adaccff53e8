"""What the comparison of Wu 2019 found: tables, and targets reached or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from parfocal.evaluate.study_tables import Table
from parfocal.evaluate.wu2019 import (
    DOF_UM,
    FLIPPED,
    INPUT,
    KINDS,
    NETWORK,
    RELIEFS,
    SECTIONED,
    Example,
    Series,
    Wu2019Row,
    mean_psnr,
)

LEAST_SIGN_DB, LEAST_FOCUS_DB, MOST_BEAD_DOF = 3.0, 2.0, 1.0


@dataclass(eq=False, kw_only=True)
class Wu2019Study:
    """All rows, and what else was measured.

    Parameters
    ----------
    model
        What was asked.
    facts
        Lines about the simulation.
    rows
        Of every chapter.
    examples
        Pictures for the page.
    bead_errors_um
        Axial errors of beads; None where not run.
    series
        The moving worm; None where not run.
    """

    model: str
    facts: tuple[str, ...] = ()
    rows: list[Wu2019Row] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    bead_errors_um: Float[np.ndarray, " bead"] | None = None
    series: Series | None = None

    def of(self, chapter: str) -> list[Wu2019Row]:
        """Rows of a chapter."""
        return [row for row in self.rows if row.chapter == chapter]


def tables(study: Wu2019Study) -> list[Table]:
    """Every table of what was run."""
    made = []
    if study.of("stack"):
        made += [
            _by_height(study.of("stack"), kind, f"Virtual stack beside the scanned one: {kind}")
            for kind in KINDS
        ]
    if study.of("focus"):
        made.append(_by_height(study.of("focus"), None, "Focusing on one thin object", both=True))
    if study.of("surface"):
        made.append(_by_kind(study.of("surface"), RELIEFS, "Uneven surfaces, levelled"))
    if study.of("section"):
        made.append(_by_kind(study.of("section"), KINDS, "Confocal-equivalent sections"))
    made.append(_targets(study))
    return [table for table in made if table.cells]


def _by_height(
    rows: Sequence[Wu2019Row], kind: str | None, title: str, *, both: bool = False
) -> Table:
    chosen = [row for row in rows if kind is None or row.kind == kind]
    names = list(dict.fromkeys(row.method for row in chosen))
    heights = sorted({abs(row.z_um) if both else row.z_um for row in chosen})
    cells = []
    for z in heights:
        own = [row for row in chosen if (abs(row.z_um) if both else row.z_um) == z]
        line = [f"{z:g} um ({z / DOF_UM:.1f})"]
        for name in names:
            line.append(_means(own, name))
        cells.append(tuple(line))
    return Table(
        title=f"{title}: PSNR in dB / SSIM", heads=("height (depths of field)", *names),
        cells=tuple(cells),
    )  # fmt: skip


def _by_kind(rows: Sequence[Wu2019Row], kinds: Sequence[str], title: str) -> Table:
    names = list(dict.fromkeys(row.method for row in rows))
    cells = []
    for kind in kinds:
        own = [row for row in rows if row.kind == kind]
        if own:
            cells.append((kind, *(_means(own, name) for name in names)))
    return Table(title=f"{title}: PSNR in dB / SSIM", heads=("of", *names), cells=tuple(cells))


def _means(rows: Sequence[Wu2019Row], name: str) -> str:
    own = [row for row in rows if row.method == name]
    if not own:
        return "-"
    return f"{np.mean([r.psnr for r in own]):.1f} / {np.mean([r.ssim for r in own]):.2f}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure that was to be reached."""

    what: str
    asked: str
    reached: float
    unit: str
    is_met: bool


def targets(study: Wu2019Study) -> list[Target]:
    """The issue's figures beside those that were measured."""
    found = []

    def add(what: str, asked: str, reached: float, unit: str, *, is_met: bool) -> None:
        found.append(Target(what=what, asked=asked, reached=reached, unit=unit, is_met=is_met))

    stack, focus = study.of("stack"), study.of("focus")
    for chapter, rows in (("virtual stacks", stack), ("thin objects", focus)):
        if rows:
            far = [row for row in rows if abs(row.z_um) > DOF_UM]
            gain = mean_psnr(far, NETWORK) - mean_psnr(far, FLIPPED)
            add(f"right side over exchanged sides, {chapter}", f">= {LEAST_SIGN_DB:g}", gain, "dB",
                is_met=gain >= LEAST_SIGN_DB)  # fmt: skip
    if focus:
        gain = mean_psnr(focus, NETWORK) - mean_psnr(focus, INPUT)
        add("focusing on an object, over the image as taken", f">= {LEAST_FOCUS_DB:g}", gain, "dB",
            is_met=gain >= LEAST_FOCUS_DB)  # fmt: skip
    for kind in RELIEFS:
        own = [row for row in study.of("surface") if row.kind == kind]
        if own:
            gain = mean_psnr(own, NETWORK) - mean_psnr(own, INPUT)
            add(f"{kind} surface, over the image as taken", "> 0", gain, "dB", is_met=gain > 0)
    section = study.of("section")
    if section:
        gain = mean_psnr(section, SECTIONED) - mean_psnr(section, INPUT)
        add("sections, over the image as taken", "> 0", gain, "dB", is_met=gain > 0)
    if study.bead_errors_um is not None and len(study.bead_errors_um):
        sizes = np.abs(study.bead_errors_um) / DOF_UM
        asked = f"<= {MOST_BEAD_DOF:g}"
        for words, value in (
            (f"axial error of {len(sizes)} beads, median", float(np.median(sizes))),
            ("axial error of nine beads in ten", float(np.quantile(sizes, 0.9))),
        ):
            add(words, asked, value, "depths of field", is_met=value <= MOST_BEAD_DOF)
    if study.series is not None:
        one = study.series
        add(f"volumes of {one.planes} planes of {one.size_px} px, of {one.simulated_hz:g} a second "
            "of the worm's time", "stated", one.reached_hz, "a second", is_met=True)  # fmt: skip
        gain = one.psnr - one.psnr_input
        add("moving worm, over the image as taken", "> 0", gain, "dB", is_met=gain > 0)
    return found


def _targets(study: Wu2019Study) -> Table:
    cells = tuple(
        (each.what, each.asked, f"{each.reached:.2f} {each.unit}", "yes" if each.is_met else "no")
        for each in targets(study)
    )
    return Table(
        title="What was to be reached", heads=("figure", "asked", "measured", "met"), cells=cells
    )
