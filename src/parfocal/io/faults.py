"""Turn whatever a file library raises into one line that names the file."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

import imagecodecs
import tifffile
from PIL import Image

from parfocal.core.errors import ParfocalError, ReadError

# tifffile speaks through logging; without a handler Python would print its lines to stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# What the readers raise on damaged files. Listed, not `Exception`: a fault of ours stays loud,
# although a damaged header can lead a library to nearly any of these.
FILE_FAULTS: tuple[type[BaseException], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    ParseError,
    RuntimeError,
    SyntaxError,
    SystemError,
    TypeError,
    ValueError,
    imagecodecs.DelayedImportError,
    struct.error,
    tifffile.TiffFileError,
    zlib.error,
    Image.DecompressionBombError,
)


def why(error: BaseException, *, most: int = 160) -> str:
    """One short line of what an error says, or its kind where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    if isinstance(error, struct.error):  # which speaks of the size of a buffer
        text = "the file is cut off"
    if isinstance(error, KeyError):
        text = f"{text} is missing"
    return text if len(text) <= most else text[: most - 3] + "..."


@contextmanager
def reading(
    source: str, *, part: str = "", advice: str = "copy or export the file again"
) -> Iterator[None]:
    """Raise ReadError in one line, ``source: why; advice``, for any fault of a file.

    Examples
    --------
    >>> with reading("a.tif"):
    ...     raise OSError("not a TIFF file")
    Traceback (most recent call last):
    parfocal.core.errors.ReadError: a.tif: cannot be read: not a TIFF file; copy or ...
    """
    try:
        yield
    except ParfocalError:
        raise
    except FILE_FAULTS as error:
        what = f"{part} cannot be read" if part else "cannot be read"
        raise ReadError(f"{source}: {what}: {why(error)}; {advice}.") from error
