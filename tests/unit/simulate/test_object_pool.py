"""Objects of a pool: exact rolls and turns of what was put in, and no seam in any of them."""

from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError, ShapeError
from parfocal.simulate.object_pool import ObjectPool, blended, few_points, texture


def _picture(size_y: int = 60, size_x: int = 75, seed: int = 0) -> torch.Tensor:
    return torch.rand(size_y, size_x, generator=torch.Generator().manual_seed(seed))


def _images(spectra: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft2(spectra, s=(32, 32))


def test_spectra_are_those_of_objects_rolled_and_mirrored():
    pool = ObjectPool((), textures=1, size_px=32, seed=3)
    whole = texture(32, 0.7, torch.Generator().manual_seed(3))
    still, no = torch.zeros(2, 1, 1, dtype=torch.long), torch.tensor([[False]])
    turned = torch.roll(whole.flip((0, 1)), (1, 1), (0, 1))
    for which, expected in enumerate((whole, turned, whole.mT, turned.mT)):
        at = torch.tensor([which])
        torch.testing.assert_close(_images(pool.rolled(at, still, is_flipped=no))[0], expected)
        shift = torch.tensor([[[5]], [[-9]]])
        moved = _images(pool.rolled(at, shift, is_flipped=~no))[0]
        mirrored = torch.roll(expected.flip(0), 1, 0)
        torch.testing.assert_close(moved, mirrored.roll((5, -9), (0, 1)), rtol=0, atol=1e-5)


def test_every_object_of_a_draw_keeps_the_light_of_one_in_the_pool():
    pool = ObjectPool(("beads",), pictures=(_picture(),), textures=2, size_px=32, seed=1)
    known = pool.rolled(
        torch.arange(4 * len(pool)),
        torch.zeros(2, 4 * len(pool), 1, dtype=torch.long),
        is_flipped=torch.zeros(4 * len(pool), 1, dtype=torch.bool),
    )[:, 0, 0].real
    drawn = _images(pool.draw(20, torch.Generator().manual_seed(0)))
    assert float(drawn.min()) > -1e-5
    apart = (drawn.sum((1, 2))[:, None] - known).abs().amin(1)
    assert float((apart / drawn.sum((1, 2))).max()) < 1e-4


def test_crops_of_a_picture_wrap_around():
    line = torch.linspace(0.0, 1.0, 80)
    slope = line[:, None].expand(80, 80)  # a crop of it has a step at its edge
    pool = ObjectPool((), pictures=(slope + 0.01 * _picture(80, 80),), size_px=32, seed=0)
    crop = _images(pool.rolled(torch.tensor([0]), torch.zeros(2, 1, 1, dtype=torch.long),
                               is_flipped=torch.tensor([[False]])))[0]  # fmt: skip
    step = (crop.roll(-1, 0) - crop).mean(1).abs()
    assert float(step.max()) < 0.35 * float(crop.mean(1).max() - crop.mean(1).min())
    strip = torch.arange(6.0)[:, None]
    assert blended(strip, 5).shape == (5, 1)


def test_what_cannot_be_an_object_is_refused():
    with pytest.raises(InputError, match="does not glow"):
        ObjectPool(("glass_beads",), size_px=32, seed=0)
    with pytest.raises(InputError, match="empty"):
        ObjectPool((), size_px=32, seed=0)
    with pytest.raises(ShapeError, match="at least 36 x 36"):
        ObjectPool((), pictures=(_picture(30, 90),), size_px=32, seed=0)
    with pytest.raises(InputError, match="one grey value"):
        ObjectPool((), pictures=(torch.ones(80, 80),), size_px=32, seed=0)


def test_a_point_between_pixels_is_shared_by_the_four_around_it():
    alone = []
    for seed in range(40):
        field = few_points(32, torch.Generator().manual_seed(seed))
        lit = (field > 0).nonzero()
        rolled = field.roll(tuple((16 - lit[0]).tolist()), (0, 1))  # it may lie across an edge
        rows, columns = (rolled.sum(axis).nonzero()[:, 0] for axis in (1, 0))
        if len(lit) == 4 and len(rows) == len(columns) == 2:
            alone.append(rolled[rows][:, columns])
    assert len(alone) >= 4
    for four in alone:
        assert four[0, 0] * four[1, 1] == pytest.approx(float(four[0, 1] * four[1, 0]), rel=1e-3)
    assert len({round(float(four[0, 0]), 3) for four in alone}) > 1
