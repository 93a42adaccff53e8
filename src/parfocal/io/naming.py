"""File names: natural order, which number counts the planes, and which part names the well."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
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
    too (``z-1``, ``z0``, ``z1``).
    """
    stems = [path.stem for path in paths]
    groups = {re.sub(r"[-+]?\d+", "#", stem) for stem in stems}
    hyphens = {re.sub(r"\d+", "#", stem) for stem in stems}
    if len(groups) == 1 and len(hyphens) > 1:  # a minus comes and goes: it is a sign

        def signed(path: Path) -> tuple[object, ...]:
            return (str(path.parent), [int(n) for n in re.findall(r"[-+]?\d+", path.stem)])

        return sorted(paths, key=signed)
    return sorted(paths, key=lambda path: (str(path.parent), natural_key(path.name), path.name))


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
        place, tagged = _plane_number(alike)
        by_key: dict[str, list[Path]] = defaultdict(list)
        for path in alike:
            by_key[_without(path.stem, place)].append(path)
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


def _plane_number(paths: Sequence[Path]) -> tuple[int | None, bool]:
    """Which number of these names counts planes, from 0 (None: none), and whether by its tag."""
    rows = [[int(n) for n in _NUMBER.findall(path.stem)] for path in paths]
    stem = paths[0].stem
    before = [stem[: match.start()].rstrip("+") for match in _NUMBER.finditer(stem)]
    before = [
        text[:-1] if text.endswith("-") and _signed(paths, i) else text
        for i, text in enumerate(before)
    ]
    varying = [i for i in range(len(before)) if len({row[i] for row in rows}) > 1]
    tagged = [i for i in varying if _Z_TAG.search(before[i]) or _PHENIX_PLANE.search(before[i])]
    if tagged:
        return tagged[-1], True
    free = [i for i in varying if not _OTHER_TAG.search(before[i]) and not _is_well(stem, i)]
    best = [i for i in free if not _PLACE_TAG.search(before[i])]
    if best:
        return best[-1], False
    return (free[0] if len(free) == 1 and len(varying) == 1 else None), False


def _signed(paths: Sequence[Path], number: int) -> bool:
    """Whether a minus before a number comes and goes among the names."""
    signs = set()
    for path in paths:
        match = list(_NUMBER.finditer(path.stem))[number]
        signs.add(path.stem[: match.start()].endswith("-"))
    return len(signs) > 1


def _is_well(stem: str, number: int) -> bool:
    """Whether a number is the column of a well name."""
    match = list(_NUMBER.finditer(stem))[number]
    return any(well.start(2) == match.start() for well in _WELL.finditer(stem))


def _without(stem: str, number: int | None) -> str:
    """The stem with the plane's number (and its sign) blanked, as the key of its group."""
    if number is None:
        return stem
    match = list(_NUMBER.finditer(stem))[number]
    return f"{stem[: match.start()].rstrip('+-')}\0{stem[match.end() :]}"


def _tidy(key: str) -> str:
    """A group's key as a readable name: the z tag and spare separators go."""
    text = re.sub(r"(?i)(?<![A-Za-z])(?:z|zstep|zslice|zplane|slice|plane)?[_\- =]?\0", "", key)
    text = text.replace("\0", "")
    return re.sub(r"[_\- ]{2,}", "_", text).strip("_- .").removesuffix(".ome")
