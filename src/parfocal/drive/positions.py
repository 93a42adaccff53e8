"""Position lists, in and out: useq, Micro-Manager and Squid.

The formats are those of useq-schema 0.9 (stage positions of an MDASequence), of Micro-Manager 2
(property map, version 2.0) and 1.4 (``XY-position list``, reading only), and of Squid
(``coordinates.csv``). All lengths are turned into um.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from parfocal.core.errors import InputError, ReadError, UnknownNameError
from parfocal.drive.surface import FocusSurface

PositionFormat = Literal["useq", "micro-manager", "squid"]


@dataclass(frozen=True, kw_only=True)
class Position:
    """A place on the stages; None is an axis that stays where it is.

    ``x_um``, ``y_um``, ``z_um`` are finite; ``name`` is a label, or for Squid the region.
    """

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    name: str = ""
    grid_row: int | None = None
    grid_column: int | None = None

    def __post_init__(self) -> None:
        for axis in ("x_um", "y_um", "z_um"):
            value = getattr(self, axis)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{axis} of position {self.name!r} is {value} but must be finite.")


def in_focus(
    positions: Iterable[Position], surface: FocusSurface, *, channel: str | None = None
) -> tuple[Position, ...]:
    """The same positions, each at the z that a focus surface predicts there.

    Examples
    --------
    >>> from parfocal.drive.surface import FocusPoint
    >>> surface = FocusSurface([FocusPoint(x_um=0.0, y_um=0.0, z_um=12.0)])
    >>> round(in_focus([Position(x_um=0.0, y_um=0.0)], surface)[0].z_um, 3)
    12.0
    """
    held = tuple(positions)
    x_um, y_um = _xy(held, "A focus surface")
    z_um = surface.predict(x_um, y_um, channel=channel).z_um if held else ()
    return tuple(replace(p, z_um=float(z)) for p, z in zip(held, z_um, strict=True))


def to_useq(positions: Iterable[Position]) -> list[dict[str, Any]]:
    """Stage positions for ``useq.MDASequence(stage_positions=...)``, as plain values.

    Examples
    --------
    >>> to_useq([Position(x_um=1.0, y_um=2.0, z_um=3.0, name="A1")])
    [{'x': 1.0, 'y': 2.0, 'z': 3.0, 'name': 'A1'}]
    """
    rows = []
    for position in positions:
        values = {
            "x": position.x_um, "y": position.y_um, "z": position.z_um,
            "name": position.name or None,
            "grid_row": position.grid_row, "grid_col": position.grid_column,
        }  # fmt: skip
        rows.append({key: value for key, value in values.items() if value is not None})
    return rows


def from_useq(rows: Iterable[Mapping[str, Any] | Sequence[float]]) -> tuple[Position, ...]:
    """Positions from useq stage positions: mappings, or (x, y) and (x, y, z).

    Examples
    --------
    >>> from_useq([(1.0, 2.0), {"z": 3.0}])[1]
    Position(x_um=None, y_um=None, z_um=3.0, name='', grid_row=None, grid_column=None)
    """
    positions = []
    for row in rows:
        if isinstance(row, Mapping):
            values: Mapping[str, Any] = row
        else:
            values = dict(zip("xyz", row, strict=False))
        positions.append(
            Position(
                x_um=_number(values.get("x")),
                y_um=_number(values.get("y")),
                z_um=_number(values.get("z")),
                name=values.get("name") or "",
                grid_row=values.get("grid_row"),
                grid_column=values.get("grid_col"),
            )
        )
    return tuple(positions)


def to_micro_manager(
    positions: Iterable[Position], *, xy_stage: str = "XYStage", z_stage: str = "ZStage"
) -> dict[str, Any]:
    """A position list of Micro-Manager 2, as what its JSON holds.

    Stages are named as in the hardware configuration; Micro-Manager moves the stages it is told.
    """
    entries, names = [], set()
    for number, position in enumerate(positions):
        _xy([position], "Micro-Manager")
        name = position.name or f"Pos{number}"
        if name in names:  # labels are keys in Micro-Manager
            name = f"{name}_{number}"
        names.add(name)
        places = {xy_stage: [position.x_um, position.y_um]}
        if position.z_um is not None:
            places[z_stage] = [position.z_um]
        devices = [
            {"Device": _scalar("STRING", stage), "Position_um": {"type": "DOUBLE", "array": at}}
            for stage, at in places.items()
        ]
        entries.append(
            {
                "DefaultXYStage": _scalar("STRING", xy_stage),
                "DefaultZStage": _scalar("STRING", z_stage if position.z_um is not None else ""),
                "DevicePositions": {"type": "PROPERTY_MAP", "array": devices},
                "GridCol": _scalar("INTEGER", position.grid_column or 0),
                "GridRow": _scalar("INTEGER", position.grid_row or 0),
                "Label": _scalar("STRING", name),
                "Properties": _scalar("PROPERTY_MAP", {}),
            }
        )
    return {
        "encoding": "UTF-8",
        "format": "Micro-Manager Property Map",
        "major_version": 2,
        "minor_version": 0,
        "map": {"StagePositions": {"type": "PROPERTY_MAP", "array": entries}},
    }


def from_micro_manager(
    values: Mapping[str, Any], *, z_stage: str | None = None
) -> tuple[Position, ...]:
    """Positions of a list of Micro-Manager 2 or 1.4; z is that of ``z_stage``.

    By default that is the list's own z stage, else the only stage with one axis.
    """
    if "POSITIONS" in values:  # 1.4: a focus stage keeps its z under "X"
        entries = [
            _entry(row["DEVICES"], row, ("DEVICE", "LABEL", "DEFAULT_XY_STAGE", "DEFAULT_Z_STAGE",
                                         "GRID_ROW", "GRID_COL"))
            for row in values["POSITIONS"]
        ]  # fmt: skip
    else:
        entries = [
            _entry(row["DevicePositions"], row, ("Device", "Label", "DefaultXYStage",
                                                 "DefaultZStage", "GridRow", "GridCol"))
            for row in _plain(values["map"]["StagePositions"])
        ]  # fmt: skip
    return tuple(_from_entry(entry, z_stage) for entry in entries)


def to_squid(positions: Iterable[Position]) -> str:
    """A ``coordinates.csv`` of Squid: region, x, y and, where every position has one, z in mm."""
    held = tuple(positions)
    _xy(held, "Squid")
    deep = all(position.z_um is not None for position in held)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["region", "x (mm)", "y (mm)", *(["z (mm)"] if deep else [])])
    for position in held:
        axes = (position.x_um, position.y_um, position.z_um if deep else None)
        lengths = [f"{value / 1000:.6f}" for value in axes if value is not None]
        writer.writerow([position.name or "R0", *lengths])
    return text.getvalue()


def from_squid(text: str) -> tuple[Position, ...]:
    """Positions of a CSV of Squid, with x and y in mm and z, where it has one, in um or mm."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = csv.DictReader(lines)
    if not table.fieldnames:
        raise ValueError("it is empty")
    positions = []
    for row in table:
        x_um, y_um, z_um = (_length_um(row, axis) for axis in "xyz")
        if x_um is None or y_um is None:
            raise KeyError("'x (mm)' and 'y (mm)'")
        name = row.get("region") or row.get("region_id") or row.get("Region") or ""
        positions.append(Position(x_um=x_um, y_um=y_um, z_um=z_um, name=name))
    return tuple(positions)


def read_positions(path: str | Path, *, z_stage: str | None = None) -> tuple[Position, ...]:
    """Read a position list, whichever of the formats it is.

    Parameters
    ----------
    path
        A useq sequence or list of positions (JSON), a Micro-Manager list, or a CSV of Squid.
    z_stage
        For Micro-Manager lists: which stage is the focus.

    Raises
    ------
    ReadError
        If the file cannot be read or holds no position list.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if text.lstrip()[:1] not in ("{", "["):
            return from_squid(text)
        held = json.loads(text)
        if isinstance(held, Mapping) and ("POSITIONS" in held or "map" in held):
            return from_micro_manager(held, z_stage=z_stage)
        rows = held["stage_positions"] if isinstance(held, Mapping) else held
        if isinstance(rows, Mapping):
            raise TypeError("stage positions are a plate plan, not a list: write its positions out")
        return from_useq(rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        told = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise ReadError(f"{path} holds no position list that is known here: {told}") from fault


def write_positions(
    path: str | Path,
    positions: Iterable[Position],
    *,
    kind: PositionFormat | None = None,
    xy_stage: str = "XYStage",
    z_stage: str = "ZStage",
    overwrite: bool = False,
) -> None:
    """Write a position list; the kind follows from the ending unless it is given.

    ``.pos`` is Micro-Manager, ``.csv`` Squid, ``.json`` useq (a sequence of stage positions only).

    Raises
    ------
    InputError
        If the file exists, or the positions lack an axis that the format needs.
    """
    place = Path(path)
    named = {".pos": "micro-manager", ".csv": "squid", ".json": "useq"}.get(place.suffix.lower())
    writers: dict[str, Callable[[], str]] = {
        "useq": lambda: json.dumps({"stage_positions": to_useq(positions)}, indent=1),
        "micro-manager": lambda: json.dumps(
            to_micro_manager(positions, xy_stage=xy_stage, z_stage=z_stage), indent=2
        ),
        "squid": lambda: to_squid(positions),
    }
    chosen = kind or named or f"*{place.suffix}"
    if chosen not in writers:
        raise UnknownNameError("position format", chosen, writers)
    if place.exists() and not overwrite:
        raise InputError(f"{place} exists: choose another name or allow it to be overwritten.")
    place.write_text(writers[chosen](), encoding="utf-8")


@dataclass(frozen=True)
class _Entry:
    """One position of Micro-Manager, of either format."""

    stages: dict[str, list[float]]
    label: str
    xy_stage: str
    z_stage: str
    row: int
    column: int


def _entry(
    devices: Iterable[Mapping[str, Any]], row: Mapping[str, Any], names: tuple[str, ...]
) -> _Entry:
    device, label, xy_stage, z_stage, grid_row, grid_column = names
    stages = {}
    for held in devices:
        at = held["Position_um"] if "Position_um" in held else [held["X"], held["Y"]]
        stages[str(held[device])] = [float(value) for value in at][: held.get("AXES", 2)]
    return _Entry(
        stages=stages,
        label=row.get(label) or "",
        xy_stage=row.get(xy_stage) or "",
        z_stage=row.get(z_stage) or "",
        row=int(row.get(grid_row, 0)),
        column=int(row.get(grid_column, 0)),
    )


def _from_entry(entry: _Entry, z_stage: str | None) -> Position:
    flat = {name: at for name, at in entry.stages.items() if len(at) == 2}
    deep = {name: at for name, at in entry.stages.items() if len(at) == 1}
    if z_stage is not None and z_stage not in deep:
        raise UnknownNameError("focus stage", z_stage, deep)
    focus = z_stage or entry.z_stage
    if focus not in deep:
        if len(deep) > 1:
            raise ValueError(f"z is that of one of {', '.join(sorted(deep))}: give z_stage")
        focus = next(iter(deep), "")
    ground = entry.xy_stage if entry.xy_stage in flat else next(iter(flat), "")
    x_um, y_um = flat.get(ground, (None, None))
    return Position(
        x_um=x_um,
        y_um=y_um,
        z_um=deep[focus][0] if focus in deep else None,
        name=entry.label,
        grid_row=entry.row,
        grid_column=entry.column,
    )


def _plain(held: Any) -> Any:
    """A property map's typed values as plain ones."""
    if isinstance(held, Mapping) and set(held) == {"type", "scalar"}:
        return _plain(held["scalar"])
    if isinstance(held, Mapping) and set(held) == {"type", "array"}:
        return [_plain(value) for value in held["array"]]
    if isinstance(held, Mapping):
        return {key: _plain(value) for key, value in held.items()}
    return held


def _scalar(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "scalar": value}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _length_um(row: Mapping[str, str | None], axis: str) -> float | None:
    for name, unit in ((f"{axis} (mm)", 1000.0), (f"{axis}_mm", 1000.0),
                       (f"{axis} (um)", 1.0), (f"{axis}_um", 1.0)):  # fmt: skip
        told = row.get(name)
        if told is not None and told.strip():
            return float(told) * unit
    return None


def _xy(positions: Iterable[Position], who: str) -> tuple[list[float], list[float]]:
    x_um, y_um = [], []
    for position in positions:
        if position.x_um is None or position.y_um is None:
            raise InputError(f"{who} needs x and y, but position {position.name!r} has not both.")
        x_um.append(position.x_um)
        y_um.append(position.y_um)
    return x_um, y_um
