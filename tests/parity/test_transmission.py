"""Transmitted light against sums over single plane waves and closed transfer functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.optics.illumination import Source, disc_source, half_annulus_source
from parfocal.optics.transmission import coherent_images, half_annulus_images, transmitted_images
from parfocal.optics.zernike import Aberrations, zernike_basis

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.25, immersion_index=1.0)


def fabricate_slice(*shape: int, seed: int = 0, strength: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loss, delay = rng.random((2, *shape))
    return np.exp(strength * (-0.3 * loss + 1j * delay))


def sum_plane_waves(field, setup, z_um, *, height_um=0.0, na_yx=(0.0, 0.0), waves_of=None):
    """Image of one thin layer, wave by wave; ``waves_of`` gives the pupil's phase in waves.

    Written as in the pupil's own convention, where delays are negative phases, and then mirrored
    in time: the complex conjugate of every field, with the directions reversed.
    """
    size_y, size_x = field.shape
    orders = np.fft.fft2(field.conj()) / field.size
    y, x = (np.arange(size) * setup.pixel_um for size in field.shape)
    image = []
    for z in z_um:
        light = np.zeros_like(orders)
        for row in range(size_y):
            for column in range(size_x):
                fy, fx = (
                    ((k + size // 2) % size - size // 2) / (size * setup.pixel_um)
                    - na / setup.wavelength_um
                    for k, size, na in zip((row, column), field.shape, na_yx, strict=True)
                )
                if math.hypot(fy, fx) > setup.na / setup.wavelength_um * (1 + 1e-9):
                    continue
                kz = math.sqrt((setup.immersion_index / setup.wavelength_um) ** 2 - fy**2 - fx**2)
                waves = (z - height_um) * kz
                if waves_of is not None:
                    waves += waves_of(fy, fx)
                phase = 2 * np.pi * (fy * y[:, None] + fx * x + waves)
                light += orders[row, column] * np.exp(1j * phase)
        image.append(np.abs(light) ** 2)
    return torch.from_numpy(np.stack(image))


@pytest.mark.parametrize("na_yx", [(0.0, 0.0), (0.137, -0.291), (0.47, 0.0), (0.4, 0.62)])
@pytest.mark.parametrize(("shape", "pixel_um"), [((16, 16), 0.25), ((15, 18), 0.19),
                                                 ((24, 20), 0.07)])  # fmt: skip
def test_tilted_wave_is_a_sum_of_plane_waves(na_yx, shape, pixel_um):
    """Tilts off the grid, dark field, odd sizes, and pixels fine enough for a coarser grid."""
    steep = math.hypot(*na_yx) > SETUP.na
    setup = SETUP.model_copy(update={"pixel_um": min(pixel_um, 0.19) if steep else pixel_um})
    field = fabricate_slice(*shape)
    z_um = torch.tensor([-4.0, 0.5, 3.0])
    found = coherent_images(
        torch.from_numpy(field)[None], setup, z_um, heights_um=torch.tensor([0.5]), na_yx=na_yx
    )
    expected = sum_plane_waves(field, setup, z_um.tolist(), height_um=0.5, na_yx=na_yx)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    single = coherent_images(
        torch.from_numpy(field).cfloat()[None], setup, z_um,
        heights_um=torch.tensor([0.5]), na_yx=na_yx,
    )  # fmt: skip
    torch.testing.assert_close(single, expected.float(), rtol=0, atol=3e-5)


def test_aberrations_have_the_signs_of_the_pupil():
    """Coma keeps its direction and astigmatism its sign against defocus."""
    terms = {8: 0.12, 5: 0.08, 12: -0.05}
    field = fabricate_slice(16, 16, strength=2.0)

    def waves_of(fy, fx):
        y, x = (torch.tensor(f / (SETUP.na / SETUP.wavelength_um)).float() for f in (fy, fx))
        return float(zernike_basis(list(terms), y, x) @ torch.tensor(list(terms.values())))

    z_um = torch.tensor([-2.0, 2.0])
    found = coherent_images(
        torch.from_numpy(field)[None], SETUP, z_um, heights_um=torch.zeros(1),
        na_yx=(0.1, 0.05), aberrations=Aberrations(zernike_waves=terms),
    )  # fmt: skip
    expected = sum_plane_waves(field, SETUP, z_um.tolist(), na_yx=(0.1, 0.05), waves_of=waves_of)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_abbes_sum_of_one_point_is_the_coherent_image():
    slices = torch.from_numpy(fabricate_slice(2, 3, 16, 16)).cfloat()
    z_um, heights_um = torch.tensor([-1.0, 2.0]), torch.tensor([0.0, 1.0, 3.0])
    point = Source(na_yx=torch.tensor([[0.11, 0.07]]), weights=torch.tensor([2.5]))
    summed = transmitted_images(slices, SETUP, z_um, heights_um=heights_um, source=point)
    na_yx = (0.11, 0.07)
    single = coherent_images(slices, SETUP, z_um, heights_um=heights_um, na_yx=na_yx)
    torch.testing.assert_close(summed, single, rtol=1e-4, atol=1e-5)


def test_abbes_sum_adds_intensities_by_weight():
    slices = torch.from_numpy(fabricate_slice(1, 16, 16))
    z_um, heights_um = torch.tensor([1.5]), torch.zeros(1)
    places, weights = [(0.0, 0.1), (-0.3, 0.2), (0.2, 0.0)], [1.0, 2.0, 5.0]
    source = Source(na_yx=torch.tensor(places), weights=torch.tensor(weights))
    found = transmitted_images(slices, SETUP, z_um, heights_um=heights_um, source=source)
    expected = sum(
        weight / 8 * coherent_images(slices, SETUP, z_um, heights_um=heights_um, na_yx=na_yx)
        for na_yx, weight in zip(places, weights, strict=True)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def lens_and_segment(frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Overlap of two unit discs at a distance, and the part of a disc beyond a chord."""
    lens = 2 * np.arccos(frequency / 2) - frequency / 2 * np.sqrt(4 - frequency**2)
    inside = np.minimum(frequency, 1.0)
    return lens, np.arccos(inside) - inside * np.sqrt(1 - inside**2)


@pytest.mark.parametrize("cycles", [4, 12, 20, 30, 40])
def test_half_disc_has_the_weak_phase_transfer_of_its_overlaps(cycles):
    """Condenser filled (sigma = 1): i (2 segment - lens) / (pi / 2), in closed form.

    A frequency f in NA / lambda, across the split. Of half disc A, displaced by -f, the pupil
    passes a segment; displaced by +f, the lens of both discs less that segment.
    """
    size, epsilon = 128, 1e-3
    setup = SETUP.model_copy(update={"pixel_um": 0.2})
    frequency = np.float64(cycles / (size * 0.2) / (setup.na / setup.wavelength_um))
    wave = 2 * math.pi * cycles * torch.arange(size, dtype=torch.float64) / size
    delay = (epsilon * wave.cos()).expand(4, -1)
    image = half_annulus_images(
        torch.exp(1j * delay)[None], setup, torch.zeros(1), heights_um=torch.zeros(1),
        na_in=0.0, na_out=0.5, points=1500,
    )[0]  # fmt: skip
    sine = 2 * (image * wave.sin()).mean().item() / epsilon
    cosine = 2 * (image * wave.cos()).mean().item() / epsilon
    lens, segment = lens_and_segment(frequency)
    # i times cos is a wave a quarter on: the real image of i H cos is -H sin.
    assert sine == pytest.approx(-(2 * segment - lens) / (math.pi / 2), abs=0.01)
    assert cosine == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("z_um", [0.0, 1.0])
def test_ring_has_the_weak_transfer_of_its_waves(z_um):
    """i mean[P*(s) P(s + f) - P(s) P*(s - f)] over half a ring, integrated apart [Tian2015]."""
    size, cycles, epsilon, pixel_um = 128, 14, 1e-3, 0.2
    setup = SETUP.model_copy(update={"pixel_um": pixel_um})
    wave = 2 * math.pi * cycles * torch.arange(size, dtype=torch.float64) / size
    delay = (epsilon * wave.cos()).expand(4, -1)
    image = half_annulus_images(
        torch.exp(1j * delay)[None], setup, torch.tensor([z_um]), heights_um=torch.zeros(1),
        na_in=0.3, na_out=0.45, points=600,
    )[0]  # fmt: skip

    def pupil(fy, fx):
        f2 = (fy**2 + fx**2).astype(complex)
        inside = f2.real <= (setup.na / setup.wavelength_um) ** 2
        return inside * np.exp(-2j * np.pi * z_um * np.sqrt(1 / setup.wavelength_um**2 - f2))

    radius = np.sqrt(np.linspace(0.3**2, 0.45**2, 401)[:-1] + (0.45**2 - 0.3**2) / 800)[:, None]
    angle = (np.arange(400) + 0.5) / 400 * np.pi - np.pi / 2
    y, x = radius * np.sin(angle) / 0.5, radius * np.cos(angle) / 0.5
    f = cycles / (size * pixel_um)
    through = pupil(y, x)
    transfer = 1j * np.mean(through.conj() * pupil(y, x + f) - through * pupil(y, x - f).conj())
    spectrum = (image * torch.exp(-1j * wave)).mean().item() * 2 / epsilon
    # The opposite half sees the mirrored frequency; half the difference is what is left.
    other = 1j * np.mean(through.conj() * pupil(y, x - f) - through * pupil(y, x + f).conj())
    assert spectrum == pytest.approx((transfer - other) / 2, abs=0.01)
    assert abs(spectrum) > 0.2


def test_lens_like_cell_focuses_where_geometry_says():
    """A weak converging layer: d ln I / dz = 1 / f per axis, bright towards the objective."""
    size, pixel_um, focal_um = 256, 0.25, 400.0
    x_um = (torch.arange(size, dtype=torch.float64) - size / 2) * pixel_um
    r2 = x_um[:, None] ** 2 + x_um**2
    bell = torch.exp(-r2 / (2 * 8.0**2))  # curvature 1 / 64 um at its top
    delay = 2 * math.pi / 0.5 * 64 / focal_um * bell
    z_um = torch.tensor([-4.0, 4.0])
    image = coherent_images(
        torch.exp(1j * delay)[None], SETUP, z_um, heights_um=torch.zeros(1)
    )[:, size // 2, size // 2]  # fmt: skip
    slope = (image[0].log() - image[1].log()) / 8  # towards the objective, small z
    assert slope.item() == pytest.approx(2 / focal_um, rel=0.05)


def test_half_source_agrees_with_its_disc():
    half = half_annulus_source(0.0, 0.4, points=200)
    centroid = half.na_yx.mean(0)
    assert centroid[1].item() == pytest.approx(4 * 0.4 / (3 * math.pi), rel=0.01)
    assert abs(centroid[0].item()) < 0.005
    whole = disc_source(0.4, points=400)
    assert whole.na_yx.square().sum(1).mean().item() == pytest.approx(0.4**2 / 2, rel=1e-3)
