"""An exported model computes what parfocal does, in ONNX Runtime and by bioimage.io's own test."""

from __future__ import annotations

import gc
import json
import os
import re
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard, export_bioimageio, load_model, save_model
from parfocal.models.export import CARD_KEY
from parfocal.nets.pair import PairNetwork
from parfocal.predict.pair_predictor import PairPredictor
from tests.fabricate.models import SHAPE, TINY_CARD

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("bioimageio.spec", reason="the extra bioimageio is not installed")

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "export-a-model.md"
SETUP = OpticalSetup(na=0.6, wavelength_nm=530, pixel_um=0.45, immersion_index=1.33)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A model of two networks that judge differently, its package, and the ONNX file in that."""
    place = tmp_path_factory.mktemp("exports")
    torch.manual_seed(0)
    networks = [PairNetwork(**SHAPE) for _ in range(2)]
    for module in (module for network in networks for module in network.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.5)
    save_model(place / "tiny", TINY_CARD.model_copy(update={"members": 2}), networks)
    package = place / "tiny.zip"
    exported = export_bioimageio(place / "tiny", package)
    assert exported.largest_difference < 1e-4
    with zipfile.ZipFile(package) as content:
        content.extract("weights.onnx", place)
    return SimpleNamespace(
        folder=place / "tiny", package=package, onnx=place / "weights.onnx", exported=exported
    )


@pytest.mark.parametrize(
    ("count", "size_y", "size_x", "spacing_um"),
    [(1, 64, 64, 2.0), (5, 128, 96, 3.1), (3, 32, 64, 0)],
)
def test_onnx_runtime_judges_patches_as_the_predictor_does(
    written, count, size_y, size_x, spacing_um
):
    images = np.random.default_rng(count).poisson(40.0, (count, 2, size_y, size_x)) * 9 + 100
    images = images.astype(np.float32)
    images[-1] = images[-1] if count == 1 else 7.0  # one patch is blank
    depth_um = SETUP.effective_depth_of_field_um
    predictor = PairPredictor(*load_model(written.folder))
    predictor.__dict__["working"] = SimpleNamespace(networks=predictor.networks)
    expected, clear = predictor._judge(
        torch.from_numpy(images),
        spacing_um / depth_um,
        pixel=SETUP.pixel_um * SETUP.na / SETUP.wavelength_um,
        ratio=SETUP.na / SETUP.immersion_index,
    )
    optics = [SETUP.na, SETUP.wavelength_um, SETUP.pixel_um, spacing_um, SETUP.immersion_index]
    session = onnxruntime.InferenceSession(written.onnx, providers=["CPUExecutionProvider"])
    probabilities, defocus_um, certainty, transmitted = session.run(
        ["probabilities", "defocus_um", "certainty", "transmitted"],
        {"images": images, "optics": np.tile(np.float32(optics), (count, 1))},
    )
    np.testing.assert_allclose(probabilities, expected.detach(), atol=1e-4)
    np.testing.assert_allclose(transmitted[:, 0], clear.detach(), atol=1e-4)
    middle_um = probabilities @ np.linspace(-8, 8, 33) * depth_um
    np.testing.assert_allclose(defocus_um[:, 0], middle_um - spacing_um / 2, atol=1e-3)
    np.testing.assert_allclose(np.diff(defocus_um)[:, 0], spacing_um, atol=1e-5)
    logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    np.testing.assert_allclose(
        certainty[:, 0], 1 + (probabilities * logs).sum(1) / np.log(33), atol=1e-4
    )


def test_the_file_holds_the_card_and_nothing_of_the_machine(written):
    model = onnx.load(written.onnx)
    onnx.checker.check_model(model, full_check=True)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelCard.model_validate_json(kept[CARD_KEY]) == load_model(written.folder)[1]
    sizes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert sizes == {
        "images": ["batch", 2, "y", "x"],
        "optics": ["batch", 5],
        "probabilities": ["batch", 33],
        "defocus_um": ["batch", 2],
        "certainty": ["batch", 1],
        "transmitted": ["batch", 1],
    }
    content = written.onnx.read_bytes()
    for trace in (os.fsencode(Path(torch.__file__).parent), b"site-packages", b".py"):
        assert trace not in content


def test_the_package_passes_the_test_of_bioimageio(written, capfd):
    core = pytest.importorskip("bioimageio.core", reason="bioimageio.core is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # bioimageio leaves files to be closed
        summary = core.test_model(written.package)
        gc.collect()
    faults = [error.msg for detail in summary.details for error in detail.errors]
    assert (summary.status, faults) == ("passed", [])
    tried = [detail.name for detail in summary.details if "batch_size: 2" in detail.name]
    assert len(tried) >= 2  # sides of several sizes
    capfd.readouterr()


def test_the_package_says_what_it_is(written):
    with zipfile.ZipFile(written.package) as content:
        description = json.loads(content.read("bioimageio.yaml"))
        page = content.read("README.md").decode()
        cover = content.read("cover.png")
    assert description["license"] == "BSD-3-Clause"
    assert description["config"]["parfocal"]["card"]["name"] == "tiny"
    assert [tensor["id"] for tensor in description["inputs"]] == ["images", "optics"]
    assert page == load_model(written.folder)[1].to_markdown()
    assert cover.startswith(b"\x89PNG")


def test_the_example_of_the_guide_runs(written, tmp_path, monkeypatch):
    (tmp_path / "pair.onnx").write_bytes(written.onnx.read_bytes())
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    exec(compile(block, GUIDE.name, "exec"), {})  # noqa: S102
