"""Find the aberrations of a real objective from a measured point-spread function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError, ShapeError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.psf import Depths, Model, as_depths
from parfocal.optics.pupil import (
    Pupil,
    apodise,
    axial_waves_per_um,
    cosine,
    dipole_fields,
    pupil_grid,
)
from parfocal.optics.sampling import onto_pixels, period_um, pixel_matrix, pupil_radius_px
from parfocal.optics.zernike import Aberrations, steepest_slope, zernike_basis

Free = Literal["bead", "na", "underfill", "step", "stage"]

LOW_ORDERS = (3, *range(5, 15))  # to n = 4; j = 4, defocus, is the z of focus
ROOM_WAVES = 0.15  # of each term: the grid is made wide enough for it
TAIL = 6.0  # lambda / NA between a window's edge and light that comes back from the other side
BEAD_UM = 0.2  # where a search for the bead's size begins
LEAST_NA = 0.8  # of the setup's: an effective NA stays between this share and all of it
STEP_ROOM = 0.25  # the z scale stays within 1 -+ this
STAGE_UM = 0.05  # error of a plane's z that is usual
STAGE_COST = 1e-4  # misfit that this error of every plane costs


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
        All planes, also those that were held out, in counts.
    unexplained
        Sum of squared residuals over that of the data less its background, in the planes used.
    bead_um
        Diameter of the bead.
    na
        Numerical aperture; the setup's unless it was free.
    underfill
        a of the amplitude exp(-a rho^2) over the pupil; 0 is an evenly filled one.
    z_scale
        True distance of planes over the given one; 1 unless the step was free.
    stage_um
        Error of each plane's z beyond that; 0 unless the stage was free.
    """

    aberrations: Aberrations
    focus_um: float
    shift_um: tuple[float, float]
    background: float
    brightness: float
    psf: Float[Tensor, "z y x"]
    unexplained: float
    bead_um: float
    na: float
    underfill: float
    z_scale: float
    stage_um: Float[Tensor, " z"]


def fit_aberrations(
    measured: Float[Tensor, "z y x"],
    setup: OpticalSetup,
    z_um: Depths,
    *,
    terms: Sequence[int] = LOW_ORDERS,
    free: Sequence[Free] = (),
    model: Model = "vectorial",
    bead_um: float = 0.0,
    held_out: Sequence[int] = (),
    steps: int = 60,
) -> FittedPsf:
    """Fit Zernike terms, focus, place, brightness and background to a measured stack.

    Descends the gradient through the simulated planes (L-BFGS) [Hanser2004]_. A squared residual
    weighs 1 / sqrt(counts): between the noise of photons, which would leave the core to the
    tails, and no weight.

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
    free
        What else to fit. ``"bead"``: its diameter. ``"na"``: an effective NA of 80 to 100 % of
        the setup's. ``"underfill"``: light lost towards the pupil's edge. ``"step"``: one scale
        of all z, 0.75 to 1.25. ``"stage"``: an error of each plane's z, held to about 0.05 um.
        Bead and underfill widen the spot alike, and NA, underfill and step deepen it: what each
        of them comes to is less sure than the planes.
    model
        See ``widefield_psf``. Scalar light is three times faster, and finds larger beads.
    bead_um
        Diameter of the bead, or where its search begins. The bead blurs along all axes by the
        second moment of a ball.
    held_out
        Indices of planes that are predicted and not fitted; where the stage is free, their z is
        fitted afterwards, and nothing else.
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
        If the measured planes are all alike, a term is not above 2, ``free`` names something
        else, or no plane is left.

    Notes
    -----
    On noise-free planes the terms come back to 0.005 waves, a bead of 0.3 um to 0.02 um.

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
    used = [plane for plane in range(len(z)) if plane not in {i % len(z) for i in held_out}]
    counts = measured.to(z)
    if not used or not float(counts[used].max()) > float(counts[used].min()):
        raise InputError("The measured planes are all alike: give a stack that shows a bead.")
    fitted = [j for j in terms if j != 4]
    if any(j < 3 for j in fitted):
        raise InputError(f"terms must be above 2 (tilts are the shift), but came as {list(terms)}.")
    if not set(free) <= set(get_args(Free)):
        raise InputError(f"free may hold {', '.join(get_args(Free))}, but came as {list(free)}.")
    fit = _Fit(counts, setup, z, _Task(fitted, tuple(free), model, bead_um, used))
    return fit.report(fit.descend(steps))


@dataclass(frozen=True)
class _Task:
    """What to fit, and to which planes."""

    terms: list[int]
    free: tuple[str, ...]
    model: Model
    bead_um: float
    used: list[int]


@dataclass(frozen=True, eq=False)
class _State:
    """Parameters of the model, named."""

    place_px: Tensor
    focus_um: Tensor
    waves: Tensor
    bead_um2: Tensor  # squared diameter
    na: Tensor
    underfill: Tensor
    z_scale: Tensor
    stage_um: Tensor = field(repr=False)


class _Fit:
    """The model of one measured stack, and the descent of its parameters."""

    def __init__(self, counts: Tensor, setup: OpticalSetup, z_um: Tensor, task: _Task) -> None:
        self.counts, self.setup, self.task, self.z_um = counts, setup, task, z_um
        self.used = torch.tensor(task.used, device=z_um.device)
        seen = counts[self.used]
        size = counts.shape[-1]
        brightest = int(seen.flatten(1).amax(1).argmax())
        self.start_um = float(z_um[self.used][brightest])
        row, column = divmod(int(seen[brightest].argmax()), size)
        self.start_px = (row - size // 2, column - size // 2)
        radius = self._radius_px(size)
        self.y, self.x, self.share = pupil_grid(radius, dtype=z_um.dtype, device=z_um.device)
        self.grid_px, self.radius = 4 * (radius + 1), radius
        self.basis = zernike_basis(task.terms, self.y, self.x)
        level = (counts - float(seen.median())).clamp(min=0.0)
        self.weights = (level + 0.01 * float(level[self.used].max())).rsqrt()
        self.power = (self.weights * level.square()).sum((1, 2))

    def _radius_px(self, size: int) -> int:
        """Samples of the pupil: its image repeats beyond the window, not within it."""
        setup = self.setup
        sine = setup.na / setup.immersion_index
        far_um = float((self.z_um - self.start_um).abs().max()) * sine / math.sqrt(1 - sine**2)
        share = ROOM_WAVES / math.sqrt(len(self.task.terms) or 1)
        bumps = share * sum(steepest_slope(j) for j in self.task.terms)
        unit_um = setup.wavelength_um / setup.na
        half_um = (size / 2 + max(map(abs, self.start_px))) * setup.pixel_um
        width_um = max(1.1 * far_um + (bumps + TAIL) * unit_um + half_um, 2 * half_um)
        return pupil_radius_px(width_um, na=setup.na, wavelength_um=setup.wavelength_um)

    def named(self, values: Tensor) -> _State:
        """Parameters of a vector: y, x in px, z in depths of field, terms, then what is free."""
        task, setup = self.task, self.setup
        scalars = [name for name in task.free if name != "stage"]
        start = 3 + len(task.terms)
        own = dict(zip(scalars, values[start : start + len(scalars)], strict=True))
        zero = values.new_zeros(())
        na = zero + setup.na
        if "na" in own:
            na = setup.na * (1 + LEAST_NA + (1 - LEAST_NA) * torch.tanh(own["na"])) / 2
        stage_um = torch.zeros_like(self.z_um)
        if "stage" in task.free:
            stage_um = values[start + len(scalars) :] * 0.1
        return _State(
            place_px=values[:2] + values.new_tensor(self.start_px),
            focus_um=self.start_um + values[2] * setup.depth_of_field_um,
            waves=values[3:start],
            bead_um2=own["bead"].abs() if "bead" in own else zero + task.bead_um**2,
            na=na,
            underfill=own.get("underfill", zero),
            z_scale=1.0 + STEP_ROOM * torch.tanh(own["step"]) if "step" in own else zero + 1.0,
            stage_um=stage_um,
        )

    def first_values(self) -> Tensor:
        """Where the search begins."""
        bead_um = self.task.bead_um or BEAD_UM
        starts = {"bead": [bead_um**2], "na": [1.5], "underfill": [0.0], "step": [0.0]}
        own = [value for name in self.task.free for value in starts.get(name, [])]
        stage = [0.0] * (len(self.counts) if "stage" in self.task.free else 0)
        return self.counts.new_tensor([0.0] * (3 + len(self.task.terms)) + own + stage)

    def planes(self, state: _State, which: Tensor | slice) -> Tensor:
        """Some planes, of unit brightness."""
        pupil = self._pupil(state)
        far_um = self.z_um[which] - state.focus_um
        z_um = far_um * state.z_scale + state.stage_um[which]
        if self.task.bead_um or "bead" in self.task.free:  # the second moment of a ball: d^2 / 20
            high_um = (state.bead_um2 / 20 + 1e-12).sqrt()
            images = (pupil.intensities(z_um - high_um) + pupil.intensities(z_um + high_um)) / 2
        else:
            images = pupil.intensities(z_um)
        return onto_pixels(images, self._matrix(state))

    def _pupil(self, state: _State) -> Pupil:
        setup, na = self.setup, state.na
        index, wavelength_um = setup.immersion_index, setup.wavelength_um
        rho2 = self.y.square() + self.x.square()
        sine2 = rho2 * (na / index).square()
        amplitude = apodise(cosine(sine2), "emission") * torch.exp(-state.underfill * rho2)
        if self.task.model == "scalar":
            amplitude = amplitude[None]
        else:
            sine = sine2.clamp(min=1e-9, max=1.0).sqrt()  # a root has no slope at 0
            amplitude = amplitude * dipole_fields(self.y, self.x, sine)
        amplitude = amplitude * self.share / (amplitude.square() * self.share).sum().sqrt()
        # A tilt of one pixel: f * pixel waves; the image moves against a positive slope.
        tilts = torch.stack([self.y, self.x]) * (-na / wavelength_um * setup.pixel_um)
        waves = torch.tensordot(state.place_px, tilts, dims=1)
        return Pupil(
            amplitude=amplitude,
            phase_waves=waves + torch.tensordot(state.waves, self.basis, dims=1),
            defocus_waves_per_um=axial_waves_per_um(
                rho2, na=na, index=index, wavelength_um=wavelength_um
            ),
            grid_px=self.grid_px,
            step_um=period_um(self.radius, na=float(na.detach()), wavelength_um=wavelength_um)
            / self.grid_px,
        )

    def _matrix(self, state: _State) -> Tensor:
        """From the grid to pixels, with a Gaussian of the bead's second moment."""
        setup, grid_px = self.setup, self.grid_px
        step_um = self.radius * setup.wavelength_um / (state.na * grid_px)
        matrix = pixel_matrix(
            (setup.pixel_um / step_um)[None], grid_px=grid_px, size_px=self.counts.shape[-1]
        )[0]
        if not (self.task.bead_um or "bead" in self.task.free):
            return matrix
        cycles = torch.fft.rfftfreq(grid_px).to(matrix) / step_um
        response = torch.exp(-2 * math.pi**2 * state.bead_um2 / 20 * cycles.square())
        blurred: Tensor = torch.fft.irfft(torch.fft.rfft(matrix) * response, n=grid_px)
        return blurred

    def scale(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Brightness and background that fit best, by weighted least squares."""
        weights, counts = self.weights[self.used], self.counts[self.used]
        weights = weights / weights.sum()
        mean, level = (weights * planes).sum(), (weights * counts).sum()
        centred = planes - mean
        brightness = (weights * centred * counts).sum() / (weights * centred.square()).sum()
        return brightness, level - brightness * mean

    def misfit(
        self, state: _State, which: Tensor, scale: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Weighted residual of some planes, and what the stage's errors cost."""
        planes, counts, weights = self.planes(state, which), self.counts[which], self.weights[which]
        brightness, background = scale or self.scale(planes)
        residual = counts - brightness * planes - background
        cost = STAGE_COST * (state.stage_um[which] / STAGE_UM).square().mean()
        return (weights * residual.square()).sum() / self.power[which].sum() + cost

    def descend(self, steps: int) -> Tensor:
        """Parameters of the least misfit of the planes used; then z of those held out."""
        values = self.first_values().requires_grad_()
        _minimise([values], lambda: self.misfit(self.named(values), self.used), steps)
        found = values.detach()
        out = [plane for plane in range(len(self.counts)) if plane not in self.task.used]
        if "stage" not in self.task.free or not out:
            return found
        scale = self.scale(self.planes(self.named(found), self.used))
        optics, stage = found[: -len(self.counts)], found[-len(self.counts) :]
        moved = stage.clone().requires_grad_()
        rest = torch.tensor(out, device=found.device)
        _minimise(
            [moved],
            lambda: self.misfit(self.named(torch.cat([optics, moved])), rest, scale),
            steps,
        )
        return torch.cat([optics, moved.detach()])

    def report(self, values: Tensor) -> FittedPsf:
        """Name what was found."""
        state = self.named(values)
        planes = self.planes(state, slice(None))
        brightness, background = self.scale(planes[self.used])
        psf = brightness * planes + background
        seen = self.counts[self.used]
        light = (seen - background).square().sum()
        y_um, x_um = (state.place_px * self.setup.pixel_um).tolist()
        return FittedPsf(
            aberrations=Aberrations(
                zernike_waves=dict(zip(self.task.terms, state.waves.tolist(), strict=True))
            ),
            focus_um=float(state.focus_um),
            shift_um=(y_um, x_um),
            background=float(background),
            brightness=float(brightness),
            psf=psf,
            unexplained=float((seen - psf[self.used]).square().sum() / light),
            bead_um=math.sqrt(float(state.bead_um2)),
            na=float(state.na),
            underfill=float(state.underfill),
            z_scale=float(state.z_scale),
            stage_um=state.stage_um,
        )


def _minimise(values: list[Tensor], misfit: Callable[[], Tensor], steps: int) -> None:
    """Descend by L-BFGS, in place."""
    search = torch.optim.LBFGS(
        values, max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = misfit()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
