"""The catalogue of focus measures: one readable row each, imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, cast

from torch import Tensor

from parfocal.core.errors import MetadataError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.measures.local import LocalMeasure


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One focus measure: where it lives, the laws it keeps, and where it comes from.

    ``gain`` is the power g in score(a * image) = a^g * score(image), or None where no power law
    holds. ``local`` addresses the measure's LocalMeasure where it is a function of window means.
    ``blur_monotonic`` states that more Gaussian blur never scores sharper.
    """

    name: str
    path: str
    kind: Literal["gradient", "statistical", "wavelet", "spectral"]
    gain: float | None
    offset_free: bool
    mirror_free: bool = True
    blur_monotonic: bool = True
    local: str | None = None
    needs_setup: bool = False
    least_px: int = 1
    formula: str
    sources: tuple[str, ...]
    parity: str

    @property
    def function(self) -> Callable[..., Tensor]:
        """The kernel itself."""
        return cast(Callable[..., Tensor], _load(self.path))

    @property
    def local_measure(self) -> LocalMeasure | None:
        """Features and finish, where window means are all that the measure needs."""
        return None if self.local is None else cast(LocalMeasure, _load(self.local))


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)


_ROWS = (
    Measure(
        name="brenner",
        path="parfocal.measures.gradient:brenner",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.gradient:BRENNER",
        least_px=3,
        formula="mean((I(x+2) - I(x))^2)",
        sources=("Brenner1976", "Firestone1991"),
        parity="NumPy loop",
    ),
    Measure(
        name="variance",
        path="parfocal.measures.statistical:variance",
        kind="statistical",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.statistical:VARIANCE",
        formula="mean((I - mean(I))^2)",
        sources=("Groen1985", "Firestone1991"),
        parity="numpy.var",
    ),
)

CATALOG = MappingProxyType({row.name: row for row in _ROWS})


def find_measure(name: str) -> Measure:
    """Look a measure up by name; UnknownNameError lists the ones that exist."""
    if name not in CATALOG:
        raise UnknownNameError("measure", name, CATALOG)
    return CATALOG[name]


def score(
    images: Any,
    measure: str = "brenner",
    *,
    setup: OpticalSetup | None = None,
    device: str = "cpu",
) -> Any:
    """Score the focus of images by the measure of that name; larger is sharper.

    Parameters
    ----------
    images
        (*batch, y, x), in counts: NumPy, torch, dask or xarray.
    measure
        A name in ``CATALOG``.
    setup
        The optics, for the measures that need them.
    device
        Where to compute images that do not come as a tensor.

    Returns
    -------
    One score per image: a tensor for a tensor, else a NumPy array.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    MetadataError
        If the measure needs the optics and ``setup`` is missing.

    Examples
    --------
    >>> import numpy as np
    >>> float(score(np.arange(64.0).reshape(8, 8), "brenner"))
    4.0
    """
    row = find_measure(measure)
    options: dict[str, Any] = {}
    if row.needs_setup:
        if setup is None:
            raise MetadataError(
                f"Measure {measure!r} needs the optics: give setup=OpticalSetup(...) "
                "(--na, --wavelength-nm, --pixel-um)."
            )
        options["setup"] = setup
    if isinstance(images, Tensor):
        return row.function(images, **options)
    tensor = as_float_tensor(images, device=device)
    return row.function(tensor, **options).cpu().numpy()
