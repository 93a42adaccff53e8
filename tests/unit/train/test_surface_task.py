from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from parfocal.models import load_model
from parfocal.nets.surface_unet import Asked, Told, seen
from parfocal.refocus.height_copies import CUES, HEIGHTS_DOF
from parfocal.simulate.surface_fields import Only, SurfaceFields
from parfocal.train.loop import Schedule, train_network
from parfocal.train.surface_task import (
    MARGIN_PX,
    SurfaceRecipe,
    SurfaceTask,
    batch_of,
    height_cost,
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


def parted(batch):
    return *batch[:3], Told(*batch[3:8]), Asked(*batch[8:])


def test_batches_have_what_the_network_takes():
    floor, truth, shares, told, asked = parted(batch_of(*fields().draw()))
    heights = len(HEIGHTS_DOF)
    assert floor.shape == (4,)
    assert truth.shape == (4, 2, 64, 64)
    assert shares.shape == (4, heights, 32, 32)
    assert told.image.shape == (4, 96, 96)
    assert told.clear.shape == told.alike.shape == (4, heights, 96, 96)
    assert told.cues.shape == (4, CUES, 12, 12)
    assert told.facts.shape == (4, 4)
    assert asked.surface_dof.shape == (4, 2, 96, 96)
    assert asked.transfers.shape[2] == heights
    torch.testing.assert_close(asked.says.sum(2), torch.ones(4, 2, 96, 96))
    assert all(bool(torch.isfinite(each).all()) for each in told)


def test_light_at_its_true_height_is_nearest_to_the_truth(focused):
    """And at the opposite height it is not: optics with spherical aberration tell the side."""
    nodes = torch.tensor(HEIGHTS_DOF)
    right, flipped = [], []
    for even, uneven in focused:
        floor, truth, _, told, asked = parted(batch_of(even, uneven))
        for k in range(len(even.images)):
            height = float(even.heights_dof[k, 0])
            if abs(height) < 1.5 or float(even.spherical[k]) < 0.05:
                continue
            errors = []
            for said in (height, -height):
                at = int((nodes - said).abs().argmin())
                light = torch.zeros_like(told.clear[k, None])
                light[0, at] = told.clear[k, at]
                shown = seen(torch.fft.rfft2(light), asked.transfers[k, None, :1], (96, 96))
                error = inside(shown[0, 0] + floor[k]) - truth[k, 0]
                errors.append(float(error.square().mean().log10()))
            right.append(errors[0])
            flipped.append(errors[1])
    assert len(right) >= 5
    gain_db = 10 * (torch.tensor(flipped) - torch.tensor(right))
    assert float(gain_db.mean()) > 2.0


def test_what_is_cut_from_a_field_is_mirrored_beyond_its_edges():
    both = fields(batch=2, reuse=(1, 2), seed=5).draw()
    whole, part = (parted(batch_of(*both, is_cut=each))[3].image for each in (False, True))
    torch.testing.assert_close(inside(whole), inside(part))
    assert torch.equal(part[:, 0], part[:, 2 * MARGIN_PX])
    assert not torch.equal(whole[:, 0], whole[:, 2 * MARGIN_PX])


def test_a_surface_between_planes_is_shown_between_them():
    """Light at one height, by hand: the uneven surface mixes what its two planes show."""
    _, _, _, told, asked = parted(batch_of(*fields(seed=9).draw()))
    light = torch.fft.rfft2(told.clear)
    planes = seen(light, asked.transfers, (96, 96))
    k, y, x = 1, 40, 50
    by_hand = sum(
        float(planes[k, m, y, x] * asked.says[k, 1, m, y, x]) for m in range(planes.shape[1])
    )
    with torch.no_grad():
        network = SurfaceTask(TINY).build(0).eval()
        network.find = lambda told: network.__class__.find(network, told)._replace(light=told.clear)
        _, maps = network(told, torch.zeros(4), asked)
    assert float(maps[1].mixed[k, y, x]) == pytest.approx(by_hand, rel=1e-4)


def test_shares_stand_at_the_height_of_the_light(focused):
    even, _ = focused[0]
    shares = inside(height_shares(even))
    nodes = torch.tensor(HEIGHTS_DOF)
    mean = torch.einsum("bkyx,k->b", shares, nodes) / shares.sum((1, 2, 3))
    assert float(shares.sum(1).max()) == pytest.approx(1.0, abs=1e-4)
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
    _, truth, _, told, _ = parted(batch)
    with torch.no_grad():
        _, maps = network(told, batch[0], parted(batch)[4])
        plain, weighed = (
            SurfaceTask(TINY.model_copy(update={"relative": weight})).loss(network, batch)
            for weight in (0.0, 0.7)
        )
    changes = []
    for k, each in enumerate(maps):
        mine, before = (
            (shown - truth[:, k]).square().mean((1, 2)).sqrt()
            for shown in (inside(each.shown), inside(told.image))
        )
        changes.append((mine / before).log().mean())
    torch.testing.assert_close(weighed - plain, 0.7 * torch.stack(changes).mean())


def test_a_section_takes_light_from_near_its_surface_alone():
    common = {"only": Only(kind="several", to_object=0.0), "seed": 3}
    whole, part = (
        parted(batch_of(*fields(sections=share, **common).draw()))[4] for share in (0.0, 1.0)
    )
    nodes = torch.tensor(HEIGHTS_DOF)
    for k in range(4):
        away = (nodes - whole.surface_dof[k, 0, 0, 0]).abs()
        kept = part.transfers[k, 0].abs().sum((1, 2)) / whole.transfers[k, 0].abs().sum((1, 2))
        torch.testing.assert_close(kept, 0.5 ** (away / 0.75).square(), atol=1e-4, rtol=1e-3)
    assert bool((part.is_section == 1).all())
    assert not bool(whole.is_section.any())


def test_it_starts_from_a_model():
    recipe = SurfaceRecipe(start="deep-z-fluorescence")
    first = SurfaceTask(recipe).build(0)
    shipped = load_model("deep-z-fluorescence")[0][0]
    for one, other in zip(first.parameters(), shipped.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_field_of_a_few_points_counts_as_much_as_a_full_one():
    batch = batch_of(*fields(batch=2, reuse=(1, 2), seed=5).draw())
    found, _ = SurfaceTask(TINY).build(0).eval()(parted(batch)[3], batch[0], parted(batch)[4])
    shares = batch[2].clone()
    cost = height_cost(found, shares)
    shares[0] *= 0.01
    torch.testing.assert_close(height_cost(found, shares), cost)


def test_a_recipe_refuses_what_it_does_not_know():
    with pytest.raises(ValidationError):
        SurfaceRecipe(reach=3)


def test_the_schedule_is_the_recipes():
    assert isinstance(TINY.schedule, Schedule)
    assert TINY.schedule.steps == 4
