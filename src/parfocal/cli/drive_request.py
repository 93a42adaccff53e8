"""What one call of ``parfocal drive`` asks for, checked before any device is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.cli.exits import CallError
from parfocal.cli.outputs import check_apart, check_output
from parfocal.cli.request import Region


@dataclass(frozen=True, kw_only=True)
class DriveRequest:
    """Options of ``parfocal drive``; ``limits`` and ``optics`` hold None where none was given."""

    virtual: str | None = None
    config: Path | None = None
    replay: Path | None = None
    seed: int = 0
    start_um: float | None = None
    hold_s: float | None = None
    every_s: float = 60.0
    grid: tuple[int, int] | None = None
    pitch_um: float = 500.0
    tolerance_um: float = 0.5
    sequence: Path | None = None
    dry_run: bool = False
    search: str = "auto"
    search_options: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    device: str = "cpu"
    measure: str = "tenengrad"
    region: Region | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    optics: dict[str, Any] = field(default_factory=dict)
    as_json: bool = False
    report: Path | None = None
    record: Path | None = None
    frames: Path | None = None
    positions: Path | None = None
    overwrite: bool = False
    debug: bool = False

    @property
    def task(self) -> str:
        """What to do: "focus", "hold", "map" or "sequence"."""
        chosen = {"hold": self.hold_s, "map": self.grid, "sequence": self.sequence}
        return next((name for name, value in chosen.items() if value is not None), "focus")

    @property
    def keeps_images(self) -> bool:
        """Whether an output shows or holds images."""
        return self.report is not None or self.record is not None


def parse_grid(text: str | None) -> tuple[int, int] | None:
    """Read ``NXxNY``.

    Examples
    --------
    >>> parse_grid("5x4")
    (5, 4)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,4})\s*[xX*]\s*(\d{1,4})\s*", text)
    if match is None or "0" in match.groups():
        raise CallError(f"--map {text!r} is not a grid; give columns x rows, such as 5x4.")
    return int(match[1]), int(match[2])


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; numbers, true, false, null and lists as in JSON, else words.

    Examples
    --------
    >>> parse_settings(["range-um=20", "kind=brent"])
    {'range_um': 20, 'kind': 'brent'}
    """
    settings: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not sign or not name:
            raise CallError(f"--option {text!r} is no setting; give NAME=VALUE, as range_um=20.")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def check_request(request: DriveRequest) -> None:
    """Raise CallError for all that can be known to be wrong before a device is touched."""
    _check_microscope(request)
    tasks = [request.hold_s, request.grid, request.sequence]
    if sum(task is not None for task in tasks) > 1:
        raise CallError("--hold, --map and --sequence exclude each other; choose one.")
    for option, value in (("--hold", request.hold_s), ("--every-s", request.every_s),
                          ("--pitch-um", request.pitch_um),
                          ("--tolerance-um", request.tolerance_um)):  # fmt: skip
        if value is not None and not value > 0:
            raise CallError(f"{option} {value:g} must be greater than 0.")
    if request.positions is not None and request.grid is None:
        raise CallError("--positions needs --map: focus of one place is no list.")
    if request.record is not None and request.task in ("hold", "sequence"):
        raise CallError(f"--record keeps focus runs; --{request.task} does not give them yet.")
    if request.frames is not None and request.task != "sequence":
        raise CallError(
            "--frames needs --sequence, whose images it saves; --record keeps focus runs."
        )
    if request.sequence is not None and not request.sequence.is_file():
        raise CallError(f"--sequence {request.sequence}: there is no such file.")
    if request.dry_run and request.task == "sequence":
        raise CallError("--dry-run cannot foresee a --sequence; try it on --virtual instead.")
    _check_outputs(request)


def _check_microscope(request: DriveRequest) -> None:
    chosen = [request.virtual, request.config, request.replay]
    given = sum(value is not None for value in chosen)
    if given != 1:
        which = "no microscope" if not given else "more than one microscope"
        raise CallError(
            f"{which}: give one of --virtual NAME (a simulated one, such as fluorescence-20x), "
            "--config FILE (Micro-Manager) or --replay DIR (a saved run)."
        )
    if request.config is not None:
        if not request.config.is_file():
            raise CallError(f"--config {request.config}: there is no such file.")
        if request.limits.get("z_min_um") is None or request.limits.get("z_max_um") is None:
            raise CallError(
                "a real microscope needs limits: give --z-min-um and --z-max-um, between which "
                "the objective is safe."
            )
    if request.replay is not None:
        if not (request.replay / "record.json").is_file():
            raise CallError(f"--replay {request.replay}: there is no record.json in it.")
        if request.task != "focus" or request.dry_run:
            raise CallError("--replay repeats one focus run; it cannot hold, map or rehearse.")
    if request.start_um is not None and request.config is not None and not request.dry_run:
        raise CallError("--start-um is for --virtual and --dry-run; a real stage stands somewhere.")


def _check_outputs(request: DriveRequest) -> None:
    files = {"--report": request.report, "--positions": request.positions}
    listed = {option: path for option, path in files.items() if path is not None}
    raw = [path for path in (request.config, request.sequence) if path is not None]
    check_apart(listed.values(), raw)
    for option, path in listed.items():
        check_output(path, overwrite=request.overwrite, option=option)
    if request.positions is not None and request.positions.suffix.lower() not in (
        ".pos", ".json", ".csv",
    ):  # fmt: skip
        raise CallError(
            f"--positions {request.positions}: end the name in .pos (Micro-Manager), .json "
            "(useq) or .csv (Squid)."
        )
    place = request.record
    if place is None:
        return
    if place.exists() and not place.is_dir():
        raise CallError(f"--record {place} is a file; name a folder.")
    if not place.resolve().parent.is_dir():
        raise CallError(f"--record {place}: there is no folder {place.parent}; make it first.")
    if place.is_dir() and any(place.iterdir()):
        if not any(place.rglob("record.json")):
            raise CallError(f"--record {place} holds something else; name a new folder.")
        if not request.overwrite:
            raise CallError(f"--record {place} exists; add --overwrite or choose another name.")
