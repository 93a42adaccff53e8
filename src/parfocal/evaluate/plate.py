"""Wells and the plate they lie on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FORMATS = ((8, 12), (16, 24), (32, 48))


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


def parse_well(label: str) -> Well | None:
    """Read a well's label, letters and number; None if it is none.

    Examples
    --------
    >>> parse_well("B03"), parse_well("AF48").name, parse_well("B0")
    (Well(row=1, column=2), 'AF48', None)
    """
    match = re.fullmatch(r"(A[A-F]|[A-Z])0*([1-9]\d?)", label)
    if match is None:
        return None
    letters, column = match[1], int(match[2]) - 1
    row = ord(letters[-1]) - 65 + (26 if len(letters) == 2 else 0)
    return Well(row, column) if column < FORMATS[-1][1] else None


def wells_of(labels: Mapping[str, str | None]) -> dict[str, Well] | None:
    """Wells by field name, or None unless every field lies in one and at least two differ.

    One odd name among many would make a plate of a chance pattern, so all must agree.
    """
    wells = {name: parse_well(label) for name, label in labels.items() if label is not None}
    known = {name: well for name, well in wells.items() if well is not None}
    if len(known) < len(labels) or len(set(known.values())) < 2:
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
        if last_row < rows and last_column < columns:
            return rows, columns
    return FORMATS[-1]
