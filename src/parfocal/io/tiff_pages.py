"""What one TIFF page says of itself: MetaMorph, Micro-Manager, ImageJ and plain tags."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from parfocal.io.metadata import Length
from parfocal.io.ome_xml import OmeImage, parse_ome

_PROPERTY = re.compile(r'<(?:custom-)?prop id="([^"]+)"[^>]*?value="([^"]*)"')
_MICRO_MANAGER = 51123
_RESOLUTION_UNIT = {2: "inch", 3: "cm"}
# Coarser than this, a plain resolution tag speaks of paper (72 to 600 dpi), not of a specimen.
_COARSEST_TAG_UM = 20.0


@dataclass(frozen=True)
class PageFacts:
    """What one page says; every part may be missing."""

    z: Length | None = None
    step: Length | None = None
    pixel_y: Length | None = None
    pixel_x: Length | None = None
    na: float | None = None
    immersion_index: float | None = None
    wavelength_nm: float | None = None
    bits: int | None = None
    modality: str | None = None
    channel: str | None = None


def page_facts(page: Any, *, source: str) -> PageFacts:
    """Read what the tags and the description of one page say."""
    text = str(getattr(page, "description", "") or "")
    tags = getattr(page, "tags", {})
    own = tags.get(_MICRO_MANAGER) if tags else None
    if own is not None and isinstance(own.value, dict):
        return _micro_manager(own.value)
    if "<MetaData>" in text[:200]:
        return _metamorph(text)
    if text.startswith("ImageJ="):
        return imagej_facts(page, imagej_values(text))
    if "<OME" in text[:2000]:
        return _ome(parse_ome(text, source=source))
    return _plain(tags)


def number(text: object) -> float | None:
    """A finite number, or None.

    Examples
    --------
    >>> number(" 1.5 "), number("on"), number(None), number("nan")
    (1.5, None, None, None)
    """
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def positive(text: object) -> float | None:
    """A number above zero, or None."""
    value = number(text)
    return value if value and value > 0 else None


def _metamorph(text: str) -> PageFacts:
    """MetaMorph and MetaXpress: a property list in the description."""
    values = {key: unescape(value) for key, value in _PROPERTY.findall(text)}
    calibrated = values.get("spatial-calibration-state", "on") == "on"
    unit = values.get("spatial-calibration-units", "um")
    sides = [number(values.get(f"spatial-calibration-{axis}")) for axis in "yx"]
    lengths = [Length(side, unit) if side is not None and calibrated else None for side in sides]
    z = number(values.get("z-position"))
    disk = values.get("IXConfocal Module Disk", "")
    return PageFacts(
        z=None if z is None else Length(z),
        pixel_y=lengths[0],
        pixel_x=lengths[1],
        na=positive(values.get("_MagNA_")),
        immersion_index=positive(values.get("_MagRI_")),
        wavelength_nm=positive(values.get("wavelength")),
        bits=_bits(values.get("Camera Bit Depth")),
        modality="spinning-disk confocal fluorescence" if "pinhole" in disk else None,
        channel=values.get("_IllumSetting_") or None,
    )


def _bits(text: object) -> int | None:
    value = positive(text)
    return int(value) if value and 1 <= value <= 32 else None


def _micro_manager(values: Mapping[str, Any]) -> PageFacts:
    """Micro-Manager's record of one plane."""
    z = number(values.get("ZPositionUm"))
    pixel = positive(values.get("PixelSizeUm"))
    side = None if pixel is None else Length(pixel)
    return PageFacts(
        z=None if z is None else Length(z),
        pixel_y=side,
        pixel_x=side,
        bits=_bits(values.get("BitDepth")),
        channel=str(values["Channel"]) if values.get("Channel") else None,
    )


def imagej_values(text: str) -> dict[str, str]:
    """The lines ``key=value`` of an ImageJ description.

    Examples
    --------
    >>> imagej_values("ImageJ=1.53t\\nslices=5\\nunit=micron")["slices"]
    '5'
    """
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def imagej_facts(page: Any, values: Mapping[str, str]) -> PageFacts:
    """ImageJ: pixels per unit in the resolution tags, the unit and spacing in the description."""
    unit = values.get("unit", "")
    spacing = number(values.get("spacing"))
    sides = [_per_unit(page.tags.get(name)) for name in ("YResolution", "XResolution")]
    if not Length(1.0, unit).has_unit:
        plain = _plain(page.tags)
        return PageFacts(pixel_y=plain.pixel_y, pixel_x=plain.pixel_x)
    return PageFacts(
        step=None if spacing is None else Length(spacing, values.get("zunit", unit)),
        pixel_y=None if sides[0] is None else Length(1 / sides[0], values.get("yunit", unit)),
        pixel_x=None if sides[1] is None else Length(1 / sides[1], unit),
    )


def _per_unit(tag: Any) -> float | None:
    """Pixels per unit of a resolution tag; None for zero and for no tag."""
    if tag is None:
        return None
    top, bottom = tag.value
    return float(top) / float(bottom) if top and bottom else None


def _plain(tags: Any) -> PageFacts:
    """Resolution tags in inch or cm, where they are too fine to speak of paper."""
    unit_tag = tags.get("ResolutionUnit") if tags else None
    unit = _RESOLUTION_UNIT.get(int(unit_tag.value)) if unit_tag is not None else None
    if unit is None:
        return PageFacts()
    sides = [_per_unit(tags.get(name)) for name in ("YResolution", "XResolution")]
    factor = {"inch": 25_400.0, "cm": 10_000.0}[unit]
    if any(side is None or factor / side > _COARSEST_TAG_UM for side in sides):
        return PageFacts()
    side_y, side_x = (Length(factor / side) for side in sides if side)
    return PageFacts(pixel_y=side_y, pixel_x=side_x)


def _ome(images: list[OmeImage]) -> PageFacts:
    """A file of its own for each plane: the first plane of the first image."""
    if not images:
        return PageFacts()
    image = images[0]
    z = next(iter(image.z.values()), None)
    channel = image.channel(0)
    return PageFacts(
        z=None if z is None else Length(z, image.z_unit),
        step=image.step,
        pixel_y=image.pixel_y,
        pixel_x=image.pixel_x,
        na=image.na,
        immersion_index=image.immersion_index,
        wavelength_nm=channel.emission_nm,
        bits=image.bits,
        modality=channel.modality,
        channel=channel.name if channel.name != "0" else None,
    )
