"""Write what ``parfocal models export`` was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from parfocal.cli.exits import DONE
from parfocal.cli.models_table import model_folder
from parfocal.cli.outputs import check_apart, check_output, write_whole
from parfocal.cli.printable import printable
from parfocal.models.export import Exported, export_onnx
from parfocal.models.export_package import export_bioimageio
from parfocal.models.export_ports import Axis, Port

EXPORTERS: dict[str, Callable[[str | Path, Path], Exported]] = {
    "onnx": export_onnx,
    "bioimageio": export_bioimageio,
}


def run_export(name: str, out: Path, *, form: str, overwrite: bool) -> int:
    """Export, and say what the file takes and gives."""
    folder = model_folder(name)
    check_output(out, overwrite=overwrite, option="OUT")
    check_apart([out], folder.iterdir())
    results = []
    write_whole(out, lambda place: results.append(EXPORTERS[form](folder, place)))
    (exported,) = results
    lines = [f"wrote {out}: {out.stat().st_size / 1e6:.1f} MB"]
    lines += [f"  in   {_port_text(port)}" for port in exported.inputs]
    lines += [f"  out  {_port_text(port)}" for port in exported.outputs]
    gap = exported.largest_difference
    lines.append(f"ONNX Runtime and torch agree: largest difference {gap:.1g} of two examples")
    typer.echo("\n".join(printable(line) for line in lines))
    return DONE


def _port_text(port: Port) -> str:
    return f"{port.name} ({', '.join(_axis_text(axis) for axis in port.axes)}): {port.what}"


def _axis_text(axis: Axis) -> str:
    if axis.kind == "channel":
        return _few(axis.channels)
    if axis.kind == "batch":
        return "any number"
    return f"{axis.name} of {axis.least_px}, {axis.least_px + axis.step_px}, .. px"


def _few(names: Sequence[str]) -> str:
    return " ".join(names) if len(names) <= 6 else f"{len(names)}: {names[0]} .. {names[-1]}"
