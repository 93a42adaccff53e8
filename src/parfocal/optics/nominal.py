"""Transfer functions of optics without aberrations: real, since defocus alone is even."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.optics.batches import pupil_psfs


def nominal_transfers(
    *,
    na: Float[Tensor, " b"],
    index: Float[Tensor, " b"],
    wavelength_um: Float[Tensor, " b"],
    pixel_um: Float[Tensor, " b"],
    defocus_dof: tuple[float, ...],
    size_px: int,
) -> Float[Tensor, "b k y kx"]:
    """Transfer functions of many nominal optics, each at some |defocus|, for ``rfft2``.

    Parameters
    ----------
    na, index, wavelength_um, pixel_um
        Of each optic; lengths in the object.
    defocus_dof
        In depths of field, n wavelength / NA^2; the sign makes no difference.
    size_px
        Side of the images.

    Returns
    -------
    Real factors, 1 for the mean of an image: a product with them blurs without any shift.

    Raises
    ------
    InputError
        If an NA reaches its index, or light spreads too far to be computed.

    Notes
    -----
    Laws: batch-free; even in the defocus.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> both = nominal_transfers(na=0.5 * one, index=one, wavelength_um=0.5 * one,
    ...                          pixel_um=0.3 * one, defocus_dof=(1.0, -1.0), size_px=32)
    >>> both.shape, bool(torch.allclose(both[:, 0], both[:, 1], atol=1e-5))
    (torch.Size([1, 2, 32, 17]), True)
    """
    depth_um = index * wavelength_um / na.square()
    z_um = depth_um[:, None] * torch.tensor(defocus_dof, device=na.device, dtype=na.dtype)
    psfs = pupil_psfs(
        na=na, index=index, wavelength_um=wavelength_um, pixel_um=pixel_um, z_um=z_um,
        size_px=size_px, beyond="fold",
    )  # fmt: skip
    real: Tensor = torch.fft.rfft2(torch.fft.ifftshift(psfs, dim=(-2, -1))).real
    return real
