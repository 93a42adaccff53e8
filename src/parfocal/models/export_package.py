"""A model as a bioimage.io package: ONNX, test tensors, cover and description in one zip."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from parfocal import __version__
from parfocal.core.errors import ParfocalError
from parfocal.models.architectures import find_architecture
from parfocal.models.card import ModelCard
from parfocal.models.export import (
    LIBRARIES,
    MOST_DIFFERENCE,
    OPSET,
    Exported,
    build_graph,
    optional,
    write_onnx,
)
from parfocal.models.export_ports import Axis, Graph, Port
from parfocal.models.package import load_model

DESCRIPTION, ONNX, PAGE, COVER = "bioimageio.yaml", "weights.onnx", "README.md", "cover.png"
SPEC = "bioimageio.spec"
FORMAT = "0.5.4"
COVER_SCALE = 4


def export_bioimageio(model: str | Path, path: Path) -> Exported:
    """Write a model as a bioimage.io package, which ``bioimageio test`` accepts.

    The zip holds the file of ``export_onnx``, inputs to test it with and what torch makes of them,
    the card as its page, and a cover. It conforms to the model description 0.5 of bioimage.io.

    Parameters
    ----------
    model
        Name in the catalogue, or a folder.
    path
        File to write; one that exists is replaced.

    Raises
    ------
    UnknownNameError, ReadError
        If there is no such model, or it is damaged.
    InputError
        If its architecture cannot be exported.
    MissingExtraError
        If the extra ``bioimageio`` is not installed.
    ParfocalError
        If the package would not conform, or not compute what torch does.
    """
    for name in (*LIBRARIES, SPEC):
        optional(name, "A bioimage.io package", "bioimageio")
    networks, card = load_model(model)
    graph = build_graph(networks, card)
    inputs = graph.example(generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = graph(*inputs)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        exported = write_onnx(graph, card, folder / ONNX)
        for port, tensor in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
            np.save(folder / _file(port), tensor.numpy(), allow_pickle=False)
        (folder / PAGE).write_text(card.to_markdown(), encoding="utf-8")
        _save_image(_cover(inputs[0]), folder / COVER)
        # JSON is YAML too. bioimageio's own writer fails with pydantic 2.14.
        description = _description(graph, card, outputs)
        text = json.dumps(description, indent=2, ensure_ascii=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        _require_valid(folder / DESCRIPTION, card.name)
        with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as package:
            for file in sorted(folder.iterdir()):
                package.write(file, file.name)
    return Exported(path, card, graph.inputs, graph.outputs, exported.largest_difference)


def _description(graph: Graph, card: ModelCard, outputs: Sequence[Tensor]) -> dict[str, Any]:
    """Fields of the model description."""
    row = find_architecture(card.architecture)
    tags = ["parfocal", "pytorch", "onnx", "microscopy", *([row.verb] if row else [])]
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": re.sub(r"[^A-Za-z0-9_+\- ()]", "-", f"parfocal {card.name}")[:64],
        "description": card.task[:1024],
        "version": __version__,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "authors": [{"name": "The parfocal developers"}],
        "license": "BSD-3-Clause",
        "tags": tags,
        "documentation": {"source": PAGE},
        "covers": [{"source": COVER}],
        "inputs": [_tensor(port, is_input=True) for port in graph.inputs],
        "outputs": [_tensor(port, is_input=False) for port in graph.outputs],
        "weights": {"onnx": {"source": ONNX, "opset_version": OPSET}},
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [
                    _tolerance(port, tensor)
                    for port, tensor in zip(graph.outputs, outputs, strict=True)
                ]
            },
            "parfocal": {"card": card.model_dump(mode="json")},
        },
    }


def _tolerance(port: Port, tensor: Tensor) -> dict[str, Any]:
    """How far other programs' outputs may be off; bioimage.io allows 1 % of the largest."""
    absolute = min(MOST_DIFFERENCE, 0.005 * float(tensor.max()))
    return {
        "output_ids": [port.name],
        "relative_tolerance": 1e-3,
        "absolute_tolerance": max(0.0, absolute),
        "mismatched_elements_per_million": 0,
    }


def _tensor(port: Port, *, is_input: bool) -> dict[str, Any]:
    known: dict[str, Any] = {"optional": False, "preprocessing": []} if is_input else {}
    return known | {
        "id": port.name,
        "description": port.what,
        "axes": [_axis(axis) for axis in port.axes],
        "data": {"type": "float32"},
        "test_tensor": {"source": _file(port)},
    }


def _file(port: Port) -> str:
    return f"{port.name}.npy"


def _axis(axis: Axis) -> dict[str, Any]:
    if axis.kind == "batch":
        return {"type": "batch"}
    if axis.kind == "channel":
        return {"type": "channel", "channel_names": list(axis.channels)}
    size = {"min": axis.least_px, "step": axis.step_px}
    return {"type": "space", "id": axis.name, "size": size}


def _require_valid(description: Path, name: str) -> None:
    """Raise ParfocalError with what bioimage.io finds wrong with a package."""
    spec = import_module(SPEC)
    with _silent():
        found = spec.load_description(description)
        fault = str(found.get_reason()) if isinstance(found, spec.InvalidDescr) else None
        del found  # while its open files are no news
    if fault is not None:
        raise ParfocalError(
            f"{name} makes no valid bioimage.io package: {' '.join(fault.split()).lstrip(': ')}"
        )


def _cover(images: Float[Tensor, "b c y x"]) -> UInt8[np.ndarray, "v u"]:
    """The channels of the first example side by side, as squares, each to its own range."""
    side = min(images.shape[-2:])
    tiles = []
    for image in images[0, :, :side, :side]:
        low, high = image.aminmax()
        grey = 255 * (image - low) / (high - low).clamp(min=1e-6)
        tiles.append(np.kron(grey.numpy(), np.ones((COVER_SCALE, COVER_SCALE))))
    return np.hstack(tiles).round().astype(np.uint8)


def _save_image(image: UInt8[np.ndarray, "y x"], path: Path) -> None:
    import_module("imageio.v3").imwrite(path, image)  # comes with bioimageio


@contextmanager
def _silent() -> Iterator[None]:
    """Without the log of bioimageio, which tells its user of every field left empty."""
    logger = import_module("loguru").logger
    logger.disable("bioimageio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves files to be closed later
            yield
    finally:
        logger.enable("bioimageio")
