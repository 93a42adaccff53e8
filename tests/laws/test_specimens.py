"""Laws of specimens: light is kept, heights are where they are said to be."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.simulate import Draws, Field, Specimen, bend, in_focus, structure_height
from parfocal.simulate.deposit import (
    deposit_balls,
    deposit_ellipsoids,
    deposit_points,
    layer_shares,
)
from parfocal.simulate.samples_beads import beads
from parfocal.simulate.samples_filaments import wander
from parfocal.simulate.textures import smooth_noise

SEEDS = st.integers(0, 2**31 - 1)
few = settings(max_examples=15)


def draws(seed: int) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def field_of(pixel_um: float, *, thickness_um: float = 4.0) -> Field:
    return Field(
        size_y=24, size_x=40, pixel_um=pixel_um, thickness_um=thickness_um, layer_step_um=1.0
    )


def total(volume, field):
    return volume.sum() * field.pixel_um**2


@few
@given(seed=SEEDS, pixel_um=st.sampled_from([0.05, 0.3, 1.0, 3.0]))
def test_every_deposit_keeps_its_light_at_any_sampling(seed, pixel_um):
    field, rng = field_of(pixel_um), draws(seed)
    places = torch.cat((rng.uniform(9, 1, low=-9.0, high=9.0), rng.places(field, 9)), 1)
    light, radius = rng.uniform(9), rng.uniform(9, low=0.05, high=1.0)
    shapes = rng.uniform(9, 3, low=0.05, high=1.0)
    for put in (
        lambda v: deposit_points(v, field, places, light),
        lambda v: deposit_balls(v, field, places, radius, light),
        lambda v: deposit_ellipsoids(
            v, field, places, shapes, light, angle_rad=rng.angle(9), tilt_rad=rng.angle(9),
            lobes=rng.normal(9, 3, 2, sd=0.1),
        ),
    ):  # fmt: skip
        volume = field.blank()
        put(volume)
        torch.testing.assert_close(total(volume, field), light.sum(), rtol=1e-4, atol=0)
        assert volume.min() >= -1e-6 * volume.max()


@few
@given(seed=SEEDS, down=st.integers(1, 23), right=st.integers(1, 39))
def test_moving_every_body_by_whole_pixels_rolls_the_volume(seed, down, right):
    field, rng = field_of(0.3), draws(seed)
    places = torch.cat((rng.uniform(9, 1, low=-2.0, high=2.0), rng.places(field, 9)), 1)
    moved = places + 0.3 * torch.tensor([0.0, down, right])
    light, shapes, turn = rng.uniform(9), rng.uniform(9, 3, low=0.05, high=1.5), rng.angle(9)
    for put in (
        lambda v, at: deposit_points(v, field, at, light),
        lambda v, at: deposit_balls(v, field, at, shapes[:, 0], light),
        lambda v, at: deposit_ellipsoids(v, field, at, shapes, light, angle_rad=turn),
    ):
        first, second = field.blank(), field.blank()
        put(first, places)
        put(second, moved)
        rolled = first.roll((down, right), (1, 2))
        torch.testing.assert_close(second, rolled, rtol=2e-3, atol=2e-3)


@few
@given(seed=SEEDS)
def test_a_point_keeps_its_place(seed):
    field, rng = field_of(0.3), draws(seed)
    height = rng.uniform(1, 1, low=-2.0, high=2.0)
    place = torch.cat((height, rng.uniform(1, 2, low=2.0, high=5.0)), 1)
    volume = field.blank()
    deposit_points(volume, field, place, torch.ones(1))
    y, x = field.centres_um()
    share = volume.sum(0) / volume.sum()
    mean = torch.stack(((share * y).sum(), (share * x).sum()))
    torch.testing.assert_close(mean, place[0, 1:], rtol=1e-4, atol=1e-4)


@few
@given(seed=SEEDS)
def test_deposits_keep_the_mean_height_of_each_body(seed):
    field, rng = field_of(0.3), draws(seed)
    height = rng.number(-1.0, 1.0)
    place = torch.tensor([[height, 3.3, 5.1]])
    for radius in (0.05, 0.9):
        volume = field.blank()
        deposit_balls(volume, field, place, torch.tensor([radius]), torch.ones(1))
        mean = (volume.sum((1, 2)) * field.heights_um).sum() / volume.sum()
        assert abs(float(mean) - height) < 1e-3
    shape = torch.tensor([[0.4, 0.5, 0.8]])
    volume = field.blank()
    deposit_ellipsoids(volume, field, place, shape, torch.ones(1), tilt_rad=torch.tensor([0.5]))
    mean = (volume.sum((1, 2)) * field.heights_um).sum() / volume.sum()
    assert abs(float(mean) - height) < 2e-2


@few
@given(seed=SEEDS)
def test_layer_shares_sum_to_the_length_of_the_segment(seed):
    rng = draws(seed)
    low = rng.uniform(20, low=-9.0, high=9.0)
    high = low + rng.uniform(20, high=6.0)
    heights = torch.linspace(-3, 3, 5)
    shares = layer_shares(low, high, heights)
    torch.testing.assert_close(shares.sum(0), high - low, rtol=1e-4, atol=1e-5)
    assert shares.min() > -1e-5


def test_a_large_ball_has_the_chord_of_a_ball():
    field = Field(size_y=64, size_x=64, pixel_um=0.1)
    volume, radius = field.blank(), torch.tensor([2.0])
    solid = 4.0 / 3.0 * torch.pi * radius**3
    deposit_balls(volume, field, torch.tensor([[0.0, 3.2, 3.2]]), radius, solid)
    y, x = field.centres_um()
    chord = 2.0 * (4.0 - (y - 3.2) ** 2 - (x - 3.2) ** 2).clamp(min=0).sqrt()
    torch.testing.assert_close(volume[0], chord, rtol=2e-3, atol=1e-3)


def test_a_tilted_ellipsoid_leans_the_way_of_its_tilt():
    field = Field(size_y=32, size_x=64, pixel_um=0.2, thickness_um=8.0, layer_step_um=0.5)
    volume = field.blank()
    deposit_ellipsoids(
        volume, field, torch.tensor([[0.0, 3.2, 6.4]]), torch.tensor([[0.3, 0.3, 3.0]]),
        torch.ones(1), tilt_rad=torch.tensor([0.5]),
    )  # fmt: skip
    rod = Specimen(pixel_um=0.2, heights_um=field.heights_um, emission=volume)
    height = structure_height(rod)
    slope = (height[16, 40] - height[16, 24]) / (16 * 0.2)
    assert abs(float(slope) - torch.tan(torch.tensor(0.5)).item()) < 0.05


def test_an_ellipsoid_turns_in_the_plane_from_x_towards_y():
    field = Field(size_y=64, size_x=64, pixel_um=0.2)
    for angle in (-1.1, 0.4, 2.0):
        volume = field.blank()
        deposit_ellipsoids(
            volume, field, torch.tensor([[0.0, 6.4, 6.4]]), torch.tensor([[0.5, 0.5, 3.0]]),
            torch.ones(1), angle_rad=torch.tensor([angle]),
        )  # fmt: skip
        y, x = (place - 6.4 for place in field.centres_um())
        share = volume[0] / volume.sum()
        yx, yy, xx = ((share * part).sum() for part in (y * x, y * y, x * x))
        axis = 0.5 * torch.atan2(2 * yx, xx - yy)
        assert abs(float(torch.sin(axis - angle))) < 0.02


@few
@given(seed=SEEDS, pixel_um=st.sampled_from([0.1, 0.65]))
def test_the_height_of_a_bead_is_where_its_light_lies(seed, pixel_um):
    field = Field(size_y=32, size_x=32, pixel_um=pixel_um, thickness_um=8.0, layer_step_um=1.0)
    bead = beads(field, draws(seed), per_mm2=0.0, diameter_um=0.2)
    height = structure_height(bead)
    known = height[~height.isnan()]
    assert known.max() - known.min() < 1e-4
    sharp = in_focus(bead, field.heights_um, depth_of_field_um=2.0)
    for plane, z_um in zip(sharp, field.heights_um, strict=True):
        if plane.any():
            assert abs(float(z_um - known[0])) <= 1.0 + 1.0  # half a depth of field, and a layer


@few
@given(seed=SEEDS, step_um=st.sampled_from([0.25, 0.7, 2.0]))
def test_bend_keeps_each_column_and_raises_it_by_the_surface(seed, step_um):
    field, rng = field_of(0.5), draws(seed)
    light = rng.uniform(field.layers, 24, 40)
    flat = Specimen(pixel_um=0.5, heights_um=field.heights_um, emission=light, phase_rad=-light)
    surface = smooth_noise(field, rng, size_um=5.0, flat=True)[0] * 3.0
    bent = bend(flat, surface, step_um=step_um)
    torch.testing.assert_close(bent.emission.sum(0), light.sum(0))
    torch.testing.assert_close(bent.phase_rad.sum(0), -light.sum(0))
    torch.testing.assert_close(
        structure_height(bent), structure_height(flat) + surface, rtol=1e-4, atol=1e-4
    )


@few
@given(seed=SEEDS, size_um=st.sampled_from([0.6, 2.0]))
def test_noise_has_unit_variance_and_the_stated_correlation(seed, size_um):
    field = Field(size_y=192, size_x=192, pixel_um=0.2, thickness_um=3.0, layer_step_um=1.0)
    noise = smooth_noise(field, draws(seed), size_um=size_um)
    lag = round(size_um / 0.2)
    assert abs(float(noise.square().mean()) - 1.0) < 0.25
    for axis in (-1, -2):
        along = float((noise * noise.roll(lag, axis)).mean() / noise.square().mean())
        assert abs(along - torch.tensor(-1.0).exp().item()) < 0.1


def test_paths_keep_their_heading_as_a_worm_like_chain_does():
    step, persistence = 0.2, 10.0
    start = torch.zeros(4000, 3)
    path = wander(draws(1), start, torch.zeros(4000), 100, step, persistence)
    moves = path.diff(dim=1)
    cosine = (moves[:, 0, 1:] * moves[:, -1, 1:]).sum(-1).mean() / step**2
    expected = torch.exp(torch.tensor(-98 * step / (2 * persistence)))
    assert abs(float(cosine - expected)) < 0.03
