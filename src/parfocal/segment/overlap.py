"""How much two masks of one stack agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from parfocal.core.errors import ShapeError


def intersection_over_union(found: Any, truth: Any) -> float:
    """Pixels that both masks hold, over those that either holds.

    Parameters
    ----------
    found, truth
        Masks of one shape, such as (z, y, x): all pixels count together.

    Returns
    -------
    From 0 to 1; 1 where both are empty.

    Raises
    ------
    ShapeError
        If their shapes differ.

    Notes
    -----
    Laws: symmetric; 1 for equal masks; unchanged by any order of the pixels.

    The public code of [Li2023]_ takes the mean over planes, in which a plane that is rightly empty
    counts as 0 (scikit-learn's ``jaccard_score``).

    Examples
    --------
    >>> intersection_over_union([True, True, False], [True, False, True])
    0.3333333333333333
    """
    one, two = np.asarray(found, bool), np.asarray(truth, bool)
    if one.shape != two.shape:
        raise ShapeError(
            f"Masks of {one.shape} and {two.shape} cannot be compared: cut them alike."
        )
    either = int(np.count_nonzero(one | two))
    return int(np.count_nonzero(one & two)) / either if either else 1.0
