from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

import parfocal as pf
from parfocal.core.errors import InputError, MetadataError, UnknownNameError
from parfocal.core.protocols import DefocusPredictor
from parfocal.predict.loading import PREDICTORS
from tests.fabricate.models import TINY_CARD, write_tiny_model

SETUP = pf.OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)


def test_a_model_is_loaded_by_name_or_folder_and_predicts(tmp_path, monkeypatch):
    folder = write_tiny_model(tmp_path / "mine")
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    images = np.random.default_rng(0).poisson(100, (2, 64, 64))
    for model in ("mine", folder, str(folder)):
        predictor = pf.predict.load(model)
        assert isinstance(predictor, pf.predict.Predictor)
        assert isinstance(predictor, DefocusPredictor)
        guess = predictor.predict(images, spacing_um=3.0, setup=SETUP)
        assert isinstance(guess, pf.DefocusEstimate)
        assert guess.defocus_um == pytest.approx(-1.5, abs=0.01)  # focus half-way


def test_a_name_that_is_no_model_is_told_those_there_are(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "mine")
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    with pytest.raises(UnknownNameError, match="mine"):
        pf.predict.load("yours")


def test_a_model_for_another_task_is_refused_by_name():
    card = TINY_CARD.model_copy(update={"architecture": "parfocal.nets.refocus:UNet"})
    with pytest.raises(MetadataError, match=r"no predictor of defocus.*UNet.*PairNetwork"):
        pf.predict.find_predictor(card)


def test_a_device_that_is_not_there_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match="no device 'abacus'"):
        pf.predict.load("whatever", device="abacus")


@pytest.mark.parametrize("row", PREDICTORS, ids=lambda row: row.architecture)
def test_every_row_names_a_network_and_a_predictor(row):
    for address in (row.architecture, row.predictor):
        module, _, name = address.partition(":")
        found = getattr(importlib.import_module(module), name)
        assert inspect.isclass(found)
    parameters = inspect.signature(found.predict).parameters
    assert {"images", "spacing_um", "setup", "saturation_counts"} <= set(parameters)
    assert 1 <= row.images <= 3
