"""How the networks' own doubt becomes an interval that holds, and when there is no answer."""

from __future__ import annotations

from bisect import bisect

from pydantic import BaseModel, ConfigDict, Field

NORMAL_90 = 1.645
"""Standard deviations to either side that hold 90 % of a normal variable."""


class Calibration(BaseModel):
    """How the ensemble's own doubt becomes an interval that holds, and when it declines.

    Parameters
    ----------
    widen
        The interval is the estimate +- widen * sqrt(spread^2 + floor^2), in effective depths
        of field.
    floor
        Least standard deviation.
    least_certainty
        Certainty of the field below which there is no answer.
    least_patch_certainty
        Certainty of a single patch from which it counts as certain; None where it is that of the
        field.
    reach
        Largest defocus of an answer, in effective depths of field: beyond, only "far".
    signal_steps, fill_steps
        Where ``signal_to_noise`` and ``filled_share`` part fields into groups.
    widen_by
        ``widen`` of each group, by signal, then by filling; empty where all are alike.
    most_clear
        Evidence, in [-1, 1] (``clear_evidence``), above which the field is no fluorescence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int = 33
    classes_reach: float = 8.0
    widen: float = Field(default=NORMAL_90, gt=0)
    floor: float = Field(default=0.2, ge=0)
    least_certainty: float = 0.1
    least_patch_certainty: float | None = None
    reach: float = 7.0
    most_clear: float = 0.0
    signal_steps: tuple[float, ...] = ()
    fill_steps: tuple[float, ...] = ()
    widen_by: tuple[tuple[float, ...], ...] = ()

    def group_of(self, signal: float, fill: float) -> tuple[int, int]:
        """Group of a field by its signal and by how much of it is filled.

        Examples
        --------
        >>> Calibration(signal_steps=(2.0, 5.0), fill_steps=(0.3,)).group_of(3.0, 0.1)
        (1, 0)
        """
        return bisect(self.signal_steps, signal), bisect(self.fill_steps, fill)

    def widen_of(self, group: tuple[int, int]) -> float:
        """How much wider than its own doubt the interval of a group is."""
        return self.widen_by[group[0]][group[1]] if self.widen_by else self.widen
