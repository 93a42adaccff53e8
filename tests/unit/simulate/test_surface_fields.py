from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.simulate.surface_fields import Only, SurfaceFields

SMALL = {"batch": 3, "size_px": 48, "reach_dof": 3.0, "reuse": (1, 3),
         "objects": ("beads",), "sparse": ("beads",)}  # fmt: skip


def drawn(seed=0, **changes):
    return SurfaceFields(**SMALL | {"seed": seed} | changes).draw()


def test_the_same_seed_draws_the_same_fields():
    one, other = drawn(seed=4), drawn(seed=4)
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first.images, second.images)
        torch.testing.assert_close(first.truth, second.truth)
    assert not torch.equal(one[0].images, drawn(seed=5)[0].images)


def test_both_surfaces_are_asked_of_the_same_image():
    even, uneven = drawn()
    assert torch.equal(even.images, uneven.images)
    flat = even.surface_dof.amax((1, 2)) - even.surface_dof.amin((1, 2))
    assert float(flat.max()) == 0.0
    bent = uneven.surface_dof.amax((1, 2)) - uneven.surface_dof.amin((1, 2))
    assert float(bent.min()) > 0.2
    for each in (even, uneven):
        assert float(each.surface_dof.abs().max()) <= 3.0 + 1e-5


def test_focusing_moves_light_and_loses_none():
    for each in drawn(sections=0.0):
        spare = each.truth.mean((1, 2)) / each.images.mean((1, 2))
        if each.is_even:
            assert float((spare - 1).abs().max()) < 0.1


def test_in_the_plane_of_the_image_the_truth_is_the_image():
    source = SurfaceFields(**SMALL | {"seed": 2, "sections": 0.0})
    source._even = lambda scene: torch.zeros(3, dtype=torch.long)
    even, _ = source.draw()
    noise = (even.images - even.truth).std((1, 2))
    assert bool((noise < 0.2 * even.truth.amax((1, 2))).all())
    assert bool(((even.images - even.truth).mean((1, 2)).abs() < noise / 4).all())


def test_a_thin_object_is_sharpest_in_its_own_plane():
    only = Only(kind="thin", to_object=1.0, photons=500.0)
    even, _ = drawn(seed=3, sections=0.0, only=only)
    far = (even.heights_dof[:, 0].abs() > 1.0).nonzero()[:, 0]
    assert len(far)
    peak = even.truth.amax((1, 2)) / even.images.amax((1, 2))
    assert bool((peak[far] > 1.2).all())
    torch.testing.assert_close(even.photons, torch.full((3,), 500.0))


def test_a_section_holds_less_light():
    only = Only(kind="several", to_object=0.0)
    whole, _ = drawn(seed=7, sections=0.0, only=only)
    part, _ = drawn(seed=7, sections=1.0, only=only)
    assert bool((part.truth.sum((1, 2)) < whole.truth.sum((1, 2))).all())
    assert bool(part.is_section.all())


def test_layers_are_told_in_focus_whatever_is_asked():
    even, uneven = drawn()
    assert torch.equal(even.shares, uneven.shares)
    total = even.shares.sum(1)
    assert float(total.min()) >= 0.0
    torch.testing.assert_close(total.amax((1, 2)), torch.ones(3))


def test_the_layer_of_a_thin_object_is_its_image_in_its_own_plane():
    only = Only(kind="thin", to_object=1.0, photons=500.0)
    even, _ = drawn(seed=3, sections=0.0, only=only)
    light = even.truth - even.truth.amin((1, 2), keepdim=True)
    light = light / light.amax((1, 2), keepdim=True)
    torch.testing.assert_close(even.shares[:, 0], light, atol=0.1, rtol=0)


def test_impossible_batches_are_refused():
    with pytest.raises(InputError, match="optics for all"):
        SurfaceFields(batch=4, size_px=48, reuse=(1, 2))
