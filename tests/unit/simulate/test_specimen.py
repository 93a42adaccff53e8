"""The specimen, its windows and its truth: behaviour and error texts."""

from __future__ import annotations

import math

import pytest
import torch

from parfocal.core.errors import InputError, ShapeError, UnknownNameError
from parfocal.simulate import Field, Specimen, bend, in_focus, make_specimen, structure_height


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_dots() -> Specimen:
    light = torch.zeros(3, 6, 8)
    light[0, 1, 2] = 1.0
    light[2, 4, 7] = 0.5
    return Specimen(pixel_um=0.5, heights_um=torch.tensor([-2.0, 0.0, 2.0]), emission=light)


def test_window_wraps_around_both_edges():
    part = two_dots().window(4, 7, size_y=4, size_x=4)
    assert part.emission[2, 0, 0] == 0.5
    assert part.emission[0, 3, 3] == 1.0


def test_window_may_be_larger_than_the_specimen():
    assert two_dots().window(0, 0, size_y=12, size_x=8).emission.sum() == 3.0


def test_four_quarter_turns_and_two_mirrors_change_nothing():
    dots = two_dots()
    turned = dots.turned(1).turned(3)
    assert torch.equal(turned.emission, dots.emission)
    assert torch.equal(dots.turned(0, mirror=True).turned(0, mirror=True).emission, dots.emission)
    assert dots.turned(1).shape == (3, 8, 6)


def test_raised_moves_heights_alone():
    dots = two_dots()
    assert torch.equal(dots.raised(1.5).heights_um, dots.heights_um + 1.5)
    assert dots.raised(1.5).emission is dots.emission


def test_slices_are_the_square_root_of_the_transmission_and_scale_their_phase():
    one = torch.ones(1, 2, 2)
    film = Specimen(
        pixel_um=1.0, heights_um=torch.zeros(1), absorption=2.0 * one, phase_rad=0.4 * one
    )
    slices = film.slices(275.0)
    torch.testing.assert_close(slices.abs(), math.exp(-1.0) * one)
    torch.testing.assert_close(slices.angle(), 0.8 * one)


def test_slices_of_a_fluorescent_specimen_are_refused():
    with pytest.raises(InputError, match="only emission"):
        two_dots().slices(550.0)


def test_height_is_nan_where_nothing_is():
    height = structure_height(two_dots())
    assert height[1, 2] == -2.0
    assert height[4, 7] == 2.0
    assert int(height.isnan().sum()) == 46


def test_in_focus_needs_structure_within_half_a_depth_of_field():
    z_um = torch.tensor([-2.6, -2.5, -1.5, -1.4])
    sharp = in_focus(two_dots(), z_um, depth_of_field_um=1.0)
    assert sharp[:, 1, 2].tolist() == [False, True, True, False]
    assert sharp.sum() == 2


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"emission": None}, "none was given"),
        ({"emission": torch.ones(2, 4, 4)}, "3 layers"),
        ({"absorption": torch.ones(3, 4, 4)}, "same size"),
        ({"pixel_um": 0.0}, "pixel_um must be positive"),
        ({"heights_um": torch.tensor([0.0, 2.0, 1.0])}, "must rise"),
    ],
)
def test_impossible_specimens_are_refused(values, text):
    given = {"pixel_um": 0.5, "heights_um": torch.arange(3.0), "emission": torch.ones(3, 6, 8)}
    with pytest.raises(InputError, match=text):
        Specimen(**(given | values))


def test_bend_refuses_another_size_and_holes():
    with pytest.raises(ShapeError, match=r"\(6, 8\)"):
        bend(two_dots(), torch.zeros(4, 4), step_um=1.0)
    with pytest.raises(InputError, match="finite"):
        bend(two_dots(), torch.full((6, 8), math.nan), step_um=1.0)
    with pytest.raises(InputError, match="step_um"):
        bend(two_dots(), torch.zeros(6, 8), step_um=0.0)


def test_layers_span_the_thickness():
    field = Field(size_y=8, size_x=8, pixel_um=1.0, thickness_um=5.0, layer_step_um=2.0)
    assert field.heights_um.tolist() == [-3.0, -1.0, 1.0, 3.0]
    assert Field(size_y=8, size_x=8, pixel_um=1.0).layers == 1
    assert Field(size_y=8, size_x=8, pixel_um=1.0, thickness_um=7.0).layers == 8


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"size_px": 0}, "at least 1 x 1"),
        ({"size_px": (8, -1)}, "at least 1 x 1"),
        ({"pixel_um": 0.0}, "pixel_um"),
        ({"pixel_um": math.nan}, "pixel_um"),
        ({"thickness_um": -1.0}, "thickness_um"),
        ({"layer_step_um": 0.0}, "layer_step_um"),
        ({"diameter_um": 0.0}, "diameter_um"),
        ({"colour": "red"}, r"no option colour.*diameter_um"),
    ],
)
def test_impossible_fields_and_options_are_refused(values, text):
    given = {"size_px": 8, "pixel_um": 0.5, "generator": dice()} | values
    with pytest.raises(InputError, match=text):
        make_specimen("beads", given.pop("size_px"), **given)


def test_unknown_name_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"beads.*nuclei"):
        make_specimen("unicorn", 8, pixel_um=0.5, generator=dice())
