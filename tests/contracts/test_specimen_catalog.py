"""What every row of the table of specimens promises, checked row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from parfocal.simulate import SPECIMENS, make_specimen, structure_height

ROWS = pytest.mark.parametrize("row", SPECIMENS, ids=[row.name for row in SPECIMENS])


def make(row, size_px=48, *, seed=0, pixel_um=0.5, **options):
    dice = torch.Generator().manual_seed(seed)
    return make_specimen(row.name, size_px, pixel_um=pixel_um, generator=dice, **options)


def image(specimen):
    """All channels, summed over layers."""
    return torch.stack([c.sum(0) for c in specimen.channels.values()])


def test_names_differ_and_the_families_are_many():
    assert len({row.name for row in SPECIMENS}) == len(SPECIMENS)
    assert len({row.family for row in SPECIMENS}) >= 9


@ROWS
def test_maker_says_what_it_makes_and_cites_known_sources(row):
    text = row.function.__doc__ or ""
    known = (Path(__file__).resolve().parents[2] / "docs/refs.bib").read_text("utf-8")
    assert len(text) > 60
    for source in re.findall(r"\[(\w+\d{4})\]_", text):
        assert f"{{{source}," in known


@ROWS
def test_row_tells_the_truth_about_what_it_makes(row):
    specimen = make(row)
    assert (specimen.name, specimen.family) == (row.name, row.family)
    assert specimen.shape[1:] == (48, 48)
    assert specimen.is_fluorescent == ("fluorescence" in row.contrasts)
    assert specimen.is_transmissive == ("transmission" in row.contrasts)
    assert row.thick == (row.thickness_um > 5.0)
    assert row.what


@ROWS
def test_values_are_finite_and_in_range(row):
    specimen = make(row)
    for channel in specimen.channels.values():
        assert torch.isfinite(channel).all()
        assert channel.dtype == torch.float32
    if specimen.emission is not None:
        assert specimen.emission.min() >= 0
        assert 0.5 < specimen.emission.sum(0).max() < 2.0
    if specimen.absorption is not None:
        assert specimen.absorption.min() >= 0
    assert (image(specimen).std((1, 2)) > 0).any()


@ROWS
def test_same_seed_same_specimen_another_seed_another(row):
    first, again, other = (image(make(row, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@ROWS
def test_edges_join_as_smoothly_as_the_inside(row):
    specimens = [image(make(row, 96, seed=seed, pixel_um=0.4)) for seed in range(4)]
    for axis in (-1, -2):
        steps = [
            (one.roll(1, axis) - one).abs().sum(0).mean(-1 if axis == -2 else -2)
            for one in specimens
        ]
        step = torch.stack(steps).mean(0)
        assert step[0] <= 1.1 * step[1:].max()


@ROWS
def test_structure_lies_within_the_thickness(row):
    specimen = make(row, thickness_um=6.0, layer_step_um=1.0)
    assert specimen.shape[0] == 7
    height = structure_height(specimen)
    known = height[~height.isnan()]
    assert len(known) > 0
    assert known.abs().max() <= 3.0 + 1e-4


@ROWS
@pytest.mark.parametrize(("size_px", "pixel_um"), [((40, 24), 0.05), (64, 3.0), (1, 1.0)])
def test_any_size_and_sampling_will_do(row, size_px, pixel_um):
    specimen = make(row, size_px, pixel_um=pixel_um)
    assert specimen.shape[1:] == (size_px if isinstance(size_px, tuple) else (size_px, size_px))
    assert all(torch.isfinite(channel).all() for channel in specimen.channels.values())


@ROWS
def test_one_layer_holds_it_all_when_thickness_is_zero(row):
    specimen = make(row, thickness_um=0.0)
    assert specimen.heights_um.tolist() == [0.0]
