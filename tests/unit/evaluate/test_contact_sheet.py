"""A contact sheet shows every tile pixel for pixel, with a scale bar of the right length."""

from __future__ import annotations

import numpy as np
import pytest

from parfocal.evaluate.contact_sheet import (
    GAP_PX,
    LABEL_PX,
    SIDE_PX,
    SheetRow,
    bar_um,
    draw_contact_sheet,
)


def fabricate_tiles(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def test_tiles_are_drawn_pixel_for_pixel_below_their_labels():
    tiles = fabricate_tiles(3, 40, 60)
    row = SheetRow(title="widefield", images=tiles, labels=("-1 um", "z = 0", "+1 um"))
    other = SheetRow(title="confocal", images=tiles[::-1])
    sheet = draw_contact_sheet([row, other])
    for top, images in ((LABEL_PX, tiles), (LABEL_PX + 40 + 2 * GAP_PX, tiles[::-1])):
        for column, tile in enumerate(images):
            left = SIDE_PX + column * (60 + GAP_PX)
            seen = sheet[top : top + 40, left : left + 60] / 255
            np.testing.assert_allclose(seen, tile, atol=0.01)
    assert (sheet[:LABEL_PX, SIDE_PX:] < 128).any()  # the labels
    assert (sheet[LABEL_PX:, : SIDE_PX - GAP_PX] < 128).any()  # the titles


def test_values_outside_black_and_white_are_clipped():
    tiles = np.stack([np.full((8, 8), value) for value in (-3.0, 7.0)])
    sheet = draw_contact_sheet([SheetRow(title="", images=tiles)])
    assert sheet[GAP_PX + 4, SIDE_PX + 4] == 0
    assert sheet[GAP_PX + 4, SIDE_PX + 8 + GAP_PX + 4] == 255


@pytest.mark.parametrize("pixel_um", [0.1, 0.65])
def test_the_bar_is_as_long_as_it_says(pixel_um):
    row = SheetRow(title="", images=np.zeros((1, 100, 160)), pixel_um=pixel_um)
    tile = draw_contact_sheet([row])[GAP_PX : GAP_PX + 100, SIDE_PX : SIDE_PX + 160]
    bar = (tile[96:98] > 250).sum(1)
    assert bar.tolist() == [round(bar_um(160 * pixel_um) / pixel_um)] * 2


@pytest.mark.parametrize("width_um", [0.7, 3.0, 83.0, 1234.0])
def test_bars_are_round_and_a_seventh_to_a_third_of_the_width(width_um):
    length = bar_um(width_um)
    assert 0.13 * width_um < length <= 0.34 * width_um
    assert f"{length:e}"[0] in "125"
