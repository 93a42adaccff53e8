"""Random textures that wrap around: how chromatin, cytoplasm and tissue vary."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.simulate.field import Draws, Field


def smooth_noise(
    field: Field, draws: Draws, *, size_um: float, flat: bool = False
) -> Float[Tensor, "layer y x"]:
    """Gaussian noise of unit variance whose grains are about ``size_um`` across.

    The correlation along each axis is exp(-(d / size)^2); ``flat`` gives one layer. Grains finer
    than the pixels become white noise, weakened as an average over pixels is.

    Notes
    -----
    Laws: wraps around in y and x, unit variance where the grains span pixels.
    """
    layers = 1 if flat else field.layers
    shape = (layers, field.size_y, field.size_x // 2 + 1)
    spectrum = torch.complex(draws.normal(*shape), draws.normal(*shape))
    device = spectrum.device
    along_y = torch.fft.fftfreq(field.size_y, field.pixel_um, device=device)
    along_x = torch.fft.rfftfreq(field.size_x, field.pixel_um, device=device)
    sharpness = -0.5 * (math.pi * size_um) ** 2
    weight_y, weight_x = torch.exp(sharpness * along_y**2), torch.exp(sharpness * along_x**2)
    if layers > 1:
        spectrum = _mix_layers(field, size_um, device) @ spectrum.flatten(1)
        spectrum = spectrum.view(shape)
    spectrum = spectrum * (weight_y[:, None] * weight_x)
    spectrum[..., 0] *= math.sqrt(2.0)  # irfft drops half of this column
    noise: Tensor = torch.fft.irfft2(spectrum, s=(field.size_y, field.size_x), norm="forward")
    full_x = torch.fft.fftfreq(field.size_x, field.pixel_um, device=device)
    power = weight_y.square().sum() * torch.exp(2.0 * sharpness * full_x**2).sum()
    return noise.mul_(torch.rsqrt(2.0 * power) * min(1.0, size_um / field.pixel_um))


def _mix_layers(field: Field, size_um: float, device: torch.device) -> Tensor:
    """Weights that give white layers the wanted correlation in z, each row of unit norm."""
    heights = field.heights_um.to(device)
    apart = heights[:, None] - heights
    weights = torch.exp(-2.0 * (apart / size_um) ** 2)
    weights = weights / weights.square().sum(1, keepdim=True).sqrt()
    return weights.to(torch.complex64)
