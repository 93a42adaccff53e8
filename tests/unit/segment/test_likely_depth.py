"""The depth of field that contrast shows: it follows z, not brightness, and may be unknown."""

import numpy as np
import pytest
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.segment.likely_depth import likely_depth_um, widths_um
from parfocal.segment.plane_reader import PlaneReader
from parfocal.simulate.catalog import make_specimen
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import WidefieldImaging

SETUP = OpticalSetup(
    na=0.5, wavelength_nm=530.0, pixel_um=0.4, immersion_index=1.0, sample_index=1.0
)


@pytest.fixture(scope="module")
def light():
    """A layer of nuclei at every quarter of a depth of field, four to each side."""
    dice = torch.Generator().manual_seed(1)
    specimen = make_specimen("nuclei", 128, pixel_um=0.4, generator=dice)
    z_um = SETUP.depth_of_field_um * torch.arange(-16, 17) / 4
    return 1000 * Renderer(SETUP, WidefieldImaging()).images(specimen, z_um).numpy()


def stack(light, **more):
    z_um = SETUP.depth_of_field_um * np.arange(-16, 17) / 4
    return FocalStack.of(light, **({"z_um": z_um} | more))


def test_a_thin_layer_shows_the_depth_of_field_to_a_factor_of_two(light):
    found = likely_depth_um(stack(light))
    assert 0.5 < found / SETUP.depth_of_field_um < 2.0


def test_it_scales_with_z_and_not_with_light(light):
    found = likely_depth_um(stack(light))
    assert likely_depth_um(stack(3 * light + 50)) == pytest.approx(found, rel=1e-4)
    far = stack(light, z_um=3 * stack(light).z_um)
    assert likely_depth_um(far) == pytest.approx(3 * found, rel=1e-6)
    assert likely_depth_um(stack(light[::-1].copy())) == pytest.approx(found, rel=1e-6)


def test_falling_z_says_the_same(light):
    fallen = stack(light[::-1].copy(), z_um=stack(light).z_um[::-1].copy())
    assert likely_depth_um(fallen) == pytest.approx(likely_depth_um(stack(light)), rel=1e-6)


def test_a_side_beyond_the_stack_counts_as_the_other(light):
    whole, half = likely_depth_um(stack(light)), likely_depth_um(
        stack(light[16:], z_um=stack(light).z_um[16:])
    )  # fmt: skip
    assert half == pytest.approx(whole, rel=0.25)


@pytest.mark.parametrize(
    "planes",
    [np.ones((8, 32, 32)), np.random.default_rng(0).random((3, 32, 32))],
    ids=["constant", "too few"],
)
def test_what_shows_none_gives_none(planes):
    assert likely_depth_um(FocalStack.of(planes)) is None


def test_widths_of_triangles_are_half_their_bases():
    z_um = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 7.0, 9.0])
    curve = np.maximum(0.0, 1 - np.abs(z_um - 4.0) / 3)
    assert widths_um(z_um, curve[:, None]) == pytest.approx([3.0])
    rising, unknown = z_um / 9, np.where(z_um == 4, np.nan, curve)
    assert widths_um(z_um, np.stack([curve, unknown], 1)) == pytest.approx([3.0])
    assert widths_um(z_um, rising[:, None]) == pytest.approx([9.0])


def test_unknown_optics_compare_planes_about_a_likely_depth_apart(light):
    some = stack(light)
    depth_um = likely_depth_um(some)
    reader = PlaneReader(some, None)
    below, above = reader._beside[16].apart_um
    assert below == above
    assert 0.75 * depth_um <= below <= 0.75 * depth_um + 0.25 * SETUP.depth_of_field_um
    _, facts = reader.read(16)
    assert facts[0].tolist() == [0, 0, 0, 0, 1, 0, 1, 0]
