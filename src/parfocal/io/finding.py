"""Find every stack in files, folders, globs and manifests; nothing fails as a whole."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from parfocal.core.errors import InputError, ParfocalError, ReadError
from parfocal.core.stack import FocalStack
from parfocal.io import ndtiff, ome_zarr
from parfocal.io.faults import why
from parfocal.io.manifest import FILE_NAME, read_manifest
from parfocal.io.naming import Group, group_planes, natural_key, well_of
from parfocal.io.options import OpenOptions
from parfocal.io.reading import is_store, open_one
from parfocal.io.sniffing import Content, sniff
from parfocal.io.tiff import stem

LEAST_UNTAGGED = 3  # two images whose names differ by some number need not be a stack


@dataclass(frozen=True, kw_only=True, eq=False)
class StackSource:
    """A stack that was found, to be opened later.

    Parameters
    ----------
    name
        Name for tables, different for every source of one call.
    paths
        One file or store, or one file per plane.
    options
        How to open it: the caller's options and those of a manifest.
    well
        The well its name or plate speaks of ("B03"), or None.
    extra
        What a manifest says beyond the options (``focus_index``, ``caution``, ...).
    fault
        Why it cannot be opened, where that is known already.
    beside
        Single images in the same folder that belong to no stack and are left out; the first
        source of a folder lists them.
    """

    name: str
    paths: tuple[Path, ...] = ()
    options: OpenOptions = field(default_factory=OpenOptions)
    well: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    fault: ParfocalError | None = None
    beside: tuple[Path, ...] = ()

    def open(self) -> FocalStack:
        """Open the stack; only metadata is read.

        Raises
        ------
        ParfocalError
            If it cannot be opened; the text is one line that names it.
        """
        if self.fault is not None:
            raise self.fault
        return replace(open_one(self.paths, self.options), name=self.name)


def find_stacks(inputs: str | Path | Iterable[str | Path], **options: Any) -> list[StackSource]:
    """Find the stacks in files, folders (with all below them), globs and manifests.

    A multi-page TIFF, an OME-Zarr and an NDTiff folder are one stack each, or one per position;
    every well and field of a plate is one. Images with one plane in one folder are sorted into
    stacks by the number in their names that counts planes. A folder with ``stacks.toml`` holds the
    stacks that it describes. What is named twice, also through a link, is found once.

    Parameters
    ----------
    inputs
        Paths and patterns, or one of them.
    **options
        As in ``open_stack``; values in a manifest win over them.

    Returns
    -------
    Sources in the order of the inputs; what cannot be read is a source that says so when opened.

    Raises
    ------
    InputError
        If an option is impossible.
    """
    chosen = OpenOptions.of(**{key: value for key, value in options.items() if value is not None})
    given = [inputs] if isinstance(inputs, (str, Path)) else inputs
    return _distinct(_once(_find(given, chosen)))


def _find(inputs: Iterable[str | Path], options: OpenOptions) -> Iterator[StackSource]:
    files: dict[Path, list[Path]] = {}  # planes that a shell's glob named one by one, by folder
    found: list[StackSource | Path] = []
    for path in _expanded(inputs):
        if isinstance(path, StackSource):
            found.append(path)
            continue
        try:
            if path.is_file() and path.suffix != ".toml":
                if path.parent not in files:
                    files[path.parent] = []
                    found.append(path.parent)
                files[path.parent].append(path)
            elif path.is_file():
                found += _manifest(path, options)
            else:
                found += _folder(path, options, set())
        except OSError as error:
            found.append(_barred(path, error))
    for one in found:
        if isinstance(one, StackSource):
            yield one
        else:
            yield from _files(list(dict.fromkeys(files[one])), options, asked=True)


def _expanded(inputs: Iterable[str | Path]) -> Iterator[Path | StackSource]:
    """The paths that the inputs name; a source with a fault for each that names none."""
    for item in inputs:
        try:
            paths = _expand(item)
        except OSError as error:
            yield _barred(Path(item), error)
        else:
            yield from paths
            if not paths:
                yield _absent(item)


def _expand(item: str | Path) -> list[Path]:
    """The paths an input names, in natural order."""
    path = Path(item).expanduser()
    if path.exists():
        return [path]
    if not glob.has_magic(str(item)):
        return []
    return sorted(matching(path), key=lambda match: natural_key(str(match)))


def matching(pattern: Path) -> list[Path]:
    """The paths that a pattern matches; ``**`` goes through folders."""
    found = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - patterns may be absolute
    return [Path(match) for match in found]


def _absent(item: str | Path) -> StackSource:
    what = "matches no file" if glob.has_magic(str(item)) else "there is no such file or folder"
    return StackSource(name=str(item), fault=ReadError(f"{item}: {what}; check the path."))


def _barred(path: Path, error: OSError) -> StackSource:
    """A file or folder that the system does not let us look at."""
    fault = ReadError(f"{path}: cannot be looked at: {why(error)}; check its permissions.")
    return StackSource(name=path.name or str(path), paths=(path,), fault=fault)


def _manifest(path: Path, options: OpenOptions) -> list[StackSource]:
    try:
        entries = read_manifest(path, options)
    except ParfocalError as error:
        return [StackSource(name=str(path), fault=error)]
    return [
        StackSource(
            name=entry.name,
            paths=entry.paths,
            options=entry.options,
            well=well_of(entry.name),
            extra=entry.extra,
            fault=entry.fault,
        )
        for entry in entries
    ]


def _folder(path: Path, options: OpenOptions, seen: set[Path]) -> list[StackSource]:
    """Stacks in a folder and below it."""
    if is_store(path):
        return _store(path, options)
    if (path / FILE_NAME).is_file():
        return _manifest(path / FILE_NAME, options)
    found = _below(path, options, seen)
    if found:
        return found
    fault = ReadError(f"{path}: holds no images; name a folder with TIFF, PNG, BMP or Zarr images.")
    return [StackSource(name=path.name or str(path), paths=(path,), fault=fault)]


def _below(path: Path, options: OpenOptions, seen: set[Path]) -> list[StackSource]:
    if path.resolve() in seen:  # a link that leads back up
        return []
    seen.add(path.resolve())
    try:
        entries = sorted(path.iterdir(), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        fault = ReadError(f"{path}: cannot be listed: {error.strerror}; check its permissions.")
        return [StackSource(name=path.name, paths=(path,), fault=fault)]
    found: list[StackSource] = []
    files: list[Path] = []
    folders: list[Path] = []
    for entry in (entry for entry in entries if not entry.name.startswith(".")):
        try:
            if entry.is_dir():
                folders.append(entry)
            elif entry.is_file():
                files.append(entry)
        except OSError as error:
            found.append(_barred(entry, error))
    found = [*_files(files, options, asked=False), *found]
    for folder in folders:
        try:
            found += _inner(folder, options, seen)
        except OSError as error:
            found.append(_barred(folder, error))
    return found


def _inner(folder: Path, options: OpenOptions, seen: set[Path]) -> list[StackSource]:
    """Stacks in a folder within another one, where an empty one is no fault."""
    if is_store(folder):
        return _store(folder, options)
    if (folder / FILE_NAME).is_file():
        return _manifest(folder / FILE_NAME, options)
    return _below(folder, options, seen)


def _store(path: Path, options: OpenOptions) -> list[StackSource]:
    """One source per position of a store, or per well and field of a plate."""
    name = stem(path)
    try:
        if ndtiff.is_ndtiff(path):
            places: list[tuple[str, str | None]] = [(p, None) for p in ndtiff.positions(path)]
        else:
            places = [(field.name, field.well) for field in ome_zarr.fields(path)]
    except ParfocalError as error:
        return [StackSource(name=name, paths=(path,), fault=error)]
    if len(places) == 1 or options.position is not None:
        well = places[0][1] if len(places) == 1 else None
        return [StackSource(name=name, paths=(path,), options=options, well=well or well_of(name))]
    return [
        StackSource(
            name=f"{name} {place}",
            paths=(path,),
            options=options.but(position=place),
            well=well or well_of(place),
        )
        for place, well in places
    ]


def _files(files: Sequence[Path], options: OpenOptions, *, asked: bool) -> list[StackSource]:
    """Stacks among the files of one folder; ``asked`` where the user named each of them."""
    contents = [content for content in map(sniff, files) if asked or content.is_image]
    found: list[StackSource] = []
    claimed: set[str] = set()
    single: list[Content] = []
    for content in contents:
        if content.path.name in claimed:
            continue
        claimed |= content.members
        if content.many:
            found += _many(content, options)
        else:
            single.append(content)
    if options.singly:
        return [*found, *(_one(content, options) for content in single)]
    groups = group_planes([content.path for content in single])
    stacks = [g for g in groups if len(g.paths) >= (2 if g.tagged else LEAST_UNTAGGED)]
    taken = {path for group in stacks for path in group.paths}
    rest = [content for content in single if content.path not in taken]
    alone = len(stacks) == 1 and not found
    found += [_planes(group, options, alone=alone) for group in stacks]
    found += [_one(content, options) for content in rest if asked or content.fault is not None]
    left = () if asked else tuple(c.path for c in rest if c.fault is None)
    if left and found:
        found[0] = replace(found[0], beside=left)
    elif left:
        found.append(_unrelated(rest))
    return found


def _planes(group: Group, options: OpenOptions, *, alone: bool) -> StackSource:
    folder = group.paths[0].resolve().parent.name
    return StackSource(
        name=folder if alone and folder else group.name,
        paths=group.paths,
        options=options,
        well=well_of(group.paths[0].stem) or well_of(folder),
    )


def _many(content: Content, options: OpenOptions) -> list[StackSource]:
    """A file with several planes; one source for each of its positions."""
    name, path = stem(content.path), content.path
    if len(content.positions) < 2 or options.position is not None:
        return [StackSource(name=name, paths=(path,), options=options, well=well_of(name))]
    return [
        StackSource(
            name=f"{name} {place}",
            paths=(path,),
            options=options.but(position=number),
            well=well_of(place) or well_of(name),
        )
        for number, place in enumerate(content.positions)
    ]


def _one(content: Content, options: OpenOptions) -> StackSource:
    """One file by itself: a single plane, or one that cannot be read."""
    return StackSource(
        name=stem(content.path),
        paths=(content.path,),
        options=options,
        well=well_of(content.path.stem),
        fault=content.fault,
    )


def _unrelated(rest: Sequence[Content]) -> StackSource:
    folder = rest[0].path.parent
    sizes = {content.shape for content in rest if content.shape is not None}
    fault = InputError(
        f"{folder}: no focal stack: {len(rest)} single images of {len(sizes)} sizes whose names "
        "count no planes; number the planes of a stack (z01, z02, ...) or name one image."
    )
    return StackSource(name=folder.resolve().name, paths=(folder,), fault=fault)


def _once(sources: Iterable[StackSource]) -> list[StackSource]:
    """Each stack once, though several inputs lead to it; what was asked for is not beside it."""
    kept: dict[tuple[object, ...], StackSource] = {}
    for source in sources:
        paths = tuple(path.resolve() for path in source.paths)
        known = repr(sorted(source.extra.items()))  # entries of a manifest may share their planes
        kept.setdefault((paths or source.name, source.options, known), source)
    taken = {path.resolve() for source in kept.values() for path in source.paths}
    return [
        replace(source, beside=tuple(p for p in source.beside if p.resolve() not in taken))
        for source in kept.values()
    ]


def _distinct(sources: Sequence[StackSource]) -> list[StackSource]:
    """Sources with different names: folders are put before names that occur twice."""
    named = list(sources)
    for depth in (1, 2, 3):
        often = Counter(source.name for source in named)
        named = [
            replace(source, name="/".join([*_folders(source, depth), source.name.split("/")[-1]]))
            if often[source.name] > 1
            else source
            for source in named
        ]
    seen: Counter[str] = Counter()
    for i, source in enumerate(named):
        seen[source.name] += 1
        if seen[source.name] > 1:
            named[i] = replace(source, name=f"{source.name} ({seen[source.name]})")
    return named


def _folders(source: StackSource, depth: int) -> list[str]:
    if not source.paths:
        return []
    above = source.paths[0].resolve().parent
    return list(above.parts[1:])[-depth:]
