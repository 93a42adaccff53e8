"""Score every stack of a stacks.toml and print found against known focus as a Markdown table.

Run: ``python -m benchmarks.known_focus [PATH]``; the default is the folder of real stacks beside
the checkout. Exit status 1 if any answer is more than one plane off.
"""

from __future__ import annotations

import sys
from pathlib import Path

from parfocal.io import find_stacks
from parfocal.score import best_focus

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "stacks.toml"


def main() -> int:
    """Print the table."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not path.exists():
        print(f"no stacks at {path}")
        return 2
    print("| stack | known plane | status | found plane | 90 % interval (planes) | z (um) |"
          " off by | contrast |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for source in find_stacks([path], z_in_planes=True, crop_common=True):
        estimate = best_focus(source.open())
        known = source.extra.get("focus_index")
        if not estimate.found:
            print(f"| {source.name} | {known} | {estimate.status} | | | | | |")
            continue
        low, high = estimate.interval_planes
        off = abs(estimate.index - known)
        worst = max(worst, off)
        z = "step unknown" if estimate.z_um is None else f"{estimate.z_um:.2f}"
        print(
            f"| {source.name} | {known} | {estimate.status} | {estimate.plane:.2f} | "
            f"{low:.2f} to {high:.2f} | {z} | {off} | {estimate.modality} |"
        )
    print(f"\nLargest difference of an answer from the known plane: {worst} planes.")
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
