from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.core.errors import ReadError
from parfocal.core.setup import OpticalSetup
from parfocal.refocus.blind import blind, load_refocuser
from parfocal.refocus.published import answer_of
from parfocal.train import luo2020_making, luo2020_task
from parfocal.train.held_out import HeldOut
from parfocal.train.luo2020_making import make_luo2020
from parfocal.train.luo2020_task import (
    Luo2020Recipe,
    discriminator_cost,
    generator_terms,
    reversed_huber,
    train_luo2020,
)

TINY = Luo2020Recipe(
    name="tiny", widths=(4, 8), judge_widths=(4, 8), objects=("beads",), batch=2, patch_px=48,
    steps=4, epoch_steps=2,
)  # fmt: skip
FEW = HeldOut(objects=("nematode",), fields=2, size_px=64)


@pytest.fixture(autouse=True)
def few_to_validate(monkeypatch):
    monkeypatch.setattr(luo2020_task, "VALIDATION", 2)


class KilledError(Exception):
    """A run that ends in the middle."""


def test_reversed_huber_is_that_of_the_paper():
    dice = torch.Generator().manual_seed(0)
    truth = torch.randn(1, 1, 16, 16, generator=dice)
    made = truth + 0.3 * torch.randn(1, 1, 16, 16, generator=dice)
    cut = 0.1 * float(truth.std())
    costs = [
        abs(d) if abs(d) <= cut else (d**2 + cut**2) / (2 * cut)
        for d in (made - truth).flatten().tolist()
    ]
    assert float(reversed_huber(made, truth)) == pytest.approx(np.mean(costs), rel=1e-5)


def test_a_fooled_discriminator_costs_the_generator_nothing():
    truth = torch.rand(2, 1, 48, 48)
    terms = generator_terms(truth, truth, torch.ones(2))
    torch.testing.assert_close(terms, torch.zeros(3), atol=1e-5, rtol=0)
    assert float(generator_terms(truth, truth, torch.zeros(2))[0]) == 1.0
    assert float(discriminator_cost(torch.ones(2), torch.zeros(2))) == 2.0


def test_a_run_that_was_killed_ends_the_same(tmp_path):
    whole = train_luo2020(TINY, seed=1)

    def kill(at):
        if at.step == 3:
            raise KilledError

    path = tmp_path / "kept.ckpt"
    with pytest.raises(KilledError):
        train_luo2020(TINY, seed=1, checkpoint=path, on_step=kill)
    steps = []
    again = train_luo2020(TINY, seed=1, checkpoint=path, on_step=lambda at: steps.append(at.step))
    assert steps == [3, 4]
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ReadError, match="belongs to another training"):
        train_luo2020(TINY, seed=2, checkpoint=path)


def test_the_model_refocuses_an_image_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(luo2020_making, "DISTANCES_DOF", (3.0,))
    monkeypatch.setattr(luo2020_making, "PHOTONS", (500.0,))
    card = make_luo2020(TINY, tmp_path, held_out=FEW)
    assert "psnr_answer_3_dof_500_photons" in card.metrics
    image = np.random.default_rng(0).poisson(100.0, (50, 300)).astype(float)
    setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    result = blind(image, setup=setup, model=tmp_path)
    assert result.found
    assert result.shape == image.shape
    assert result.verdict is None
    assert "always believed" in result.reason
    assert blind(np.ones((40, 40)), setup=setup, model=tmp_path).status == "blank"
    with pytest.raises(ValueError, match="knows no distance"):
        load_refocuser(tmp_path)


def test_answers_follow_gain_and_offset():
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    images = torch.rand(2, 16, 16)
    one, other = answer_of(network, images), answer_of(network, 5 * images + 100)
    torch.testing.assert_close(5 * one + 100, other, atol=1e-2, rtol=1e-4)
