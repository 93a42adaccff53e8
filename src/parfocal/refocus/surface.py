"""Show one image as it would be on another surface, or on many planes, without moving a stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from parfocal.core.errors import MetadataError
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.models.catalog import find_model
from parfocal.models.package import CARD, load_model
from parfocal.refocus.refocuser import Untrusted
from parfocal.refocus.surface_refocuser import SurfaceRefocuser
from parfocal.refocus.virtual_stack import VirtualStack

DEFAULT_MODEL, SECTION_MODEL = "deep-z-fluorescence", "deep-z-confocal"
ARCHITECTURE = "parfocal.nets.surface_unet:SurfaceNetwork"


def to_surface(
    image: Any,
    surface_um: Any,
    *,
    setup: OpticalSetup | None = None,
    model: str | Path = DEFAULT_MODEL,
    spherical_waves: float | None = None,
    saturation_counts: float | None = None,
    untrusted: Untrusted = "answer",
    device: str = "cpu",
) -> Refocused:
    """Show one fluorescence image as it would be on another surface, after capture.

    After Deep-Z [Wu2019]_: one image of a deep specimen, and for each pixel how far from the
    image's plane it is wanted. Which light lies above the plane and which below, one image tells
    only where optics treat them differently: by a spherical aberration of known sign, as a dry
    objective has in water.

    Parameters
    ----------
    image
        Counts (y, x) of any array kind, or a FocalStack of one plane; lazy arrays are read tile by
        tile.
    surface_um
        Height of the wanted surface above the image's plane, along increasing stage z: a number,
        or one for each pixel (y, x). An object whose defocus is known lies at minus its defocus.
    setup
        The optics; of a FocalStack its own where not given.
    model
        "deep-z-fluorescence": what the same microscope would show there. "deep-z-confocal": the
        light from near the surface alone, as a confocal-equivalent section. Or a folder.
    spherical_waves
        Spherical aberration, OSA/ANSI index 12 in waves RMS as ``optics.retrieve_pupil`` measures
        it; its sign says which side is which. Assumed where None, with a warning.
    saturation_counts
        Counts at which the camera clips; the largest pixel where unknown.
    untrusted
        What stands where trust is below a half: the network's "answer", or the "input".
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The image on that surface in counts; trust of each pixel, and the chance of the whole to be
    nearer to the truth there than the input is. In the image's own plane the input itself.

    Raises
    ------
    ShapeError
        If the image or the surface has the wrong shape.
    InputError
        If either holds NaN, or the surface is farther than training knew.
    MetadataError
        If the optics are missing, or the model is no network of this kind.
    UnknownNameError, ReadError
        If there is no such model, or it cannot be read.

    Notes
    -----
    Laws: a surface of zeros returns the input; a number and a map of it agree; the signs of
    surface and aberration turned together change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
    >>> result = to_surface(np.eye(64), 0.0, setup=setup)
    >>> result.method, bool((np.asarray(result) == np.eye(64)).all())
    ('passed through', True)
    """
    return load_surface_refocuser(model, device=device).refocus(
        image, surface_um, setup=setup, spherical_waves=spherical_waves,
        saturation_counts=saturation_counts, untrusted=untrusted,
    )  # fmt: skip


def virtual_stack(
    image: Any,
    z_um: Any,
    *,
    setup: OpticalSetup | None = None,
    model: str | Path = DEFAULT_MODEL,
    spherical_waves: float | None = None,
    saturation_counts: float | None = None,
    device: str = "cpu",
) -> VirtualStack:
    """Show one fluorescence image on many even planes: a stack without moving a stage [Wu2019]_.

    Arguments as of ``to_surface``; ``z_um`` are heights (z,) above the image's plane. What does
    not depend on the plane is done once.

    Returns
    -------
    Planes (z, y, x) in counts, each with its trust; ``numpy.asarray`` of it is the stack.

    Examples
    --------
    >>> import numpy as np
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
    >>> virtual_stack(np.full((64, 64), 9.0), [-1.0, 1.0], setup=setup).status.value
    'blank'
    """
    return load_surface_refocuser(model, device=device).stack(
        image, z_um, setup=setup, spherical_waves=spherical_waves,
        saturation_counts=saturation_counts,
    )  # fmt: skip


def virtual_series(
    images: Iterable[Any],
    z_um: Any,
    *,
    setup: OpticalSetup | None = None,
    model: str | Path = DEFAULT_MODEL,
    spherical_waves: float | None = None,
    saturation_counts: float | None = None,
    device: str = "cpu",
) -> Iterator[VirtualStack]:
    """A virtual stack of each image of a time series, one after the other, as they are asked for.

    Arguments as of ``virtual_stack``. Network and optics are prepared once.

    Examples
    --------
    >>> import numpy as np
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
    >>> series = virtual_series(np.zeros((3, 64, 64)), [0.0], setup=setup)
    >>> [stack.status.value for stack in series]
    ['blank', 'blank', 'blank']
    """
    refocuser = load_surface_refocuser(model, device=device)
    for image in images:
        yield refocuser.stack(
            image, z_um, setup=setup, spherical_waves=spherical_waves,
            saturation_counts=saturation_counts,
        )  # fmt: skip


def load_surface_refocuser(
    model: str | Path = DEFAULT_MODEL, *, device: str = "cpu"
) -> SurfaceRefocuser:
    """Load a network once, by its name in the catalogue or from a folder.

    Raises
    ------
    MetadataError
        If the model does not refocus onto surfaces.
    UnknownNameError, ReadError
        If there is no such model, or it cannot be read.

    Examples
    --------
    >>> load_surface_refocuser().name, load_surface_refocuser("deep-z-confocal").is_section
    ('deep-z-fluorescence', True)
    """
    is_folder = Path(model).is_dir()
    is_section = not is_folder and str(model) == SECTION_MODEL
    folder = Path(model) if is_folder else find_model(str(model)).folder
    card = folder / CARD
    written = card.stat().st_mtime_ns if card.is_file() else 0
    return _loaded(folder, is_section, device, written)


@lru_cache(maxsize=4)
def _loaded(folder: Path, is_section: bool, device: str, written: int) -> SurfaceRefocuser:
    """One refocuser of a folder, as it was written at that time."""
    networks, card = load_model(folder)
    if card.architecture != ARCHITECTURE:
        raise MetadataError(
            f"{card.name} shows no surfaces: its architecture is {card.architecture}, and "
            f"{ARCHITECTURE} is needed; see parfocal train --list."
        )
    return SurfaceRefocuser(networks, card, is_section=is_section, device=device)
