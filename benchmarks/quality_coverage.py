"""Does the 90 % interval of the focus quality cover? ``python -m benchmarks.quality_coverage``.

Draws scenes at random (objectives, pixels, aberration, light, specimens), at up to 6 and up to 20
depths of field from focus, and prints how many were answered, how often the interval held the
truth, and how large the errors were.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from parfocal.core.results import FocusQuality
from parfocal.score.quality import FARTHEST_DOF, focus_quality
from tests.fabricate.defocused import KINDS, draw_scene, image


@dataclass(frozen=True)
class Trial:
    """One scene, its truth and what was said of it."""

    kind: str
    truth_dof: float
    size_px: int
    quality: FocusQuality
    seconds: float

    @property
    def covered(self) -> bool:
        """Whether the interval holds the truth."""
        low, high = self.quality.interval_dof or (np.inf, -np.inf)
        return low - 1e-9 <= self.truth_dof <= high + 1e-9

    @property
    def error_dof(self) -> float:
        """Distance of the answer from the truth."""
        return abs((self.quality.defocus_dof or 0.0) - self.truth_dof)


def run_trials(scenes: int, *, first_seed: int = 0) -> list[Trial]:
    """Simulate and judge; every fourth scene reaches to 20 DoF, every fifth is large."""
    trials = []
    for seed in range(first_seed, first_seed + scenes):
        farthest = 20.0 if seed % 4 == 0 else FARTHEST_DOF
        scene = draw_scene(seed, farthest_dof=farthest, size_px=512 if seed % 5 == 0 else 256)
        counts = np.clip(np.round(image(scene)), 0, 65535).astype(np.uint16)
        start = time.perf_counter()
        quality = focus_quality(counts, scene.setup)
        seconds = time.perf_counter() - start
        assert isinstance(quality, FocusQuality)
        trials.append(Trial(scene.kind, abs(scene.defocus_dof), scene.size_px, quality, seconds))
    return trials


def describe(label: str, trials: list[Trial]) -> str:
    """One line of figures."""
    found = [trial for trial in trials if trial.quality.found]
    if not found:
        return f"{label:24s} {len(trials):4d} scenes, none answered"
    errors = np.array([trial.error_dof for trial in found])
    width = np.array([np.diff(trial.quality.interval_dof or (0, 0))[0] for trial in found])
    return (
        f"{label:24s} {len(trials):4d} scenes, answered {len(found) / len(trials):4.0%}, "
        f"covered {np.mean([trial.covered for trial in found]):6.1%}, "
        f"error median {np.median(errors):.2f}, 95th percentile {np.quantile(errors, 0.95):.2f}, "
        f"largest {errors.max():.2f}, interval {np.median(width):.2f} DoF"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    trials = run_trials(options.scenes, first_seed=options.first_seed)
    print(describe("all", trials))
    for kind in KINDS:
        print(describe(kind, [trial for trial in trials if trial.kind == kind]))
    for low, high in ((0, 0.01), (0.01, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 20)):
        chosen = [trial for trial in trials if low <= trial.truth_dof < high]
        print(describe(f"truth {low:g} to {high:g} DoF", chosen))
    reasons = [trial.quality.status.value for trial in trials]
    print("status:", {name: reasons.count(name) for name in sorted(set(reasons))})
    print(f"median time {1e3 * np.median([trial.seconds for trial in trials]):.0f} ms")


if __name__ == "__main__":
    main()
