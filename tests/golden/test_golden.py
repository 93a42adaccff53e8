"""What users rely on is frozen: public names, help texts, the build of the report.

A failure here means that a user's script or habit may break. If the change is meant, write the
files anew and read the difference before you commit it::

    PARFOCAL_GOLDEN=write .venv/bin/python -m pytest tests/golden
"""

from __future__ import annotations

import difflib
import os
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import parfocal
from parfocal.cli.main import run
from parfocal.core.results import FocusCurve, FocusEstimate, Status, TileFocus
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.fields import record_of
from parfocal.evaluate.report import Report
from parfocal.evaluate.sheet import ReportHeader

FOLDER = Path(__file__).parent
ROOMS = (
    "drive", "io", "measures", "models", "optics", "predict", "refocus", "score", "segment",
    "simulate",
)  # fmt: skip


def _compare(name: str, text: str) -> None:
    place = FOLDER / name
    if os.environ.get("PARFOCAL_GOLDEN") == "write":
        place.write_text(text, encoding="utf-8")
    golden = place.read_text(encoding="utf-8").splitlines()
    difference = difflib.unified_diff(golden, text.splitlines(), "golden", "now", lineterm="")
    shown = "\n".join(difference)
    assert not shown, f"{name} has changed; see the top of {Path(__file__).name}:\n{shown}"


def test_public_names_are_those_of_the_golden_list():
    names = [f"parfocal.{name}" for name in dir(parfocal)]
    for room in ROOMS:
        module = import_module(f"parfocal.{room}")
        names += [f"parfocal.{room}.{name}" for name in sorted(module.__all__)]
    _compare("public_names.txt", "\n".join(names) + "\n")


def test_every_public_name_exists():
    for name in parfocal.__all__:
        assert getattr(parfocal, name) is not None
    for room in ROOMS:
        module = import_module(f"parfocal.{room}")
        for name in module.__all__:
            assert getattr(module, name) is not None


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "score",
        "predict",
        "simulate",
        "drive",
        "refocus",
        "segment",
        "train",
        "benchmark",
        "benchmark replay",
        "demo",
        "doctor",
    ],
)
def test_help_text_is_the_golden_one(verb, capsys, monkeypatch):
    import typer.rich_utils

    for variable in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 80)
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", None)
    assert run([*verb.split(), "--help"]) == 0
    text = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    _compare(f"help_{verb.replace(' ', '_') or 'parfocal'}.txt", text.strip("\n") + "\n")


class _Outline(HTMLParser):
    """Headings, captions, cells and terms of a page, one a line, in order."""

    KEPT = ("h1", "h2", "h3", "th", "td", "dt", "dd", "li", "figcaption", "p", "text", "div")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in self.KEPT or tag == "style":
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] != "style" and data.strip():
            self.lines.append(f"{self.inside[-1]}: {' '.join(data.split())}")


def _two_fields() -> list[tuple[FocalStack, FocusEstimate]]:
    z_um = np.arange(7) * 2.0
    scores = np.array([1.0, 2.0, 4.0, 8.0, 5.0, 2.0, 1.0])
    curve = FocusCurve(z_um=z_um, scores=scores, measure="brenner", spread=scores * 0.1)
    setup = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.5)
    stacks = [
        FocalStack(
            images=np.arange(7 * 32 * 48, dtype=np.uint16).reshape(7, 32, 48),
            z_um=z_um, pixel_um=0.5, setup=setup, source=f"plate/{well}.ome.tif", name=well,
        )
        for well in ("B03", "B04")
    ]  # fmt: skip
    tiles = TileFocus(z_um=np.array([[6.0, 6.4]]), weight=np.ones((1, 2)), tile_px=24)
    found = FocusEstimate(
        status=Status.FOUND, reason="one clear peak", curve=curve, measure="brenner",
        choice="auto", z_um=6.2, index=3, plane=3.1, interval_um=(6.0, 6.4),
        interval_planes=(3.0, 3.2), tiles=tiles, relief_um=0.4,
        defocus_dof=(z_um - 6.2) / 2.2, warnings=("1 % of the pixels clip",),
    )  # fmt: skip
    edge = FocusEstimate(
        status=Status.EDGE, reason="the last plane is the sharpest", measure="brenner",
        curve=FocusCurve(z_um=z_um, scores=np.arange(7.0), measure="brenner"),
    )  # fmt: skip
    return list(zip(stacks, (found, edge), strict=True))


def test_report_is_built_like_the_golden_one():
    report = Report(total=2)
    for stack, estimate in _two_fields():
        report.add(record_of(stack, estimate, well=stack.name), stack)
    header = ReportHeader(
        title="Focus report",
        date="2026-01-01",
        version="0",
        command="parfocal score plate",
        settings={"measure": "auto"},
    )
    outline = _Outline()
    outline.feed(report.page(header, failed=[("plate/B05.tif", "is empty; copy it again.")]))
    text = "\n".join(outline.lines)
    _compare("report_outline.txt", re.sub(r"\d+\.\d{5,}", "#", text) + "\n")
