"""Luo 2020's comparison on simulated fields: every way to refocus, by defocus and by light."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional

from parfocal.core.errors import InputError
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.evaluate.image_quality import Quality, best_gaussian, quality
from parfocal.refocus import defocus_psf, landweber, richardson_lucy
from parfocal.refocus.refocuser import PASSED, BlindRefocuser, with_light
from parfocal.simulate.blurred_fields import BlurredBatch, BlurredFields, Fixed

DISTANCES_DOF = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0)
"""The last is beyond what the shipped network was trained on."""
PHOTONS = (500.0, 50.0)
EDGE_PX = 32
"""Of a simulated field that wraps around, around the image that is judged."""
STEPS = 100
WRONG_DOF = 0.5
"""Error of the distance that a user's point-spread function is computed for."""
INPUT, SMOOTHED, TRUE, USERS = (
    "input", "best Gaussian (oracle)", "Richardson-Lucy, true PSF", "Richardson-Lucy, user's PSF",
)  # fmt: skip
ESTIMATED = "Richardson-Lucy, estimated distance"
LANDWEBER = {"Landweber 0.1, true PSF": 0.1, "Landweber 1.0, true PSF": 1.0}
NETWORK, BLIND = "network, never declined", "blind, as given"
PUBLISHED = "Luo 2020, as published"


@dataclass(frozen=True, eq=False, kw_only=True)
class BlurredField:
    """One simulated image and all that is known of it.

    Parameters
    ----------
    kind
        Specimen.
    dof, photons
        |defocus| in depths of field; electrons of the brightest pixel of the image.
    whole
        Image of the field that wraps around.
    psf
        Of the light that made it, aberrations and all.
    truth
        The image in focus; less the edge.
    background
        Counts of the even background.
    setup
        The optics.
    """

    kind: str
    dof: float
    photons: float
    whole: Float[np.ndarray, "v u"]
    psf: Float[np.ndarray, "q p"]
    truth: Float[np.ndarray, "y x"]
    background: float
    setup: OpticalSetup

    @property
    def image(self) -> Float[np.ndarray, "y x"]:
        """What there is to refocus."""
        return cut(self.whole)


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """What a method makes of a field.

    Parameters
    ----------
    image
        Of the size of the truth; where the method declines, the input, which the user keeps.
    status
        "found", or why not; "passed through" where the input is the answer.
    seconds
        It took.
    """

    image: Float[np.ndarray, "y x"]
    status: str = "found"
    seconds: float = 0.0


Method = Callable[[BlurredField], Shown]


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """How near to the truth one method brings one field.

    Parameters
    ----------
    number
        Of the field in its group: methods with the same one saw the same image.
    dof, photons, kind
        Of the field.
    status, seconds
        As in ``Shown``.
    flux
        Light of the answer over that of the input, above the background.
    """

    method: str
    kind: str
    number: int
    dof: float
    photons: float
    psnr: float
    ssim: float
    rmse: float
    status: str
    seconds: float
    flux: float


def cut(field: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "v u"]:
    """A field without its edge."""
    return field[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]


def draw_fields(
    kinds: Sequence[str], *, fields: int, size_px: int, dof: float, photons: float, seed: int
) -> Iterator[BlurredField]:
    """Simulate fields of one layer, each with optics of its own, at one |defocus|.

    Parameters
    ----------
    kinds
        Rows of ``SPECIMENS``.
    fields
        Of each kind. Those whose blur would not fit into the field are left out.
    size_px
        Side of the image.
    dof
        |defocus| in depths of field, of either sign.
    photons
        Electrons of the brightest pixel, less the background.
    seed
        Draws them.
    """
    for place, kind in enumerate(kinds):
        source = BlurredFields(
            batch=fields, size_px=size_px + 2 * EDGE_PX, seed=seed + 1000 * place, objects=(kind,),
            textures=0, reuse=1, fixed=Fixed(defocus_dof=dof, photons=photons),
        )  # fmt: skip
        drawn = source.draw()
        for k in range(fields):
            reached = float((drawn.defocus_um[k] / drawn.depth_um[k]).abs())
            if math.isclose(reached, dof, abs_tol=1e-3):
                yield _field(drawn, k, kind, reached, photons)


def _field(drawn: BlurredBatch, k: int, kind: str, dof: float, photons: float) -> BlurredField:
    psf = torch.fft.irfft2(drawn.transfer[k], s=drawn.images.shape[1:]).clamp(min=0.0)
    return BlurredField(
        kind=kind,
        dof=dof,
        photons=photons,
        whole=drawn.images[k].numpy(),
        psf=psf.numpy(),
        truth=cut(drawn.sharp[k].numpy()),
        background=float(drawn.background[k]),
        setup=setup_of(drawn, k),
    )


def setup_of(drawn: Any, k: int) -> OpticalSetup:
    """The optics of one field of a simulated batch."""
    return OpticalSetup(
        na=float(drawn.na[k]),
        wavelength_nm=1000 * float(drawn.wavelength_um[k]),
        pixel_um=float(drawn.pixel_um[k]),
        immersion_index=float(drawn.index[k]),
    )


def methods(
    refocuser: BlindRefocuser | None, *, published: nn.Module | None = None, steps: int = STEPS
) -> dict[str, Method]:
    """Every way to refocus that is compared, by name; without networks the classical ones.

    Deconvolution is told the background, and has the field that wraps around. The user's
    point-spread function is that of the optics without aberrations, half a depth of field too
    near or too far in turn. The estimated distance is the network's.
    """

    def lucy(field: BlurredField, psf: object) -> Shown:
        sharp = richardson_lucy(
            field.whole, psf, steps, background=field.background, edges="periodic"
        )
        return Shown(image=cut(sharp) + field.background)

    def step_of(length: float) -> Method:
        def run(field: BlurredField) -> Shown:
            sharp = landweber(
                field.whole, field.psf, steps, length, background=field.background,
                edges="periodic",
            )  # fmt: skip
            return Shown(image=cut(sharp) + field.background)

        return run

    found: dict[str, Method] = {
        INPUT: lambda field: Shown(image=field.image),
        SMOOTHED: lambda field: Shown(image=best_gaussian(field.image, field.truth)[0]),
        **{name: step_of(length) for name, length in LANDWEBER.items()},
        TRUE: lambda field: lucy(field, field.psf),
        USERS: lambda field: lucy(field, nominal_psf(field.setup, misjudged_dof(field))),
    }
    if refocuser is not None:
        found[ESTIMATED] = lambda field: lucy(
            field, nominal_psf(field.setup, estimated_dof(refocuser, field.image, field.setup))
        )
        found[NETWORK] = lambda field: never_declined(refocuser, field.image, field.setup)
        found[BLIND] = lambda field: as_given(refocuser, field.image, field.setup)
    if published is not None:
        found[PUBLISHED] = lambda field: Shown(image=as_published(published, field.image))
    return found


@torch.inference_mode()
def as_published(generator: nn.Module, image: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """The answer of a published generator, as it comes: zero mean and unit variance in and out.

    The image is mirrored to the sizes that the generator takes.
    """
    counts = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    mean, spread = counts.mean(), counts.std().clamp(min=1e-6)
    step = int(getattr(generator, "reduction_px", 8))
    missing = [-side % step for side in counts.shape]
    normal = ((counts - mean) / spread)[None, None]
    padded = functional.pad(normal, (0, missing[1], 0, missing[0]), mode="reflect")
    made = generator(padded)[0, 0, : counts.shape[0], : counts.shape[1]]
    found: np.ndarray = (made.float() * spread + mean).numpy()
    return found


def misjudged_dof(field: BlurredField) -> float:
    """A distance that is wrong, too far for one half of the fields and too near for the other."""
    too_near = field.dof > WRONG_DOF and int(1e6 * field.setup.na) % 2 == 0
    return field.dof - WRONG_DOF if too_near else field.dof + WRONG_DOF


def nominal_psf(setup: OpticalSetup, dof: float) -> Float[np.ndarray, "v u"]:
    """Point-spread function of the optics without aberrations."""
    psf: np.ndarray = defocus_psf(setup, dof * setup.depth_of_field_um).numpy()
    return psf


def estimated_dof(
    refocuser: BlindRefocuser, image: Float[np.ndarray, "y x"], setup: OpticalSetup
) -> float:
    """|defocus| as the network sees it; 0 where it cannot be asked."""
    seen = refocuser.look(image, setup=setup)
    return 0.0 if isinstance(seen, Refocused) else refocuser.facts_of(*seen).distance.centre


def never_declined(
    refocuser: BlindRefocuser, image: Float[np.ndarray, "y x"], setup: OpticalSetup
) -> Shown:
    """The network's answer wherever it can be asked, with the light of the input."""
    seen = refocuser.look(image, setup=setup)
    if isinstance(seen, Refocused):
        return Shown(image=image, status=str(seen.status))
    return Shown(image=with_light(seen[0].sharp, refocuser.facts_of(*seen)))


def as_given(
    refocuser: BlindRefocuser, image: Float[np.ndarray, "y x"], setup: OpticalSetup
) -> Shown:
    """What ``refocus.blind`` gives; the input where it declines."""
    result = refocuser.refocus(image, setup=setup)
    if result.image is None:
        return Shown(image=image, status=str(result.status))
    status = PASSED if result.method == PASSED else str(result.status)
    return Shown(image=result.image, status=status)


def try_fields(
    fields: Sequence[BlurredField], asked: dict[str, Method], *, dof: float, photons: float
) -> list[FieldRow]:
    """Ask every method about the fields of one distance and brightness."""
    rows = []
    for number, field in enumerate(fields):
        light = float((field.image - field.background).sum())
        for name, method in asked.items():
            began = time.perf_counter()
            shown = method(field)
            seconds = time.perf_counter() - began
            score: Quality = quality(shown.image, field.truth)
            rows.append(
                FieldRow(
                    method=name, kind=field.kind, number=number, dof=dof, photons=photons,
                    psnr=score.psnr, ssim=score.ssim, rmse=score.rmse, status=shown.status,
                    seconds=seconds,
                    flux=float((shown.image - field.background).sum()) / light,
                )
            )  # fmt: skip
    return rows


def mean_of(rows: Sequence[FieldRow], value: str) -> float:
    """Mean of one value over rows; NaN without any.

    Raises
    ------
    InputError
        If rows have no such value.
    """
    if value not in ("psnr", "ssim", "rmse", "seconds", "flux"):
        raise InputError(f"Rows have no {value}; ask for psnr, ssim, rmse, seconds or flux.")
    return float(np.mean([getattr(row, value) for row in rows])) if rows else math.nan


def worse_than_input(
    rows: Sequence[FieldRow], inputs: Sequence[FieldRow], *, margin_db: float = 0.05
) -> float:
    """Share of the fields that an answer leaves farther from the truth than the input was."""
    before = {(row.dof, row.photons, row.number): row.psnr for row in inputs}
    worse = [row.psnr < before[row.dof, row.photons, row.number] - margin_db for row in rows]
    return float(np.mean(worse)) if worse else math.nan
