"""What the page on masks says and draws."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from parfocal.core.stack import FocalStack
from parfocal.evaluate.segment_fields import (
    height_text,
    note_text,
    planes_text,
    segment_record,
    share_text,
    thinned,
)
from parfocal.evaluate.segment_figure import Drawn, outline_png, shown_planes, volume_png
from parfocal.evaluate.segment_page import SegmentPage
from parfocal.evaluate.sheet import ReportHeader
from tests.fabricate.masks import declined, masks_of, tilted_stack

HEADER = ReportHeader(title="What is in focus", date="today", version="1", command="parfocal x")


def _pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def _column(planes, z_um=None, **more):
    drawn = np.zeros((len(planes), 1, 4), bool)
    for plane, count in enumerate(planes):
        drawn[plane, 0, :count] = True
    z_um = np.arange(float(len(planes))) if z_um is None else z_um
    stack = FocalStack.of(np.zeros(drawn.shape), z_um=z_um, name="a <b>")
    return segment_record(stack, masks_of(drawn, z_um=z_um, **more))


def test_a_record_sums_up_its_masks():
    stack, masks = tilted_stack()
    record = segment_record(stack, masks, well="B03")
    assert record.planes == tuple(range(1, 8))
    assert record.peak in range(1, 8)
    assert record.share == 1.0
    assert record.height == pytest.approx((2.6, 13.4), abs=0.5)  # 1 to 7 planes, 2 um apart
    assert (record.unit, record.well) == ("um", "B03")
    values = record.to_dict()
    assert values["height_um"] == list(record.height)
    assert values["height_planes"] is None
    assert values["planes_in_focus"] == list(range(1, 8))


def test_stray_pixels_make_no_plane_in_focus():
    drawn = np.zeros((3, 20, 20), bool)
    drawn[1], drawn[0, 0, 0] = True, True
    stack = FocalStack.of(np.zeros(drawn.shape), z_step_um=1.0)
    assert segment_record(stack, masks_of(drawn)).planes == (1,)


def test_heights_that_the_stack_cuts_off_are_warned_of():
    assert "may go on beyond" in _column([4, 0, 0]).warnings[0]
    assert _column([0, 4, 0]).warnings == ()
    assert _column([0, 4, 0]).cut_share == 0.0


@pytest.mark.parametrize(
    ("planes", "text"),
    [([0, 4, 4, 4, 0], "1..3"), ([4, 0, 4], "0, 2"), ([4, 0] * 4, "4 of 0..6"), ([0, 0], "-")],
)
def test_planes_are_named_as_runs(planes, text):
    assert planes_text(_column(planes)) == text


def test_texts_have_the_digits_of_the_step_and_a_dash_without_an_answer():
    fine = _column([0, 4, 4], z_um=np.array([0.0, 0.1, 0.2]))
    assert height_text(fine) == "0.15 to 0.15"
    unknown = _column([0, 4, 4, 0], z_known=False)
    assert (height_text(unknown), unknown.unit) == ("1.5 to 1.5", "planes")
    assert unknown.to_dict()["height_planes"] == [1.5, 1.5]
    stack, _ = tilted_stack()
    none = segment_record(stack, declined(stack.shape))
    assert (planes_text(none), share_text(none), height_text(none)) == ("-", "-", "-")
    assert note_text(none) == "nothing to see there"
    values = none.to_dict()
    assert [values[k] for k in ("share", "height_um", "height_planes", "cut_share")] == [None] * 4


@pytest.mark.parametrize(
    ("planes", "shown"),
    [
        ([0, 0, 0, 1, 4, 2, 0, 0, 0], (0, 2, 4, 5, 6)),
        ([1, 1, 2, 3, 4, 3, 3, 1, 1], (0, 2, 4, 6, 8)),
        ([0, 0, 0, 0, 4, 0, 0, 0, 0], (0, 3, 4, 5, 8)),
        ([4, 4, 4], (0, 1, 2)),
        ([0] * 9, (0, 4, 8)),
    ],
)
def test_the_planes_that_are_shown_are_full_half_full_and_beyond(planes, shown):
    assert shown_planes(_column(planes)) == shown


def test_a_contour_runs_within_the_border_of_its_mask():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    pixels = _pixels(outline_png(mask))
    times = pixels.shape[1] // 60
    lit = pixels[..., 3] > 0
    large = mask.repeat(times, 0).repeat(times, 1)
    assert lit.any()
    assert not (lit & ~large).any()
    inside = large[:, :].copy()
    inside[10 * times + 2 : 30 * times - 2, 20 * times + 2 : 50 * times - 2] = False
    np.testing.assert_array_equal(lit, inside)


def test_dim_planes_are_lifted_and_noise_is_not():
    stack, masks = tilted_stack()
    drawn = Drawn(stack, masks, (0.0, 400.0))
    dim, noise = np.linspace(10.0, 210.0, 900), np.linspace(10.0, 12.0, 900)
    assert drawn.limits_for(dim.reshape(30, 30)) == pytest.approx((10.4, 209.6), abs=0.1)
    assert drawn.limits_for(noise.reshape(30, 30)) == pytest.approx((10.0, 110.0), abs=0.1)


@pytest.mark.parametrize("skip", [2, 5, 7])
def test_thinned_masks_fit_binned_planes(skip):
    drawn = np.zeros((2, 23, 17), bool)
    drawn[0, 1, 1] = True
    small = thinned(masks_of(drawn, probabilities=drawn.astype(float)), skip)
    assert small.shape == (2, 23 // skip, 17 // skip) == small.probabilities.shape
    assert small.masks.any()  # what fell between the pixels is not lost as a whole
    assert small.pixel_um == 0.5 * skip


def test_a_flat_volume_is_stretched_and_says_so():
    drawn = np.zeros((3, 40, 40), bool)
    drawn[1, 10:30, 10:30] = True
    assert volume_png(masks_of(drawn), (0.0, 2.0))[1] == "z stretched 1.5 times"
    assert volume_png(masks_of(drawn, step_um=5.0), (0.0, 10.0))[1] == ""
    assert volume_png(masks_of(drawn[1:2], pixel_um=0.1), (0.0, 2.0))[1] == ""
    assert volume_png(masks_of(drawn, z_known=False), (0.0, 2.0))[1] == "z not to scale"


def test_the_page_shows_overlays_for_an_answer_and_a_reason_without_one():
    stack, masks = tilted_stack()
    page = SegmentPage()
    page.add(segment_record(stack, masks), stack, masks)
    other = replace(stack, name="<empty>")
    empty = declined(stack.shape)
    page.add(segment_record(other, empty), other, empty)
    html = page.page(HEADER, failed=[("c<.tif", "is broken & empty")])
    assert html.count("<b>1</b>with masks") == 1
    assert html.count("<b>1</b>declined") == 1
    assert html.count('alt="Contour of what is in focus"') == 3  # and two planes without
    assert "No mask: blank." in html
    assert "Nothing to see there." in html
    assert "&lt;empty&gt;" in html
    assert "<empty>" not in html
    assert "is broken &amp; empty" in html
    assert html.count('alt="Height map"') == html.count('alt="Volume in focus"') == 1
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)


def test_the_page_says_that_z_is_unknown():
    stack, masks = tilted_stack()
    masks = replace(masks, z_known=False, z_um=np.arange(9.0))
    stack = replace(stack, z_known=False, z_um=np.arange(9.0), pixel_um=None)
    page = SegmentPage()
    page.add(segment_record(stack, masks), stack, masks)
    html = page.page(HEADER)
    assert "(plane numbers)" in html
    assert "unknown: heights are plane numbers" in html
    assert "stage z (µm)" not in html


def test_a_field_larger_than_its_pictures_is_drawn_binned():
    stack, masks = tilted_stack()
    large = np.kron(stack.read_counts(), np.ones((1, 24, 24), np.uint16))[:, :600]
    many = np.kron(masks.masks, np.ones((1, 24, 24), bool))[:, :600]
    page = SegmentPage()
    found = masks_of(many, step_um=2.0)
    big = FocalStack.of(large, z_step_um=2.0, pixel_um=0.5)
    page.add(segment_record(big, found), big, found)
    assert len(page.page(HEADER)) < 2_500_000
