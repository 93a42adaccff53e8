"""Recorded stacks, refocused plane by plane: gain over the input and over the best denoiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack
from parfocal.evaluate.image_quality import best_gaussian, quality, with_best_gain
from parfocal.evaluate.luo2020_beads import fitted_width_px
from parfocal.refocus import deconvolve
from parfocal.refocus.refocuser import PASSED

BOX_PX = 40


@dataclass(frozen=True, kw_only=True)
class RealCase:
    """One recorded stack, and what it is tried for.

    Parameters
    ----------
    stack
        Its name in the table of stacks.
    offsets
        Planes to refocus, counted from the one in focus.
    setup
        The optics where the file has none: a guess, and said to be one.
    is_fluorescence
        Whether it is to be refocused, or to be declined.
    is_point
        Whether it shows one bead, whose width is measured.
    note
        What a reader must know.
    """

    stack: str
    offsets: tuple[int, ...]
    setup: OpticalSetup | None = None
    is_fluorescence: bool = True
    is_point: bool = False
    note: str = ""


CASES: tuple[RealCase, ...] = (
    RealCase(
        stack="psf_na085_air", offsets=(-9, -6, -4, -2, 0, 2, 4, 6, 9), is_point=True,
        note="a measured bead, 20x-like, 0.85 in air",
    ),
    RealCase(
        stack="psf_widefield_150ms", offsets=(-40, -25, -12, 0, 12, 25, 40), is_point=True,
        setup=OpticalSetup(na=1.0, wavelength_nm=510, pixel_um=0.097, immersion_index=1.33),
        note="a measured bead; optics inferred from its width",
    ),
    RealCase(
        stack="dfnn_mitochondria", offsets=(-16, -8, 0, 8, 15),
        setup=OpticalSetup(na=1.1, wavelength_nm=520, pixel_um=0.13, immersion_index=1.33),
        note="light sheet; optics are a guess, none is published",
    ),
    RealCase(
        stack="faim_beads_E07_s1", offsets=(-4, -2, 0, 2, 4),
        note="spinning disk, pixels of 1.4 um: 1.9 wavelength / NA",
    ),
    RealCase(
        stack="smear", offsets=(-8, -4, 0, 4, 8), is_fluorescence=False,
        setup=OpticalSetup(na=0.5, wavelength_nm=550, pixel_um=0.3),
        note="brightfield, to be declined; optics are a guess, um stand for planes",
    ),
    RealCase(
        stack="bfseg_yeast", offsets=(-12, -6, 0, 6, 12), is_fluorescence=False,
        setup=OpticalSetup(na=1.3, wavelength_nm=550, pixel_um=0.107, immersion_index=1.518),
        note="phase objects, to be declined; optics are a guess",
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class RealPlane:
    """What refocusing makes of one plane of a recorded stack.

    Parameters
    ----------
    offset_um, offset_dof
        Stage z less that of the plane in focus.
    status, reason
        Of the blind answer.
    psnr
        In dB against the plane in focus, by name: "input", "best Gaussian", "blind",
        "Richardson-Lucy, z of the stage"; each at its best gain and offset.
    flux
        Light of the answer over that of the input, above the darkest of it.
    dof
        |defocus| as the network says, and its interval; NaN without.
    width_change
        Width of the bead after over before; NaN where there is none.
    pictures
        For a figure: input, answer (None where declined), truth.
    """

    stack: str
    offset_um: float
    offset_dof: float
    status: str
    reason: str
    psnr: dict[str, float]
    flux: float
    dof: float
    interval_dof: tuple[float, float]
    width_change: float
    pictures: tuple[Float[np.ndarray, "y x"], ...]
    note: str = ""

    @property
    def gain_db(self) -> float:
        """Of the blind answer over the input; NaN without one, and where the input is the truth."""
        if self.offset_um == 0:
            return math.nan
        return self.psnr.get("blind", math.nan) - self.psnr["input"]

    @property
    def gain_over_gaussian_db(self) -> float:
        """Of the blind answer over the best Gaussian; NaN as for ``gain_db``."""
        if self.offset_um == 0:
            return math.nan
        return self.psnr.get("blind", math.nan) - self.psnr["best Gaussian"]


def try_real(
    case: RealCase,
    stack: FocalStack,
    focus_index: int,
    refocus: Callable[[Float[np.ndarray, "y x"], OpticalSetup], Refocused],
) -> Iterator[RealPlane]:
    """Refocus planes of a stack; truth is its plane in focus, registered by the stage alone.

    Parameters
    ----------
    case
        Which planes.
    stack
        As it was opened.
    focus_index
        The plane in focus.
    refocus
        An image and its optics to the answer.
    """
    setup = case.setup or stack.setup
    if setup is None:
        return
    order = np.argsort(stack.z_um)
    middle = int(np.flatnonzero(order == focus_index)[0])
    truth = _plane(stack, focus_index)
    for offset in case.offsets:
        place = middle + offset
        if not 0 <= place < len(order):
            continue
        image = _plane(stack, int(order[place]))
        offset_um = float(stack.z_um[order[place]] - stack.z_um[focus_index])
        yield _judged(case, image, truth, offset_um, setup, refocus(image, setup))


def _plane(stack: FocalStack, index: int) -> Float[np.ndarray, "y x"]:
    """Counts of one plane; of colour the green."""
    pixels = np.asarray(stack.images[index])
    found: np.ndarray = pixels.astype(np.float32)
    return found


def _judged(
    case: RealCase, image: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"],
    offset_um: float, setup: OpticalSetup, answer: Refocused,
) -> RealPlane:  # fmt: skip
    depth_um = setup.depth_of_field_um
    shown = {"input": image, "best Gaussian": best_gaussian_at_gain(image, truth)}
    width_change = math.nan
    if case.is_fluorescence:
        known = deconvolve(image, setup=setup, defocus_um=offset_um)
        if known.image is not None:
            shown["Richardson-Lucy, z of the stage"] = known.image
    if answer.image is not None:
        shown["blind"] = answer.image
        if case.is_point:
            width_change = bead_width_px(answer.image, truth) / bead_width_px(image, truth)
    low, high = answer.interval_um or (math.nan, math.nan)
    is_kept = answer.method == PASSED
    return RealPlane(
        stack=case.stack,
        offset_um=offset_um,
        offset_dof=offset_um / depth_um,
        status=PASSED if is_kept else str(answer.status),
        reason=answer.reason,
        psnr={
            name: quality(with_best_gain(each, truth), truth).psnr for name, each in shown.items()
        },
        flux=light_ratio(shown.get("blind"), image),
        dof=math.nan if answer.defocus_um is None else answer.defocus_um / depth_um,
        interval_dof=(low / depth_um, high / depth_um),
        width_change=width_change,
        pictures=(image, shown["blind"], truth) if "blind" in shown else (image, truth),
        note=case.note,
    )


def best_gaussian_at_gain(
    image: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]
) -> Float[np.ndarray, "y x"]:
    """The smoothed image that is nearest to the truth when each has its best gain and offset."""
    return best_gaussian(with_best_gain(image, truth), truth)[0]


def light_ratio(
    answer: Float[np.ndarray, "y x"] | None, image: Float[np.ndarray, "y x"]
) -> float:  # fmt: skip
    """Light of an answer over that of its input, above the input's darkest percent.

    Examples
    --------
    >>> image = np.arange(256.0).reshape(16, 16)
    >>> round(light_ratio(image, image), 6)
    1.0
    """
    if answer is None:
        return math.nan
    floor = float(np.percentile(image, 1))
    return float((answer.astype(np.float64) - floor).sum() / (image - floor).sum(dtype=np.float64))


def bead_width_px(image: Float[np.ndarray, "y x"], truth: Float[np.ndarray, "y x"]) -> float:
    """Width of the bead that is brightest in the truth."""
    y, x = np.unravel_index(int(truth.argmax()), truth.shape)
    top, left = (
        int(np.clip(at - BOX_PX // 2, 0, size - BOX_PX))
        for at, size in zip((y, x), truth.shape, strict=True)
    )
    box = image[top : top + BOX_PX, left : left + BOX_PX].astype(np.float64)
    return fitted_width_px(box - float(np.percentile(image, 10)), (float(y - top), float(x - left)))


def summary(planes: Sequence[RealPlane]) -> dict[str, float]:
    """Median gains, worst flux, widths in focus, and the share that was declined."""
    answered = [plane for plane in planes if "blind" in plane.psnr]
    gains = [plane.gain_db for plane in answered if math.isfinite(plane.gain_db)]
    focused = [p.width_change for p in answered if p.offset_um == 0 and p.width_change > 0]
    flux = [abs(plane.flux - 1) for plane in answered if math.isfinite(plane.flux)]
    return {
        "planes": float(len(planes)),
        "answered": float(len(answered)),
        "median_gain_db": float(np.median(gains)) if gains else math.nan,
        "worst_gain_db": min(gains, default=math.nan),
        "worst_flux": max(flux, default=math.nan),
        "width_in_focus": focused[0] if focused else math.nan,
    }
