from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from parfocal.core.errors import InputError, MetadataError
from parfocal.core.protocols import DefocusPredictor
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard, load_model
from parfocal.nets.spectrum import SpectrumNetwork, SpectrumPerceptron
from parfocal.predict.spectrum import published_bins
from parfocal.predict.spectrum_predictor import SpectrumPredictor
from parfocal.predict.spectrum_windows import COLUMNS, ROWS, log_powers, spectrum_tiles

SETUP = OpticalSetup(na=0.5, wavelength_nm=530, pixel_um=0.325)  # 2.12 um
SIDE_PX = 205


class Oracle(nn.Module):
    """Answers what it is told, whatever the spectrum."""

    def __init__(self, defocus=2.0, width=0.4, strange=1.0):
        super().__init__()
        self.defocus, self.width, self.strange = defocus, width, strange
        self.mean, self.spread = torch.zeros(ROWS, COLUMNS), torch.ones(ROWS, COLUMNS)

    def scores(self, spectra):
        return torch.full_like(spectra, self.strange**0.5)

    def forward(self, spectra):
        classes = torch.linspace(-16, 16, 65)
        logits = -0.5 * ((classes - self.defocus) / self.width).square()
        return logits.expand(len(spectra), -1)


def _card(**calibration):
    return ModelCard(
        name="led", task="", architecture="parfocal.nets.spectrum:SpectrumNetwork", settings={},
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        calibration=calibration, limits=(),
    )  # fmt: skip


def _image(size=256, seed=0):
    return np.random.default_rng(seed).poisson(400, (size, size)).astype(np.uint16)


def _predictor(*networks, **calibration):
    return SpectrumPredictor(list(networks) or [Oracle()], _card(**calibration))


def _untrained(seed=0):
    torch.manual_seed(seed)
    return SpectrumNetwork(bins=65, rows=ROWS, columns=COLUMNS, widths=(4, 8, 8, 8), hidden=16)


def test_one_image_is_answered_in_um_and_in_depths_of_field():
    predictor = _predictor(floor=0.3, widen=2.0)
    guess = predictor.predict(_image(), setup=SETUP)
    assert guess.status == "found"
    assert guess.defocus_dof == pytest.approx(2.0, abs=0.01)
    assert guess.defocus_um == pytest.approx(2.0 * 2.12, abs=0.02)
    away = guess.classes_um / 2.12 - guess.defocus_dof
    spread = np.sqrt((guess.probabilities * away**2).sum())
    half = 2.0 * np.hypot(spread, 0.3) * 2.12
    assert np.diff(guess.interval_um)[0] == pytest.approx(2 * half, rel=0.01)
    assert isinstance(predictor, DefocusPredictor)


def test_further_images_are_asked_for_the_first_ones_defocus():
    """The oracle says 2 of each, so that images 1.06 um apart say 2, 1.5 and 1 of the first."""
    predictor = _predictor(Oracle(width=1.0))
    guess = predictor.predict(np.stack([_image(seed=k) for k in range(3)]), spacing_um=1.06,
                              setup=SETUP)  # fmt: skip
    assert guess.defocus_dof == pytest.approx(1.5, abs=0.05)


def test_gain_offset_and_batch_do_not_matter():
    predictor = _predictor(_untrained(), least_certainty=-1.0)
    image = _image().astype(np.float32)
    one = predictor.predict(image, setup=SETUP).probabilities
    other = predictor.predict(7.0 * image + 300.0, setup=SETUP).probabilities
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_image_mirrored_across_the_leds_axis_has_the_same_answer():
    predictor = _predictor(_untrained(), least_certainty=-1.0)
    image = _image()
    one = predictor.predict(image, setup=SETUP).probabilities
    other = predictor.predict(image[::-1].copy(), setup=SETUP).probabilities
    np.testing.assert_allclose(one, other, atol=2e-3)


@pytest.mark.parametrize("led", [(0.3, 0.0), (0.0, -0.3), (-0.3, 0.0)])
def test_the_image_is_turned_to_the_led(led):
    image = torch.from_numpy(_image(300)[:260].astype(np.float32))
    here = SpectrumPredictor([_untrained()], _card(least_certainty=-1.0))
    there = SpectrumPredictor([_untrained()], _card(least_certainty=-1.0), led_na_yx=led)
    turned = image.flip(-1) if led[0] + led[1] < 0 else image
    turned = turned.T if led[0] else turned
    one = here.predict(image, setup=SETUP).probabilities
    np.testing.assert_allclose(there.predict(turned, setup=SETUP).probabilities, one, atol=1e-3)


@pytest.mark.parametrize(
    ("image", "setup", "status", "reason"),
    [
        (np.full((256, 256), 9), SETUP, "blank", "one grey value"),
        (np.minimum(_image(), 390), SETUP, "saturated", "expose less"),
        (_image(150), SETUP, "uncertain", "at least 205"),
        (_image(), SETUP.model_copy(update={"na": 0.75}), "uncertain", "for this objective"),
        (_image(), SETUP.model_copy(update={"pixel_um": 0.65}), "uncertain", "at most 0.331 um"),
    ],
)
def test_what_cannot_be_judged_is_declined_with_its_reason(image, setup, status, reason):
    guess = _predictor().predict(image, setup=setup)
    assert guess.status == status
    assert reason in guess.reason
    assert guess.defocus_um is None


@pytest.mark.parametrize(
    ("oracle", "status", "reason"),
    [
        (Oracle(width=30.0), "uncertain", "cannot tell"),
        (Oracle(strange=9.0), "uncertain", "none of training"),
        (Oracle(defocus=15.5), "edge", "above focus"),
    ],
)
def test_doubt_strange_light_and_far_focus_are_no_answers(oracle, status, reason):
    guess = _predictor(oracle, most_strange=2.0).predict(_image(), setup=SETUP)
    assert guess.status == status
    assert reason in guess.reason


def test_two_networks_that_contradict_each_other_are_ambiguous():
    guess = _predictor(Oracle(4.0), Oracle(-4.0)).predict(_image(), setup=SETUP)
    assert guess.status == "ambiguous"


def test_networks_that_differ_know_no_such_specimen():
    guess = _predictor(Oracle(3.0), Oracle(1.0), most_apart=0.8).predict(_image(), setup=SETUP)
    assert guess.status == "uncertain"
    assert "fine-tune" in guess.reason


def test_an_led_elsewhere_than_in_training_is_declined_and_one_off_the_axes_refused():
    predictor = SpectrumPredictor([Oracle()], _card(), led_na_yx=(0.0, 0.45))
    guess = predictor.predict(_image(), setup=SETUP)
    assert guess.status == "uncertain"
    assert "choose the LED at 0.3" in guess.reason
    with pytest.raises(InputError, match="along y or along x"):
        SpectrumPredictor([Oracle()], _card(), led_na_yx=(0.3, 0.3)).predict(_image(), setup=SETUP)


def test_what_is_no_image_is_refused_in_one_line():
    image = _image().astype(float)
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        _predictor().predict(image, setup=SETUP)
    with pytest.raises(MetadataError, match="--na"):
        _predictor().predict(_image())
    with pytest.raises(MetadataError, match="--spacing-um"):
        _predictor().predict(np.stack([_image()] * 2), setup=SETUP)


def test_the_published_network_answers_by_the_median_of_whole_patches():
    side = 200 * SETUP.pixel_um * SETUP.na / SETUP.wavelength_um
    across, along = published_bins(side)
    torch.manual_seed(0)
    network = SpectrumPerceptron(inputs=across * 2 * along).eval()
    predictor = SpectrumPredictor(
        [network], _card(kind="magnitude", side=side, floor=3.0, widen=1.0)
    )
    guess = predictor.predict(_image(410), setup=SETUP)
    assert guess.reason == "median of 4 patches"
    assert guess.certainty is None
    low, high = guess.interval_um
    assert high - low == pytest.approx(6.0 * 2.12)
    small = predictor.predict(_image(150), setup=SETUP)
    assert (small.status, "patches of 200 px" in small.reason) == ("uncertain", True)


def test_fast_copies_answer_as_the_networks_do():
    networks, card = load_model("led-phase")
    predictor = SpectrumPredictor(networks, card)
    spectra, _ = spectrum_tiles(torch.from_numpy(_image(420).astype(np.float32)), SETUP)
    shares, _ = predictor._judge(log_powers(spectra))
    both = torch.cat([log_powers(spectra), log_powers(spectra).flip(-1)])
    with torch.no_grad():
        plain = torch.stack([network(both).softmax(-1) for network in networks]).mean(0)
    plain = plain.reshape(2, len(spectra), -1).mean(0)
    assert 0.5 * float((shares - plain).abs().sum(-1).max()) < 0.05
