from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from parfocal.refocus.surface_views import CUES, HEIGHTS_DOF, UNASSUMING, VIEWS
from parfocal.simulate.surface_fields import Only, SurfaceFields
from parfocal.train.loop import Schedule, train_network
from parfocal.train.surface_task import (
    SurfaceRecipe,
    SurfaceTask,
    batch_of,
    height_shares,
    inside,
)

TINY = SurfaceRecipe(
    widths=(8, 8, 8), blocks=(1, 1, 1), batch=2, patch_px=48, steps=4, epoch_steps=2, reach_dof=4.5,
    objects=("beads",), sparse=("beads",), height=0.5,
)  # fmt: skip


def fields(**changes):
    common = {"batch": 4, "size_px": 96, "reach_dof": 4.5, "reuse": (1, 4), "sections": 0.0,
              "objects": ("beads",), "sparse": ("beads",)}  # fmt: skip
    return SurfaceFields(**common | changes)


@pytest.fixture(scope="module")
def focused():
    """Thin objects, each asked for in its own plane."""
    source = fields(only=Only(kind="thin", to_object=1.0, photons=2000.0), seed=11)
    return [source.draw() for _ in range(4)]


def test_batches_have_what_the_network_takes():
    views, surface, cues, facts, truth, shares = batch_of(*fields().draw())
    assert views.shape == (8, VIEWS, 64, 64)
    assert surface.shape == truth.shape == (8, 64, 64)
    assert facts.shape == (8, 5)
    assert shares.shape == (8, len(HEIGHTS_DOF), 32, 32)
    assert cues.shape == (8, CUES, 8, 8)
    assert bool(torch.isfinite(views).all())


def test_the_view_of_the_true_height_is_nearest_to_the_truth(focused):
    """And that of the opposite height is not: optics with spherical aberration tell the side."""
    nodes = torch.tensor(HEIGHTS_DOF)
    right, flipped = [], []
    for even, uneven in focused:
        views, _, _, _, truth, _ = batch_of(even, uneven)
        count = len(even.images)
        errors = (views[:count] - truth[:count, None]).square().mean((2, 3)).log10()
        for k in range(count):
            height = float(even.heights_dof[k, 0])
            if abs(height) < 1.5 or float(even.spherical[k]) < 0.05:
                continue
            right.append(float(errors[k, UNASSUMING + int((nodes - height).abs().argmin())]))
            flipped.append(float(errors[k, UNASSUMING + int((nodes + height).abs().argmin())]))
    assert len(right) >= 5
    gain_db = 10 * (torch.tensor(flipped) - torch.tensor(right))
    assert float(gain_db.mean()) > 2.0


def test_shares_stand_at_the_height_of_the_light(focused):
    even, _ = focused[0]
    shares = inside(height_shares(even))
    nodes = torch.tensor(HEIGHTS_DOF)
    mean = torch.einsum("bkyx,k->b", shares, nodes) / shares.sum((1, 2, 3))
    torch.testing.assert_close(mean, even.heights_dof[:, 0], atol=1e-3, rtol=0)


def test_training_goes_on_after_a_kill_with_the_same_weights(tmp_path):
    task = SurfaceTask(TINY)
    whole = train_network(task, TINY.schedule, precision=torch.float32)
    first = tmp_path / "first.ckpt"

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(task, TINY.schedule, checkpoint=first, on_step=stop, precision=torch.float32)
    resumed = train_network(task, TINY.schedule, checkpoint=first, precision=torch.float32)
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_falls_on_one_batch():
    task = SurfaceTask(TINY)
    torch.manual_seed(0)
    batch = batch_of(*fields(batch=2, reuse=(1, 2), seed=5).draw())
    network = task.build(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = task.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_errors_are_weighed_by_those_of_the_input_view_by_view():
    batch = batch_of(*fields(batch=2, reuse=(1, 2), seed=5).draw())
    network = SurfaceTask(TINY).build(0).eval()
    with torch.no_grad():
        maps = network(*batch[:4])
        plain, weighed = (
            SurfaceTask(TINY.model_copy(update={"relative": weight})).loss(network, batch)
            for weight in (0.0, 0.7)
        )
    mine, before = (
        (shown - batch[4]).square().mean((1, 2)).sqrt() for shown in (maps.shown, batch[0][:, 0])
    )
    torch.testing.assert_close(weighed - plain, 0.7 * (mine / before).log().mean())


def test_a_recipe_refuses_what_it_does_not_know():
    with pytest.raises(ValidationError):
        SurfaceRecipe(reach=3)


def test_the_schedule_is_the_recipes():
    assert isinstance(TINY.schedule, Schedule)
    assert TINY.schedule.steps == 4
