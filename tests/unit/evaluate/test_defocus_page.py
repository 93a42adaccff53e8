from __future__ import annotations

import re

import numpy as np
import pytest

from parfocal.core.results import DefocusEstimate, PatchDefocus, Status
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.defocus_fields import (
    DefocusRecord,
    decimals_of,
    defocus_text,
    interval_text,
    move_text,
    note_text,
    planes_text,
    verdict_text,
)
from parfocal.evaluate.defocus_figure import (
    distribution_svg,
    hue_css,
    hue_reach_um,
    patch_map,
    trials_svg,
)
from parfocal.evaluate.defocus_page import MANY_FIELDS, DefocusPage
from parfocal.evaluate.sheet import ReportHeader
from tests.fabricate.models import TINY_CARD

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # 2 um
HEADER = ReportHeader(title="Defocus", date="today", version="1", command="parfocal predict <a>")
IMAGE = np.random.default_rng(0).normal(100, 10, (200, 300))
CLASSES = np.linspace(-12, 12, 25)


def _patches(**values):
    defocus_um = np.array([[3.0, 3.4, np.nan], [2.8, -9.0, 3.1]])
    certainty = np.array([[0.6, 0.5, np.nan], [0.4, 0.05, 0.3]])
    return PatchDefocus(
        defocus_um=defocus_um, certainty=certainty, patch_px=100.0, stride_px=(100.0, 100.0)
    )


def _found(**values):
    probabilities = np.exp(-np.square(CLASSES - 3.2))
    whole = {
        "status": Status.FOUND, "reason": "certain", "defocus_um": 3.2, "defocus_dof": 1.6,
        "interval_um": (2.3, 4.1), "certainty": 0.55, "classes_um": CLASSES,
        "probabilities": probabilities / probabilities.sum(), "patches": _patches(),
    } | values  # fmt: skip
    return DefocusEstimate(**whole)


def _declined(**values):
    return DefocusEstimate(status=Status.UNCERTAIN, reason="the network cannot tell", **values)


def _record(estimate=None, **values):
    whole = {
        "name": "a <b>", "source": "a.tif", "estimate": estimate or _found(), "planes": (3, 5),
        "z_um": (10.0, 13.0), "shape": (200, 300), "setup": SETUP,
    } | values  # fmt: skip
    return DefocusRecord(**whole)


def test_a_record_says_where_to_move_and_where_focus_is():
    record = _record()
    assert record.move_um == -3.2
    assert record.move_interval_um == (-4.1, -2.3)
    assert record.focus_z_um == pytest.approx(6.8)
    assert record.spacing_um == 3.0
    assert not record.is_near
    assert _record(_found(interval_um=(-0.1, 6.5))).is_near
    values = record.to_dict()
    assert values["move_um"] == -3.2
    assert values["setup"]["depth_of_field_um"] == pytest.approx(2.0)


def test_a_declined_record_holds_no_number_that_looks_like_an_answer():
    record = _record(_declined(certainty=0.07))
    assert (record.move_um, record.focus_z_um, record.move_interval_um) == (None, None, None)
    texts = [defocus_text(record), interval_text(record), move_text(record)]
    assert texts == ["-", "-", "-"]
    assert verdict_text(record) == "No answer: uncertain"
    assert note_text(record) == "the network cannot tell"


def test_numbers_have_the_digits_that_their_interval_deserves():
    assert defocus_text(_record()) == "+3.2 (+1.6)"
    assert interval_text(_record()) == "+2.3 to +4.1"
    fine = OpticalSetup(na=1.3, wavelength_nm=500, pixel_um=0.1, immersion_index=1.515)
    narrow = _record(_found(interval_um=(3.1, 3.3)), setup=fine)
    wide = _record(_found(interval_um=(-40.0, 46.0)), setup=fine)
    assert (decimals_of(narrow), decimals_of(_record()), decimals_of(wide)) == (2, 1, 0)


def test_planes_of_long_stacks_are_named_by_their_ends():
    assert planes_text(_record()) == "3+5"
    assert planes_text(_record(planes=tuple(range(8)), z_um=tuple(map(float, range(8))))) == "0..7"


def test_colours_run_from_red_below_over_green_to_purple_above():
    red, green, purple = (
        tuple(int(hue_css(share)[k : k + 2], 16) for k in (1, 3, 5)) for share in (0.0, 0.5, 1.0)
    )
    assert red == (255, 0, 0)
    assert green[1] == max(green) > 250
    assert purple[2] == max(purple)
    assert purple[0] > 100


def test_an_uncertain_patch_does_not_stretch_the_colours():
    assert hue_reach_um(_record()) == pytest.approx(4.0)  # two depths of field; -9 is uncertain
    far = _found(defocus_um=9.0, defocus_dof=4.5, interval_um=(8.0, 10.0))
    assert hue_reach_um(_record(far)) == 9.0


def test_patches_lie_over_the_image_where_they_were_cut():
    drawn = patch_map(_record(), IMAGE)
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', drawn)
    assert [(float(x), float(y)) for x, y, _ in boxes] == [
        (3.0, 3.0), (103.0, 3.0), (3.0, 103.0), (103.0, 103.0), (203.0, 103.0),
    ]  # fmt: skip
    opacities = [float(text) for text in re.findall(r'<g opacity="([\d.]+)"', drawn)]
    assert opacities == [1.0, 0.83, 0.67, 0.08, 0.5]
    assert "−4.0" in drawn
    assert "+4.0 µm" in drawn
    assert "+3.4" in drawn
    assert ">-9.0</text>" not in drawn  # too uncertain to be written
    assert 'viewBox="0 0 300 200"' in drawn


def test_the_tilt_is_an_arrow_towards_higher_defocus():
    assert "M150.0" not in patch_map(_record(), IMAGE)
    drawn = patch_map(_record(_found(tilt_um_per_mm=(0.0, 5.0))), IMAGE)
    assert 'd="M120.0 100.0L180.0 100.0' in drawn
    page = _page(_record(_found(tilt_um_per_mm=(-1.5, 5.0))))
    assert "+5 µm/mm to the right, -1.5 µm/mm downwards" in page
    assert "not told by the patches" in _page(_record())


def test_the_distribution_shows_answer_interval_focus_and_truth():
    drawn = distribution_svg(_record(known_um=2.5))
    assert drawn.count('class="interval"') == 1
    for word in ("+3.2 µm", ">focus<", ">known<"):
        assert word in drawn
    assert 'class="interval"' not in distribution_svg(
        _record(_declined(probabilities=np.full(25, 0.04), classes_um=CLASSES))
    )
    assert "was not asked" in distribution_svg(_record(_declined()))


def test_trials_show_answers_and_those_declined():
    records = [_record(known_um=3.0), _record(_declined(), known_um=-7.0), _record()]
    drawn = trials_svg(records)
    assert drawn.count("<circle") == 1
    assert drawn.count("l-5 -9h10z") == 1
    assert trials_svg([_record()]) == ""


def _page(*records, card=TINY_CARD, **options):
    page = DefocusPage(card)
    for record in records:
        page.add(record, IMAGE)
    return page.page(HEADER, **options)


def test_the_page_says_what_to_do_in_words_and_escapes_names():
    text = _page(_record(), _record(_declined()), failed=[("c.tif", "is <cut> off")])
    assert "Move the stage by -3.2 µm (-4.1 to -2.3)" in text
    assert "from plane 3, z = 10 µm" in text
    assert "No answer: uncertain." in text
    assert "a &lt;b&gt;" in text
    assert "is &lt;cut&gt; off" in text
    assert "parfocal predict &lt;a&gt;" in text
    assert "Knows nothing." in text
    assert "<script" not in text
    assert 'src="data:image/jpeg' in text


def test_of_many_fields_the_first_have_pictures():
    text = _page(*[_record() for _ in range(MANY_FIELDS + 2)])
    assert text.count("data:image/jpeg") == MANY_FIELDS
    assert f"The first {MANY_FIELDS} of {MANY_FIELDS + 2} fields" in text
    assert text.count("<tr>") == MANY_FIELDS + 3
