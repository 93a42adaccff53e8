"""Put the tables and figures of ``parfocal benchmark li2023`` into the documents.

``python -m benchmarks.li2023_tables li2023.json li2023.html docs`` writes what the two files hold
between the marks of docs/results/li2023.md, and the figures into docs/images.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from pathlib import Path

from PIL import Image

from parfocal.evaluate.study_tables import Table, text_table

BEGIN, END = "<!-- printed: begin -->", "<!-- printed: end -->"
COLOURS = 64
FIGURE = re.compile(r"<h2>([^<]*)</h2><figure><img [^>]*?src=\"data:image/png;base64,([^\"]+)\"")


def main() -> None:
    """Read both files, and change the documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.li2023_tables", description=__doc__)
    parser.add_argument("found", type=Path, help="what --json printed")
    parser.add_argument("page", type=Path, help="what --report wrote")
    parser.add_argument("docs", type=Path, help="folder of the documents")
    options = parser.parse_args()
    found = json.loads(options.found.read_text(encoding="utf-8"))
    lines = [f"- {text}" for text in found["facts"]]
    for values in found["tables"]:
        cells = tuple(tuple(row) for row in values["cells"])
        table = Table(title=values["title"], heads=tuple(values["heads"]), cells=cells)
        lines += ["", f"### {table.title}", "", *text_table(table)]
    for title, data in FIGURE.findall(options.page.read_text(encoding="utf-8")):
        name = "li2023-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".png"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            few = picture.convert("RGB").quantize(COLOURS)
        few.save(options.docs / "images" / name, optimize=True)
        lines += ["", f"### {title}", "", f"![{title}](../images/{name})"]
    place = options.docs / "results" / "li2023.md"
    before, _, rest = place.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = "\n".join([before + BEGIN, "", *lines, "", END + after])
    place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
