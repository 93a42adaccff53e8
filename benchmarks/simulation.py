"""Simulated stacks against scipy in float64, and what training data costs of a training step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import set_workers
from scipy.signal import fftconvolve
from torch import Tensor, nn

from benchmarks.timing import race, verdict
from parfocal.core.setup import OpticalSetup
from parfocal.optics.imaging import Band, incoherent_images
from parfocal.simulate.batches import FieldBatches
from parfocal.simulate.imaging import transfer_table
from parfocal.simulate.modalities import WidefieldImaging

SETUP = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.24, immersion_index=1.56)
LAYERS, SIZE_PX, PLANES, STEP_UM, WINDOW_PX = 64, 512, 51, 1.0, 128
TOGETHER = 4  # batches


def _by_scipy(volume: NDArray[np.float64], psf: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best case for scipy: one 3-D convolution of all layers with all planes."""
    with set_workers(torch.get_num_threads()):
        whole = fftconvolve(volume, psf, mode="full")
    first, margin = LAYERS - 1, WINDOW_PX // 2
    return whole[first : first + PLANES, margin : margin + SIZE_PX, margin : margin + SIZE_PX]


class _Step(nn.Module):
    """The patch network of the two-image predictor's size: 24-32-64-96-128 channels."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 32, 64, 96, 128)
        stages: list[nn.Module] = [nn.Conv2d(2, widths[0], 5, stride=2, padding=2)]
        for low, high in pairwise(widths):
            stages += [
                nn.Conv2d(low, high, 3, stride=2, padding=1),
                nn.BatchNorm2d(high),
                nn.ReLU(),
            ]
            stages += [nn.Conv2d(high, high, 3, padding=1), nn.BatchNorm2d(high), nn.ReLU()]
        self.stages, self.head = nn.Sequential(*stages), nn.Linear(widths[-1], 13)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of 13 bins."""
        found: Tensor = self.head(self.stages(images).mean((2, 3)))
        return found


def print_simulation(*, quick: bool) -> None:
    """A thick object through focus, and batches of two-image pairs."""
    _print_stack(3 if quick else 5)
    _print_batch(5 if quick else 15)


def _print_stack(rounds: int) -> None:
    dice = torch.Generator().manual_seed(0)
    volume = torch.rand(LAYERS, SIZE_PX, SIZE_PX, generator=dice)
    table = transfer_table(SETUP, WidefieldImaging(model="scalar"))
    shape = (SIZE_PX, SIZE_PX)
    limits = {"pixel_um": SETUP.pixel_um, "cutoff_per_um": SETUP.cutoff_per_um}
    band = Band.of(shape, **limits)
    z, h = torch.arange(PLANES), torch.arange(LAYERS)
    which = z[:, None] - h + LAYERS - 1
    defocus = [(k - LAYERS + 1) * STEP_UM for k in range(LAYERS + PLANES - 1)]

    # Each side is given its optics in the form it takes: transfer functions here, points there.
    otfs = table.otfs(defocus, band)

    def ours() -> Tensor:
        return incoherent_images(volume, otfs, which, band=band)

    small = Band.of((WINDOW_PX, WINDOW_PX), **limits)
    real = table.otfs(defocus, small)
    psf = small.images(torch.stack((real, torch.zeros_like(real)), 1))
    contenders = {
        "ours": ours,
        "scipy": partial(
            _by_scipy, volume.double().numpy(), torch.fft.fftshift(psf, (1, 2)).double().numpy()
        ),
    }
    times = race(contenders, rounds)
    print(f"\nStack: {LAYERS} x {SIZE_PX} x {SIZE_PX} object, {PLANES} planes; processor time")
    print(f"{'layers in the Fourier domain, float32':42}{times['ours'].wall_ms:9.0f} ms")
    print(f"{'scipy fftconvolve, 3-D, float64':42}{times['scipy'].wall_ms:9.0f} ms")
    print(f"times faster {verdict(times['scipy'].over(times['ours']), 10.0, at_most=False)}")


def _print_batch(rounds: int) -> None:
    source = FieldBatches(batch=64, size_px=128, images=2, seed=0)
    torch.manual_seed(0)
    network = _Step().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = source.draw().images
    images = (images / images.amax((1, 2, 3), keepdim=True)).contiguous(
        memory_format=torch.channels_last
    )
    labels = torch.zeros(64, dtype=torch.long)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()

    def several(work: Callable[[], object]) -> Callable[[], None]:
        """As many as share one renewal of optics, which no round may leave out."""

        def repeated() -> None:
            for _ in range(TOGETHER):
                work()

        return repeated

    times = race({"batch": several(source.draw), "step": several(step)}, rounds)
    print("\nTraining: 64 pairs of 128 x 128 px; ratio in processor time")
    print(f"{'a batch, simulated':42}{times['batch'].wall_ms / TOGETHER:9.1f} ms")
    print(f"{'a training step, float32':42}{times['step'].wall_ms / TOGETHER:9.1f} ms")
    print(f"batch / step {verdict(times['batch'].over(times['step']), 0.25, at_most=True)}")
