from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.models import load_model
from parfocal.refocus.trust import RefocusCalibration, passes, verdict_facts, verdict_of
from parfocal.simulate.blurred_fields import BlurredFields, Fixed
from parfocal.train import refocus_making
from parfocal.train.held_out import HeldOut
from parfocal.train.loop import train_network
from parfocal.train.recipes import find_recipe
from parfocal.train.refocus_calibrating import (
    area_under_curve,
    calibrate_refocus,
    fit_chance,
    measure_images,
    measure_trust,
)
from parfocal.train.refocus_losses import LEAST_RANGE, ms_ssim, to_unit_range
from parfocal.train.refocus_making import make_refocuser
from parfocal.train.refocus_task import (
    MARGIN_PX,
    BrightfieldRecipe,
    RefocusRecipe,
    RefocusTask,
    doubt_cost,
)
from parfocal.train.refocus_trials import RefocusTrial, deconvolved

TINY = RefocusRecipe(
    name="tiny", widths=(4, 8), blocks=(1, 1), objects=("beads",), batch=2, patch_px=64, steps=4,
    epoch_steps=2, clear=0,
)  # fmt: skip
CPU = torch.device("cpu")


def test_batches_are_the_same_for_the_same_seed_and_end_with_distances():
    task = RefocusTask(TINY)
    one, same = (next(task.batches(3, CPU)) for _ in range(2))
    views, facts, truth, labels = one
    assert views.shape == (2, 6, 64, 64)
    assert facts.shape == (2, 3)
    assert truth.shape == (2, 64, 64)
    assert labels.shape == (2, 18)
    assert bool((labels[:, -1] == 0).all())
    torch.testing.assert_close(labels.sum(1), torch.ones(2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))


def test_stains_are_learnt_as_light_that_is_missing():
    recipe = BrightfieldRecipe(**(TINY.model_dump() | {"is_dark": True, "name": "stains"}))
    views, _, truth, labels = next(RefocusTask(recipe).batches(3, CPU))
    lit = views[:, 0].flatten(1)
    assert bool((lit.median(1).values < 0).all())  # structure is bright, on a dark ground
    assert bool((truth.flatten(1).amax(1) > 2).all())
    torch.testing.assert_close(labels.sum(1), torch.ones(2))
    assert find_recipe("deep-r-brightfield").name == BrightfieldRecipe().name


def test_views_are_those_of_the_image_and_the_truth_is_in_its_units():
    task = RefocusTask(TINY)
    source = BlurredFields(
        batch=8, size_px=64 + 2 * MARGIN_PX, seed=1, objects=("beads",), textures=0,
        nominal_dof=(1.0, 2.0, 3.0, 4.5, 6.5), fixed=Fixed(defocus_dof=0.0, photons=1e6),
    )  # fmt: skip
    views, _, truth, labels = task.batch_of(source.draw())
    torch.testing.assert_close(views[:, 0].mean((1, 2)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(views[:, 0].std((1, 2)), torch.ones(8), atol=1e-3, rtol=0)
    pairs = torch.stack([views[:, 0].flatten(1), truth.flatten(1)], 1)
    alike = [float(torch.corrcoef(pair)[0, 1]) for pair in pairs]
    assert max(alike) > 0.9  # aberrations of the other
    assert float(labels[:, 0].min()) > 0.99


def test_transmitted_light_is_a_class_and_costs_no_image():
    task = RefocusTask(TINY.model_copy(update={"clear": 1}))
    views, facts, truth, labels = next(task.batches(3, CPU))
    assert labels[:, -1].tolist() == [1, 0]
    network = task.build(0)
    cost = task.loss(network, (views, facts, truth, labels)).detach()
    other = truth.clone()
    other[0] += 100.0
    same = task.loss(network, (views, facts, other, labels)).detach()
    torch.testing.assert_close(same, cost)
    other[1] += 100.0
    more = task.loss(network, (views, facts, other, labels)).detach()
    assert float(more) > float(cost) + 1


def test_a_few_steps_on_one_batch_bring_the_cost_down():
    task = RefocusTask(TINY)
    batch = next(task.batches(0, CPU))
    network = task.build(0)
    learner = torch.optim.Adam(network.parameters(), lr=3e-3)
    costs = []
    for _ in range(25):
        cost = task.loss(network, batch)
        learner.zero_grad()
        cost.backward()
        learner.step()
        costs.append(float(cost.detach()))
    assert costs[-1] < 0.8 * costs[0]


def test_training_of_the_same_seed_is_the_same():
    task = RefocusTask(TINY)
    one, same = (train_network(task, TINY.schedule, seed=1).network for _ in range(2))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert RefocusTask(TINY.model_copy(update={"members": 3})).name == task.name


def test_similarity_falls_with_blur_and_noise_and_is_differentiable():
    dice = torch.Generator().manual_seed(0)
    image = torch.rand(1, 64, 64, generator=dice)
    noisy = image + 0.1 * torch.randn(1, 64, 64, generator=dice)
    smooth = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    assert float(ms_ssim(image, image)) == pytest.approx(1.0)
    assert 0.0 < float(ms_ssim(noisy, image)) < 0.999
    assert float(ms_ssim(smooth, image)) < float(ms_ssim(noisy, image))
    torch.testing.assert_close(ms_ssim(noisy, image), ms_ssim(image, noisy))
    opposite = (1 - image).requires_grad_()  # structure below 0
    ms_ssim(opposite, image).sum().backward()
    assert bool(torch.isfinite(opposite.grad).all())


def test_training_may_follow_measuring_at_a_size():
    with torch.inference_mode():
        ms_ssim(torch.rand(1, 52, 60), torch.rand(1, 52, 60))
    image = torch.rand(1, 52, 60).requires_grad_()
    ms_ssim(image, torch.rand(1, 52, 60)).sum().backward()
    assert bool(image.grad.any())


def test_an_empty_truth_has_the_least_range():
    assert float(to_unit_range(torch.zeros(1, 4, 4))[1]) == LEAST_RANGE


def test_doubt_is_least_where_the_predicted_size_is_the_error():
    truth = torch.zeros(1, 4, 4)
    costs = [
        float(doubt_cost(torch.full((1, 2, 2, 2), scale), truth + 0.5, truth + 0.5, truth))
        for scale in (math.log(0.25), math.log(0.5), 0.0)
    ]
    assert costs[1] == min(costs)


def test_the_deconvolution_beside_is_told_the_truth():
    source = BlurredFields(
        batch=2, size_px=64, seed=2, objects=("beads",), textures=0, reuse=1,
        fixed=Fixed(defocus_dof=2.0, photons=2000.0),
    )  # fmt: skip
    drawn = source.draw()
    for k in range(2):
        before = (drawn.images[k] - drawn.sharp[k]).square().mean()
        after = (deconvolved(drawn, k) - drawn.sharp[k]).square().mean()
        assert float(after) < float(before)


def trial(**values):
    usual = {"kind": "neurites", "is_fluorescence": True, "clear": 0.01, "psnr": (20.0, 22.0),
             "ssim": (0.5, 0.6), "dof": 2.0, "centre": 2.5, "spread": 0.5, "gain": 1.0,
             "noise": 0.1, "flux": 1.0, "ranked": 0.8}  # fmt: skip
    return RefocusTrial(**(usual | values))


def _passes(trial, calibration):
    half = calibration.widen * math.hypot(trial.spread, calibration.floor_dof)
    facts = verdict_facts(trial.gain, trial.centre, trial.noise)
    return passes(
        (max(0.0, trial.centre - half), trial.centre + half),
        gain=trial.gain, verdict=verdict_of(facts, calibration), calibration=calibration,
    )  # fmt: skip


def test_the_interval_holds_nine_of_ten_of_further_fields():
    dice = np.random.default_rng(0)

    def fields():
        truth = dice.uniform(0, 6, 400)
        said = np.maximum(truth + dice.laplace(0, 0.5, 400), 0)
        pairs = zip(truth.tolist(), said.tolist(), strict=True)
        return [trial(dof=dof, centre=centre) for dof, centre in pairs]

    calibration, faults = calibrate_refocus(fields(), RefocusCalibration())
    assert faults == ()
    assert 0.85 < measure_trust(fields(), calibration)[1]["all"] < 0.95


def test_verdicts_rank_what_is_worse_than_its_input():
    dice = np.random.default_rng(1)
    fields = []
    for gain in dice.normal(0.5, 1.0, 300).tolist():
        after = 20 + 3 * gain + float(dice.normal())
        fields.append(trial(gain=gain, psnr=(20.0, after)))
    calibration, _ = calibrate_refocus(fields, RefocusCalibration())
    assert calibration.verdict_slope > 0
    assert measure_trust(fields, calibration)[0]["auc_worse_than_input"] > 0.9


def test_near_focus_answers_need_the_chance_at_which_hardly_any_is_worse():
    dice = np.random.default_rng(2)

    def near(steepness):
        fields = []
        for gain in dice.uniform(0.1, 3.0, 400).tolist():
            is_worse = float(dice.uniform()) < 1 / (1 + math.exp(steepness * gain))
            after = 19.0 if is_worse else 22.0
            fields.append(trial(gain=gain, psnr=(20.0, after), dof=0.3, centre=1.1))
        return fields

    fields = near(2.0)
    calibration, faults = calibrate_refocus(fields, RefocusCalibration())
    assert faults == ()
    assert calibration.pass_chance >= 0.9
    given = [t for t in fields if not _passes(t, calibration)]
    assert sum(t.psnr[1] < t.psnr[0] for t in given) <= 0.02 * len(fields)
    assert len(given) > 0.2 * len(fields)
    # Near fields that look like thousands of others whose answers are better.
    fields = [trial(dof=0.3, centre=1.1, psnr=(20.0, 19.0)) for _ in range(10)]
    _, faults = calibrate_refocus(fields + 4000 * [trial(centre=1.1)], RefocusCalibration())
    assert any("Near focus" in fault for fault in faults)


def test_transmitted_light_is_parted_from_fluorescence_where_it_can_be():
    own = [trial(clear=value) for value in np.linspace(0.0, 0.2, 50).tolist()]
    other = {"kind": "blood_smear", "is_fluorescence": False}
    told = [RefocusTrial(clear=value, **other) for value in np.linspace(0.6, 0.9, 50).tolist()]
    calibration, faults = calibrate_refocus(own + told, RefocusCalibration())
    assert 0.2 < calibration.most_clear < 0.6
    assert faults == ()
    assert measure_trust(own + told, calibration)[0]["declined_blood_smear"] == 1.0
    mixed = [RefocusTrial(clear=0.1, **other) for _ in range(50)]
    _, faults = calibrate_refocus(own + mixed, RefocusCalibration())
    assert "passed for fluorescence" in faults[0]


def test_rows_of_the_table_are_what_a_user_gets():
    worse = {"psnr": (20.0, 19.0)}
    fields = [trial(is_passed=True), trial(), trial(**worse), trial(is_declined=True, **worse)]
    metrics, covered = measure_images(fields, RefocusCalibration(), "2_dof")
    assert metrics["psnr_answer_2_dof"] == pytest.approx(20.5)
    assert metrics["gain_given_2_dof"] == pytest.approx((0 + 2 - 1) / 3)
    assert metrics["worse_than_input_2_dof"] == pytest.approx(1 / 3)
    assert metrics["passed_2_dof"] == metrics["declined_2_dof"] == pytest.approx(1 / 4)
    assert covered == {"2_dof": 1.0}


def test_chances_of_one_kind_alone_are_finite():
    fitted = fit_chance(np.ones((5, 2)), np.ones(5, bool))
    assert all(math.isfinite(number) for number in fitted)
    assert math.isnan(area_under_curve(np.ones(3), np.ones(3, bool)))


@pytest.fixture
def one_row(monkeypatch):
    """One distance and one brightness in the table of a card."""
    monkeypatch.setattr(refocus_making, "DISTANCES_DOF", (2.0,))
    monkeypatch.setattr(refocus_making, "PHOTONS", (500.0,))


@pytest.mark.usefixtures("one_row")
def test_a_model_is_made_with_its_card(tmp_path):
    few = HeldOut(objects=("nematode",), clear_objects=("blood_smear",), fields=2, size_px=64)
    steps = []
    card = make_refocuser(TINY, tmp_path, seed=5, held_out=few, on_progress=steps.append)
    networks, read = load_model(tmp_path)
    assert read == card
    assert len(networks) == 1
    assert card.seed == 5
    group = "2_dof_500_photons"
    assert {f"psnr_input_{group}", f"psnr_richardson_lucy_true_{group}"} <= card.metrics.keys()
    assert card.coverage.keys() == {"all", group}
    RefocusCalibration.model_validate(card.calibration)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "weights.safetensors"]
    assert steps[0].what.startswith("member 1 of 1")
    assert steps[-1].what == "measuring on nematode"
    assert f"| {group} |" in card.to_markdown()


@pytest.mark.usefixtures("one_row")
def test_a_training_may_start_from_a_model_and_its_card_says_so(tmp_path):
    few = HeldOut(objects=("nematode",), clear_objects=("blood_smear",), fields=1, size_px=64)
    recipe = TINY.model_copy(update={"steps": 1, "epoch_steps": 1})
    first = make_refocuser(recipe, tmp_path / "first", held_out=few)
    more = recipe.model_copy(update={"start": str(tmp_path / "first")})
    begun = RefocusTask(more).build(9)
    for one, other in zip(
        begun.parameters(), load_model(tmp_path / "first")[0][0].parameters(), strict=True
    ):
        assert torch.equal(one, other)
    card = make_refocuser(more, tmp_path / "second", held_out=few)
    assert card.data.startswith("Starts from tiny")
    assert first.sha256[:12] in card.data


def test_specimens_of_a_trained_family_cannot_measure(tmp_path):
    with pytest.raises(InputError, match="packed_nuclei cannot measure"):
        make_refocuser(RefocusRecipe(), tmp_path, held_out=HeldOut(objects=("packed_nuclei",)))
