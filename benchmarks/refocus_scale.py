"""Refocus a fabricated 30,000 x 30,000 OME-Zarr, and print the peak memory and the seams.

Run: ``python -m benchmarks.refocus_scale [SIDE_PX] [METHOD]``. The store is sparse: some blocks
hold blurred beads, the others are absent and read as zero, so that it takes little disk, while
every pixel is read. The process is killed once on the way and started again. Seams: how steep the
image is where blocks meet, over how steep it is beside there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from scipy.signal import fftconvolve

from parfocal.core.setup import OpticalSetup
from parfocal.io.unfinished import unfinished_folder
from parfocal.refocus.psfs import defocus_psf

SIDE_PX, PATCH, CHUNK = 30_000, 3072, 1024
LIMIT_GIB = 4.0
SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
AWAY_UM = 2.5
LEAST_DONE = 40

REFOCUS = """
import resource, sys
from parfocal import open_stack
from parfocal.refocus import RefocusSettings, to_file
source, target, method = sys.argv[1:]
made = to_file(open_stack(source), target, RefocusSettings(method=method), defocus_um=2.5)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{made.status} {made.blocks} {made.kept} {made.flux:.4f} {peak:.3f}")
"""


def fabricate(folder: Path, side: int) -> Path:
    """Write the sparse store: patches of beads, 2.5 um from focus."""
    path = folder / "large.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array(
        "0", shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint16", fill_value=0
    )
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scale = [{"type": "scale", "scale": [SETUP.pixel_um, SETUP.pixel_um]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    group.attrs["parfocal"] = {"na": SETUP.na, "wavelength_nm": SETUP.wavelength_nm}
    rng = np.random.default_rng(0)
    size = min(PATCH, side)
    scene = np.zeros((size, size), np.float32)
    beads = size * size // 400
    scene[rng.integers(0, size, beads), rng.integers(0, size, beads)] = 2e4 * rng.random(beads)
    light = fftconvolve(scene, defocus_psf(SETUP, AWAY_UM).numpy(), mode="same").clip(0) + 100
    counts = rng.poisson(light).astype(np.uint16)
    for share in (0.0, 0.3, 0.7):
        first = int(share * side) // CHUNK * CHUNK
        last = min(side, first + size)
        array[first:last, first:last] = counts[: last - first, : last - first]
    return path


def seams(path: Path, corner: int, size: int, block: int = 1024) -> tuple[float, float]:
    """How steep a patch is at edges of blocks, and where they fade, over the steepness around."""
    array = zarr.open_group(path, mode="r")["0"]
    ratios = []
    for axis in (0, 1):
        lines: dict[str, list[float]] = {"edge": [], "faded": [], "beside": []}
        for edge in range(corner + block, corner + size - 100, block):
            span = [slice(corner, corner + size)] * 2
            span[axis] = slice(edge - 100, edge + 100)
            part = np.asarray(array[(0, *span)], np.float64)
            steps = np.abs(np.diff(part, axis=axis)).mean(1 - axis)
            lines["edge"].append(float(steps[98:101].mean()))
            lines["faded"].append(float(steps[100:132].mean()))
            lines["beside"].append(float(np.delete(steps, slice(98, 132)).mean()))
        beside = np.mean(lines["beside"])
        ratios.append((np.mean(lines["edge"]) / beside, np.mean(lines["faded"]) / beside))
    edge, faded = np.mean(ratios, axis=0)
    return float(edge), float(faded)


def main() -> int:
    """Fabricate, refocus in a process that is killed once, print."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else SIDE_PX
    method = sys.argv[2] if len(sys.argv) > 2 else "wiener"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, target = fabricate(folder, side), folder / "sharp.ome.zarr"
        print(f"{side} x {side} uint16, {2 * side**2 / 1e9:.1f} GB, {method}", flush=True)
        call = [sys.executable, "-c", REFOCUS, str(path), str(target), method]
        start = time.perf_counter()
        with subprocess.Popen(call) as first:
            _kill_half_way(first, unfinished_folder(target))
        run = subprocess.run(call, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        status, blocks, kept, flux, peak = run.stdout.split()
        edge, faded = seams(target, 0, min(PATCH, side))
    verdict = "met" if float(peak) < LIMIT_GIB else "MISSED"
    print(f"status {status}, {blocks} blocks, {kept} of them kept from the killed run")
    print(f"{seconds:.0f} s in both runs, light kept {100 * float(flux):.2f} %")
    print(f"steepness at edges of blocks over that beside {edge:.3f}, where they fade {faded:.3f}")
    print(f"peak memory {peak} GiB (limit {LIMIT_GIB} GiB: {verdict})")
    return 0 if verdict == "met" else 1


def _kill_half_way(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Kill a process once some blocks are finished."""
    progress = folder / "progress.json"
    while process.poll() is None:
        text = progress.read_text(encoding="utf-8") if progress.exists() else ""
        if text and int(text.partition('"done": ')[2].partition(",")[0]) >= LEAST_DONE:
            os.kill(process.pid, signal.SIGKILL)
            return
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
