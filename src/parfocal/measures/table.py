"""The catalogue of measures as a page that people read."""

from __future__ import annotations

from parfocal.measures.catalog import CATALOG, Measure

_INTRODUCTION = """\
# Focus measures

Every measure in `parfocal.measures.CATALOG`; larger is sharper. This page is made from the
catalogue by `python -m parfocal.measures.table` and checked by a test.

- *Gain*: the score of `a * image` is `a` to this power times the score of `image`.
- *Offset*: yes, if a constant added to the image (a camera's offset) changes nothing.
- *Mirror*: yes, if mirroring the image along x or y changes nothing.
- *Blur*: yes, if more Gaussian blur never scores sharper (on textures of many scales).
- *Least px*: the smallest side of an image. *Optics*: needs an `OpticalSetup`.
- *Checked against*: what the parity test of the measure compares with.

Reasons for each "no", corrections to the sources, and options stand in the docstring of the
measure. Sources are listed in [refs.bib](../refs.bib).
"""
_COLUMNS = (
    "measure",
    "kind",
    "formula",
    "gain",
    "offset",
    "mirror",
    "blur",
    "least px",
    "optics",
    "sources",
    "checked against",
)


def catalog_table() -> str:
    """One Markdown row per measure of the catalogue.

    Examples
    --------
    >>> catalog_table().splitlines()[2][:22]
    '| brenner | gradient |'
    """
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_cells, CATALOG.values())]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def catalog_page() -> str:
    """The whole page, docs/reference/measures.md."""
    return f"{_INTRODUCTION}\n{catalog_table()}"


def _cells(row: Measure) -> tuple[str, ...]:
    return (
        row.name,
        row.kind,
        f"`{row.formula}`",
        "none" if row.gain is None else f"{row.gain:g}",
        _yes(row.offset_free),
        _yes(row.mirror_free),
        _yes(row.blur_monotonic),
        str(row.least_px),
        _yes(row.needs_setup),
        ", ".join(row.sources),
        row.parity,
    )


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


if __name__ == "__main__":
    import sys

    sys.stdout.write(catalog_page())
