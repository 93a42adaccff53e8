"""Which names are wells, and which only look like it."""

from __future__ import annotations

import pytest

from parfocal.evaluate.plate import Well, parse_well, plate_format, wells_of


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("A1", Well(0, 0)),
        ("P24", Well(15, 23)),
        ("B03_s2", Well(1, 2)),
        ("scan-H12-w1", Well(7, 11)),
        ("r02c05", Well(1, 4)),
        ("r02c05f01p01", Well(1, 4)),
        ("plate.zarr/C/7/0", Well(2, 6)),
        ("AF48", Well(31, 47)),
        ("Q01", None),
        ("A49", None),
        ("A0", None),
        ("stack_012", None),
        ("GFP3", None),
        ("embryo", None),
        ("r00c05", None),
    ],
)
def test_wells_are_read_from_names(name, well):
    assert parse_well(name) == well


def test_name_of_well_reads_back():
    for well in (Well(0, 0), Well(15, 23), Well(31, 47)):
        assert parse_well(well.name) == well


def test_one_field_without_well_means_no_plate():
    assert wells_of(["A1", "A2", "control"]) is None
    assert wells_of(["A1_s1", "A1_s2"]) is None
    assert wells_of(["A1", "A2"]) == {"A1": Well(0, 0), "A2": Well(0, 1)}
    assert wells_of([]) is None


@pytest.mark.parametrize(
    ("last", "size"), [("B2", (8, 12)), ("H12", (8, 12)), ("I1", (16, 24)), ("A25", (32, 48))]
)
def test_plate_is_the_smallest_that_holds_the_wells(last, size):
    assert plate_format([parse_well("A1"), parse_well(last)]) == size
