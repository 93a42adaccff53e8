"""The focus measures as a table for a reader."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from parfocal.cli.exits import DONE
from parfocal.cli.tables import show_table
from parfocal.measures import CATALOG


def print_measures() -> int:
    """Print name, kind, formula and sources of every measure."""
    columns = [("measure", "left"), ("kind", "left"), ("formula", "fold"), ("sources", "fold")]
    rows = []
    for row in CATALOG.values():
        optics = " (needs optics)" if row.needs_setup else ""
        cells = (row.name, row.kind, row.formula + optics, ", ".join(row.sources))
        rows.append([Text(cell) for cell in cells])
    show_table(columns, rows, Console())
    return DONE
