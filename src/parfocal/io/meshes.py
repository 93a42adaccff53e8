"""Write surfaces of triangles as PLY or OBJ, the plain texts that every viewer of meshes opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from parfocal.core.errors import InputError, ShapeError
from parfocal.io.writing import whole_or_none

ROWS_AT_ONCE = 65_536


def write_mesh(
    vertices_um: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    path: str | Path,
    *,
    description: str = "",
    overwrite: bool = False,
) -> Path:
    """Write triangles as ASCII PLY or as OBJ, as the name's ending says.

    Parameters
    ----------
    vertices_um
        Places (x, y, z) in um; the file says so in a comment, as neither format has units.
    faces
        Numbers of the vertices of each triangle, counted from 0.
    path
        Ends in ``.ply`` or ``.obj``.
    description
        Recorded as a comment.
    overwrite
        Replace what is there already.

    Returns
    -------
    The path. It is complete or not there at all.

    Raises
    ------
    InputError
        If the path exists without ``overwrite``, or its ending is neither.
    ShapeError
        If a triangle names a vertex that is not there.
    """
    target = Path(path).expanduser()
    form = target.suffix.casefold()
    if form not in (".ply", ".obj"):
        raise InputError(f"{target}: give a name that ends in .ply or .obj.")
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists; allow it to be replaced with --overwrite.")
    if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < len(vertices_um):
        raise ShapeError(
            f"{target}: {len(vertices_um)} vertices, but triangles name {int(faces.min())} to "
            f"{int(faces.max())}; count vertices from 0."
        )
    comments = ["x, y, z in micrometres", *description.splitlines()]
    lines = _ply if form == ".ply" else _obj
    with (
        whole_or_none(target) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as sheet,
    ):
        sheet.writelines(lines(vertices_um, faces, comments))
    return target


def _ply(vertices: NDArray[Any], faces: NDArray[Any], comments: list[str]) -> Iterator[str]:
    head = ["ply", "format ascii 1.0", *(f"comment {text}" for text in comments)]
    head += [f"element vertex {len(vertices)}", *(f"property double {axis}" for axis in "xyz")]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    yield "\n".join(head) + "\n"
    yield from _rows("%.8g %.8g %.8g\n", vertices)
    yield from _rows("3 %d %d %d\n", faces)


def _obj(vertices: NDArray[Any], faces: NDArray[Any], comments: list[str]) -> Iterator[str]:
    yield "".join(f"# {text}\n" for text in comments)
    yield from _rows("v %.8g %.8g %.8g\n", vertices)
    yield from _rows("f %d %d %d\n", faces + 1)


def _rows(form: str, values: NDArray[Any]) -> Iterator[str]:
    for first in range(0, len(values), ROWS_AT_ONCE):
        some = values[first : first + ROWS_AT_ONCE]
        yield form * len(some) % tuple(some.ravel().tolist())
