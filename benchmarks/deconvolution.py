"""Richardson-Lucy against scikit-image, and what wrong distances cost.

``python -m benchmarks.deconvolution [--quick] [--distances]``
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from skimage import restoration
from torch import Tensor

from benchmarks.timing import describe_machine, race, verdict
from parfocal.core.setup import OpticalSetup
from parfocal.optics import Aberrations
from parfocal.refocus import deconvolve, defocus_psf, richardson_lucy
from parfocal.refocus.psfs import Blur
from parfocal.simulate.object_pool import ObjectPool

SETUP = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.2)
SIZE_PX, ITERATIONS = 2048, 100
DEFOCUS_DOF = 2.0
OBJECTS = ("beads", "nuclei", "filaments", "mitochondria", "epithelium")
FIELD_PX, PHOTONS, BACKGROUND = 256, (500.0, 50.0), 10.0
DISTANCES_DOF, WRONG_DOF = (1.5, 2.0, 3.0, 5.0), (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
# Waves RMS that the user does not know of.
UNKNOWN = Aberrations(zernike_waves={5: 0.03, 7: 0.03, 12: 0.03})


def exposure(
    light: Tensor, defocus_um: float, photons: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """An image with noise, and what is expected in focus without background."""
    spread = Blur.of(defocus_psf(SETUP, defocus_um, aberrations=UNKNOWN), light.shape)
    focused = Blur.of(defocus_psf(SETUP, 0.0), light.shape).apply(light).clamp(min=0)
    gain = photons / focused.max()
    mean = gain * spread.apply(light).clamp(min=0) + BACKGROUND
    return torch.poisson(mean, generator=generator), gain * focused


def objects(size_px: int) -> dict[str, Tensor]:
    """One object of each kind."""
    found = {}
    for name in OBJECTS:
        pool = ObjectPool(
            (name,), textures=1, balls=1, pictures=(), size_px=size_px, seed=5,
            device=torch.device("cpu"),
        )  # fmt: skip
        start = torch.zeros(1, dtype=torch.long)
        spectrum = pool.rolled(
            start, torch.zeros(2, 1, 1, dtype=torch.long), is_flipped=torch.zeros(1, 1) > 0
        )
        found[name] = torch.fft.irfft2(spectrum, s=(size_px, size_px))[0].clamp(min=0)
    return found


def psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal to noise in dB, away from the edges."""
    error = (image - truth)[16:-16, 16:-16].square().mean()
    return float(10 * torch.log10((truth.max() - truth.min()).square() / error))


def print_speed(*, quick: bool) -> None:
    """Seconds for 100 iterations, and how many accelerated ones reach the same deviance."""
    size = SIZE_PX // 4 if quick else SIZE_PX
    psf = defocus_psf(SETUP, DEFOCUS_DOF * SETUP.depth_of_field_um)
    generator = torch.Generator().manual_seed(0)
    light = objects(FIELD_PX)["nuclei"].repeat(size // FIELD_PX, size // FIELD_PX)
    defocus_um = DEFOCUS_DOF * SETUP.depth_of_field_um
    image = exposure(light, defocus_um, 500.0, generator)[0]
    few = 4 if quick else 10
    contenders = {
        "scikit-image": partial(
            restoration.richardson_lucy, image.numpy(), psf.numpy(), num_iter=few, clip=False
        ),
        "mirrored": partial(richardson_lucy, image, psf, few),
        "periodic": partial(richardson_lucy, image, psf, few, edges="periodic"),
        "accelerated": partial(richardson_lucy, image, psf, few, acceleration="biggs"),
    }
    times = race(contenders, 3 if quick else 5)
    print(f"\nRichardson-Lucy, {size} x {size} px, psf {psf.shape[0]} px, float32; each as 100")
    for name, timing in times.items():
        seconds = timing.wall_ms / 1000 * ITERATIONS / few
        ratio = times["scikit-image"].over_by_clock(timing)
        target = verdict(ratio, 2.5, at_most=False) if name == "mirrored" else f"{ratio:7.2f}"
        spent = times["scikit-image"].over(timing)
        print(f"{name:14}{seconds:8.2f} s {target} times as fast; {spent:.2f} in processor time")
    print_acceleration(image[:512, :512], psf)


def print_acceleration(image: Tensor, psf: Tensor) -> None:
    """Accelerated iterations that reach the deviance of plain ones."""
    blur = Blur.of(psf, image.shape)

    def deviance(iterations: int, acceleration: str) -> float:
        sharp = richardson_lucy(
            image, psf, iterations, background=BACKGROUND, edges="periodic",
            acceleration=acceleration,
        )  # fmt: skip
        model = blur.apply(sharp).clamp(min=0) + BACKGROUND
        terms = model - image + image * (image.clamp(min=1e-9) / model).log()
        return 2 * float(terms.double().mean())

    for plain in (30, 100):
        goal = deviance(plain, "none")
        need = next(n for n in range(2, plain + 1) if deviance(n, "biggs") <= goal)
        print(f"deviance {goal:.4f} of {plain} plain iterations: {need} accelerated ones")


def print_distances() -> None:
    """Gain of deconvolution over the input, by the error of the distance."""
    print(
        f"\nGain in dB over the input by the error of the distance, in depths of field; mean and "
        f"least of {len(OBJECTS)} objects, unknown aberrations of 0.05 waves"
    )
    print("DoF photons input " + "".join(f"{wrong:>13g}" for wrong in WRONG_DOF))
    generator, depth = torch.Generator().manual_seed(1), SETUP.depth_of_field_um
    fields = objects(FIELD_PX)
    for dof in DISTANCES_DOF:
        for photons in PHOTONS:
            gains, inputs = [], []
            for light in fields.values():
                image, truth = exposure(light, dof * depth, photons, generator)
                inputs.append(psnr(image - BACKGROUND, truth))
                gains.append([_gained(image, truth, dof + wrong) for wrong in WRONG_DOF])
            table = np.array(gains) - np.array(inputs)[:, None]
            cells = "".join(
                f"{mean:+7.1f}{low:+6.1f}"
                for mean, low in zip(table.mean(0), table.min(0), strict=True)
            )
            print(f"{dof:3g}{photons:8g}{np.mean(inputs):6.1f} {cells}")


def _gained(image: Tensor, truth: Tensor, dof: float) -> float:
    result = deconvolve(
        image, setup=SETUP, defocus_um=dof * SETUP.depth_of_field_um, background=BACKGROUND
    )
    return psnr(torch.from_numpy(np.asarray(result)) - BACKGROUND, truth)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deconvolution", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="512 x 512 px and few rounds")
    parser.add_argument("--distances", action="store_true", help="what wrong distances cost")
    options = parser.parse_args()
    print(describe_machine())
    if options.distances:
        print_distances()
    else:
        print_speed(quick=options.quick)


if __name__ == "__main__":
    main()
