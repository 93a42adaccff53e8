"""Drive the virtual microscope with Micro-Manager code alone.

Nothing here knows parfocal: the configuration file names the devices, and the rest is pymmcore-plus
and useq as on any microscope. Run it with

    pip install "parfocal[mm]"
    python examples/micromanager_virtual.py [OUT_FOLDER] [CONFIG]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import useq
from pymmcore_plus.experimental.unicore import UniMMCore

HERE = Path(__file__).parent


def sharpness(image: np.ndarray) -> float:
    """Brenner's measure."""
    steps = np.diff(image.astype(float)[:, ::2], axis=1)
    return float((steps**2).mean())


def connect(config: Path) -> UniMMCore:
    """A core without adapters of its own, and the devices that the file names."""
    core = UniMMCore(mm_path=tempfile.mkdtemp())
    core.loadSystemConfiguration(config)
    print("devices:", ", ".join(core.getLoadedDevices()))
    print(f"pixel: {core.getPixelSizeUm():g} um")
    return core


def look(core: UniMMCore) -> None:
    """Snap, change the channel, cut out a region."""
    core.setExposure(20)
    image = core.snap()
    print(f"snap: {image.shape} {image.dtype}, mean {image.mean():.0f} counts")
    core.setConfig("Channel", "DAPI")
    print(f"channel {core.getCurrentConfig('Channel')}: mean {core.snap().mean():.0f} counts")
    core.setConfig("Channel", "FITC")
    core.setROI(100, 50, 200, 120)
    print(f"region of interest: {core.snap().shape}")
    core.clearROI()


def acquire_stack(core: UniMMCore, out: Path) -> None:
    """A z-stack in two colours at two positions, to OME-Zarr."""
    sequence = useq.MDASequence(
        axis_order="pcz",
        channels=[{"group": "Channel", "config": "FITC", "exposure": 20}, "DAPI"],
        z_plan={"range": 12, "step": 1.5},
        stage_positions=[(0, 0, 0), (400, 200, 0)],
    )
    planes: dict[tuple[int, str], list[tuple[float, float]]] = {}

    def note(image: np.ndarray, event: useq.MDAEvent, *_: object) -> None:
        key = event.index["p"], event.channel.config
        planes.setdefault(key, []).append((event.z_pos, sharpness(image)))

    core.mda.events.frameReady.connect(note)
    core.mda.run(sequence, output=out)
    core.mda.events.frameReady.disconnect(note)
    for (position, channel), curve in planes.items():
        best = max(curve, key=lambda point: point[1])[0]
        print(f"position {position}, {channel}: {len(curve)} planes, sharpest at {best:g} um")
    print(f"written: {out.name}")


def stream(core: UniMMCore, count: int) -> None:
    """A burst of images from the camera's own thread."""
    core.startSequenceAcquisition(count, 0, True)
    while core.isSequenceRunning():
        core.sleep(5)
    images = [core.popNextImage() for _ in range(core.getRemainingImageCount())]
    print(f"sequence: {len(images)} images, mean {np.mean(images):.0f} counts")


def meet_faults(core: UniMMCore) -> None:
    """Devices that raise: a camera without an image, a stage that stalls, a limit."""
    core.setProperty("World", "FailNextFrames", 1)
    try:
        core.snap()
    except RuntimeError as error:
        print("camera:", error)
    core.setProperty("World", "StallNextMoves", 1)
    try:
        core.setZPosition(40)
        core.waitForDevice(core.getFocusDevice())
    except RuntimeError as error:
        print("stage:", error)
    try:
        core.setZPosition(1e6)
    except RuntimeError as error:
        print("limit:", error)
    core.setZPosition(0)
    print(f"recovered: mean {core.snap().mean():.0f} counts at {core.getZPosition():g} um")


def main() -> None:
    """Everything in turn."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    config = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / "virtual_microscope.cfg"
    core = connect(config)
    look(core)
    acquire_stack(core, out / "stack.ome.zarr")
    stream(core, 8)
    meet_faults(core)
    images, dose = (core.getProperty("World", name) for name in ("Images", "Dose_ms"))
    print(f"cost: {images} images, {dose:g} ms of light")
    # Devices are unloaded at exit. Doing it here makes events that the C++ core delivers from a
    # thread of its own, and Python may be gone by then (pymmcore 12.5).


if __name__ == "__main__":
    main()
