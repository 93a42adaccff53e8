from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.optics.batches import pupil_psfs
from parfocal.optics.round_pupil import round_transfers

ONE = torch.ones(1)


def optics(ratio=0.6, pixel=0.25):
    """Pixels so fine that nothing is folded by sampling."""
    return {"na": ratio * ONE, "index": ONE, "wavelength_um": 0.5 * ONE,
            "pixel_um": pixel * 0.5 / ratio * ONE}  # fmt: skip


def planes(values, ratio=0.6):
    return torch.tensor([values]) * 0.5 / ratio**2


@pytest.mark.parametrize("ratio", [0.3, 0.8])
@pytest.mark.parametrize("spherical", [0.0, 0.16])
def test_round_pupils_agree_with_two_dimensional_ones(ratio, spherical):
    z_um = planes((0.0, 1.0, -3.0, 6.0), ratio)
    waves = torch.zeros(1, 15)
    waves[:, 12] = spherical
    psfs = pupil_psfs(z_um=z_um, size_px=256, zernike_waves=waves, **optics(ratio))
    theirs = torch.fft.rfft2(torch.fft.ifftshift(psfs, dim=(-2, -1))).real
    ours = round_transfers(z_um=z_um, spherical_waves=spherical * ONE, size_px=256, **optics(ratio))
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)


def test_a_perfect_pupil_passes_as_the_textbook_says():
    frequency = torch.fft.rfftfreq(256) / 0.25
    share = (frequency / 2).clamp(max=1)
    disc = 2 / torch.pi * (share.acos() - share * (1 - share.square()).sqrt())
    ours = round_transfers(
        z_um=torch.zeros(1, 1), spherical_waves=0 * ONE, size_px=256, **optics(0.05)
    )[0, 0, 0]
    torch.testing.assert_close(ours, disc * torch.sinc(torch.fft.rfftfreq(256)), atol=0.015, rtol=0)


def test_defocus_and_aberration_turn_together():
    one, other = (
        round_transfers(z_um=sign * planes((1.0, 4.0)), spherical_waves=sign * 0.2 * ONE,
                        size_px=64, **optics())
        for sign in (1, -1)
    )  # fmt: skip
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    lone = round_transfers(
        z_um=-planes((1.0, 4.0)), spherical_waves=0.2 * ONE, size_px=64, **optics()
    )
    assert float((one - lone).abs().max()) > 0.05


def test_a_batch_is_its_optics_one_by_one():
    both = {name: torch.cat([a, b]) for (name, a), b in
            zip(optics(0.4).items(), optics(0.7).values(), strict=True)}  # fmt: skip
    z_um = torch.cat([planes((0.0, 2.0), 0.4), planes((1.0, -2.0), 0.7)])
    waves = torch.tensor([0.1, 0.2])
    whole = round_transfers(z_um=z_um, spherical_waves=waves, size_px=(48, 64), **both)
    lone = round_transfers(
        z_um=z_um[1:], spherical_waves=waves[1:], size_px=(48, 64), **optics(0.7)
    )
    torch.testing.assert_close(whole[1:], lone, atol=1e-5, rtol=1e-5)
    assert whole.shape == (2, 2, 48, 33)


def test_light_that_spreads_too_far_is_refused():
    with pytest.raises(InputError, match="come closer to focus"):
        round_transfers(
            z_um=planes((60.0,), 0.8), spherical_waves=0 * ONE, size_px=32, **optics(0.8)
        )
