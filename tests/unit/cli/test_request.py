"""What a call may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from parfocal.cli.exits import CallError
from parfocal.cli.request import check_optics, choose_form, parse_region


def test_region_is_read_as_rows_then_columns():
    assert parse_region(" 10:20, 30:50 ") == (10, 20, 30, 50)
    assert parse_region(None) is None


@pytest.mark.parametrize("text", ["", "1:2", "1:2,3", "-1:5,0:4", "a:b,c:d", "5:5,0:4", "0:4,9:3"])
def test_odd_regions_are_refused(text):
    with pytest.raises(CallError, match="--region"):
        parse_region(text)


def test_form_follows_flags_then_the_file_name():
    assert choose_form(as_json=False, as_csv=False, output=None) == "table"
    assert choose_form(as_json=False, as_csv=False, output=Path("a.CSV")) == "csv"
    assert choose_form(as_json=True, as_csv=False, output=Path("a.csv")) == "json"
    with pytest.raises(CallError, match="exclude"):
        choose_form(as_json=True, as_csv=True, output=None)


def test_aperture_must_fit_the_immersion():
    check_optics(None, 1.0)
    check_optics(1.4, 1.515)
    check_optics(1.4, None)  # the file may say oil
    with pytest.raises(CallError, match="immersion"):
        check_optics(1.0, 1.0)
