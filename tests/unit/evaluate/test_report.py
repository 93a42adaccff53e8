"""The page says what the estimates say, needs nothing but itself, and escapes names."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from parfocal.core.results import FocusCurve
from parfocal.evaluate.curves import focus_curve_svg, nice_ticks, sparkline_svg
from parfocal.evaluate.fields import KnownFocus, record_of
from parfocal.evaluate.report import MANY_FIELDS, Report
from parfocal.evaluate.sheet import ReportHeader

HEADER = ReportHeader(title="Focus", date="today", version="9", command="parfocal score a.tif")
VOID = {"meta", "img", "br", "path", "rect", "circle", "polyline", "polygon"}


class _Balance(HTMLParser):
    """Fails on tags that are closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _page(fields, *, total=None, failed=()):
    report = Report(total=len(fields) if total is None else total)
    for record, stack in fields:
        report.add(record, stack)
    return report.page(HEADER, failed=failed)


def _parse(page):
    parser = _Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_page_needs_nothing_outside_itself(make_stack, make_estimate):
    stack = make_stack("B03")
    page = _page([(record_of(stack, make_estimate(stack)), stack)])
    for link in _parse(page).links:
        assert link.startswith(("data:image/", "#"))
    assert "<script" not in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_found_field_shows_answer_interval_and_optics(make_stack, make_estimate):
    stack = make_stack("B03")
    text = " ".join(_parse(_page([(record_of(stack, make_estimate(stack)), stack)])).text)
    for words in ("8.5 µm", "8.0 to 9.0", "nearest plane 4", "NA 0.5", "Tile map", "keep"):
        assert words in text


def test_declined_field_shows_no_number_like_an_answer(make_stack, make_estimate):
    stack = make_stack("B03")
    record = record_of(stack, make_estimate(stack, status="edge", peak=10.0))
    page = _page([(record, stack)])
    assert "No answer: edge." in page
    assert "Because. Extend the stack above z = 20 µm" in page
    assert 'class="answer"' not in page
    assert 'class="best"' not in page
    assert 'class="interval"' not in page


def test_names_are_escaped(make_stack, make_estimate):
    stack = make_stack("<b>&\"'", source="<script>alert(1)</script>")
    estimate = make_estimate(stack, reason="<i>", warnings=("<u>",))
    page = _page([(record_of(stack, estimate), stack)], failed=[("<p>", "<q>")])
    for raw in ("<script", "<b>&\"'", "<i>", "<u>", "<q>", "<b><p>"):
        assert raw not in page
    assert "&lt;b&gt;&amp;&quot;&#x27;" in page
    _parse(page)


def test_failed_inputs_are_listed(make_stack, make_estimate):
    page = _page([], failed=[("bad.tif", "cannot be read: empty")])
    assert "Not processed" in page
    assert "bad.tif" in page
    _parse(page)


def test_unknown_z_is_told_in_planes(make_stack, make_estimate):
    stack = make_stack(step_um=1.0, z_known=False, setup=None, pixel_um=None)
    text = " ".join(_parse(_page([(record_of(stack, make_estimate(stack)), stack)])).text)
    assert "Plane 4.25" in text
    assert "stage z (µm)" not in text
    assert "4.00 to 4.50" in text


def test_two_wells_make_a_plate_and_two_names_do_not(make_stack, make_estimate):
    for wells, drawn in ((("B03", "C04"), True), (("B03", None), False), ((None, None), False)):
        stacks = [make_stack("one"), make_stack("two")]
        records = [
            record_of(stack, make_estimate(stack), well=well)
            for stack, well in zip(stacks, wells, strict=True)
        ]
        page = _page(list(zip(records, stacks, strict=True)))
        assert ('class="plate"' in page) == drawn
        _parse(page)


def test_many_fields_show_only_those_that_need_a_hand(make_stack, make_estimate):
    good, bad = make_stack("sharp"), make_stack("dull")
    good_one = (record_of(good, make_estimate(good)), good)
    bad_one = (record_of(bad, make_estimate(bad, status="flat")), bad)
    page = _page([*[good_one] * MANY_FIELDS, bad_one])
    assert page.count("<section") == 1
    assert page.count("<tr>") == MANY_FIELDS + 2
    assert page.index(">dull<") < page.index(">sharp<")
    assert _page([*[good_one] * 3, bad_one]).count("<section") == 4


def test_known_focus_stands_beside_the_answer(make_stack, make_estimate):
    stack = make_stack()
    known = KnownFocus(position=8.0, tolerance=1.0, note="made so")
    record = record_of(stack, make_estimate(stack), known=known)
    assert record.as_known
    assert "8 ± 1 µm (made so)" in _page([(record, stack)])
    far = dataclasses.replace(record, known=KnownFocus(position=12.0, tolerance=1.0))
    assert not far.as_known
    declined = record_of(stack, make_estimate(stack, status="flat"), known=known)
    assert not declined.as_known
    assert dataclasses.replace(declined, known=KnownFocus(position=None, tolerance=0.0)).as_known


def test_curve_marks_best_focus_where_it_lies(make_stack, make_estimate):
    stack = make_stack()
    svg = focus_curve_svg(record_of(stack, make_estimate(stack)))
    x = float(re.search(r'class="best" d="M([\d.]+)', svg)[1])
    dots = [float(v) for v in re.findall(r'class="dot" cx="([\d.]+)"', svg)]
    assert len(dots) == 11
    share = (x - dots[4]) / (dots[5] - dots[4])
    assert share == pytest.approx(0.25, abs=0.01)


def test_curve_of_falling_z_and_of_constant_scores_is_drawn(make_stack, make_estimate):
    stack = make_stack(step_um=-2.0)
    flat = FocusCurve(z_um=stack.z_um, scores=stack.z_um * 0 + 3.0, measure="brenner")
    estimate = make_estimate(stack, status="flat", curve=flat)
    svg = focus_curve_svg(record_of(stack, estimate))
    assert "nan" not in svg + sparkline_svg(record_of(stack, estimate))
    assert svg.count("<circle") == 11


def test_curve_without_finite_scores_says_so(make_stack, make_estimate):
    stack = make_stack()
    nothing = FocusCurve(z_um=stack.z_um, scores=stack.z_um * float("nan"), measure="brenner")
    record = record_of(stack, make_estimate(stack, status="blank", curve=nothing))
    assert "no finite score" in focus_curve_svg(record)
    assert sparkline_svg(record) == ""


@pytest.mark.parametrize("ends", [(0, 1), (-6, 6), (3.2, 3.9), (0, 165.5), (1e-7, 9e-7)])
def test_ticks_are_few_round_and_inside(ends):
    ticks = nice_ticks(*map(float, ends))
    assert 3 <= len(ticks) <= 11
    assert ends[0] <= ticks[0] < ticks[-1] <= ends[1] * (1 + 1e-9)
