"""What a refocusing ensemble says of a whole image, tile by tile and blended."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from parfocal.nets.pair import REDUCTION_PX
from parfocal.nets.refocus_unet import RefocusMaps, RefocusNetwork
from parfocal.optics.nominal import nominal_transfers
from parfocal.refocus.hypotheses import HYPOTHESES_DOF, Levels, refocus_facts, views_of
from parfocal.refocus.tiling import LEAST_PX, Tile, resized
from parfocal.refocus.trust import RefocusCalibration, error_sizes, trust_of

TOLERATED = 0.02
"""Mean difference of a narrow network's answer, in those of the answer from its view."""


COARSE_PX, POOLED_PX = 32, 8
"""Standard deviation of the scale at which light stays where it is, and cells of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Look:
    """What an ensemble says of one image.

    Parameters
    ----------
    sharp, trust
        Counts, and the chance to be nearer to the truth than the input, of each pixel.
    expected
        Sizes of the errors (answer, input) that are expected, in counts; None if not asked for.
    logits
        Over classes of |defocus|, and of what is no fluorescence, of the field.
    gain
        Logarithm of the summed predicted errors, input over answer.
    flux
        Light of the answer over that of the input; NaN where that has none.
    """

    sharp: NDArray[np.float32]
    trust: NDArray[np.float32]
    expected: NDArray[np.float32] | None
    logits: Float[Tensor, " bins"]
    gain: float
    flux: float


class Ensemble:
    """Networks as they work: channels last, in bfloat16 where that answers as float32 does."""

    def __init__(self, networks: Sequence[Any], device: torch.device) -> None:
        self.device = device
        self._networks = networks

    @cached_property
    def working(self) -> list[RefocusNetwork]:
        """Copies that are asked, made when first needed."""
        copies = []
        for network in self._networks:
            quick = copy.deepcopy(network).to(self.device).eval().requires_grad_(False)
            copies.append(cast(RefocusNetwork, quick.to(memory_format=torch.channels_last)))
        return copies

    @cached_property
    def is_narrow(self) -> bool:
        """Whether bfloat16 answers as float32 does, on a probe."""
        if not computes_bfloat16(self.device):
            return False
        dice = torch.Generator().manual_seed(0)
        scene = torch.randn(1, self.working[0].views, 128, 128, generator=dice)
        views = 3 * functional.avg_pool2d(scene, 3, 1, 1).to(self.device)
        facts = torch.zeros(1, 3, device=self.device)
        wide, narrow = (self.ask(views, facts, is_narrow=each).sharp for each in (False, True))
        change = (wide - views[:, 0]).abs().mean().clamp(min=0.1)
        return bool((narrow - wide).abs().mean() < TOLERATED * change)

    def ask(
        self, views: Float[Tensor, "b k y x"], facts: Float[Tensor, "b f"], *, is_narrow: bool
    ) -> RefocusMaps:
        """Mean answer of the networks."""
        views = views.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_narrow):
            answers = [network(views, facts) for network in self.working]
        if len(answers) == 1:
            return cast(RefocusMaps, answers[0])
        return RefocusMaps(*(torch.stack(each).mean(0) for each in zip(*answers, strict=True)))


@dataclass(eq=False)
class _Sums:
    """What is added up over tiles."""

    logits: Tensor
    say: float = 0.0
    errors: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    light: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))

    def add_cells(self, maps: RefocusMaps, tile: Tile) -> None:
        """The tile's own cells say how far the field is."""
        rows, columns = tile.own_cells(REDUCTION_PX)
        weights = maps.weights[0][rows][:, columns].double().clamp(-20, 20).exp()
        logits = maps.logits[0][:, rows][:, :, columns].double()
        self.logits += (logits * weights).sum((1, 2)).cpu()
        self.say += float(weights.sum())

    def add_errors(self, scales: Float[Tensor, "1 2 v u"], weights: Float[Tensor, "y x"]) -> None:
        """Predicted sizes of the errors of answer and input."""
        sizes = error_sizes(scales)
        small = functional.interpolate(weights[None, None], size=sizes.shape[2:], mode="area")
        self.errors += (sizes * small).sum((0, 2, 3)).double().cpu()

    def add_light(self, answer: Tensor, region: Tensor, mine: Tensor) -> None:
        """Light above the floor of answer and input."""
        self.light += torch.stack([(each * mine).double().sum() for each in (answer, region)]).cpu()


def look(
    image: Any,
    tiles: Sequence[Tile],
    levels: Levels,
    setup: OpticalSetup,
    *,
    ensemble: Ensemble,
    calibration: RefocusCalibration,
    with_expected: bool = False,
) -> Look:
    """Ask an ensemble about every tile of an image.

    Parameters
    ----------
    image
        Counts (y, x), read tile by tile.
    tiles, levels
        How it is cut, and what it is normalised by.
    setup
        The optics.
    """
    lines, device = tiles[0].lines, ensemble.device
    shape, work = (lines[0].size_px, lines[1].size_px), (lines[0].work_px, lines[1].work_px)
    sharp, trust = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    expected = np.zeros((2, *shape), np.float32) if with_expected else None
    sums = _Sums(logits=torch.zeros(calibration.bins + 1, dtype=torch.float64))
    pixel_um = setup.pixel_um * lines[0].region_px / lines[0].work_px
    transfers = tile_transfers(setup, pixel_um=pixel_um, size=work, device=device)
    pixel = torch.tensor([pixel_um * setup.na / setup.wavelength_um], device=device)
    ratio = torch.tensor([setup.na / setup.immersion_index], device=device)
    facts = refocus_facts(pixel=pixel, ratio=ratio, noise=levels.noise)
    floor = levels.counts(levels.floor[:, None, None])[0, 0, 0]
    side = levels.spread.sign()  # light that is missing counts as light
    for tile in tiles:
        region = tile.read(image, device=device)
        size = (region.shape[0], region.shape[1])
        views = views_of(resized(region, work)[None], levels, transfers=transfers, pixel=pixel)
        maps = ensemble.ask(views, facts, is_narrow=ensemble.is_narrow)
        kept = with_coarse_light(maps.sharp, views[:, 0])
        answer = resized(levels.counts(kept)[0], size)
        places = _enlarged(trust_of(maps.scales, calibration)[:, None], size)[0]
        weights = tile.weights().to(device)
        mine = tile.part_inside(weights)
        answer, places, region = (tile.part_inside(each) for each in (answer, places, region))
        sums.add_cells(maps, tile)
        sums.add_errors(maps.scales, weights)
        sums.add_light(side * (answer - floor), side * (region - floor), mine)
        sharp[tile.inside] += (answer * mine).cpu().numpy()
        trust[tile.inside] += (places * mine).cpu().numpy()
        if expected is not None:
            sizes = _enlarged(error_sizes(maps.scales), size) * levels.spread.abs()
            for each, found in zip(expected, sizes, strict=True):
                each[tile.inside] += (tile.part_inside(found) * mine).cpu().numpy()
    light_out, light_in = sums.light.tolist()
    return Look(
        sharp=sharp,
        trust=trust,
        expected=expected,
        logits=sums.logits / max(sums.say, 1e-12),
        gain=float((sums.errors[1] / sums.errors[0].clamp(min=1e-12)).log()),
        flux=light_out / light_in if light_in > 0 else math.nan,
    )


def with_coarse_light(
    sharp: Float[Tensor, "b y x"], image: Float[Tensor, "b y x"]
) -> Float[Tensor, "b y x"]:
    """Give an answer the light of its image, place by place, at a scale that blur does not change.

    A network errs in the level of places unlike those of training, such as far from all light.

    Parameters
    ----------
    sharp, image
        Of sides that are multiples of ``POOLED_PX``.

    Notes
    -----
    Laws: offset-free, mirror-free; an answer that is the image, but for its level, becomes it.

    Examples
    --------
    >>> image = torch.rand(1, 64, 64)
    >>> bool(torch.allclose(with_coarse_light(image - 5.0, image), image, atol=1e-4))
    True
    """
    missing = functional.avg_pool2d((image - sharp)[:, None], POOLED_PX)
    reach = 3 * COARSE_PX // POOLED_PX
    line = torch.arange(-reach, reach + 1, device=sharp.device) * (POOLED_PX / COARSE_PX)
    bell = torch.exp(-0.5 * line.square())
    bell = bell / bell.sum()
    for kernel, around in (
        (bell[:, None], (0, 0, reach, reach)),
        (bell[None], (reach, reach, 0, 0)),
    ):
        wide = functional.pad(missing, around, mode="replicate")
        missing = functional.conv2d(wide, kernel[None, None])
    size = (sharp.shape[1], sharp.shape[2])
    return sharp + functional.interpolate(missing, size=size, mode="bilinear")[:, 0]


def _enlarged(maps: Float[Tensor, "1 c v u"], size: tuple[int, int]) -> Float[Tensor, "c y x"]:
    return functional.interpolate(maps, size=size, mode="bilinear")[0]


def tile_transfers(
    setup: OpticalSetup, *, pixel_um: float, size: tuple[int, int], device: torch.device
) -> Float[Tensor, "1 k y kx"]:
    """Transfer functions of the nominal optics at each assumed distance, for tiles of a size.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> where = torch.device("cpu")
    >>> tile_transfers(setup, pixel_um=0.325, size=(256, 288), device=where).shape
    torch.Size([1, 5, 256, 145])
    """
    one = torch.ones(1, device=device)
    small = nominal_transfers(
        na=setup.na * one, index=setup.immersion_index * one, pixel_um=pixel_um * one,
        wavelength_um=setup.wavelength_um * one, defocus_dof=HYPOTHESES_DOF, size_px=LEAST_PX,
    )  # fmt: skip
    if size == (LEAST_PX, LEAST_PX):
        return small
    psfs = torch.fft.fftshift(torch.fft.irfft2(small, s=(LEAST_PX, LEAST_PX)), dim=(-2, -1))
    wide = functional.pad(psfs, (0, size[1] - LEAST_PX, 0, size[0] - LEAST_PX))
    half = LEAST_PX // 2
    real: Tensor = torch.fft.rfft2(wide.roll((-half, -half), (-2, -1))).real
    return real
