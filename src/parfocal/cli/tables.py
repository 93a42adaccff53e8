"""Results as a table for a reader, a table for a spreadsheet, and one object for a program."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parfocal import __version__
from parfocal.cli.printable import printable
from parfocal.evaluate.fields import FieldRecord
from parfocal.evaluate.verdict import Verdict
from parfocal.evaluate.wording import interval_text, note_text, position_text

VERDICT_STYLE = {Verdict.KEEP: "green", Verdict.CHECK: "yellow", Verdict.AGAIN: "red"}
# Widths of a terminal that hold all columns, all but the measure, and a note at all.
WIDE, MIDDLE, NARROW = 120, 90, 70

CSV_COLUMNS = (
    "name", "verdict", "status", "z_um", "interval_low_um", "interval_high_um", "index", "plane",
    "interval_low_planes", "interval_high_planes", "measure", "modality", "relief_um",
    "z_step_um", "pixel_um", "advice", "reason", "warnings", "source",
)  # fmt: skip


def _columns(records: Sequence[FieldRecord], width: int | None) -> list[tuple[str, str]]:
    """Headings and kinds of the columns that a terminal of this width holds."""
    units = {record.unit for record in records}
    heading = {"um": "z (um)", "planes": "z (plane)"}
    where = heading[next(iter(units))] if len(units) == 1 else "z"
    columns = [("field", "name"), ("status", "status"), (where, "position")]
    if width is None or width >= MIDDLE:
        columns += [("90 % interval", "interval"), ("plane", "plane")]
    if width is None or width >= WIDE:
        columns.append(("measure", "measure"))
    columns.append(("verdict", "verdict"))
    if width is None or width >= NARROW:
        columns.append(("note", "note"))
    return columns


def _cell(record: FieldRecord, kind: str, *, mixed: bool) -> Text:
    estimate, verdict = record.estimate, record.judgement.verdict
    found = estimate.found
    cells: dict[str, tuple[str, str]] = {
        "name": (record.name, ""),
        "status": (str(estimate.status), "green" if found else "yellow"),
        "position": (position_text(record, with_unit=mixed), "bold"),
        "interval": (interval_text(record), ""),
        "plane": ("-" if estimate.index is None else str(estimate.index), ""),
        "measure": (estimate.measure, ""),
        "verdict": (str(verdict), VERDICT_STYLE[verdict]),
        "note": (note_text(record), "dim" if found else ""),
    }
    text, style = cells[kind]
    return Text(printable(text), style=style)


def show_table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]], console: Console
) -> None:
    """Print rows under headings: a table fit to the terminal, or plain aligned text elsewhere.

    ``columns`` gives each heading with "right", "left" or "fold" (left, may wrap).
    """
    if not console.is_terminal:
        console.file.write(_aligned(columns, rows))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, side in columns:
        table.add_column(
            heading,
            justify="right" if side == "right" else "left",
            no_wrap=side != "fold",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _aligned(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]]) -> str:
    """One line a row, columns parted by at least two blanks."""
    cells = [[heading for heading, _ in columns]]
    cells += [[" ".join(cell.plain.split()) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = []
    for line in cells:
        padded = [
            text.rjust(width) if side == "right" else text.ljust(width)
            for text, width, (_, side) in zip(line, widths, columns, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def print_table(records: Sequence[FieldRecord], console: Console) -> None:
    """Print one row a field: coloured on a terminal, plain aligned text elsewhere."""
    width = console.width if console.is_terminal else None
    columns = _columns(records, width)
    mixed = len({record.unit for record in records}) > 1
    sides = {"position": "right", "interval": "right", "plane": "right", "note": "fold"}
    sides["name"] = "left" if width is None else "fold"
    show_table(
        [(heading, sides.get(kind, "left")) for heading, kind in columns],
        [[_cell(record, kind, mixed=mixed) for _, kind in columns] for record in records],
        console,
    )
    if "note" not in dict(columns):
        for record in records:
            if note := note_text(record):
                console.print(Text(printable(f"{record.name}: {note}")))
    console.print(Text(tally(records)), soft_wrap=True)


def tally(records: Sequence[FieldRecord]) -> str:
    """One sentence on how many fields to keep, check and image again."""
    counts = Counter(record.judgement.verdict for record in records)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    noun = "field" if len(records) == 1 else "fields"
    return f"{len(records)} {noun}: {', '.join(parts)}."


def csv_text(records: Sequence[FieldRecord]) -> str:
    """Write one row a field; empty cells where there is no answer."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        values: dict[str, Any] = record.to_dict()
        for unit in ("um", "planes"):
            low, high = values[f"interval_{unit}"] or (None, None)
            values[f"interval_low_{unit}"], values[f"interval_high_{unit}"] = low, high
        values["warnings"] = "; ".join(record.estimate.warnings)
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in values.items()}
        writer.writerow(shown)
    return sheet.getvalue()


def json_text(records: Sequence[FieldRecord], failed: Sequence[tuple[str, str]]) -> str:
    """Write one object: the version, the results, and the inputs that could not be processed."""
    whole = {
        "parfocal": __version__,
        "results": [record.to_dict() for record in records],
        "failed": [{"source": source, "error": why} for source, why in failed],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
