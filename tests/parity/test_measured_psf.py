"""Simulated planes and focus curves against beads that were measured."""

from __future__ import annotations

import pytest

from benchmarks.measured_curves import brenner_curve, shape_of
from benchmarks.measured_psf import BEADS, FITS, fit_some_planes, misses, read_bead, widths

STEPS = (60, 20)  # enough for each bead


def _compared(row, folder, name):
    """Measured and simulated planes, less background, and their z and pixel."""
    bead = BEADS[row]
    counts, z_um = read_bead(bead, folder)
    fit = fit_some_planes(bead, folder, **FITS[name] | {"steps": STEPS[row]})
    return fit, counts - fit.background, (fit.psf - fit.background).numpy(), z_um


@pytest.mark.parametrize(("row", "lateral", "axial"), [(0, 0.22, 0.32), (1, 0.12, 0.05)])
def test_a_measured_bead_is_nearly_what_its_optics_predict(shared_data, row, lateral, axial):
    """Without aberrations; the measured spots are wider."""
    _, measured, planes, z_um = _compared(row, shared_data / "psf", "nominal")
    pixel_um = BEADS[row].setup.pixel_um
    simulated, truth = widths(planes, z_um, pixel_um), widths(measured, z_um, pixel_um)
    assert simulated[0] == pytest.approx(truth[0], rel=lateral)
    assert simulated[1] == pytest.approx(truth[1], rel=axial)


@pytest.mark.parametrize(("row", "most", "power"), [(0, 0.08, 0.01), (1, 0.1, 0.03)])
def test_planes_that_were_held_out_follow_from_aberrations_and_a_bead(
    shared_data, row, most, power
):
    """Fitted to every second or fourth plane, judged by the others."""
    bead = BEADS[row]
    fit, measured, planes, z_um = _compared(row, shared_data / "psf", bead.best)
    pixel_um = bead.setup.pixel_um
    assert widths(planes, z_um, pixel_um) == pytest.approx(
        widths(measured, z_um, pixel_um), rel=0.06
    )
    axis, left = misses(measured, planes, bead.held_out(len(z_um)))
    assert axis < most
    assert left < power
    assert 0.0 < fit.bead_um < 0.6
    assert fit.aberrations.rms_waves < 0.1
    measured_shape, shape = (shape_of(z_um, brenner_curve(stack)) for stack in (measured, planes))
    assert shape.width_um == pytest.approx(measured_shape.width_um, rel=0.08)
