"""Rows of a long benchmark on disk, so that a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

Row = TypeVar("Row")


class KeptRows:
    """Groups of rows in a folder, each good for one way to make it.

    Parameters
    ----------
    folder
        Where; made when the first group is kept.
    key
        Plain values that decide what the rows are; a group with others is made anew.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder, self.key = folder, key

    def rows(self, name: str, kind: type[Row], make: Callable[[], Sequence[Row]]) -> list[Row]:
        """The rows of one group, as they were kept or made now.

        Parameters
        ----------
        name
            Of its file.
        kind
            A dataclass of plain values, as JSON holds them; not-a-number comes back as such.
        make
            Makes them.
        """
        path = self.folder / f"{name}.json"
        if path.is_file():
            held = json.loads(path.read_text(encoding="utf-8"))
            if held.get("key") == self.key:
                return [kind(**row) for row in held["rows"]]
        made = list(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        rows: list[Any] = [asdict(row) for row in made]  # type: ignore[call-overload]
        text = json.dumps({"key": self.key, "rows": rows})
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
        return made
