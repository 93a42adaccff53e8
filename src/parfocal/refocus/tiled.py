"""Refocus an image of any size into a file, block by block; a run that was stopped goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parfocal.core.device import pick_device
from parfocal.core.errors import InputError
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.core.status import Status
from parfocal.io.unfinished import UnfinishedImages, beside
from parfocal.refocus.asking import (
    NETWORK,
    Asked,
    RefocusSettings,
    one_plane,
    optics_of,
    require_free,
)
from parfocal.refocus.blind import DEFAULT_MODEL, load_refocuser
from parfocal.refocus.blocks import Block, Blocks, Sharpen, write_blocks
from parfocal.refocus.deconvolution import FLUX_KEPT, ITERATIONS, Sharpening, deconvolve
from parfocal.refocus.filing import (
    IMAGE,
    TRUST,
    DiskSink,
    RefocusedFile,
    file_of,
    like_source,
    record_of,
    write_refocused,
)
from parfocal.refocus.fitness import refuse_optics
from parfocal.refocus.refocuser import PASSED, Untrusted
from parfocal.refocus.regions import (
    LEAST_TRUST,
    Deconvolved,
    Networked,
    distances_of,
    farthest_um,
    passed,
    with_input,
)
from parfocal.refocus.surface import DEFAULT_MODEL as SURFACE_MODEL
from parfocal.refocus.surface import to_surface
from parfocal.refocus.survey import Survey, survey_image

WHOLE_PX = 4096**2
"""Images of up to so many pixels are held in memory as a whole."""
PROBE_PX, SAMPLE_PX = 512, 2048
"""Sides of what is looked at in a large image to tell its distance, by optics and by network."""
Begin = Callable[[str], None]


def to_file(
    image: Any,
    target: str | Path,
    settings: RefocusSettings | None = None,
    *,
    setup: OpticalSetup | None = None,
    defocus_um: Any = None,
    surface_um: Any = None,
    device: str = "cpu",
    overwrite: bool = False,
    whole_px: int | None = None,
    begin: Begin = lambda _name: None,
) -> RefocusedFile:
    """Bring an image into focus and write it beside its trust, whatever its size.

    Parameters
    ----------
    image
        A FocalStack of one plane, or counts (y, x) of any array kind; large lazy ones are read
        block by block.
    target
        Ends in ``.ome.tif`` or ``.ome.zarr``; trust goes beside it as ``NAME.trust.ome.tif``.
    settings
        Method, model and what belongs to them; by default the network.
    setup
        The optics; those of the stack if not given.
    defocus_um
        Distance from focus for deconvolution: a number, a map (y, x), or a function of y and x
        in px.
    surface_um
        Height in um of the wanted surface above the image's plane, likewise. Deconvolution takes
        it for where the specimen lies.
    device
        "cpu", "cuda" or "auto".
    overwrite
        Replace what is there.
    whole_px
        Images of more pixels, by default 4096 x 4096, are made in blocks of 1024 x 1024.
    begin
        Called with a few words as each block begins.

    Returns
    -------
    What came of it; without an answer nothing is written.

    Raises
    ------
    InputError, ShapeError, MetadataError, UnknownNameError
        If pixels are NaN, shapes do not fit, the optics or the distance are missing, a name is
        unknown, or the target exists.

    Notes
    -----
    Background, noise, scale and distance are taken once from the whole image, so that blocks agree
    but for what lies beyond their halo; they fade into each other over 32 px. What is finished is
    kept in ``.unfinished.NAME`` beside the target: the same call goes on from there.

    Examples
    --------
    >>> import tempfile
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> image = np.random.default_rng(0).poisson(100.0, (64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder) / "sharp.ome.tif"
    ...     how = RefocusSettings(method="wiener")
    ...     made = to_file(image, place, how, setup=setup, defocus_um=2.0)
    ...     made.status.value, [path.name for path in made.paths]
    ('found', ['sharp.ome.tif', 'sharp.trust.ome.tif'])
    """
    place = Path(target).expanduser()
    require_free(place, beside(place, TRUST), overwrite=overwrite)
    source = one_plane(image)
    asked = Asked(
        source=source, setup=optics_of(setup, source), settings=settings or RefocusSettings(),
        defocus_um=defocus_um, surface_um=surface_um, device=device,
    )  # fmt: skip
    asked.check()
    refusal = asked.refusal()
    if refusal is not None:
        return file_of(_none(asked, refusal), asked)
    if math.prod(asked.shape) <= (WHOLE_PX if whole_px is None else whole_px):
        begin("the whole image")
        return write_refocused(_refocused(asked), asked, place, overwrite=overwrite)
    prepare = _prepared_network if asked.method == NETWORK else _prepared_deconvolution
    return _in_blocks(asked, prepare(asked, begin), place, overwrite=overwrite, begin=begin)


def steps_of(shape: tuple[int, int]) -> int:
    """How often ``begin`` will be called at most.

    Examples
    --------
    >>> steps_of((2048, 2048)), steps_of((8192, 8192))
    (1, 129)
    """
    if math.prod(shape) <= WHOLE_PX:
        return 1
    return 2 * len(Blocks(shape=shape, halo_px=0)) + 1


def _refocused(asked: Asked) -> Refocused:
    """Refocus an image that is held in memory."""
    if asked.method == NETWORK:
        return _by_network(asked)
    image, how = np.asarray(asked.image), asked.settings
    result = deconvolve(
        image, setup=asked.setup, defocus_um=asked.distances_um, interval_um=how.interval_um,
        method=how.method, iterations=how.iterations, background=how.background,
        aberrations=how.aberrations, saturation_counts=how.saturation_counts,
        device=asked.device,
    )  # fmt: skip
    if how.untrusted == "input" and result.image is not None:
        np.copyto(result.image, image, where=result.trust < LEAST_TRUST, casting="unsafe")
    return result


def _by_network(asked: Asked) -> Refocused:
    how, surface_um = asked.settings, asked.surface_um
    untrusted: Untrusted = "input" if how.untrusted == "input" else "answer"
    if surface_um is None:
        refocuser = load_refocuser(how.model or DEFAULT_MODEL, device=asked.device)
        return refocuser.refocus(
            asked.image, setup=asked.setup, saturation_counts=how.saturation_counts,
            untrusted=untrusted,
        )  # fmt: skip
    if callable(surface_um):
        size_y, size_x = asked.shape
        surface_um = distances_of(surface_um, (slice(0, size_y), slice(0, size_x))).numpy()
    return to_surface(
        asked.image, surface_um, setup=asked.setup, model=how.model or SURFACE_MODEL,
        spherical_waves=how.spherical_waves, saturation_counts=how.saturation_counts,
        untrusted=untrusted, device=asked.device,
    )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class _Prepared:
    """What is known of a whole image before its blocks are made.

    ``answer`` carries all but the pixels; ``sharpen`` is None where there is no answer.
    """

    answer: Refocused
    survey: Survey
    sharpen: Sharpen | None = None
    halo_px: int = 0
    level: float = 0.0
    is_dark: bool = False


def _surveyed(asked: Asked, begin: Begin) -> Survey:
    blocks = Blocks(shape=asked.shape, halo_px=0, fade_px=0)
    return survey_image(
        asked.image, blocks, saturation_counts=asked.settings.saturation_counts, begin=begin
    )


def _refused(asked: Asked, survey: Survey, refusal: tuple[Status, str]) -> _Prepared:
    return _Prepared(answer=_none(asked, refusal), survey=survey)


def _none(asked: Asked, refusal: tuple[Status, str]) -> Refocused:
    """No answer, without the zeros that a large image would need."""
    status, reason = refusal
    none = np.zeros((1, 1), np.float32)
    return Refocused(status=status, reason=reason, method=asked.method, image=None, trust=none)


def _prepared_deconvolution(asked: Asked, begin: Begin) -> _Prepared:
    """Ask about the distance where there is most structure; its answer is that of the whole."""
    survey = _surveyed(asked, begin)
    refusal = survey.refusal()
    if refusal is not None:
        return _refused(asked, survey, refusal)
    distances_um = asked.distances_um
    is_map = callable(distances_um) or getattr(distances_um, "ndim", 0) > 0
    far = farthest_um(distances_um, asked.shape)
    level = survey.level if asked.settings.background is None else asked.settings.background
    answer = deconvolve(
        _busiest(asked, survey, PROBE_PX), setup=asked.setup,
        defocus_um=far if is_map else float(distances_um), interval_um=asked.settings.interval_um,
        method=asked.method, iterations=1, background=level,
        aberrations=asked.settings.aberrations, device=asked.device,
    )  # fmt: skip
    if not answer.found:
        return _Prepared(answer=answer, survey=survey)
    if answer.method == PASSED:
        return _Prepared(answer=answer, survey=survey, sharpen=passed, level=level)
    steps = asked.settings.iterations or ITERATIONS[asked.method]
    plan = Sharpening(
        asked.setup, asked.method, steps, level, asked.settings.aberrations,
        asked.settings.saturation_counts, noise_to_signal=survey.noise_to_signal,
    )  # fmt: skip
    answer = replace(
        answer, defocus_um=None if is_map else answer.defocus_um,
        provenance={**answer.provenance, "iterations": steps, "background": level},
    )  # fmt: skip
    return _Prepared(
        answer=answer, survey=survey, sharpen=Deconvolved(plan=plan, defocus_um=distances_um),
        halo_px=plan.halo_px(far), level=level,
    )  # fmt: skip


def _prepared_network(asked: Asked, begin: Begin) -> _Prepared:
    """Ask the network where there is most structure, as of a small image, and keep its scale."""
    if asked.surface_um is not None:
        raise InputError(
            f"A network refocuses onto a surface only up to {WHOLE_PX} px; give --method "
            "richardson-lucy, or cut the image."
        )
    survey = _surveyed(asked, begin)
    refusal = survey.refusal() or refuse_optics(asked.shape, asked.setup)
    if refusal is not None:
        return _refused(asked, survey, refusal)
    begin("distance, noise and scale")
    refocuser = load_refocuser(asked.settings.model or DEFAULT_MODEL, device=asked.device)
    ceiling, sample = asked.settings.saturation_counts, _busiest(asked, survey, SAMPLE_PX)
    answer = refocuser.refocus(sample, setup=asked.setup, saturation_counts=ceiling)
    seen = refocuser.look(sample, setup=asked.setup, saturation_counts=ceiling)
    if isinstance(seen, Refocused) or not answer.found:
        return _Prepared(answer=answer, survey=survey)
    levels = seen[1]
    facts = refocuser.facts_of(*seen)
    if answer.method == PASSED:
        return _Prepared(
            answer=answer, survey=survey, sharpen=passed, level=facts.floor,
            is_dark=refocuser.calibration.is_dark,
        )  # fmt: skip
    sharpen = Networked(
        refocuser=refocuser, levels=levels, facts=facts, setup=asked.setup, shape=asked.shape
    )
    return _Prepared(
        answer=answer,
        survey=survey,
        sharpen=sharpen,
        halo_px=sharpen.halo_px,
        level=facts.floor,
        is_dark=refocuser.calibration.is_dark,
    )


def _busiest(asked: Asked, survey: Survey, side_px: int) -> NDArray[Any]:
    """Pixels around the block with most structure."""
    block = Blocks(shape=asked.shape, halo_px=0, fade_px=0)[survey.busiest[0]]
    spans = []
    for own, size in zip((block.rows, block.columns), asked.shape, strict=True):
        first = max(0, min((own.start + own.stop - side_px) // 2, size - side_px))
        spans.append(slice(first, min(size, first + side_px)))
    return np.asarray(asked.image[spans[0], spans[1]])


def _in_blocks(
    asked: Asked, prepared: _Prepared, place: Path, *, overwrite: bool, begin: Begin
) -> RefocusedFile:
    """Make all blocks that are not there yet, and give the files their names."""
    sharpen, answer = prepared.sharpen, prepared.answer
    if sharpen is None:
        return file_of(answer, asked)
    blocks = Blocks(shape=asked.shape, halo_px=prepared.halo_px)
    if asked.settings.untrusted == "input":
        sharpen = _with_input(sharpen)
    nothing = np.broadcast_to(np.float32(0), asked.shape)
    card = {} if answer.card is None else {"sha256": answer.card["sha256"]}
    layout = {"halo_px": blocks.halo_px, "block_px": blocks.block_px, "fade_px": blocks.fade_px}
    images = UnfinishedImages(
        place, (IMAGE, TRUST), like_source(asked.source, nothing, asked.setup),
        plan=asked.plan() | card | layout, block_px=blocks.block_px,
    )  # fmt: skip
    sink, kept = DiskSink(images), images.done
    where = pick_device(asked.device)
    write_blocks(asked.image, blocks, sharpen, sink, device=where, begin=begin)
    pixels = math.prod(asked.shape)
    light = prepared.survey.total - prepared.level * pixels
    side = -1.0 if prepared.is_dark else 1.0  # light that is missing counts as light
    flux = (images.sums["light"] - prepared.level * pixels) / light if side * light > 0 else None
    made = file_of(
        answer, asked, trust=images.sums["trust"] / pixels, paths=(place, beside(place, TRUST)),
        blocks=len(blocks), kept=kept,
    )  # fmt: skip
    made = replace(
        made, flux=flux, warnings=_warnings(answer, flux), provenance=made.provenance | layout
    )
    images.finish(
        {name: record_of(made, asked, name) for name in (IMAGE, TRUST)}, overwrite=overwrite
    )
    return made


def _with_input(sharpen: Sharpen) -> Sharpen:
    """The same with the input's pixels where trust is low."""

    def kept(region: Float[Tensor, "y x"], block: Block) -> Float[Tensor, "2 y x"]:
        return with_input(region, sharpen(region, block))

    return kept


def _warnings(answer: Refocused, flux: float | None) -> tuple[str, ...]:
    """Those of the sample, but with the light of the whole."""
    warnings = [text for text in answer.warnings if "light changed" not in text]
    if flux is not None and abs(flux - 1) > FLUX_KEPT:
        warnings.append(f"the light changed by {100 * (flux - 1):+.0f} %")
    return tuple(warnings)
