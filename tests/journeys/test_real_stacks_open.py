"""Every real stack beside the checkout opens with the planes, z and pixel size it should have."""

from __future__ import annotations

import numpy as np
import pytest

import parfocal as pf
from parfocal.io import find_stacks

# shape, z of the first plane, median step, pixel size, dtype
EXPECTED = {
    "dfnn_mitochondria": ((34, 800, 512), 0.0, 0.05, None, "uint16"),
    "faim_beads_E07_s1": ((10, 512, 512), 9318.24, 5.0, 1.3668, "uint16"),
    "faim_beads_E07_s2": ((10, 512, 512), 9318.34, 5.0, 1.3668, "uint16"),
    "faim_beads_E08_s1": ((10, 512, 512), 9315.92, 5.0, 1.3668, "uint16"),
    "smear": ((19, 286, 330), 0.0, 1.0, None, "float32"),
    "bfseg_yeast": ((34, 63, 60), 0.0, 0.3, 0.107, "uint16"),
    "psf_na085_air": ((25, 256, 256), 0.0, 0.3, 0.13, "uint16"),
    "psf_widefield_150ms": ((101, 128, 128), 0.0, 0.1, None, "uint16"),
}


@pytest.fixture(scope="module")
def sources(shared_data):
    found = find_stacks([shared_data], z_in_planes=True, crop_common=True)
    return {source.name: source for source in found}


def test_every_stack_of_the_manifest_is_found(sources):
    assert set(sources) >= set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_real_stack_opens_as_recorded(sources, name):
    stack = sources[name].open()
    shape, first_um, step_um, pixel_um, dtype = EXPECTED[name]
    assert (stack.shape, str(stack.dtype)) == (shape, dtype)
    assert stack.z_um[0] == pytest.approx(first_um)
    assert stack.z_step_um == pytest.approx(step_um, rel=0.01)
    assert stack.pixel_um == pixel_um
    assert stack.z_known == (name != "smear")
    counts = stack.read_counts(int(sources[name].extra["focus_index"]))
    assert np.isfinite(counts).all()
    assert counts.std() > 0


def test_exact_z_of_metamorph_planes_is_used(shared_data):
    stack = pf.open_stack(shared_data / "faim_beads" / "E07_s1")
    assert len(set(np.round(np.diff(stack.z_um), 3))) > 1  # not the nominal step
    assert stack.setup == pf.OpticalSetup(na=0.75, wavelength_nm=536.0, pixel_um=1.3668)


def test_folders_without_manifest_are_sorted_into_stacks(shared_data):
    found = find_stacks([shared_data / "faim_beads"])
    assert [source.well for source in found] == ["E07", "E07", "E08"]
    assert [len(source.paths) for source in found] == [10, 10, 10]
    (cell,) = find_stacks([shared_data / "dfnn_mitochondria"], z_step_um=0.05)
    assert cell.open().shape == (34, 800, 512)


def test_smear_is_refused_with_its_sizes_unless_it_is_cropped(shared_data):
    with pytest.raises(pf.ParfocalError, match=r"19 different sizes.*--crop-common"):
        pf.open_stack(shared_data / "smear_cc0", z_in_planes=True)


def test_unrelated_pictures_are_no_stack(shared_data):
    found = find_stacks([shared_data / "objects" / "cellprofiler_bsd3"])
    assert found
    for source in found:
        with pytest.raises(pf.ParfocalError):
            source.open()


def test_colour_slides_open_as_luminance(shared_data):
    stack = pf.open_stack(shared_data / "objects" / "openslide_he" / "OS-1-detail.ome.tif")
    assert (stack.shape, str(stack.dtype)) == ((1, 1101, 1101), "float32")
    assert 0 < float(stack.read_counts(0).mean()) < 255
