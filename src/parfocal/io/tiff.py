"""Open a TIFF file that holds a stack: OME-TIFF, ImageJ, Micro-Manager, MetaMorph and plain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from parfocal.core.errors import InputError, MetadataError, ReadError, ShapeError
from parfocal.io import tiff_planes
from parfocal.io.blocks import GreyPlane, Plane, lazy_stack, same_size
from parfocal.io.faults import reading
from parfocal.io.metadata import FileFacts, Length, saturation_of
from parfocal.io.ome_xml import OmeImage, parse_ome
from parfocal.io.options import OpenOptions, choose
from parfocal.io.tiff_pages import PageFacts, imagej_values, page_facts, positive

_REDUCED = 1  # NewSubfileType: a smaller copy of another page


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the planes of a file lie: pages in C order of the leading axes."""

    axes: str
    sizes: tuple[int, ...]
    pages: Sequence[Any]
    keyframe: Any
    start: int | None = None  # all planes in one piece of the file from here on

    def plane(
        self, place: dict[str, int], *, source: str
    ) -> tiff_planes.MappedPlane | tiff_planes.SegmentPlane:
        """The plane at a place along the leading axes."""
        numbers = [place.get(axis, 0) for axis in self.axes]
        index = int(np.ravel_multi_index(numbers, self.sizes)) if numbers else 0
        if self.start is not None:
            return tiff_planes.page_plane(
                self.keyframe, offset=self.start + index * int(self.keyframe.nbytes)
            )
        page = self.pages[index] if index < len(self.pages) else None
        if page is None:
            raise ReadError(
                f"{source}: plane {index} of {math.prod(self.sizes)} is missing: the file is cut "
                "off, or another file of the set is not beside it; copy the whole set."
            )
        return tiff_planes.page_plane(page)


def open_tiff(path: Path, options: OpenOptions) -> FileFacts:
    """Facts of a stack in one TIFF file, or in the set of OME-TIFF files it belongs to."""
    source = str(path)
    with reading(source), tifffile.TiffFile(path) as tif:
        if not len(tif.pages):
            raise ReadError(f"{source}: holds no images; copy or export the file again.")
        text = str(tif.pages.first.description or "")
        images = parse_ome(text, source=source) if tif.is_ome else []
        _check_ome(images, tif, source)
        if tif.is_imagej and not images:
            _check_imagej(tif, imagej_values(text), source)
        series = _pick_series(tif, images, options, source)
        return _stack_facts(tif, series, images, options, source)


def _check_ome(images: Sequence[OmeImage], tif: Any, source: str) -> None:
    """Refuse OME-XML that speaks of more or fewer planes than the file has pages."""
    if not images or any(image.files - {Path(source).name} for image in images):
        return
    if any(min(i.size_z, i.size_c, i.size_t, i.samples) < 1 for i in images):
        raise MetadataError(f"{source}: its OME-XML gives a size of 0; export the file again.")
    said = sum(image.planes for image in images)
    pages = len(tif.pages)
    if said == pages:
        return
    full = sum(1 for page in tif.pages if not is_reduced(page))
    if said != full:
        sizes = ", ".join(f"Z={i.size_z} C={i.size_c} T={i.size_t}" for i in images[:3])
        raise MetadataError(
            f"{source}: its OME-XML speaks of {said} planes ({sizes}) but the file has {full}; "
            "it is cut off or was cropped without its metadata: export it again."
        )


def is_reduced(page: Any) -> bool:
    """Whether a page is a smaller copy of another one."""
    return bool(int(getattr(page, "subfiletype", 0) or 0) & _REDUCED)


def _check_imagej(tif: Any, values: dict[str, str], source: str) -> None:
    """Refuse an ImageJ description that speaks of more or fewer planes than are stored."""
    counts = [positive(values.get(name)) or 1 for name in ("channels", "slices", "frames")]
    page = tif.pages.first
    if int(page.samplesperpixel) == counts[0]:
        counts[0] = 1
    said, pages = int(math.prod(counts)), len(tif.pages)
    fits = said in (pages, 1)
    if pages == 1 and said > 1 and len(page.dataoffsets) == 1:  # one header for all planes
        fits = page.dataoffsets[0] + said * page.nbytes <= tif.filehandle.size
    if not fits:
        raise MetadataError(
            f"{source}: its ImageJ description speaks of {said} planes but the file has {pages}; "
            "it is cut off or was edited: save it again from ImageJ."
        )


def _pick_series(tif: Any, images: Sequence[OmeImage], options: OpenOptions, source: str) -> Layout:
    """The images of one position at one resolution level."""
    series = [s for s in tif.series if s.pages and s.kind != "generic"]
    if not series:
        return _all_pages(tif)
    kept = [s for s in series if math.prod(s.shape)]
    if not kept:
        raise ShapeError(f"{source}: its images are empty; export the file again.")
    names = _position_names(kept, images)
    several = len(kept) > 1
    chosen = kept[choose("position", options.position if several else None, names, source=source)]
    if options.level >= len(chosen.levels):
        raise InputError(
            f"{source}: has no resolution level {options.level}; "
            f"choose a level from 0 to {len(chosen.levels) - 1}."
        )
    level = chosen.levels[options.level]
    key = level.keyframe
    lead = len(level.shape) - len(key.shape)
    if lead < 0 or tuple(level.shape[lead:]) != tuple(key.shape):
        raise ReadError(
            f"{source}: its images have shape {tuple(level.shape)}, which does not end in that of "
            f"its pages, {tuple(key.shape)}; export it one page a plane, each wider than 1 px."
        )
    start = level.dataoffset if int(key.planarconfig) == 1 else None
    return Layout(level.axes[:lead], tuple(level.shape[:lead]), level, key, start)


def _position_names(series: Sequence[Any], images: Sequence[OmeImage]) -> list[str]:
    """Names of the positions, as far as the file has any."""
    if len(images) == len(series):
        return [image.name or str(i) for i, image in enumerate(images)]
    return [one.name or str(i) for i, one in enumerate(series)]


def _all_pages(tif: Any) -> Layout:
    """Every full-size page as a plane, where the file is no series that is known."""
    tif.pages.useframes = False
    pages = [page for page in tif.pages if not is_reduced(page)]
    return Layout("I", (len(pages),), pages, pages[0])


def _stack_facts(
    tif: Any, layout: Layout, images: Sequence[OmeImage], options: OpenOptions, source: str
) -> FileFacts:
    """Choose channel, time and position, and gather the planes and what is said of them."""
    sizes = _named_axes(layout, source)
    image, position = _pick_position(images, sizes, options, source)
    mm = tif.micromanager_metadata if tif.is_micromanager else None
    summary = (mm or {}).get("Summary") or {}
    names = _channel_names(image, summary, sizes.get("C", 1), layout)
    sample_channels = _sample_channels(layout.keyframe, tif, image)
    if sample_channels:
        names = [*names, *map(str, range(len(names), sample_channels))][:sample_channels]
    channel = choose("channel", options.channel, names, source=source)
    time = _pick_time(sizes, options, source)
    place = {"T": time, "P": position, "C": 0 if sample_channels else channel}
    z_axis = _z_axis(layout)
    planes: list[Plane] = []
    notes: list[str] = []
    for z in range(sizes.get("Z", 1)):
        full = {axis: place.get(_ROLE.get(axis, axis), 0) for axis in layout.axes}
        stored = layout.plane(full | ({z_axis: z} if z_axis else {}), source=source)
        planes.append(_grey(stored, layout.keyframe, channel if sample_channels else None, notes))
    planes, more = same_size(planes, crop_common=options.crop_common, source=source)
    first = page_facts(tif.pages.first, source=source)
    facts = FileFacts(
        source=source,
        name=stem(Path(source)),
        images=lazy_stack(planes, source=source),
        channel=names[channel] if len(names) > 1 or not names[0].isdecimal() else first.channel,
        saturation_counts=page_saturation(layout.keyframe, _bits(image, first, summary)),
        notes=tuple(dict.fromkeys([*notes, *more])),
    )
    facts = _with_sampling(facts, tif, layout, image, first, (channel, time, len(planes)))
    return _with_summary(facts, summary) if summary else facts


_ROLE = {"R": "P", "I": "Z", "Q": "Z"}


def _z_axis(layout: Layout) -> str | None:
    """The axis whose steps are planes: Z, or else the one unnamed axis of several pages."""
    if "Z" in layout.axes:
        return "Z"
    unnamed = [a for a, n in zip(layout.axes, layout.sizes, strict=True) if a in "IQ" and n > 1]
    return unnamed[0] if len(unnamed) == 1 else None


def _named_axes(layout: Layout, source: str) -> dict[str, int]:
    """Sizes along Z, C, T and P; refuses axes that mean nothing here."""
    sizes: dict[str, int] = {}
    z_axis = _z_axis(layout)
    for axis, size in zip(layout.axes, layout.sizes, strict=True):
        role = "Z" if axis == z_axis else {"R": "P"}.get(axis, axis)
        if role in "ZCTP" and role not in sizes:
            sizes[role] = size
        elif size > 1:
            raise ShapeError(
                f"{source}: has axes {layout.axes}YX of sizes {layout.sizes}, and axis {axis!r} is "
                "none of z, channel, time, position; save one stack per file."
            )
    return sizes


def _pick_position(
    images: Sequence[OmeImage], sizes: dict[str, int], options: OpenOptions, source: str
) -> tuple[OmeImage | None, int]:
    """The OME image of the chosen position, and its place along a position axis."""
    along = sizes.get("P", 1)
    names = [image.name or str(i) for i, image in enumerate(images)]
    if len(names) != along and (along > 1 or not names):
        names = [str(i) for i in range(along)]
    number = choose("position", options.position, names, source=source)
    image = images[number] if number < len(images) else None
    return image, number if along > 1 else 0


def _pick_time(sizes: dict[str, int], options: OpenOptions, source: str) -> int:
    """The chosen time; says what to do where planes were saved as times."""
    count = sizes.get("T", 1)
    if options.time is None and count > 1 and sizes.get("Z", 1) == 1:
        raise InputError(
            f"{source}: holds {count} times of one plane; choose one with time (--time), or, where "
            "the times are planes, save them as slices (ImageJ: Image > Properties)."
        )
    return choose("time", options.time, [str(i) for i in range(count)], source=source)


def _channel_names(
    image: OmeImage | None, summary: dict[str, Any], count: int, layout: Layout
) -> list[str]:
    if image is not None and len(image.channels) >= count:
        return [channel.name for channel in image.channels[:count]]
    names = [str(name) for name in summary.get("ChNames") or []]
    return names if len(names) == count else [str(i) for i in range(count)]


def _sample_channels(key: Any, tif: Any, image: OmeImage | None) -> int:
    """Number of channels that are stored as samples of each pixel; 0 where they are colours."""
    samples = int(key.samplesperpixel)
    if samples == 1:
        return 0
    colour = int(key.photometric) in (tiff_planes.RGB, tiff_planes.YCBCR) and samples >= 3
    if tif.is_imagej and not image:
        values = imagej_values(str(tif.pages.first.description))
        colour = colour and "channels" not in values
    if samples == 2:  # grey and opacity
        return 0
    return 0 if colour else samples


def grey_page(page: Any, notes: list[str]) -> Plane:
    """A page as a grey plane, with a note of what was done; for files with one plane each."""
    key = page.keyframe
    colour = int(key.photometric) in (tiff_planes.RGB, tiff_planes.YCBCR)
    if int(key.samplesperpixel) > 2 and not colour:
        raise ShapeError(
            f"{page.parent.filehandle.path}: holds {int(key.samplesperpixel)} channels in one "
            "plane's file; save one channel per file."
        )
    return _grey(tiff_planes.page_plane(page), key, None, notes)


def _grey(stored: Any, key: Any, sample: int | None, notes: list[str]) -> Plane:
    """One grey plane of what is stored, with a note of what was done."""
    plane: Plane = stored
    photometric = int(key.photometric)
    samples = int(key.samplesperpixel)
    if samples > 1:
        if sample is None and samples > 2:
            notes.append("colours became luminance (Rec. 709 weights on the stored values)")
        return GreyPlane(stored, 0 if samples == 2 and sample is None else sample)
    if photometric == tiff_planes.PALETTE and key.colormap is not None:
        notes.append("palette colours became luminance (Rec. 709 weights on the stored values)")
        return tiff_planes.PalettePlane(stored, np.asarray(key.colormap))
    if photometric == tiff_planes.MINISWHITE and np.dtype(key.dtype).kind in "bu":
        notes.append("white is zero in the file: counts were turned round")
        return tiff_planes.InvertedPlane(stored)
    return plane


def page_saturation(page: Any, bits: int | None) -> float | None:
    """Counts at which a page clips."""
    key = page.keyframe
    if int(key.photometric) == tiff_planes.PALETTE and int(key.samplesperpixel) == 1:
        return 255.0
    return saturation_of(key.dtype, bits)


def _bits(image: OmeImage | None, first: PageFacts, summary: dict[str, Any]) -> int | None:
    """Bits of the camera, where the file says."""
    said = (image.bits if image else None) or first.bits
    return said or int(positive(summary.get("BitDepth")) or 0) or None


def _with_sampling(
    facts: FileFacts,
    tif: Any,
    layout: Layout,
    image: OmeImage | None,
    first: PageFacts,
    picked: tuple[int, int, int],
) -> FileFacts:
    """Add z, pixel size and optics from the dialect that the file speaks."""
    channel, time, count = picked
    shrink = tif.pages.first.imagewidth / layout.keyframe.imagewidth
    if image is not None:
        of_channel = image.channel(channel)
        return replace(
            facts,
            positions=_only(image.positions(channel, time), count),
            positions_unit=image.z_unit,
            step=image.step,
            pixel_y=_times(image.pixel_y, shrink),
            pixel_x=_times(image.pixel_x, shrink),
            na=image.na,
            immersion_index=image.immersion_index,
            wavelength_nm=of_channel.emission_nm,
            modality=of_channel.modality,
        )
    facts = replace(
        facts,
        step=first.step,
        pixel_y=first.pixel_y,
        pixel_x=first.pixel_x,
        na=first.na,
        immersion_index=first.immersion_index,
        wavelength_nm=first.wavelength_nm,
        modality=first.modality,
    )
    if first.z is not None and count == len(tif.pages):
        tif.pages.useframes = False
        each = [page_facts(page, source=facts.source).z for page in tif.pages]
        return replace(facts, positions=np.array([z.value if z else math.nan for z in each]))
    if tif.is_stk and tif.stk_metadata:
        return _stk(facts, tif.stk_metadata)
    if tif.is_lsm and tif.lsm_metadata:
        sides = {axis: tif.lsm_metadata.get(f"VoxelSize{axis}") for axis in "XYZ"}
        lengths = {axis: Length(float(side), "m") if side else None for axis, side in sides.items()}
        return replace(facts, pixel_y=lengths["Y"], pixel_x=lengths["X"], step=lengths["Z"])
    return facts


def _stk(facts: FileFacts, values: dict[str, Any]) -> FileFacts:
    """MetaMorph stacks: distances between planes and calibration in the UIC tags."""
    unit = str(values.get("CalibrationUnits", ""))
    steps = np.atleast_1d(np.asarray(values.get("ZDistance", [0.0]), dtype=float))
    step = float(np.median(steps[1:])) if len(steps) > 1 else 0.0
    return replace(
        facts,
        step=Length(step, unit) if step else None,
        pixel_y=Length(float(values.get("YCalibration", 0.0)), unit),
        pixel_x=Length(float(values.get("XCalibration", 0.0)), unit),
    )


def _with_summary(facts: FileFacts, summary: dict[str, Any]) -> FileFacts:
    """Fill what is missing from Micro-Manager's summary."""
    step, pixel = positive(summary.get("z-step_um")), positive(summary.get("PixelSize_um"))
    side = None if pixel is None else Length(pixel)
    return replace(
        facts,
        step=facts.step or (None if step is None else Length(step)),
        pixel_y=facts.pixel_y or side,
        pixel_x=facts.pixel_x or side,
    )


def _only(z: NDArray[np.float64] | None, count: int) -> NDArray[np.float64] | None:
    return z if z is not None and len(z) == count else None


def _times(length: Length | None, factor: float) -> Length | None:
    return None if length is None else Length(length.value * factor, length.unit)


def stem(path: Path) -> str:
    """A file's name without what its format adds.

    Examples
    --------
    >>> stem(Path("a/B03.ome.tif")), stem(Path("x.ome.zarr")), stem(Path("12.5um.tif"))
    ('B03', 'x', '12.5um')
    """
    return path.stem.removesuffix(".ome") or path.name
