"""One focus run of an acquisition: near the prediction first, then everywhere."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel

from parfocal.core.results import Status
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.pymmcore.connect import CoreMicroscope
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search


def look(
    scope: CoreMicroscope, *, search: Search, limits: Limits, near_um: float | None, **how: Any
) -> list[FocusReport]:
    """Search focus in a short range about the stage; if it is not there, as ``search`` says.

    Parameters
    ----------
    limits
        The envelope; its budget is for both together.
    near_um
        The short range, for searches that have a ``range_um``; None omits it.
    how
        As in ``autofocus``.

    Returns
    -------
    One report or two; the last one counts.
    """
    searches = [search]
    if near_um is not None and isinstance(search, BaseModel) and hasattr(search, "range_um"):
        near = search.model_copy(update={"range_um": near_um})
        searches = [near, search] if (search.range_um or math.inf) > near_um else searches
    reports: list[FocusReport] = []
    for one in searches:
        rest = _rest(limits, reports)
        if rest is None:
            break
        reports.append(autofocus(scope, search=one, limits=rest, **how))
        if reports[-1].found or reports[-1].status == Status.FAILED:
            break
    return reports


def _rest(limits: Limits, spent: list[FocusReport]) -> Limits | None:
    """The limits with what is left of their budget; None if nothing is."""
    costs = {
        "max_images": sum(report.images for report in spent),
        "max_exposure_ms": sum(report.exposure_ms for report in spent),
        "max_seconds": sum(report.seconds for report in spent),
    }
    left = {
        name: getattr(limits, name) - cost
        for name, cost in costs.items()
        if getattr(limits, name) is not None
    }
    return limits.model_copy(update=left) if all(rest > 0 for rest in left.values()) else None
