"""Tables of a study as text, which a terminal, a page and a document show alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text: a title, heads, and cells; the first column reads from the left."""

    title: str
    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


def text_table(table: Table) -> list[str]:
    """A table in Markdown, for documents.

    Examples
    --------
    >>> text_table(Table(title="", heads=("a", "b"), cells=(("x", "1"),)))
    ['| a | b |', '| --- | ---: |', '| x | 1 |']
    """
    rows = [table.heads, ("---", *["---:"] * (len(table.heads) - 1)), *table.cells]
    return ["| " + " | ".join(row) + " |" for row in rows]
