"""The record of one focus run: what was asked, done, spent and found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from parfocal.core.errors import ReadError
from parfocal.core.results import FocusCurve, Status
from parfocal.drive.gate import Move
from parfocal.drive.limits import Limits
from parfocal.drive.shots import Shot

Ended = Literal["answer", "start", "best", "unknown"]
VERSION = 1
IMAGES_SUFFIX = ".images.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusReport:
    """What a focus run did, and what came of it.

    Parameters
    ----------
    status, reason
        Only ``found`` is an answer; the reason says why, and what to do.
    start_um
        Where the stage stood before.
    commanded_um, reached_um
        Where the stage was last sent, and where it last said to be; None if it cannot say.
    z_um, interval_um
        Best focus and its 90 % interval (low, high); None unless found.
    images, exposure_ms, dose, seconds
        What it cost; failed images count. ``dose`` is in ms of light at full power where the
        microscope keeps account of it, else the summed exposure.
    shots
        Every image, in order.
    curve
        Their scores in order of z; None before the first image.
    moves
        Every command to the stage.
    search
        Settings of the search.
    limits
        The envelope.
    ended
        Where the stage was left: at the "answer", back at the "start", at the "best" image seen,
        or "unknown" if it could not be brought there.
    ending
        Why there, in plain words.
    """

    status: Status
    reason: str
    start_um: float
    commanded_um: float
    reached_um: float | None
    z_um: float | None
    interval_um: tuple[float, float] | None
    images: int
    exposure_ms: float
    dose: float
    seconds: float
    shots: tuple[Shot, ...]
    curve: FocusCurve | None
    moves: tuple[Move, ...]
    search: Mapping[str, Any]
    limits: Limits
    ended: Ended
    ending: str

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without images."""
        values: dict[str, Any] = {"version": VERSION}
        for field in fields(self):
            values[field.name] = getattr(self, field.name)
        values["status"] = str(self.status)
        values["interval_um"] = None if self.interval_um is None else [*self.interval_um]
        values["shots"] = [_shot_values(shot) for shot in self.shots]
        values["moves"] = [asdict(move) for move in self.moves]
        values["curve"] = None if self.curve is None else self.curve.to_dict()
        values["search"] = dict(self.search)
        values["limits"] = self.limits.model_dump(mode="json")
        return values

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON, and images that were kept beside it as ``.images.npz``."""
        path = Path(path)
        path.write_text(json.dumps(_finite(self.to_dict()), indent=1) + "\n", encoding="utf-8")
        kept = {f"shot{s.number}": s.image for s in self.shots if s.image is not None}
        if kept:
            with _images_path(path).open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **kept)
        return path

    @classmethod
    def load(cls, path: str | Path) -> FocusReport:
        """Read a record, with its images where they lie beside it.

        Raises
        ------
        ReadError
            If the file is absent or no record.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            images = _read_images(_images_path(path))
            return _from_values(values, images)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReadError(
                f"{path}: not a readable focus record ({type(error).__name__}: {error}); "
                "give a file that FocusReport.save wrote."
            ) from error


def _images_path(path: Path) -> Path:
    return path.with_name(path.stem + IMAGES_SUFFIX)


def _read_images(path: Path) -> dict[int, Any]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as archive:
        return {int(name.removeprefix("shot")): archive[name] for name in archive.files}


def _shot_values(shot: Shot) -> dict[str, Any]:
    values = {field.name: getattr(shot, field.name) for field in fields(shot)}
    del values["image"], values["glance"]
    values["tile_scores"] = shot.tile_scores.tolist()
    return values


def _finite(value: Any) -> Any:
    """Not-a-number and infinity become null, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _from_values(values: dict[str, Any], images: dict[int, Any]) -> FocusReport:
    if values.pop("version") != VERSION:
        raise ValueError(f"another version than {VERSION}")
    shots = tuple(_shot_from(shot, images) for shot in values.pop("shots"))
    curve = values.pop("curve")
    interval = values.pop("interval_um")
    report = FocusReport(
        **values
        | {
            "status": Status(values["status"]),
            "limits": Limits.of(**values["limits"]),
            "moves": tuple(Move(**move) for move in values["moves"]),
            "interval_um": None if interval is None else (interval[0], interval[1]),
            "shots": shots,
            "curve": None,
        }
    )
    if curve is None:
        return report
    z_um, scores = (
        np.array([_number(item) for item in curve[name]], dtype=np.float64)
        for name in ("z_um", "scores")
    )
    return replace(report, curve=FocusCurve(z_um=z_um, scores=scores, measure=curve["measure"]))


def _shot_from(values: dict[str, Any], images: dict[int, Any]) -> Shot:
    values["score"] = _number(values["score"])
    tiles = [[_number(item) for item in row] for row in values["tile_scores"]]
    values["tile_scores"] = np.array(tiles, dtype=np.float64)
    return Shot(**values, glance=np.zeros((1, 1)), image=images.get(values["number"]))
