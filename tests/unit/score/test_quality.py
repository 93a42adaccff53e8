"""Focus quality of one image: truth on simulated images, invariances, declines, error texts."""

from __future__ import annotations

import json
import time

import dask.array as da
import numpy as np
import pytest
import torch

import parfocal as pf
from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.results import FocusQuality, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.score.blur_model import DEFOCUS_DOF
from parfocal.score.quality import FARTHEST_DOF, count_peaks, focus_quality, summarise
from tests.fabricate.defocused import Scene, image

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.16)
OIL = OpticalSetup(na=1.4, wavelength_nm=520, pixel_um=0.09, immersion_index=1.515)
COARSE = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
BEADS = Scene("beads", SETUP, 0.0, seed=4, photons=500)
FILAMENTS = Scene("filaments", SETUP, 0.0, seed=2, photons=500)


@pytest.fixture(scope="module")
def focused():
    return image(BEADS)


@pytest.mark.parametrize("scene", [BEADS, FILAMENTS, Scene("beads", OIL, 0.0, seed=8, photons=300)])
@pytest.mark.parametrize(
    ("defocus_dof", "grade"),
    [(0.0, "in focus"), (2.0, "out of focus"), (-2.0, "out of focus"), (4.0, None)],
)
def test_known_defocus_is_recovered_on_either_side(scene, defocus_dof, grade):
    quality = focus_quality(image(scene.at(defocus_dof)), scene.setup)
    assert quality.status == Status.FOUND
    assert quality.defocus_dof == pytest.approx(abs(defocus_dof), abs=0.35)
    low, high = quality.interval_dof
    assert low - 0.1 <= abs(defocus_dof) <= high + 0.1
    assert high - low < 2.2
    assert grade is None or quality.grade == grade


def test_micrometres_are_depths_of_field_of_these_optics(focused):
    quality = focus_quality(focused, SETUP)
    unit = 0.536 / 0.75**2
    assert quality.defocus_um == pytest.approx(quality.defocus_dof * unit)
    assert quality.interval_um == pytest.approx([end * unit for end in quality.interval_dof])


def test_undersampled_by_less_than_two_still_answers():
    for defocus_dof in (0.0, 3.0):
        quality = focus_quality(image(Scene("beads", COARSE, defocus_dof, seed=3)), COARSE)
        assert quality.defocus_dof == pytest.approx(defocus_dof, abs=0.5)


@pytest.mark.parametrize("defocus_dof", [0.0, 2.0])
def test_gain_and_offset_do_not_change_the_answer(defocus_dof):
    counts = image(BEADS.at(defocus_dof))
    plain = focus_quality(counts, SETUP)
    for changed in (counts * 10, counts * 1e-9, counts + 5e4, counts * 10 - 1e6, counts * 1e12):
        other = focus_quality(changed, SETUP)
        assert other.defocus_dof == pytest.approx(plain.defocus_dof, abs=1e-3)
        assert other.interval_dof == pytest.approx(plain.interval_dof, abs=5e-3)


def test_mirror_and_turn_do_not_change_the_answer(focused):
    plain = focus_quality(focused, SETUP)
    for turned in (focused[::-1], focused[:, ::-1], focused.T):
        assert focus_quality(turned, SETUP).defocus_dof == pytest.approx(
            plain.defocus_dof, abs=0.02
        )


@pytest.mark.parametrize("defocus_dof", [0.0, 2.0])
def test_bright_and_dim_images_of_one_scene_agree(defocus_dof):
    scene = BEADS.at(defocus_dof)
    bright = focus_quality(image(Scene(**{**vars(scene), "photons": 5000})), SETUP)
    dim = focus_quality(image(Scene(**{**vars(scene), "photons": 50})), SETUP)
    assert bright.found
    assert dim.found
    assert max(bright.interval_dof[0], dim.interval_dof[0]) <= min(
        bright.interval_dof[1], dim.interval_dof[1]
    )


def test_every_array_kind_gives_the_same_answer(focused):
    counts = np.round(focused).astype(np.uint16)
    plain = focus_quality(counts, SETUP)
    kinds = (
        torch.from_numpy(counts.astype(np.float32)),
        da.from_array(counts, chunks=100),
        counts.astype(np.int32),
        counts[::-1][::-1],
        counts.tolist(),
    )
    for kind in kinds:
        assert focus_quality(kind, SETUP).to_dict() == plain.to_dict()


def test_batches_and_stacks_give_one_answer_a_plane():
    planes = np.stack([image(FILAMENTS.at(z)) for z in (-2.0, 0.0, 2.0)])
    counts = np.round(planes).astype(np.uint16)
    batch = focus_quality(counts, SETUP)
    stack = focus_quality(FocalStack.of(counts, z_step_um=1.9, setup=SETUP))
    singles = [focus_quality(plane, SETUP) for plane in counts]
    assert isinstance(batch, list)
    for several in (batch, stack):
        assert [one.to_dict() for one in several] == [one.to_dict() for one in singles]
    assert batch[1].defocus_dof < min(batch[0].defocus_dof, batch[2].defocus_dof) - 1
    given = focus_quality(FocalStack.of(counts, z_step_um=1.9), SETUP)
    assert [one.to_dict() for one in given] == [one.to_dict() for one in singles]


def test_region_is_judged_alone():
    sharp, blurred = image(FILAMENTS), image(FILAMENTS.at(3.0))
    both = np.concatenate([sharp, blurred], axis=1)
    left = focus_quality(both, SETUP, region=(0, 256, 0, 256))
    right = focus_quality(both, SETUP, region=(0, 256, 256, 512))
    assert left.to_dict() == focus_quality(sharp, SETUP).to_dict()
    assert right.to_dict() == focus_quality(blurred, SETUP).to_dict()


def test_background_does_not_vote(focused):
    field = np.random.default_rng(0).poisson(300, (1024, 1024)) * 2.0 + 100
    field[384:640, 384:640] = image(BEADS.at(2.0))
    quality = focus_quality(field, SETUP)
    assert quality.defocus_dof == pytest.approx(2.0, abs=0.4)


def test_one_bright_speck_does_not_decide_for_the_field():
    field = np.tile(image(FILAMENTS, offset=0.0), (4, 4))
    speck = image(BEADS.at(3.0), offset=0.0)
    field[256:512, 256:512] += 30 * speck * np.outer(np.hanning(256), np.hanning(256))
    quality = focus_quality(field, SETUP)
    assert not quality.found or quality.defocus_dof < 1
    alone = focus_quality(field, SETUP, region=(256, 512, 256, 512))
    assert alone.defocus_dof == pytest.approx(3.0, abs=0.5)


def test_strong_oversampling_is_averaged_away():
    fine = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.02)
    coarse = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.08)
    counts = image(Scene("beads", coarse, 2.0, seed=4, photons=500))
    quality = focus_quality(np.kron(counts, np.ones((4, 4))), fine)
    assert quality.defocus_dof == pytest.approx(2.0, abs=0.4)


def test_blank_noise_and_flat_images_are_blank():
    rng = np.random.default_rng(1)
    assert focus_quality(np.full((128, 128), 7), SETUP).status == Status.BLANK
    for seed in range(5):
        noise = np.random.default_rng(seed).poisson(40, (300, 260))
        assert focus_quality(noise, SETUP).status == Status.BLANK
    # Pattern of the sensor's rows and columns is no structure of the specimen.
    striped = rng.poisson(100, (256, 256)) + 20.0 * rng.normal(size=(256, 1))
    assert focus_quality(striped, SETUP).status == Status.BLANK


def test_saturated_images_are_declined_at_any_bit_depth(focused):
    scaled = (focused - 1.2 * np.median(focused)) / np.ptp(focused)
    for limit, dtype in ((255, np.uint8), (4095, np.uint16), (65535, np.uint16), (1.0, float)):
        counts = np.clip(scaled * limit * 5, 0, limit).astype(dtype)
        quality = focus_quality(counts, SETUP)
        assert quality.status == Status.SATURATED
        assert "% of the pixels" in quality.reason
        assert quality.defocus_dof is None
        # The same picture below the camera's limit is judged.
        assert focus_quality(np.minimum(counts * 0.9, limit), SETUP).status != Status.SATURATED
    stack = FocalStack.of(np.full((1, 64, 64), 65535, np.uint16), setup=SETUP)
    assert focus_quality(stack)[0].status == Status.SATURATED


def test_a_few_clipped_pixels_are_a_warning():
    counts = image(FILAMENTS) - 80
    counts *= 255 / np.quantile(counts, 0.995)
    counts = np.clip(counts, 0, 255).astype(np.uint8)
    quality = focus_quality(counts, SETUP, modality="fluorescence")
    assert quality.found
    assert "clipped" in quality.warnings[0]


def test_modality_declines_warns_or_is_assumed(focused):
    for words in ("brightfield", "widefield phase contrast", "DIC", "transmitted light"):
        quality = focus_quality(focused, SETUP, modality=words)
        assert quality.status == Status.UNCERTAIN
        assert words in quality.reason
        stack = FocalStack(images=focused[None], z_um=np.zeros(1), setup=SETUP, modality=words)
        assert focus_quality(stack)[0].status == Status.UNCERTAIN
    confocal = focus_quality(focused, SETUP, modality="spinning-disk confocal fluorescence")
    assert "pinhole" in confocal.warnings[0]
    assert "not known" in focus_quality(focused, SETUP).warnings[0]
    assert focus_quality(focused, SETUP, modality="widefield fluorescence").warnings == ()


def test_undersampled_names_the_pixel_that_would_do():
    setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=1.3)
    quality = focus_quality(np.ones((64, 64)), setup)
    assert quality.status == Status.UNCERTAIN
    assert "0.36 um" in quality.reason
    assert (quality.defocus_dof, quality.interval_um, quality.grade) == (None, None, None)


def test_far_from_focus_gives_no_number():
    for seed in range(6):
        for scene in (BEADS, FILAMENTS):
            far = Scene(scene.kind, SETUP, 12.0, seed=seed, photons=500)
            quality = focus_quality(image(far), SETUP)
            assert not quality.found
            assert quality.reason


def test_a_spectrum_that_no_lens_makes_is_declined():
    """Structure of one spacing only: grating-like, as after heavy processing."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    cutoff = SETUP.cutoff_cycles_per_px
    band = (frequency > 0.3 * cutoff) & (frequency < 0.45 * cutoff)
    grains = np.fft.ifft2(np.fft.fft2(rng.normal(size=(256, 256))) * band).real
    quality = focus_quality(image(BEADS) + 100 * grains / grains.std(), SETUP)
    assert quality.status == Status.UNCERTAIN
    assert "no defocus explains" in quality.reason


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: focus_quality(np.ones((64, 64))), MetadataError, ("--na", "--wavelength-nm")),
        (lambda: focus_quality(np.ones((64, 64))), MetadataError, ("--pixel-um",)),
        (lambda: focus_quality(FocalStack.of(np.ones((2, 64, 64)))), MetadataError, ("--na",)),
        (lambda: focus_quality(np.full((64, 64), np.nan), SETUP), InputError, ("NaN",)),
        (lambda: focus_quality(np.ones((40, 64)), SETUP), ShapeError, ("40 x 64", "48 x 48")),
        (lambda: focus_quality(np.ones(64), SETUP), ShapeError, ("(64,)",)),
        (
            lambda: focus_quality(np.ones((64, 64)), SETUP, region=(0, 65, 0, 64)),
            ShapeError,
            ("0:65", "--region"),
        ),
        (lambda: focus_quality(np.ones((64, 64), complex), SETUP), ShapeError, ("complex",)),
    ],
)  # fmt: skip
def test_errors_are_one_line_that_says_what_to_do(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_nan_in_one_plane_of_a_stack_is_named(focused):
    planes = np.stack([focused, np.where(focused == focused.max(), np.nan, focused)])
    with pytest.raises(InputError, match="plane 1"):
        focus_quality(FocalStack.of(planes, setup=SETUP))


def test_results_carry_numbers_only_where_found(focused):
    with pytest.raises(InputError):
        FocusQuality(status=Status.BLANK, reason="", defocus_dof=1.0)
    with pytest.raises(InputError):
        FocusQuality(status=Status.FOUND, reason="")
    found = focus_quality(focused, SETUP)
    assert json.loads(json.dumps(found.to_dict()))["grade"] == "in focus"
    assert pf.score.focus_quality is focus_quality
    assert pf.FocusQuality is FocusQuality


def test_shortest_interval_and_median_of_known_posteriors():
    def normal(center, width):
        return np.exp(-0.5 * ((DEFOCUS_DOF - center) / width) ** 2)

    low, middle, high, beyond = summarise(normal(1.0, 0.2))
    assert (low, middle, high) == pytest.approx((0.67, 1.0, 1.33), abs=0.03)
    assert beyond < 1e-6
    low, middle, high, _ = summarise(normal(0.0, 0.5))
    assert (low, high) == pytest.approx((0.0, 0.82), abs=0.03)
    assert summarise(normal(14.0, 1.0))[3] > 0.99
    assert DEFOCUS_DOF[-1] / 2 > FARTHEST_DOF
    assert count_peaks(normal(1.0, 0.3)) == 1
    assert count_peaks(normal(0.0, 0.3)) == 1
    assert count_peaks(normal(1.0, 0.3) + 0.5 * normal(5.0, 0.4)) == 2


def test_a_megapixel_takes_a_fraction_of_a_second(focused):
    field = np.tile(focused, (4, 4))
    focus_quality(field, SETUP)
    start = time.process_time()
    focus_quality(field, SETUP)
    assert time.process_time() - start < 1.5  # 0.2 s on an idle core
