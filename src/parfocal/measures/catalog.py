"""The catalogue of focus measures: one readable row each, imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal, cast

from torch import Tensor

from parfocal.core.errors import UnknownNameError
from parfocal.measures.local import LocalMeasure


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One focus measure: where it lives, the laws it keeps, and where it comes from.

    ``gain`` is the power g in score(a * image) = a^g * score(image), or None where no power law
    holds. ``local`` addresses the measure's LocalMeasure where it is a function of window means.
    ``blur_monotonic`` states that more Gaussian blur never scores sharper.
    """

    name: str
    path: str
    kind: Literal["gradient", "statistical", "wavelet", "spectral"]
    gain: float | None
    offset_free: bool
    mirror_free: bool = True
    blur_monotonic: bool = True
    local: str | None = None
    needs_setup: bool = False
    least_px: int = 1
    formula: str
    sources: tuple[str, ...]
    parity: str

    @property
    def function(self) -> Callable[..., Tensor]:
        """The kernel itself: images, then options by keyword, to one score per image."""
        return cast(Callable[..., Tensor], _load(self.path))

    @property
    def local_measure(self) -> LocalMeasure | None:
        """Features and finish, where window means are all that the measure needs."""
        return None if self.local is None else cast(LocalMeasure, _load(self.local))

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws of the measure, in the words of its docstring."""
        gain = {None: "no gain power law", 0.0: "gain-free", 1.0: "gain-linear"}
        return (
            "offset-free" if self.offset_free else "not offset-free",
            gain.get(self.gain, "gain-squared"),
            "mirror-free" if self.mirror_free else "not mirror-free",
            "batch-free",
            "blur-monotonic" if self.blur_monotonic else "not blur-monotonic",
        )


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)


_ROWS = (
    Measure(
        name="brenner",
        path="parfocal.measures.gradient:brenner",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.gradient:BRENNER",
        least_px=3,
        formula="mean((I(x+2) - I(x))^2)",
        sources=("Brenner1976", "Firestone1991"),
        parity="NumPy loop",
    ),
    Measure(
        name="tenengrad",
        path="parfocal.measures.gradient:tenengrad",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.gradient:TENENGRAD",
        least_px=3,
        formula="mean(Gx^2 + Gy^2), Sobel",
        sources=("Tenenbaum1970", "Krotkov1988"),
        parity="scipy.ndimage.sobel, skimage.filters.sobel",
    ),
    Measure(
        name="tenengrad_variance",
        path="parfocal.measures.gradient:tenengrad_variance",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.gradient:TENENGRAD_VARIANCE",
        least_px=3,
        formula="var(sqrt(Gx^2 + Gy^2)), Sobel",
        sources=("PechPacheco2000",),
        parity="scipy.ndimage.sobel",
    ),
    Measure(
        name="smd",
        path="parfocal.measures.gradient:smd",
        kind="gradient",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.gradient:SMD",
        least_px=2,
        formula="mean(abs(I(x+1) - I(x))) + mean(abs(I(y+1) - I(y)))",
        sources=("Jarvis1976", "Li2023"),
        parity="NumPy loop",
    ),
    Measure(
        name="smd2",
        path="parfocal.measures.gradient:smd2",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        mirror_free=False,
        local="parfocal.measures.gradient:SMD2",
        least_px=2,
        formula="mean(abs(I(x+1) - I(x)) * abs(I(y+1) - I(y)))",
        sources=("Li2023",),
        parity="NumPy loop",
    ),
    Measure(
        name="steerable",
        path="parfocal.measures.gradient:steerable",
        kind="gradient",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.gradient:STEERABLE",
        least_px=7,
        formula="mean(max over t of cos t * Gx + sin t * Gy), derivatives of a Gaussian",
        sources=("Freeman1991", "Minhas2009"),
        parity="scipy.ndimage.gaussian_filter",
    ),
    Measure(
        name="laplacian",
        path="parfocal.measures.laplacian:laplacian",
        kind="gradient",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.laplacian:LAPLACIAN",
        least_px=3,
        formula="mean(abs(Ixx + Iyy))",
        sources=("Pertuz2013",),
        parity="scipy.ndimage.laplace, skimage.filters.laplace",
    ),
    Measure(
        name="energy_of_laplacian",
        path="parfocal.measures.laplacian:energy_of_laplacian",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.laplacian:ENERGY_OF_LAPLACIAN",
        least_px=3,
        formula="mean((Ixx + Iyy)^2)",
        sources=("Subbarao1993",),
        parity="scipy.ndimage.laplace",
    ),
    Measure(
        name="modified_laplacian",
        path="parfocal.measures.laplacian:modified_laplacian",
        kind="gradient",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.laplacian:MODIFIED_LAPLACIAN",
        least_px=3,
        formula="mean(abs(Ixx) + abs(Iyy))",
        sources=("Nayar1994",),
        parity="NumPy loop",
    ),
    Measure(
        name="diagonal_laplacian",
        path="parfocal.measures.laplacian:diagonal_laplacian",
        kind="gradient",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.laplacian:DIAGONAL_LAPLACIAN",
        least_px=3,
        formula="modified_laplacian + mean(abs(bend along each diagonal)) / sqrt(2)",
        sources=("Thelen2009",),
        parity="NumPy loop",
    ),
    Measure(
        name="variance_of_laplacian",
        path="parfocal.measures.laplacian:variance_of_laplacian",
        kind="gradient",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.laplacian:VARIANCE_OF_LAPLACIAN",
        least_px=3,
        formula="var(Ixx + Iyy)",
        sources=("PechPacheco2000",),
        parity="scipy.ndimage.laplace",
    ),
    Measure(
        name="variance",
        path="parfocal.measures.statistical:variance",
        kind="statistical",
        gain=2.0,
        offset_free=True,
        local="parfocal.measures.statistical:VARIANCE",
        formula="mean((I - mean(I))^2)",
        sources=("Groen1985", "Firestone1991"),
        parity="numpy.var",
    ),
    Measure(
        name="std",
        path="parfocal.measures.statistical:std",
        kind="statistical",
        gain=1.0,
        offset_free=True,
        local="parfocal.measures.statistical:STD",
        formula="sqrt(mean((I - mean(I))^2))",
        sources=("Firestone1991", "Li2023"),
        parity="numpy.std",
    ),
    Measure(
        name="normalized_variance",
        path="parfocal.measures.statistical:normalized_variance",
        kind="statistical",
        gain=1.0,
        offset_free=False,
        local="parfocal.measures.statistical:NORMALIZED_VARIANCE",
        formula="var(I) / mean(I)",
        sources=("Groen1985",),
        parity="numpy.var, numpy.mean",
    ),
    Measure(
        name="vollath4",
        path="parfocal.measures.statistical:vollath4",
        kind="statistical",
        gain=2.0,
        offset_free=True,
        blur_monotonic=False,
        local="parfocal.measures.statistical:VOLLATH4",
        least_px=3,
        formula="mean(I(x) I(x+1)) - mean(I(x) I(x+2))",
        sources=("Vollath1988",),
        parity="NumPy loop of the published sums",
    ),
    Measure(
        name="vollath5",
        path="parfocal.measures.statistical:vollath5",
        kind="statistical",
        gain=2.0,
        offset_free=True,
        blur_monotonic=False,
        local="parfocal.measures.statistical:VOLLATH5",
        least_px=2,
        formula="mean(I(x) I(x+1)) - mean(I)^2",
        sources=("Vollath1988",),
        parity="NumPy loop of the published sums",
    ),
    Measure(
        name="entropy",
        path="parfocal.measures.statistical:entropy",
        kind="statistical",
        gain=0.0,
        offset_free=True,
        blur_monotonic=False,
        formula="-sum(p log2 p) of the grey-level histogram",
        sources=("Firestone1991",),
        parity="numpy.histogram, skimage.measure.shannon_entropy",
    ),
    Measure(
        name="haar_dwt",
        path="parfocal.measures.wavelet:haar_dwt",
        kind="wavelet",
        gain=0.0,
        offset_free=False,
        local="parfocal.measures.wavelet:HAAR_DWT",
        least_px=2,
        formula="norm(Haar details) / norm(Haar average)",
        sources=("Kautsky2002", "Li2023"),
        parity="pywt.dwt2 haar",
    ),
    Measure(
        name="wavelet_sum",
        path="parfocal.measures.wavelet:wavelet_sum",
        kind="wavelet",
        gain=1.0,
        offset_free=True,
        mirror_free=False,
        local="parfocal.measures.wavelet:WAVELET_SUM",
        least_px=12,
        formula="mean(abs(LH)) + mean(abs(HL)) + mean(abs(HH)), Daubechies 6",
        sources=("Yang2003", "Daubechies1992"),
        parity="pywt.dwt2 db6",
    ),
    Measure(
        name="wavelet_variance",
        path="parfocal.measures.wavelet:wavelet_variance",
        kind="wavelet",
        gain=2.0,
        offset_free=True,
        mirror_free=False,
        local="parfocal.measures.wavelet:WAVELET_VARIANCE",
        least_px=12,
        formula="var(abs(LH)) + var(abs(HL)) + var(abs(HH)), Daubechies 6",
        sources=("Yang2003", "Daubechies1992"),
        parity="pywt.dwt2 db6",
    ),
    Measure(
        name="dcts",
        path="parfocal.measures.spectral:dcts",
        kind="spectral",
        gain=0.0,
        offset_free=False,
        least_px=4,
        formula="-2/r^2 sum(abs(v) log2 abs(v)), v = DCT / norm, within r",
        sources=("Royer2016", "Li2021"),
        parity="scipy.fft.dctn",
    ),
    Measure(
        name="log_power_tail",
        path="parfocal.measures.spectral:log_power_tail",
        kind="spectral",
        gain=None,
        offset_free=True,
        least_px=8,
        formula="mean over rings above R/4 of the radial log power",
        sources=("Pinkard2019",),
        parity="numpy.fft.fft2, ring by ring",
    ),
    Measure(
        name="midband_power",
        path="parfocal.measures.spectral:midband_power",
        kind="spectral",
        gain=2.0,
        offset_free=True,
        needs_setup=True,
        least_px=8,
        formula="sum(abs(F)^2) / pixels^2 between fractions of the optical cut-off",
        sources=("Waveorder",),
        parity="waveorder, numpy.fft.fft2",
    ),
)

CATALOG = MappingProxyType({row.name: row for row in _ROWS})


def find_measure(name: str) -> Measure:
    """Look a measure up by name; UnknownNameError lists the ones that exist.

    Examples
    --------
    >>> find_measure("brenner").formula
    'mean((I(x+2) - I(x))^2)'
    """
    if name not in CATALOG:
        raise UnknownNameError("measure", name, CATALOG)
    return CATALOG[name]
