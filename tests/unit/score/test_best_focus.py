"""What best_focus answers, what it declines, and how it says so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parfocal.core.errors import InputError, MetadataError, ShapeError, UnknownNameError
from parfocal.core.results import FocusCurve, FocusEstimate, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.measures import CATALOG
from parfocal.score import best_focus, focus_curve
from tests.fabricate.scenes import fluorescent_scene, phase_scene

BEADS = fluorescent_scene(3, planes=21, step_dof=0.5, photons=300, kind="beads")


TEXTURE = fluorescent_scene(8, planes=21, step_dof=0.5, photons=3000, kind="texture")


def noise(planes: int = 12, level: float = 100.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(level, (planes, 160, 160)).astype(np.uint16)


def declined(stack: FocalStack, status: Status, **options) -> FocusEstimate:
    estimate = best_focus(stack, **options)
    assert estimate.status == status, estimate.reason
    assert estimate.z_um is estimate.index is estimate.plane is estimate.interval_um is None
    assert len(estimate.reason) > 20
    return estimate


def test_focus_is_found_between_planes_with_an_interval():
    estimate = best_focus(BEADS.stack)
    assert estimate.status == "found"
    assert estimate.z_um == pytest.approx(BEADS.focus, abs=0.3)
    low, high = estimate.interval_um
    assert low <= estimate.z_um <= high
    assert estimate.index == round(estimate.plane)
    assert "tenengrad" in estimate.measure
    assert "steadiest" in estimate.choice


def test_z_falling_mirrors_the_answer():
    rising = best_focus(BEADS.stack)
    falling = best_focus(
        FocalStack.of(BEADS.counts[::-1], z_um=np.arange(len(BEADS.counts))[::-1] * 1.0)
    )
    assert falling.z_um == pytest.approx(rising.z_um, abs=0.05)
    assert falling.index == len(BEADS.counts) - 1 - rising.index


def test_uneven_z_is_interpolated():
    z_um = np.cumsum(np.linspace(1.0, 2.0, len(BEADS.counts)))
    estimate = best_focus(FocalStack.of(BEADS.counts, z_um=z_um))
    truth = np.interp(BEADS.focus, np.arange(len(z_um)), z_um)
    assert estimate.z_um == pytest.approx(truth, abs=0.5)


def test_unknown_z_gives_a_plane_and_no_micrometres():
    estimate = best_focus(FocalStack.of(BEADS.counts))
    assert estimate.found
    assert estimate.index is not None
    assert estimate.z_um is None
    assert estimate.interval_um is None


@pytest.mark.parametrize("measure", list(CATALOG))
def test_every_measure_can_be_named(measure):
    setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
    estimate = best_focus(TEXTURE.stack, measure, setup=setup)
    assert estimate.measure == measure
    # Measures of the finest detail drown in this noise; then they decline rather than guess.
    drowned = {"laplacian", "modified_laplacian", "entropy", "wavelet_sum", "wavelet_variance"}
    assert estimate.found or measure in drowned, estimate.reason
    if estimate.found:
        assert estimate.plane == pytest.approx(TEXTURE.focus, abs=1.0)


def test_a_region_of_interest_overrules_a_brighter_neighbour():
    left = fluorescent_scene(5, planes=21, step_dof=0.5, photons=900, kind="filaments")
    right = fluorescent_scene(6, planes=21, step_dof=0.5, photons=200, kind="filaments")
    both = FocalStack.of(np.concatenate([left.counts, right.counts], axis=2), z_step_um=1.0)
    size = left.counts.shape[1]
    alone = best_focus(both, region=(0, size, size, 2 * size))
    assert alone.z_um == pytest.approx(right.focus, abs=0.7)


def test_background_tiles_do_not_vote():
    rng = np.random.default_rng(0)
    field = rng.poisson(np.linspace(90, 130, 21)[:, None, None], (21, 512, 512)).astype(np.uint16)
    field[:, 40:168, 40:168] = BEADS.counts
    estimate = best_focus(FocalStack.of(field, z_step_um=1.0))
    assert estimate.z_um == pytest.approx(BEADS.focus, abs=0.4)
    voted = estimate.tiles.weight > 0
    assert voted.mean() < 0.2
    assert np.isnan(estimate.tiles.z_um[~voted]).all()


def test_a_tilted_field_reports_its_relief():
    rng = np.random.default_rng(2)
    layers = [fluorescent_scene(11, size=64, planes=31, step_dof=0.5, photons=500, kind="texture")]
    strips = []
    for shift in range(6):
        rolled = np.roll(layers[0].counts, shift, axis=0)
        strips.append(rolled[6:] if shift else layers[0].counts[6:])
    field = np.concatenate(strips, axis=2)
    estimate = best_focus(FocalStack.of(field + rng.poisson(3, field.shape), z_step_um=1.0))
    assert estimate.found
    assert 3.0 < estimate.relief_um < 6.5


def test_defocus_is_told_in_depths_of_field_with_its_sign():
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    estimate = best_focus(BEADS.stack, setup=setup)
    expected = (BEADS.stack.z_um - estimate.z_um) / 2.0
    assert np.allclose(estimate.defocus_dof, expected)


def test_phase_objects_are_found_where_contrast_is_least():
    scene = phase_scene(1)
    estimate = best_focus(scene.stack)
    assert estimate.found
    assert estimate.modality == "phase"
    assert estimate.plane == pytest.approx(scene.focus, abs=0.5)
    assert any("phase" in warning for warning in estimate.warnings)


@pytest.mark.parametrize("seed", range(6))
def test_phase_objects_seen_from_one_side_are_never_answered(seed):
    scene = phase_scene(seed)
    past = int(np.ceil(scene.focus)) + 1
    side = scene.counts[past:] if len(scene.counts) - past > 7 else scene.counts[: past - 2]
    assert not best_focus(FocalStack.of(side, z_step_um=1.0)).found


def test_modality_can_be_forced():
    scene = phase_scene(1)
    assert best_focus(scene.stack, modality="intensity").modality == "intensity"
    declined(BEADS.stack, Status.AMBIGUOUS, modality="phase")


def test_fluorescence_by_metadata_is_never_taken_for_a_phase_object():
    stack = phase_scene(1).stack
    object.__setattr__(stack, "modality", "fluorescence")
    assert best_focus(stack).modality == "intensity"


def test_focus_outside_the_stack_is_an_edge_that_names_the_side():
    above = declined(
        FocalStack.of(BEADS.counts[: int(BEADS.focus) - 1], z_step_um=1.0), Status.EDGE
    )
    assert "above" in above.reason
    below = declined(
        FocalStack.of(BEADS.counts[int(BEADS.focus) + 3 :], z_step_um=1.0), Status.EDGE
    )
    assert "below" in below.reason
    counts = BEADS.counts[int(BEADS.focus) + 3 :]
    falling = FocalStack.of(counts, z_um=-np.arange(len(counts)) * 1.0)
    assert "above" in declined(falling, Status.EDGE).reason


def test_two_layers_are_ambiguous():
    one = fluorescent_scene(7, planes=31, step_dof=1.0, photons=500, kind="filaments")
    shift = 12 if one.focus < 15 else -12
    both = one.counts.astype(int) + np.roll(one.counts.transpose(0, 2, 1), shift, axis=0)
    assert "peaks" in declined(FocalStack.of(both.astype(np.uint16)), Status.AMBIGUOUS).reason


@pytest.mark.parametrize("planes", [2, 3, 5, 12, 30])
def test_noise_alone_is_blank(planes):
    for seed in range(2):
        declined(FocalStack.of(noise(planes, seed=seed), z_step_um=1.0), Status.BLANK)


def test_bleaching_noise_is_blank():
    rng = np.random.default_rng(1)
    level = 200 * np.exp(-np.arange(15) / 20)
    declined(FocalStack.of(rng.poisson(level[:, None, None], (15, 160, 160))), Status.BLANK)


def test_the_same_image_again_and_again_is_flat():
    rng = np.random.default_rng(1)
    sharp = BEADS.counts[round(BEADS.focus)].astype(float)
    declined(FocalStack.of(rng.poisson(np.repeat(sharp[None], 12, 0))), Status.FLAT)


def test_a_constant_stack_is_blank():
    declined(FocalStack.of(np.full((5, 64, 64), 7, np.uint8)), Status.BLANK)


def test_a_saturated_stack_says_so():
    declined(FocalStack.of(np.full((5, 64, 64), 255, np.uint8)), Status.SATURATED)
    bright = np.clip(BEADS.counts.astype(float) * 500, 0, 65535).astype(np.uint16)
    assert not best_focus(FocalStack.of(bright)).found


def test_a_few_clipped_pixels_are_a_warning():
    limit = np.percentile(BEADS.counts, 99.95)
    counts = (np.minimum(BEADS.counts, limit) / limit * 255).astype(np.uint8)
    estimate = best_focus(FocalStack.of(counts, z_step_um=1.0))
    assert estimate.found
    assert any("clipped" in warning for warning in estimate.warnings)


def test_one_plane_is_uncertain():
    declined(FocalStack.of(BEADS.counts[:1]), Status.UNCERTAIN)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_with_its_plane(value):
    images = BEADS.counts.astype(np.float32)
    images[4, 30, 30] = value
    for scorer in (best_focus, focus_curve):
        with pytest.raises(InputError, match="plane 4 holds NaN"):
            scorer(FocalStack.of(images))


def test_wrong_calls_say_what_to_do():
    with pytest.raises(UnknownNameError, match=r"Choose one of: .*brenner"):
        best_focus(BEADS.stack, "sharpness")
    with pytest.raises(UnknownNameError, match=r"Choose one of: .*brenner"):
        focus_curve(BEADS.stack, "auto")
    with pytest.raises(MetadataError, match="--na"):
        best_focus(BEADS.stack, "midband_power")
    with pytest.raises(ShapeError, match="--region"):
        best_focus(BEADS.stack, region=(0, 64, 100, 900))
    with pytest.raises(ShapeError, match="--tile-px"):
        best_focus(BEADS.stack, tile_px=500)


def test_small_images_are_judged():
    crop = BEADS.counts[:, 40:80, 40:80]
    assert best_focus(FocalStack.of(crop)).status in set(Status)
    assert best_focus(FocalStack.of(BEADS.counts[:, :9, :9])).status in set(Status)


def test_results_become_json():
    for stack in (BEADS.stack, FocalStack.of(noise())):
        values = json.loads(json.dumps(best_focus(stack).to_dict(), allow_nan=False))
        assert values["status"] in set(Status)


def test_an_answer_cannot_hide_in_a_declined_estimate():
    curve = FocusCurve(z_um=np.arange(3.0), scores=np.ones(3), measure="std")
    with pytest.raises(InputError, match="must not carry"):
        FocusEstimate(status=Status.FLAT, reason="", curve=curve, measure="std", plane=1.0)
    with pytest.raises(InputError, match="must carry"):
        FocusEstimate(status=Status.FOUND, reason="", curve=curve, measure="std")


def test_focus_curve_is_the_measure_of_each_plane():
    from parfocal.measures import brenner

    curve = focus_curve(BEADS.stack, "brenner")
    assert curve.scores == pytest.approx([float(brenner(plane)) for plane in BEADS.counts])
    part = focus_curve(BEADS.stack, "std", region=(8, 100, 4, 60))
    assert part.scores == pytest.approx(BEADS.counts[:, 8:100, 4:60].std(axis=(1, 2)), rel=1e-5)
