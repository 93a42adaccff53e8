"""One image and what is to be done to it, checked before the work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.core.status import Status
from parfocal.optics import Aberrations
from parfocal.refocus.deconvolution import ITERATIONS
from parfocal.refocus.regions import farthest_um, on_grid

NETWORK = "network"
METHODS = (NETWORK, *ITERATIONS)
UNTRUSTED = ("answer", "input")
SPHERICAL = 12
"""Zernike term of primary spherical aberration, by its OSA index."""
COHERENT = ("phase", "dic", "brightfield", "darkfield", "hoffman", "transmitted")
"""Words of light whose blur is not that of fluorescence."""
STAIN, STAINED = "brightfield", ("brightfield", "transmitted")
"""Word in the names of networks for stains, and words of the light that they know."""


class RefocusSettings(BaseModel):
    """How images are refocused.

    Parameters
    ----------
    method
        "network" (distance unknown), or "richardson-lucy", "landweber", "wiener" (known).
    model
        Of the network: a name in the catalogue, such as deep-r-brightfield for stains by
        transmitted light, or a folder; by default deep-r-fluorescence, and
        deep-z-fluorescence for surfaces.
    interval_um, iterations, background
        Of deconvolution, see ``deconvolve``.
    spherical_waves
        Primary spherical aberration in waves RMS: that of a sample index or a coverslip unlike
        what the objective is made for. Deconvolution undoes it too, and the network of surfaces
        tells above from below by it.
    saturation_counts
        Counts at which the camera clips.
    untrusted
        What stands where trust is below a half: the "answer" or the "input".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = NETWORK
    model: str | Path | None = None
    interval_um: tuple[float, float] | None = None
    iterations: Annotated[int, Field(ge=1)] | None = None
    background: float | None = None
    spherical_waves: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    saturation_counts: float | None = None
    untrusted: str = "answer"

    @property
    def aberrations(self) -> Aberrations | None:
        """Those that are known, or None."""
        if not self.spherical_waves:
            return None
        return Aberrations(zernike_waves={SPHERICAL: self.spherical_waves})


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """One image of one plane, and what is to be done to it; see ``to_file``."""

    source: FocalStack
    setup: OpticalSetup
    settings: RefocusSettings
    defocus_um: Any = None
    surface_um: Any = None
    device: str = "cpu"

    @property
    def method(self) -> str:
        """Of the settings."""
        return self.settings.method

    @property
    def shape(self) -> tuple[int, int]:
        """Sizes (y, x)."""
        return self.source.shape[1], self.source.shape[2]

    @property
    def image(self) -> Any:
        """Counts (y, x), lazy if they came so."""
        return self.source.images[0, :, :]

    @property
    def distances_um(self) -> Any:
        """Distance from focus, for deconvolution: the plane is beneath what lies above it."""
        surface_um = self.surface_um
        if surface_um is None:
            return self.defocus_um
        if callable(surface_um):
            return lambda y, x: -np.asarray(surface_um(y, x))
        return -surface_um

    def check(self) -> None:
        """Refuse unknown names, surfaces that do not fit, and a distance that is missing.

        Raises
        ------
        UnknownNameError, MetadataError, ShapeError, InputError
            In that order.
        """
        if self.method not in METHODS:
            raise UnknownNameError("method", self.method, METHODS)
        if self.settings.untrusted not in UNTRUSTED:
            raise UnknownNameError(
                "choice for untrusted pixels", self.settings.untrusted, UNTRUSTED
            )
        distances_um = self.distances_um
        if distances_um is None:
            if self.method != NETWORK:
                raise MetadataError(
                    f"{self.method} needs the distance from focus: give defocus_um (--defocus-um)."
                )
            return
        farthest_um(distances_um, self.shape)

    def refusal(self) -> tuple[Status, str] | None:
        """Why an image taken by this light is not refocused, as far as the file tells."""
        light = (self.source.modality or "").casefold()
        word = next((word for word in COHERENT if word in light), None)
        if word is None:
            return None
        is_stain, name = word in STAINED, str(self.settings.model)
        if self.method == NETWORK and (word in name or (is_stain and STAIN in name)):
            return None
        hint = "; for stains that absorb give --model deep-r-brightfield" if is_stain else ""
        return Status.UNCERTAIN, (
            f"{self.source.modality}: the blur of fluorescence is known, that of this light is not"
            + hint
        )

    def plan(self) -> dict[str, Any]:
        """All that decides what comes out, as plain values."""
        distances_um = self.distances_um
        return {
            "source": self.source.source, "written": _written(self.source.source),
            "shape": list(self.shape), "setup": self.setup.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "distances_um": None if distances_um is None else _mark(distances_um, self.shape),
        }  # fmt: skip


def one_plane(image: Any) -> FocalStack:
    """An image as a stack of one plane.

    Raises
    ------
    ShapeError
        If it is a stack of several planes, or not (y, x).

    Examples
    --------
    >>> one_plane(np.zeros((3, 4))).shape
    (1, 3, 4)
    """
    if isinstance(image, FocalStack):
        if image.shape[0] != 1:
            raise ShapeError(
                f"{image.source}: holds {image.shape[0]} planes; choose the one to refocus "
                "(--plane)."
            )
        return image
    array = image if hasattr(image, "shape") else np.asarray(image)
    if len(array.shape) != 2:
        hint = "; give one channel" if len(array.shape) == 3 and array.shape[-1] in (3, 4) else ""
        raise ShapeError(
            f"An image to refocus is (y, x), but came with shape {tuple(array.shape)}{hint}."
        )
    return FocalStack.of(array[None])


def optics_of(setup: OpticalSetup | None, source: FocalStack) -> OpticalSetup:
    """The optics that were given, or those of the stack.

    Raises
    ------
    MetadataError
        If there are none.
    """
    found = setup or source.setup
    if found is None:
        raise MetadataError(
            "Refocusing needs the optics: give setup= (--na, --wavelength-nm, --pixel-um)."
        )
    return found


def require_free(*paths: Path, overwrite: bool) -> None:
    """Raise InputError for a path that exists and may not be replaced."""
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists; allow it to be replaced with --overwrite.")


def _written(source: str) -> list[int]:
    """Size and time of a file, which tell whether it is still the same."""
    place = Path(source)
    if not place.exists():
        return []
    facts = place.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _mark(distances_um: Any, shape: tuple[int, int]) -> float | str:
    """A number, or the hash of a map."""
    if not callable(distances_um) and getattr(distances_um, "ndim", 0) == 0:
        return float(distances_um)
    values = on_grid(distances_um, shape) if callable(distances_um) else np.asarray(distances_um)
    return hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()
