"""Training batches: sizes, seeds, and a defocus that the images show."""

from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.simulate.batches import FieldBatches


def _source(**values: object) -> FieldBatches:
    settings = {"batch": 16, "size_px": 48, "objects": ("beads", "filaments"), "seed": 1} | values
    return FieldBatches(**settings)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_batches_and_each_is_new():
    one, two = _source(), _source()
    first, second = one.draw(), one.draw()
    assert torch.equal(first.images, two.draw().images)
    assert not torch.equal(first.images, second.images)
    assert not torch.equal(_source(seed=2).draw().images, first.images)


def test_optics_positions_and_images_are_those_that_are_stated():
    batch = _source(images=3).draw()
    assert batch.images.shape == (16, 3, 48, 48)
    assert bool(torch.isfinite(batch.images).all())
    assert bool((batch.na < batch.index).all())
    assert bool((batch.z_um.diff(dim=1) > 0).all())
    torch.testing.assert_close(batch.spacing_um, batch.z_um[:, 2] - batch.z_um[:, 1])
    middle = (batch.z_um[:, 1] / batch.depth_um).abs()
    assert float(middle.max()) <= 8.0
    assert bool((batch.second_height_um[batch.second_share == 0] == 0).all())


def test_the_image_nearer_to_focus_is_the_sharper_one():
    source = _source(batch=64, objects=("beads",))
    right = total = 0
    for _ in range(4):
        batch = source.draw()
        near, far = batch.z_um.abs().unbind(1)
        clear = (batch.second_share == 0) & ((near - far).abs() > batch.depth_um)
        spread = batch.images.var((2, 3))
        sharper_first = spread[:, 0] > spread[:, 1]
        right += int((sharper_first == (near < far))[clear].sum())
        total += int(clear.sum())
    assert right > 0.8 * total


def test_fields_are_replaced_as_batches_go():
    source = _source(batch=4, reuse=2)
    seen = {float(na) for _ in range(30) for na in source.draw().na}
    assert len(seen) > 30


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="cannot be"):
        _source(batch=0)
    with pytest.raises(InputError, match="does not glow"):
        _source(objects=("glass_beads",))
