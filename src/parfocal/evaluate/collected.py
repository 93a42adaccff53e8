"""Results that a page shows one by one: a table of all, pictures of the first ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from parfocal.evaluate.sheet import ReportHeader, not_processed, settings_list, sheet, tally

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class PageWords(Generic[Record]):
    """What a page calls its records, and how it lists them.

    Parameters
    ----------
    anchor
        Begins the anchors of sections.
    many
        What the records are: "fields".
    counted, answered
        What is counted of them, and what those with an answer are called.
    explanation
        HTML below the command.
    most
        Records that are shown with pictures.
    is_answered
        Whether a record has an answer.
    table
        HTML of all records; of those with pictures the anchors are given.
    """

    anchor: str
    many: str
    counted: str
    answered: str
    explanation: str
    most: int
    is_answered: Callable[[Record], bool]
    table: Callable[[Sequence[Record], dict[int, str]], str]


@dataclass
class Collected(Generic[Record]):
    """Records with the sections of the first ones; pixels are forgotten."""

    words: PageWords[Record]
    records: list[Record] = field(default_factory=list)
    sections: dict[int, str] = field(default_factory=dict)

    def add(self, record: Record, draw: Callable[[str], str]) -> None:
        """Keep a record; if there is room for its pictures, draw them under an anchor."""
        number = len(self.records)
        self.records.append(record)
        if len(self.sections) < self.words.most:
            self.sections[number] = draw(f"{self.words.anchor}-{number}")

    def body(self) -> str:
        """The table and the sections."""
        if not self.records:
            return ""
        many, shown = self.words.many, len(self.sections)
        anchors = {number: f"{self.words.anchor}-{number}" for number in self.sections}
        table = f"<h2>All {many}</h2>{self.words.table(self.records, anchors)}"
        left_out = ""
        if shown < len(self.records):
            left_out = (
                f'<p class="quiet">The first {shown} of {len(self.records)} {many} are shown with '
                "pictures.</p>"
            )
        return f"{table}<h2>{many.capitalize()}</h2>{left_out}{''.join(self.sections.values())}"

    def page(
        self, header: ReportHeader, body: str, *, failed: Sequence[tuple[str, str]] = ()
    ) -> str:
        """Write the page around its body; inputs that could not be processed come first."""
        found = sum(self.words.is_answered(record) for record in self.records)
        boxes = [
            (self.words.counted, "", len(self.records)),
            (self.words.answered, "keep", found),
            ("declined", "check", len(self.records) - found),
        ]
        return sheet(
            header, f"{not_processed(failed)}{body}", top=tally(boxes, failed=len(failed)),
            foot=f"{settings_list(header)}<p>{self.words.explanation}</p>",
        )  # fmt: skip
