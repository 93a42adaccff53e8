"""Every search keeps the contract for searches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from parfocal import drive
from parfocal.core.results import Status
from parfocal.testing import SearchContract
from parfocal.testing.searches import PracticeScope


@dataclass
class _Answer:
    status: str = Status.FOUND
    reason: str = "by the contrast"
    defocus_um: float | None = None
    interval_um: tuple[float, float] | None = None


class ContrastPredictor:
    """Reads the distance off the contrast of ``PracticeScope``; takes focus to lie above."""

    def predict(self, images, *, spacing_um=None, setup=None):
        share = min(1.0, float(np.std(images[0])) / float(300.0 * np.std(_TEXTURE)))
        away = 1.5 * np.sqrt(1 / share - 1)
        return _Answer(defocus_um=-away, interval_um=(-away - 0.4, -away + 0.4))


_TEXTURE = PracticeScope()._texture

SEARCHES = {
    "sweep": drive.SweepSearch(),
    "coarse-fine": drive.CoarseFineSearch(),
    "early-stop": drive.EarlyStopSearch(),
    "brent": drive.BrentSearch(),
    "golden": drive.GoldenSearch(),
    "auto": drive.AutoSearch(),
    "bayes": drive.BayesianSearch(),
    "hill-climb": drive.HillClimbSearch(),
    "chain": drive.ChainSearch(),
    "predictor": drive.PredictorSearch(predictor=ContrastPredictor()),
    "predictor-landing": drive.PredictorSearch(predictor=ContrastPredictor(), land_images=7),
}


class TestSearches(SearchContract):
    @pytest.fixture(params=sorted(SEARCHES))
    def search(self, request):
        return SEARCHES[request.param]


class TestContinuousSweep(SearchContract):
    must_find = False  # the practice scope does not stream

    @pytest.fixture
    def search(self):
        return drive.ContinuousSweepSearch()
