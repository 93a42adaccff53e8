"""Defocus from one image by an LED: published features against numpy, and whole predictions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import race, verdict
from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard, load_model
from parfocal.nets.spectrum import SpectrumPerceptron
from parfocal.predict.spectrum import magnitude_features, published_bins
from parfocal.predict.spectrum_predictor import SpectrumCalibration, SpectrumPredictor

SETUP = OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.325)
SIDE = 1024 * SETUP.pixel_um * SETUP.na / SETUP.wavelength_um
MOST_MS, PAPER_MS = 10.0, 50.0


def _features_by_numpy(image: NDArray[Any]) -> NDArray[Any]:
    """All of the transform in float64, then the part that is kept."""
    across, along = published_bins(SIDE)
    rows = []
    for y in (0, 1024):
        for x in (0, 1024):
            patch = image[y : y + 1024, x : x + 1024].astype(np.float64)
            power = np.abs(np.fft.fft2(patch - patch.mean()))
            kept = np.concatenate([power[:across, -along:], power[:across, :along]], axis=1)
            rows.append(kept.ravel() / np.linalg.norm(kept))
    return np.array(rows)


def _features(image: NDArray[Any]) -> torch.Tensor:
    across, along = published_bins(SIDE)
    counts = torch.from_numpy(image.astype(np.float32))
    return magnitude_features(counts, across=across, along=along)


def published_predictor() -> SpectrumPredictor:
    """The published network with weights that were never trained: as fast as any."""
    across, along = published_bins(SIDE)
    card = ModelCard(
        name="pinkard2019", task="", architecture="parfocal.nets.spectrum:SpectrumPerceptron",
        settings={}, recipe={}, commit="", seed=0, data="", seconds=0, machine="", metrics={},
        coverage={}, limits=(),
        calibration=SpectrumCalibration(kind="magnitude", side=SIDE, reach=1e9).model_dump(),
    )  # fmt: skip
    return SpectrumPredictor([SpectrumPerceptron(inputs=across * 2 * along)], card)


def print_led(*, quick: bool) -> None:
    """Features and predictions of one image of 2048 x 2048."""
    image = np.random.default_rng(0).poisson(1000, (2048, 2048)).astype(np.uint16)
    contenders = {
        "features": partial(_features, image),
        "numpy": partial(_features_by_numpy, image),
    }
    # Frame after frame, as a camera sends them; numpy in between would empty the caches.
    predictions = {"published": partial(published_predictor().predict, image, setup=SETUP)}
    np.testing.assert_allclose(contenders["features"](), contenders["numpy"](), atol=1e-5)
    try:
        networks, card = load_model("led-phase")
        predictions["led-phase"] = partial(
            SpectrumPredictor(networks, card).predict, image, setup=SETUP
        )
    except InputError:
        pass
    rounds = 5 if quick else 21
    times = race(contenders, rounds) | race(predictions, rounds)
    print("\nDefocus of one image of 2048 x 2048 by an LED")
    own, other = times["features"], times["numpy"]
    ratio = verdict(other.over(own), 10.0, at_most=False)
    print(f"published features, 4 patches of 1024: {own.wall_ms:.2f} ms; numpy {other.wall_ms:.1f}")
    print(f"  faster by processor time {ratio}; by the clock {other.over_by_clock(own):.1f}")
    for name in ("published", "led-phase"):
        if name in times:
            wall = times[name].wall_ms
            print(
                f"whole prediction, {name}: {verdict(wall, MOST_MS, at_most=True)} ms; "
                f"{PAPER_MS / wall:.1f} x the paper's {PAPER_MS:g} ms"
            )
