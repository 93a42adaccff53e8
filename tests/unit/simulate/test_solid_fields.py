"""Thick bodies for training: seeds, the light of balls, and where their focus is."""

from __future__ import annotations

import math

import pytest
import torch

from parfocal.simulate.solid_fields import SLICES, SolidFields, fine_energy, in_slices


def test_the_same_seed_gives_the_same_fields_and_some_are_new_each_time():
    one, two = (SolidFields(size_px=32, seed=1, kept=2, objects=("beads",)) for _ in range(2))
    first = one.draw(4)
    assert torch.equal(first.images, two.draw(4).images)
    seen = {float(na) for _ in range(8) for na in one.draw(4).na}
    assert len(seen) > 4


def test_optics_positions_and_images_are_those_that_are_stated():
    fields = SolidFields(size_px=48, images=3, seed=2, kept=12, objects=("beads",)).draw(24)
    assert fields.images.shape == (24, 3, 48, 48)
    assert bool(torch.isfinite(fields.images).all())
    assert bool((fields.na < fields.index).all())
    assert bool((fields.z_um.diff(dim=1) > 0).all())
    assert float((fields.z_um[:, 1] / fields.depth_um).abs().max()) <= 8.0
    assert not bool(fields.second_share.any())


@pytest.mark.parametrize("radius", [4.0, 9.5])
def test_slices_of_a_ball_hold_its_volume_and_are_as_high_as_they_are_wide(radius):
    line = torch.arange(-16.0, 16.0)
    square = line[:, None].square() + line.square()
    slices = in_slices(square, torch.linspace(-radius, radius, SLICES + 1), radius)
    volume = 4 / 3 * math.pi * radius**3
    assert float(slices.sum()) == pytest.approx(volume, rel=0.04)
    torch.testing.assert_close(slices, slices.flip(0))
    # The lowest slice is a cap: no wider than the ball is at the slice's upper edge.
    cap = math.sqrt(radius**2 - (radius * (1 - 2 / SLICES)) ** 2)
    assert float(square[slices[0] > 0].max()) <= cap**2
    assert float(slices[SLICES // 2].max()) == pytest.approx(2 * radius / SLICES)


def test_the_image_nearer_to_focus_is_the_finer_one():
    source = SolidFields(size_px=64, seed=4, kept=20)
    right = total = 0
    for _ in range(4):
        batch = source.draw(40)
        near, far = batch.z_um.abs().unbind(1)
        clear = ((near - far).abs() > 0.5 * batch.depth_um) & (batch.photons > 100)
        smooth = torch.nn.functional.avg_pool2d(batch.images, 3, stride=1)
        fine = smooth.diff(dim=-1).square().mean((2, 3))
        finer_first = fine[:, 0] > fine[:, 1]
        right += int((finer_first == (near < far))[clear].sum())
        total += int(clear.sum())
    assert total > 50
    assert right > 0.8 * total


def test_focus_of_each_body_is_the_height_of_its_fine_slices(monkeypatch):
    source = SolidFields(size_px=48, seed=6, kept=1, objects=("beads",))
    asked: list[torch.Tensor] = []
    drawn = source._optics.psfs

    def psfs(away_um, optics):
        asked.append(optics["z_um"][0, 0] - away_um[0, :SLICES])
        return drawn(away_um, optics)

    def top_alone(thickness_px):
        slices = torch.zeros(SLICES, 48, 48)
        slices[-1, 20:24, 20:24] = 1.0
        return slices

    monkeypatch.setattr(source._optics, "psfs", psfs)
    monkeypatch.setattr(source, "_balls", top_alone)
    monkeypatch.setattr(source, "_tissue", lambda: top_alone(1.0))
    source._make()
    # The slice that holds all detail is at height 0, the others below it.
    assert float(asked[0][-1]) == pytest.approx(0.0, abs=1e-4)
    assert bool((asked[0][:-1] < -0.01).all())


def test_energy_is_a_share_and_constant_slices_have_none():
    slices = torch.ones(3, 8, 8)
    assert not bool(fine_energy(slices).any())
    slices[2, 4, 4] = 5.0
    torch.testing.assert_close(fine_energy(slices), torch.tensor([0.0, 0.0, 1.0]))
