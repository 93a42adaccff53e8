"""Put the tables and figures of a study into the documents.

``python -m benchmarks.study_docs NAME NAME.json NAME.html docs``, of what ``parfocal benchmark NAME
--json --report NAME.html`` printed and wrote, replaces what stands between the marks of
docs/results/NAME.md, and the figures in docs/images. What luo2020 says of recorded stacks goes
into docs/results/refocus_real.md.
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
COLOURS, WIDEST_PX = 64, 1200
FIGURE = re.compile(r"<h2>([^<]*)</h2><figure><img [^>]*?src=\"data:image/png;base64,([^\"]+)\"")
PLACES = {
    "li2023": {"li2023": ""},
    "luo2020": {"luo2020": "", "refocus_real": "Recorded stacks"},
    "wu2019": {"wu2019": ""},
}
"""Documents of each study, and how the titles begin of what they hold; the first has the rest."""


def main() -> None:
    """Read both files, and change the documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_docs", description=__doc__)
    parser.add_argument("name", choices=PLACES, help="the study")
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
    places = PLACES[options.name]
    lines = {place: [] if start else [f"- {text}" for text in found["facts"]]
             for place, start in places.items()}  # fmt: skip

    def place_of(title: str) -> str:
        return next(
            (place for place, start in places.items() if start and title.startswith(start)),
            options.name,
        )

    for table in tables:
        lines[place_of(table.title)] += ["", f"### {table.title}", "", *text_table(table)]
    for title, data in drawn:
        lines[place_of(title)] += _figure(options.name, title, data, options.docs)
    for place, own in lines.items():
        if own:  # a chapter that was not run keeps what was printed before
            _write(options.docs / "results" / f"{place}.md", own)


def _figure(study: str, title: str, data: str, docs: Path) -> list[str]:
    """Write a figure in few colours; the lines that show it."""
    name = f"{study}-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".png"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        picture.thumbnail((WIDEST_PX, 10 * WIDEST_PX))  # tall ones stay as they are
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
