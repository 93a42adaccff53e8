"""Numbers as a reader wants them: as many digits as the sampling supports, with their unit."""

from __future__ import annotations

import math

from parfocal.evaluate.fields import FieldRecord


def decimals_for(step: float | None) -> int:
    """Decimals that resolve a twentieth of a step.

    Examples
    --------
    >>> decimals_for(5.0), decimals_for(0.3), decimals_for(0.05)
    (1, 2, 3)
    """
    if step is None or not math.isfinite(step) or step <= 0:
        return 2
    return min(6, max(0, math.ceil(-math.log10(step / 20.0))))


def position_text(record: FieldRecord, *, with_unit: bool = False) -> str:
    """Best focus, or a dash without an answer."""
    if record.position is None:
        return "-"
    digits = decimals_for(record.z_step_um if record.z_known else 1.0)
    if not with_unit:
        return f"{record.position:.{digits}f}"
    value = f"{record.position:.{digits}f}"
    return f"{value} um" if record.z_known else f"plane {value}"


def interval_text(record: FieldRecord) -> str:
    """The 90 % interval, or a dash without an answer."""
    if record.interval is None:
        return "-"
    digits = decimals_for(record.z_step_um if record.z_known else 1.0)
    low, high = record.interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def note_text(record: FieldRecord) -> str:
    """What a reader must know beside the numbers: why there is none, or what to check."""
    advice = record.judgement.advice
    if record.estimate.found:
        return advice
    reason = record.estimate.reason.rstrip(".")
    said = not advice or advice.split()[0].lower() in reason.lower().split()
    return reason if said else f"{reason}. {advice}"
