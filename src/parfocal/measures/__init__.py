"""Focus measures and focus maps: how sharp an image is, as a whole and place by place."""

from parfocal.measures.catalog import CATALOG, Measure, find_measure, score
from parfocal.measures.gradient import brenner
from parfocal.measures.local import LocalMeasure
from parfocal.measures.statistical import variance

__all__ = [
    "CATALOG",
    "LocalMeasure",
    "Measure",
    "brenner",
    "find_measure",
    "score",
    "variance",
]
