"""Text that a terminal shows and never obeys."""

from __future__ import annotations

# Control characters (C0, DEL, C1), marks that turn the direction of writing, and halves of
# surrogate pairs, which stand for bytes of a file name that are no text.
_UNSAFE = (
    *range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)  # fmt: skip
_SHOWN = dict.fromkeys(_UNSAFE, "\N{REPLACEMENT CHARACTER}")


def printable(text: str) -> str:
    """Names and messages with every control character replaced; each stays one line.

    Examples
    --------
    >>> print(printable("a\\x1b[31mb\\n.tif"))
    a�[31mb�.tif
    """
    return text.translate(_SHOWN)
