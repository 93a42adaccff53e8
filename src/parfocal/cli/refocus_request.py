"""What one call of ``parfocal refocus`` asks for, checked before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.cli.exits import CallError

AUTO, NETWORK, LUCY = "auto", "network", "richardson-lucy"
METHODS = (AUTO, NETWORK, LUCY, "landweber", "wiener")
FORMATS = {"ome-tiff": "ome.tif", "ome-zarr": "ome.zarr"}
UNTRUSTED = ("answer", "input")
ENDINGS = (".tif", ".tiff", ".zarr")
TILT = "tilt"


@dataclass(frozen=True, kw_only=True)
class RefocusRequest:
    """Options of ``parfocal refocus``; ``opening`` goes to ``find_stacks`` as it is.

    ``surface`` is a height in um, a file, or "tilt"; ``model`` is None where none was named.
    """

    inputs: tuple[str, ...]
    out: Path
    opening: dict[str, Any] = field(default_factory=dict)
    plane: int | None = None
    method: str = AUTO
    model: str | None = None
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None
    surface: float | Path | str | None = None
    iterations: int | None = None
    background: float | None = None
    spherical_waves: float | None = None
    saturation_counts: float | None = None
    untrusted: str = "answer"
    device: str = "cpu"
    ending: str = "ome.tif"
    form: str = "table"
    output: Path | None = None
    report: Path | None = None
    overwrite: bool = False
    debug: bool = False

    @property
    def is_one_file(self) -> bool:
        """Whether OUT names a file, and not a folder for many."""
        return self.out.name.casefold().endswith(ENDINGS)


def parse_surface(text: str | None) -> float | Path | str | None:
    """Read a height in um, "tilt", or the name of a file.

    Examples
    --------
    >>> parse_surface("-2.5"), parse_surface("tilt"), parse_surface(None)
    (-2.5, 'tilt', None)
    """
    if text is None or text == TILT:
        return text
    try:
        height_um = float(text)
    except ValueError:
        if not Path(text).exists():
            raise CallError(
                f"--surface {text!r} is no file, no height in um, and not the word tilt."
            ) from None
        return Path(text)
    if not math.isfinite(height_um):
        raise CallError(f"--surface {text}: give a finite height in um.")
    return height_um


def parse_interval(text: str | None) -> tuple[float, float] | None:
    """Read ``LOW,HIGH`` in um.

    Examples
    --------
    >>> parse_interval("2.5, 3.5"), parse_interval(None)
    ((2.5, 3.5), None)
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise CallError(f"--interval-um {text!r}: give LOW,HIGH in um, such as 2.5,3.5.") from None
    if not low <= high:
        raise CallError(f"--interval-um {text}: the first number must not exceed the second.")
    return low, high


def check_method(request: RefocusRequest) -> None:
    """Raise CallError for options that exclude each other or do not exist."""
    for flag, value, known in (
        ("--method", request.method, METHODS),
        ("--keep-untrusted", request.untrusted, UNTRUSTED),
    ):
        if value not in known:
            raise CallError(f"{flag} {value!r}: choose one of: {', '.join(known)}.")
    given = {
        "--defocus-um": request.defocus_um,
        "--iterations": request.iterations,
        "--background": request.background,
        "--spherical-waves": request.spherical_waves,
        "--interval-um": request.interval_um,
    }
    if request.surface is not None:  # there the network is told it as well
        del given["--spherical-waves"]
    said = [flag for flag, value in given.items() if value is not None]
    by_network = request.method == NETWORK or request.model is not None
    if said and by_network:
        raise CallError(
            f"{said[0]} belongs to deconvolution, and a network is asked for; leave one of them "
            "out."
        )
    if request.model is not None and request.method not in (AUTO, NETWORK):
        raise CallError(f"--model belongs to --method network, not to {request.method}.")
    if request.defocus_um is not None and request.surface is not None:
        raise CallError("--defocus-um and --surface exclude each other; choose one.")
    if request.interval_um is not None and request.defocus_um is None:
        raise CallError("--interval-um is that of a distance; give --defocus-um too.")
    if request.defocus_um is not None and not math.isfinite(request.defocus_um):
        raise CallError(f"--defocus-um {request.defocus_um:g}: give a finite distance in um.")
    if request.spherical_waves is not None and not abs(request.spherical_waves) <= 1:
        raise CallError(
            f"--spherical-waves {request.spherical_waves:g}: give waves RMS between -1 and 1."
        )
    if request.iterations is not None and request.iterations < 1:
        raise CallError(f"--iterations {request.iterations}: give 1 or more.")
