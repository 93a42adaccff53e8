"""The surface of what is in focus, as triangles in micrometres."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from parfocal.core.errors import InputError, MetadataError
from parfocal.core.masks import FocusMasks
from parfocal.segment.sections import require_answer

TRUNCATE = 4.0
"""Standard deviations at which the smoothing ends."""

Volume = Bool[np.ndarray, "z y x"] | Float[np.ndarray, "z y x"]


@dataclass(frozen=True, eq=False, kw_only=True)
class FocusMesh:
    """A closed surface of triangles.

    Parameters
    ----------
    vertices_um
        Places (x, y, z): x and y from the centre of the first pixel, z of the stage.
    faces
        Numbers of the three vertices of each triangle, counter-clockwise from outside in a
        right-handed space of x, y and z.
    """

    vertices_um: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]

    @property
    def area_um2(self) -> float:
        """Area of all triangles."""
        first, second, third = self._corners()
        return float(np.linalg.norm(np.cross(second - first, third - first), axis=1).sum() / 2)

    @property
    def volume_um3(self) -> float:
        """Volume inside; positive where the triangles are turned outwards."""
        first, second, third = self._corners()
        return float((first * np.cross(second, third)).sum() / 6)

    @property
    def euler(self) -> int:
        """Vertices less edges plus faces: 2 for each sphere, 0 for each torus."""
        pairs = np.sort(self.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        edges = np.unique(pairs[:, 0].astype(np.int64) * len(self.vertices_um) + pairs[:, 1])
        return len(np.unique(self.faces)) - len(edges) + len(self.faces)

    def _corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        places = self.vertices_um - (self.vertices_um.mean(0) if len(self.vertices_um) else 0.0)
        return places[self.faces[:, 0]], places[self.faces[:, 1]], places[self.faces[:, 2]]


def focus_mesh(
    masks: FocusMasks,
    *,
    of: str = "masks",
    level: float = 0.5,
    smooth_um: float = 0.0,
    memory_mb: int = 256,
) -> FocusMesh:
    """Wrap what is in focus in a closed surface by marching cubes [Lorensen1987]_.

    Parameters
    ----------
    masks
        Of a stack with known z and pixel size; status found.
    of
        The masks, or the probabilities of a network, which give a smoother surface.
    level
        Value at which the surface lies.
    smooth_um
        Standard deviation of a Gaussian that takes off the steps of the voxels; structures
        thinner than about twice this are lost.
    memory_mb
        Working memory. Larger volumes are cut in slabs of rows whose surfaces meet exactly; the
        triangles come on top.

    Returns
    -------
    Triangles in um; none where nothing exceeds the level. Outside the stack nothing is in focus,
    so that what its borders cut off is closed there. Uneven planes keep their own z.

    Raises
    ------
    InputError
        If the masks were declined or have no probabilities, or a number is impossible.
    MetadataError
        If z or the pixel size is unknown.

    Notes
    -----
    Laws: closed; turned outwards, whether z rises or falls; slabs equal the whole.

    Examples
    --------
    >>> from parfocal.core.status import Status
    >>> cube = np.ones((4, 4, 4), dtype=bool)
    >>> masks = FocusMasks(status=Status.FOUND, reason="", masks=cube, method="by hand",
    ...                    z_um=2.0 * np.arange(4), pixel_um=1.0)
    >>> mesh = focus_mesh(masks)
    >>> mesh.euler, 100 < mesh.volume_um3 < 128  # 4 x 4 x 8 um, less its edges
    (2, True)
    """
    require_answer(masks)
    volume: Volume = masks.masks
    if of == "probabilities":
        if masks.probabilities is None:
            raise InputError("These masks by rule have no probabilities; use of='masks'.")
        volume = masks.probabilities
    elif of != "masks":
        raise InputError(f"A mesh is made of masks or probabilities, not of {of!r}.")
    if not 0 < level < 1 or smooth_um < 0 or memory_mb < 1:
        raise InputError(
            f"level lies between 0 and 1, smooth_um is not negative and memory_mb at least 1; they "
            f"came as {level:g}, {smooth_um:g} and {memory_mb}."
        )
    if not masks.z_known:
        raise MetadataError("A mesh needs the distance of planes; give z_step_um (--z-step-um).")
    if masks.pixel_um is None:
        raise MetadataError("A mesh needs the pixel size; give pixel_um (--pixel-um).")
    return mesh_of(
        volume, masks.z_um, masks.pixel_um, level=level, smooth_um=smooth_um, memory_mb=memory_mb
    )


def mesh_of(
    volume: Volume,
    z_um: Float[np.ndarray, " z"],
    pixel_um: float,
    *,
    level: float = 0.5,
    smooth_um: float = 0.0,
    memory_mb: int = 256,
) -> FocusMesh:
    """Wrap any volume from 0 to 1 at a level, with its planes at ``z_um``; see ``focus_mesh``.

    Examples
    --------
    >>> mesh_of(np.zeros((2, 3, 3), dtype=bool), np.arange(2.0), 1.0).faces.shape
    (0, 3)
    """
    sigma = _sigma(z_um, pixel_um, smooth_um)
    vertices: list[NDArray[np.float64]] = []
    faces: list[NDArray[np.int64]] = []
    seam: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None
    count = 0
    for first, last, slab in _slabs(volume, sigma, memory_mb):
        if not (slab > level).any():
            seam = None
            continue
        places, triangles, _, _ = marching_cubes(slab, level)  # type: ignore[no-untyped-call]
        places = places.astype(np.float64)
        numbers = np.arange(count, count + len(places))
        is_new = np.ones(len(places), dtype=bool)
        if seam is not None:
            _sew(places, numbers, is_new, seam)
            numbers[is_new] = count + np.arange(int(is_new.sum()))
        at_end = places[:, 1] == last - first
        seam = (places[at_end][:, [0, 2]], numbers[at_end])
        vertices.append(places[is_new] + [0.0, first, 0.0])
        faces.append(numbers[triangles])
        count += int(is_new.sum())
    if not vertices:
        return FocusMesh(vertices_um=np.empty((0, 3)), faces=np.empty((0, 3), dtype=np.int64))
    return _in_um(np.concatenate(vertices), np.concatenate(faces), z_um, pixel_um)


def _sigma(z_um: Float[np.ndarray, " z"], pixel_um: float, smooth_um: float) -> tuple[float, ...]:
    """Smoothing (z, y, x) in voxels; z as if the planes were evenly apart."""
    step_um = float(np.median(np.abs(np.diff(z_um)))) if len(z_um) > 1 else math.inf
    return smooth_um / step_um, smooth_um / pixel_um, smooth_um / pixel_um


def _slabs(
    volume: Volume, sigma: tuple[float, ...], memory_mb: int
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """First and last row of each slab, counted with one empty row around the volume, and its
    values; the last row of one slab is the first of the next."""
    size_z, size_y, size_x = volume.shape
    halo = math.ceil(TRUNCATE * sigma[1]) if any(sigma) else 0
    # About twenty bytes a voxel: the slab, its smoothing, and what marching cubes holds.
    rows = max(2, int(memory_mb * 2**20 / 20 / ((size_z + 2) * (size_x + 2))) - 2 * halo)
    end = size_y + 1
    for first in range(0, end, rows):
        last = min(end, first + rows)
        low, high = first - 1 - halo, last - 1 + halo  # rows of the volume, before it and beyond
        core = volume[:, max(0, low) : min(size_y, high + 1)]
        beyond = (max(0, -low), max(0, high + 1 - size_y))
        pad = math.ceil(TRUNCATE * sigma[0]) + 1, math.ceil(TRUNCATE * sigma[2]) + 1
        if not any(sigma):
            pad = 1, 1
        slab = np.pad(core.astype(np.float32), ((pad[0],) * 2, beyond, (pad[1],) * 2))
        if any(sigma):
            slab = ndimage.gaussian_filter(slab, sigma, mode="constant", truncate=TRUNCATE)
        slab = slab[
            pad[0] - 1 : slab.shape[0] - pad[0] + 1,
            halo : slab.shape[1] - halo,
            pad[1] - 1 : slab.shape[2] - pad[1] + 1,
        ]
        slab[[0, -1]] = slab[:, :, [0, -1]] = 0.0  # smoothing must not open the surface
        if first == 0:
            slab[:, 0] = 0.0
        if last == end:
            slab[:, -1] = 0.0
        yield first, last, np.ascontiguousarray(slab)


def _sew(
    places: NDArray[np.float64],
    numbers: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    seam: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    """Give the vertices of the first row the numbers that they have in the slab before."""
    known = {tuple(place): number for place, number in zip(*seam, strict=True)}
    for index in np.flatnonzero(places[:, 1] == 0):
        number = known.get((places[index, 0], places[index, 2]))
        if number is not None:
            numbers[index], is_new[index] = number, False


def _in_um(
    places: NDArray[np.float64],
    faces: NDArray[np.int64],
    z_um: Float[np.ndarray, " z"],
    pixel_um: float,
) -> FocusMesh:
    """From places (z, y, x) in padded voxels to (x, y, z) in um, with triangles turned outwards."""
    steps = np.diff(z_um) if len(z_um) > 1 else np.ones(1)
    # One plane more at either end, where the padding lies.
    padded = np.concatenate([z_um[:1] - steps[0], z_um, z_um[-1:] + steps[-1]])
    z = np.interp(places[:, 0], np.arange(len(padded)), padded)
    vertices = np.stack([(places[:, 2] - 1) * pixel_um, (places[:, 1] - 1) * pixel_um, z], axis=1)
    distinct = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = faces[distinct]
    # Marching cubes turns its triangles for x, y, z in the order of the axes; falling z mirrors.
    return FocusMesh(vertices_um=vertices, faces=faces[:, ::-1].copy() if steps[0] < 0 else faces)
