"""Refocused images as a table for a reader, one for a spreadsheet, an object for a program."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from parfocal import __version__
from parfocal.cli.printable import printable
from parfocal.cli.tables import show_table
from parfocal.evaluate.refocus_fields import (
    RefocusRecord,
    chance_text,
    distance_text,
    flux_text,
    note_text,
    trust_text,
)

CSV_COLUMNS = (
    "name", "status", "method", "defocus_um", "interval_low_um", "interval_high_um", "trust",
    "verdict", "flux", "told_by", "reason", "warnings", "file", "plane", "well", "source",
)  # fmt: skip


def print_table(records: Sequence[RefocusRecord], console: Console) -> None:
    """Print one row an image: coloured on a terminal, plain aligned text elsewhere."""
    width = console.width if console.is_terminal else None
    has_chance = any(record.made.verdict is not None for record in records)
    columns = [("image", "left" if width is None else "fold"), ("status", "left")]
    columns += [("method", "left"), ("from focus, um (DoF)", "right"), ("trust", "right")]
    columns += [("better", "right")] if has_chance else []
    columns += [("light", "right"), ("note", "fold")]
    rows = []
    for record in records:
        cells = [
            Text(printable(record.name)),
            Text(str(record.status), style="green" if record.found else "yellow"),
            Text(record.made.method if record.found else "-"),
            Text(distance_text(record), style="bold"),
            Text(trust_text(record)),
        ]
        cells += [Text(chance_text(record))] if has_chance else []
        cells += [Text(flux_text(record))]
        cells.append(Text(printable(note_text(record)), style="dim" if record.found else ""))
        rows.append(cells)
    show_table(columns, rows, console)
    console.print(Text(tally(records)), soft_wrap=True)


def tally(records: Sequence[RefocusRecord]) -> str:
    """One sentence on how many images were refocused, and why the others were not.

    Examples
    --------
    >>> tally([])
    '0 images: 0 refocused.'
    """
    counts = Counter(str(record.status) for record in records)
    found = counts.pop("found", 0)
    kept = sum(record.found and record.made.method == "passed through" for record in records)
    parts = [f"{found - kept} refocused"]
    parts += [f"{kept} in focus already"] if kept else []
    parts += [f"{number} {status}" for status, number in counts.items()]
    noun = "image" if len(records) == 1 else "images"
    return f"{len(records)} {noun}: {', '.join(parts)}."


def csv_text(records: Sequence[RefocusRecord]) -> str:
    """Write one row an image; empty cells where there is no answer."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        values: dict[str, Any] = record.to_dict()
        low, high = values["interval_um"] or (None, None)
        values["interval_low_um"], values["interval_high_um"] = low, high
        values["warnings"] = "; ".join(values["warnings"])
        values["file"] = values["files"][0] if values["files"] else None
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in values.items()}
        writer.writerow(shown)
    return sheet.getvalue()


def json_text(records: Sequence[RefocusRecord], failed: Sequence[tuple[str, str]]) -> str:
    """Write one object: version, results, and the inputs that could not be processed."""
    whole = {
        "parfocal": __version__,
        "results": [record.to_dict() for record in records],
        "failed": [{"source": source, "error": why} for source, why in failed],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
