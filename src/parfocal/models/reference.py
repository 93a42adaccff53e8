"""The models that ship, as a page that people read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from parfocal.models.card import ModelCard
from parfocal.models.catalog import CATALOG, ModelRow

_INTRODUCTION = """\
# Models

The networks that ship with parfocal, with their cards. `parfocal models list` also shows those that
you have trained. This page is made from the cards by `python -m parfocal.models.reference` and
checked by a test.
"""
_NONE = "No network ships with this version: `parfocal train --list` says what can be trained.\n"


def models_page(rows: Sequence[ModelRow] = CATALOG) -> str:
    """The whole page, docs/reference/models.md.

    Examples
    --------
    >>> models_page(()).splitlines()[0]
    '# Models'
    """
    if not rows:
        return f"{_INTRODUCTION}\n{_NONE}"
    lines = ["| model | verb | what it does | MB | coverage of the 90 % interval |"]
    lines.append("| --- | --- | --- | ---: | --- |")
    cards = []
    for row in rows:
        card = ModelCard.read(row.folder / "card.json")
        cells = (row.name, row.verb, row.summary, f"{row.size_mb:.1f}", coverage_range(card))
        lines.append(f"| {' | '.join(cells)} |")
        if row.name != card.name:  # the same network, asked otherwise
            continue
        cards.append(re.sub(r"^#", "##", card.to_markdown(), flags=re.MULTILINE))
    return "\n".join([_INTRODUCTION, *lines, "", *cards])


def coverage_range(card: ModelCard) -> str:
    """Least and largest coverage over the kinds of specimen that were measured."""
    if not card.coverage:
        return "-"
    low, high = min(card.coverage.values()), max(card.coverage.values())
    one = f"{100 * low:.0f}" if round(100 * low) == round(100 * high) else None
    return f"{one or f'{100 * low:.0f} to {100 * high:.0f}'} %"


if __name__ == "__main__":
    import sys

    sys.stdout.write(models_page())
