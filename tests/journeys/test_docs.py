"""Every Python block of the README, the tutorials and some guides runs, page by page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parfocal.models import CATALOG
from tests.fabricate.models import write_tiny_model

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
    ROOT / "docs" / "how-to" / "virtual-microscope.md",
    ROOT / "docs" / "how-to" / "train-and-fine-tune.md",
]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture(autouse=True)
def _a_network(tmp_path_factory, monkeypatch):
    """The network that the pages ask for; an untrained one where none ships."""
    if not any(row.name == "pair-fluorescence" and row.is_there for row in CATALOG):
        folder = tmp_path_factory.mktemp("models")
        write_tiny_model(folder / "pair-fluorescence")
        monkeypatch.setenv("PARFOCAL_MODELS", str(folder))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page.name} block {number}", "exec"), names)  # noqa: S102


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
