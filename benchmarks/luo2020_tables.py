"""Put the tables and figures of ``parfocal benchmark luo2020`` into the documents.

``python -m benchmarks.luo2020_tables luo2020.json luo2020.html docs`` writes what the two files
hold between the marks of docs/results/luo2020.md and docs/results/refocus_real.md, and the figures
into docs/images.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from parfocal.evaluate.study_tables import Table, text_table

BEGIN, END = "<!-- printed: begin -->", "<!-- printed: end -->"
COLOURS, WIDEST_PX = 32, 1200
FIGURE = re.compile(r"<h2>([^<]*)</h2><figure><img [^>]*?src=\"data:image/png;base64,([^\"]+)\"")
RECORDED = "Recorded stacks"


def main() -> None:
    """Read both files, and change the documents."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.luo2020_tables", description=__doc__
    )
    parser.add_argument("found", type=Path, help="what --json printed")
    parser.add_argument("page", type=Path, help="what --report wrote")
    parser.add_argument("docs", type=Path, help="folder of the documents")
    options = parser.parse_args()
    found = json.loads(options.found.read_text(encoding="utf-8"))
    drawn = FIGURE.findall(options.page.read_text(encoding="utf-8"))
    tables = [
        Table(title=each["title"], heads=tuple(each["heads"]),
              cells=tuple(tuple(row) for row in each["cells"]))
        for each in found["tables"]
    ]  # fmt: skip
    for name, is_recorded in (("luo2020", False), ("refocus_real", True)):
        lines = [] if is_recorded else [f"- {text}" for text in found["facts"]]
        for table in tables:
            if table.title.startswith(RECORDED) == is_recorded:
                lines += ["", f"### {table.title}", "", *text_table(table)]
        for title, data in drawn:
            if title.startswith(RECORDED) == is_recorded:
                lines += _figure(title, data, options.docs)
        _write(options.docs / "results" / f"{name}.md", lines)


def _figure(title: str, data: str, docs: Path) -> list[str]:
    """Write a figure in few colours; the lines that show it."""
    name = "luo2020-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".png"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        picture.thumbnail((WIDEST_PX, WIDEST_PX))
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(docs / "images" / name, optimize=True)
    return ["", f"### {title}", "", f"![{title}](../images/{name})"]


def _write(place: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the marks."""
    before, _, rest = place.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    place.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
