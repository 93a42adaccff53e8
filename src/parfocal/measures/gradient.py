"""Focus measures from differences of neighbouring pixels."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from parfocal.core.shapes import Images, Scores, on_any_array
from parfocal.measures.local import LocalMeasure, first_mean, score_whole


def _squared_step(images: Tensor, *, step_px: int) -> tuple[Tensor, ...]:
    return ((images[..., step_px:] - images[..., :-step_px]).square(),)


BRENNER = LocalMeasure(partial(_squared_step, step_px=2), first_mean, least_px=3)


@on_any_array
def brenner(images: Images, *, step_px: int = 2) -> Scores:
    """Score focus by the mean squared grey step along x [Brenner1976]_.

    Larger is sharper. Cheap and exposure-dependent; blind to edges that run along x.

    Parameters
    ----------
    images
        Intensities, in counts.
    step_px
        Distance between the two pixels that are compared.

    Returns
    -------
    One score per image, in counts squared: mean((I(x + step) - I(x))^2).

    Raises
    ------
    ShapeError
        If the images are not wider than ``step_px``.

    Notes
    -----
    Laws: offset-free, gain-squared, mirror-free, batch-free.

    The public code of [Li2023]_ steps along rows (y), its text along x; this follows the text.

    Examples
    --------
    >>> import torch
    >>> ramp = torch.arange(8.0).expand(8, 8)
    >>> brenner(ramp)
    tensor(4.)
    """
    local = LocalMeasure(partial(_squared_step, step_px=step_px), first_mean)
    return score_whole(images, local, what="brenner", least_y=1, least_x=step_px + 1)
