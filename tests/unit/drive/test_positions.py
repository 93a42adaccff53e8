"""Position lists: what goes out comes back, and lists of the programs themselves are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.core.errors import InputError, ParfocalError, ReadError
from parfocal.drive.positions import (
    Position,
    from_micro_manager,
    from_squid,
    from_useq,
    in_focus,
    read_positions,
    to_micro_manager,
    to_squid,
    to_useq,
    write_positions,
)
from parfocal.drive.surface import FocusPoint, FocusSurface

LENGTHS = st.floats(-2e5, 2e5).map(lambda value: round(value, 3))
POSITIONS = st.lists(
    st.builds(
        Position,
        x_um=LENGTHS,
        y_um=LENGTHS,
        z_um=LENGTHS,
        name=st.text("ABC123 ,é", min_size=1, max_size=5).map(lambda text: f"P{text}"),
        grid_row=st.integers(0, 9),
        grid_column=st.integers(0, 9),
    ),
    max_size=5,
    unique_by=lambda position: position.name,
)


@given(POSITIONS)
def test_useq_gives_back_what_it_got(positions):
    assert list(from_useq(json.loads(json.dumps(to_useq(positions))))) == positions


@given(POSITIONS)
def test_micro_manager_gives_back_what_it_got(positions):
    held = json.loads(json.dumps(to_micro_manager(positions)))
    assert list(from_micro_manager(held)) == positions


@given(POSITIONS)
def test_squid_gives_back_places_and_regions(positions):
    for before, after in zip(positions, from_squid(to_squid(positions)), strict=True):
        assert after.name == before.name
        for axis in ("x_um", "y_um", "z_um"):
            assert getattr(after, axis) == pytest.approx(getattr(before, axis), abs=1e-3)


@pytest.mark.parametrize("ending", ["pos", "json", "csv"])
def test_files_of_every_kind_are_told_apart(tmp_path, ending):
    positions = (
        Position(x_um=1.0, y_um=-2.5, z_um=3.25, name="A1", grid_row=0, grid_column=0),
        Position(x_um=1000.0, y_um=0.0, z_um=4.0, name="A2", grid_row=0, grid_column=1),
    )
    place = tmp_path / f"list.{ending}"
    write_positions(place, positions)
    places = [(p.x_um, p.y_um, p.z_um, p.name) for p in read_positions(place)]
    assert places == [(p.x_um, p.y_um, p.z_um, p.name) for p in positions]
    with pytest.raises(InputError, match="exists"):
        write_positions(place, positions)
    write_positions(place, positions[:1], overwrite=True)
    assert len(read_positions(place)) == 1


def test_useq_itself_takes_the_list(tmp_path):
    useq = pytest.importorskip("useq")
    place = tmp_path / "sequence.json"
    positions = [Position(x_um=1.0, y_um=2.0, z_um=3.0, name="A1"), Position(z_um=5.0)]
    write_positions(place, positions)
    sequence = useq.MDASequence.from_file(place)
    assert [(p.x, p.y, p.z, p.name) for p in sequence.stage_positions] == [
        (1.0, 2.0, 3.0, "A1"),
        (None, None, 5.0, None),
    ]
    place.write_text(sequence.model_dump_json(), encoding="utf-8")
    assert list(read_positions(place)) == positions


OLD = {
    "VERSION": 3,
    "ID": "Micro-Manager XY-position list",
    "POSITIONS": [
        {
            "GRID_COL": 2,
            "DEVICES": [
                {"DEVICE": "FocusDrive", "AXES": 1, "Y": 0, "X": 2142.0625, "Z": 0},
                {"DEVICE": "XYStage", "AXES": 2, "Y": 19659.5, "X": 20873.0, "Z": 0},
            ],
            "PROPERTIES": {},
            "DEFAULT_Z_STAGE": "FocusDrive",
            "LABEL": "well1-1",
            "GRID_ROW": 1,
            "DEFAULT_XY_STAGE": "XYStage",
        }
    ],
}


def test_a_list_of_micro_manager_1_4_is_read(tmp_path):
    place = tmp_path / "old.pos"
    place.write_text(json.dumps(OLD))
    assert read_positions(place) == (
        Position(
            x_um=20873.0, y_um=19659.5, z_um=2142.0625, name="well1-1", grid_row=1, grid_column=2
        ),
    )


def two_focus_stages(default: str) -> dict:
    held = to_micro_manager([Position(x_um=1.0, y_um=2.0, z_um=3.0)], z_stage="ZDrive")
    row = held["map"]["StagePositions"]["array"][0]
    row["DefaultZStage"]["scalar"] = default
    row["DevicePositions"]["array"].append(
        {
            "Device": {"type": "STRING", "scalar": "PFSOffset"},
            "Position_um": {"type": "DOUBLE", "array": [95.0]},
        }
    )
    return held


def test_of_two_focus_stages_the_lists_own_or_the_named_one_counts(tmp_path):
    assert from_micro_manager(two_focus_stages("PFSOffset"))[0].z_um == 95.0
    assert from_micro_manager(two_focus_stages("ZDrive"))[0].z_um == 3.0
    assert from_micro_manager(two_focus_stages("ZDrive"), z_stage="PFSOffset")[0].z_um == 95.0
    place = tmp_path / "two.pos"
    place.write_text(json.dumps(two_focus_stages("")))
    with pytest.raises(ReadError, match="PFSOffset, ZDrive: give z_stage"):
        read_positions(place)
    with pytest.raises(ParfocalError, match="no focus stage called 'Piezo'"):
        read_positions(place, z_stage="Piezo")


def test_positions_without_z_stay_without(tmp_path):
    flat = [Position(x_um=1.0, y_um=2.0, name="A")]
    for ending in ("pos", "json", "csv"):
        place = tmp_path / f"flat.{ending}"
        write_positions(place, flat)
        assert [p.z_um for p in read_positions(place)] == [None]


@pytest.mark.parametrize(
    "text",
    [
        "region,x (mm),y (mm),z (mm)\nA1,10.0,6.0,1.2\n",
        "region,fov,z_level,x (mm),y (mm),z (um),time\nA1,0,0,10.0,6.0,1200.0,2026-03-10\n",
        "region_id,x_mm,y_mm,z_mm\nA1,10.0,6.0,1.2\n",
        "# plate\nregion,x (mm),y (mm),z (um)\n\nA1,10.0,6.0,1200\n",
    ],
)
def test_the_tables_of_squid_are_read(text):
    assert from_squid(text) == (Position(x_um=10_000.0, y_um=6000.0, z_um=1200.0, name="A1"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        '{"a": 1}',
        '{"map": {}}',
        '{"stage_positions": {"plate": "96-well"}}',
        "region,x (mm)\nA1,3\n",
        "region,x (mm),y (mm)\nA1,3,left\n",
        '[{"x": 1e999}]',
    ],
)
def test_what_is_no_position_list_is_refused(tmp_path, text):
    place = tmp_path / "list"
    place.write_text(text)
    with pytest.raises(ReadError, match="holds no position list that is known here: "):
        read_positions(place)


def test_what_a_format_needs_is_said(tmp_path):
    with pytest.raises(InputError, match="Micro-Manager needs x and y, but position 'A'"):
        to_micro_manager([Position(x_um=1.0, name="A")])
    with pytest.raises(ParfocalError, match="no position format called"):
        write_positions(tmp_path / "list.txt", [])
    with pytest.raises(InputError, match="must be finite"):
        Position(x_um=float("nan"))


def test_labels_stay_unique_in_micro_manager():
    held = to_micro_manager([Position(x_um=0.0, y_um=0.0, name="A")] * 2)
    assert [p.name for p in from_micro_manager(held)] == ["A", "A_1"]


def test_positions_are_put_in_focus():
    surface = FocusSurface(
        FocusPoint(x_um=x, y_um=y, z_um=10 + x / 1000) for x in (0.0, 4e3) for y in (0.0, 4e3)
    )
    (there,) = in_focus([Position(x_um=2000.0, y_um=1000.0, z_um=0.0, name="A")], surface)
    assert there.z_um == pytest.approx(12.0, abs=0.1)
    assert there.name == "A"
    assert in_focus([], surface) == ()
    with pytest.raises(InputError, match="needs x and y"):
        in_focus([Position(z_um=1.0)], surface)
