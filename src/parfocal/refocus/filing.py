"""Refocused images as files: the image, its trust beside it, and in both how they came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parfocal import __version__
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status, plain
from parfocal.io.unfinished import UnfinishedImages, beside
from parfocal.io.writing import write_stack
from parfocal.refocus.asking import Asked
from parfocal.refocus.blocks import Block, Strips

IMAGE, TRUST = "image", "trust"


@dataclass(frozen=True, eq=False, kw_only=True)
class RefocusedFile:
    """What came of one image, and where it was written.

    Parameters
    ----------
    status, reason, method, verdict, flux, defocus_um, interval_um, card, provenance, warnings
        As of ``Refocused``.
    trust
        Mean of the map of trust; None without an answer.
    paths
        The image and its trust; none without an answer.
    blocks, kept
        Blocks that it was made in, 1 for an image in memory; and how many of them an earlier,
        interrupted run had finished.
    """

    status: Status
    reason: str
    method: str
    verdict: float | None = None
    flux: float | None = None
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None
    trust: float | None = None
    card: dict[str, Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    blocks: int = 1
    kept: int = 0

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status == Status.FOUND

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (
            "status", "reason", "method", "verdict", "flux", "defocus_um", "interval_um", "trust",
            "warnings",
        )  # fmt: skip
        values = {name: plain(getattr(self, name)) for name in names}
        files = [str(path) for path in self.paths]
        more = {"provenance": self.provenance, "blocks": self.blocks, "files": files}
        return {**values, "card": self.card, **more}


def file_of(result: Refocused, asked: Asked, **more: Any) -> RefocusedFile:
    """The facts of a result, without its pixels."""
    return RefocusedFile(
        status=result.status, reason=result.reason, method=result.method,
        verdict=result.verdict, flux=result.flux, defocus_um=result.defocus_um,
        interval_um=result.interval_um, card=result.card, warnings=result.warnings,
        provenance={**result.provenance, "untrusted": asked.settings.untrusted}, **more,
    )  # fmt: skip


def write_refocused(
    result: Refocused, asked: Asked, place: Path, *, overwrite: bool
) -> RefocusedFile:
    """Write an image and its trust; nothing without an answer."""
    if result.image is None:
        return file_of(result, asked)
    paths = (place, beside(place, TRUST))
    made = file_of(result, asked, trust=float(result.trust.mean()), paths=paths)
    for content, path, plane in (
        (IMAGE, paths[0], result.image),
        (TRUST, paths[1], result.trust),
    ):
        stack = like_source(asked.source, plane.astype(np.float32), asked.setup)
        write_stack(stack, path, record=record_of(made, asked, content), overwrite=overwrite)
    return made


def like_source(source: FocalStack, plane: NDArray[Any], setup: OpticalSetup) -> FocalStack:
    """A plane with the names and lengths of the image that it was made from."""
    return FocalStack(
        images=plane[None], z_um=source.z_um, z_known=source.z_known, pixel_um=setup.pixel_um,
        setup=setup, channel=source.channel, modality=source.modality,
    )  # fmt: skip


def record_of(made: RefocusedFile, asked: Asked, content: str) -> dict[str, Any]:
    """What stands in the metadata of a file: how it came about."""
    values = {name: value for name, value in made.to_dict().items() if name != "files"}
    source = asked.source.source
    return {"content": content, "parfocal": __version__, "source": source, **values}


class DiskSink:
    """Blocks on disk, with sums over the finished ones.

    Parameters
    ----------
    images
        The image and its trust, growing.
    """

    def __init__(self, images: UnfinishedImages) -> None:
        self.images = images

    @property
    def done(self) -> int:
        """How many blocks are finished."""
        return self.images.done

    def strips(self, number: int) -> list[NDArray[np.float32]]:
        """What earlier blocks left for this one."""
        return self.images.kept(f"{number}-*")

    def finish(self, block: Block, maps: NDArray[np.float32], strips: Strips) -> None:
        """Write a block; killed before the end, it is made again and nothing is lost."""
        self.images.write(block.rows, block.columns, maps)
        for (number, what), strip in strips.items():
            self.images.keep(f"{number}-{what}", strip)
        sums, own = self.images.sums, maps.sum((1, 2), dtype=np.float64).tolist()
        added = {
            name: sums.get(name, 0.0) + value
            for name, value in zip(("light", "trust"), own, strict=True)
        }
        self.images.advance(block.number + 1, **added)
        self.images.forget(f"{block.number}-*")
