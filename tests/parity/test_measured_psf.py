"""Simulated planes against beads that were measured."""

from __future__ import annotations

import pytest
import torch

from benchmarks.measured_psf import BEADS, read_bead, widths
from parfocal.optics import fit_aberrations


@pytest.mark.parametrize(
    ("row", "left", "lateral", "axial"), [(0, 0.15, 0.15, 0.4), (1, 0.08, 0.15, 0.2)]
)
def test_a_measured_bead_is_what_its_optics_predict(shared_data, row, left, lateral, axial):
    """Without aberrations; the measured spots are about a tenth wider."""
    bead = BEADS[row]
    counts, z_um = read_bead(bead, shared_data / "psf")
    chosen = slice(8, 18) if row else slice(6, 19)
    counts, z_um = counts[chosen, 16:-16, 16:-16], z_um[chosen]
    fit = fit_aberrations(torch.from_numpy(counts), bead.setup, z_um, terms=[], steps=6)
    assert fit.unexplained < left
    simulated = widths((fit.psf - fit.background).numpy(), z_um, bead.setup.pixel_um)
    measured = widths(counts - fit.background, z_um, bead.setup.pixel_um)
    assert simulated[0] == pytest.approx(measured[0], rel=lateral)
    assert simulated[1] == pytest.approx(measured[1], rel=axial)
