"""What weak stains take away, against Abbe's sum over the waves of a condenser."""

import pytest
import torch

from parfocal.core.setup import OpticalSetup
from parfocal.optics.batches import Stain, pupil_psfs
from parfocal.optics.illumination import disc_source
from parfocal.optics.transmission import transmitted_images

NA, WAVELENGTH_UM, PIXEL_UM, SIDE = 0.3, 0.53, 0.2, 128
Z_UM = torch.tensor([-12.0, -5.0, 0.0, 5.0, 12.0])
WEAK = 0.01


def by_waves(coherence, delay):
    """Light that one weak pixel takes away, its sum 1."""
    setup = OpticalSetup(
        na=NA, wavelength_nm=1000 * WAVELENGTH_UM, pixel_um=PIXEL_UM,
        immersion_index=1.0, sample_index=1.0,
    )  # fmt: skip
    depth = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    points = torch.polar(torch.exp(-depth / 2), depth)
    depth[SIDE // 2, SIDE // 2] = WEAK
    stained = torch.polar(torch.exp(-depth / 2), delay * depth / 2)
    empty, images = (
        transmitted_images(
            each[None], setup, Z_UM.double(), heights_um=torch.zeros(1, dtype=torch.float64),
            source=disc_source(coherence * NA, points=400),
        )
        for each in (points, stained)
    )  # fmt: skip
    taken = empty - images
    return taken / taken.sum((1, 2), keepdim=True)


def by_the_pupil(coherence, delay):
    stain = Stain(coherence=torch.tensor([coherence]), delay=torch.tensor([delay]))
    return pupil_psfs(
        na=NA, index=1.0, wavelength_um=WAVELENGTH_UM, pixel_um=torch.tensor([PIXEL_UM]),
        z_um=Z_UM[None], size_px=SIDE, stain=stain, apodise=False,
    )[0].double()  # fmt: skip


@pytest.mark.parametrize("coherence", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_weak_point_images_as_by_the_sum_of_all_waves(coherence, delay):
    theirs, ours = by_waves(coherence, delay), by_the_pupil(coherence, -delay)
    for one, other in zip(theirs, ours, strict=True):
        assert float((one - other).abs().max()) < 0.07 * float(one.max())
    if delay and coherence < 1:  # the other sign is another image, out of focus
        wrong = by_the_pupil(coherence, delay)[0]
        assert float((theirs[0] - wrong).abs().max()) > 0.2 * float(theirs[0].max())


def test_a_condenser_wider_than_the_pupil_images_as_fluorescence_does():
    shining = pupil_psfs(
        na=NA, index=1.0, wavelength_um=WAVELENGTH_UM, pixel_um=torch.tensor([PIXEL_UM]),
        z_um=Z_UM[None], size_px=SIDE, apodise=False,
    )[0].double()  # fmt: skip
    torch.testing.assert_close(by_the_pupil(2.0, 0.0), shining, atol=6e-4, rtol=0.02)
