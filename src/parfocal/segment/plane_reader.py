"""A stack's planes, each among its neighbours, on the scale that the network knows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from parfocal.core.binning import light_range
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.segment.likely_depth import likely_depth_um
from parfocal.segment.planes import Neighbours, Sampling, as_array, neighbours, plane_facts

PLANES_KEPT = 8
LEAST_CONTRAST = 1e-6


class PlaneReader:
    """Reads planes as the network takes them; a plane is read when it is needed.

    Parameters
    ----------
    stack
        All planes.
    setup
        The optics, or None. Without a depth of field a likely one chooses the neighbours, but the
        network is told that it is unknown.
    is_dark
        Whether structure is darker than what is around it.
    each_side
        Neighbours below, and as many above.

    Examples
    --------
    >>> stack = FocalStack.of(torch.rand(3, 16, 16).numpy())
    >>> planes, facts = PlaneReader(stack, None).read(0)
    >>> planes.shape, facts[0, 4:].tolist()
    (torch.Size([3, 16, 16]), [0.0, 0.0, 1.0, 0.0])
    """

    def __init__(
        self,
        stack: FocalStack,
        setup: OpticalSetup | None,
        *,
        is_dark: bool = False,
        each_side: int = 1,
    ) -> None:
        self.stack = stack
        self.sampling = Sampling.of(setup, z_known=stack.z_known)
        self._sign = -1.0 if is_dark else 1.0
        depth_um = self.sampling.depth_um or likely_depth_um(stack)
        self._beside = neighbours(stack.z_um, depth_um, each_side=each_side)
        self._dark, self._bright = self._range()
        self._plane = lru_cache(maxsize=PLANES_KEPT)(self._grey)

    def read(self, number: int) -> tuple[Float[Tensor, "c y x"], Float[Tensor, "1 f"]]:
        """One plane among its neighbours, and what the network is told of them."""
        beside = self._beside[number]
        numbers = [number if one is None else one for one in beside.numbers]
        numbers.insert(len(numbers) // 2, number)
        planes = [self._plane(plane) for plane in numbers]
        return torch.stack(planes), _facts_of(self.sampling, beside)

    def unbinned(self, chance: Float[Tensor, "v u"]) -> NDArray[np.float32]:
        """Values of the binned pixels for all pixels of a plane, as an array."""
        bin_px, (_, size_y, size_x) = self.sampling.bin_px, self.stack.shape
        if bin_px > 1:
            chance = chance.repeat_interleave(bin_px, 0).repeat_interleave(bin_px, 1)
        return as_array(chance[:size_y, :size_x])

    def binned(self, masks: Float[Tensor, "y x"]) -> Float[Tensor, "v u"]:
        """Mean of a plane's values over the pixels that are made one."""
        bin_px = self.sampling.bin_px
        if bin_px == 1:
            return masks
        return functional.avg_pool2d(masks[None, None], bin_px, ceil_mode=True)[0, 0]

    def _grey(self, number: int) -> Float[Tensor, "v u"]:
        counts = torch.nan_to_num(self.stack.read(number).float(), nan=self._sign * self._dark)
        scale = 1.0 / max(self._bright - self._dark, LEAST_CONTRAST)
        return self.binned((self._sign * counts - self._dark) * scale)

    def _range(self) -> tuple[float, float]:
        """The least and the largest light of the stack, a plane at a time."""
        ends = []
        for number in range(self.stack.shape[0]):
            counts = self.stack.read(number).float()
            if torch.isfinite(counts).all():
                ends.append(light_range(self._sign * counts[None]))
        if not ends:
            return 0.0, 1.0
        lows, highs = zip(*ends, strict=True)
        return min(lows), max(highs)


def _facts_of(sampling: Sampling, beside: Neighbours) -> Float[Tensor, "1 f"]:
    depth_um = sampling.depth_um
    apart = [
        0.0 if number is None else (1.0 if depth_um is None else apart_um / depth_um)
        for number, apart_um in zip(beside.numbers, beside.apart_um, strict=True)
    ]
    return plane_facts(
        pixel=torch.tensor([sampling.pixel or 1.0]), ratio=torch.tensor([sampling.ratio or 0.0]),
        apart=torch.tensor([apart]), optics=torch.tensor([float(sampling.pixel is not None)]),
        z=torch.tensor([float(depth_um is not None)]),
    )  # fmt: skip
