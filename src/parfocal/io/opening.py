"""Open any focal stack: one function that finds the reader and the metadata."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from parfocal.core.errors import InputError, ReadError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.io.faults import why
from parfocal.io.finding import find_stacks, matching
from parfocal.io.options import OpenOptions, Pick
from parfocal.io.reading import is_store, open_one


def open_stack(  # noqa: PLR0913 - one keyword per thing a file may not say
    path: str | Path | Sequence[str | Path],
    *,
    z_step_um: float | None = None,
    pixel_um: float | None = None,
    channel: Pick | None = None,
    time: Pick | None = None,
    position: Pick | None = None,
    crop_common: bool = False,
    z_in_planes: bool = False,
    na: float | None = None,
    wavelength_nm: float | None = None,
    immersion_index: float | None = None,
    sample_index: float | None = None,
    setup: OpticalSetup | None = None,
    level: int = 0,
) -> FocalStack:
    """Open one focal stack lazily, with its z, sampling and optics.

    Reads OME-TIFF, ImageJ and plain TIFF, MetaMorph and Micro-Manager TIFF, one file per plane
    (TIFF, PNG, BMP, JPEG), OME-Zarr 0.4 and 0.5, and NDTiff. Pixels are read when they are used.

    Parameters
    ----------
    path
        A file, a store, a folder or pattern that holds the planes of one stack, or a list of them.
    z_step_um
        Distance between planes in um, over what the file says; negative where z falls.
    pixel_um
        Distance between pixel centres in um, over what the file says.
    channel, time, position
        Which one, by number from 0 or by name, where the file holds several.
    crop_common
        Cut planes of different size to the middle that all have in common.
    z_in_planes
        Where the distance between planes cannot be learned, count z in planes
        (``stack.z_known`` is then false).
    na, wavelength_nm, immersion_index, sample_index
        Optics, over what the file says; with a pixel size they make ``stack.setup``.
    setup
        All optics at once.
    level
        Resolution level of a pyramid, 0 for full resolution.

    Returns
    -------
    A stack whose images are a lazy array (z, y, x); ``stack.notes`` says what was decided.

    Raises
    ------
    ReadError
        If it cannot be read: absent, empty, cut off, damaged, of no known format.
    MetadataError
        If z is missing or the metadata contradicts itself; the text names the flag that settles it.
    ShapeError
        If planes differ in size, or axes are unknown.
    InputError
        If there are several channels, times, positions or stacks and none was chosen.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from parfocal.io.writing import write_stack
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     planes = np.zeros((3, 4, 5), dtype=np.uint16)
    ...     path = write_stack(planes, Path(folder) / "a.ome.tif", z_step_um=0.5, pixel_um=0.1)
    ...     stack = open_stack(path)
    ...     stack.shape, stack.z_um, stack.pixel_um
    ((3, 4, 5), array([0. , 0.5, 1. ]), 0.1)
    """
    options = OpenOptions.of(
        z_step_um=z_step_um,
        pixel_um=pixel_um,
        channel=channel,
        time=time,
        position=position,
        crop_common=crop_common,
        z_in_planes=z_in_planes,
        na=na,
        wavelength_nm=wavelength_nm,
        immersion_index=immersion_index,
        sample_index=sample_index,
        setup=setup,
        level=level,
    )
    if not isinstance(path, (str, Path)):
        return open_one(_paths(path), options)
    try:
        return _open_path(path, options)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {why(error)}; check its permissions.") from error


def _paths(given: Sequence[str | Path] | None) -> list[Path]:
    """The planes that were named one by one."""
    if not isinstance(given, Iterable) or not all(isinstance(one, (str, Path)) for one in given):
        raise InputError(
            f"{given!r} is no path; give a file, a store, a folder, or a list of files."
        )
    return [Path(one).expanduser() for one in given]


def _open_path(path: str | Path, options: OpenOptions) -> FocalStack:
    whole = Path(path).expanduser()
    if whole.is_file() and whole.suffix != ".toml":
        return open_one([whole], options)
    if is_store(whole):
        return open_one([whole], options)
    if whole.exists():
        return _only_stack_in(whole, options)
    matches = matching(whole) if glob.has_magic(str(path)) else []
    if not matches:
        what = "matches no file" if glob.has_magic(str(path)) else "there is no such file or folder"
        raise ReadError(f"{path}: {what}; check the path.")
    if len(matches) == 1:
        return _only_stack_in(matches[0], options)
    return open_one(matches, options)


def _only_stack_in(path: Path, options: OpenOptions) -> FocalStack:
    """The one stack of a folder or manifest."""
    given = {name: getattr(options, name) for name in options.model_fields_set}
    sources = find_stacks([path], **given)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources[:8])
        names += ", ..." if len(sources) > 8 else ""
        raise InputError(
            f"{path}: holds {len(sources)} stacks: {names}; open one of them by its path, or all "
            "with find_stacks (parfocal score)."
        )
    return sources[0].open()
