"""Masks by a network: which are given, which are refused, and what they do not depend on."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import parfocal as pf
from parfocal.core.errors import InputError, MetadataError
from parfocal.evaluate.blank_fields import BLANK_KINDS, blank_false_positives
from parfocal.models import save_model
from parfocal.models.card import ModelCard
from parfocal.nets.focus_unet import FocusUnet
from parfocal.segment.unet_segmenter import UnetSegmenter

SETUP = pf.OpticalSetup(na=0.75, wavelength_nm=530.0, pixel_um=0.25)


def card(**changes):
    values = {
        "name": "tiny", "task": "", "architecture": "parfocal.nets.focus_unet:FocusUnet",
        "settings": {"widths": [4, 6, 8]}, "recipe": {}, "commit": "", "seed": 0, "data": "",
        "seconds": 0.0, "machine": "", "metrics": {}, "coverage": {}, "limits": (),
        "calibration": {"threshold": 0.12},
    }  # fmt: skip
    return ModelCard(**(values | changes))


def network():
    torch.manual_seed(3)
    return FocusUnet(widths=(4, 6, 8)).eval()


@pytest.fixture(scope="module")
def segmenter():
    """An untrained network in float32, whose answers are arbitrary but exact."""
    made = UnetSegmenter([network()], card())
    made._quick = network()
    return made


@pytest.fixture(scope="module")
def stack():
    grey = np.random.default_rng(0).random((90, 70)) * 2000
    planes = [gaussian_filter(grey, 1 + abs(z - 2)) for z in range(5)]
    return pf.FocalStack.of(np.stack(planes).astype(np.float32), z_step_um=1.0, setup=SETUP)


def test_tiles_equal_the_whole(segmenter, stack):
    whole = pf.segment.in_focus(stack, model=segmenter)
    tiled = pf.segment.in_focus(stack, model=segmenter, tile_px=64)
    assert whole.found
    np.testing.assert_allclose(whole.probabilities, tiled.probabilities, atol=1e-5)


def test_gain_and_offset_change_nothing(segmenter, stack):
    other = dataclasses.replace(stack, images=7 + 3 * stack.read_counts())
    one, two = (pf.segment.in_focus(field, model=segmenter) for field in (stack, other))
    np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-4)


def test_reversed_planes_reverse_the_masks(segmenter, stack):
    other = dataclasses.replace(
        stack, images=stack.read_counts()[::-1].copy(), z_um=stack.z_um[::-1].copy()
    )
    one, two = (pf.segment.in_focus(field, model=segmenter) for field in (stack, other))
    np.testing.assert_allclose(one.probabilities, two.probabilities[::-1], atol=1e-5)


def test_turned_planes_turn_the_masks(segmenter, stack):
    images = stack.read_counts()[:, :64, :64]
    squares = [images, np.rot90(images, axes=(1, 2)).copy(), images[:, ::-1].copy()]
    one, turned, mirrored = (
        pf.segment.in_focus(
            dataclasses.replace(stack, images=planes), model=segmenter, orientations=8
        ).probabilities
        for planes in squares
    )
    np.testing.assert_allclose(np.rot90(one, axes=(1, 2)), turned, atol=1e-5)
    np.testing.assert_allclose(one[:, ::-1], mirrored, atol=1e-5)


def test_a_model_is_loaded_from_its_folder_and_by_name(tmp_path, monkeypatch, stack):
    save_model(tmp_path / "mine", card(name="mine"), [network()])
    monkeypatch.setenv("PARFOCAL_MODELS", str(tmp_path))
    masks = [pf.segment.in_focus(stack, model=name) for name in ("mine", tmp_path / "mine")]
    assert masks[0].method == "network: mine"
    np.testing.assert_array_equal(masks[0].masks, masks[1].masks)


def test_another_kind_of_model_is_refused(stack):
    with pytest.raises(MetadataError, match="does not say which pixels"):
        pf.segment.in_focus(stack, model="pair-fluorescence")


@pytest.mark.parametrize(
    ("planes", "status"),
    [
        (np.full((3, 64, 64), 7.0), "blank"),
        (np.random.default_rng(1).poisson(50, (3, 64, 64)).astype(np.uint16), "blank"),
        (np.full((3, 64, 64), 65535, dtype=np.uint16), "saturated"),
        (np.full((3, 64, 64), np.nan, dtype=np.float32), "failed"),
    ],
)
def test_what_holds_nothing_gets_no_mask_and_a_reason(segmenter, planes, status):
    masks = pf.segment.in_focus(planes, model=segmenter)
    assert masks.status == status
    assert masks.reason
    assert not masks.masks.any()


@pytest.mark.parametrize("kind", BLANK_KINDS)
def test_blank_fields_of_any_kind_get_no_mask(segmenter, kind):
    (row,) = blank_false_positives(
        lambda field: pf.segment.in_focus(field, model=segmenter), kinds=[kind], seeds=range(3),
        size_px=96,
    )  # fmt: skip
    assert row.answered == 0


def test_wide_smooth_structure_is_no_blank_field(segmenter):
    y, x = np.mgrid[:160, :160]
    blob = 500 * np.exp(-((y - 70.0) ** 2 + (x - 90.0) ** 2) / (2 * 25.0**2))
    planes = np.random.default_rng(0).poisson(20 + np.stack([blob, 0.8 * blob, 0.6 * blob]))
    assert pf.segment.in_focus(planes.astype(np.uint16), model=segmenter).status != "blank"


def test_a_plane_with_nan_gets_no_mask_and_the_rest_do(segmenter, stack):
    images = stack.read_counts().copy()
    images[1, 5, 5] = np.nan
    masks = pf.segment.in_focus(dataclasses.replace(stack, images=images), model=segmenter)
    assert masks.found
    assert not masks[1].any()
    assert np.isfinite(masks.probabilities).all()
    assert "planes 1 hold NaN" in masks.warnings[-1]


def test_nothing_above_the_threshold_is_flat(segmenter, stack):
    masks = pf.segment.in_focus(stack, model=segmenter, threshold=0.999)
    assert (masks.status, masks.probabilities) == ("flat", None)


def test_unknown_optics_and_distances_are_warned_of(segmenter, stack):
    masks = pf.segment.in_focus(stack.read_counts(), model=segmenter)
    assert any("optics are unknown" in text for text in masks.warnings)
    assert any("z_step_um" in text for text in masks.warnings)


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"tile_px": 8}, {"orientations": 3}])
def test_settings_that_cannot_be_are_refused(segmenter, stack, wrong):
    with pytest.raises(InputError, match=r"came as|give a chance"):
        pf.segment.in_focus(stack, model=segmenter, **wrong)


def test_tiny_images_are_refused(segmenter):
    with pytest.raises(InputError, match="too small"):
        pf.segment.in_focus(np.random.default_rng(0).random((3, 8, 8)), model=segmenter)


def test_one_plane_and_fine_pixels_are_judged_too(segmenter, stack):
    one = pf.FocalStack.of(stack.read_counts()[2:3], z_step_um=1.0, setup=SETUP)
    fine = SETUP.model_copy(update={"pixel_um": 0.05})
    assert pf.segment.in_focus(one, model=segmenter).shape == (1, 90, 70)
    assert pf.segment.in_focus(stack, model=segmenter, setup=fine).shape == stack.shape


@pytest.mark.parametrize("words", ["brightfield", "brightfield, colour"])
def test_by_brightfield_structure_is_dark_whatever_else_the_file_says(segmenter, stack, words):
    counts = stack.read_counts()
    absorbing = dataclasses.replace(stack, images=counts.max() - counts, modality=words)
    dark = pf.segment.in_focus(absorbing, model=segmenter)
    light = pf.segment.in_focus(stack, model=segmenter)
    np.testing.assert_allclose(dark.probabilities, light.probabilities, atol=0.02)
    assert any("absorb" in text for text in dark.warnings)
