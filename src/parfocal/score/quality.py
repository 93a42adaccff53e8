"""Focus quality of one image in absolute units: its distance from focus in depths of field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.signal import find_peaks
from torch import Tensor

from parfocal.core.errors import MetadataError, ShapeError
from parfocal.core.results import FocusQuality, Status
from parfocal.core.setup import OpticalSetup
from parfocal.core.shapes import as_float_tensor
from parfocal.core.stack import FocalStack
from parfocal.score.blur_model import DEFOCUS_DOF, Explanation, explain
from parfocal.score.tile_spectra import ImageSpectrum, ReadRows, image_spectrum

LEAST_PX = 48
# Above this cut-off, in cycles per pixel, too little of the spectrum is left to tell blurs apart.
HIGHEST_CUTOFF = 1.0
# Share of clipped pixels, and of the variance that they make, which spoils the spectrum; and the
# share that is noted. On simulated images answers hold up to about twice the former.
MOST_CLIPPED, MOST_CLIPPED_VARIANCE, NOTED_CLIPPED = 0.05, 0.25, 0.001
# Farther from focus the side lobes of the OTF take over, and one distance looks like another.
FARTHEST_DOF = 6.0
SURELY = 0.9
# Widest 90 % interval that is still an answer, in depths of field, and its growth with distance.
WIDEST_DOF, WIDEST_SHARE = 1.0, 0.3
# Squared error per ring of the best explanation, beyond which no defocus explains the image.
MOST_MISFIT = 1.1
GRADES = ((0.5, "in focus"), (1.5, "slightly out of focus"), (4.0, "out of focus"))
FARTHEST_GRADE = "far out of focus"
# Words of a modality that does not follow the model, and of one that is narrower than the model.
COHERENT = ("phase", "dic", "brightfield", "darkfield", "hoffman", "transmitted")
PINHOLE = ("confocal", "multiphoton")

ReadBlock = Callable[[slice, slice], Tensor]


def focus_quality(
    images: Any,
    setup: OpticalSetup | None = None,
    *,
    region: tuple[int, int, int, int] | None = None,
    modality: str | None = None,
) -> FocusQuality | list[FocusQuality]:
    """Tell how far an image is from focus, in depths of field, from that image alone.

    The power spectrum says how much of each frequency the optics let through; the distance from
    focus whose optical transfer function explains it best is the answer, and the spread of those
    that explain it nearly as well is the interval. Brightness, gain and offset cancel. The sign
    of the defocus cannot be known from one image.

    Parameters
    ----------
    images
        One image (y, x), several (..., y, x), of any array kind, or a FocalStack.
    setup
        The optics; default those of the stack.
    region
        Rows and columns (top, bottom, left, right) in px that are judged; default the whole field.
    modality
        What the contrast is ("fluorescence", "brightfield", ...); default that of the stack.
        Transmitted light is declined; where nothing is known, fluorescence is assumed and said so.

    Returns
    -------
    A FocusQuality for one image; a list of them for several and for a stack, in their order.
    Only the status ``found`` is an answer.

    Raises
    ------
    MetadataError
        If the optics are not known.
    InputError
        If an image holds NaN or infinity.
    ShapeError
        If the region does not fit, or is smaller than 48 px.

    Notes
    -----
    Laws: offset-free, gain-free, mirror-free.

    The model is incoherent wide-field imaging (fluorescence) of a thin specimen
    [Hopkins1955]_. Under transmitted light images seem nearer to focus than they are, and under
    a pinhole (confocal) too. Structures of one size, a few times the resolution limit (large
    beads), have zeros in their spectrum as a defocused lens has, and may be read so.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> setup = OpticalSetup(na=0.5, wavelength_nm=520, pixel_um=0.2)
    >>> focus_quality(rng.poisson(50, (128, 128)), setup).status
    <Status.BLANK: 'blank'>
    >>> coarse = OpticalSetup(na=0.5, wavelength_nm=520, pixel_um=2.0)
    >>> focus_quality(rng.poisson(50, (128, 128)), coarse).reason
    'undersampled: pixels of 2 um ...; pixels of 0.52 um or finer would do'
    """
    if isinstance(images, FocalStack):
        optics = _require_optics(setup or images.setup, images.source)
        return [
            _judge(
                partial(images.read, plane), images.shape[1:], optics, region=region,
                modality=modality or images.modality, limit=images.saturation_counts,
                name=f"{images.source}: plane {plane}",
            )
            for plane in range(images.shape[0])
        ]  # fmt: skip
    optics = _require_optics(setup, "this image")
    pixels = images if hasattr(images, "shape") else np.asarray(images)
    if len(pixels.shape) < 2:
        raise ShapeError(
            f"Images need at least two axes (y, x), but came with shape {tuple(pixels.shape)}."
        )
    *batch, size_y, size_x = (int(size) for size in pixels.shape)
    answers = [
        _judge(
            _reader(pixels, place), (size_y, size_x), optics, region=region, modality=modality,
            name=f"image {place}" if batch else "image",
        )
        for place in np.ndindex(*batch)
    ]  # fmt: skip
    return answers if batch else answers[0]


def _reader(pixels: Any, place: tuple[int, ...]) -> ReadBlock:
    """Reads blocks of one image among many, whatever kind of array it is."""
    return lambda rows, columns: as_float_tensor(pixels[(*place, rows, columns)])


def _require_optics(setup: OpticalSetup | None, source: str) -> OpticalSetup:
    if setup is None:
        raise MetadataError(
            f"The optics of {source} are not known, and depths of field need them: "
            "give na, wavelength_nm and pixel_um (--na, --wavelength-nm, --pixel-um)."
        )
    return setup


def _judge(
    read: ReadBlock,
    sizes: tuple[int, int],
    setup: OpticalSetup,
    *,
    region: tuple[int, int, int, int] | None,
    modality: str | None,
    name: str,
    limit: float | None = None,
) -> FocusQuality:
    """Judge one image (y, x), read by rows."""
    read_rows, sizes = _cut(read, sizes, region, name)
    words = (modality or "").casefold()
    cutoff = setup.cutoff_cycles_per_px
    if any(word in words for word in COHERENT):
        return FocusQuality(
            status=Status.UNCERTAIN,
            reason=f"{modality}: the blur of fluorescence is known, that of this light is not",
        )
    if cutoff > HIGHEST_CUTOFF:
        coarsest = HIGHEST_CUTOFF / setup.cutoff_per_um
        return FocusQuality(
            status=Status.UNCERTAIN,
            reason=f"undersampled: pixels of {setup.pixel_um:.3g} um pass too little of what "
            f"NA {setup.na:g} resolves; pixels of {coarsest:.2g} um or finer would do",
        )
    spectrum = image_spectrum(read_rows, sizes, cutoff, limit=limit, name=name)
    declined = _decline(spectrum)
    if declined is not None:
        return declined
    sin_alpha = round(setup.na / setup.immersion_index, 3)
    explanation = explain(spectrum.power, spectrum.rings, sin_alpha=sin_alpha, tiles=spectrum.tiles)
    return _answer(explanation, setup, _warnings(words, spectrum))


def _warnings(words: str, spectrum: ImageSpectrum) -> tuple[str, ...]:
    """What to look at although there is an answer."""
    notes = []
    if not words or words in ("auto", "intensity"):
        notes.append("modality is not known: judged as wide-field fluorescence")
    if any(word in words for word in PINHOLE):
        notes.append("a pinhole makes images seem nearer to focus than they are")
    if spectrum.clipped > NOTED_CLIPPED:
        notes.append(f"{100 * spectrum.clipped:.1f} % of the pixels are clipped")
    return tuple(notes)


def _cut(
    read: ReadBlock,
    sizes: tuple[int, int],
    region: tuple[int, int, int, int] | None,
    name: str,
) -> tuple[ReadRows, tuple[int, int]]:
    """A reader of the region's rows, and the region's sizes (y, x)."""
    top, bottom, left, right = region or (0, sizes[0], 0, sizes[1])
    if not (0 <= top < bottom <= sizes[0] and 0 <= left < right <= sizes[1]):
        raise ShapeError(
            f"{name}: region rows {top}:{bottom}, columns {left}:{right} does not lie inside the "
            f"field of {sizes[0]} x {sizes[1]} px; give --region Y0:Y1,X0:X1."
        )
    sizes = (bottom - top, right - left)
    if min(sizes) < LEAST_PX:
        raise ShapeError(
            f"{name}: {sizes[0]} x {sizes[1]} px are too few to judge a spectrum; "
            f"give an image or region of at least {LEAST_PX} x {LEAST_PX} px."
        )

    def read_rows(rows: slice) -> NDArray[Any]:
        block = read(slice(top + rows.start, top + rows.stop), slice(left, right))
        counts: NDArray[Any] = block.detach().cpu().numpy()
        return counts

    return read_rows, sizes


def _decline(spectrum: ImageSpectrum) -> FocusQuality | None:
    """Decline an image that is clipped or holds nothing."""
    if spectrum.clipped > MOST_CLIPPED or spectrum.clipped_variance > MOST_CLIPPED_VARIANCE:
        share = f"{100 * spectrum.clipped:.2g} % of the pixels are at the camera's limit"
        return FocusQuality(
            status=Status.SATURATED, reason=f"{share}: image again with less light or exposure"
        )
    if spectrum.flat:
        return FocusQuality(status=Status.BLANK, reason="all pixels are equal")
    if not spectrum.voted:
        return FocusQuality(
            status=Status.BLANK, reason="nothing stands out of the noise: no structure to judge"
        )
    return None


def _answer(
    explanation: Explanation, setup: OpticalSetup, warnings: tuple[str, ...]
) -> FocusQuality:
    """Turn the posterior into an answer, or say why it is none."""
    if explanation.misfit > MOST_MISFIT:
        return FocusQuality(
            status=Status.UNCERTAIN,
            reason="no defocus explains this spectrum: aberrations, a processed image, or not "
            "wide-field fluorescence with these optics",
        )
    low, middle, high, beyond = summarise(explanation.density)
    if beyond > SURELY:
        return FocusQuality(
            status=Status.UNCERTAIN,
            reason=f"beyond {FARTHEST_DOF:g} depths of field from focus: too far to be measured",
        )
    if high > FARTHEST_DOF or high - low > WIDEST_DOF + WIDEST_SHARE * middle:
        if count_peaks(explanation.density) > 1:
            return FocusQuality(
                status=Status.AMBIGUOUS,
                reason="two distances from focus explain the spectrum about equally well",
            )
        return FocusQuality(
            status=Status.UNCERTAIN,
            reason="too little fine structure above the noise to tell defocus from smooth objects",
        )
    grade = next((word for most, word in GRADES if middle <= most), FARTHEST_GRADE)
    unit = setup.depth_of_field_um
    return FocusQuality(
        status=Status.FOUND,
        reason=f"{grade}: {middle:.1f} depths of field from focus (90 %: {low:.1f} to {high:.1f})",
        defocus_dof=middle,
        interval_dof=(low, high),
        defocus_um=middle * unit,
        interval_um=(low * unit, high * unit),
        grade=grade,
        warnings=warnings,
    )


def summarise(density: Float[np.ndarray, " d"]) -> tuple[float, float, float, float]:
    """Shortest 90 % interval and median of a posterior, and its share beyond the farthest.

    Returns
    -------
    Low end, median, high end in depths of field; probability of more than 6.
    """
    distance = np.linspace(DEFOCUS_DOF[0], DEFOCUS_DOF[-1], 4001)
    height = np.interp(distance, DEFOCUS_DOF, density)
    below = np.concatenate([[0.0], np.cumsum(height[1:] + height[:-1])])
    below /= below[-1]
    ends = np.interp(np.minimum(below + 0.9, 1.0), below, distance)
    first = int(np.argmin(np.where(below <= 0.1, ends - distance, np.inf)))
    middle = float(np.interp(0.5, below, distance))
    beyond = 1 - float(np.interp(FARTHEST_DOF, distance, below))
    return float(distance[first]), middle, float(ends[first]), beyond


def count_peaks(density: Float[np.ndarray, " d"]) -> int:
    """Peaks of a posterior at least a fifth as high as the highest, and as far above passes."""
    least = 0.2 * float(density.max())
    return len(find_peaks(np.pad(density, 1), height=least, prominence=least)[0])
