from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.simulate.blurred_fields import (
    GAIN,
    BlurredFields,
    Fixed,
    discs_and_rings,
)
from parfocal.simulate.stained_fields import StainedFields

SMALL = {"batch": 6, "size_px": 64, "objects": ("beads",), "textures": 3}


def test_the_same_seed_draws_the_same_fields_and_another_others():
    one, same, other = (BlurredFields(seed=seed, **SMALL).draw() for seed in (1, 1, 2))
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.sharp, same.sharp)
    assert not torch.equal(one.images, other.images)


def test_light_is_kept_between_a_field_and_its_truth():
    fields = BlurredFields(seed=3, fixed=Fixed(defocus_dof=1.0, photons=2000.0), **SMALL).draw()
    unclipped = fields.images.amax((1, 2)) < 3.9 * 2000
    light = (fields.images.mean((1, 2)) - fields.background)[unclipped]
    truth = (fields.sharp.mean((1, 2)) - fields.background)[unclipped]
    assert len(light) >= 4
    torch.testing.assert_close(light, truth, rtol=0.05, atol=4.0)


def test_in_focus_a_field_is_its_truth_and_far_from_it_a_blur():
    def alike(dof):
        fixed = Fixed(defocus_dof=dof, photons=1e5)
        fields = BlurredFields(seed=4, fixed=fixed, **SMALL).draw()
        pairs = torch.stack([fields.images.flatten(1), fields.sharp.flatten(1)], 1)
        return torch.tensor([float(torch.corrcoef(pair)[0, 1]) for pair in pairs]).median()

    assert alike(0.0) > 0.95
    assert alike(4.0) < 0.8


def test_fixed_fields_have_that_defocus_and_brightness():
    fields = BlurredFields(seed=5, fixed=Fixed(defocus_dof=2.0, photons=70.0), **SMALL).draw()
    dof = (fields.defocus_um / fields.depth_um).abs()
    assert bool((dof <= 2.0 + 1e-5).all())
    assert float(dof.median()) == pytest.approx(2.0, rel=1e-5)
    assert bool((fields.photons == 70.0).all())


def test_defocus_is_of_both_signs_and_within_reach():
    source = BlurredFields(seed=6, batch=64, size_px=64, objects=("beads",), textures=0, reuse=1)
    fields = source.draw()
    dof = fields.defocus_um / fields.depth_um
    assert float(dof.min()) < -1 < 1 < float(dof.max())
    assert float(dof.abs().max()) <= 7.0
    assert 0.05 < float((dof.abs() < 1).float().mean()) < 0.5


def test_nominal_transfers_are_computed_for_what_was_asked():
    fields = BlurredFields(seed=7, nominal_dof=(1.0, 3.0), **SMALL).draw()
    assert fields.nominal.shape == (6, 2, 64, 33)
    torch.testing.assert_close(fields.nominal[..., 0, 0], torch.ones(6, 2), atol=1e-3, rtol=0)
    # Farther is more blurred.
    power = fields.nominal.square().sum((2, 3))
    assert bool((power[:, 0] > power[:, 1]).all())


def test_a_source_without_fields_is_refused():
    with pytest.raises(InputError, match="A batch of 0 fields"):
        BlurredFields(batch=0)


def test_discs_have_sharp_rims():
    field = discs_and_rings(128, torch.Generator().manual_seed(1))
    steps = field.diff(dim=0).abs()
    assert float(steps.max()) > 0.4 * float(field.max())
    assert float((steps < 1e-6).float().mean()) > 0.5


def test_stains_take_away_from_an_even_field_what_they_take_in_focus():
    fields = StainedFields(seed=3, fixed=Fixed(defocus_dof=1.0, photons=1e5), **SMALL).draw()
    white = fields.background[:, None, None]
    assert float(white.max()) == float(white.min()) == GAIN * 1e5
    assert bool((fields.sharp <= 1.001 * white).all())
    assert bool((fields.sharp >= 0.04 * white).all())  # no stain takes more than 95 %
    taken, truth = ((white - part).mean((1, 2)) for part in (fields.images, fields.sharp))
    torch.testing.assert_close(taken, truth, rtol=0.05, atol=100.0)


def test_noise_by_transmitted_light_is_that_of_the_bright_field():
    fields = StainedFields(seed=4, fixed=Fixed(defocus_dof=0.0, photons=1e4), **SMALL).draw()
    pale = [
        image[sharp > 0.999 * white]
        for image, sharp, white in zip(fields.images, fields.sharp, fields.background, strict=True)
    ]
    noise = torch.stack([part.std() for part in pale if len(part) > 1000])
    assert len(noise) >= 4
    assert float(noise.median()) == pytest.approx(GAIN * 1e4**0.5, rel=0.1)
