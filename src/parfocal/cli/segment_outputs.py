"""Files of ``parfocal segment``: named and checked before the work, written after each field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from parfocal.cli.exits import CallError
from parfocal.cli.outputs import check_apart, check_output, write_whole
from parfocal.cli.segment_request import SegmentRequest
from parfocal.core.masks import FocusMasks
from parfocal.core.stack import FocalStack
from parfocal.io.channels import write_channels
from parfocal.io.finding import StackSource
from parfocal.io.masks import write_masks
from parfocal.io.meshes import write_mesh
from parfocal.io.writing import write_stack
from parfocal.segment.labels import FocusLabels
from parfocal.segment.mesh import focus_mesh
from parfocal.segment.sections import optical_sections, sectioned_projection
from parfocal.segment.surface import focus_height

Places = dict[str, Path]


def name_outputs(request: SegmentRequest, sources: Sequence[StackSource]) -> list[Places]:
    """Where each field's files go, by what they hold."""
    out = request.out
    if out is None:
        return [{} for _ in sources]
    names = [re.sub(r"[^\w.+-]+", "_", source.name).strip("._") or "field" for source in sources]
    twice = {name for name in names if names.count(name) > 1}
    names = [f"{n}_{i}" if n in twice else n for i, n in enumerate(names)]
    endings = {what: f"{what}.{request.ending}" for what in request.wanted}
    if "height" in endings:
        endings["height"] = "height.ome.tif"
    if "sections" in endings:
        endings["projection"] = "projection.ome.tif"
    if request.mesh:
        endings["mesh"] = f"mesh.{request.mesh}"
    return [{what: out / f"{name}.{end}" for what, end in endings.items()} for name in names]


def check_outputs(
    request: SegmentRequest, places: Sequence[Places], sources: Sequence[StackSource]
) -> None:
    """Raise CallError unless every output may be written; make the folder."""
    raw = [path for source in sources for path in source.paths]
    singles = {"--output": request.output, "--report": request.report}
    listed = [(option, path) for option, path in singles.items() if path is not None]
    check_apart([path for _, path in listed] + [p for row in places for p in row.values()], raw)
    for option, path in listed:
        check_output(path, overwrite=request.overwrite, option=option)
    out = request.out
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise CallError(f"--out {out} is a file; name a folder.")
    if not out.resolve().parent.is_dir():
        raise CallError(f"--out {out}: there is no folder {out.parent}; make it first.")
    inside = [
        path for path in raw if path.is_dir() and out.resolve().is_relative_to(path.resolve())
    ]
    if inside:
        raise CallError(f"--out {out} lies in the input {inside[0]}; raw data stays as it is.")
    for path in (path for row in places for path in row.values()):
        if path.exists() and not request.overwrite:
            raise CallError(f"{path} exists; add --overwrite or choose another folder.")
    out.mkdir(exist_ok=True)


def write_parts(
    places: Places,
    stack: FocalStack,
    masks: FocusMasks,
    labels: FocusLabels | None,
    *,
    overwrite: bool,
) -> tuple[str, ...]:
    """Write what was asked for of one field with an answer; the paths, in order."""
    about = f"parfocal segment of {stack.source}, {masks.method}"
    for what in ("masks", "probabilities"):
        if what in places:
            write_masks(masks, places[what], what=what, overwrite=overwrite)
    if "sections" in places:
        record = {"content": "sections", "method": masks.method}
        cut = optical_sections(stack, masks)
        write_stack(cut, places["sections"], record=record, overwrite=overwrite)
        _write_flat(places["projection"], {"sectioned": sectioned_projection(stack, masks)},
                    stack, about)  # fmt: skip
    if "height" in places:
        height = focus_height(masks)
        maps = {"z_um" if height.z_known else "plane": height.z_um, "planes": height.planes}
        if height.coverage_um is not None:
            maps["coverage_um"] = height.coverage_um
        _write_flat(places["height"], maps | {"layers": height.layers}, stack, about)
    if "labels" in places and labels is not None:
        write_stack(
            labels.labels,
            places["labels"],
            z_um=masks.z_um if masks.z_known else None,
            pixel_um=masks.pixel_um,
            record={
                "content": "labels",
                "method": masks.method,
                "least_voxels": labels.least_voxels,
                "parts": [part.to_dict() for part in labels.parts],
            },
            is_labels=True,
            overwrite=overwrite,
        )
    if "mesh" in places:
        mesh = focus_mesh(masks, of="masks" if masks.probabilities is None else "probabilities")
        write_mesh(
            mesh.vertices_um, mesh.faces, places["mesh"], description=about, overwrite=overwrite
        )
    return tuple(str(path) for path in places.values() if path.exists())


def _write_flat(place: Path, channels: dict[str, object], stack: FocalStack, about: str) -> None:
    write_whole(
        place,
        lambda path: write_channels(
            path, channels, pixel_um=stack.pixel_um, name=stack.name, description=about  # type: ignore[arg-type]
        ),
    )  # fmt: skip
