"""Making LED predictors at toy size: the whole way, and what decides it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parfocal.models import load_model
from parfocal.predict.spectrum_predictor import SpectrumCalibration, SpectrumPredictor
from parfocal.simulate.led_fields import FeatureSet, simulate_led_stack
from parfocal.train.held_out import HeldOut
from parfocal.train.spectrum_making import (
    CALIBRATION,
    MEASUREMENT,
    VALIDATION,
    make_spectrum_model,
    wanted_stacks,
)
from parfocal.train.spectrum_task import (
    LedPhaseRecipe,
    Pinkard2019Recipe,
    answers_of,
    extract_of,
    fit_spectrum,
)
from parfocal.train.spectrum_trials import LedTrials, calibrate_led, measure_led

OURS = LedPhaseRecipe(
    kinds=(("glass_beads", 2),), size_px=260, planes=2, steps=4, epoch_steps=2, batch=4,
    widths=(4, 4, 4, 4), hidden=8,
)  # fmt: skip
PUBLISHED = Pinkard2019Recipe(
    kinds=(("glass_beads", 2),), size_px=128, planes=2, steps=4, epoch_steps=2, batch=4,
    hidden=8, layers=2, validation=1,
)  # fmt: skip


@pytest.mark.parametrize("recipe", [OURS, PUBLISHED], ids=["ours", "published"])
def test_a_model_is_made_saved_and_asked(recipe, tmp_path):
    card = make_spectrum_model(recipe, tmp_path, held_out=HeldOut(fields=2))
    networks, kept = load_model(tmp_path)
    assert kept == card
    assert not list(tmp_path.glob("*.ckpt"))
    assert {"answered_glass_beads", "answered_blood_smear", "rmse_um_all"} & set(card.metrics)
    image = simulate_led_stack(recipe.fields, "glass_beads", seed=9).images[0]
    guess = SpectrumPredictor(networks, kept).predict(image, setup=recipe.fields.setup)
    assert guess.reason


def test_stacks_that_train_choose_calibrate_and_measure_are_others():
    groups = [
        set(wanted_stacks(OURS, first, 50)) for first in (0, VALIDATION, CALIBRATION, MEASUREMENT)
    ]
    assert sum(len(group) for group in groups) == len(set().union(*groups))


def test_the_published_network_learns_what_it_is_shown():
    """Features that say the defocus outright: a straight line is within any network's reach."""
    defocus = torch.linspace(-20, 20, 40).reshape(10, 4)
    told = FeatureSet(
        features=defocus[..., None] * torch.tensor([1.0, -0.5]), defocus_um=defocus,
        kinds=("",) * 10,
    )  # fmt: skip
    recipe = PUBLISHED.model_copy(
        update={"steps": 150, "epoch_steps": 150, "peak_rate": 1e-2, "dropout": 0.0}
    )
    trained = fit_spectrum(recipe, told)
    answers = answers_of(trained.network, recipe, told).um
    assert float((answers - defocus).abs().mean()) < 2.0


def test_an_image_mirrored_across_the_axis_of_the_led_has_the_same_answer():
    stack = simulate_led_stack(OURS.fields, "glass_beads", seed=1)
    told = FeatureSet(
        features=extract_of(OURS)(stack)[None], defocus_um=stack.defocus_um[None], kinds=("",)
    )
    network = fit_spectrum(OURS.model_copy(update={"steps": 1, "epoch_steps": 1}), told).network
    one = answers_of(network, OURS, told)
    other = answers_of(network, OURS, replace(told, features=told.features.flip(-1)))
    torch.testing.assert_close(one.um, other.um, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(one.certainty, other.certainty, atol=1e-5, rtol=1e-4)
    assert float(one.certainty.min()) > 0


def test_fine_tuning_goes_on_from_a_network():
    stack = simulate_led_stack(OURS.fields, "glass_beads", seed=1)
    features = extract_of(OURS)(stack)[None].half()
    examples = FeatureSet(
        features=features, defocus_um=stack.defocus_um[None], kinds=("glass_beads",)
    )
    first = fit_spectrum(OURS, examples).network
    still = OURS.model_copy(update={"peak_rate": 1e-12, "steps": 1, "epoch_steps": 1})
    tuned = fit_spectrum(still, examples, first=first).network
    for before, after in zip(first.parameters(), tuned.parameters(), strict=True):
        torch.testing.assert_close(before, after)


def _trials(count=400, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-12, 12, count)
    widths = np.full(count, spread)
    return LedTrials(
        kinds=np.where(np.arange(count) % 2, "a", "b"), truth=truth,
        centre=truth + 3 * widths * rng.standard_normal(count), spread=widths,
        certainty=rng.uniform(0.2, 0.9, count), strange=rng.uniform(0.8, 1.2, count),
        apart=rng.uniform(0.0, 0.5, count),
        is_clear=np.ones(count, bool),
    )  # fmt: skip


def test_intervals_hold_on_further_fields_though_the_network_is_too_sure():
    known, faults = calibrate_led(_trials(spread=0.2), SpectrumCalibration())
    assert not faults
    assert known.most_strange == pytest.approx(2.0 * 1.2, rel=0.02)
    assert known.most_apart == pytest.approx(1.1 * 0.5, rel=0.05)
    _, coverage = measure_led(_trials(spread=0.2, seed=1), known, depth_um=2.0)
    assert 0.86 < coverage["all"] < 0.97


def test_a_threshold_keeps_bad_answers_back():
    trials = _trials(spread=0.1)
    bad = trials.certainty < 0.5
    trials.centre[bad] = -trials.truth[bad]
    known, _ = calibrate_led(trials, SpectrumCalibration())
    assert 0.475 <= known.least_certainty <= 0.525
    metrics, _ = measure_led(trials, known, depth_um=2.0)
    assert metrics["wrong_signs_all"] <= 0.01
    assert metrics["every_rmse_um_all"] > metrics["rmse_um_all"]
