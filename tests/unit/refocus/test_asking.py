"""Light whose blur is not known is declined before the work, unless a network is for it."""

from dataclasses import replace

import numpy as np
import pytest

from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.refocus.asking import Asked, RefocusSettings

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)


def refusal(modality, **settings):
    source = replace(FocalStack.of(np.ones((1, 8, 8))), modality=modality)
    return Asked(source=source, setup=SETUP, settings=RefocusSettings(**settings)).refusal()


@pytest.mark.parametrize("modality", ["brightfield", "Transmitted light"])
def test_stains_need_the_network_for_them(modality):
    _, reason = refusal(modality)
    assert modality in reason
    assert "--model deep-r-brightfield" in reason
    assert refusal(modality, method="wiener") is not None
    assert refusal(modality, model="deep-r-brightfield") is None


def test_phase_contrast_is_for_no_network():
    _, reason = refusal("phase contrast")
    assert "deep-r-brightfield" not in reason
    assert refusal("phase contrast", model="deep-r-brightfield") is not None


def test_fluorescence_is_not_refused():
    assert refusal("light-sheet fluorescence") is None
    assert refusal(None) is None
