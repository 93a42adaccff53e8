from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from parfocal.core.errors import InputError
from parfocal.core.results import TileFocus
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.data import LabelledStack, ShortStackPatches, useful_pairs
from parfocal.evaluate.defocus_trials import KnownStack
from parfocal.evaluate.defocus_trials import useful_pairs as pairs_of_trials

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 2 um, and 3 with the pixel


def _known(planes=6, size=(64, 96), *, focus_um=3.0, z_step_um=1.5, tiles=None):
    """Counts say where they are: plane * 1e4 + row * 100 + column."""
    z, y, x = np.ogrid[:planes, : size[0], : size[1]]
    stack = FocalStack.of(1e4 * z + 100.0 * y + x, z_step_um=z_step_um, setup=SETUP, name="s")
    return LabelledStack(
        stack=stack, focus_um=focus_um, interval_um=(0.0, 20.0), specimen="s", tiles=tiles
    )


def test_a_patch_is_cut_where_it_says_and_knows_the_defocus_of_its_planes():
    patches = ShortStackPatches(
        [_known(), _known(focus_um=0.0)], planes=[[(0, 2)], [(1, 3), (2, 4)]], sides_px=[64, 32]
    )
    # One row and two columns of 64 px; three rows and five columns of 32 px, twice.
    assert [len(patches.items_of(stack)) for stack in (0, 1)] == [2, 30]
    assert len(patches) == 32
    for item in range(len(patches)):
        at, patch = patches.place(item), patches[item]
        side = (64, 32)[at.stack]
        assert patch.images.shape == (2, side, side)
        corner = 1e4 * torch.tensor(at.planes) + 100 * at.top + at.left
        assert patch.images[:, 0, 0].tolist() == corner.tolist()
        truth = 1.5 * torch.tensor(at.planes) - (3.0, 0.0)[at.stack]
        torch.testing.assert_close(patch.defocus_um, truth)
        assert patch.stack == at.stack
    assert len({patches.place(item) for item in range(len(patches))}) == 32
    with pytest.raises(IndexError):
        patches[32]


def test_every_pixel_is_in_a_patch():
    patches = ShortStackPatches([_known(size=(70, 101))], planes=[[(0, 1)]], sides_px=[32])
    seen = np.zeros((70, 101), bool)
    for item in range(len(patches)):
        at = patches.place(item)
        seen[at.top : at.top + 32, at.left : at.left + 32] = True
    assert seen.all()


def test_patches_of_background_are_left_out():
    weight = np.zeros((2, 3))
    weight[0, 2] = 1.0  # rows 0 to 32, columns 64 to 96
    tiles = TileFocus(z_um=np.zeros((2, 3)), weight=weight, tile_px=32)
    patches = ShortStackPatches([_known(tiles=tiles)], planes=[[(0, 1)]], sides_px=[32])
    places = [patches.place(item) for item in range(len(patches))]
    assert places
    assert all(at.top <= 16 < at.top + 32 and at.left <= 80 < at.left + 32 for at in places)


def test_a_loader_of_torch_takes_them():
    patches = ShortStackPatches([_known()], planes=[[(0, 2), (1, 3)]], sides_px=[64])
    batch = next(iter(DataLoader(patches, batch_size=4)))
    assert batch.images.shape == (4, 2, 64, 64)
    assert batch.defocus_um.shape == (4, 2)
    assert batch.stack.tolist() == [0, 0, 0, 0]


def test_pairs_are_those_that_predictors_are_tried_on():
    known = _known(planes=50, z_step_um=1.3, focus_um=17.0)
    tried = KnownStack(
        name="s", images=np.zeros((50, 8, 8)), z_um=known.z_um, focus_um=17.0, setup=SETUP
    )
    assert useful_pairs(known.z_um, 17.0, depth_um=tried.depth_um) == pairs_of_trials(tried)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sides_px": [65]}, "do not fit"),
        ({"planes": [[]]}, "no short stack"),
        ({"sides_px": [64, 64]}, "as many of each"),
    ],
)
def test_what_cannot_be_cut_is_refused(changes, text):
    with pytest.raises(InputError, match=text):
        ShortStackPatches([_known()], **({"planes": [[(0, 1)]], "sides_px": [64]} | changes))
