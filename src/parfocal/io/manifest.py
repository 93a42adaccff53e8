"""Manifests: a TOML file with one table per stack, its planes and what is known of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.core.errors import MetadataError, ParfocalError, ReadError
from parfocal.io.faults import reading
from parfocal.io.naming import natural_order
from parfocal.io.options import OpenOptions

FILE_NAME = "stacks.toml"
# Keys that say how to open a stack, and the option each sets. The step is nominal: exact positions
# in the files win where both agree.
_OPTIONS = {
    "z_step_um": "nominal_z_step_um", "pixel_um": "pixel_um", "na": "na",
    "wavelength_nm": "wavelength_nm", "emission_nm": "wavelength_nm",
    "immersion_index": "immersion_index", "sample_index": "sample_index", "modality": "modality",
    "channel": "channel", "time": "time", "position": "position", "crop_common": "crop_common",
    "z_in_planes": "z_in_planes",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One table: its files, how to open them, and everything else it says."""

    name: str
    paths: tuple[Path, ...] = ()
    options: OpenOptions = field(default_factory=OpenOptions)
    extra: Mapping[str, Any] = field(default_factory=dict)
    fault: ParfocalError | None = None


def read_manifest(path: Path, options: OpenOptions) -> list[Entry]:
    """The stacks of a manifest, in its order; its values win over the given options.

    Raises
    ------
    ReadError
        If the file is no TOML, or holds no table with ``planes``.
    """
    with reading(str(path), advice="correct the file"):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    stacks = {name: table for name, table in tables.items() if isinstance(table, dict)}
    entries = list(_entries(path, stacks, options))
    if not entries:
        raise ReadError(
            f'{path}: describes no stacks; give each a table with planes = "folder/*.tif".'
        )
    return entries


def _entries(
    path: Path, stacks: Mapping[str, dict[str, Any]], options: OpenOptions
) -> Iterator[Entry]:
    for name, table in stacks.items():
        if "planes" not in table and "same_as" not in table:
            continue
        try:
            yield _entry(path, name, _inherit(path, name, stacks), options)
        except ParfocalError as error:
            yield Entry(name=name, fault=error)


def _inherit(path: Path, name: str, stacks: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A table with the keys of those it is ``same_as``; its own win, and planes are its own."""
    chain = [name]
    while (parent := stacks[chain[-1]].get("same_as")) is not None:
        if parent not in stacks or parent in chain:
            raise MetadataError(
                f"{path}: [{name}] is same_as {parent!r}, which is no other table there; "
                f"choose one of: {', '.join(stacks)}."
            )
        chain.append(parent)
    merged: dict[str, Any] = {}
    for link in reversed(chain):
        merged |= stacks[link]
    return merged | {"planes": stacks[name].get("planes")}


def _entry(path: Path, name: str, table: Mapping[str, Any], options: OpenOptions) -> Entry:
    pattern = table["planes"]
    with reading(str(path), part=f"planes of [{name}]", advice="correct the pattern"):
        found = [match for match in path.parent.glob(str(pattern)) if pattern]
    if not found:
        raise ReadError(
            f"{path}: [{name}] planes = {pattern!r} matches no file; correct the pattern, which is "
            "relative to the manifest."
        )
    said = {_OPTIONS[key]: value for key, value in table.items() if key in _OPTIONS}
    if "nominal_z_step_um" in said:
        said["z_step_um"] = None
    extra = {k: v for k, v in table.items() if k not in _OPTIONS and k not in ("planes", "same_as")}
    return Entry(
        name=name,
        paths=tuple(natural_order(found)),
        options=options.but(**said),
        extra=extra,
    )
