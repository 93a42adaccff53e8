"""What each image cost: time, travel and light."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from parfocal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One exposure, whether it gave an image or not.

    Parameters
    ----------
    number
        Count from 1.
    time_s
        Middle of the exposure.
    z_commanded_um, z_um
        Where the stage was sent, and where it said it was.
    x_um, y_um
        Middle of the field.
    channel
        Light path.
    exposure_ms
        Exposure.
    dose
        Light of this exposure on the specimen, in ms at full power.
    image
        Whether there was an image.
    """

    number: int
    time_s: float
    z_commanded_um: float
    z_um: float
    x_um: float
    y_um: float
    channel: str
    exposure_ms: float
    dose: float
    image: bool


COLUMNS = tuple(field.name for field in fields(LedgerEntry))


class DoseLedger:
    """The account of a microscope; it only grows.

    Examples
    --------
    >>> ledger = DoseLedger()
    >>> ledger.spend(5.0)
    >>> ledger.images, ledger.dose
    (0, 5.0)
    """

    def __init__(self) -> None:
        self._entries: list[LedgerEntry] = []
        self._dose = 0.0

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """Every exposure, in order."""
        return tuple(self._entries)

    @property
    def images(self) -> int:
        """Exposures made, failed ones included."""
        return len(self._entries)

    @property
    def lost(self) -> int:
        """Exposures that gave no image."""
        return sum(not entry.image for entry in self._entries)

    @property
    def exposure_ms(self) -> float:
        """Sum of the exposures, in ms."""
        return sum(entry.exposure_ms for entry in self._entries)

    @property
    def dose(self) -> float:
        """All light on the specimen, in ms at full power; an open shutter between images counts."""
        return self._dose

    @property
    def seconds(self) -> float:
        """From the first exposure to the last."""
        return self._entries[-1].time_s - self._entries[0].time_s if self._entries else 0.0

    def add(self, entry: LedgerEntry) -> None:
        """Note an exposure; its light is spent by ``spend``."""
        self._entries.append(entry)

    def spend(self, dose: float) -> None:
        """Note light on the specimen."""
        self._dose += dose

    def to_dict(self) -> dict[str, Any]:
        """Totals and every entry, as plain values."""
        totals = {name: getattr(self, name) for name in ("images", "lost", "exposure_ms", "dose")}
        return {**totals, "seconds": self.seconds, "entries": [asdict(e) for e in self._entries]}

    def save(self, path: str | Path) -> Path:
        """Write the account as .json (totals and entries) or .csv (entries).

        Raises
        ------
        InputError
            If the path ends in neither.
        """
        path = Path(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", "utf-8")
        elif path.suffix == ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(COLUMNS)
                table.writerows([getattr(e, name) for name in COLUMNS] for e in self._entries)
        else:
            raise InputError(f"A ledger is saved as .json or .csv, not as {path.name!r}.")
        return path
