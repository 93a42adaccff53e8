"""Trained networks with all they must know: weights, card, catalogue."""

from parfocal.models.card import ModelCard
from parfocal.models.catalog import CATALOG, ModelRow, find_model, model_rows
from parfocal.models.export import Exported, export_onnx
from parfocal.models.export_package import export_bioimageio
from parfocal.models.package import load_model, save_model

__all__ = [
    "CATALOG",
    "Exported",
    "ModelCard",
    "ModelRow",
    "export_bioimageio",
    "export_onnx",
    "find_model",
    "load_model",
    "model_rows",
    "save_model",
]
