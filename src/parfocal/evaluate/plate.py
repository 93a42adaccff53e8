"""Wells read from field names, and the plate they lie on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LETTERED = re.compile(r"(?<![A-Za-z0-9])(A[A-F]|[A-P])(\d{1,2})(?![A-Za-z0-9])")
_NUMBERED = re.compile(r"(?<![A-Za-z0-9])r(\d{1,2})c(\d{1,2})(?=f\d|[^A-Za-z0-9]|$)", re.IGNORECASE)
_ZARR = re.compile(r"(?:^|/)([A-P])/(\d{1,2})(?:/|$)")
FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


@dataclass(frozen=True, order=True)
class Well:
    """One well; row and column count from 0."""

    row: int
    column: int

    @property
    def name(self) -> str:
        """Its name as printed on the plate, such as B03."""
        return f"{row_name(self.row)}{self.column + 1:02d}"


def row_name(row: int) -> str:
    """Letter of a row: A to Z, then AA.

    Examples
    --------
    >>> row_name(0), row_name(15), row_name(26)
    ('A', 'P', 'AA')
    """
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def parse_well(name: str) -> Well | None:
    """Read the well from a field's name; None if it names none.

    Examples
    --------
    >>> parse_well("E07_s1").name, parse_well("plate_r02c05f01").name, parse_well("B/3/0").name
    ('E07', 'B05', 'B03')
    >>> parse_well("embryo_12") is None
    True
    """
    if match := _NUMBERED.search(name):
        row, column = int(match[1]) - 1, int(match[2]) - 1
    elif match := (_ZARR.search(name) or _LETTERED.search(name.replace("_", " "))):
        letters = match[1]
        row = ord(letters[-1]) - 65 + (26 if len(letters) == 2 else 0)
        column = int(match[2]) - 1
    else:
        return None
    rows, columns = FORMATS[-1]
    return Well(row, column) if 0 <= row < rows and 0 <= column < columns else None


def wells_of(names: Iterable[str]) -> dict[str, Well] | None:
    """Wells of all names, or None unless each names one and at least two wells differ.

    One odd name among many would make a plate of a chance pattern, so all must agree.
    """
    wells = {name: parse_well(name) for name in names}
    known = {name: well for name, well in wells.items() if well is not None}
    if len(known) < len(wells) or len(set(known.values())) < 2:
        return None
    return known


def plate_format(wells: Iterable[Well]) -> tuple[int, int]:
    """Rows and columns of the smallest common plate that holds all wells, at least 96 wells.

    Examples
    --------
    >>> plate_format([Well(0, 0), Well(4, 6)])
    (8, 12)
    """
    listed = list(wells)
    last_row = max(well.row for well in listed)
    last_column = max(well.column for well in listed)
    for rows, columns in FORMATS:
        if (rows, columns) >= (8, 12) and last_row < rows and last_column < columns:
            return rows, columns
    return FORMATS[-1]
