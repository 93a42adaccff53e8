"""Optics in numbers, and the sign of defocus."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from parfocal.core.errors import MetadataError
from parfocal.core.setup import OpticalSetup, defocus_um


def test_lengths_follow_from_the_optics():
    # 20x / 0.75 at 532 nm: Luo 2020 state a depth of field of about 0.8 um for 0.325 um pixels.
    setup = OpticalSetup(na=0.75, wavelength_nm=532, pixel_um=0.325)
    assert setup.depth_of_field_um == pytest.approx(0.532 / 0.5625)
    assert setup.effective_depth_of_field_um == pytest.approx(0.532 / 0.5625 + 0.325 / 0.75)
    assert setup.lateral_resolution_um == pytest.approx(0.61 * 0.532 / 0.75)
    assert setup.cutoff_per_um == pytest.approx(1.5 / 0.532)
    assert setup.cutoff_cycles_per_px * setup.nyquist_pixel_um == pytest.approx(0.5 * 0.325)


def test_the_stage_moves_against_its_defocus():
    assert defocus_um(13.0, focus_um=10.0) == 3.0
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    assert setup.defocus_dof(-3.0) == pytest.approx(-1.5)


def test_an_aperture_beyond_its_immersion_names_the_flag():
    with pytest.raises(MetadataError, match="--immersion-index"):
        OpticalSetup.of(na=1.4, wavelength_nm=520, pixel_um=0.1)
    assert OpticalSetup.of(na=1.4, wavelength_nm=520, pixel_um=0.1, immersion_index=1.515)


@pytest.mark.parametrize(
    "wrong",
    [{"na": 0}, {"na": float("nan")}, {"wavelength_nm": 0.52}, {"pixel_um": -1}, {"zoom": 3}],
)
def test_impossible_or_unknown_values_are_refused_in_one_line(wrong):
    values = {"na": 0.5, "wavelength_nm": 520, "pixel_um": 0.2} | wrong
    with pytest.raises(MetadataError, match=next(iter(wrong))) as caught:
        OpticalSetup.of(**values)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        OpticalSetup(**values)


def test_a_setup_cannot_be_changed():
    setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.2)
    with pytest.raises(ValidationError):
        setup.na = 0.9


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            {"wavelength_nm": 0.5},
            "wavelength_nm is 0.5: input should be greater than or equal to 100 (--wavelength-nm).",
        ),
        ({"zoom": 3}, "zoom is no known name here."),
        ({"magnification": -1}, "magnification is -1: input should be greater than 0."),
    ],
)
def test_a_wrong_value_is_named_with_what_came_and_its_flag(wrong, text):
    with pytest.raises(MetadataError) as caught:
        OpticalSetup.of(**{"na": 0.5, "wavelength_nm": 520, "pixel_um": 0.2} | wrong)
    assert str(caught.value) == f"These optics cannot be: {text}"
    with pytest.raises(MetadataError, match=r"cannot be: pixel_um is missing \(--pixel-um\)\."):
        OpticalSetup.of(na=0.5, wavelength_nm=520)
