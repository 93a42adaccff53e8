"""Focus by images during a useq acquisition, and account for every frame.

    pip install "parfocal[mm]"
    python examples/focus_during_acquisition.py                       # a virtual microscope
    python examples/focus_during_acquisition.py --config MMConfig.cfg --z-min 20 --z-max 80 \
        --positions 0,0,50 400,0,50 --channels FITC DAPI --na 0.75 --wavelength-nm 536

Without --config a specimen is simulated that is tilted, drifts and bleaches, with one empty field.
Its truth tells how many frames were in focus, with the engine of pymmcore-plus and with that of
parfocal; then a frame fails and the stage stalls, under each policy.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import useq

import parfocal as pf
from parfocal.drive import pymmcore as mm

SETUP = pf.OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
HALF_AN_HOUR_S = 1800.0
POLICIES = ("skip", "continue", "stop")
OFFSET_UM = {"FITC": 0.0, "DAPI": 1.5}
# Time, position and channel at which something goes wrong, and what.
TROUBLE = {
    (1, 0, 1): ("FailNextFrames", 1),
    (1, 1, 1): ("StallNextMoves", 1),
    (1, 2, 1): ("StallNextMoves", 2),
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", help="a Micro-Manager configuration; default a simulation")
    parser.add_argument("--mm-path", help="folder of the device adapters")
    parser.add_argument("--out", default=tempfile.mkdtemp(), help="where images and accounts go")
    parser.add_argument("--z-min", type=float, help="lowest z allowed, um")
    parser.add_argument("--z-max", type=float, help="highest z allowed, um")
    parser.add_argument("--na", type=float, help="numerical aperture of the objective")
    parser.add_argument("--wavelength-nm", type=float, help="detected light")
    parser.add_argument(
        "--positions", nargs="+", default=["0,0,0", "700,0,0", "0,700,0", "4000,0,0"],
        help="x,y,z in um",
    )  # fmt: skip
    parser.add_argument("--channels", nargs="*", default=["FITC", "DAPI"])
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument(
        "--policy", nargs="+", choices=POLICIES, help="default skip; in the simulation each"
    )
    parser.add_argument("--pixels", type=int, default=256, help="side of the simulated camera")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    args = parser.parse_args(argv)
    if args.config and (args.z_min is None or args.z_max is None):
        parser.error("--config needs --z-min and --z-max: where the objective is safe")
    if args.config:
        args.policy = args.policy or ["skip"]
    else:
        args.policy = args.policy or POLICIES
        args.z_min = -20.0 if args.z_min is None else args.z_min
        args.z_max = 20.0 if args.z_max is None else args.z_max
        args.na, args.wavelength_nm = SETUP.na, SETUP.wavelength_nm
    return args


def virtual_config(folder: Path, *, pixels: int, seed: int) -> Path:
    """A configuration file of a simulated microscope with the troubles of a real one."""
    specimen = {"name": "microtubules", "size_px": 2 * pixels, "thickness_um": 0.5}
    world = {  # see parfocal.simulate.world.WorldSettings
        "setup": SETUP.model_dump(),
        "specimen": specimen,
        "channels": [
            {"name": "FITC", "bleach_dose_ms": 8000.0},
            {"name": "DAPI", "focus_offset_um": OFFSET_UM["DAPI"], "bleach_dose_ms": 60000.0},
        ],
        "surface": {"tilt_x_um_per_mm": 6.0, "tilt_y_um_per_mm": -3.0, "bump_um": 0.5},
        "drift": {"um_per_hour": 3.0, "walk_um_per_sqrt_hour": 0.5},
        "empty": {"extent_um": 1500.0},
        "detector": {"size_y_px": pixels, "size_x_px": pixels},
        "z": {
            "low_um": -100.0,
            "high_um": 100.0,
            "backlash_um": 0.4,
            "repeatability_um": 0.03,
            "step_um": 0.025,
        },
        "seed": seed,
    }
    settings = folder / "world.json"
    settings.write_text(json.dumps(world), encoding="utf-8")
    shipped = (Path(__file__).parent / "virtual_microscope.cfg").read_text(encoding="utf-8")
    config = folder / "virtual.cfg"
    preset = "#py Property,World,Preset,fluorescence-20x"
    text = shipped.replace(preset, f"#py Property,World,Settings,{settings}")
    text = text.replace("#py Property,World,Seed,1\n", "")
    config.write_text(text, encoding="utf-8")
    return config


def sequence(args: argparse.Namespace, *, autofocus: bool = True) -> useq.MDASequence:
    """Times x positions x channels, with autofocus at each position."""
    return useq.MDASequence(
        axis_order="tpcz",
        stage_positions=[tuple(map(float, place.split(","))) for place in args.positions],
        channels=[
            {"config": name, "exposure": 20.0, "z_offset": OFFSET_UM.get(name, 0.0)}
            for name in args.channels
        ],
        z_plan={"relative": [0.0]},
        time_plan={"interval": 0, "loops": args.times},
        autofocus_plan={"axes": ("p",)} if autofocus else None,
    )


class Witness:
    """Lets simulated time pass between time points, makes trouble, and notes the truth."""

    def __init__(self, core: Any, *, faults: bool) -> None:
        self.core, self.faults = core, faults
        self.defocus_um: dict[tuple[int, ...], float] = {}
        core.mda.events.eventStarted.connect(self.before)
        core.mda.events.frameReady.connect(self.after)

    def before(self, event: useq.MDAEvent) -> None:
        """Half an hour between time points; at the second one, trouble."""
        place = tuple(event.index.get(axis, 0) for axis in "tpc")
        self.core.setProperty("World", "Clock_s", place[0] * HALF_AN_HOUR_S)
        if self.faults and place in TROUBLE:
            self.core.setProperty("World", *TROUBLE[place])

    def after(self, image: object, event: useq.MDAEvent, meta: object) -> None:
        """The true defocus of a frame that was delivered."""
        place = tuple(event.index.get(axis, 0) for axis in "tpc")
        self.defocus_um[place] = float(self.core.getProperty("World", "TrueDefocus_um"))

    def tell(self, name: str, args: argparse.Namespace) -> None:
        """How many frames came, and how many on the specimen are within half a depth of field."""
        half_um = SETUP.depth_of_field_um / 2
        fields = len(args.positions) - 1  # the last one is empty
        planned = args.times * fields * len(args.channels)
        off_um = [abs(off) for place, off in self.defocus_um.items() if place[1] < fields]
        sharp = sum(off <= half_um for off in off_um)
        worst_um = max(off_um, default=float("nan"))
        print(
            f"{name}: {len(self.defocus_um)} frames came; of {planned} on the specimen "
            f"{sharp} in focus ({100 * sharp / planned:.0f} %), worst {worst_um:.2f} um"
        )


def microscope(args: argparse.Namespace, folder: Path) -> Any:
    """The microscope of --config, or a new simulated one with its clock."""
    if args.config:
        return mm.connect(args.config, mm_path=args.mm_path)
    core = mm.connect(virtual_config(folder, pixels=args.pixels, seed=args.seed)).core
    return mm.connect(core, now_s=lambda: float(core.getProperty("World", "Clock_s")))


def engine(args: argparse.Namespace, scope: Any, policy: str, account: Path) -> mm.FocusEngine:
    """The engine with limits, optics and policy."""
    setup = None
    if args.na and args.wavelength_nm and scope.pixel_um:
        setup = pf.OpticalSetup(
            na=args.na, wavelength_nm=args.wavelength_nm, pixel_um=scope.pixel_um
        )
    return mm.FocusEngine(
        scope,
        limits=pf.drive.Limits(z_min_um=args.z_min, z_max_um=args.z_max),
        policy=policy,
        setup=setup,
        settings=mm.EngineSettings(near_um=8.0),
        report_path=account,
    )


def without_engine(args: argparse.Namespace, folder: Path, *, faults: bool) -> None:
    """The same acquisition as pymmcore-plus runs it where there is no autofocus device."""
    scope = microscope(args, folder)
    witness = Witness(scope.core, faults=faults)
    name = "engine of pymmcore-plus"
    try:
        scope.core.mda.run(sequence(args, autofocus=False))
    except RuntimeError as error:
        print(f"{name} gave up: {error}")
    witness.tell(name, args)
    scope.core.unloadAllDevices()


def with_engine(args: argparse.Namespace, folder: Path, policy: str, *, faults: bool) -> None:
    """The acquisition under FocusEngine."""
    scope = microscope(args, folder)
    witness = Witness(scope.core, faults=faults)
    report = engine(args, scope, policy, folder / f"{policy}-{faults}.json").run(sequence(args))
    witness.tell(f"FocusEngine, policy {policy}", args)
    print(report.summary())
    images, dose = (scope.core.getProperty("World", name) for name in ("Images", "Dose_ms"))
    print(f"light: {images} images, {dose:g} ms")
    scope.core.unloadAllDevices()


def main(argv: Sequence[str] | None = None) -> None:
    """Everything in turn."""
    args = arguments(argv)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    if args.config:
        scope = microscope(args, folder)
        focused = engine(args, scope, args.policy[0], folder / "account.json")
        report = focused.run(sequence(args), output=str(folder / "frames.ome.zarr"))
        print(report.summary())
        print(f"written: {folder}")
        return
    logging.getLogger("pymmcore-plus").setLevel(logging.ERROR)  # what it warns of is printed here
    print("== nothing fails ==")
    without_engine(args, folder, faults=False)
    with_engine(args, folder, args.policy[0], faults=False)
    print("== a frame fails, the stage stalls once, then twice ==")
    without_engine(args, folder, faults=True)
    for policy in args.policy:
        with_engine(args, folder, policy, faults=True)
    print(f"accounts: {folder}")


if __name__ == "__main__":
    main()
