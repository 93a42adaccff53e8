"""File names: natural order, which number counts the planes, and which part names the well."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"\d+")
# A number whose tag says that it counts planes: z012, _Z3, slice-4, plane_07.
_Z_TAG = re.compile(
    r"(?:(?<![A-Za-z])|(?<=\d))(?:z|zstep|zslice|zplane|slice|plane|focus)[_\- =]?$", re.IGNORECASE
)
# Tags that never count planes: channel, wavelength, dye, time, field, position.
_OTHER_TAG = re.compile(
    r"(?:(?<![A-Za-z])|(?<=\d))(?:c|ch|channel|w|wv|wavelength|d|t|time|timepoint|frame|tp|fld|field"
    r"|fov|pos|position|site|xy|well|row|col|sk|fk|fl)[_\- =]?$",
    re.IGNORECASE,
)
# Tags that count planes only where nothing else varies: s (site or slice), f (field or frame).
_PLACE_TAG = re.compile(r"(?:(?<![A-Za-z])|(?<=\d))(?:s|f|r)[_\- =]?$", re.IGNORECASE)
_SIGN = re.compile(r"(?:^|[ _(=])[-+]$")  # where a minus is no hyphen
_WELL = re.compile(r"(?<![A-Za-z0-9])([A-P]|A[A-F])[-_]?(\d{1,2})(?=$|[^A-Za-z0-9]|[fsFS]\d)")
_PHENIX = re.compile(r"(?<![A-Za-z0-9])r(\d{2})c(\d{2})f\d+", re.IGNORECASE)
_PHENIX_PLANE = re.compile(r"r\d{2}c\d{2}f\d+p$", re.IGNORECASE)


def natural_key(name: str) -> tuple[tuple[int, str, int], ...]:
    """Sort key in which numbers count as numbers, with a sign where one can stand.

    A minus is a sign at the start of the name and after a blank, underscore or bracket; elsewhere
    it is a hyphen.

    Examples
    --------
    >>> sorted(["10.png", "2.png", "-3.png", "-10.png"], key=natural_key)
    ['-10.png', '-3.png', '2.png', '10.png']
    """
    parts = re.split(r"((?:(?:^|(?<=[ _(=]))[-+])?\d+)", name)
    return tuple(
        (0, "", int(part)) if i % 2 else (1, part.casefold(), 0) for i, part in enumerate(parts)
    )


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Paths in the natural order of their names, sign included, folder by folder.

    Where some of the names carry a minus and others none at the same place, it is a sign there
    too (``z-1``, ``z0``, ``z1``). Numbers with a sign or a z tag may have decimals (``z_-0.5``).
    """
    stems = [path.stem for path in paths]
    groups = {re.sub(r"[-+]?\d+", "#", stem) for stem in stems}
    hyphens = {re.sub(r"\d+", "#", stem) for stem in stems}
    come_and_go = len(hyphens) > 1  # a minus that does is a sign
    if len(groups) == 1 and (come_and_go or _fractions(stems)):
        spans = _spans(stems)

        def signed(path: Path) -> tuple[object, ...]:
            numbers = [_value(path.stem, *span, signs=come_and_go) for span in spans[path.stem]]
            return (str(path.parent), numbers)

        return sorted(paths, key=signed)
    return sorted(paths, key=lambda path: (str(path.parent), natural_key(path.name), path.name))


def _value(stem: str, start: int, end: int, *, signs: bool) -> int | float:
    """A number of a name, negative where a minus before it is a sign."""
    minus = stem[:start].endswith("-") and (signs or bool(_SIGN.search(stem[:start])))
    text = stem[start:end]
    return (float(text) if "." in text else int(text)) * (-1 if minus else 1)


def _spans(stems: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Where the numbers of names that differ in numbers only lie, decimals as one number."""
    decimals = _fractions(stems)
    spans = {}
    for stem in stems:
        found = [match.span() for match in _NUMBER.finditer(stem)]
        spans[stem] = [
            (start, found[i + 1][1] if i in decimals else end)
            for i, (start, end) in enumerate(found)
            if i - 1 not in decimals
        ]
    return spans


def _fractions(stems: Sequence[str]) -> set[int]:
    """Numbers, from 0, that the next one continues after a decimal point.

    Only what has a sign or a z tag is a decimal, with as many digits in every name: elsewhere a
    point parts two numbers (``cell1.10``, ``2024.01.31``, ``v1.2``).
    """
    found = {stem: list(_NUMBER.finditer(stem)) for stem in stems}
    count = min(len(matches) for matches in found.values())
    joined: set[int] = set()
    for i in range(count - 1):
        signed = tagged = False
        digits = set()
        for stem, matches in found.items():
            before, after = stem[: matches[i].start()], stem[matches[i + 1].end() :]
            if stem[matches[i].end() : matches[i + 1].start()] != "." or (
                re.search(r"\d\.$", before) or re.match(r"\.\d", after)
            ):
                break
            signed |= bool(_SIGN.search(before))
            tagged |= bool(_Z_TAG.search(before.rstrip("+-")))
            digits.add(len(matches[i + 1][0]))
        else:
            comes_and_goes = len({s[: m[i].start()].endswith("-") for s, m in found.items()}) > 1
            if len(digits) == 1 and (signed or tagged or comes_and_goes):
                joined.add(i)
    return joined


def well_of(text: str) -> str | None:
    """The well that a name speaks of, as letter and two digits; None where it names none.

    Examples
    --------
    >>> well_of("AS_0912_D03f00d1"), well_of("E7_s1"), well_of("r02c11f03p01"), well_of("img_z01")
    ('D03', 'E07', 'B11', None)
    """
    phenix = _PHENIX.search(text)
    if phenix:
        row, column = int(phenix[1]), int(phenix[2])
        return f"{chr(64 + row)}{column:02d}" if 1 <= row <= 26 else None
    match = _WELL.search(text)
    return f"{match[1]}{int(match[2]):02d}" if match and 1 <= int(match[2]) <= 48 else None


@dataclass(frozen=True)
class Group:
    """Files that may be planes of one stack; ``tagged`` where the name says which number is z."""

    paths: tuple[Path, ...]
    name: str
    tagged: bool = False


def group_planes(paths: Sequence[Path]) -> list[Group]:
    """Sort single-plane files of one folder into stacks, by the number that counts planes.

    The number with a z tag counts planes; else the only number that varies, or the last one that
    varies and is no well, site, channel or time. Every other difference parts two stacks.
    """
    shapes: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in paths:
        shapes[re.sub(r"[-+]?\d+", "#", path.stem), path.suffix.casefold()].append(path)
    groups: list[Group] = []
    for alike in shapes.values():
        spans = _spans([path.stem for path in alike])
        place, tagged = _plane_number(alike, spans)
        by_key: dict[str, list[Path]] = defaultdict(list)
        for path in alike:
            by_key[_without(path.stem, None if place is None else spans[path.stem][place])].append(
                path
            )
        groups += [
            Group(tuple(natural_order(members)), _tidy(key) or group_name(members), tagged)
            for key, members in by_key.items()
        ]
    return sorted(groups, key=lambda group: natural_key(group.paths[0].name))


def group_name(paths: Sequence[Path]) -> str:
    """Name of a stack from its files: the stem of one file, else what the names share.

    Examples
    --------
    >>> group_name([Path("E07/z1.tif"), Path("E07/z2.tif")]), group_name([Path("bead.tif")])
    ('E07', 'bead')
    """
    if len(paths) == 1:
        return paths[0].stem.removesuffix(".ome")
    return paths[0].resolve().parent.name or "stack"


def _plane_number(
    paths: Sequence[Path], spans: Mapping[str, Sequence[tuple[int, int]]]
) -> tuple[int | None, bool]:
    """Which number of these names counts planes, from 0 (None: none), and whether by its tag."""
    stems = [path.stem for path in paths]
    # With its sign: -0.5 and 0.5 differ.
    rows = [[_value(stem, *span, signs=True) for span in spans[stem]] for stem in stems]
    stem = stems[0]
    before = [stem[:start].rstrip("+") for start, _ in spans[stem]]
    before = [
        text[:-1] if text.endswith("-") and _signed(stems, spans, i) else text
        for i, text in enumerate(before)
    ]
    varying = [i for i in range(len(before)) if len({row[i] for row in rows}) > 1]
    tagged = [i for i in varying if _Z_TAG.search(before[i]) or _PHENIX_PLANE.search(before[i])]
    if tagged:
        return tagged[-1], True
    # No channel, time or site has a sign and decimals: such a number is a place on an axis.
    axis = [i for i in varying if "." in stem[slice(*spans[stem][i])]]
    if axis:
        return axis[-1], False
    starts = [start for start, _ in spans[stem]]
    free = [
        i for i in varying if not _OTHER_TAG.search(before[i]) and not _is_well(stem, starts[i])
    ]
    best = [i for i in free if not _PLACE_TAG.search(before[i])]
    if best:
        return best[-1], False
    return (free[0] if len(free) == 1 and len(varying) == 1 else None), False


def _signed(
    stems: Sequence[str], spans: Mapping[str, Sequence[tuple[int, int]]], number: int
) -> bool:
    """Whether a minus before a number comes and goes among the names."""
    return len({stem[: spans[stem][number][0]].endswith("-") for stem in stems}) > 1


def _is_well(stem: str, start: int) -> bool:
    """Whether the number that starts there is the column of a well name."""
    return any(well.start(2) == start for well in _WELL.finditer(stem))


def _without(stem: str, span: tuple[int, int] | None) -> str:
    """The stem with the plane's number (and its sign) blanked, as the key of its group."""
    if span is None:
        return stem
    return f"{stem[: span[0]].rstrip('+-')}\0{stem[span[1] :]}"


def _tidy(key: str) -> str:
    """A group's key as a readable name: the z tag and spare separators go."""
    text = re.sub(r"(?i)(?<![A-Za-z])(?:z|zstep|zslice|zplane|slice|plane)?[_\- =]?\0", "", key)
    text = text.replace("\0", "")
    return re.sub(r"[_\- ]{2,}", "_", text).strip("_- .").removesuffix(".ome")
