"""What a network shows of one image on other surfaces, tile by tile and blended."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from parfocal.core.setup import OpticalSetup
from parfocal.nets.fast import computes_bfloat16
from parfocal.nets.surface_unet import Emission, SurfaceMaps, SurfaceNetwork, Told, seen
from parfocal.optics.round_pupil import round_transfers
from parfocal.refocus.height_copies import (
    CUES,
    HEIGHTS_DOF,
    hat,
    height_cues,
    levels_between,
    matched,
    section_share,
    surface_facts,
    taken_out,
)
from parfocal.refocus.hypotheses import Levels
from parfocal.refocus.surface_trust import (
    SurfaceCalibration,
    surface_trust,
    surface_verdict_facts,
)
from parfocal.refocus.tiling import Tile, resized
from parfocal.refocus.trust import error_sizes

TOLERATED = 0.02
"""Mean difference of a narrow network's light, in the mean of the light; and of its answer, in
those of the answer from the image."""
KEPT = 64
"""Sets of transfer functions that are kept from one image to the next."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """One image on one surface.

    Parameters
    ----------
    image, trust
        Counts, and the chance to be nearer to the truth there than the input is, of each pixel.
    expected
        Sizes of the errors (answer, input) that are expected, in counts; None if not asked for.
    gain
        Logarithm of the summed predicted errors, input over answer.
    error
        Mean predicted error of the answer, in standard deviations of the image.
    flux
        Light above the floor, of the answer over that of the input; NaN where that has none.
    """

    image: NDArray[np.float32]
    trust: NDArray[np.float32]
    expected: NDArray[np.float32] | None
    gain: float
    error: float
    flux: float

    @property
    def facts(self) -> tuple[float, float, float]:
        """What a verdict is made of."""
        return surface_verdict_facts(self.gain, self.error, self.flux)


class _Sheet:
    """What is put together of one surface."""

    def __init__(self, shape: tuple[int, int], with_expected: bool) -> None:
        self.image, self.trust = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.expected = np.zeros((2, *shape), np.float32) if with_expected else None
        self.errors = torch.zeros(2, dtype=torch.float64)
        self.light = torch.zeros(2, dtype=torch.float64)
        self.say = 0.0

    def shown(self) -> Shown:
        light_out, light_in = self.light.tolist()
        return Shown(
            image=self.image,
            trust=self.trust,
            expected=self.expected,
            gain=float((self.errors[1] / self.errors[0].clamp(min=1e-12)).log()),
            error=float(self.errors[0]) / max(self.say, 1e-12),
            flux=light_out / light_in if light_in > 0 else math.nan,
        )


class SurfaceLooker:
    """A network as it works, and the transfer functions that it was asked with.

    Parameters
    ----------
    networks
        One network.
    device
        Where it works.
    """

    def __init__(self, networks: Sequence[Any], device: torch.device) -> None:
        self.device = device
        self.networks = networks
        self._kept: dict[tuple[Any, ...], Tensor] = {}

    @cached_property
    def working(self) -> SurfaceNetwork:
        """A copy that is asked, made when first needed."""
        quick = copy.deepcopy(self.networks[0]).to(self.device).eval().requires_grad_(False)
        return cast(SurfaceNetwork, quick.to(memory_format=torch.channels_last))

    @cached_property
    def is_narrow(self) -> bool:
        """Whether bfloat16 answers as float32 does, on a probe."""
        if not computes_bfloat16(self.device):
            return False
        dice = torch.Generator().manual_seed(0)
        scene = torch.randn(1, 1, 128, 128, generator=dice)
        image = 3 * functional.avg_pool2d(scene, 3, 1, 1)[:, 0].to(self.device)
        clear = image.clamp(min=0.0)[:, None].expand(-1, self.working.heights, -1, -1)
        blank = (torch.zeros(1, CUES, 16, 16), torch.zeros(1, 4))
        told = Told(image, clear, 0 * clear, *(each.to(self.device) for each in blank))
        lights, answers = [], []
        for is_narrow in (False, True):
            found = self._find(told, is_narrow=is_narrow)
            mixed = found.light.sum(1)
            maps = self._show(found, mixed, image, 0 * image, is_section=False, is_narrow=is_narrow)
            lights.append(found.light)
            answers.append(maps.shown)
        change = (answers[0] - image).abs().mean().clamp(min=0.1)
        return bool(
            (lights[1] - lights[0]).abs().mean() < TOLERATED * lights[0].mean()
            and (answers[1] - answers[0]).abs().mean() < TOLERATED * change
        )

    def _find(self, told: Told, *, is_narrow: bool) -> Emission:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_narrow):
            return self.working.find(told)

    def _show(
        self, found: Emission, mixed: Tensor, image: Tensor, heights: Tensor, *,
        is_section: bool, is_narrow: bool,
    ) -> SurfaceMaps:  # fmt: skip
        kind = torch.full((1,), float(is_section), device=self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_narrow):
            return self.working.show(found, mixed, image, heights, kind)

    @torch.inference_mode()
    def look(
        self,
        image: Any,
        surfaces_dof: Sequence[NDArray[np.float32] | float],
        *,
        tiles: Sequence[Tile],
        levels: Levels,
        setup: OpticalSetup,
        told: float,
        is_section: bool,
        calibration: SurfaceCalibration,
        with_expected: bool = False,
    ) -> list[Shown]:
        """Show an image on every surface; what does not depend on the surface is done once a tile.

        Parameters
        ----------
        image
            Counts (y, x), read tile by tile.
        surfaces_dof
            Heights above the image's plane in depths of field: a number, or (y, x).
        tiles, levels
            How the image is cut, and what it is normalised by.
        setup, told
            The optics, and their spherical aberration in waves RMS.
        is_section
            Whether the light from near the surface alone is asked for.
        """
        lines = tiles[0].lines
        sheets = [_Sheet((lines[0].size_px, lines[1].size_px), with_expected) for _ in surfaces_dof]
        pixel_um = setup.pixel_um * lines[0].region_px / lines[0].work_px
        optics = _Optics(self, setup, pixel_um, told, (lines[0].work_px, lines[1].work_px))
        facts = optics.facts(levels)
        floor = float(levels.counts(levels.floor[:, None, None]))
        for tile in tiles:
            region = tile.read(image, device=self.device)
            small = levels.normalised(resized(region, optics.size)[None])
            transfers = optics.transfers(0.0)
            clear, fits = taken_out(
                levels.counts(small), levels, transfers=transfers, pixel=optics.pixel
            )
            alike = matched(small, levels, transfers=transfers)
            told_here = Told(small, clear, alike, height_cues(fits), facts)
            found = self._find(told_here, is_narrow=self.is_narrow)
            light = torch.fft.rfft2(found.light)
            for sheet, surface in zip(sheets, surfaces_dof, strict=True):
                heights = _heights(surface, tile, optics.size, device=self.device)
                mixed = optics.seen(light, heights, is_section=is_section)
                mixed = mixed + levels.floor[:, None, None]
                maps = self._show(
                    found, mixed, small, heights, is_section=is_section, is_narrow=self.is_narrow
                )
                if is_section:  # hardly any light is left, and none is darker than the dark
                    lit = maps.shown.maximum(levels.floor[:, None, None])
                    maps = maps._replace(shown=lit)
                self._add(sheet, maps, tile, region, levels, floor, calibration)
        return [sheet.shown() for sheet in sheets]

    def _add(  # noqa: PLR0917
        self,
        sheet: _Sheet,
        maps: SurfaceMaps,
        tile: Tile,
        region: Tensor,
        levels: Levels,
        floor: float,
        calibration: SurfaceCalibration,
    ) -> None:
        """Put one tile's answer where it belongs."""
        size = (region.shape[0], region.shape[1])
        weights = tile.weights().to(self.device)
        mine = tile.part_inside(weights)
        answer = tile.part_inside(resized(levels.counts(maps.shown)[0], size))
        places = tile.part_inside(
            _enlarged(surface_trust(maps.scales, calibration)[:, None], size)[0]
        )
        sheet.image[tile.inside] += (answer * mine).cpu().numpy()
        sheet.trust[tile.inside] += (places * mine).cpu().numpy()
        sizes = error_sizes(maps.scales)
        small = functional.interpolate(weights[None, None], size=sizes.shape[2:], mode="area")
        sheet.errors += (sizes * small).sum((0, 2, 3)).double().cpu()
        sheet.say += float(small.sum())
        light = [((each - floor) * mine).double().sum() for each in
                 (answer, tile.part_inside(region))]  # fmt: skip
        sheet.light += torch.stack(light).cpu()
        if sheet.expected is not None:
            for each, found in zip(
                sheet.expected, _enlarged(sizes, size) * levels.spread, strict=True
            ):
                each[tile.inside] += (tile.part_inside(found) * mine).cpu().numpy()

    def kept(self, key: tuple[Any, ...], setup: OpticalSetup) -> Tensor:
        """Transfer functions from each assumed height to a plane, computed when first needed."""
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            pixel_um, told, size, level = key[1:]
            one = torch.ones(1, device=self.device)
            heights = torch.tensor(HEIGHTS_DOF, device=self.device)
            self._kept[key] = round_transfers(
                na=setup.na * one, index=setup.immersion_index * one, pixel_um=pixel_um * one,
                wavelength_um=setup.wavelength_um * one, spherical_waves=told * one,
                z_um=(level - heights)[None] * setup.depth_of_field_um, size_px=size,
            )  # fmt: skip
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class _Optics:
    """The optics of one image as the network knows them."""

    looker: SurfaceLooker
    setup: OpticalSetup
    pixel_um: float
    told: float
    size: tuple[int, int]

    @property
    def pixel(self) -> Float[Tensor, " b"]:
        value = self.pixel_um * self.setup.na / self.setup.wavelength_um
        return torch.tensor([value], device=self.looker.device)

    def transfers(self, level_dof: float) -> Tensor:
        key = (self.setup, self.pixel_um, self.told, self.size, round(level_dof, 4))
        return self.looker.kept(key, self.setup)

    def facts(self, levels: Levels) -> Tensor:
        one = torch.ones(1, device=self.looker.device)
        return surface_facts(
            pixel=self.pixel, ratio=self.setup.na / self.setup.immersion_index * one,
            noise=levels.noise, spherical=self.told * one,
        )  # fmt: skip

    def seen(
        self, light: Tensor, heights: Float[Tensor, "1 y x"], *, is_section: bool
    ) -> Float[Tensor, "1 y x"]:
        """What is seen of light on a surface; on an uneven one between planes."""
        low, high = (float(end) for end in heights.aminmax())
        if high - low < 1e-3:
            return self._plane(light, (low + high) / 2, is_section=is_section)
        total = torch.zeros_like(heights)
        for level in levels_between(low, high):
            say = hat(heights, level[None].to(heights))
            total.addcmul_(self._plane(light, float(level), is_section=is_section), say)
        return total

    def _plane(
        self, light: Tensor, level_dof: float, *, is_section: bool
    ) -> Float[Tensor, "1 y x"]:
        transfers = self.transfers(level_dof)
        if is_section:
            share = section_share(torch.tensor([level_dof], device=transfers.device))
            transfers = transfers * share[0, :, None, None]
        return seen(light, transfers[:, None], self.size)[:, 0]


def _heights(
    surface: NDArray[np.float32] | float, tile: Tile, size: tuple[int, int], *, device: torch.device
) -> Float[Tensor, "1 y x"]:
    """Heights of a tile's working pixels."""
    if isinstance(surface, float):
        return torch.full((1, *size), surface, device=device)
    region = tile.read(surface, device=device)[None, None]
    if tuple(region.shape[2:]) == size:
        return region[0]
    return functional.interpolate(region, size=size, mode="bilinear", align_corners=False)[0]


def _enlarged(maps: Float[Tensor, "1 c v u"], size: tuple[int, int]) -> Float[Tensor, "c y x"]:
    return functional.interpolate(maps, size=size, mode="bilinear")[0]
