from __future__ import annotations

import pytest
import torch

from parfocal.optics.nominal import nominal_transfers
from parfocal.refocus.hypotheses import levels_of, views_of

PIXEL = 0.3


@pytest.fixture(scope="module")
def scene():
    dice = torch.Generator().manual_seed(0)
    one = torch.ones(1)
    transfers = nominal_transfers(
        na=0.5 * one, index=one, wavelength_um=0.5 * one, pixel_um=PIXEL * one,
        defocus_dof=(0.0, 2.0, 4.0), size_px=64,
    )  # fmt: skip
    light = torch.fft.rfft2(2e4 * (torch.rand(1, 64, 64, generator=dice) > 0.995).float())
    focus, blurred = (torch.fft.irfft2(light * transfers[:, k], s=(64, 64)) for k in (0, 1))
    counts = torch.poisson(blurred.clamp(min=0) + 20, generator=dice)
    return counts, transfers[:, 1:], focus + 20


def views(images, transfers, levels=None):
    pixel = torch.full((len(images),), PIXEL)
    levels = levels_of(images) if levels is None else levels
    return views_of(images, levels, transfers=transfers, pixel=pixel)


@pytest.mark.parametrize(
    "turned",
    [
        lambda x: x.flip(-1).roll(1, -1),  # about pixel 0, as frequencies are
        lambda x: x.flip(-2).roll(1, -2),
        lambda x: x.mT,
        lambda x: x.roll((5, 9), (-2, -1)),
    ],
    ids=["mirrored along x", "mirrored along y", "transposed", "rolled"],
)
def test_views_follow_the_image(scene, turned):
    images, transfers, _ = scene
    levels = levels_of(images)
    after = views(turned(images).contiguous(), transfers, levels)
    torch.testing.assert_close(after, turned(views(images, transfers)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("turned", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.mT])
def test_levels_are_free_of_mirrors(scene, turned):
    one, other = levels_of(scene[0]), levels_of(turned(scene[0]).contiguous())
    for name in ("mean", "spread", "noise", "floor"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))


def test_views_are_free_of_gain_and_offset(scene):
    images, transfers, _ = scene
    torch.testing.assert_close(
        views(3.0 * images + 500.0, transfers), views(images, transfers), atol=1e-3, rtol=0
    )


def test_the_right_distance_brings_back_more_than_a_wrong_one(scene):
    images, transfers, light = scene
    truth = levels_of(images).normalised(light)
    input_error, right, wrong = (views(images, transfers)[0] - truth).square().mean((1, 2))
    assert float(right) < 0.8 * float(input_error)
    assert float(right) < 0.8 * float(wrong)


def test_an_image_alone_or_among_others_has_the_same_views(scene):
    images, transfers, _ = scene
    others = torch.cat([images, 2 * images.flip(-1), images])
    many = views(others, transfers.expand(3, -1, -1, -1))
    torch.testing.assert_close(many[:1], views(images, transfers), atol=1e-5, rtol=0)
