"""Turn what ``parfocal benchmark li2021 --json --report`` wrote into the tables of the docs.

Run: ``python -m benchmarks.li2021_tables li2021.json [li2021.html FOLDER]``: prints Markdown, and
writes the page's figures to the folder.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

FIGURES = ("li2021-errors", "li2021-confusions", "li2021-spacings")
COLOURS = 64


def number(value: float | None) -> str:
    """Two digits, or nothing."""
    return "" if value is None else f"{value:.2f}"


def percent(value: float) -> str:
    """Whole percent."""
    return f"{100 * value:.0f} %"


def row(*cells: str) -> str:
    """One row of a table."""
    return "| " + " | ".join(cells) + " |"


def error_tables(told: dict[str, Any]) -> list[str]:
    """A table of errors for each kind of scenes."""
    lines = []
    for group in dict.fromkeys(each["group"] for each in told["rows"]):
        if group.endswith("all"):
            continue
        lines += [f"\n### {group[0].upper()}{group[1:]}\n"]
        lines += [
            row("method", "images", "patch: mean", "median", "certain", "kept", "paper",
                "3 x 3: mean", "median", "certain", "answered", "paper"),
            "| --- " * 12 + "|",
        ]  # fmt: skip
        for each in told["rows"]:
            if each["group"] != group:
                continue
            alone, mean, certain = told["published_um"].get(each["method"], (None, None, None))
            cells = [each["method"], str(each["images"])]
            for part, paper in (("patch", alone), ("field", mean if certain is None else certain)):
                cells += [number(each[part][k]) for k in ("mean_um", "median_um", "certain_um")]
                cells += [percent(each[part]["kept"]), number(paper)]
            lines.append(row(*cells))
    return lines


def ratio_table(told: dict[str, Any]) -> list[str]:
    """Errors over those of DCTS."""

    def spread(share: dict[str, float] | None) -> str:
        return (
            "" if not share else f"{share['value']:.2f} ({share['low']:.2f} to {share['high']:.2f})"
        )

    lines = [row("scenes", "network", "all patches", "its certain patches"), "| --- " * 4 + "|"]
    for each in told["ratios"]:
        lines.append(
            row(each["group"], each["method"], spread(each["every"]), spread(each["certain"]))
        )
    return lines


def study_table(told: dict[str, Any]) -> list[str]:
    """Numbers of images, distances and classes."""
    lines = [
        row("study", "images", "apart (um)", "classes", "right class", "within one", "wrong side",
            "mean error (um)"),
        "| --- " * 8 + "|",
    ]  # fmt: skip
    for each in told["studies"]:
        shares = [percent(each["summary"][k]) for k in ("exact", "near", "wrong_side")]
        lines.append(
            row(each["name"], str(each["images"]), f"{each['spacing_um']:g}",
                str(each["classes"]), *shares, number(each["mean_um"]))
        )  # fmt: skip
    return lines


def write_figures(page: Path, folder: Path) -> None:
    """The page's figures as small PNGs."""
    found = re.findall(r'data:image/png;base64,([^"]+)', page.read_text(encoding="utf-8"))
    for name, data in zip(FIGURES, found, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").quantize(COLOURS)
        image.save(folder / f"{name}.png", optimize=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.li2021_tables", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("folder", type=Path, nargs="?")
    options = parser.parse_args()
    told = json.loads(options.result.read_text(encoding="utf-8"))
    print("\n".join(f"- {fact}" for fact in told["facts"]))
    for part in (error_tables, ratio_table, study_table):
        print("\n<!-- " + part.__name__ + " -->")
        print("\n".join(part(told)))
    if options.page is not None and options.folder is not None:
        write_figures(options.page, options.folder)


if __name__ == "__main__":
    main()
