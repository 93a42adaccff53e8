"""What was to be reached, and whether it was."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parfocal.evaluate.luo2020 import BLIND, INPUT, TRUE, USERS, mean_of, worse_than_input
from parfocal.evaluate.luo2020_study import Study, distinct
from parfocal.evaluate.study_tables import Table

BRIGHT, DIM = 500.0, 50.0
WITHIN_TRUE_DB, OVER_USERS_DB = -1.0, 2.0
BLURRED_DOF, NEAR_DOF = (1.0, 2.0, 3.0), (0.0, 1.0)
MOST_FLUX, MOST_WIDTH = 0.05, 0.10
MOST_SECONDS = 6.0
QUIET = 1.5
"""Load up to which times say something."""
AFTER_CAPTURE = "blind, this machine"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure to reach.

    Parameters
    ----------
    what, goal, reached
        In words and numbers.
    is_met
        None where nothing was tried.
    """

    what: str
    goal: str
    reached: str
    is_met: bool | None


def targets(found: Study) -> list[Target]:
    """Every target about which something was tried."""
    made = [*_against_deconvolution(found), _near(found), *_recorded(found), _declined(found)]
    times = [row for row in found.times if row.name == AFTER_CAPTURE]
    if times:
        seconds, load = times[0].seconds_per_mm2, times[0].load or 0.0
        busy = f" at a load of {load:.0f}" if load > QUIET else ""
        made.append(
            Target(what="seconds for each mm^2", goal=f"at most {MOST_SECONDS:g}",
                   reached=f"{seconds:.1f}{busy}", is_met=seconds <= MOST_SECONDS)
        )  # fmt: skip
    return [target for target in made if target.is_met is not None]


def target_table(found: Study) -> Table:
    """The targets as a table."""
    return Table(
        title="Targets",
        heads=("target", "goal", "reached", "met"),
        cells=tuple(
            (each.what, each.goal, each.reached, "yes" if each.is_met else "NO")
            for each in targets(found)
        ),
    )


def _over(found: Study, other: str, photons: float) -> dict[float, float]:
    """Blind less another method in dB, by distance."""
    gaps = {}
    for dof in BLURRED_DOF:
        own = mean_of(found.of(BLIND, dof, photons), "psnr")
        theirs = mean_of(found.of(other, dof, photons), "psnr")
        if math.isfinite(own - theirs):
            gaps[dof] = own - theirs
    return gaps


def _against_deconvolution(found: Study) -> Iterator[Target]:
    for what, other, photons, least, goal in (
        ("blind against Richardson-Lucy, true PSF, 500 photons, 1 to 3 DoF", TRUE, BRIGHT,
         WITHIN_TRUE_DB, "within 1 dB"),
        ("the same at 50 photons", TRUE, DIM, 0.0, "ahead"),
        ("blind over Richardson-Lucy, user's PSF, 500 photons, 1 to 3 DoF", USERS, BRIGHT,
         OVER_USERS_DB, "+2 dB or more"),
    ):  # fmt: skip
        gaps = _over(found, other, photons)
        said = ", ".join(f"{gap:+.1f}" for gap in gaps.values()) + " dB"
        met = all(gap >= least for gap in gaps.values()) if gaps else None
        yield Target(what=what, goal=goal, reached=said, is_met=met)


def _near(found: Study) -> Target:
    pairs = [
        (found.of(BLIND, dof, photons), found.of(INPUT, dof, photons))
        for dof in NEAR_DOF for photons in distinct(row.photons for row in found.fields)
    ]  # fmt: skip
    shares = [worse_than_input(own, inputs) for own, inputs in pairs if own]
    worst = float(np.mean(shares)) if shares else math.nan
    return Target(
        what="worse than the input within 1 DoF", goal="never",
        reached=f"{100 * worst:.0f} % of the fields",
        is_met=worst == 0 if shares else None,
    )  # fmt: skip


def _recorded(found: Study) -> Iterator[Target]:
    flux = [abs(p.flux - 1) for p in found.real if math.isfinite(p.flux)]
    yield Target(
        what="light kept on recorded stacks", goal="within 5 %",
        reached=f"off by at most {100 * max(flux, default=math.nan):.1f} %",
        is_met=max(flux) <= MOST_FLUX if flux else None,
    )  # fmt: skip
    widths = [p.width_change for p in found.real if p.offset_um == 0 and p.width_change > 0]
    yield Target(
        what="width of recorded beads in focus, after over before", goal="within 10 %",
        reached=", ".join(f"{width:.2f}" for width in widths),
        is_met=all(abs(width - 1) <= MOST_WIDTH for width in widths) if widths else None,
    )  # fmt: skip


def _declined(found: Study) -> Target:
    """Transmitted light, recorded and simulated."""
    recorded = [p for p in found.real if p.stack in ("smear", "bfseg_yeast")]
    asked = len(recorded) + sum(row.fields for row in found.clear)
    declined = sum("blind" not in p.psnr for p in recorded)
    declined += sum(row.declined for row in found.clear)
    return Target(
        what="transmitted light declined", goal="always",
        reached=f"{declined} of {asked}", is_met=declined == asked if asked else None,
    )  # fmt: skip
