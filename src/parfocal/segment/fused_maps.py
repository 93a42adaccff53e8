"""The maps of a stack by one measure or several, plane by plane, and how far they range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from parfocal.measures.catalog import CATALOG
from parfocal.segment.pixel_maps import MapPlan, Scores

KEPT_BYTES = 2**28
"""Maps of a stack that are kept, so that they need not be made again."""
LIKE_NOISE = 12.0
"""Range of scores, in standard errors of a window of correlated noise, that noise fills."""


class FusedMaps:
    """The maps of a stack, made plane by plane, and kept where they are small."""

    def __init__(
        self,
        plan: MapPlan,
        scores: dict[str, Scores],
        ranges: dict[str, tuple[float, float]],
        fusion: str,
    ) -> None:
        self.plan, self._scores, self._ranges, self._fusion = plan, scores, ranges, fusion
        self.planes = len(next(iter(scores.values()))[0])
        keep = plan.weights.size * 4 * self.planes <= KEPT_BYTES
        self._kept = [self._make(z) for z in range(self.planes)] if keep else None

    def __iter__(self) -> Iterator[Float[np.ndarray, "cy cx"]]:
        for z in range(self.planes):
            yield self._make(z) if self._kept is None else self._kept[z]

    def extremes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Largest and least score of every cell through z."""
        maps = iter(self)
        best = next(maps).copy()
        least = best.copy()
        for cells in maps:
            np.fmax(best, cells, out=best)
            np.fmin(least, cells, out=least)
        return best, least

    def ceiling(self, values: Sequence[float]) -> float:
        """What noise reaches in the fused map, from what it reaches by each measure."""
        scaled = [float(self.scaled(n, v)) for n, v in zip(self._scores, values, strict=True)]
        return max(scaled) if self._fusion == "max" else float(np.mean(scaled))

    def scaled(self, name: str, value: Any) -> Any:
        """A score as it goes into the fused map: of one measure as it is."""
        if len(self._scores) == 1:
            return value
        low, high = self._ranges[name]
        return (value - low) / (high - low if high > low else 1.0)

    def _make(self, z: int) -> Float[np.ndarray, "cy cx"]:
        total: NDArray[np.float32] | None = None
        for name, lattices in self._scores.items():
            cells = self.scaled(name, self.plan.cells([score[z] for score in lattices]))
            if total is None:
                total = cells
            elif self._fusion == "max":
                total = np.fmax(total, cells)
            else:
                total = total + cells
        made: NDArray[np.float32] = np.asarray(total, dtype=np.float32)
        return made if self._fusion == "max" else made / len(self._scores)


def score_range(lattices: Scores) -> tuple[float, float]:
    """Least and largest score over all windows; NaN where there is none."""
    known = [scores[np.isfinite(scores)] for scores in lattices]
    known = [scores for scores in known if scores.size]
    if not known:
        return np.nan, np.nan
    return float(min(s.min() for s in known)), float(max(s.max() for s in known))


def is_like_noise(name: str, lattices: Scores, plan: MapPlan, unevenness: float) -> bool:
    """Whether the scores range no further than those of windows of even, correlated noise.

    Of measures that do not know the gain, which have no such law, the spread of counts decides.
    """
    gain = CATALOG[name].gain
    if not gain:
        return unevenness <= LIKE_NOISE
    for scores, (rows, columns) in zip(lattices, plan.lattices, strict=True):
        whole = np.outer(rows.sizes == rows.sizes.max(), columns.sizes == columns.sizes.max())
        values = scores[:, whole]
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        low, high = (float(np.quantile(values, share)) for share in (0.001, 0.999))
        error = 1.0 / np.sqrt(float(rows.sizes.max()) * float(columns.sizes.max()))
        if low <= 0 or np.log(high / low) / gain > LIKE_NOISE * error:
            return False
    return True
