from __future__ import annotations

import numpy as np
import pytest
import torch

from parfocal.optics.round_pupil import round_transfers
from parfocal.refocus.height_copies import HEIGHTS_DOF, matched, section_share, taken_out
from parfocal.refocus.hypotheses import levels_of

SIZE = 128
PIXEL = torch.tensor([0.35])


def transfers(heights):
    one = torch.ones(1)
    return round_transfers(
        na=0.7 * one, index=one, wavelength_um=0.5 * one, pixel_um=0.25 * one,
        z_um=-torch.tensor([heights]) * 0.5 / 0.49, spherical_waves=0.16 * one, size_px=SIZE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def blurs():
    return transfers(HEIGHTS_DOF)


def bead(blurs, k):
    point = torch.zeros(1, SIZE, SIZE)
    point[0, 30, 21] = 1e6
    return torch.fft.irfft2(torch.fft.rfft2(point) * blurs[:, k], s=(SIZE, SIZE)) + 20


@pytest.mark.parametrize("k", range(len(HEIGHTS_DOF)))
def test_a_point_agrees_best_with_its_own_height(blurs, k):
    dice = torch.Generator().manual_seed(k)
    image = torch.poisson(bead(blurs, k).clamp(min=0), generator=dice)
    levels = levels_of(image)
    alike = matched(levels.normalised(image), levels, transfers=blurs)
    assert int(alike[0, :, 30, 21].argmax()) == k


def test_agreement_is_a_correlation_pixel_by_pixel(blurs):
    """A slow reference: sums over rolled blurs, in float64."""
    dice = np.random.default_rng(0)
    image = torch.from_numpy(dice.poisson(50, (1, SIZE, SIZE)).astype(np.float32))
    levels = levels_of(image)
    small = levels.normalised(image)
    y, x = 11, 40
    sums = []
    for k in range(len(HEIGHTS_DOF)):
        blur = np.fft.irfft2(blurs[0, k].double().numpy(), s=(SIZE, SIZE))
        blur /= np.sqrt((blur**2).sum())
        sums.append((np.roll(blur, (y, x), (0, 1)) * small[0].double().numpy()).sum())
    sums = np.array(sums)
    expected = sums / np.sqrt((sums**2).mean() + float(levels.noise) ** 2)
    alike = matched(small, levels, transfers=blurs)
    np.testing.assert_allclose(alike[0, :, y, x], expected, atol=1e-4)


def test_agreement_and_light_know_no_gain_no_offset_and_no_mirror(blurs):
    dice = torch.Generator().manual_seed(1)
    image = torch.poisson(bead(blurs, 4).clamp(min=0), generator=dice)

    def asked(images):
        levels = levels_of(images)
        small = levels.normalised(images)
        light, _ = taken_out(images, levels, transfers=blurs, pixel=PIXEL)
        return matched(small, levels, transfers=blurs), light

    for one, other in zip(asked(image), asked(3 * image + 100), strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)
    for one, other in zip(asked(image), asked(image.flip(-1)), strict=True):
        torch.testing.assert_close(one.flip(-1), other, atol=2e-3, rtol=1e-3)


def test_light_taken_out_at_its_height_is_a_point_again(blurs):
    image = bead(blurs, 9)
    levels = levels_of(image)
    light, fits = taken_out(image, levels, transfers=blurs, pixel=PIXEL)
    assert divmod(int(light[0, 9].argmax()), SIZE) == (30, 21)
    assert float(light[0, 9].max()) > 3 * float(levels.normalised(image).max())
    opposite = len(HEIGHTS_DOF) - 1 - 9
    left = fits[0, len(HEIGHTS_DOF) : 2 * len(HEIGHTS_DOF)].mean((1, 2))
    assert float(left[9]) < float(left[opposite])


def test_a_section_halves_at_half_its_width():
    share = section_share(torch.tensor([0.75, 0.0]))
    middle = HEIGHTS_DOF.index(0.0)
    assert float(share[0, middle]) == pytest.approx(0.5)
    assert float(share[1, middle]) == 1.0
    assert float(share[1, 0]) < 1e-6
