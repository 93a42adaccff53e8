"""Wells by their label, and the plate that holds them."""

from __future__ import annotations

import pytest

from parfocal.evaluate.plate import Well, parse_well, plate_format, wells_of


@pytest.mark.parametrize(
    ("label", "well"),
    [
        ("A1", Well(0, 0)),
        ("P24", Well(15, 23)),
        ("B03", Well(1, 2)),
        ("AF48", Well(31, 47)),
        ("A49", None),
        ("A0", None),
        ("AG1", None),
        ("control", None),
        ("", None),
    ],
)
def test_wells_are_read_from_labels(label, well):
    assert parse_well(label) == well


def test_name_of_well_reads_back():
    for well in (Well(0, 0), Well(15, 23), Well(31, 47)):
        assert parse_well(well.name) == well


def test_one_field_without_well_means_no_plate():
    assert wells_of({"a": "A1", "b": "A2", "control": None}) is None
    assert wells_of({"a": "A1", "b": "A2", "c": "control"}) is None
    assert wells_of({"s1": "A1", "s2": "A1"}) is None
    assert wells_of({"a": "A1", "b": "A2"}) == {"a": Well(0, 0), "b": Well(0, 1)}
    assert wells_of({}) is None


@pytest.mark.parametrize(
    ("last", "size"), [("B2", (8, 12)), ("H12", (8, 12)), ("I1", (16, 24)), ("A25", (32, 48))]
)
def test_plate_is_the_smallest_that_holds_the_wells(last, size):
    assert plate_format([parse_well("A1"), parse_well(last)]) == size
