"""A model's card as a page that people read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parfocal.models.card import ModelCard


def card_page(card: ModelCard) -> str:
    """Write the card in Markdown: what it is for, how good, where not to use it, how it was made.

    Every field of the card is on the page. Metrics whose names end in a kind of specimen or of
    signal are a table with a row for each kind; the others are a list.
    """
    parts = [
        f"# {_line(card.name)}",
        f"{_sentence(card.task)}",
        "## Limits",
        "".join(f"- {_line(limit)}\n" for limit in card.limits) or "None are stated.",
        "## Validation",
        "Measured on data that training never saw; coverage is the share of truths inside the "
        "90 % interval.",
        _measured(card),
        "## Training data",
        _line(card.data),
        "## Origin",
        _origin(card),
        "## Recipe",
        _settings(card.recipe),
        "## Network",
        _settings({"members": card.members, "class": card.architecture, **card.settings}),
        "## Calibration",
        _settings(card.calibration),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _measured(card: ModelCard) -> str:
    """Metrics and coverage by group, then the metrics of no group."""
    groups = list(card.coverage)
    kinds: dict[str, dict[str, float]] = {}
    alone: dict[str, float] = {}
    for name, value in card.metrics.items():
        # The longest ending counts: "dim_beads" and not "beads".
        ends = [group for group in groups if name.endswith(f"_{group}")]
        group = max(ends, key=len, default=None)
        if group is None:
            alone[name] = value
        else:
            kinds.setdefault(name.removesuffix(f"_{group}"), {})[group] = value
    lines = []
    if groups:
        lines.append(["", *(kind.replace("_", " ") for kind in kinds), "coverage"])
        lines.append(["---", *("---:" for _ in kinds), "---:"])
        for group in groups:
            numbers = [_number(values.get(group)) for values in kinds.values()]
            lines.append([_line(group), *numbers, _number(card.coverage[group])])
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    rest = "".join(
        f"- {_line(name.replace('_', ' '))}: {_number(value)}\n" for name, value in alone.items()
    )
    if not table and not rest:
        return "Nothing was measured."
    return f"{table}\n{rest}".strip("\n")


def _origin(card: ModelCard) -> str:
    rows = {
        "seed": card.seed,
        "revision of parfocal": card.commit,
        "trained for": f"{card.seconds:.0f} s",
        "on": card.machine,
        "SHA-256 of the weights": card.sha256 or "none",
    }
    return "".join(f"- {name}: {_line(str(value))}\n" for name, value in rows.items())


def _settings(values: dict[str, Any]) -> str:
    shown = (f"- {_line(name)}: {_line(_plain(value))}\n" for name, value in values.items())
    return "".join(shown) or "None."


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _sentence(text: str) -> str:
    text = _line(text)
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _line(text: str) -> str:
    """One line, in which no table ends early."""
    return " ".join(text.split()).replace("|", "\\|")
