"""Trained networks with all they must know: weights, card, catalogue."""

from parfocal.models.card import ModelCard
from parfocal.models.catalog import CATALOG, ModelRow, find_model, model_rows
from parfocal.models.package import load_model, save_model

__all__ = [
    "CATALOG",
    "ModelCard",
    "ModelRow",
    "find_model",
    "load_model",
    "model_rows",
    "save_model",
]
