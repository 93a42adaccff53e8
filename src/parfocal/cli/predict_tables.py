"""Predicted defocus as a table for a reader, a table for a spreadsheet, an object for a program."""

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
from parfocal.evaluate.defocus_fields import (
    DefocusRecord,
    certainty_text,
    defocus_text,
    interval_text,
    move_text,
    note_text,
    planes_text,
)
from parfocal.evaluate.defocus_trials import DefocusScore
from parfocal.models.card import ModelCard
from parfocal.predict.aperture import ApertureFit

CSV_COLUMNS = (
    "name", "planes", "status", "defocus_um", "defocus_dof", "interval_low_um", "interval_high_um",
    "certainty", "move_um", "focus_z_um", "known_um", "tilt_y_um_per_mm", "tilt_x_um_per_mm",
    "spacing_um", "reason", "warnings", "well", "source",
)  # fmt: skip
# Widths of a terminal that hold all columns, and all but certainty and planes.
WIDE, MIDDLE = 120, 90


def print_table(records: Sequence[DefocusRecord], console: Console) -> None:
    """Print one row a field: coloured on a terminal, plain aligned text elsewhere."""
    width = console.width if console.is_terminal else None
    is_wide = width is None or width >= WIDE
    is_known = any(record.known_um is not None for record in records)
    columns = [("field", "left" if width is None else "fold")]
    columns += [("planes", "left")] if is_wide or is_known else []
    columns += [("status", "left"), ("defocus um (DoF)", "right")]
    columns += [("90 % interval", "right")] if width is None or width >= MIDDLE else []
    columns += [("known um", "right")] if is_known else []
    columns += [("certainty", "right")] if is_wide else []
    columns += [("move stage by um", "right"), ("note", "fold")]
    rows = []
    for record in records:
        found = record.estimate.found
        cells = {
            "field": Text(printable(record.name)),
            "planes": Text(planes_text(record)),
            "status": Text(str(record.estimate.status), style="green" if found else "yellow"),
            "defocus um (DoF)": Text(defocus_text(record)),
            "90 % interval": Text(interval_text(record)),
            "known um": Text("-" if record.known_um is None else f"{record.known_um:+z.2f}"),
            "certainty": Text(certainty_text(record)),
            "move stage by um": Text(move_text(record), style="bold"),
            "note": Text(printable(note_text(record)), style="dim" if found else ""),
        }
        rows.append([cells[heading] for heading, _ in columns])
    show_table(columns, rows, console)
    console.print(Text(tally(records)), soft_wrap=True)


def tally(records: Sequence[DefocusRecord]) -> str:
    """One sentence on how many fields were answered, and why the others were not.

    Examples
    --------
    >>> tally([])
    '0 predictions: 0 answered.'
    """
    counts = Counter(str(record.estimate.status) for record in records)
    answered = counts.pop("found", 0)
    parts = [f"{answered} answered", *(f"{number} {status}" for status, number in counts.items())]
    noun = "prediction" if len(records) == 1 else "predictions"
    return f"{len(records)} {noun}: {', '.join(parts)}."


def score_text(name: str, score: DefocusScore, dof_um: float, focus: str) -> str:
    """How good the predictions of one stack were, in one line."""
    if score.median_dof is None or score.coverage is None:
        return f"{name}: none of {score.trials} pairs answered; {focus}"
    signs = (
        f"{score.wrong_signs} of {score.signs} signs wrong" if score.signs else "no sign at stake"
    )
    return (
        f"{name}: {score.answered} of {score.trials} pairs answered; median |error| "
        f"{score.median_dof * dof_um:.3g} um ({score.median_dof:.2f} DoF); {signs}; intervals hold "
        f"in {100 * score.coverage:.0f} %; {focus}"
    )


def scale_text(name: str, fit: ApertureFit, na: float) -> str:
    """What a stack says of the aperture that was told, in one line.

    Examples
    --------
    >>> scale_text("stack", ApertureFit(scale=0.77, na=0.598, answers=8), 0.75)[:84]
    'stack: answers move 0.77 um for each um of the stage, as if NA were 0.6 and not 0.75'
    """
    said = f"{name}: answers move {fit.scale:.2f} um for each um of the stage"
    if fit.na is None:
        return f"{said}, and no NA explains that: check wavelength, pixel size and z step"
    return (
        f"{said}, as if NA were {fit.na:.2g} and not {na:g}: a lens that is not filled, or optics "
        f"that are written down wrongly; predict with --na {fit.na:.2g} and see whether it agrees"
    )


def csv_text(records: Sequence[DefocusRecord]) -> str:
    """Write one row a field; empty cells where there is no answer."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        values: dict[str, Any] = record.to_dict()
        values["interval_low_um"], values["interval_high_um"] = values["interval_um"] or (
            None,
            None,
        )
        tilt = values["tilt_um_per_mm"] or (None, None)
        values["tilt_y_um_per_mm"], values["tilt_x_um_per_mm"] = tilt
        values["planes"] = "+".join(str(plane) for plane in record.planes)
        values["warnings"] = "; ".join(record.estimate.warnings)
        shown = {k: printable(v) if isinstance(v, str) else v for k, v in values.items()}
        writer.writerow(shown)
    return sheet.getvalue()


def json_text(
    records: Sequence[DefocusRecord], failed: Sequence[tuple[str, str]], card: ModelCard
) -> str:
    """Write one object: version, model, results, and the inputs that could not be processed."""
    whole = {
        "parfocal": __version__,
        "model": {"name": card.name, "sha256": card.sha256, "limits": list(card.limits)},
        "results": [record.to_dict() for record in records],
        "failed": [{"source": source, "error": why} for source, why in failed],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
