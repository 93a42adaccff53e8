"""Refocusing into files: seams that cannot be seen, runs that go on, records that come back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from scipy.signal import fftconvolve

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.io.opening import open_stack
from parfocal.io.unfinished import UnfinishedImages, unfinished_folder
from parfocal.optics import Aberrations
from parfocal.refocus import blocks, tiled
from parfocal.refocus.deconvolution import deconvolve
from parfocal.refocus.psfs import defocus_psf
from parfocal.refocus.tiled import RefocusSettings, to_file
from tests.fabricate.refocusers import write_tiny_refocuser

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
AWAY_UM = 2.5
WIENER = RefocusSettings(method="wiener")
LUCY = RefocusSettings(method="richardson-lucy", iterations=8)


@pytest.fixture(scope="module")
def image():
    """Beads 2.5 um from focus."""
    rng = np.random.default_rng(0)
    scene = np.zeros((300, 280))
    scene[rng.integers(0, 300, 300), rng.integers(0, 280, 300)] = 2e4 * rng.random(300)
    light = fftconvolve(scene, defocus_psf(SETUP, AWAY_UM).numpy(), mode="same").clip(0)
    return rng.poisson(light + 100).astype(np.uint16)


@pytest.fixture
def in_blocks(monkeypatch):
    """Small blocks, so that a small image has many."""
    monkeypatch.setattr(tiled, "Blocks", _SmallBlocks)


class _SmallBlocks(blocks.Blocks):
    def __init__(self, **values):
        values = {"block_px": 96, **values}
        super().__init__(**values)


def _read(path):
    return open_stack(path).read_counts()[0]


@pytest.mark.parametrize("how", [WIENER, LUCY], ids=lambda how: how.method)
def test_blocks_agree_with_the_whole_and_their_seams_cannot_be_seen(
    image, how, in_blocks, tmp_path
):
    made = to_file(image, tmp_path / "a.ome.zarr", how, setup=SETUP, defocus_um=AWAY_UM, whole_px=1)
    assert (made.status, made.blocks) == ("found", 12)
    got = _read(made.paths[0])
    whole = np.asarray(
        deconvolve(
            image, setup=SETUP, defocus_um=AWAY_UM, method=how.method, iterations=how.iterations
        )
    )
    assert (got - whole).std() < 0.015 * whole.std()
    assert np.abs(got - whole).max() < 0.013 * whole.max()  # without the halo 0.02 and 0.03
    steps = np.abs(np.diff(got - whole, axis=1)).mean(0)
    at_edges = steps[[95, 191]].mean()
    assert at_edges < 0.02 * np.abs(np.diff(whole, axis=1)).mean()
    slopes = np.abs(np.diff(got, axis=1)).mean(0)
    elsewhere = np.abs(np.diff(whole, axis=1)).mean(0)
    assert slopes[[95, 191]].mean() == pytest.approx(elsewhere[[95, 191]].mean(), rel=0.02)
    light = whole.sum(dtype=float) - made.provenance["background"] * whole.size
    kept = got.sum(dtype=float) - made.provenance["background"] * whole.size
    assert kept == pytest.approx(light, rel=0.01)
    assert made.trust == pytest.approx(1)


@pytest.mark.parametrize("whole_px", [1, 10**9])
def test_known_aberrations_are_undone_in_blocks_and_whole(whole_px, in_blocks, tmp_path):
    scene = np.zeros((200, 200))
    scene[20::40, 20::40] = 3e5
    aberrations = Aberrations(zernike_waves={12: -0.12})
    psf = defocus_psf(SETUP, AWAY_UM, aberrations=aberrations).numpy()
    image = np.random.default_rng(0).poisson(fftconvolve(scene, psf, mode="same").clip(0) + 100)
    focused = fftconvolve(scene, defocus_psf(SETUP, 0.0).numpy(), mode="same") + 100
    errors = []
    for waves in (0.0, -0.12):
        how = LUCY.model_copy(update={"spherical_waves": waves, "iterations": 20})
        made = to_file(
            image.astype(np.uint16), tmp_path / f"{waves}.ome.tif", how, setup=SETUP,
            defocus_um=AWAY_UM, whole_px=whole_px,
        )  # fmt: skip
        errors.append((_read(made.paths[0]) - focused)[40:160, 40:160].std())
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("ending", ["ome.zarr", "ome.tif"])
def test_a_stopped_run_goes_on_and_gives_the_same(image, ending, in_blocks, tmp_path):
    whole = to_file(
        image, tmp_path / f"whole.{ending}", WIENER, setup=SETUP, defocus_um=AWAY_UM, whole_px=1
    )
    target = tmp_path / f"stopped.{ending}"
    calls = []

    def stop(name):
        calls.append(name)
        if len([call for call in calls if call.startswith("block")]) == 6:
            raise KeyboardInterrupt

    def ask(begin):
        return to_file(
            image, target, WIENER, setup=SETUP, defocus_um=AWAY_UM, whole_px=1, begin=begin
        )

    with pytest.raises(KeyboardInterrupt):
        ask(stop)
    assert not target.exists()
    assert unfinished_folder(target).is_dir()
    again = []
    made = ask(again.append)
    assert made.kept == 5
    assert next(call for call in again if call.startswith("block")) == "block 6 of 12"
    np.testing.assert_array_equal(_read(made.paths[0]), _read(whole.paths[0]))
    assert made.flux == pytest.approx(whole.flux)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{trust}.{ending}" for name in ("whole", "stopped") for trust in ("", ".trust")
    )


def test_other_settings_begin_anew(image, in_blocks, tmp_path):
    target = tmp_path / "a.ome.zarr"

    def stop(name):
        if name == "block 4 of 12":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_file(image, target, WIENER, setup=SETUP, defocus_um=AWAY_UM, whole_px=1, begin=stop)
    made = to_file(image, target, WIENER, setup=SETUP, defocus_um=2.0, whole_px=1)
    assert made.kept == 0


@pytest.mark.parametrize("whole_px", [1, 10**9], ids=["blocks", "whole"])
@pytest.mark.parametrize("ending", ["ome.zarr", "ome.tif"])
def test_how_it_came_about_stands_in_the_file(image, ending, whole_px, in_blocks, tmp_path):
    source = FocalStack.of(image[None], setup=SETUP)
    made = to_file(source, tmp_path / f"a.{ending}", WIENER, defocus_um=AWAY_UM, whole_px=whole_px)
    for path, content in zip(made.paths, ("image", "trust"), strict=True):
        stack = open_stack(path)
        assert (stack.shape, stack.pixel_um) == ((1, 300, 280), 0.325)
        assert stack.setup is not None
        assert (stack.setup.na, stack.setup.wavelength_nm) == (0.75, 536)
        record = _record(path)
        assert record["content"] == content
        assert (record["method"], record["defocus_um"]) == ("wiener", AWAY_UM)
        assert record["provenance"]["setup"]["na"] == 0.75
        assert record["provenance"]["untrusted"] == "answer"
        assert record["parfocal"]


def _record(path):
    if path.suffix == ".zarr":
        return dict(zarr.open_group(path, mode="r").attrs)["parfocal"]["record"]
    with tifffile.TiffFile(path) as file:
        described = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    text = described["Description"]
    return text if isinstance(text, dict) else json.loads(text)


def test_a_map_of_distances_is_followed_block_by_block(image, in_blocks, tmp_path):
    def ramp(y, x):
        return 2.0 + 0 * y + x / 280

    heights = -np.broadcast_to(ramp(np.zeros((300, 1)), np.arange(280.0)[None]), image.shape)
    by_map = to_file(
        image, tmp_path / "map.ome.zarr", WIENER, setup=SETUP, surface_um=heights, whole_px=1
    )
    by_rule = to_file(
        image, tmp_path / "rule.ome.zarr", WIENER, setup=SETUP, surface_um=lambda y, x: -ramp(y, x),
        whole_px=1,
    )  # fmt: skip
    np.testing.assert_allclose(_read(by_map.paths[0]), _read(by_rule.paths[0]), atol=0.5)
    assert by_map.defocus_um is None
    assert "up to" in by_map.reason or "um" in by_map.reason


def test_clipped_pixels_get_no_trust_and_may_keep_the_input(image, in_blocks, tmp_path):
    clipped = image.copy()
    clipped[140:150, 60:70] = 4095
    for untrusted, whole_px in (("input", 1), ("input", 10**9)):
        how = RefocusSettings(method="wiener", saturation_counts=4095, untrusted=untrusted)
        made = to_file(
            clipped, tmp_path / f"{whole_px}.ome.zarr", how, setup=SETUP, defocus_um=AWAY_UM,
            whole_px=whole_px,
        )  # fmt: skip
        got, trust = (_read(path) for path in made.paths)
        low = trust < 0.5
        assert low[145, 65]
        np.testing.assert_allclose(got[low], clipped[low], atol=1e-2)
        assert not low[20:80, 150:250].any()


BLANK = np.full((300, 280), 300, np.uint16)
FULL = np.where(np.arange(280) % 4 == 0, 65535, 900 + np.arange(280)).astype(np.uint16)
DECLINED = {
    "blank": (BLANK, AWAY_UM, None),
    "saturated": (np.broadcast_to(FULL, (300, 280)), AWAY_UM, None),
    "uncertain": (None, AWAY_UM, (1.0, 4.5)),
}


@pytest.mark.parametrize("whole_px", [1, 10**9], ids=["blocks", "whole"])
@pytest.mark.parametrize("status", DECLINED)
def test_what_is_declined_writes_nothing(status, whole_px, image, in_blocks, tmp_path):
    counts, away_um, interval_um = DECLINED[status]
    how = RefocusSettings(method="wiener", interval_um=interval_um, saturation_counts=65535)
    made = to_file(
        image if counts is None else counts, tmp_path / "a.ome.tif", how, setup=SETUP,
        defocus_um=away_um, whole_px=whole_px,
    )  # fmt: skip
    assert made.status == status
    assert (made.paths, made.trust, made.flux) == ((), None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole_px", [1, 10**9], ids=["blocks", "whole"])
def test_what_is_in_focus_is_passed_through(whole_px, image, in_blocks, tmp_path):
    made = to_file(
        image, tmp_path / "a.ome.tif", WIENER, setup=SETUP, defocus_um=0.5, whole_px=whole_px
    )
    assert (made.status, made.method) == ("found", "passed through")
    np.testing.assert_allclose(_read(made.paths[0]), image, rtol=1e-5)


def _network(folder, **told):
    return RefocusSettings(model=write_tiny_refocuser(folder / "tiny", **told))


def test_a_network_answers_in_blocks_as_it_does_of_the_whole(image, in_blocks, tmp_path):
    how = _network(tmp_path)
    whole, parts = (
        to_file(image, tmp_path / f"{name}.ome.zarr", how, setup=SETUP, whole_px=most)
        for name, most in (("whole", 10**9), ("parts", 1))
    )
    assert (whole.status, parts.status, parts.blocks) == ("found", "found", 12)
    assert (whole.method, parts.method) == ("tiny", "tiny")
    assert parts.defocus_um == pytest.approx(whole.defocus_um, rel=1e-3)
    assert parts.card["sha256"] == whole.card["sha256"]
    assert parts.flux == pytest.approx(1, abs=0.01)
    got, known = (_read(made.paths[0]) for made in (parts, whole))
    assert np.abs(got - known).max() < 0.02 * known.max()
    trusted, known = (_read(made.paths[1]) for made in (parts, whole))
    np.testing.assert_allclose(trusted, known, atol=0.02)


def test_stains_in_blocks_are_those_of_the_whole_and_keep_what_they_take(
    image, in_blocks, tmp_path
):
    how = _network(tmp_path, is_dark=True)
    how = how.model_copy(update={"saturation_counts": 1e6})
    stained = 1.2 * float(image.max()) - image
    whole, parts = (
        to_file(stained, tmp_path / f"{name}.ome.zarr", how, setup=SETUP, whole_px=most)
        for name, most in (("whole", 10**9), ("parts", 1))
    )
    assert (whole.status, parts.status, parts.blocks) == ("found", "found", 12)
    assert parts.flux == pytest.approx(1, abs=0.01)
    got, known = (_read(made.paths[0]) for made in (parts, whole))
    assert np.abs(got - known).max() < 0.02 * float(image.max())


@pytest.mark.parametrize("whole_px", [1, 10**9], ids=["blocks", "whole"])
def test_what_a_network_declines_or_passes_is_the_same_in_blocks(
    whole_px, image, in_blocks, tmp_path
):
    place = tmp_path / "a.ome.zarr"
    far = to_file(image, place, _network(tmp_path, half_depths=16), setup=SETUP, whole_px=whole_px)
    assert (far.status, far.paths) == ("uncertain", ())
    near = to_file(image, place, _network(tmp_path, half_depths=0), setup=SETUP, whole_px=whole_px)
    assert (near.status, near.method) == ("found", "passed through")
    np.testing.assert_allclose(_read(place), image, rtol=1e-5)


def test_light_that_is_no_fluorescence_is_declined(image, tmp_path):
    stack = FocalStack(images=image[None], z_um=np.zeros(1), setup=SETUP, modality="phase contrast")
    made = to_file(stack, tmp_path / "a.ome.tif", WIENER, defocus_um=AWAY_UM)
    assert made.status == "uncertain"
    assert "phase contrast" in made.reason


def test_bad_calls_say_what_to_do(image, tmp_path):
    place = tmp_path / "a.ome.tif"
    with pytest.raises(MetadataError, match="--na"):
        to_file(image, place, WIENER, defocus_um=AWAY_UM)
    with pytest.raises(MetadataError, match="--defocus-um"):
        to_file(image, place, WIENER, setup=SETUP)
    with pytest.raises(UnknownNameError, match="wiener"):
        to_file(image, place, RefocusSettings(method="magic"), setup=SETUP)
    with pytest.raises(ShapeError, match="one for each pixel"):
        to_file(image, place, WIENER, setup=SETUP, surface_um=np.zeros((4, 4)))
    with pytest.raises(InputError, match="NaN"):
        to_file(image, place, WIENER, setup=SETUP, surface_um=np.full(image.shape, np.nan))
    with pytest.raises(ShapeError, match="--plane"):
        to_file(FocalStack.of(np.stack([image, image])), place, WIENER, setup=SETUP)
    with pytest.raises(ShapeError, match="one channel"):
        to_file(np.zeros((9, 9, 3)), place, WIENER, setup=SETUP)
    with pytest.raises(InputError, match=r"\.ome\.tif"):
        to_file(image, tmp_path / "a.png", WIENER, setup=SETUP, defocus_um=AWAY_UM)
    spoilt = image.astype(np.float32)
    spoilt[3, 3] = np.nan
    for whole_px in (1, 10**9):
        with pytest.raises(InputError, match="NaN"):
            to_file(spoilt, place, WIENER, setup=SETUP, defocus_um=AWAY_UM, whole_px=whole_px)
    place.write_text("here already")
    with pytest.raises(InputError, match="--overwrite"):
        to_file(image, place, WIENER, setup=SETUP, defocus_um=AWAY_UM)
    assert place.read_text() == "here already"


def test_a_large_plane_goes_into_a_tiff_tile_by_tile(monkeypatch, tmp_path):
    from parfocal.io import writing

    image = np.random.default_rng(0).random((1, 700, 900)).astype(np.float32)
    monkeypatch.setattr(writing, "_WHOLE_PLANE_BYTES", 1)
    path = writing.write_stack(image, tmp_path / "a.ome.tif", pixel_um=0.5)
    np.testing.assert_array_equal(open_stack(path).read_counts(), image)
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].is_tiled


def test_a_folder_with_half_a_note_begins_anew(tmp_path):
    source = FocalStack.of(np.zeros((1, 4, 4)), pixel_um=0.5)
    first = UnfinishedImages(tmp_path / "a.ome.zarr", ("image",), source, plan={"method": "x"})
    first.advance(1)
    (first.folder / "plan.json").write_text('{"method')
    again = UnfinishedImages(tmp_path / "a.ome.zarr", ("image",), source, plan={"method": "x"})
    assert again.done == 0
