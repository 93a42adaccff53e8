"""Transmitted light for training: seeds, shapes, and what makes it unlike fluorescence."""

from __future__ import annotations

import pytest
import torch

from parfocal.simulate.clear_fields import ClearFields


@pytest.fixture(scope="module")
def fields():
    return ClearFields(size_px=64, seed=3, kept=6).draw(24)


def test_the_same_seed_gives_the_same_pairs_and_some_are_new_each_time():
    one, two = (ClearFields(size_px=32, seed=1, kept=2) for _ in range(2))
    first = one.draw(4)
    assert torch.equal(first.images, two.draw(4).images)
    seen = {float(na) for _ in range(8) for na in one.draw(4).na}
    assert len(seen) > 4


def test_optics_and_positions_are_those_that_are_stated(fields):
    assert fields.images.shape == (24, 2, 64, 64)
    assert bool(torch.isfinite(fields.images).all())
    assert bool((fields.na < fields.index).all())
    spacing = fields.spacing_um / fields.depth_um
    assert bool(((spacing > 0.39) & (spacing < 2.51)).all())
    assert float((fields.z_um.mean(1) / fields.depth_um).abs().max()) <= 8.0


def test_light_comes_from_behind_and_something_is_seen(fields):
    mean, spread = fields.images.mean((2, 3)), fields.images.std((2, 3))
    assert bool((mean > 0).all())
    # Fluorescence has dark fields with bright spots: its spread is often above its mean.
    assert float((spread / mean).median()) < 0.5
    assert bool((fields.images.flatten(1).amax(1) > fields.images.flatten(1).amin(1)).all())
