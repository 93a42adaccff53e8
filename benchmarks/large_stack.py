"""Score a fabricated 20 GB OME-Zarr and print the peak memory of the process that did it.

Run: ``python -m benchmarks.large_stack [GIGABYTES]``. The store is sparse: a few chunks hold a
defocused texture, the others are absent and read as zero, so that it takes little disk, while
every pixel is read and scored.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from scipy import ndimage

PLANES, CHUNK = 20, 1024
FOCUS = 11.3
LIMIT_GIB = 2.0

SCORE = """
import resource, sys
from parfocal import open_stack
from parfocal.score import best_focus
estimate = best_focus(open_stack(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{estimate.status} {estimate.plane} {peak:.3f}")
"""


def fabricate(folder: Path, gigabytes: float) -> tuple[Path, int]:
    """Write the sparse store; its path and the side of its planes in px."""
    side = -(-int(np.sqrt(gigabytes * 1e9 / 2 / PLANES)) // CHUNK) * CHUNK
    path = folder / "large.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array(
        "0", shape=(PLANES, side, side), chunks=(1, CHUNK, CHUNK), dtype="uint16", fill_value=0
    )
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 0.325, 0.325]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    rng = np.random.default_rng(0)
    sharp = ndimage.gaussian_filter(rng.random((CHUNK, CHUNK)), 1.0)
    sharp = (sharp - sharp.min()) / np.ptp(sharp)
    places = rng.integers(0, side // CHUNK, (6, 2)) * CHUNK
    for plane in range(PLANES):
        image = ndimage.gaussian_filter(sharp, 0.6 * abs(plane - FOCUS)) * 2000
        for top, left in places:
            array[plane, top : top + CHUNK, left : left + CHUNK] = rng.poisson(image)
    return path, side


def main() -> int:
    """Fabricate, score in a fresh process, print."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as folder:
        path, side = fabricate(Path(folder), gigabytes)
        size = PLANES * side**2 * 2 / 1e9
        print(f"{PLANES} x {side} x {side} uint16, {size:.1f} GB, focus at plane {FOCUS}")
        start = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-c", SCORE, str(path)], capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - start
    status, plane, peak = run.stdout.split()
    verdict = "met" if float(peak) < LIMIT_GIB else "MISSED"
    print(f"status {status}, plane {float(plane):.2f}, {seconds:.0f} s, {size / seconds:.2f} GB/s")
    print(f"peak memory {peak} GiB (limit {LIMIT_GIB} GiB: {verdict})")
    return 0 if verdict == "met" else 1


if __name__ == "__main__":
    sys.exit(main())
