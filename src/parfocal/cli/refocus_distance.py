"""What is done to one image, and how far it is from focus: given, or told by its spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.cli.refocus_request import AUTO, LUCY, NETWORK, TILT, RefocusRequest
from parfocal.cli.refocus_surface import read_surface, tilt_of
from parfocal.core.results import FocusQuality, Status
from parfocal.core.stack import FocalStack
from parfocal.models.catalog import model_rows
from parfocal.refocus.blind import DEFAULT_MODEL
from parfocal.refocus.surface import DEFAULT_MODEL as SURFACE_MODEL
from parfocal.score.quality import LEAST_PX, focus_quality

JUDGED_PX = 2048
"""Side of the middle of a large image that tells its distance."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Chosen:
    """What is done to one image, and from where its distance is known.

    ``refusal`` says why nothing can be done.
    """

    method: str
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None
    surface_um: Any = None
    told_by: str = ""
    refusal: tuple[Status, str] | None = None


def choose(request: RefocusRequest, stack: FocalStack, plane: int) -> Chosen:
    """The method for one plane of a stack, with the distance or surface that it needs."""
    if request.surface is not None:
        known = has_network(request, SURFACE_MODEL)
        usual = NETWORK if known else LUCY
        method = usual if request.method == AUTO else request.method
        return _by_surface(request, stack, plane, method)
    if request.defocus_um is not None:
        method = LUCY if request.method == AUTO else request.method
        return Chosen(
            method=method, defocus_um=request.defocus_um, interval_um=request.interval_um,
            told_by="given",
        )  # fmt: skip
    if request.method == NETWORK or (request.method == AUTO and has_network(request)):
        return Chosen(method=NETWORK, told_by="told by the network")
    return _estimated(request, stack, plane)


def has_network(request: RefocusRequest, name: str = DEFAULT_MODEL) -> bool:
    """Whether a network was named, or one of that name is installed."""
    return request.model is not None or any(
        row.name == name and row.is_there for row in model_rows()
    )


def _estimated(request: RefocusRequest, stack: FocalStack, plane: int) -> Chosen:
    """Distance by the image's own spectrum."""
    method = LUCY if request.method == AUTO else request.method
    why = "no network is installed, and its" if request.method == AUTO else "its"
    sizes = stack.shape[1:]
    if min(sizes) < LEAST_PX:
        reason = f"{why} distance from focus is not told by fewer than {LEAST_PX} px"
        return _none(method, Status.UNCERTAIN, f"{reason}: give --defocus-um")
    region = []
    for size in sizes:
        first = max(0, (size - JUDGED_PX) // 2)
        region += [first, min(size, first + JUDGED_PX)]
    quality = focus_quality(
        stack.images[plane, :, :], stack.setup, modality=stack.modality,
        region=(region[0], region[1], region[2], region[3]),
    )  # fmt: skip
    if not isinstance(quality, FocusQuality) or quality.defocus_um is None:
        status, told = (
            (quality.status, quality.reason) if isinstance(quality, FocusQuality) else
            (Status.UNCERTAIN, "")
        )  # fmt: skip
        if status in (Status.BLANK, Status.SATURATED):
            return _none(method, status, told)
        return _none(
            method, Status.UNCERTAIN,
            f"{why} distance from focus cannot be told ({told}): give --defocus-um",
        )  # fmt: skip
    return Chosen(
        method=method, defocus_um=quality.defocus_um, interval_um=quality.interval_um,
        told_by="estimated from its spectrum",
    )  # fmt: skip


def _none(method: str, status: Status, reason: str) -> Chosen:
    return Chosen(method=method, refusal=(status, reason))


def _by_surface(request: RefocusRequest, stack: FocalStack, plane: int, method: str) -> Chosen:
    surface = request.surface
    if surface == TILT:
        told = tilt_of(stack, plane, saturation_counts=request.saturation_counts)
        if isinstance(told, str):
            return _none(method, Status.UNCERTAIN, f"the tilt is not known: {told}")
        return Chosen(method=method, surface_um=told, told_by=str(told))
    if isinstance(surface, Path):
        z_um = float(stack.z_um[plane]) if stack.z_known else None
        heights_um = read_surface(surface, z_um=z_um)
        return Chosen(method=method, surface_um=heights_um, told_by=f"surface {surface.name}")
    return Chosen(method=method, surface_um=surface, told_by="given")
