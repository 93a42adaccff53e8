"""Focus measures and focus maps: how sharp an image is, as a whole and place by place."""

from parfocal.measures.catalog import CATALOG, Measure, find_measure
from parfocal.measures.gradient import (
    brenner,
    smd,
    smd2,
    steerable,
    tenengrad,
    tenengrad_variance,
)
from parfocal.measures.laplacian import (
    diagonal_laplacian,
    energy_of_laplacian,
    laplacian,
    modified_laplacian,
    variance_of_laplacian,
)
from parfocal.measures.local import LocalMeasure
from parfocal.measures.maps import focus_map, multi_stride_map
from parfocal.measures.scoring import score
from parfocal.measures.spectral import dcts, log_power_tail, midband_power
from parfocal.measures.statistical import (
    entropy,
    normalized_variance,
    std,
    variance,
    vollath4,
    vollath5,
)
from parfocal.measures.wavelet import haar_dwt, wavelet_sum, wavelet_variance

__all__ = [
    "CATALOG",
    "LocalMeasure",
    "Measure",
    "brenner",
    "dcts",
    "diagonal_laplacian",
    "energy_of_laplacian",
    "entropy",
    "find_measure",
    "focus_map",
    "haar_dwt",
    "laplacian",
    "log_power_tail",
    "midband_power",
    "modified_laplacian",
    "multi_stride_map",
    "normalized_variance",
    "score",
    "smd",
    "smd2",
    "std",
    "steerable",
    "tenengrad",
    "tenengrad_variance",
    "variance",
    "variance_of_laplacian",
    "vollath4",
    "vollath5",
    "wavelet_sum",
    "wavelet_variance",
]
