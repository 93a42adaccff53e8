"""Try a pair predictor on real stacks of known focus and optics, and print a Markdown table.

Run: ``python -m benchmarks.real_defocus MODEL [--data FOLDER] [--device D]``; MODEL is a name or
the folder of a model, the default data the real stacks beside the checkout. No stack was trained
on. Truth is the focus of the whole stack by ``best_focus``, checked against the table of stacks.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from parfocal.cli.short_stacks import every_pair
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.defocus_trials import (
    DefocusScore,
    DefocusTrial,
    KnownStack,
    after_one_move,
    score_trials,
    try_stack,
)
from parfocal.io import find_stacks
from parfocal.io.finding import StackSource
from parfocal.models import load_model
from parfocal.predict import fit_aperture
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.score import best_focus

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
STACKS = {
    "faim_beads_E07_s1": None,
    "faim_beads_E07_s2": None,
    "faim_beads_E08_s1": None,
    "psf_na085_air": None,
    # Not recorded with the file: inferred from its width.
    "psf_widefield_150ms": OpticalSetup(
        na=1.0, wavelength_nm=510, pixel_um=0.097, immersion_index=1.33
    ),
}
"""Fluorescence, with the optics where the file has none."""
PHASE_OBJECTS = {
    "bfseg_yeast": OpticalSetup(na=1.3, wavelength_nm=550, pixel_um=0.107, immersion_index=1.518)
}
"""Must be declined; the optics are a guess. Tried also mirrored to three times the size: so that
no stack is declined for its size alone."""
MOST_OFF_UM = 0.6
"""Planes between the computed focus and the table's: at most one, or this length."""


def known_stack(source: StackSource, setup: OpticalSetup | None) -> KnownStack:
    """Open a stack; its focus is between planes, near the plane that the table names."""
    stack = source.open()
    optics = setup or stack.setup
    if optics is None:
        raise SystemExit(f"{source.name} has no optics")
    estimate = best_focus(stack)
    z_um = np.asarray(stack.z_um, dtype=float)
    listed = float(z_um[source.extra["focus_index"]])
    focus_um = listed if estimate.z_um is None else float(estimate.z_um)
    if abs(focus_um - listed) > max(MOST_OFF_UM, 1.5 * float(np.diff(z_um).mean())):
        raise SystemExit(f"{source.name}: focus {focus_um:.2f} um, but {listed:.2f} is listed")
    return KnownStack(
        name=source.name,
        images=stack.read_counts().astype(np.float32),
        z_um=z_um,
        focus_um=focus_um,
        setup=optics,
    )


def mirrored(known: KnownStack) -> KnownStack:
    """Three times as large, by reflection at its edges."""
    pads = [(0, 0), *((size, size) for size in known.images.shape[1:])]
    images = np.pad(known.images, pads, mode="symmetric")
    return replace(known, name=f"{known.name}, mirrored", images=images)


def statement(trial: DefocusTrial) -> str:
    """Why a trial was declined, without its numbers."""
    return f"{trial.status}: {re.sub(r'[0-9.]+ ?', '', trial.reason.split(':')[0])}"


def row_of(name: str, score: DefocusScore) -> str:
    """One row of the table."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    coverage = "-" if score.coverage is None else f"{100 * score.coverage:.0f} %"
    return (
        f"| {name} | {score.trials} | {score.trials - score.answered} | "
        f"{number(score.median_depths)} | {number(score.median_dof)} | {number(score.worst_dof)} | "
        f"{score.wrong_signs} of {score.signs} | {coverage} | {number(score.zero_depths)} |"
    )


def print_at_own_aperture(predictor: PairPredictor, known: KnownStack) -> None:
    """A row with the aperture that the stack speaks for, where that is not the recorded one.

    It is found from how far the answers move with the stage: focus is not used.
    """
    step_um = float(np.diff(known.z_um).mean())
    pairs = every_pair(FocalStack.of(known.images, z_step_um=step_um), known.depth_um)
    fit = fit_aperture(
        predictor, known.images, known.z_um, setup=known.setup, pairs=[(a, b) for a, b in pairs]
    )
    if fit is None or fit.agrees or fit.na is None:
        return
    setup = known.setup.model_copy(update={"na": round(fit.na, 2)})
    trials = try_stack(predictor, replace(known, setup=setup))
    scale = f"{fit.scale:.2f} um for each um"
    print(row_of(f"{known.name}, at NA {setup.na:g} ({scale})", score_trials(trials)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_defocus", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    networks, card = load_model(options.model, device=options.device)
    predictor = PairPredictor(networks, card, device=options.device)
    sources = {
        source.name: source
        for source in find_stacks(
            [options.data / "stacks.toml"], crop_common=True, z_in_planes=True
        )
    }
    print("| stack | pairs | declined | median abs. error (D) | median (DoF) | worst (DoF) | "
          "wrong signs beyond D/2 | inside interval | always zero (D) |")  # fmt: skip
    print("| --- " * 9 + "|")
    every, moved_all, declined = [], [], Counter()
    for name, setup in (STACKS | PHASE_OBJECTS).items():
        known = known_stack(sources[name], setup)
        trials = try_stack(predictor, known)
        moved = after_one_move(known, trials)
        if name in STACKS:
            every += trials
            moved_all += moved
            print(row_of(name, score_trials(trials)))
            print(row_of(f"{name}, after one move", score_trials(moved)))
            print_at_own_aperture(predictor, known)
        else:
            large = mirrored(known)
            print(row_of(f"{name} (phase object)", score_trials(trials)))
            again = try_stack(predictor, large)
            print(row_of(large.name, score_trials(again)))
            trials += again
        declined += Counter(
            (name, statement(trial)) for trial in trials if trial.defocus_um is None
        )
    print(row_of("**fluorescence**", score_trials(every)))
    print(row_of("**fluorescence, after one move**", score_trials(moved_all)))
    print("\nDeclined:")
    for (name, reason), count in declined.most_common():
        print(f"- {name}: {count} pairs, {reason}")
    print(
        f"\nModel {card.name}, {card.members} networks, code {card.commit}. D: effective depth of "
        "field, n (wavelength / NA + pixel) / NA, pixels no finer than half a wavelength / NA; "
        "DoF: n wavelength / NA^2."
    )


if __name__ == "__main__":
    main()
