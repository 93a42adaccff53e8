"""All that the Luo 2020 benchmark found, and the form of its tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from parfocal.evaluate.luo2020 import FieldRow
from parfocal.evaluate.luo2020_beads import BeadRow
from parfocal.evaluate.luo2020_real import RealPlane
from parfocal.evaluate.luo2020_tilt import TiltRow
from parfocal.evaluate.luo2020_times import TimeRow


@dataclass(frozen=True, eq=False, kw_only=True)
class Shot:
    """Images beside each other for a picture, by the names of their columns."""

    title: str
    images: dict[str, Float[np.ndarray, "y x"]]


@dataclass(frozen=True, kw_only=True)
class ClearRow:
    """Simulated transmitted light, which must be declined."""

    kind: str
    fields: int
    declined: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """Everything that the benchmark found; a chapter that was not run is empty.

    Parameters
    ----------
    fields
        Every method about every simulated field.
    ranges, beads, tilt, clear, stains, times, real
        The other chapters; ranges are fields by networks that were trained up to some distances,
        stains are fields by transmitted light.
    examples
        For pictures.
    facts
        What was tried, for the reader: sentences.
    """

    fields: tuple[FieldRow, ...] = ()
    ranges: tuple[FieldRow, ...] = ()
    beads: tuple[BeadRow, ...] = ()
    tilt: tuple[TiltRow, ...] = ()
    clear: tuple[ClearRow, ...] = ()
    stains: tuple[FieldRow, ...] = ()
    times: tuple[TimeRow, ...] = ()
    real: tuple[RealPlane, ...] = ()
    examples: tuple[Shot, ...] = ()
    facts: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no pictures."""
        real = [
            {key: value for key, value in vars(plane).items() if key != "pictures"}
            for plane in self.real
        ]
        whole = {
            name: [asdict(row) for row in getattr(self, name)]
            for name in ("fields", "ranges", "beads", "tilt", "clear", "stains", "times")
        }
        times = zip(whole["times"], self.times, strict=True)
        whole["times"] = [one | {"seconds_per_mm2": row.seconds_per_mm2} for one, row in times]
        return {**whole, "real": real, "facts": list(self.facts)}

    def of(self, method: str, dof: float, photons: float) -> list[FieldRow]:
        """Rows of one method at one distance and brightness."""
        return [r for r in self.fields if (r.method, r.dof, r.photons) == (method, dof, photons)]


def distinct(values: Any) -> list[Any]:
    """Values in order of their first appearance."""
    return list(dict.fromkeys(values))
