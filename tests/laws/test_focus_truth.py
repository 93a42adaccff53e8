"""Laws of the truth of what is in focus: gain, turns, planes, whole structures, resolution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.core.errors import InputError
from parfocal.simulate import Specimen, in_focus
from parfocal.simulate.focus_truth import EXTENT, FAINTEST, SPOT, focus_evidence

SEEDS = st.integers(0, 2**31 - 1)
few = settings(max_examples=15)
PLANES = torch.tensor([-1.0, 0.0, 0.6, 3.0])
OPTICS = {"depth_of_field_um": 1.0, "resolution_um": 0.5}


def specimen_of(light: torch.Tensor, pixel_um: float = 0.25) -> Specimen:
    heights = torch.linspace(-1.5, 1.5, len(light)) if len(light) > 1 else torch.zeros(1)
    return Specimen(pixel_um=pixel_um, heights_um=heights, emission=light)


def sparse(seed: int) -> torch.Tensor:
    dice = torch.Generator().manual_seed(seed)
    light = torch.rand(4, 20, 24, generator=dice)
    return light * (torch.rand(4, 20, 24, generator=dice) < 0.05)


@few
@given(seed=SEEDS, gain=st.floats(1e-3, 1e3))
def test_gain_changes_nothing(seed, gain):
    light = sparse(seed)
    one, other = (
        focus_evidence(specimen_of(some), PLANES, **OPTICS) for some in (light, gain * light)
    )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@few
@given(seed=SEEDS, turns=st.integers(0, 3), wraps=st.booleans())
def test_turns_and_mirrors_commute(seed, turns, wraps):
    light = sparse(seed)
    turned = torch.rot90(light.flip(2), turns, (1, 2))
    one = focus_evidence(specimen_of(light), PLANES, wraps=wraps, **OPTICS)
    other = focus_evidence(specimen_of(turned), PLANES, wraps=wraps, **OPTICS)
    torch.testing.assert_close(torch.rot90(one.flip(2), turns, (1, 2)), other)


@few
@given(seed=SEEDS, shift=st.integers(1, 19))
def test_what_wraps_may_be_rolled(seed, shift):
    light = sparse(seed)
    one = focus_evidence(specimen_of(light), PLANES, wraps=True, **OPTICS)
    other = focus_evidence(specimen_of(light.roll(shift, 1)), PLANES, wraps=True, **OPTICS)
    torch.testing.assert_close(one.roll(shift, 1), other)


@few
@given(seed=SEEDS)
def test_a_plane_is_judged_for_itself(seed):
    made = specimen_of(sparse(seed))
    together = focus_evidence(made, PLANES, **OPTICS)
    for plane, z_um in zip(together, PLANES, strict=True):
        torch.testing.assert_close(plane, focus_evidence(made, z_um[None], **OPTICS)[0])


def test_a_plane_far_from_every_layer_is_empty():
    assert not in_focus(specimen_of(sparse(1)), torch.tensor([9.0, -9.0]), **OPTICS).any()


def test_a_point_is_as_wide_as_the_spot_of_sharp_optics():
    light = torch.zeros(1, 101, 101)
    light[0, 50, 50] = 1.0
    resolution_px = 8.0
    mask = in_focus(
        specimen_of(light, pixel_um=1.0), torch.zeros(1), depth_of_field_um=1.0,
        resolution_um=resolution_px,
    )[0]  # fmt: skip
    # A Gaussian falls to a fifth at sigma times the root of 2 ln 5.
    radius = SPOT * resolution_px * (2 * torch.tensor(1 / EXTENT).log()).sqrt()
    assert mask[50].sum() == 2 * int(radius) + 1
    assert mask.sum() == pytest.approx(float(torch.pi * radius**2), rel=0.05)


@pytest.mark.parametrize(("share", "kept"), [(0.9 * FAINTEST, False), (1.1 * FAINTEST, True)])
def test_a_faint_structure_is_kept_or_dropped_as_a_whole(share, kept):
    light = torch.zeros(1, 40, 160)
    light[0, 10:30, 10:30] = 1.0
    light[0, 10:30, 130:150] = share
    mask = in_focus(specimen_of(light), torch.zeros(1), **OPTICS)[0]
    assert mask[12:28, 12:28].all()
    assert bool(mask[12:28, 132:148].all()) == bool(mask[:, 80:].any()) == kept


def test_a_depth_of_field_must_be_positive():
    with pytest.raises(InputError, match="must be positive"):
        in_focus(specimen_of(sparse(1)), PLANES, depth_of_field_um=0.0)
