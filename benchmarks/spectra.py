"""Spectral measures against scipy in float64 and against waveorder."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn

from benchmarks.timing import race, verdict
from parfocal.core.setup import OpticalSetup
from parfocal.measures import dcts, midband_power

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
CUTOFF = 0.5


def _dcts_by_scipy(images: NDArray[Any]) -> NDArray[Any]:
    v = np.arange(images.shape[-2])[:, None] / images.shape[-2]
    u = np.arange(images.shape[-1]) / images.shape[-1]
    inside = u**2 + v**2 < CUTOFF**2
    scores = []
    for image in images:
        share = np.abs(
            dctn(image.astype(np.float64), norm="ortho", workers=torch.get_num_threads())
        )
        share = share[inside] / np.sqrt((share**2).sum())
        logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
        scores.append(-2 * (share * logs).sum() / (CUTOFF**2 * image.size))
    return np.array(scores)


def print_spectra(*, quick: bool) -> None:
    """DCTS and mid-band power of small and large images."""
    rounds = 5 if quick else 21
    rng = np.random.default_rng(0)
    print("\nSpectral measures; ratios in processor time, and by the clock")
    print(f"{'measure':16}{'images':>16}{'ms':>9}{'other, ms':>11}  faster than the other")
    for count, size in ((64, 128), (8, 512), (2, 1024), (1, 2048)):
        images = rng.poisson(1000, (count, size, size)).astype(np.float32)
        tensor = torch.from_numpy(images)
        contenders = {
            "dcts": partial(dcts, tensor, cutoff=CUTOFF),
            "scipy": partial(_dcts_by_scipy, images),
            "midband": partial(midband_power, tensor, setup=SETUP),
        }
        np.testing.assert_allclose(contenders["dcts"](), contenders["scipy"](), rtol=1e-3)
        reason = ""
        try:
            from waveorder.focus import compute_midband_power

            contenders["waveorder"] = partial(
                compute_midband_power, tensor, SETUP.na, SETUP.wavelength_um, SETUP.pixel_um
            )
        except ImportError as error:
            reason = f"waveorder cannot be imported: {error}"
        times = race(contenders, rounds)
        shape = f"{count} x {size} x {size}"
        for name, other, target in (("dcts", "scipy", 4.0), ("midband", "waveorder", 5.0)):
            own = f"{name:16}{shape:>16}{times[name].wall_ms:9.2f}"
            if other not in times:
                print(f"{own}  {reason}")
                continue
            ratio = verdict(times[other].over(times[name]), target, at_most=False)
            clock = times[other].over_by_clock(times[name])
            print(f"{own}{times[other].wall_ms:11.2f}  {ratio} than {other}; clock {clock:.2f}")
