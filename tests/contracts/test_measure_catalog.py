"""What every row of the catalogue of measures promises, checked row by row."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from parfocal.core.errors import ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.measures import CATALOG, LocalMeasure, score
from parfocal.measures.local import score_whole
from parfocal.measures.scoring import setup_options
from parfocal.measures.table import catalog_page

ROOT = Path(__file__).resolve().parents[2]
SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
ROWS = pytest.mark.parametrize("row", CATALOG.values(), ids=list(CATALOG))


def fabricate_images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 100.0 + 10.0 * torch.rand(shape, generator=generator, dtype=torch.float64)


def run(row, images):
    return row.function(images, **setup_options(row, SETUP))


@ROWS
def test_name_and_path_agree(row):
    assert row.path.endswith(f":{row.name}")
    assert row.function.__name__ == row.name
    assert CATALOG[row.name] is row


@ROWS
def test_docstring_states_the_laws_of_the_row_and_its_sources(row):
    text = " ".join((row.function.__doc__ or "").split())
    laws = text[text.index("Laws:") :].split("Examples")[0]
    for law in row.laws:
        assert law in laws
        if not law.startswith(("not ", "no ")):
            assert f"not {law}" not in laws
    assert any(f"[{source}]_" in text for source in row.sources)


@ROWS
def test_docstring_has_an_example_that_is_run(row):
    assert doctest.DocTestParser().get_examples(row.function.__doc__ or "")


@ROWS
def test_sources_are_in_the_bibliography(row):
    entries = re.findall(r"^@\w+\{(\w+),", (ROOT / "docs/refs.bib").read_text("utf-8"), re.M)
    assert len(entries) == len(set(entries))
    cited = re.findall(r"\[([A-Z]\w+\d{4}|Waveorder)\]_", row.function.__doc__ or "")
    assert {*row.sources, *cited} <= set(entries)


@ROWS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=["yx", "zyx", "tzyx"])
def test_any_batch_of_either_precision_gives_one_finite_score_per_image(row, batch, dtype):
    scores = run(row, fabricate_images(*batch, 24, 28).to(dtype))
    assert scores.shape == batch
    assert scores.dtype == dtype
    assert torch.isfinite(scores).all()


@ROWS
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_numpy_in_gives_numpy_out_with_the_same_values(row, dtype):
    images = fabricate_images(2, 24, 28).numpy().astype(dtype)
    scores = run(row, images)
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == (np.float64 if dtype == np.float64 else np.float32)
    expected = run(row, torch.from_numpy(images.astype(np.float64))).numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    np.testing.assert_array_equal(score(images, row.name, setup=SETUP), scores)


@ROWS
def test_shapes_are_checked_through_the_array_wrapper(row):
    with pytest.raises((ShapeError, jaxtyping.TypeCheckError)):
        run(row, torch.zeros(40))
    with pytest.raises(ShapeError, match="must be real numbers"):
        run(row, np.zeros((40, 40), complex))


@ROWS
def test_images_are_not_changed(row):
    images = fabricate_images(2, 24, 28)
    before = images.clone()
    run(row, images)
    assert torch.equal(images, before)


@ROWS
def test_views_that_are_not_contiguous_score_the_same(row):
    images = fabricate_images(2, 56, 24).transpose(-1, -2)[..., ::2]
    torch.testing.assert_close(run(row, images), run(row, images.contiguous()))


@ROWS
def test_a_nan_pixel_makes_the_score_nan_and_no_other(row):
    images = fabricate_images(3, 32, 32)
    clean = run(row, images)
    images[1, 16, 16] = torch.nan
    scores = run(row, images)
    assert torch.isnan(scores).tolist() == [False, True, False]
    torch.testing.assert_close(scores[::2], clean[::2])


@ROWS
def test_a_constant_image_scores_without_error(row):
    for level in (0.0, 7.0):
        scores = run(row, torch.full((2, 32, 32), level))
        assert torch.isfinite(scores).all()
    blank, textured = run(row, torch.full((32, 32), 105.0)), run(row, fabricate_images(32, 32))
    assert blank < textured


@ROWS
def test_least_size_is_scored_and_less_is_refused_by_its_number(row):
    least = row.least_px
    assert torch.isfinite(run(row, fabricate_images(least, least)))
    for size in ((least - 1, 40), (40, least - 1)):
        narrow_suffices = row.name in ("brenner", "vollath4", "vollath5") and size[1] == 40
        if least > 1 and not narrow_suffices:
            with pytest.raises(ShapeError, match=rf"{row.name} needs .*\b{least}\b"):
                run(row, fabricate_images(*size))


@ROWS
def test_local_measure_makes_the_same_score_from_window_means(row):
    local = row.local_measure
    if local is None:
        pytest.skip("this measure is no function of window means")
    assert isinstance(local, LocalMeasure)
    assert local.least_px == row.least_px
    images = fabricate_images(2, 26, 31)
    whole = score_whole(images, local, what=row.name)
    torch.testing.assert_close(whole, run(row, images))
    sizes = [(feature.shape[-2], feature.shape[-1]) for feature in local.features(images)]
    assert all(y <= 26 // local.pitch_px and x <= 31 // local.pitch_px for y, x in sizes)


@ROWS
def test_features_of_a_window_are_a_window_of_the_features(row):
    local = row.local_measure
    if local is None:
        pytest.skip("this measure is no function of window means")
    images, pitch = fabricate_images(40, 44), local.pitch_px
    window = images[8:36, 12:42]
    for whole, part in zip(local.features(images), local.features(window), strict=True):
        rows, columns = part.shape
        top, left = 8 // pitch, 12 // pitch
        same = whole[top : top + rows, left : left + columns]
        torch.testing.assert_close(same, part)


@ROWS
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
def test_gpu_scores_as_the_cpu_does(row):
    images = fabricate_images(3, 64, 72)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        there = run(row, images.to("cuda", dtype))
        assert there.device.type == "cuda"
        torch.testing.assert_close(there.cpu(), run(row, images.to(dtype)), rtol=tolerance, atol=0)


def test_reference_page_is_made_from_the_catalogue():
    page = (ROOT / "docs/reference/measures.md").read_text("utf-8")
    assert page == catalog_page(), (
        "run: python -m parfocal.measures.table > docs/reference/measures.md"
    )
