"""Images that grow block by block on disk, and are gone on with after an interruption."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.errors import InputError
from parfocal.core.stack import FocalStack
from parfocal.io.writing import Content, new_zarr, own_attributes, write_stack

PLAN, PROGRESS, STRIPS = "plan.json", "progress.json", "strips"
TIFF, ZARR = (".ome.tif", ".ome.tiff", ".tif", ".tiff"), (".ome.zarr", ".zarr")


def beside(path: Path, what: str) -> Path:
    """A second file of an image: its name with a word before the ending.

    Examples
    --------
    >>> beside(Path("sharp.ome.tif"), "trust").name, beside(Path("a.zarr"), "trust").name
    ('sharp.trust.ome.tif', 'a.trust.zarr')
    """
    for ending in (*TIFF, *ZARR):
        if path.name.casefold().endswith(ending):
            cut = len(path.name) - len(ending)
            return path.with_name(f"{path.name[:cut]}.{what}{path.name[cut:]}")
    raise InputError(f"{path}: give a name that ends in .ome.tif or .ome.zarr.")


def unfinished_folder(target: Path) -> Path:
    """Where the parts of an image are kept until it is whole."""
    return target.with_name(f".unfinished.{target.name}")


class UnfinishedImages:
    """An image and what belongs to it, growing in a folder beside the target.

    Parameters
    ----------
    target
        Where the first image goes in the end; the others go beside it.
    names
        What the images are, the first one's name being that of the target.
    source
        One plane with the size, pixel, optics and names that the images take over.
    plan
        All that decides what the images will be, as JSON holds it. Where a folder of the same plan
        is found, its finished blocks are kept; one of another plan is removed.

    Examples
    --------
    >>> import tempfile
    >>> source = FocalStack.of(np.zeros((1, 4, 4)), pixel_um=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "a.ome.zarr"
    ...     images = UnfinishedImages(target, ("image", "trust"), source, plan={"method": "none"})
    ...     images.write(slice(0, 4), slice(0, 4), np.ones((2, 4, 4), np.float32))
    ...     images.advance(1)
    ...     again = UnfinishedImages(target, ("image", "trust"), source, plan={"method": "none"})
    ...     again.done, [path.name for path in again.finish({})]
    (1, ['a.ome.zarr', 'a.trust.ome.zarr'])
    """

    def __init__(
        self,
        target: Path,
        names: tuple[str, ...],
        source: FocalStack,
        *,
        plan: Mapping[str, Any],
        block_px: int = 1024,
    ) -> None:
        self.target, self.names = target, names
        self.folder = unfinished_folder(target)
        shape = (1, *source.shape[1:])
        self._content = Content(
            images=np.broadcast_to(np.float32(0), shape),
            z_um=source.z_um if source.z_known else None,
            pixel_um=source.pixel_um,
            setup=source.setup,
            channel=source.channel,
            saturation_counts=None,
            modality=source.modality,
        )
        said = json.loads(json.dumps(plan))
        if _read(self.folder / PLAN) != said:
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.folder / STRIPS).mkdir(parents=True)
            for name in names:
                new_zarr(self._content, self.folder / name, chunk_px=block_px)
            _replace(self.folder / PLAN, said)
        self._arrays = [self._open(name) for name in names]
        progress = _read(self.folder / PROGRESS) or {}
        self._done, self._sums = int(progress.get("done", 0)), dict(progress.get("sums", {}))

    @property
    def done(self) -> int:
        """How many blocks are finished."""
        return self._done

    @property
    def sums(self) -> dict[str, float]:
        """What was added up over the finished blocks."""
        return dict(self._sums)

    def write(self, rows: slice, columns: slice, maps: Float[np.ndarray, "maps y x"]) -> None:
        """Write one block of each image."""
        for array, own in zip(self._arrays, maps, strict=True):
            array[0, rows, columns] = own

    def keep(self, name: str, strip: Float[np.ndarray, "maps y x"]) -> None:
        """Keep what a later block needs."""
        place = self.folder / STRIPS / f"{name}.npy"
        partial = place.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, strip)
        partial.replace(place)

    def kept(self, pattern: str) -> list[NDArray[np.float32]]:
        """What was kept under names that match."""
        found = sorted((self.folder / STRIPS).glob(f"{pattern}.npy"))
        return [np.load(place) for place in found]

    def forget(self, pattern: str) -> None:
        """Remove what was kept under names that match."""
        for place in (self.folder / STRIPS).glob(f"{pattern}.npy"):
            place.unlink()

    def advance(self, done: int, **sums: float) -> None:
        """Note that so many blocks are finished, and what their sums are."""
        self._done, self._sums = done, dict(sums)
        _replace(self.folder / PROGRESS, {"done": done, "sums": self._sums})

    def planes(self) -> list[Any]:
        """The images so far, as lazy arrays (1, y, x)."""
        return list(self._arrays)

    def finish(
        self, records: Mapping[str, Mapping[str, Any]], *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Give the images their names, with a record of each in its metadata.

        The folder is gone then.

        Raises
        ------
        InputError
            If a target exists and may not be replaced.
        """
        places = [self.target, *(beside(self.target, name) for name in self.names[1:])]
        for place in places:
            if place.exists() and not overwrite:
                raise InputError(f"{place}: exists; allow it to be replaced with --overwrite.")
        for name, place, array in zip(self.names, places, self._arrays, strict=True):
            own = dict(records.get(name, {}))
            if place.name.casefold().endswith(TIFF):
                self._write_tiff(place, array, own)
                continue
            group = zarr.open_group(str(self.folder / name), mode="r+")
            attributes = own_attributes(self._content) | {"record": own}
            group.attrs["parfocal"] = attributes
            if place.exists():
                shutil.rmtree(place) if place.is_dir() else place.unlink()
            (self.folder / name).rename(place)
        shutil.rmtree(self.folder)
        return tuple(places)

    def drop(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_tiff(self, place: Path, array: Any, record: Mapping[str, Any]) -> None:
        content = self._content
        write_stack(
            array, place, z_um=content.z_um, pixel_um=content.pixel_um, setup=content.setup,
            channel=content.channel, record=record, overwrite=True,
        )  # fmt: skip

    def _open(self, name: str) -> Any:
        group = zarr.open_group(str(self.folder / name), mode="r+")
        return next(iter(dict(group.arrays()).values()))


def _read(place: Path) -> Any:
    """What JSON a file holds; None where there is none, or half of one."""
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _replace(place: Path, values: Any) -> None:
    partial = place.with_suffix(".partial")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(place)
