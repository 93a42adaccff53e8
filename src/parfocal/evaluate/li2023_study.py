"""All that the Li 2023 benchmark found, as tables that a terminal, a page and JSON show alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from parfocal.evaluate.li2023 import PUBLISHED, AxialRow, CeilingRow, Row
from parfocal.evaluate.li2023_real import RealRow
from parfocal.evaluate.shepp_logan import PhantomTest
from parfocal.evaluate.study_tables import Table


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """One plane of a test stack with the masks of some methods, for a picture."""

    title: str
    image: Float[np.ndarray, "y x"]
    truth: Bool[np.ndarray, "y x"]
    masks: dict[str, Bool[np.ndarray, "y x"]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """Everything that the benchmark found.

    Parameters
    ----------
    rows
        Networks, then rules.
    ceilings, axial, phantom, real
        The other tables.
    examples
        For pictures.
    facts
        What was trained and tested, for the reader: sentences.
    """

    rows: tuple[Row, ...]
    ceilings: tuple[CeilingRow, ...]
    axial: tuple[AxialRow, ...]
    phantom: PhantomTest
    real: tuple[RealRow, ...]
    examples: tuple[Example, ...]
    facts: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no pictures."""
        real = [
            {key: value for key, value in vars(row).items() if key != "pictures"}
            for row in self.real
        ]
        return {
            "rows": [asdict(row) for row in self.rows],
            "ceilings": [asdict(row) for row in self.ceilings],
            "axial": [asdict(row) for row in self.axial],
            "phantom": [asdict(row) for row in self.phantom.rows],
            "real": real,
            "published_iou": {name: list(pair) for name, pair in PUBLISHED.items()},
            "facts": list(self.facts),
            "tables": [asdict(table) for table in tables(self)],
        }


def tables(found: Study) -> list[Table]:
    """Every table of the benchmark."""
    made = [_main(found), _families(found), _costs(found), _ceilings(found)]
    made += [_axial(found), _phantom(found)]
    return [*made, _real(found)] if found.real else made


def share(value: float | None) -> str:
    """An IoU for a table."""
    return "" if value is None else f"{value:.3f}"


def percent(value: float, digits: int = 1) -> str:
    """A share for a table."""
    return f"{100 * value:.{digits}f} %"


def _main(found: Study) -> Table:
    heads = (
        "method", "algorithmic, known", "unseen", "paper", "true, known", "unseen", "paper",
        "regions, known", "unseen",
    )  # fmt: skip
    cells = []
    for row in found.rows:
        paper = PUBLISHED.get(row.method, (None, None))
        values = [row.method]
        for target, published in zip(("algorithmic", "true"), paper, strict=True):
            values += [*_pair(row.iou[target]), share(published)]
        cells.append((*values, *_pair(row.iou["regions"])))
    return Table(
        title="IoU against algorithmic, true and region truth", heads=heads, cells=tuple(cells)
    )


def _costs(found: Study) -> Table:
    cells = [
        (row.method, row.kind, percent(row.coverage), f"{row.seconds:.2f}",
         percent(row.false_positive, 2), percent(row.blank_answered, 0))
        for row in found.rows
    ]  # fmt: skip
    return Table(
        title="Time, and blank fields",
        heads=("method", "kind", "covers", "s a stack", "blank pixels", "blank answered"),
        cells=tuple(cells),
    )


def _pair(values: Any) -> tuple[str, str]:
    return share(values.get("known")), share(values.get("unseen"))


def _families(found: Study) -> Table:
    names = list(dict.fromkeys(name for row in found.rows for name in row.families))
    return Table(
        title="IoU against true truth, by family",
        heads=("method", *names),
        cells=tuple(
            (row.method, *(share(row.families.get(name)) for name in names)) for row in found.rows
        ),
    )


def _ceilings(found: Study) -> Table:
    return Table(
        title="IoU between two annotations that are both right",
        heads=("one", "other", "known", "unseen"),
        cells=tuple((row.one, row.other, *_pair(row.iou)) for row in found.ceilings),
    )


def _axial(found: Study) -> Table:
    cells = [
        (row.measure, f"{row.fall:.2f}", f"{row.half_width_um:.1f}", percent(row.monotonic, 0),
         f"{row.error_planes:.2f}")
        for row in found.axial
    ]  # fmt: skip
    return Table(
        title="Axial sensitivity, the sharpest first",
        heads=("measure", "fall", "half width (um)", "steps that fall", "error (planes)"),
        cells=tuple(cells),
    )


def _phantom(found: Study) -> Table:
    rows = found.phantom.rows
    blurs = sorted({row.blur_px for row in rows})
    by = {(row.measure, row.blur_px): row for row in rows}
    names = list(dict.fromkeys(row.measure for row in rows))
    names.sort(key=lambda name: -sum(by[name, blur].iou for blur in blurs))
    cells = [
        (name, *(text for blur in blurs for text in
                 (percent(by[name, blur].separated, 0), share(by[name, blur].iou))))
        for name in names
    ]  # fmt: skip
    heads = [f"{word}, {blur} px" for blur in blurs for word in ("sharper", "IoU")]
    return Table(
        title="Shepp-Logan phantom, one half blurred", heads=("measure", *heads),
        cells=tuple(cells),
    )  # fmt: skip


def _real(found: Study) -> Table:
    cells: list[tuple[str, ...]] = []
    for row in found.real:
        numbers = ("", "", "", "")
        if row.within_one is not None and row.median_planes is not None:
            numbers = (
                str(row.tiles), percent(row.within_one, 0), f"{row.median_planes:g}",
                percent(row.coverage),
            )  # fmt: skip
        cells.append((row.stack, row.method, row.status, *numbers, f"{row.seconds:.1f}"))
    return Table(
        title="Recorded stacks: is a region in focus where its contrast is largest?",
        heads=(
            "stack", "method", "status", "regions", "within one plane", "median (planes)", "covers",
            "s",
        ),
        cells=tuple(cells),
    )  # fmt: skip
