"""Masks as a table for a reader, a table for a spreadsheet, an object for a program."""

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
from parfocal.evaluate.segment_fields import (
    SegmentRecord,
    height_text,
    note_text,
    planes_text,
    share_text,
)
from parfocal.models.card import ModelCard

CSV_COLUMNS = (
    "name", "status", "planes_in_focus", "peak_plane", "share", "height_low_um", "height_high_um",
    "height_low_planes", "height_high_planes", "cut_share", "parts", "method", "reason",
    "warnings", "well", "source",
)  # fmt: skip


def print_table(records: Sequence[SegmentRecord], console: Console) -> None:
    """Print one row a field: coloured on a terminal, plain aligned text elsewhere."""
    width = console.width if console.is_terminal else None
    units = {record.unit for record in records if record.found} or {"um"}
    heading = f"height ({next(iter(units))})" if len(units) == 1 else "height"
    columns = [("field", "left" if width is None else "fold"), ("status", "left")]
    columns += [("planes in focus", "right"), ("field in focus", "right"), (heading, "right")]
    has_parts = any(record.parts is not None for record in records)
    columns += [("structures", "right")] if has_parts else []
    columns += [("note", "fold")]
    rows = []
    for record in records:
        height = height_text(record)
        if len(units) > 1 and record.found:
            height += f" {record.unit}"
        cells = [
            Text(printable(record.name)),
            Text(str(record.status), style="green" if record.found else "yellow"),
            Text(planes_text(record)),
            Text(share_text(record)),
            Text(height, style="bold"),
        ]
        cells += [Text("-" if record.parts is None else str(record.parts))] if has_parts else []
        cells.append(Text(printable(note_text(record)), style="dim" if record.found else ""))
        rows.append(cells)
    show_table(columns, rows, console)
    console.print(Text(tally(records)), soft_wrap=True)


def tally(records: Sequence[SegmentRecord]) -> str:
    """One sentence on how many fields have masks, and why the others have none.

    Examples
    --------
    >>> tally([])
    '0 fields: 0 with masks.'
    """
    counts = Counter(str(record.status) for record in records)
    found = counts.pop("found", 0)
    parts = [f"{found} with masks", *(f"{number} {status}" for status, number in counts.items())]
    noun = "field" if len(records) == 1 else "fields"
    return f"{len(records)} {noun}: {', '.join(parts)}."


def csv_text(records: Sequence[SegmentRecord]) -> str:
    """Write one row a field; empty cells where there is no answer."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        values: dict[str, Any] = record.to_dict()
        for unit in ("um", "planes"):
            low, high = values[f"height_{unit}"] or (None, None)
            values[f"height_low_{unit}"], values[f"height_high_{unit}"] = low, high
        values["planes_in_focus"] = "+".join(str(plane) for plane in record.planes)
        values["peak_plane"] = record.peak
        values["warnings"] = "; ".join(record.warnings)
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in values.items()}
        writer.writerow(shown)
    return sheet.getvalue()


def json_text(
    records: Sequence[SegmentRecord],
    failed: Sequence[tuple[str, str]],
    card: ModelCard | None = None,
) -> str:
    """Write one object: version, model, results, and the inputs that could not be processed."""
    model = None if card is None else {"name": card.name, "sha256": card.sha256}
    whole = {
        "parfocal": __version__,
        "model": model,
        "results": [record.to_dict() for record in records],
        "failed": [{"source": source, "error": why} for source, why in failed],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
