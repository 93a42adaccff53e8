"""Perturb the focus of the virtual light-sheet microscope, and correct it in one move and a check.

Run: ``python -m benchmarks.one_move [MODEL] [--trials N] [--farthest-um F]``. Each trial is another
seed of the preset ``light-sheet-10x``, its sheet set off by up to 30 um to either side: two images,
a move by what the network answers, two more images as a check, and no other. The same trials by
Brent's method and by the automatic search over the same limits stand beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from parfocal import drive
from parfocal.predict import load
from parfocal.simulate import VirtualMicroscope

WORLD = "light-sheet-10x"
MARGIN_UM = 25.0


def trial(search: drive.Search, seed: int, offset_um: float, farthest_um: float):
    """Report of one run, and where it was left, in um from focus."""
    scope = VirtualMicroscope(WORLD, seed=seed)
    focus = drive.SheetFocus(scope)
    focus.move_to_um(offset_um + focus.position_um() + scope.truth.sheet_offset_um())
    reach_um = farthest_um + MARGIN_UM
    limits = drive.Limits(z_min_um=-reach_um, z_max_um=reach_um)
    report = drive.autofocus(focus, search=search, limits=limits, setup=scope.setup)
    return report, scope.truth.sheet_offset_um()


def row(name: str, search: Callable[[], drive.Search], options: argparse.Namespace) -> str:
    """Try one search on all perturbations, and say how it went."""
    dice = np.random.default_rng(30)
    offsets = dice.uniform(-options.farthest_um, options.farthest_um, options.trials)
    left, images, dose, declined = [], [], [], 0
    depth_um = VirtualMicroscope(WORLD).setup.effective_depth_of_field_um
    for seed, offset_um in enumerate(offsets):
        report, off_um = trial(search(), seed, float(offset_um), options.farthest_um)
        images.append(report.images)
        dose.append(report.dose)
        if report.found:
            left.append(abs(off_um))
        else:
            declined += 1
            print(f"  {name}: {offset_um:+.1f} um, {report.status}: {report.reason}")
    away = np.array(left or [np.nan])
    good = np.count_nonzero(away <= depth_um) / options.trials
    return (
        f"| {name} | {good:.0%} | {declined} | {np.median(away):.2f} | {away.max():.2f} | "
        f"{np.mean(images):.1f} | {np.mean(dose):.0f} |"
    )


def main() -> None:
    """Print one row for each search."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_move", description=__doc__)
    parser.add_argument("model", nargs="?", default="pair-fluorescence")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--farthest-um", type=float, default=30.0)
    parser.add_argument("--network-only", action="store_true", help="leave the others out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load(options.model)

    def predict() -> drive.Search:
        return drive.PredictorSearch(predictor=predictor, images=2, most_moves=1)

    searches: dict[str, Callable[[], drive.Search]] = {
        f"{options.model}: one move, one check": predict
    }
    if not options.network_only:
        searches["Brent over the limits"] = lambda: drive.BrentSearch(range_um=1e5)
        searches["auto"] = drive.AutoSearch
    print(
        "| search | within one effective depth of field | declined | median left (um) | "
        "worst (um) | images | dose (ms) |\n" + "| --- " * 7 + "|"
    )
    for name, search in searches.items():
        print(row(name, search, options), flush=True)


if __name__ == "__main__":
    main()
