"""A call of ``parfocal drive`` is checked before any device is touched."""

from __future__ import annotations

import pytest

from parfocal.cli.drive_request import DriveRequest, check_request, parse_grid, parse_settings
from parfocal.cli.exits import CallError
from parfocal.cli.live import shot_line, text_curve
from parfocal.cli.searches import make_search, revived_search, search_kinds
from tests.fabricate.models import write_tiny_model

LIMITS = {"z_min_um": 0.0, "z_max_um": 10.0}


@pytest.mark.parametrize("text", ["5", "0x4", "5x", "axb", "5x-1", "5x4x3"])
def test_a_grid_that_is_none_is_refused(text):
    with pytest.raises(CallError, match="5x4"):
        parse_grid(text)
    assert parse_grid(None) is None
    assert parse_grid(" 3 X 2 ") == (3, 2)


def test_settings_are_numbers_lists_or_words():
    given = ["range-um=20", "--falls=3", "kind=brent", "on=true", "searches=[1, 2]", "step_um=null"]
    assert parse_settings(given) == {
        "range_um": 20, "falls": 3, "kind": "brent", "on": True, "searches": [1, 2],
        "step_um": None,
    }  # fmt: skip
    for text in ("range_um", "=3"):
        with pytest.raises(CallError, match="NAME=VALUE"):
            parse_settings([text])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "no microscope"),
        ({"virtual": "a", "replay": "DIR"}, "more than one microscope"),
        ({"config": "absent.cfg"}, "absent.cfg"),
        ({"config": "FILE"}, "--z-min-um"),
        ({"config": "FILE", "limits": {"z_min_um": 0.0, "z_max_um": None}}, "--z-max-um"),
        ({"config": "FILE", "limits": LIMITS, "start_um": 3.0}, "--start-um"),
        ({"replay": "DIR"}, "record.json"),
        ({"virtual": "a", "hold_s": 1.0, "grid": (2, 2)}, "exclude"),
        ({"virtual": "a", "hold_s": 0.0}, "--hold"),
        ({"virtual": "a", "every_s": -1.0}, "--every-s"),
        ({"virtual": "a", "pitch_um": 0.0}, "--pitch-um"),
        ({"virtual": "a", "tolerance_um": float("nan")}, "--tolerance-um"),
        ({"virtual": "a", "positions": "p.csv"}, "--map"),
        ({"virtual": "a", "positions": "p.txt", "grid": (2, 2)}, ".pos"),
        ({"virtual": "a", "hold_s": 5.0, "record": "rec"}, "--hold"),
        ({"virtual": "a", "frames": "f.ome.zarr"}, "--sequence"),
        ({"virtual": "a", "sequence": "absent.yaml"}, "absent.yaml"),
        ({"virtual": "a", "sequence": "FILE", "dry_run": True}, "--dry-run"),
        ({"virtual": "a", "report": "FILE"}, "--overwrite"),
        ({"virtual": "a", "report": "absent/x.html"}, "no folder"),
        ({"config": "FILE", "limits": LIMITS, "report": "FILE"}, "input"),
        ({"virtual": "a", "record": "FILE"}, "is a file"),
        ({"virtual": "a", "record": "absent/rec"}, "no folder"),
        ({"virtual": "a", "record": "DIR"}, "something else"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_wrong_calls_are_refused(values, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "DIR").mkdir()
    (tmp_path / "DIR" / "else.txt").touch()
    paths = ("config", "replay", "sequence", "report", "record", "frames", "positions")
    made = {key: tmp_path / value if key in paths else value for key, value in values.items()}
    with pytest.raises(CallError) as error:
        check_request(DriveRequest(**made))
    assert said in str(error.value)


@pytest.mark.parametrize("folder", [".", "place-001"])
def test_a_record_is_replaced_only_where_asked(folder, tmp_path):
    (tmp_path / "rec" / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "rec" / folder / "record.json").touch()
    request = {"virtual": "a", "record": tmp_path / "rec"}
    with pytest.raises(CallError, match="--overwrite"):
        check_request(DriveRequest(**request))
    check_request(DriveRequest(**request, overwrite=True))


def test_every_search_is_made_by_its_name():
    for name in search_kinds():
        assert make_search(name, {}).kind == name
    assert make_search("brent", {"range_um": 7}).range_um == 7.0


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("psychic", {}, "coarse-fine"),
        ("predictor", {"colour": 3}, "land_images"),
        ("brent", {"colour": 3}, "range_um"),
        ("brent", {"range_um": -3}, "range_um"),
        ("sweep", {"range_um": "wide"}, "range_um"),
        ("chain", {"searches": []}, "at least one"),
        ("chain", {"searches": [{"kind": "psychic"}]}, "psychic"),
    ],
)
def test_a_search_that_is_none_is_refused(name, options, said):
    with pytest.raises(CallError) as error:
        make_search(name, options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_predictor_search_loads_its_network_by_name(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "pair-fluorescence")
    write_tiny_model(tmp_path / "mine")
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    search = make_search("predictor", {"land_images": 0})
    assert (search.predictor.name, search.images, search.land_images) == ("pair-fluorescence", 2, 0)
    own = make_search("predictor", {"images": 3}, model="mine")
    assert (own.predictor.name, own.images) == ("mine", 3)
    again = revived_search(own.model_dump(mode="json"))
    assert again.model_dump(mode="json") == own.model_dump(mode="json")
    chain = make_search("chain", {"searches": [{"kind": "predictor"}, {"kind": "sweep"}]})
    assert chain.searches[0].predictor.name == "pair-fluorescence"


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [("predictor", None, "parfocal train"), ("predictor", "mine", "parfocal train"),
     ("brent", "mine", "--search predictor")],
)  # fmt: skip
def test_a_network_that_is_not_there_or_not_asked_is_said(name, model, said, tmp_path, monkeypatch):
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    monkeypatch.setattr("parfocal.models.catalog.CATALOG", ())
    with pytest.raises(CallError, match=said):
        make_search(name, {}, model=model)


def test_the_curve_of_a_run_is_drawn_in_characters():
    lines = text_curve([0.0, 1.0, 2.0, 3.0], [0.0, 5.0, 10.0, 5.0], width=7, height=3)
    assert lines == ["    *", "  *   @", "*"]
    assert text_curve([1.0], [float("nan")], height=2) == ["", ""]
    assert text_curve([1.0, 1.0], [2.0, 2.0], width=3, height=3) == ["", " @", ""]


def test_a_line_of_an_image_says_why():
    from parfocal.drive import CoarseFineSearch, Limits, autofocus
    from tests.fabricate.microscopes import FakeScope

    limits = Limits(z_min_um=0, z_max_um=20)
    report = autofocus(FakeScope(), limits=limits, search=CoarseFineSearch())
    assert shot_line(report.shots[0]).startswith("   1  z      0.00 um  score ")
    assert shot_line(report.shots[0]).endswith("sweep")
