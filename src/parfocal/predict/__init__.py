"""Signed defocus from one image or a few."""

from __future__ import annotations

from parfocal.predict.aperture import ApertureFit, fit_aperture
from parfocal.predict.calibration import Calibration
from parfocal.predict.dense import defocus_map
from parfocal.predict.loading import (
    DEFAULT_MODEL,
    PREDICTORS,
    Predictor,
    PredictorRow,
    find_predictor,
    load,
)
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.tilt import fit_tilt

__all__ = [
    "DEFAULT_MODEL",
    "PREDICTORS",
    "ApertureFit",
    "Calibration",
    "PairPredictor",
    "Predictor",
    "PredictorRow",
    "defocus_map",
    "find_predictor",
    "fit_aperture",
    "fit_tilt",
    "load",
]
