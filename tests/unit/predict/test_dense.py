from __future__ import annotations

import dask.array
import numpy as np
import pytest
import torch
import xarray
from torch import nn

from parfocal.core.errors import InputError, MetadataError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard
from parfocal.nets.fast import Gate, fast_copy
from parfocal.nets.pair import PairNetwork, band_energies
from parfocal.nets.pair_inputs import normalised
from parfocal.predict import dense
from parfocal.predict.dense import defocus_map
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.tiles import Pixels
from parfocal.predict.windows import Lattice, Survey
from parfocal.predict.working import Working

SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # a depth of 3 um, and no resampling
FINE = SETUP.model_copy(update={"pixel_um": 0.25})  # resampled to half
OPEN = {"least_certainty": -1.0, "reach": 30.0, "most_clear": 2.0}
CPU = torch.device("cpu")


def _predictor(members=2, **calibration):
    torch.manual_seed(0)
    networks = [PairNetwork(bins=34, widths=(4, 4, 6, 6, 8), hidden=16) for _ in range(members)]
    card = ModelCard(
        name="tiny", task="", architecture="parfocal.nets.pair:PairNetwork", settings={},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration=OPEN | calibration, limits=(),
    )  # fmt: skip
    return PairPredictor(networks, card)


@pytest.fixture(scope="module")
def predictor():
    predictor = _predictor()
    exact = [fast_copy(network, dtype=torch.float32) for network in predictor.networks]
    predictor.working = Working(exact, Gate(0.0, 1.0, torch.float32))
    return predictor


def _images(size_y=200, size_x=170, count=2, seed=0):
    dice = np.random.default_rng(seed)
    light = 200 * np.exp(-np.linspace(0, 4, size_x)) + 20
    return dice.poisson(light, (count, size_y, size_x)).astype(np.uint16)


def _same(one, other, atol=1e-4):
    np.testing.assert_allclose(one.defocus_um, other.defocus_um, atol=atol)
    np.testing.assert_allclose(one.certainty, other.certainty, atol=atol)
    assert (one.status, one.reason) == (other.status, other.reason)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_windows_are_judged_as_the_network_judges_them(predictor, is_swapped):
    network = predictor.networks[0].eval()
    pair = torch.randn(1, 2, 192, 160)
    facts = torch.randn(1, 4)
    energies = torch.nn.functional.avg_pool2d(band_energies(pair), 4, stride=1)[0]
    seen = pair.flip(1) if is_swapped else pair
    with torch.inference_mode():
        features = network.maps(seen)
        lattice = Lattice(Pixels(pair[0], 1.0, CPU), 4, 1)
        shares = dense._judged(network, network.trunk(seen), energies, facts, lattice, is_swapped)
        for v in range(3):
            for u in range(2):
                alone = network.judge(features[..., v : v + 4, u : u + 4], facts).softmax(-1)
                torch.testing.assert_close(shares[v, u], alone[0], atol=1e-5, rtol=1e-4)


def test_a_feature_sees_as_far_as_the_context_and_no_further():
    torch.manual_seed(0)
    network = PairNetwork(bins=9, widths=(4, 4, 4, 4, 4)).double().eval()
    for layer in network.trunk:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.abs_()  # no ReLU hides what is seen
    cells = 9
    images = torch.rand(1, 2, 32 * cells, 32 * cells, dtype=torch.float64, requires_grad=True)
    network.trunk(images)[0, :, cells // 2, cells // 2].sum().backward()
    seen = images.grad[0, 0].abs().amax(0).reshape(cells, 32).amax(1) > 0
    # It lies in cell 4, of which its strides keep the upper left corner.
    assert seen.nonzero()[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert dense.CONTEXT == 4 - 1


@pytest.mark.parametrize("offset", [0.0, 5000.0])
def test_windows_hold_the_mean_spread_and_energies_that_their_patches_have(offset):
    images = torch.from_numpy(_images().astype(np.float32)) + offset
    pixels = Pixels(images, 1.0, CPU)
    windows = Survey.of(pixels, 3, None).pair(0, 1, 4)
    top, left = pixels.rows.offset_px, pixels.columns.offset_px
    for v, u in ((0, 0), (2, 1)):
        y, x = top + 32 * v, left + 32 * u
        patch = images[:, y : y + 128, x : x + 128][None]
        assert float(windows.mean[v, u]) == pytest.approx(float(patch.mean()), rel=1e-5)
        spread = float(patch.double().std(correction=0))
        assert float(windows.spread[v, u]) == pytest.approx(spread, rel=1e-3)
        levels = band_energies(normalised(patch)).mean((2, 3))[0]
        torch.testing.assert_close(windows.levels[:, v, u], levels, atol=1e-3, rtol=5e-3)


def test_the_largest_pixel_is_that_of_the_images_and_not_of_a_tile():
    images = 100 * torch.rand(2, 160, 160)
    images[0, :40] = 500.0
    images[1, 150, 150] = 1000.0
    pixels = Pixels(images, 1.0, CPU)
    whole = Survey.of(pixels, 9, None).clipped
    assert torch.equal(Survey.of(pixels, 2, None).clipped, whole)
    assert float(whole.sum()) == 1 / 32**2
    assert float(Survey.of(pixels, 2, 500.0).clipped[0, 0, 0]) == 1.0


def test_an_even_field_is_normalised_as_its_patches_are():
    tile = torch.randn(2, 32, 32)  # every window holds the same
    images = 50 + 3 * tile.repeat(1, 6, 5)
    pixels = Pixels(images, 1.0, CPU)
    windows = Survey.of(pixels, 4, None).pair(0, 1, 4)
    even = windows.normalise(list(images), pixels.block)
    torch.testing.assert_close(even, normalised(images[None]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pixel_um", [0.5, 0.4])
@pytest.mark.parametrize("stride_px", [None, 70])
def test_tiles_equal_the_whole(predictor, pixel_um, stride_px):
    setup = SETUP.model_copy(update={"pixel_um": pixel_um})
    options = {"spacing_um": 3.0, "setup": setup, "stride_px": stride_px}
    images = _images(round(200 / pixel_um), round(180 / pixel_um))  # 12 x 11 cells
    whole = defocus_map(predictor, images, **options)
    assert whole.found
    _same(defocus_map(predictor, images, tile_px=110, **options), whole)


def test_a_narrow_type_moves_the_map_by_little(predictor):
    images = _images()
    exact = defocus_map(predictor, images, spacing_um=3.0, setup=SETUP)
    narrow = defocus_map(_predictor(), images, spacing_um=3.0, setup=SETUP)
    np.testing.assert_allclose(narrow.defocus_um, exact.defocus_um, atol=0.3)  # a tenth of a depth


def test_no_more_is_read_at_once_than_a_tile_and_its_surroundings(predictor):
    seen = []

    class Recorded:
        def __init__(self, images):
            self.images, self.shape, self.ndim = images, images.shape, images.ndim

        def __getitem__(self, key):
            part = self.images[key]
            if part.ndim == 2 and not isinstance(key, int):
                seen.append(part.size)
            return Recorded(part) if isinstance(key, int) else part

    images = _images(500, 460)
    lazy = defocus_map(predictor, Recorded(images), spacing_um=3.0, setup=SETUP, tile_px=128)
    # A window beyond the tile, what a feature sees on both sides, and what no cell holds.
    assert max(seen) <= (128 + 3 * 32 + 2 * 96 + 32) ** 2
    _same(lazy, defocus_map(predictor, images, spacing_um=3.0, setup=SETUP))


def test_the_lattice_says_where_its_windows_are(predictor):
    answer = defocus_map(predictor, _images(620, 560), spacing_um=3.0, setup=FINE)
    assert answer.window_px == 256.0
    assert answer.stride_px == (64.0, 64.0)
    # 310 x 280 resampled px are 9 x 8 cells, with 11 and 12 before them.
    assert answer.defocus_um.shape == (6, 5)
    assert answer.offset_px == (11 * 2 + 128 - 0.5, 12 * 2 + 128 - 0.5)
    wide = defocus_map(
        predictor, _images(620, 560), spacing_um=3.0, setup=FINE, window_px=130, stride_px=128
    )
    assert wide.window_px == 128.0
    assert wide.stride_px == (128.0, 128.0)
    assert wide.defocus_um.shape == (4, 4)


def test_places_with_nothing_or_too_much_light_have_no_answer(predictor):
    images = _images(330, 260).astype(float)
    images[:, :140] = 9.0
    images[:, 220:, 150:] = 4000.0
    answer = defocus_map(predictor, images, spacing_um=3.0, setup=SETUP)
    assert answer.status == "found"
    assert "saturated" in answer.reason
    assert "blank" in answer.reason
    assert np.isnan(answer.defocus_um[0]).all()
    assert np.isnan(answer.certainty[0]).all()
    assert np.isnan(answer.defocus_um[-1, -1])
    assert np.isfinite(answer.defocus_um[-1, 0])
    plain = answer.to_dict()
    assert plain["defocus_um"][0][0] is None
    assert plain["status"] == "found"


def test_places_where_the_networks_cannot_tell_have_a_certainty_and_no_answer():
    answer = defocus_map(_predictor(least_certainty=0.99), _images(), spacing_um=3.0, setup=SETUP)
    assert answer.status == "uncertain"
    assert np.isnan(answer.defocus_um).all()
    assert np.isfinite(answer.certainty).all()


def test_places_beyond_the_reach_have_no_answer():
    answer = defocus_map(_predictor(reach=0.01), _images(), spacing_um=3.0, setup=SETUP)
    assert answer.status == "edge"
    assert "beyond 0.01" in answer.reason


def test_transmitted_light_is_declined_everywhere():
    answer = defocus_map(_predictor(most_clear=-1.0), _images(), spacing_um=3.0, setup=SETUP)
    assert answer.status == "uncertain"
    assert "transmitted light" in answer.reason
    assert np.isnan(answer.defocus_um).all()


@pytest.mark.parametrize(
    ("change", "setup", "spacing_um", "status"),
    [
        (lambda images: np.full_like(images, 7), SETUP, 3.0, "blank"),
        (lambda images: np.full_like(images, 40000) - images % 2, SETUP, 3.0, "saturated"),
        (lambda images: images[:, :20, :20], SETUP, 3.0, "uncertain"),
        (lambda images: images, SETUP, 300.0, "uncertain"),
        (lambda images: images, SETUP.model_copy(update={"pixel_um": 3.0}), 3.0, "uncertain"),
    ],
)
def test_what_cannot_be_judged_is_declined(predictor, change, setup, spacing_um, status):
    answer = defocus_map(predictor, change(_images()), spacing_um=spacing_um, setup=setup)
    assert answer.status == status
    assert answer.reason
    assert np.isnan(answer.defocus_um).all()


def test_what_is_no_short_stack_is_refused_in_one_line(predictor):
    images = _images().astype(float)
    images[1, 3, 3] = np.nan
    with pytest.raises(InputError, match="Image 1 of 2 holds pixels"):
        defocus_map(predictor, images, spacing_um=3.0, setup=SETUP)
    with pytest.raises(MetadataError, match="--spacing-um"):
        defocus_map(predictor, _images(), setup=SETUP)
    with pytest.raises(MetadataError, match="--na"):
        defocus_map(predictor, _images(), spacing_um=3.0)
    with pytest.raises(ShapeError, match="1 to 51"):
        defocus_map(predictor, np.zeros((2, 2, 8, 8)), spacing_um=3.0, setup=SETUP)
    with pytest.raises(InputError, match="know 64 to 128 px"):
        defocus_map(predictor, _images(), spacing_um=3.0, setup=SETUP, window_px=300)
    with pytest.raises(InputError, match="positive distance of windows"):
        defocus_map(predictor, _images(), spacing_um=3.0, setup=SETUP, stride_px=0)
    with pytest.raises(InputError, match="tile_px is 0"):
        defocus_map(predictor, _images(), spacing_um=3.0, setup=SETUP, tile_px=0)


def test_networks_that_take_patches_alone_are_refused():
    class Other(nn.Module):
        def forward(self, images, facts):
            return images.mean((1, 2, 3))[:, None].expand(-1, 34)

    predictor = PairPredictor([Other()], _predictor().card)
    with pytest.raises(InputError, match="ask it about patches"):
        defocus_map(predictor, _images(), spacing_um=3.0, setup=SETUP)


@pytest.mark.parametrize(
    "kind",
    [
        torch.from_numpy,
        lambda images: images.astype(np.float64),
        lambda images: dask.array.from_array(images, chunks=(1, 100, 100)),
        lambda images: xarray.DataArray(images, dims=("z", "y", "x")),
        lambda images: images.tolist(),
    ],
)
def test_images_of_any_kind_give_the_same_map(predictor, kind):
    images = _images().astype(np.int16)
    expected = defocus_map(predictor, images, spacing_um=3.0, setup=SETUP)
    _same(defocus_map(predictor, kind(images), spacing_um=3.0, setup=SETUP), expected)


def test_more_images_and_one_alone_are_mapped_too(predictor):
    three = defocus_map(predictor, _images(count=3), spacing_um=3.0, setup=SETUP)
    one = defocus_map(predictor, _images()[0], setup=SETUP)
    same = defocus_map(predictor, _images()[:1], setup=SETUP)
    assert three.defocus_um.shape == one.defocus_um.shape
    _same(one, same)
