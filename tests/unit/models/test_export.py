"""What an export refuses; what it writes is in tests/parity/test_exports.py."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from parfocal.core.errors import InputError, MissingExtraError, ParfocalError
from parfocal.models import export, export_bioimageio, export_onnx, load_model
from parfocal.models.architectures import ARCHITECTURES
from parfocal.models.export_ports import Port
from parfocal.nets.pair import PairNetwork
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.posterior import certainty
from tests.fabricate.models import SHAPE, TINY_CARD, write_tiny_model


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "tiny")


@pytest.mark.parametrize(
    ("write", "library", "extra"),
    [
        (export_onnx, "onnxruntime", "onnx"),
        (export_onnx, "onnxscript", "onnx"),
        (export_bioimageio, "onnx", "bioimageio"),
        (export_bioimageio, "bioimageio.spec", "bioimageio"),
    ],
)
def test_a_missing_extra_gets_one_line(write, library, extra, folder, tmp_path, monkeypatch):
    for name in ("onnx", "onnxscript", "onnxruntime", "bioimageio.spec"):
        monkeypatch.setitem(sys.modules, name, torch)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError) as caught:
        write(folder, tmp_path / "out")
    assert f"pip install 'parfocal[{extra}]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["other:Other", "li2021:Li2021Network"])
def test_an_architecture_without_an_export_names_those_with_one(name):
    card = TINY_CARD.model_copy(update={"architecture": f"parfocal.nets.{name}"})
    with pytest.raises(InputError, match=r"parfocal\.nets\.pair:PairNetwork"):
        export.build_graph([], card)


def test_a_file_that_computes_something_else_is_not_left(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "optional", lambda *_: None)
    monkeypatch.setattr(export, "onnx_bytes", lambda *_: b"wrong")
    monkeypatch.setattr(export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ParfocalError, match="differs from torch by nan"):
        export_onnx(folder, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.address)
def test_every_architecture_names_a_class_and_a_graph_that_exist(row):
    from importlib import import_module

    for address in filter(None, (row.address, row.graph)):
        module, _, name = address.partition(":")
        assert hasattr(import_module(module), name)


def test_inputs_and_outputs_are_described_as_they_are(folder):
    networks, card = load_model(folder)
    graph = export.build_graph(networks, card)
    inputs = graph.example(generator=torch.Generator().manual_seed(0))
    for port, tensor in zip(
        (*graph.inputs, *graph.outputs), (*inputs, *graph(*inputs)), strict=True
    ):
        assert isinstance(port, Port)
        assert len(port.what) <= 128
        assert tensor.dtype == torch.float32
        for axis, size in zip(port.axes, tensor.shape, strict=True):
            if axis.kind == "channel":
                assert len(axis.channels) == size
            if axis.kind == "space":
                assert (size - axis.least_px) % axis.step_px == 0


def _uneven(networks):
    """Weights that make networks judge differently, and classes that are not symmetrical."""
    torch.manual_seed(0)
    for module in (module for network in networks for module in network.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.5)
    return networks


@pytest.mark.parametrize("spacing_um", [0.0, 2.5])
def test_the_graph_of_pairs_judges_as_the_predictor_does(spacing_um):
    networks = _uneven([PairNetwork(**SHAPE), PairNetwork(**SHAPE)])
    predictor = PairPredictor(networks, TINY_CARD)
    predictor.__dict__["working"] = SimpleNamespace(networks=predictor.networks)
    graph = export.build_graph(networks, TINY_CARD)
    images = 50 + 10 * torch.rand(4, 2, 64, 96)
    images[2] = 3.0
    depth_um = 1.2 * (0.5 / 0.8**2 + 0.3 / 0.8)
    optics = torch.tensor([0.8, 0.5, 0.3, spacing_um, 1.2]).expand(4, 5)
    with torch.inference_mode():
        expected, clear = predictor._judge(
            images, spacing_um / depth_um, pixel=0.3 * 0.8 / 0.5, ratio=0.8 / 1.2
        )
        probabilities, defocus_um, sure, transmitted = graph(images, optics)
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(transmitted[:, 0], clear, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sure[:, 0], certainty(expected), atol=1e-5, rtol=1e-4)
    middle_um = expected @ torch.linspace(-8, 8, 33) * depth_um
    apart = torch.tensor([-spacing_um / 2, spacing_um / 2])
    torch.testing.assert_close(defocus_um, middle_um[:, None] + apart, atol=1e-4, rtol=1e-4)
