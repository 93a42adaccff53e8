"""Find the aberrations of a real objective from a measured point-spread function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.psf import Depths, Model, as_depths, camera_matrix, make_pupil
from parfocal.optics.pupil import pupil_grid
from parfocal.optics.sampling import onto_pixels
from parfocal.optics.zernike import Aberrations, zernike_basis

LOW_ORDERS = (3, *range(5, 15))  # to n = 4; j = 4, defocus, is the z of focus
ROOM_WAVES = 0.15  # of each term: the grid is made wide enough for it


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedPsf:
    """What a fit found.

    Parameters
    ----------
    aberrations
        Zernike terms, in waves RMS.
    focus_um
        z of best focus on the measured stack's own z axis.
    shift_um
        Where the point is, along y and x, from the window's middle pixel.
    background
        Counts of each pixel where there is no light.
    brightness
        Counts of the point over the whole plane.
    psf
        The fitted planes, in counts.
    unexplained
        Sum of squared residuals over that of the data less its background.
    """

    aberrations: Aberrations
    focus_um: float
    shift_um: tuple[float, float]
    background: float
    brightness: float
    psf: Float[Tensor, "z y x"]
    unexplained: float


def fit_aberrations(
    measured: Float[Tensor, "z y x"],
    setup: OpticalSetup,
    z_um: Depths,
    *,
    terms: Sequence[int] = LOW_ORDERS,
    model: Model = "vectorial",
    bead_um: float = 0.0,
    steps: int = 60,
) -> FittedPsf:
    """Fit Zernike terms, focus, place, brightness and background to a measured stack.

    Descends the gradient through the simulated planes (L-BFGS), each squared residual weighed by
    the noise that photons of that brightness have [Hanser2004]_.

    Parameters
    ----------
    measured
        Planes of one bead in counts, cut so that it is near the middle.
    setup
        The optics.
    z_um
        z of each plane, in any order; the brightest one begins the search for focus.
    terms
        OSA/ANSI indices to fit; 4 (defocus) is always left to ``focus_um``. Empty: only
        focus, place, brightness and background.
    model
        See ``widefield_psf``.
    bead_um
        Diameter of the bead; its own size blurs the image laterally.
    steps
        Iterations at most.

    Returns
    -------
    The fit. Terms of even order (spherical, astigmatism) take their sign from the sign of z.

    Raises
    ------
    ShapeError
        If the planes are not square or not as many as z.
    InputError
        If the measured planes are all alike, or a term is not above 2.

    Notes
    -----
    On noise-free planes the terms come back to 0.005 waves.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.8, wavelength_nm=520, pixel_um=0.13)
    >>> from parfocal.optics import widefield_psf
    >>> z_um = [-1.8, -0.9, 0.0, 0.9, 1.8]
    >>> true = Aberrations(zernike_waves={12: 0.05})
    >>> stack = 1000 * widefield_psf(setup, z_um, size_px=32, aberrations=true, model="scalar")
    >>> fit = fit_aberrations(stack, setup, z_um, terms=[12], model="scalar", steps=20)
    >>> round(fit.aberrations.zernike_waves[12], 2)
    0.05
    """
    z = as_depths(z_um, measured.device)
    if measured.ndim != 3 or measured.shape[1] != measured.shape[2] or len(measured) != len(z):
        raise ShapeError(
            f"A measured stack needs square planes, as many as z_um holds ({len(z)}), "
            f"but has shape {tuple(measured.shape)} (z, y, x)."
        )
    counts = measured.to(z)
    if not float(counts.max()) > float(counts.min()):
        raise InputError("The measured planes are all alike: give a stack that shows a bead.")
    used = [j for j in terms if j != 4]
    if any(j < 3 for j in used):
        raise InputError(f"terms must be above 2 (tilts are the shift), but came as {list(terms)}.")
    fit = _Fit(counts, setup, z, used, model, bead_um)
    found = fit.descend(steps)
    return fit.report(found)


class _Fit:
    """The model of one measured stack, and the descent of its parameters."""

    def __init__(
        self,
        counts: Tensor,
        setup: OpticalSetup,
        z_um: Tensor,
        terms: list[int],
        model: Model,
        bead_um: float,
    ) -> None:
        self.counts, self.setup, self.terms = counts, setup, terms
        self.bead_um = bead_um
        size = counts.shape[-1]
        brightest = int(counts.flatten(1).amax(1).argmax())
        self.start_um = float(z_um[brightest])
        row, column = divmod(int(counts[brightest].argmax()), size)
        self.start_px = (row - size // 2, column - size // 2)
        self.z_um = z_um - self.start_um
        room = Aberrations(
            zernike_waves=dict.fromkeys(terms, ROOM_WAVES / math.sqrt(len(terms) or 1))
        )
        wide = self.z_um * 1.1
        window_um = size * setup.pixel_um
        nominal = make_pupil(setup, wide, window_um=window_um, model=model, aberrations=room)
        self.pupil = replace(nominal, phase_waves=torch.zeros_like(nominal.phase_waves))
        radius = nominal.grid_px // 4 - 1
        y, x, _ = pupil_grid(radius, dtype=z_um.dtype, device=z_um.device)
        self.basis = zernike_basis(terms, y, x)
        # A tilt of one pixel: f * pixel waves; the image moves against a positive slope.
        self.tilts = torch.stack([y, x]) * (-setup.na / setup.wavelength_um * setup.pixel_um)
        self.matrix = self._blurred(camera_matrix(self.pupil, setup.pixel_um, size))
        background = float(counts.median())
        level = (counts - background).clamp(min=0.0)
        self.weights = 1.0 / (level + 0.01 * float(level.max()))

    def _blurred(self, matrix: Tensor) -> Tensor:
        """The camera's matrix with a Gaussian of the bead's second moment along each axis."""
        if self.bead_um <= 0:
            return matrix
        cycles = torch.fft.rfftfreq(matrix.shape[-1], self.pupil.step_um).to(matrix)
        sigma_um = self.bead_um / math.sqrt(20)  # of a ball's projection, r^2 / 5
        response = torch.exp(-2 * (math.pi * sigma_um * cycles).square())
        blurred: Tensor = torch.fft.irfft(torch.fft.rfft(matrix) * response, n=matrix.shape[-1])
        return blurred

    def planes(self, values: Tensor) -> Tensor:
        """Planes of unit brightness for parameters: y, x in px, z in depths of field, terms."""
        place = values[:2] + values.new_tensor(self.start_px)
        waves = torch.tensordot(place, self.tilts, dims=1)
        waves = waves + torch.tensordot(values[3:], self.basis, dims=1)
        pupil = replace(self.pupil, phase_waves=waves)
        z_um = self.z_um - values[2] * self.setup.depth_of_field_um
        return onto_pixels(pupil.intensities(z_um), self.matrix)

    def scale(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Brightness and background that fit best, by weighted least squares."""
        weights = self.weights / self.weights.sum()
        mean, level = (weights * planes).sum(), (weights * self.counts).sum()
        centred = planes - mean
        brightness = (weights * centred * self.counts).sum() / (weights * centred.square()).sum()
        return brightness, level - brightness * mean

    def descend(self, steps: int) -> Tensor:
        """Parameters of the least weighted residual."""
        values = self.counts.new_zeros(3 + len(self.terms), requires_grad=True)
        search = torch.optim.LBFGS(
            [values], max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
        )
        total = float((self.weights * self.counts.square()).sum())

        def loss() -> Tensor:
            search.zero_grad()
            planes = self.planes(values)
            brightness, background = self.scale(planes)
            residual = self.counts - brightness * planes - background
            value = (self.weights * residual.square()).sum() / total
            value.backward()  # type: ignore[no-untyped-call]
            return value

        search.step(loss)  # type: ignore[no-untyped-call]
        return values.detach()

    def report(self, values: Tensor) -> FittedPsf:
        """Name the parameters."""
        planes = self.planes(values)
        brightness, background = self.scale(planes)
        psf = brightness * planes + background
        light = (self.counts - background).square().sum()
        pixel_um = self.setup.pixel_um
        place = [float(v) + start for v, start in zip(values[:2], self.start_px, strict=True)]
        return FittedPsf(
            aberrations=Aberrations(
                zernike_waves=dict(zip(self.terms, values[3:].tolist(), strict=True))
            ),
            focus_um=self.start_um + float(values[2]) * self.setup.depth_of_field_um,
            shift_um=(place[0] * pixel_um, place[1] * pixel_um),
            background=float(background),
            brightness=float(brightness),
            psf=psf,
            unexplained=float((self.counts - psf).square().sum() / light),
        )
