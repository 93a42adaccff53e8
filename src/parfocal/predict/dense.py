"""Signed defocus at every place of a field: the networks run once over it, and not per patch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from parfocal.core.errors import InputError
from parfocal.core.results import DefocusMap, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.nets.pair import BANDS, LEAST_ENERGY, REDUCTION_PX, PairNetwork
from parfocal.nets.pair_inputs import CLEAR_PRIOR, pair_facts
from parfocal.predict.checks import (
    MOST_CLIPPED,
    effective_depth_um,
    refuse_optics,
    require_few_images,
    require_optics,
)
from parfocal.predict.first_image import classes_of_first, of_first
from parfocal.predict.pair_predictor import (
    PairPredictor,
    clear_evidence,
    clear_reason,
)
from parfocal.predict.pairs import resampling
from parfocal.predict.patches import pairs_of
from parfocal.predict.posterior import centre, certainty
from parfocal.predict.tiles import Pixels
from parfocal.predict.windows import Lattice, PairWindows, Survey

CONTEXT = 3
"""Cells beyond which nothing has a say in a feature: the trunk sees 92 px to either side."""
TILE_PX = 2048
"""Pixels of the images along a tile, less what tiles share."""


@torch.inference_mode()
def defocus_map(
    predictor: PairPredictor,
    images: Any,
    *,
    spacing_um: float | None = None,
    setup: OpticalSetup | None = None,
    window_px: float | int | None = None,
    stride_px: float | int | None = None,
    saturation_counts: float | None = None,
    tile_px: int = TILE_PX,
) -> DefocusMap:
    """Map the signed defocus of the first of a few images.

    The convolutions run once over the resampled images, a tile at a time; every window of their
    features is then judged as the predictor judges a patch. A window is normalised by the mean
    and standard deviation around it and not by its own, and its features see what lies beside
    it: away from the borders a map agrees with patches to a fraction of their own error
    (docs/explanations/dense-defocus.md). Single windows carry no interval: that of
    ``PairPredictor.predict`` holds for fields.

    Parameters
    ----------
    predictor
        With networks of ``PairNetwork``.
    images
        (n, y, x) in counts, in order of increasing stage z, or one image (y, x): NumPy, torch,
        dask or xarray. They are read a tile at a time, twice where there are several tiles.
    spacing_um
        Distance of neighbouring images; needed where there is more than one.
    setup
        The optics.
    window_px
        Side of a window, in pixels of the images: the nearest that the networks know, from 64 to
        128 resampled ones, which is the default.
    stride_px
        Distance of windows, likewise: the nearest multiple of 32 resampled pixels, which is the
        default.
    saturation_counts
        Counts at which the camera clips; the largest pixel where unknown.
    tile_px
        Side of a tile, in pixels of the images: memory grows with it, and not with the images.

    Returns
    -------
    A map; NaN in ``defocus_um`` wherever there is no answer.

    Raises
    ------
    ShapeError, InputError
        If the images are no short stack of finite numbers, or a length is out of range.
    MetadataError
        If the optics or the spacing are missing.

    Notes
    -----
    Laws: tiles equal the whole; gain-free, offset-free; images swapped, answer mirrored.

    Examples
    --------
    >>> from parfocal.models import ModelCard
    >>> card = ModelCard(
    ...     name="mine", task="", architecture="parfocal.nets.pair:PairNetwork", settings={},
    ...     recipe={}, commit="", seed=0, data="", seconds=0, machine="", metrics={}, coverage={},
    ...     limits=())
    >>> predictor = PairPredictor([PairNetwork(bins=34, widths=(4, 4, 4, 4, 4))], card)
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)
    >>> answer = defocus_map(predictor, torch.rand(2, 200, 160), spacing_um=3.0, setup=setup)
    >>> answer.defocus_um.shape, answer.window_px, answer.stride_px, answer.offset_px
    ((3, 2), 128.0, (32.0, 32.0), (67.5, 63.5))
    """
    images = images if hasattr(images, "ndim") else as_float_tensor(images)
    shape = (1, *images.shape) if images.ndim == 2 else tuple(images.shape)
    require_few_images(shape, spacing_um)
    setup = require_optics(setup)
    if not all(isinstance(network, PairNetwork) for network in predictor.networks):
        raise InputError(
            f"{predictor.name} has networks that cannot run over a whole image; ask it about "
            "patches, by predict."
        )
    if tile_px < 1:
        raise InputError(f"tile_px is {tile_px}; give the side of a tile in pixels, at least 1.")
    pixels = Pixels(images, resampling(setup), predictor.device)
    lattice = Lattice.of(pixels, window_px, stride_px)
    spacing_um = spacing_um if shape[0] > 1 else None
    refusal = refuse_optics(torch.empty(shape, device="meta"), spacing_um, setup)
    if refusal is not None:
        return lattice.map_of(*refusal)
    tile = max(1, round(tile_px * pixels.share / REDUCTION_PX))
    survey = Survey.of(pixels, tile, saturation_counts)
    if survey.blank_images:
        number = survey.blank_images[0]
        reason = f"image {number} has one grey value only: there is nothing to judge"
        return lattice.map_of(Status.BLANK, reason)
    step = 0.0 if spacing_um is None else spacing_um / effective_depth_um(setup)
    return _Mapping(predictor, setup, lattice, survey, step).run(tile)


@dataclass(frozen=True, eq=False)
class _Look:
    """One pair of images, with the way from the first image to its middle and between the two."""

    numbers: tuple[int, int]
    windows: PairWindows
    shift: float
    distance: float


@dataclass(frozen=True, eq=False)
class _Mapping:
    """Everything that is settled before the networks are asked."""

    predictor: PairPredictor
    setup: OpticalSetup
    lattice: Lattice
    survey: Survey
    step: float

    @cached_property
    def looks(self) -> list[_Look]:
        """Every useful pair."""
        return [
            _Look(
                numbers=(first, second),
                windows=self.survey.pair(first, second, self.lattice.window),
                shift=self.step * (first + second) / 2,
                distance=self.step * (second - first),
            )
            for first, second in pairs_of(self.lattice.pixels.count, self.step)
        ]

    @cached_property
    def classes(self) -> Float[Tensor, " k"]:
        """What the first image's classes stand for, in effective depths of field."""
        span = max(look.shift for look in self.looks)
        return classes_of_first(self.predictor.calibration, span)

    def run(self, tile: int) -> DefocusMap:
        """Ask the networks about every window, in tiles of so many cells."""
        calibration = self.predictor.calibration
        shape = self.lattice.shape
        defocus, sure, beyond = (torch.full(shape, float("nan")) for _ in range(3))
        clear = torch.zeros(len(self.looks), *shape)
        middle = self.classes + max(look.shift for look in self.looks) / 2
        for part in self.lattice.tiles(tile):
            means = torch.zeros(())
            for number, look in enumerate(self.looks):
                shares, clear[(number, *part)] = self._judge(look, part)
                first = of_first(shares, self.classes, look.shift, calibration)
                means = means + first / len(self.looks)
            defocus[part] = centre(means, self.classes) * effective_depth_um(self.setup)
            sure[part] = certainty(means)
            beyond[part] = means[..., middle.abs() > calibration.reach].sum(-1)
        return self._concluded(defocus, sure, beyond > 0.5, clear_evidence(clear.flatten()))

    def _judge(
        self, look: _Look, part: tuple[slice, slice]
    ) -> tuple[Float[Tensor, "v u c"], Float[Tensor, "v u"]]:
        """Mean distribution of the ensemble in some windows, and that they are no fluorescence."""
        lattice, working = self.lattice, self.predictor.working
        block = lattice.block(*part)
        wide = block.grown(CONTEXT, lattice.pixels.rows, lattice.pixels.columns)
        images = [lattice.pixels.resampled(number, wide) for number in look.numbers]
        pair = look.windows.normalise(images, wide, dtype=working.gate.dtype)
        rows = slice(block.top - wide.top, block.bottom - wide.top)
        columns = slice(block.left - wide.left, block.right - wide.left)
        chosen = lattice.corners(*part)
        levels = look.windows.levels[(..., *chosen)].to(pair.device)
        facts = self._facts(look).to(pair.device)
        bins, total = self.predictor.calibration.bins, torch.zeros(())
        for network in cast(list[PairNetwork], working.networks):
            for flipped in (False, True):
                features = network.trunk(pair.flip(1) if flipped else pair)[..., rows, columns]
                shares = _judged(network, features, levels, facts, lattice, flipped)
                if flipped:
                    shares = torch.cat([shares[..., :bins].flip(-1), shares[..., bins:]], -1)
                total = total.to(shares) + shares / (2 * len(working.networks))
        blank = look.windows.is_blank[chosen]
        total = total.cpu()
        total[blank] = torch.tensor([(1 - CLEAR_PRIOR) / bins] * bins + [CLEAR_PRIOR])
        shares = total[..., :bins]
        return shares / shares.sum(-1, keepdim=True).clamp(min=1e-9), total[..., bins]

    def _facts(self, look: _Look) -> Float[Tensor, "1 f"]:
        setup, one = self.setup, torch.ones(1)
        pixel = setup.pixel_um / self.lattice.pixels.share * setup.na / setup.wavelength_um
        ratio = setup.na / setup.immersion_index
        return pair_facts(pixel=one * pixel, spacing=one * look.distance, ratio=one * ratio)

    def _concluded(
        self,
        defocus: Float[Tensor, "v u"],
        sure: Float[Tensor, "v u"],
        is_far: Bool[Tensor, "v u"],
        clear: float,
    ) -> DefocusMap:
        """The map, without what is no answer."""
        calibration, lattice = self.predictor.calibration, self.lattice
        chosen = lattice.corners(slice(0, lattice.shape[0]), slice(0, lattice.shape[1]))
        windows = [look.windows for look in self.looks]
        is_blank = torch.stack([each.is_blank[chosen] for each in windows]).all(0)
        is_clipped = torch.stack([each.clipped[chosen] > MOST_CLIPPED for each in windows]).any(0)
        is_clipped &= ~is_blank
        is_empty = is_blank | is_clipped
        is_unsure = ~is_empty & (sure < calibration.least_certainty)
        is_far = is_far & ~is_empty & ~is_unsure
        found = ~(is_empty | is_unsure | is_far)
        sure = sure.masked_fill(is_empty, float("nan"))
        if clear > calibration.most_clear:
            return lattice.map_of(Status.UNCERTAIN, clear_reason(clear), None, sure)
        faults = {
            Status.UNCERTAIN: (is_unsure, "uncertain"),
            Status.EDGE: (is_far, f"beyond {calibration.reach:g} effective depths of field"),
            Status.SATURATED: (is_clipped, "saturated"),
            Status.BLANK: (is_blank, "blank"),
        }
        counts = {status: int(which.sum()) for status, (which, _) in faults.items()}
        told = [f"{counts[status]} {faults[status][1]}" for status in counts if counts[status]]
        reason = f"{int(found.sum())} of {found.numel()} windows have an answer"
        reason += f" ({', '.join(told)})" if told else ""
        # Where there is none, the commonest fault says why.
        status = Status.FOUND if bool(found.any()) else max(counts, key=lambda each: counts[each])
        return lattice.map_of(status, reason, defocus.masked_fill(~found, float("nan")), sure)


def _judged(
    network: PairNetwork,
    features: Float[Tensor, "1 c y x"],
    levels: Float[Tensor, "k v u"],
    facts: Float[Tensor, "1 f"],
    lattice: Lattice,
    is_swapped: bool,
) -> Float[Tensor, "v u bins"]:
    """What ``PairNetwork.judge`` says of every window of feature maps, as probabilities."""
    wide = features.float()
    means = functional.avg_pool2d(wide, lattice.window, lattice.stride)
    largest = functional.max_pool2d(wide, lattice.window, lattice.stride)
    size_v, size_u = levels.shape[1:]
    if is_swapped:
        levels = levels.reshape(BANDS, 2, size_v, size_u).flip(1).flatten(0, 1)
    told = facts[0, :, None, None].expand(-1, size_v, size_u)
    every = torch.cat([(levels + LEAST_ENERGY).log(), means[0], largest[0], told])
    logits: Tensor = network.head(every.flatten(1).T)
    return logits.softmax(-1).reshape(size_v, size_u, -1)
