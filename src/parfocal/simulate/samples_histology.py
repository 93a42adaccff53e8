"""Thin sections: H&E-like tissue by wavelength, and the same kind of tissue without a stain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.simulate.deposit import deposit_ellipsoids, ellipsoid_volume_um3
from parfocal.simulate.field import Draws, Field
from parfocal.simulate.mosaic import grow_mosaic
from parfocal.simulate.samples_nuclei import bumps
from parfocal.simulate.specimen import PHASE_REFERENCE_NM, Specimen
from parfocal.simulate.textures import smooth_noise

_SECTION_UM = 4.0  # thickness at which the stains below are given


@dataclass(frozen=True, eq=False, kw_only=True)
class Tissue:
    """What a section holds at each pixel, from 0 to about 1, and the nuclei in depth."""

    stroma: Tensor
    fibres: Tensor
    cytoplasm: Tensor
    nuclei_um: Tensor


def stain_density(wavelength_nm: float) -> tuple[float, float]:
    """Relative absorption of haematoxylin and of eosin at a wavelength, 1 at their maxima.

    Two bells for each, fitted by eye to the ratios of red, green and blue absorption that
    [Ruifrok2001]_ gives: haematoxylin is broad around 590 nm, eosin narrow at 525 nm.

    Examples
    --------
    >>> haematoxylin, eosin = stain_density(630.0)
    >>> haematoxylin > 0.6, eosin < 0.1
    (True, True)
    """
    if not wavelength_nm > 0:
        raise InputError(f"wavelength_nm must be positive, but came as {wavelength_nm:g}.")

    def bell(middle: float, width: float) -> float:
        return math.exp(-0.5 * ((wavelength_nm - middle) / width) ** 2)

    haematoxylin = 0.95 * bell(585.0, 60.0) + 0.3 * bell(430.0, 45.0)
    eosin = 0.97 * bell(526.0, 22.0) + 0.25 * bell(490.0, 35.0)
    return haematoxylin, eosin


def histology(
    field: Field, draws: Draws, *, wavelength_nm: float = 550.0, stain: float = 1.0
) -> Specimen:
    """A section of glands in stroma, stained like H&E, as it absorbs at one wavelength.

    The same generator state at 630, 530 and 460 nm gives the three channels of a colour camera.

    Parameters
    ----------
    wavelength_nm
        Where the absorption is wanted.
    stain
        Strength of both stains.
    """
    haematoxylin, eosin = stain_density(wavelength_nm)
    tissue = _grow_tissue(field, draws)
    chromatin = torch.exp(0.35 * smooth_noise(field, draws, size_um=0.9, flat=True))
    pink = 0.75 * tissue.stroma * tissue.fibres + 0.32 * tissue.cytoplasm
    blue = 0.1 * tissue.stroma * tissue.fibres + 0.26 * tissue.cytoplasm
    depth = _spread_over_layers(field)
    absorption = stain * (eosin * pink + haematoxylin * blue) * depth
    absorption = absorption + stain * (0.36 * haematoxylin + 0.1 * eosin) * (
        tissue.nuclei_um * chromatin
    )
    phase = (0.25 * (tissue.stroma * tissue.fibres + tissue.cytoplasm)) * depth
    return _section(field, absorption, phase + 0.1 * tissue.nuclei_um, "histology")


def tissue_section(field: Field, draws: Draws, *, index_step: float = 0.02) -> Specimen:
    """An unstained section: fibres, cells and nuclei as phase, almost no absorption."""
    tissue = _grow_tissue(field, draws)
    depth = _spread_over_layers(field)
    fine = smooth_noise(field, draws, size_um=0.8, flat=True)
    solid = tissue.stroma * tissue.fibres * (1.0 + 0.15 * fine)
    solid = solid + 0.7 * tissue.cytoplasm * (1.0 + 0.2 * fine)
    length = _SECTION_UM * solid * depth + 0.6 * tissue.nuclei_um * (1.0 + 0.2 * fine)
    per_um = 2.0 * math.pi * index_step / (PHASE_REFERENCE_NM * 1e-3)
    return _section(field, 0.01 * length.clamp(min=0.0), per_um * length, "tissue_section")


def _section(field: Field, absorption: Tensor, phase: Tensor, name: str) -> Specimen:
    return Specimen(
        pixel_um=field.pixel_um,
        heights_um=field.heights_um,
        absorption=absorption,
        phase_rad=phase,
        family="sections" if name == "tissue_section" else "histology",
        name=name,
    )


def _spread_over_layers(field: Field) -> Tensor:
    """Share of each layer in what fills the section from top to bottom."""
    weight = torch.ones(field.layers, 1, 1, device=field.device)
    if field.layers > 1:
        weight[0] = weight[-1] = 0.5
    return weight / weight.sum()


def _grow_tissue(field: Field, draws: Draws) -> Tissue:
    """Nests of cells, some around a lumen, in wavy stroma."""
    warp = torch.cat([smooth_noise(field, draws, size_um=25.0, flat=True) for _ in range(2)])
    small = torch.cat([smooth_noise(field, draws, size_um=5.0, flat=True) for _ in range(2)])
    nests = grow_mosaic(field, draws, cell_um=75.0, jitter=0.4, warp_um=9.0 * warp + 1.0 * small)
    size = draws.uniform(len(nests.seeds_um), low=3.0, high=16.0)[nests.cell]
    gland = torch.sigmoid((nests.wall_um - size) * 1.2)
    open_one = (draws.uniform(len(nests.seeds_um)) < 0.35)[nests.cell]
    lumen = torch.sigmoid((9.0 + 2.0 * small[0] - nests.centre_um) * 1.2) * open_one * gland
    cells = grow_mosaic(field, draws, cell_um=11.0, jitter=0.4, warp_um=0.8 * small)
    wall = torch.exp(-((cells.wall_um / 0.6) ** 2))
    fine = smooth_noise(field, draws, size_um=1.5, flat=True)[0]
    cytoplasm = (gland - lumen).clamp(min=0.0) * (0.8 + 0.4 * wall + 0.18 * fine)
    foam = torch.sigmoid(3.0 * (smooth_noise(field, draws, size_um=4.0, flat=True)[0] - 0.9))
    cytoplasm = cytoplasm * (1.0 - 0.6 * foam)
    stroma = (1.0 - gland).clamp(0.0, 1.0)
    fibres, gaps = _fibres(field, draws, warp)
    stroma = stroma * (1.0 - 0.85 * gaps)
    nuclei = _tissue_nuclei(field, draws, cells.seeds_um, gland, lumen)
    return Tissue(
        stroma=stroma,
        fibres=fibres,
        cytoplasm=cytoplasm.clamp(min=0.0),
        nuclei_um=nuclei,
    )


def _fibres(field: Field, draws: Draws, warp: Tensor) -> tuple[Tensor, Tensor]:
    """Wavy bundles of collagen, and the clefts that open between them."""
    y, x = field.centres_um()
    side_y, side_x = field.sides_um
    turn = 2.0 * math.pi
    level = torch.zeros(field.size_y, field.size_x, device=draws.device)
    bend = 9.0 * warp[0] + 6.0 * smooth_noise(field, draws, size_um=12.0, flat=True)[0]
    for spacing, share in ((14.0, 0.3), (5.0, 0.35), (2.2, 0.35)):
        rows, columns = round(side_y / spacing), round(0.4 * side_x / spacing)
        wobble = smooth_noise(field, draws, size_um=3.0 * spacing, flat=True)[0]
        phase = turn * (rows * y / side_y + columns * x / side_x)
        level = level + share * torch.sin(phase + turn * bend / spacing * 0.7 + 2.0 * wobble)
    patchy = smooth_noise(field, draws, size_um=10.0, flat=True)[0]
    strands = smooth_noise(field, draws, size_um=0.9, flat=True)[0]
    gaps = torch.sigmoid(9.0 * (-level - 0.62 + 0.3 * patchy))
    return (0.8 + 0.25 * level + 0.1 * patchy + 0.08 * strands).clamp(min=0.1), gaps


def _tissue_nuclei(
    field: Field, draws: Draws, seeds_um: Tensor, gland: Tensor, lumen: Tensor
) -> Tensor:
    """Length of nucleus in um: round ones in the nests, thin dark ones along the stroma."""
    row = (seeds_um[:, 0] / field.pixel_um).long().clamp(max=field.size_y - 1)
    column = (seeds_um[:, 1] / field.pixel_um).long().clamp(max=field.size_x - 1)
    inside, empty = gland[row, column] > 0.5, lumen[row, column] > 0.3
    kept = (inside | (draws.uniform(len(seeds_um)) < 0.3)) & ~empty
    kept[0] = True
    places, inside = seeds_um[kept], inside[kept]
    count = len(places)
    round_one = torch.tensor([1.9, 2.7, 3.3], device=draws.device)
    thin_one = torch.tensor([1.5, 0.9, 4.6], device=draws.device)
    radii = torch.where(inside[:, None], round_one, thin_one)
    radii = radii * draws.spread(count, 1, middle=1.0, sigma=0.15)
    angle = torch.where(inside, draws.angle(count), 0.4 + draws.normal(count, sd=0.5))
    half = 0.25 * field.thickness_um
    centre = torch.cat((draws.uniform(count, 1, low=-half, high=half), places), 1)
    light = ellipsoid_volume_um3(radii) * draws.spread(count, middle=1.0, sigma=0.25)
    light = light * torch.where(inside, 1.0, 1.3)
    volume = field.blank()
    lobes = bumps(draws, count, 3, sd=0.07)
    deposit_ellipsoids(volume, field, centre, radii, light, angle_rad=angle, lobes=lobes)
    return volume
