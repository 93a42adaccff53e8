"""Print how well a focus surface knows a tilted, bumpy field from a few measured points.

Run: ``python -m benchmarks.focus_surface [FIELDS]`` (default 24; minutes). The fields are those
of ``tests/fabricate/fields.py`` with seeds that the tests do not use: 12 x 12 positions 1 mm apart,
tilted by up to 3 um/mm, six bumps of about 2 um, 1.5 to 4 mm wide. A point is measured with a
standard error of 0.1 to 0.4 um; where outliers are planted, 8 % of the points are 8 to 30 um off.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.interpolate import RBFInterpolator

from parfocal.drive.surface import FocusPoint, FocusSurface
from tests.fabricate.fields import ACROSS, bumpy_field, grid_um, measured

COUNTS = (4, 9, 16, 25, 36)
TOLERANCE_UM = 1.0
PLACES = grid_um()


def lattice(count: int) -> list[int]:
    """Places of a square lattice of ``count`` points over the field."""
    across = round(count**0.5)
    axis = np.round(np.linspace(0, ACROSS - 1, 2 * across + 1)[1::2]).astype(int)
    return [int(row * ACROSS + column) for row in axis for column in axis]


def spline(points: list[FocusPoint]) -> np.ndarray:
    """A thin-plate spline through all points (a plane through three)."""
    places = np.array([[point.x_um, point.y_um] for point in points]) / 1000
    z_um = np.array([point.z_um for point in points])
    return RBFInterpolator(places, z_um, kernel="thin_plate_spline")(PLACES / 1000)


def plane(points: list[FocusPoint]) -> np.ndarray:
    """The least-squares plane."""
    rows = np.array([[1.0, point.x_um / 1000, point.y_um / 1000] for point in points])
    trend = np.linalg.lstsq(rows, np.array([point.z_um for point in points]), rcond=None)[0]
    return np.column_stack([np.ones(len(PLACES)), PLACES / 1000]) @ trend


def chosen(points: list[FocusPoint]) -> tuple[list[int], int | None]:
    """Places in the order of ``next_position`` from a corner, and when it was good enough."""
    order, enough = [0], None
    while len(order) < max(COUNTS):
        surface = FocusSurface(points[place] for place in order)
        if enough is None and surface.good_enough(TOLERANCE_UM, at=PLACES):
            enough = len(order)
        order.append(surface.next_position(PLACES))
    return order, enough


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Root-mean-square error, and share of the field within the tolerance."""
    off = found - truth
    return float(np.sqrt(np.mean(off**2))), float(np.mean(np.abs(off) <= TOLERANCE_UM))


def study(fields: int, outlier_share: float) -> tuple[dict, list]:
    """Errors of every method by count of points, and when it was good enough."""
    told: dict[tuple[int, str], list] = {}
    stops = []
    for seed in range(1000, 1000 + fields):
        height = bumpy_field(seed)
        truth = height(*PLACES.T)
        points, _ = measured(height, PLACES, seed, outlier_share=outlier_share)
        order, enough = chosen(points)
        for count in COUNTS:
            for way, places in (("chosen", order[:count]), ("lattice", lattice(count))):
                some = [points[place] for place in places]
                answer = FocusSurface(some).predict(*PLACES.T)
                held = np.mean((answer.low_um <= truth) & (truth <= answer.high_um))
                half = np.mean(answer.high_um - answer.low_um) / 2
                row = (*errors(answer.z_um, truth), held, half)
                told.setdefault((count, f"surface, {way}"), []).append(row)
            some = [points[place] for place in lattice(count)]
            for name, method in (("spline", spline), ("plane", plane)):
                row = (*errors(method(some), truth), np.nan, np.nan)
                told.setdefault((count, f"{name}, lattice"), []).append(row)
        if enough is not None:
            answer = FocusSurface(points[place] for place in order[:enough]).predict(*PLACES.T)
            stops.append((enough, errors(answer.z_um, truth)[1]))
    return told, stops


def main() -> int:
    """Print a table without and one with outliers."""
    fields = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    for share in (0.0, 0.08):
        told, stops = study(fields, share)
        print(f"\n{fields} fields, {share:.0%} outliers:\n")
        print("| points | method | median RMS error (um) | worst RMS (um) |"
              f" within {TOLERANCE_UM:g} um | 90 % interval holds | half width (um) |")  # fmt: skip
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for (count, name), rows in told.items():
            table = np.array(rows)
            rms, within, held, half = table.T
            interval = (
                "| | |" if np.isnan(held).all() else f"| {held.mean():.1%} | {half.mean():.2f} |"
            )
            print(f"| {count} | {name} | {np.median(rms):.2f} | {rms.max():.2f} |"
                  f" {within.mean():.1%} {interval}")  # fmt: skip
        if stops:
            counts, within = np.array(stops).T
            print(
                f"\n`good_enough({TOLERANCE_UM:g})` by {max(COUNTS)} chosen points in "
                f"{len(stops)} of {fields} fields, after {np.median(counts):.0f} points (median; "
                f"{counts.min():.0f} to {counts.max():.0f}); {within.mean():.1%} of the field was "
                f"then within {TOLERANCE_UM:g} um (worst field {within.min():.1%})."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
