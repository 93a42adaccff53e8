"""OME-XML: what it says of each image's sizes, sampling, optics and channels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import ReadError
from parfocal.io.metadata import Length

IMMERSION_INDEX = {
    "air": 1.0, "water": 1.333, "waterdipping": 1.333, "oil": 1.515, "glycerol": 1.47,
}  # fmt: skip
_CONTRAST = {
    "fluorescence": "fluorescence", "brightfield": "brightfield", "phase": "phase contrast",
    "dic": "DIC", "darkfield": "darkfield", "hoffmanmodulation": "Hoffman modulation contrast",
}  # fmt: skip
_ACQUISITION = {
    "widefield": "widefield", "laserscanningconfocalmicroscopy": "confocal",
    "spinningdiskconfocal": "spinning-disk confocal", "spim": "light-sheet",
    "lightsheet": "light-sheet", "multiphotonmicroscopy": "multiphoton", "tirf": "TIRF",
    "totalinternalreflection": "TIRF", "brightfield": "brightfield",
}  # fmt: skip
_LIGHT = {"epifluorescence": "fluorescence", "transmitted": "transmitted light"}


@dataclass(frozen=True)
class OmeChannel:
    """One channel of an OME image."""

    name: str
    emission_nm: float | None = None
    modality: str | None = None


@dataclass(frozen=True, eq=False)
class OmeImage:
    """One image (position) of an OME file; ``z`` maps (z, c, t) to a plane's own position."""

    name: str
    size_z: int = 1
    size_c: int = 1
    size_t: int = 1
    samples: int = 1
    pixel_y: Length | None = None
    pixel_x: Length | None = None
    step: Length | None = None
    z: Mapping[tuple[int, int, int], float] = field(default_factory=dict)
    z_unit: str = "um"
    bits: int | None = None
    na: float | None = None
    immersion_index: float | None = None
    channels: tuple[OmeChannel, ...] = ()
    files: frozenset[str] = frozenset()

    @property
    def planes(self) -> int:
        """Number of stored images."""
        return self.size_z * self.size_t * max(1, self.size_c // self.samples)

    def positions(self, channel: int, time: int) -> NDArray[np.float64] | None:
        """Planes' own z of one channel and time, NaN where one is missing; None if all are."""
        z = np.array([self.z.get((i, channel, time), math.nan) for i in range(self.size_z)])
        return None if bool(np.all(np.isnan(z))) else z

    def channel(self, index: int) -> OmeChannel:
        """What is said of one channel."""
        return self.channels[index] if index < len(self.channels) else OmeChannel(str(index))


def parse_ome(xml: str, *, source: str) -> list[OmeImage]:
    """The images of an OME-XML document, in its order.

    Raises
    ------
    ReadError
        If the text declares entities, which no microscope writes and which can blow up.
    """
    if "<!ENTITY" in xml or "<!DOCTYPE" in xml:
        raise ReadError(
            f"{source}: its OME-XML declares entities and is not read; export it again."
        )
    root = ElementTree.fromstring(xml.encode("utf-8"))  # noqa: S314 - entities are refused above
    objectives = {
        element.get("ID", ""): element for element in root.iter() if _tag(element) == "Objective"
    }
    return [_image(element, objectives) for element in root if _tag(element) == "Image"]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _tag(child) == name]


def _number(element: ElementTree.Element, name: str) -> float | None:
    text = element.get(name)
    return None if text is None or not text.strip() else float(text)


def _length(element: ElementTree.Element, name: str) -> Length | None:
    value = _number(element, name)
    return None if value is None else Length(value, element.get(f"{name}Unit", "um"))


def _image(element: ElementTree.Element, objectives: Mapping[str, ElementTree.Element]) -> OmeImage:
    pixels = next(iter(_children(element, "Pixels")), None)
    if pixels is None:
        return OmeImage(element.get("Name", ""))
    channels = _children(pixels, "Channel")
    planes = _children(pixels, "Plane")
    na, index = _objective(element, objectives)
    size = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT"}
    units = {plane.get("PositionZUnit", "") for plane in planes if plane.get("PositionZ")}
    bits = _number(pixels, "SignificantBits")
    return OmeImage(
        name=element.get("Name", "") or element.get("ID", ""),
        size_z=size["Z"],
        size_c=size["C"],
        size_t=size["T"],
        samples=int(channels[0].get("SamplesPerPixel", 1)) if channels else 1,
        pixel_y=_length(pixels, "PhysicalSizeY"),
        pixel_x=_length(pixels, "PhysicalSizeX"),
        step=_length(pixels, "PhysicalSizeZ"),
        z={
            (int(p.get("TheZ", 0)), int(p.get("TheC", 0)), int(p.get("TheT", 0))): z
            for p in planes
            if (z := _number(p, "PositionZ")) is not None
        },
        z_unit=units.pop() if len(units) == 1 else "",
        bits=None if bits is None else int(bits),
        na=na,
        immersion_index=index,
        channels=tuple(_channel(c, str(i)) for i, c in enumerate(channels)),
        files=frozenset(u.get("FileName", "") for u in pixels.iter() if _tag(u) == "UUID") - {""},
    )


def _objective(
    image: ElementTree.Element, objectives: Mapping[str, ElementTree.Element]
) -> tuple[float | None, float | None]:
    """Aperture and immersion index of the objective that an image refers to."""
    settings = next(iter(_children(image, "ObjectiveSettings")), None)
    if settings is None:
        return None, None
    index = _number(settings, "RefractiveIndex")
    objective = objectives.get(settings.get("ID", ""))
    if objective is None:
        return None, index
    na = _number(objective, "LensNA")
    if index is None:
        index = IMMERSION_INDEX.get(objective.get("Immersion", "").casefold())
    return na or None, index


def _channel(element: ElementTree.Element, number: str) -> OmeChannel:
    emission = _length(element, "EmissionWavelength")
    if emission is not None and element.get("EmissionWavelengthUnit") is None:
        emission = Length(emission.value, "nm")
    in_um = None
    if emission is not None:
        in_um = emission.to_um("emission wavelength", source="OME-XML", flag="wavelength_nm")
    words = [
        _ACQUISITION.get(_plain(element.get("AcquisitionMode")), ""),
        _CONTRAST.get(_plain(element.get("ContrastMethod")), ""),
    ]
    if not words[1]:
        words[1] = _LIGHT.get(_plain(element.get("IlluminationType")), "")
    modality = " ".join(dict.fromkeys(word for word in words if word)) or None
    return OmeChannel(
        name=element.get("Name", "") or number,
        emission_nm=None if in_um is None else round(in_um * 1000.0, 6),
        modality=modality,
    )


def _plain(text: str | None) -> str:
    return re.sub(r"[^a-z]", "", (text or "").casefold())
