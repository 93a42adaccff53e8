from __future__ import annotations

import shutil

import numpy as np
import pytest

from parfocal.core.errors import InputError
from parfocal.io.finding import find_stacks
from parfocal.io.writing import write_stack
from parfocal.train.labelling import LeftOut, label_stacks, patch_side_px
from tests.fabricate.labelled import PLANES, STEP_UM, counts, known_stack, write_known

OPTICS = {"na": 0.5, "wavelength_nm": 500.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two good stacks, a copy of one, one without structure, one too short and one damaged."""
    place = write_known(tmp_path_factory.mktemp("stacks"), 2)
    shutil.copy(place / "field0.ome.tif", place / "renamed.ome.tif")
    dice = np.random.default_rng(0)
    empty = dice.poisson(100, (PLANES, 96, 96)).astype(np.uint16)
    for name, images in (("empty", empty), ("short", counts(1.0)[:3])):
        write_stack(images, place / f"{name}.ome.tif", z_step_um=STEP_UM, pixel_um=0.5)
    (place / "torn.ome.tif").write_bytes((place / "field0.ome.tif").read_bytes()[:900])
    return place


@pytest.fixture(scope="module")
def found(folder):
    return label_stacks(find_stacks([folder, folder / "torn.ome.tif"], **OPTICS))


def test_focus_is_found_and_what_cannot_teach_is_left_out_with_a_reason(found):
    labels = {known.name: known.focus_um for known in found.stacks}
    assert labels["field0"] == pytest.approx(10.0, abs=0.3)
    assert labels["field1"] == pytest.approx(10.7, abs=0.3)
    reasons = {left.name: left for left in found.left_out}
    assert set(reasons) == {"empty", "short", "torn"}
    assert "focus was not found (blank)" in reasons["empty"].reason
    assert "3 planes; 5 are the least" in reasons["short"].reason
    assert [left.is_fault for left in reasons.values()] == [name == "torn" for name in reasons]
    assert not any("\n" in left.reason for left in found.left_out)


def test_copies_under_another_name_are_one_specimen(found):
    shown = {known.name: known.specimen for known in found.stacks}
    assert shown["field0"] == shown["renamed"] != shown["field1"]
    assert len(found.marks) == 3


def test_patches_are_laid_where_the_field_holds_something(found):
    assert all(known.tiles is not None for known in found.stacks)
    assert found.stacks[0].label.startswith("best_focus by")


def test_a_specimen_may_be_named_by_an_expression(folder):
    paths = [folder / "field0.ome.tif", folder / "field1.ome.tif"]
    for expression, names in ((r"field", {"field"}), (r"field(\d)", {"0", "1"})):
        found = label_stacks(find_stacks(paths, **OPTICS), specimen=expression)
        assert {known.specimen for known in found.stacks} == names
    with pytest.raises(InputError, match=r"finds nothing in .*field0"):
        label_stacks(find_stacks(paths, **OPTICS), specimen="slide")
    with pytest.raises(InputError, match="no regular expression"):
        label_stacks([], specimen="(")


def test_a_manifest_may_say_focus_and_specimen(folder, tmp_path):
    for name in ("field0", "field1"):
        shutil.copy(folder / f"{name}.ome.tif", tmp_path)
    said = 'planes = "field{0}.ome.tif"\nna = 0.5\nemission_nm = 500\npixel_um = 0.5\n'
    (tmp_path / "stacks.toml").write_text(
        f'[a]\n{said.format(0)}focus_um = 9.5\nspecimen = "liver"\n'
        f'[b]\n{said.format(1)}focus_um = "ten"\n'
    )
    found = label_stacks(find_stacks([tmp_path]))
    assert [(known.focus_um, known.specimen, known.label) for known in found.stacks] == [
        (9.5, "liver", "given")
    ]
    assert [left.name for left in found.left_out] == ["b"]
    assert "no number" in found.left_out[0].reason


@pytest.mark.parametrize(
    ("opening", "text"),
    [
        ({}, "optics are unknown: give --na"),
        ({"na": 0.98, "wavelength_nm": 500.0}, "NA 0.98"),
        ({"na": 0.2, "wavelength_nm": 500.0}, "patches need 64"),
        ({"na": 0.05, "wavelength_nm": 500.0}, "give at least 32"),
        ({"na": 0.5, "wavelength_nm": 500.0, "z_step_um": 8.0}, "no two of its planes"),
        ({"na": 0.75, "wavelength_nm": 500.0, "z_step_um": 30.0}, "too vague"),
    ],
)
def test_optics_that_a_pair_network_cannot_use_are_told(folder, opening, text):
    found = label_stacks(find_stacks([folder / "field0.ome.tif"], **opening))
    assert not found.stacks
    assert text in found.left_out[0].reason
    assert isinstance(found.left_out[0], LeftOut)


def test_patches_are_as_large_as_predictors_take_after_resampling():
    assert patch_side_px(known_stack(0)) == (96, 96)
    fine = known_stack(0)
    object.__setattr__(
        fine.stack, "setup", fine.setup.model_copy(update={"pixel_um": 0.36})
    )  # 0.36 wavelength / NA, resampled to 0.5
    assert patch_side_px(fine) == (round(64 / 0.72), 64)
