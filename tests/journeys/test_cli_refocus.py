"""``parfocal refocus`` from files to image, trust, table, JSON and page; and what it declines."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import tifffile
from scipy.signal import fftconvolve

from parfocal.cli.refocus_surface import Tilted, read_surface
from parfocal.core.setup import OpticalSetup
from parfocal.io import open_stack
from parfocal.io.channels import write_channels
from parfocal.io.writing import write_stack
from parfocal.refocus import defocus_psf
from tests.fabricate.refocusers import write_tiny_refocuser

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
AWAY_UM = 2.5
FAST = ("--method=wiener", f"--defocus-um={AWAY_UM}")


@pytest.fixture(scope="module")
def counts():
    """Threads and beads, 2.5 um from focus."""
    rng = np.random.default_rng(0)
    scene = np.zeros((96, 112))
    scene[rng.integers(0, 96, 60), rng.integers(0, 112, 60)] = 4e5 * rng.random(60)
    light = fftconvolve(scene, defocus_psf(SETUP, AWAY_UM).numpy(), mode="same").clip(0)
    return rng.poisson(light + 100).astype(np.uint16)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """As if no refocusing network were installed, whichever there are."""
    monkeypatch.setattr("parfocal.cli.refocus_distance.model_rows", lambda: ())


@pytest.fixture
def blurred(counts, tmp_path):
    return write_stack(counts, tmp_path / "blurred.ome.tif", setup=SETUP)


@pytest.mark.parametrize("ending", ["ome.tif", "ome.zarr"])
def test_an_image_is_written_with_its_trust_and_how_it_came_about(
    ending, counts, blurred, parfocal, tmp_path
):
    out = tmp_path / f"sharp.{ending}"
    before = blurred.read_bytes()
    status, told, err = parfocal("refocus", blurred, out, *FAST)
    assert (status, err) == (0, "")
    assert "1 image: 1 refocused." in told
    assert f"wrote {out}" in told
    sharp, trust = open_stack(out), open_stack(tmp_path / f"sharp.trust.{ending}")
    assert (sharp.shape, sharp.pixel_um) == ((1, 96, 112), 0.325)
    assert sharp.read_counts().max() > 1.3 * counts.max()
    np.testing.assert_array_equal(trust.read_counts(), 1)
    assert blurred.read_bytes() == before


def test_json_and_csv_say_what_was_done(blurred, parfocal, tmp_path):
    status, out, _ = parfocal("refocus", blurred, tmp_path / "a.ome.tif", *FAST, "--json")
    whole = json.loads(out)
    (row,) = whole["results"]
    assert (status, row["status"], row["method"], whole["failed"]) == (0, "found", "wiener", [])
    assert (row["defocus_um"], row["told_by"], row["trust"]) == (AWAY_UM, "given", 1.0)
    assert row["provenance"]["setup"]["na"] == 0.75
    assert row["files"][0].endswith("a.ome.tif")
    _, out, _ = parfocal("refocus", blurred, tmp_path / "b.ome.tif", *FAST, "--csv")
    (line,) = csv.DictReader(io.StringIO(out))
    assert float(line["flux"]) == row["flux"]


def test_a_folder_gets_one_image_each_and_declined_ones_write_nothing(
    counts, blurred, parfocal, tmp_path
):
    inside = tmp_path / "in"
    inside.mkdir()
    for number in (1, 2):
        write_stack(counts, inside / f"field_{number}.ome.tif", setup=SETUP)
    write_stack(np.full_like(counts, 300), inside / "field_3.ome.tif", setup=SETUP)
    (inside / "field_4.ome.tif").write_bytes(b"II*\x00 no image")
    out, page = tmp_path / "out", tmp_path / "r.html"
    status, told, err = parfocal("refocus", inside, out, *FAST, "--report", page)
    assert status == 1
    assert err.count("\n") == 1
    assert "field_4" in err
    assert "3 images: 2 refocused, 1 blank." in told
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        f"field_{number}.refocused{trust}.ome.tif" for number in (1, 2) for trust in ("", ".trust")
    ]
    html = page.read_text()
    for text in ("Not refocused: blank.", "Output less input", "Line profile", "field_4", "Trust"):
        assert text in html
    assert 'src="http' not in html
    assert "<script" not in html


def test_a_second_run_leaves_out_what_the_first_wrote(counts, parfocal, tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    write_stack(counts, inside / "field_1.ome.tif", setup=SETUP)
    assert parfocal("refocus", inside, inside, *FAST)[0] == 0
    status, told, err = parfocal("refocus", inside, inside, *FAST, "--overwrite")
    assert (status, len(list(inside.iterdir()))) == (0, 3)
    assert "left out 2 files of earlier runs" in err
    assert "refocused" in told
    (inside / "field_1.ome.tif").unlink()
    status, _, err = parfocal("refocus", inside, inside, *FAST)
    assert status == 2
    assert "name an image" in err
    named = inside / "field_1.refocused.ome.tif"
    assert parfocal("refocus", named, tmp_path / "again.ome.tif", *FAST)[0] == 0


def test_declined_images_are_results(counts, blurred, parfocal, tmp_path):
    blank = write_stack(np.full_like(counts, 300), tmp_path / "blank.ome.tif", setup=SETUP)
    status, out, err = parfocal("refocus", blank, tmp_path / "a.ome.tif", "--json")
    assert (status, err) == (0, "")
    (row,) = json.loads(out)["results"]
    assert (row["status"], row["files"], row["trust"]) == ("blank", [], None)
    assert not (tmp_path / "a.ome.tif").exists()
    wide = ("--method=wiener", "--defocus-um=2.5", "--interval-um=1,4.5")
    status, out, _ = parfocal("refocus", blurred, tmp_path / "b.ome.tif", *wide, "--json")
    (row,) = json.loads(out)["results"]
    assert (status, row["status"]) == (0, "uncertain")
    assert not (tmp_path / "b.ome.tif").exists()


def test_what_is_in_focus_is_passed_through(counts, blurred, parfocal, tmp_path):
    out = tmp_path / "a.ome.tif"
    status, told, _ = parfocal("refocus", blurred, out, "--method=wiener", "--defocus-um=0.3")
    assert status == 0
    assert "1 in focus already" in told
    np.testing.assert_array_equal(open_stack(out).read_counts()[0], counts)


def test_without_network_and_distance_the_image_itself_is_asked(blurred, parfocal, tmp_path):
    status, out, _ = parfocal("refocus", blurred, tmp_path / "a.ome.tif", "--json")
    (row,) = json.loads(out)["results"]
    assert status == 0
    if row["status"] == "found":
        assert row["told_by"] == "estimated from its spectrum"
        assert row["interval_um"] is not None
    else:
        assert "distance" in row["reason"]


def test_a_network_is_asked_where_it_is_named(blurred, parfocal, tmp_path):
    model = write_tiny_refocuser(tmp_path / "tiny")
    out = tmp_path / "a.ome.tif"
    status, told, _ = parfocal("refocus", blurred, out, "--model", model, "--json")
    (row,) = json.loads(told)["results"]
    assert (status, row["status"], row["method"]) == (0, "found", "tiny")
    assert len(row["card"]["sha256"]) == 64
    assert 0 < row["verdict"] <= 1
    with tifffile.TiffFile(out) as file:
        assert row["card"]["sha256"] in file.ome_metadata


def test_untrusted_pixels_keep_the_input_where_asked(counts, parfocal, tmp_path):
    clipped = counts.copy()
    clipped[40:50, 60:70] = 65535
    path = write_stack(clipped, tmp_path / "clipped.ome.tif", setup=SETUP)
    out = tmp_path / "a.ome.tif"
    status, _, _ = parfocal("refocus", path, out, *FAST, "--keep-untrusted=input")
    assert status == 0
    sharp, trust = open_stack(out).read_counts()[0], open_stack(tmp_path / "a.trust.ome.tif")
    low = trust.read_counts()[0] < 0.5
    assert low[45, 65]
    np.testing.assert_array_equal(sharp[low], clipped[low])


def test_one_plane_of_a_stack_is_chosen(counts, parfocal, tmp_path):
    stack = write_stack(np.stack([counts, counts + 7]), tmp_path / "two.ome.tif", setup=SETUP,
                        z_step_um=1.0)  # fmt: skip
    status, _, err = parfocal("refocus", stack, tmp_path / "a.ome.tif", *FAST)
    assert status == 1
    assert "--plane" in err
    status, out, _ = parfocal("refocus", stack, tmp_path / "a.ome.tif", *FAST, "--plane=1",
                              "--json")  # fmt: skip
    assert (status, json.loads(out)["results"][0]["plane"]) == (0, 1)
    status, _, err = parfocal("refocus", stack, tmp_path / "b.ome.tif", *FAST, "--plane=5")
    assert status == 1
    assert "planes 0 to 1" in err


def test_surfaces_come_as_numbers_and_as_maps(counts, blurred, parfocal, tmp_path):
    made = {}
    maps = {"map": np.full(counts.shape, -AWAY_UM, np.float32)}
    write_stack(maps["map"], tmp_path / "map.tif", pixel_um=0.325)
    for name, surface in (("number", f"{-AWAY_UM}"), ("map", tmp_path / "map.tif")):
        out = tmp_path / f"{name}.ome.tif"
        status, _, err = parfocal("refocus", blurred, out, "--method=wiener", "--surface", surface)
        assert (status, err) == (0, "")
        made[name] = open_stack(out).read_counts()[0]
    assert made["number"].max() > 1.3 * counts.max()
    assert np.corrcoef(made["number"].ravel(), made["map"].ravel())[0, 1] > 0.9


def test_a_depth_map_is_heights_above_the_plane(tmp_path):
    z_um = np.full((4, 5), 12.0, np.float32)
    z_um[2, 3] = np.nan
    write_channels(tmp_path / "d.ome.tif", {"z_um": z_um, "confidence": np.ones((4, 5))})
    heights = read_surface(tmp_path / "d.ome.tif", z_um=10.0)
    np.testing.assert_array_equal(heights, np.full((4, 5), 2.0))


def test_a_surface_is_asked_with_the_aberration_that_is_told(blurred, parfocal, tmp_path):
    """The network of surfaces tells above from below by it, and says where it must assume it."""
    said, shown = [], []
    for name, more in (("assumed", []), ("same", ["--spherical-waves=0.16"]),
                       ("turned", ["--spherical-waves=-0.16"])):  # fmt: skip
        out = tmp_path / f"{name}.ome.tif"
        call = ("refocus", blurred, out, "--surface=2", "--method=network", "--json", *more)
        status, text, err = parfocal(*call)
        assert status == 0, err
        said.append("assumed" in text)
        shown.append(open_stack(out).read_counts(0))
    assert said == [True, False, False]
    np.testing.assert_array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[1], shown[2])


def test_a_tilt_becomes_a_surface():
    tilt = Tilted(middle_um=1.0, slopes_um_per_px=(0.01, -0.02), middle_px=(50.0, 100.0))
    assert tilt(np.array(50.0), np.array(100.0)) == 1.0
    assert tilt(np.array(60.0), np.array(100.0)) == pytest.approx(1.1)
    assert "5 um" in str(tilt)


def _spoilt(counts):
    bad = counts.astype(np.float32)
    bad[3, 4] = np.nan
    return bad


BAD = {
    "nan": (_spoilt, 1, "NaN"),
    "one pixel": (lambda counts: counts[:1, :1], 0, "blank"),
    "tiny": (lambda counts: counts[:5, :6], 0, "found"),
    "saturated": (lambda counts: np.where(np.arange(112) % 3 == 0, 65535, counts), 0, "saturated"),
    "black": (np.zeros_like, 0, "blank"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_get_one_line(name, counts, parfocal, tmp_path):
    spoil, code, word = BAD[name]
    pixels = spoil(counts)
    pixels = pixels if pixels.dtype == np.float32 else pixels.astype(np.uint16)
    path = write_stack(pixels, tmp_path / "bad.ome.tif", setup=SETUP)
    status, out, err = parfocal("refocus", path, tmp_path / "a.ome.tif", *FAST, "--json")
    assert status == code
    if code:
        assert word in err
        assert err.count("\n") == 1
    else:
        assert json.loads(out)["results"][0]["status"] == word


def test_light_that_is_no_fluorescence_is_declined(blurred, parfocal, tmp_path):
    told = ("--modality", "phase contrast", "--json")
    for method in (FAST, ()):
        status, out, _ = parfocal("refocus", blurred, tmp_path / "a.ome.tif", *method, *told)
        (row,) = json.loads(out)["results"]
        assert (status, row["status"]) == (0, "uncertain")
        assert "phase contrast" in row["reason"]


def test_missing_optics_name_their_flags(counts, parfocal, tmp_path):
    bare = write_stack(counts, tmp_path / "bare.ome.tif")
    status, _, err = parfocal("refocus", bare, tmp_path / "a.ome.tif", *FAST)
    assert status == 1
    for flag in ("--na", "--wavelength-nm", "--pixel-um"):
        assert flag in err
    told = ("--na=0.75", "--wavelength-nm=536", "--pixel-um=0.325")
    assert parfocal("refocus", bare, tmp_path / "a.ome.tif", *FAST, *told)[0] == 0


def test_colours_become_luminance_and_say_so(counts, parfocal, tmp_path):
    from PIL import Image

    grey = (counts / counts.max() * 200).astype(np.uint8)
    Image.fromarray(np.stack([grey, grey, grey], -1)).save(tmp_path / "rgb.png")
    told = ("--na=0.75", "--wavelength-nm=536", "--pixel-um=0.325", "--json")
    status, out, _ = parfocal("refocus", tmp_path / "rgb.png", tmp_path / "a.ome.tif", *FAST, *told)
    (row,) = json.loads(out)["results"]
    assert status == 0
    assert any("luminance" in note for note in row["notes"])


CALLS = {
    "no output": (["IN"], "what to write"),
    "two inputs, one file": (["IN", "IN2", "a.ome.tif"], "name a folder"),
    "the input itself": (["IN", "IN", "--overwrite"], "never overwritten"),
    "no such method": (["IN", "a.ome.tif", "--method=magic"], "richardson-lucy"),
    "no such surface": (["IN", "a.ome.tif", "--surface=nowhere.tif"], "no file"),
    "an interval alone": (["IN", "a.ome.tif", "--interval-um=1,2"], "--defocus-um"),
    "an interval that falls": (["IN", "a.ome.tif", "--defocus-um=1", "--interval-um=2,1"],
                               "exceed"),
    "distance and surface": (["IN", "a.ome.tif", "--defocus-um=1", "--surface=2"], "exclude"),
    "a distance for a network": (["IN", "a.ome.tif", "--method=network", "--defocus-um=1"],
                                 "belongs to deconvolution"),
    "waves for a network": (["IN", "a.ome.tif", "--method=network", "--spherical-waves=0.1"],
                            "belongs to deconvolution"),
    "too many waves": (["IN", "a.ome.tif", "--defocus-um=1", "--spherical-waves=3"], "between -1"),
    "a model that is not there": (["IN", "a.ome.tif", "--model=nowhere"], "--model nowhere"),
    "a folder that is not there": (["IN", "no/where/a.ome.tif"], "make it first"),
    "no such file": (["absent.tif", "a.ome.tif"], "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_are_refused_before_any_work(name, blurred, counts, parfocal, tmp_path,
                                                 monkeypatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    other = write_stack(counts, tmp_path / "other.ome.tif", setup=SETUP)
    given, word = CALLS[name]
    places = {"IN": blurred, "IN2": other}
    status, _, err = parfocal("refocus", *(places.get(item, item) for item in given))
    assert status == 2
    assert word in err
    assert err.count("\n") == 1


def test_outputs_that_exist_are_kept_unless_asked(blurred, parfocal, tmp_path):
    out = tmp_path / "a.ome.tif"
    (tmp_path / "a.trust.ome.tif").write_text("mine")
    status, _, err = parfocal("refocus", blurred, out, *FAST)
    assert status == 2
    assert "--overwrite" in err
    assert not out.exists()
    assert parfocal("refocus", blurred, out, *FAST, "--overwrite")[0] == 0
    assert tifffile.imread(tmp_path / "a.trust.ome.tif").shape == (96, 112)


def test_a_stopped_run_goes_on(counts, parfocal, tmp_path, monkeypatch):
    """What is finished is kept, and said."""
    from parfocal.refocus import blocks, tiled

    class Small(blocks.Blocks):
        def __init__(self, **values):
            super().__init__(**{"block_px": 48, "fade_px": 8, **values})

    monkeypatch.setattr(tiled, "Blocks", Small)
    monkeypatch.setattr(tiled, "WHOLE_PX", 1)
    path = write_stack(counts, tmp_path / "in.ome.zarr", setup=SETUP)
    finish, out = tiled.DiskSink.finish, tmp_path / "out.ome.zarr"

    def stop(self, block, maps, strips):
        if block.number == 3:
            raise KeyboardInterrupt
        finish(self, block, maps, strips)

    with monkeypatch.context() as patched:
        patched.setattr(tiled.DiskSink, "finish", stop)
        status, _, err = parfocal("refocus", path, out, *FAST)
    assert status == 130
    assert "the same command goes on" in err
    assert not out.exists()
    status, told, _ = parfocal("refocus", path, out, *FAST, "--json")
    (row,) = json.loads(told)["results"]
    assert (status, row["blocks"]) == (0, 6)
    assert not list(tmp_path.glob(".unfinished*"))
