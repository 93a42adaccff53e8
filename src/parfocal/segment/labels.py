"""Connected structures in focus, each with its own number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32
from scipy import ndimage

from parfocal.core.errors import InputError
from parfocal.core.masks import FocusMasks
from parfocal.core.status import plain
from parfocal.segment.sections import require_answer
from parfocal.segment.surface import plane_widths

LEAST_VOXELS = 27
"""Structures of fewer voxels are left out, if not told otherwise: a cube of 3."""


@dataclass(frozen=True, kw_only=True)
class FocusPart:
    """One connected structure in focus.

    Parameters
    ----------
    label
        Its number in the volume.
    voxels
        How many pixels of all planes it has.
    z_um
        Lowest and highest of its planes; plane numbers where z is unknown.
    centre_px
        Its mean place (y, x).
    volume_um3
        None where z or the pixel size is unknown.
    is_cut
        Whether it touches a border of the field or an end of the stack.
    """

    label: int
    voxels: int
    z_um: tuple[float, float]
    centre_px: tuple[float, float]
    volume_um3: float | None
    is_cut: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusLabels:
    """A volume of numbers: 0 is out of focus, 1 and up are connected structures.

    ``parts`` describes them in order of their numbers, the largest first; ``left_out`` counts
    those with fewer than ``least_voxels``.
    """

    labels: Int32[np.ndarray, "z y x"]
    parts: tuple[FocusPart, ...]
    left_out: int
    least_voxels: int


def label_volume(
    masks: FocusMasks, *, least_voxels: int = LEAST_VOXELS, connectivity: int = 1
) -> FocusLabels:
    """Number the connected structures in focus, the largest first.

    Parameters
    ----------
    masks
        Of a stack; status found.
    least_voxels
        Smallest structure that is kept.
    connectivity
        Voxels are neighbours by a common face (1), edge (2) or corner (3).

    Raises
    ------
    InputError
        If the masks were declined, or a number is impossible.

    Notes
    -----
    Laws: follows flips and rotations, but for the order of structures alike in size.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> spots = np.zeros((2, 8, 8), dtype=bool)
    >>> spots[:, :2, :2] = spots[0, 5:, 5:] = spots[1, 0, 7] = True
    >>> masks = FocusMasks(status=Status.FOUND, reason="", masks=spots, method="by hand",
    ...                    z_um=np.arange(2.0), pixel_um=0.5)
    >>> volume = label_volume(masks, least_voxels=5)
    >>> [(part.voxels, part.volume_um3) for part in volume.parts], volume.left_out
    ([(9, 2.25), (8, 2.0)], 1)
    """
    require_answer(masks)
    if least_voxels < 1 or connectivity not in (1, 2, 3):
        raise InputError(
            f"least_voxels is at least 1 and connectivity 1, 2 or 3; they came as {least_voxels} "
            f"and {connectivity}."
        )
    near = ndimage.generate_binary_structure(3, connectivity)
    numbers, count = ndimage.label(masks.masks, structure=near, output=np.int32)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    kept = np.flatnonzero(sizes[1:] >= least_voxels) + 1
    kept = kept[np.argsort(-sizes[kept], kind="stable")]
    renumbered = np.zeros(count + 1, dtype=np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    numbers = renumbered[numbers]
    return FocusLabels(
        labels=numbers,
        parts=tuple(_parts(numbers, masks)),
        left_out=count - len(kept),
        least_voxels=least_voxels,
    )


def _parts(numbers: Int32[np.ndarray, "z y x"], masks: FocusMasks) -> list[FocusPart]:
    """Describe each structure within its own box."""
    widths, pixel_um = plane_widths(masks.z_um), masks.pixel_um
    parts = []
    for label, box in enumerate(ndimage.find_objects(numbers), start=1):
        inside = numbers[box] == label
        per_plane = inside.sum((1, 2))
        voxels = int(per_plane.sum())
        places = np.array([inside.sum((0, 2)) @ np.arange(box[1].start, box[1].stop),
                           inside.sum((0, 1)) @ np.arange(box[2].start, box[2].stop)])  # fmt: skip
        volume_um3 = None
        if masks.z_known and pixel_um is not None:
            volume_um3 = float(per_plane @ widths[box[0]]) * pixel_um**2
        ends = sorted((float(masks.z_um[box[0].start]), float(masks.z_um[box[0].stop - 1])))
        parts.append(
            FocusPart(
                label=label,
                voxels=voxels,
                z_um=(ends[0], ends[1]),
                centre_px=(float(places[0] / voxels), float(places[1] / voxels)),
                volume_um3=volume_um3,
                is_cut=any(
                    side.start == 0 or side.stop == size
                    for side, size in zip(box, numbers.shape, strict=True)
                ),
            )
        )
    return parts
