"""Print how often the 90 % interval of ``best_focus`` holds the truth on simulated stacks.

Run: ``python -m benchmarks.interval_coverage [SCENES]`` (default 300). The scenes are those of
``tests/fabricate/scenes.py``, with seeds that the tests do not use.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from parfocal.score import best_focus
from tests.fabricate.scenes import fluorescent_scene, phase_scene


def main() -> int:
    """Print statuses, errors and coverage by z step."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rows, statuses = [], Counter()
    for seed in range(10_000, 10_000 + count):
        scene = fluorescent_scene(seed)
        answer = best_focus(scene.stack)
        statuses[str(answer.status)] += 1
        if answer.found:
            low, high = answer.interval_planes
            error = abs(answer.plane - scene.focus)
            rows.append((scene.step_dof, error, low <= scene.focus <= high, (high - low) / 2))
    table = np.array(rows, dtype=float)
    print(f"{count} fluorescent scenes:", dict(statuses))
    print("| step (DoF) | scenes | median error (DoF) | 95 % error (DoF) | interval holds |"
          " half width (DoF) |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- |")
    groups = [
        (f"{step:g}", table[np.isclose(table[:, 0], step)]) for step in (0.2, 0.35, 0.5, 1, 2)
    ]
    for label, group in [*groups, ("all", table)]:
        step, error, holds, half = group.T
        print(
            f"| {label} | {len(group)} | {np.median(error * step):.3f} | "
            f"{np.percentile(error * step, 95):.3f} | {holds.mean():.1%} | "
            f"{np.median(half * step):.3f} |"
        )
    phase, errors = Counter(), []
    for seed in range(20_000, 20_000 + count // 6):
        scene = phase_scene(seed)
        answer = best_focus(scene.stack)
        phase[f"{answer.status}/{answer.modality}"] += 1
        if answer.found:
            errors.append(abs(answer.plane - scene.focus) * scene.step_dof)
    print(f"\n{count // 6} phase objects:", dict(phase), end="; ")
    print(f"error median {np.median(errors):.3f}, largest {max(errors):.3f} DoF")
    return 0


if __name__ == "__main__":
    sys.exit(main())
