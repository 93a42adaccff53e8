"""The table of specimens: one readable row each, imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, Literal, cast

import torch

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.specimen import Specimen

Contrast = Literal["fluorescence", "transmission"]


@dataclass(frozen=True, kw_only=True)
class SpecimenRow:
    """One procedural specimen: its name, its family, where it lives and what it is.

    ``thickness_um`` is what such a specimen usually has; ``thick`` says that it is meant to be
    imaged in layers.
    """

    name: str
    family: str
    path: str
    contrasts: tuple[Contrast, ...]
    thickness_um: float
    thick: bool
    what: str

    @property
    def function(self) -> Callable[..., Specimen]:
        """The maker: field, draws, then options by keyword."""
        module, name = self.path.split(":")
        return cast(Callable[..., Specimen], getattr(import_module(module), name))


def _row(
    file: str, name: str, family: str, contrast: Contrast, thickness_um: float, what: str
) -> SpecimenRow:
    return SpecimenRow(
        name=name,
        family=family,
        path=f"parfocal.simulate.samples_{file}:{name}",
        contrasts=(contrast,),
        thickness_um=thickness_um,
        thick=thickness_um > 5.0,
        what=what,
    )


SPECIMENS: tuple[SpecimenRow, ...] = (
    _row("beads", "beads", "beads", "fluorescence", 0.0, "fluorescent beads, 0.2 um"),
    _row("beads", "glass_beads", "beads", "transmission", 5.0, "clear beads, pure phase, 5 um"),
    _row("nuclei", "nuclei", "nuclei", "fluorescence", 7.0, "nuclei of a culture, with mitoses"),
    _row("nuclei", "packed_nuclei", "nuclei", "fluorescence", 40.0, "nuclei packed in depth"),
    _row("filaments", "microtubules", "filaments", "fluorescence", 3.0, "microtubules of cells"),
    _row("filaments", "filaments", "filaments", "fluorescence", 1.0, "single filaments on glass"),
    _row("cells", "epithelium", "epithelium", "fluorescence", 8.0, "membranes of an epithelium"),
    _row("cells", "mitochondria", "cells", "fluorescence", 5.0, "mitochondria of cells"),
    _row("cells", "cells", "cells", "fluorescence", 6.0, "whole cells: nucleus and organelles"),
    _row("cells", "phase_cells", "cells", "transmission", 6.0, "living cells, unstained, as phase"),
    _row("neurites", "neurites", "neurites", "fluorescence", 12.0, "neurons, spines and axons"),
    _row("hair_cells", "hair_cells", "hair_cells", "fluorescence", 20.0, "rows of hair cells"),
    _row("tissue", "dense_tissue", "tissue", "fluorescence", 60.0, "cleared tissue, hazy"),
    _row("tissue", "nematode", "nematode", "fluorescence", 40.0, "a worm with glowing neurons"),
    _row("blood", "blood_smear", "blood", "transmission", 2.0, "blood cells, phase and absorption"),
    _row("histology", "histology", "histology", "transmission", 4.0, "H&E-like section"),
    _row("histology", "tissue_section", "sections", "transmission", 4.0, "unstained section"),
)


def find_specimen(name: str) -> SpecimenRow:
    """The row of a name; an unknown one raises UnknownNameError with the names there are."""
    for row in SPECIMENS:
        if row.name == name:
            return row
    raise UnknownNameError("specimen", name, (row.name for row in SPECIMENS))


def make_specimen(
    name: str,
    size_px: int | tuple[int, int],
    *,
    pixel_um: float,
    generator: torch.Generator,
    thickness_um: float | None = None,
    layer_step_um: float | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Specimen:
    """Make a procedural specimen by its name; the same generator state gives the same one.

    Parameters
    ----------
    name
        A row of ``SPECIMENS``.
    size_px
        One side of a square field, or (y, x). The field wraps around.
    pixel_um
        Distance between pixels, in um; 0.05 to 3 um is sensible.
    generator
        Where the randomness comes from; its device makes the draws.
    thickness_um
        Range of heights over which structure lies, in um; 0 is one layer. Usually the row's own.
    layer_step_um
        Distance between layers, in um; eight layers if not given.
    options
        Options of the row's own maker.

    Raises
    ------
    UnknownNameError
        If there is no such row.
    InputError
        If the field is impossible, or the maker has no such option.

    Examples
    --------
    >>> dice = torch.Generator().manual_seed(1)
    >>> specimen = make_specimen("beads", 64, pixel_um=0.1, thickness_um=2.0, generator=dice)
    >>> specimen.shape, specimen.family
    ((8, 64, 64), 'beads')
    """
    row = find_specimen(name)
    size_y, size_x = (size_px, size_px) if isinstance(size_px, int) else size_px
    field = Field(
        size_y=size_y,
        size_x=size_x,
        pixel_um=pixel_um,
        thickness_um=row.thickness_um if thickness_um is None else thickness_um,
        layer_step_um=layer_step_um,
        device=device,
    )
    allowed = specimen_options(row)
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(
            f"The specimen {name!r} has no option {', '.join(unknown)}. "
            f"It has: {', '.join(allowed)}."
        )
    return row.function(field, Draws(generator, device), **options)


def specimen_options(row: SpecimenRow) -> tuple[str, ...]:
    """Names of the options that a row's maker takes."""
    parameters = signature(row.function).parameters.values()
    return tuple(item.name for item in parameters if item.kind is item.KEYWORD_ONLY)
