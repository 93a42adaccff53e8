"""A model as one ONNX graph, with its card inside and its answers compared with torch's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from parfocal import __version__
from parfocal.core.errors import InputError, MissingExtraError, ParfocalError
from parfocal.models.architectures import ARCHITECTURES, find_architecture
from parfocal.models.card import ModelCard
from parfocal.models.export_ports import Graph, Port
from parfocal.models.package import load_model

MOST_DIFFERENCE = 1e-4
"""Between what ONNX Runtime and torch compute, relative to 1 or to the larger number."""
OPSET = 18
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
CARD_KEY, VERSION_KEY = "parfocal_card", "parfocal_version"


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Parameters
    ----------
    path
        Of the file.
    card
        Of the model that it holds.
    inputs, outputs
        Of its graph.
    largest_difference
        Between what ONNX Runtime and torch computed for two examples.
    """

    path: Path
    card: ModelCard
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    largest_difference: float


def export_onnx(model: str | Path, path: Path) -> Exported:
    """Write a model as one ONNX file that needs neither torch nor parfocal.

    All members of the ensemble, the normalisation of the images, and the mean are inside; batch
    and sides are free. The card is in the file's metadata, as JSON under ``parfocal_card``. What
    ONNX Runtime computes with the file is compared with torch before it is returned.

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
        If the extra ``onnx`` is not installed.
    ParfocalError
        If the file would not compute what torch does.
    """
    for name in LIBRARIES:
        optional(name, "An ONNX file", "onnx")
    networks, card = load_model(model)
    return write_onnx(build_graph(networks, card), card, path)


def write_onnx(graph: Graph, card: ModelCard, path: Path) -> Exported:
    """Write a graph and compare it with torch; as ``export_onnx``, which says what it raises."""
    path.write_bytes(onnx_bytes(graph, card))
    difference = largest_difference(graph, path)
    if not difference <= MOST_DIFFERENCE:
        path.unlink()
        raise ParfocalError(
            f"{card.name}: ONNX Runtime differs from torch by {difference:.2g}, and at most "
            f"{MOST_DIFFERENCE:g} is allowed; no file was written. Please report it."
        )
    return Exported(path, card, graph.inputs, graph.outputs, difference)


def build_graph(networks: Sequence[nn.Module], card: ModelCard) -> Graph:
    """Wrap an ensemble for export; an architecture without a graph raises InputError."""
    row = find_architecture(card.architecture)
    if row is None or row.graph is None:
        known = ", ".join(sorted(row.address for row in ARCHITECTURES if row.graph))
        raise InputError(
            f"{card.name} is a {card.architecture}, and there is no export of those; "
            f"there is one of: {known}."
        )
    module, _, name = row.graph.partition(":")
    graph = getattr(import_module(module), name)(networks, card)
    return cast(Graph, graph.eval())


def onnx_bytes(graph: Graph, card: ModelCard) -> bytes:
    """Translate a graph; free axes stay free, and nothing of this machine is kept."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            cast(nn.Module, graph),
            graph.example(generator=torch.Generator().manual_seed(0)),
            dynamo=True,
            dynamic_shapes=tuple(_free_axes(port) for port in graph.inputs),
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ParfocalError(f"{card.name}: torch gave no ONNX program. Please report it.")
    proto = program.model_proto
    _strip(proto)
    for port, value in zip(
        (*graph.inputs, *graph.outputs), (*proto.graph.input, *proto.graph.output), strict=True
    ):
        value.doc_string = port.what
        for axis, dimension in zip(port.axes, value.type.tensor_type.shape.dim, strict=True):
            if axis.kind != "channel":
                dimension.dim_param = axis.name
    proto.doc_string = card.task
    for key, text in ((CARD_KEY, card.model_dump_json()), (VERSION_KEY, __version__)):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, text
    return bytes(proto.SerializeToString(deterministic=True))


def largest_difference(graph: Graph, path: Path) -> float:
    """Between ONNX Runtime and torch, over two examples of different sizes."""
    onnxruntime = optional("onnxruntime", "An ONNX file", "onnx")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    whole = graph.example(generator=torch.Generator().manual_seed(1))
    largest = 0.0
    for tensors in (whole, _smaller(graph, whole)):
        feed = {port.name: t.numpy() for port, t in zip(graph.inputs, tensors, strict=True)}
        with torch.inference_mode():
            expected = graph(*tensors)
        for ours, theirs in zip(expected, session.run(None, feed), strict=True):
            gap = (torch.from_numpy(theirs) - ours).abs() / ours.abs().clamp(min=1)
            largest = max(largest, float(gap.nan_to_num(nan=torch.inf).max()))
    return largest


def _smaller(graph: Graph, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The first of the batch, at the least sides."""
    kept = []
    for port, tensor in zip(graph.inputs, tensors, strict=True):
        sizes = [slice(None if axis.kind == "channel" else axis.least_px) for axis in port.axes]
        kept.append(tensor[tuple(sizes)].contiguous())
    return tuple(kept)


def _free_axes(port: Port) -> dict[int, Any]:
    """Sizes of an input that an export must leave open; those of one name are equal."""
    free: dict[int, Any] = {}
    for place, axis in enumerate(port.axes):
        if axis.kind == "batch":
            free[place] = torch.export.Dim("batch")
        elif axis.kind == "space":
            steps = torch.export.Dim(f"{axis.name}_steps", min=axis.least_px // axis.step_px)
            free[place] = axis.step_px * steps
    return free


def _strip(proto: Any) -> None:
    """Take out what an export notes of its own code: file names, source lines, inner shapes."""
    del proto.metadata_props[:]
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        del graph.value_info[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says of its own parts, and of libraries it does not find."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "torch.__trace")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def optional(name: str, what: str, extra: str) -> Any:
    """Import what an extra installs; MissingExtraError names the extra where it is absent."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(what, extra) from error
