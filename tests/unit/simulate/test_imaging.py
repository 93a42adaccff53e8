"""A renderer shows specimens as each way of imaging would, relative to a known brightness."""

from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.psf import widefield_psf
from parfocal.optics.sectioning import confocal_psf, light_sheet_psf
from parfocal.optics.zernike import Aberrations
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import (
    MODALITIES,
    BrightfieldImaging,
    ConfocalImaging,
    LedImaging,
    LightSheetImaging,
    PhaseContrastImaging,
    SpinningDiskImaging,
    WidefieldImaging,
    object_pixel_um,
)
from parfocal.simulate.specimen import Specimen

SETUP = OpticalSetup(na=0.8, wavelength_nm=520, pixel_um=0.15)
GLOWING = (WidefieldImaging(), ConfocalImaging(), SpinningDiskImaging(), LightSheetImaging())
TRANSMITTING = (BrightfieldImaging(waves=8), PhaseContrastImaging(waves=4), LedImaging())


def _point(size: int = 64, *, height_um: float = 0.0, pixel_um: float = 0.15) -> Specimen:
    light = torch.zeros(1, size, size)
    light[0, size // 2, size // 2] = 1.0
    return Specimen(pixel_um=pixel_um, heights_um=torch.tensor([height_um]), emission=light)


def _even(size: int = 32) -> Specimen:
    blank = torch.ones(1, size, size)
    return Specimen(pixel_um=0.15, heights_um=torch.zeros(1), emission=blank, absorption=0 * blank)


@pytest.mark.parametrize("imaging", [*GLOWING, *TRANSMITTING], ids=lambda one: one.modality)
def test_an_even_specimen_and_an_empty_field_are_one_in_focus(imaging):
    image = Renderer(SETUP, imaging).images(_even(), [0.0])
    torch.testing.assert_close(image, torch.ones(1, 32, 32), rtol=0, atol=4e-3)


def test_every_modality_is_rendered_here():
    assert {type(one) for one in (*GLOWING, *TRANSMITTING)} == set(MODALITIES)


@pytest.mark.parametrize("terms", [{}, {8: 0.08, 12: 0.05}])
def test_a_point_gives_the_point_spread_function_of_its_defocus(terms):
    aberrations = Aberrations(zernike_waves=terms)
    z_um = [1.3 - 1.7, 1.3, 1.3 + 2.45]
    images = Renderer(SETUP, WidefieldImaging(aberrations=aberrations)).images(
        _point(height_um=1.3), z_um
    )
    exact = widefield_psf(
        SETUP, [-1.7, 0.0, 2.45], size_px=64, aberrations=aberrations, beyond="fold"
    )
    assert float((images - exact).abs().max()) < 2e-3 * float(exact.max())


def test_sections_dim_as_their_point_spread_functions_do():
    z_um = [-3.0, 0.0, 2.0]
    fine = SETUP.model_copy(update={"pixel_um": 0.075})  # holds excitation times emission
    for imaging, psf in (
        (ConfocalImaging(), confocal_psf(fine, z_um, excitation_nm=488.0, size_px=128)),
        (
            LightSheetImaging(waist_um=4.0, sheet_offset_um=1.0),
            light_sheet_psf(fine, z_um, waist_um=4.0, sheet_offset_um=1.0, size_px=128),
        ),
    ):
        images = Renderer(fine, imaging).images(_point(128, pixel_um=0.075), z_um)
        assert float((images - psf).abs().max()) < 5e-3 * float(psf.max())


def test_a_finer_specimen_is_summed_to_camera_pixels():
    coarse = SETUP.model_copy(update={"pixel_um": 0.45})
    light = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(3))
    fine = Specimen(pixel_um=0.15, heights_um=torch.tensor([0.0, 1.0]), emission=light)
    seen = Renderer(coarse, WidefieldImaging()).images(fine, [0.5])
    whole = Renderer(SETUP, WidefieldImaging()).images(fine, [0.5])
    torch.testing.assert_close(seen, torch.nn.functional.avg_pool2d(whole, 3))
    with pytest.raises(InputError, match="no whole multiple"):
        Renderer(SETUP.model_copy(update={"pixel_um": 0.2}), WidefieldImaging()).images(fine, [0.0])
    odd = fine.window(0, 0, size_y=46, size_x=46)
    renderer = Renderer(SETUP.model_copy(update={"pixel_um": 0.6}), WidefieldImaging())
    with pytest.raises(InputError, match="multiples of 4"):
        renderer.images(odd, [0.0])


def test_a_specimen_of_the_wrong_contrast_is_refused_with_what_would_do():
    with pytest.raises(InputError, match="image it by widefield"):
        Renderer(SETUP, BrightfieldImaging()).images(_point(), [0.0])
    clear = Specimen(pixel_um=0.15, heights_um=torch.zeros(1), phase_rad=torch.zeros(1, 16, 16))
    with pytest.raises(InputError, match="brightfield"):
        Renderer(SETUP, WidefieldImaging()).images(clear, [0.0])
    with pytest.raises(InputError, match="not finite"):
        Renderer(SETUP, WidefieldImaging()).images(_point(), [float("nan")])


def test_a_new_specimen_and_a_new_size_are_seen():
    renderer = Renderer(SETUP, WidefieldImaging())
    first = renderer.images(_point(), [0.0])
    other = renderer.images(_point(48), [0.0])
    assert other.shape == (1, 48, 48)
    torch.testing.assert_close(renderer.images(_point(), [0.0]), first)
    assert renderer.images(_point(), []).shape == (0, 64, 64)


def test_transmitted_light_asks_for_a_specimen_fine_enough():
    setup = OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.65)
    assert object_pixel_um(setup, WidefieldImaging()) == pytest.approx(0.65 / 2)
    assert object_pixel_um(setup, LedImaging(na_yx=((0.0, 0.3),))) == pytest.approx(0.65 / 3)
    assert object_pixel_um(SETUP, WidefieldImaging()) == 0.15
