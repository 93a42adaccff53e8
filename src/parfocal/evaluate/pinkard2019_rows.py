"""One trained network in one study of Pinkard 2019, and how its error is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float

SURE = 0.9
"""Share of the answers that ours would give if it may decline the others."""


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One trained network in one study.

    Parameters
    ----------
    study, method, case
        Which; the case says what is varied.
    stacks
        Stacks that it learnt from.
    rmse_um
        Root mean square error on stacks that it did not see.
    train_rmse_um
        The same on those that it learnt from; None where not asked.
    zero_um
        Error of always answering zero, on the same images.
    limit_um
        Half the specimen's thickness.
    sure_rmse_um
        Error of the ``SURE`` surest answers; None of a network that does not say how sure it is.
    """

    study: str
    method: str
    case: str
    stacks: int
    rmse_um: float
    zero_um: float
    limit_um: float
    train_rmse_um: float | None = None
    sure_rmse_um: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def root_mean_square(values: torch.Tensor) -> float:
    """Root of the mean square.

    Examples
    --------
    >>> root_mean_square(torch.tensor([3.0, -3.0]))
    3.0
    """
    return float(values.square().mean().sqrt())


def sure_rmse_um(
    error: Float[torch.Tensor, "s z"], certainty: Float[torch.Tensor, "s z"] | None
) -> float | None:
    """Root mean square of the errors of the surest answers; truth does not choose them.

    Examples
    --------
    >>> error = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 9.0]])
    >>> sure_rmse_um(error, -error)
    1.0
    """
    if certainty is None:
        return None
    order = certainty.flatten().argsort(descending=True)
    return root_mean_square(error.flatten()[order[: max(1, int(SURE * len(order)))]])
