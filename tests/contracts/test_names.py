"""Every global name that a function uses exists: linters do not look, for shapes are no names."""

from __future__ import annotations

import builtins
import dis
import importlib
import pkgutil
from types import CodeType, ModuleType

import pytest

import parfocal

OPTIONAL = {"pymmcore_plus", "useq", "napari", "onnx", "onnxruntime", "bioimageio", "tensorboard"}


def modules():
    found = pkgutil.walk_packages(parfocal.__path__, "parfocal.")
    return sorted(each.name for each in found)


def undefined(module: ModuleType, code: CodeType) -> set[str]:
    """Globals that code loads, and that neither the module nor Python has."""
    loaded = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    missing = {name for name in loaded if not hasattr(module, name) and not hasattr(builtins, name)}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            missing |= undefined(module, inner)
    return missing


@pytest.mark.parametrize("name", modules())
def test_every_name_that_is_used_is_there(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").split(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    spec = module.__spec__
    assert spec is not None
    assert spec.loader is not None
    code = spec.loader.get_code(name)  # type: ignore[attr-defined]
    assert undefined(module, code) == set()
