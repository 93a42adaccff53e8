"""Which pixels are in focus, by a trained network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError, MetadataError
from parfocal.core.results import FocusMasks, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures.maps import focus_map
from parfocal.models.card import ModelCard
from parfocal.models.package import load_model
from parfocal.segment.evidence import contradiction, find_phase, look_for_structure
from parfocal.segment.fused_maps import LIKE_NOISE
from parfocal.segment.planes import COARSEST_PIXEL
from parfocal.segment.weak_labels import as_focal_stack

DEFAULT_MODEL = "in-focus-widefield"
ORIENTATIONS = (1, 8)
PATCH_PX = 32
LEAST_SIDE_PX = 16


@runtime_checkable
class Segmenter(Protocol):
    """A trained network that says of each pixel how likely it is in focus."""

    card: ModelCard

    @property
    def threshold(self) -> float:
        """Chance from which a pixel counts as in focus."""
        ...

    def chances(
        self,
        stack: FocalStack,
        *,
        setup: OpticalSetup | None,
        is_dark: bool = False,
        tile_px: int = 1024,
        orientations: int = 1,
    ) -> Iterator[Float[np.ndarray, "y x"]]:
        """One plane of chances after another."""
        ...


@dataclass(frozen=True)
class SegmenterRow:
    """What runs the networks of one architecture; nothing is imported by it."""

    architecture: str
    segmenter: str


SEGMENTERS = (
    SegmenterRow(
        architecture="parfocal.nets.focus_unet:FocusUnet",
        segmenter="parfocal.segment.unet_segmenter:UnetSegmenter",
    ),
    SegmenterRow(
        architecture="parfocal.nets.li2023:Li2023Network",
        segmenter="parfocal.segment.li2023_segmenter:Li2023Segmenter",
    ),
)


def load(model: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> Segmenter:
    """Load a network that segments by its name in the catalogue, or from a folder.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    ReadError, MetadataError
        If weights or card are missing or damaged, or belong to another kind of network.
    """
    where = pick_device(device)
    networks, card = load_model(model, device=where)
    for row in SEGMENTERS:
        if row.architecture == card.architecture:
            module, _, name = row.segmenter.partition(":")
            made: Segmenter = getattr(import_module(module), name)(
                networks, card, device=str(where)
            )
            return made
    raise MetadataError(
        f"{card.name} does not say which pixels are in focus: its architecture is "
        f"{card.architecture}; see parfocal models."
    )


def in_focus(
    stack: Any,
    *,
    model: str | Path | Segmenter = DEFAULT_MODEL,
    setup: OpticalSetup | None = None,
    threshold: float | None = None,
    tile_px: int = 1024,
    orientations: int = 1,
    device: str = "cpu",
) -> FocusMasks:
    """Find the pixels in focus by a trained network [Li2023]_.

    Each plane is judged beside a few below and above it, about a depth of field apart where the
    stack has such planes. Where that depth is unknown, the contrast of the stack says what is
    likely.

    Parameters
    ----------
    stack
        A FocalStack, or an array (z, y, x) of NumPy, torch, dask or xarray, in counts.
    model
        A name in the catalogue, a folder with weights and card, or what ``load`` gave.
    setup
        The optics; the stack's own by default. Without them the answer is worse, and says so.
    threshold
        Chance from which a pixel counts as in focus; the card's by default.
    tile_px
        Side of the tiles that large planes are parted into. Tiles overlap by all that a pixel
        depends on, so that they leave no seams.
    orientations
        1, or 8 for the mean over all turns and mirrors: eight times the time, and masks that
        follow those of the planes to rounding.
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    Masks and probabilities (z, y, x). Without an answer the masks are empty, with a status and a
    reason: ``blank`` (nothing but noise), ``flat`` (nothing in focus in any plane), ``saturated``,
    ``ambiguous`` (a phase object, whose contrast is least in focus) or ``failed`` (every plane
    holds NaN).

    Raises
    ------
    UnknownNameError, ReadError, MetadataError
        If there is no such model, or it is damaged, or of another kind.
    InputError
        If ``threshold``, ``tile_px`` or ``orientations`` cannot be, or images are too small.
    ShapeError
        If the array is not (z, y, x).

    Notes
    -----
    By brightfield, structure is taken to be darker than what is around it. Memory: the masks
    and probabilities, a few planes and one tile.

    Laws: gain-free and offset-free; reversing the planes with their z reverses the masks.
    """
    field = as_focal_stack(stack)
    _require_usable(field, threshold, tile_px, orientations)
    segmenter = load(model, device=device) if isinstance(model, str | Path) else model
    optics = setup or field.setup
    asked = _Asked(field, segmenter.card.name, _warnings(field, optics))
    evidence = look_for_structure(field)
    if len(evidence.spoilt) == field.shape[0]:
        return asked.declined(Status.FAILED, "every plane holds NaN or infinite pixels")
    empty = contradiction(evidence)
    if empty is not None:
        return asked.declined(*empty)
    if evidence.unevenness <= LIKE_NOISE:
        return asked.declined(
            Status.FLAT, "no place of any plane is sharper than another within the noise"
        )
    if _is_phase(field):
        return asked.declined(
            Status.AMBIGUOUS,
            "a phase object: its contrast is least in focus and turns over there, so that the "
            "sharpest-looking pixels are not in focus",
        )
    least = segmenter.threshold if threshold is None else threshold
    planes = segmenter.chances(
        field, setup=optics, is_dark="brightfield" in (field.modality or ""), tile_px=tile_px,
        orientations=orientations,
    )  # fmt: skip
    chances = np.empty(field.shape, dtype=np.float32)
    for number, plane in enumerate(planes):
        chances[number] = plane
    for number in evidence.spoilt:
        chances[number] = 0.0
    return asked.answered(chances, least, evidence.spoilt)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What was asked for, and what to say with the answer."""

    field: FocalStack
    name: str
    warnings: tuple[str, ...]

    def declined(self, status: Status, reason: str) -> FocusMasks:
        """Empty masks with the reason."""
        return self._result(status, reason, np.zeros(self.field.shape, dtype=np.bool_))

    def answered(
        self, chances: NDArray[np.float32], threshold: float, spoilt: tuple[int, ...]
    ) -> FocusMasks:
        """Masks where the chance passes the threshold, if it does anywhere."""
        masks = chances >= threshold
        if not masks.any():
            return self.declined(Status.FLAT, "no pixel of any plane is in focus")
        warnings = self.warnings
        if spoilt:
            warnings += (
                f"planes {', '.join(map(str, spoilt))} hold NaN or infinite pixels: no mask there",
            )
        limits = np.full(len(masks), threshold)
        limits[list(spoilt)] = np.nan
        return self._result(
            Status.FOUND, f"{100 * float(masks.mean()):.1f} % of the pixels are in focus", masks,
            probabilities=chances, thresholds=limits, warnings=warnings,
        )  # fmt: skip

    def _result(
        self, status: Status, reason: str, masks: NDArray[np.bool_], **more: Any
    ) -> FocusMasks:
        field = self.field
        return FocusMasks(
            status=status, reason=reason, masks=masks, method=f"network: {self.name}",
            z_um=field.z_um, z_known=field.z_known, pixel_um=field.pixel_um,
            **{"warnings": self.warnings, **more},
        )  # fmt: skip


def _require_usable(
    field: FocalStack, threshold: float | None, tile_px: int, orientations: int
) -> None:
    if min(field.shape[1:]) < LEAST_SIDE_PX:
        raise InputError(
            f"{field.source}: images of {field.shape[1]} x {field.shape[2]} px are too small; the "
            f"network needs {LEAST_SIDE_PX} px or more."
        )
    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold:g}; give a chance between 0 and 1.")
    if tile_px < 64 or orientations not in ORIENTATIONS:
        raise InputError(
            f"tile_px is at least 64 and orientations 1 or 8; they came as {tile_px} and "
            f"{orientations}."
        )


def _warnings(field: FocalStack, optics: OpticalSetup | None) -> tuple[str, ...]:
    said = []
    if optics is None:
        said.append(
            "the optics are unknown: masks are better with setup= (--na, --wavelength-nm, "
            "--pixel-um)"
        )
    elif optics.pixel_um * optics.na / optics.wavelength_um > COARSEST_PIXEL:
        said.append("pixels are coarser than the network was trained for")
    if not field.z_known:
        said.append("the distance of the planes is unknown: give z_step_um (--z-step-um)")
    if "brightfield" in (field.modality or ""):
        said.append(
            "brightfield: structure is taken to absorb; a transparent specimen has least "
            "contrast in focus"
        )
    return tuple(said)


def _is_phase(field: FocalStack) -> bool:
    """Whether the contrast of the busiest places turns over within the stack."""
    side = min(PATCH_PX, *field.shape[1:])
    best = None
    for number in range(field.shape[0]):
        scores = np.asarray(focus_map(field.read_counts(number), "std", side, side), np.float64)
        best = scores if best is None else np.fmax(best, scores)
    if best is None:
        return False
    edges = [np.arange(count + 1) * side for count in best.shape]
    return find_phase(field, best, edges) is not None
