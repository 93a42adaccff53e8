"""What a file says of its sampling and optics, checked and settled with what the user says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parfocal.core.errors import MetadataError
from parfocal.core.setup import OpticalSetup
from parfocal.core.stack import FocalStack, LazyImages, check_z
from parfocal.io.options import OpenOptions

# Micrometres in one unit, by every spelling that the formats use (lower case).
_UM = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "micrometers": 1.0, "micrometres": 1.0, "\\u00b5m": 1.0, "\\u03bcm": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "nanometers": 1e-3, "nanometres": 1e-3,
    "pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4,
    "centimetre": 1e4, "m": 1e6, "meter": 1e6, "metre": 1e6, "in": 25_400.0, "inch": 25_400.0,
    "inches": 25_400.0, '"': 25_400.0,
}  # fmt: skip
_NO_UNIT = {"", "pixel", "pixels", "px", "reference frame", "none", "null"}

LEAST_PIXEL_UM, MOST_PIXEL_UM = 1e-3, 1e3
AGREE = 0.10  # steps that differ by more contradict each other
OPTICS_INCOMPLETE = "optics incomplete"  # how the note that says so begins
SQUARE = 0.01  # pixels whose sides differ by more are not square


class Length(NamedTuple):
    """A length as a file gives it: a number and a unit still to be understood."""

    value: float
    unit: str = "um"

    @property
    def has_unit(self) -> bool:
        """Whether a unit of length is named at all."""
        return self.unit.strip().casefold() not in _NO_UNIT

    def to_um(self, what: str, *, source: str, flag: str) -> float | None:
        """The length in um; None where the file holds a placeholder (zero, or no unit).

        Raises
        ------
        MetadataError
            If the unit is unknown, or the number is negative or not finite.

        Examples
        --------
        >>> Length(300, "nm").to_um("z step", source="a.tif", flag="z_step_um")
        0.3
        """
        settle_with = f"give {flag} (--{flag.replace('_', '-')})"
        if self.value == 0 or not self.has_unit:
            return None
        if not math.isfinite(self.value) or self.value < 0:
            raise MetadataError(
                f"{source}: the {what} in the file is {self.value:g} {self.unit}; {settle_with}."
            )
        factor = _UM.get(self.unit.strip().casefold())
        if factor is None:
            raise MetadataError(
                f"{source}: the {what} in the file is in {self.unit!r}, which is no unit of length "
                f"known here; {settle_with}."
            )
        return float(self.value * factor)


@dataclass(frozen=True, eq=False, kw_only=True)
class FileFacts:
    """What a reader found: lazy planes, and what the file says of them.

    ``positions`` are the planes' own z in ``positions_unit`` (NaN where one is missing); ``step``
    is the nominal distance and ``first`` the z of plane 0, used with it. ``contradiction`` is a
    fault in z that only the user can settle.
    """

    source: str
    name: str
    images: LazyImages
    positions: NDArray[np.float64] | None = None
    positions_unit: str = "um"
    step: Length | None = None
    first: Length | None = None
    pixel_y: Length | None = None
    pixel_x: Length | None = None
    na: float | None = None
    wavelength_nm: float | None = None
    immersion_index: float | None = None
    sample_index: float | None = None
    channel: str | None = None
    saturation_counts: float | None = None
    modality: str | None = None
    notes: Sequence[str] = field(default=())


def saturation_of(dtype: Any, bits: int | None = None) -> float | None:
    """Counts at which a camera of this many bits, or else this type, clips; None for floats.

    Examples
    --------
    >>> saturation_of("uint16", bits=12), saturation_of("uint8"), saturation_of("float32")
    (4095.0, 255.0, None)
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return 1.0
    if dtype.kind not in "ui":
        return None
    most = float(np.iinfo(dtype).max)
    return min(most, float(2**bits - 1)) if bits and bits > 0 else most


def settle(facts: FileFacts, options: OpenOptions) -> FocalStack:
    """Weigh the file's word against the user's, refuse contradictions, and build the stack."""
    notes = list(facts.notes)
    z_um, z_known = _settle_z(facts, options, notes)
    pixel_um = _settle_pixel(facts, options, notes)
    return FocalStack(
        images=facts.images,
        z_um=z_um,
        pixel_um=pixel_um,
        setup=_settle_setup(facts, options, pixel_um, notes),
        source=facts.source,
        name=facts.name,
        channel=facts.channel,
        saturation_counts=facts.saturation_counts,
        z_known=z_known,
        modality=options.modality or facts.modality,
        notes=tuple(notes),
    )


def _settle_z(
    facts: FileFacts, options: OpenOptions, notes: list[str]
) -> tuple[NDArray[np.float64], bool]:
    """Positions in um and whether they are real; positions > nominal step > planes."""
    count = int(facts.images.shape[0])
    if count == 1 and options.z_step_um is None:
        return _one_z(facts), True
    if options.z_step_um is not None:
        _note_override(facts, options.z_step_um, notes)
        return _ramp(count, options.z_step_um), True
    try:
        z_um = _z_from_file(facts, options, notes)
    except MetadataError:
        if not options.z_in_planes:
            raise
        notes.append("z in the file contradicts itself: z is counted in planes")
        z_um = None
    else:
        if z_um is None and not options.z_in_planes:
            raise MetadataError(
                f"{facts.source}: the distance between planes is not in the file; give z_step_um "
                "(--z-step-um), or count z in planes (--planes; z_in_planes=True)."
            )
    return (_ramp(count, 1.0), False) if z_um is None else (z_um, True)


def _ramp(count: int, step_um: float) -> NDArray[np.float64]:
    """z of evenly spaced planes from 0."""
    return np.asarray(np.arange(count) * step_um, dtype=np.float64)


def _one_z(facts: FileFacts) -> NDArray[np.float64]:
    """z of the only plane: its own where it is given in a known unit, else 0."""
    z = facts.positions
    factor = _UM.get(facts.positions_unit.strip().casefold(), 1.0)
    if z is None or not bool(np.all(np.isfinite(z))):
        return np.full(1, _first_um(facts))
    return np.asarray(z * factor, dtype=np.float64)


def _first_um(facts: FileFacts) -> float:
    """Where a ramp of planes begins: z of plane 0 in um, or 0 where it has no unit or is none."""
    if facts.first is None or not math.isfinite(facts.first.value):
        return 0.0
    return facts.first.value * _UM.get(facts.first.unit.strip().casefold(), 0.0)


def _z_from_file(
    facts: FileFacts, options: OpenOptions, notes: list[str]
) -> NDArray[np.float64] | None:
    """Positions where they are given and consistent, else the nominal step, else None."""
    count = int(facts.images.shape[0])
    said = options.nominal_z_step_um
    step = facts.step.to_um("z step", source=facts.source, flag="z_step_um") if facts.step else None
    nominal = said if said is not None else step
    positions = _positions_um(facts, nominal, notes)
    if positions is None:
        if said is not None and step is not None and not _agree(abs(said), step):
            notes.append(f"z step {said:g} um as given; the file says {step:g} um")
        return None if nominal is None else _first_um(facts) + _ramp(count, nominal)
    check_z(positions, facts.source)
    exact = float(np.median(np.abs(np.diff(positions))))
    if nominal is not None and not _agree(abs(nominal), exact):
        raise MetadataError(
            f"{facts.source}: the planes' z positions are {exact:g} um apart but the nominal step "
            f"is {abs(nominal):g} um; give the right one with z_step_um (--z-step-um)."
        )
    return positions


def _positions_um(
    facts: FileFacts, nominal: float | None, notes: list[str]
) -> NDArray[np.float64] | None:
    """The planes' own z in um, or None where they are placeholders that a nominal step replaces."""
    z = facts.positions
    if z is None:
        return None
    missing = int(np.sum(~np.isfinite(z)))
    if missing:
        notes.append(f"z is given for {len(z) - missing} of {len(z)} planes only and is not used")
        return None
    if np.ptp(z) == 0:
        if nominal is None:
            raise MetadataError(
                f"{facts.source}: every plane is recorded at the same z ({z[0]:g}); give z_step_um "
                "(--z-step-um), or count z in planes (--planes; z_in_planes=True)."
            )
        notes.append("every plane is recorded at the same z: the nominal step is used")
        return None
    unit = Length(1.0, facts.positions_unit)
    if unit.has_unit:
        factor = unit.to_um("planes' z", source=facts.source, flag="z_step_um")
        return np.asarray(z * (factor or 1.0), dtype=np.float64)
    exact = float(np.median(np.abs(np.diff(z))))
    if nominal is not None and not _agree(abs(nominal), exact):
        notes.append("the planes' z positions have no unit: the nominal step is used")
        return None
    notes.append("the planes' z positions have no unit and are taken as um")
    return z


def _agree(one: float, other: float) -> bool:
    return abs(one - other) <= AGREE * max(abs(one), abs(other))


def _note_override(facts: FileFacts, given: float, notes: list[str]) -> None:
    """Say what the file had where an explicit step differs from it by more than 0.1 %."""
    z = facts.positions
    has_positions = z is not None and len(z) > 1 and bool(np.all(np.isfinite(z)))
    in_file = float(np.median(np.diff(z))) if has_positions and z is not None else None
    unit = facts.positions_unit
    if in_file is None and facts.step is not None and facts.step.value:
        in_file, unit = facts.step.value, facts.step.unit
    if in_file is None:
        return
    in_um = in_file * _UM.get(unit.strip().casefold(), 1.0)
    if not math.isclose(in_um, given, rel_tol=1e-3):
        notes.append(f"z step {given:g} um as given; the file says {in_file:g} {unit}".strip())


def _settle_pixel(facts: FileFacts, options: OpenOptions, notes: list[str]) -> float | None:
    """Pixel size in um: the user's, else the file's where it is square and possible."""
    given = options.pixel_um
    if options.setup is not None:
        if given is not None and not math.isclose(given, options.setup.pixel_um, rel_tol=1e-6):
            raise MetadataError(
                f"{facts.source}: pixel_um is {given:g} but setup.pixel_um is "
                f"{options.setup.pixel_um:g}; give one of them."
            )
        given = options.setup.pixel_um
    if given is not None:
        if facts.pixel_x is not None and facts.pixel_x.value and facts.pixel_x.has_unit:
            in_um = facts.pixel_x.value * _UM.get(facts.pixel_x.unit.strip().casefold(), math.nan)
            if not math.isclose(in_um, given, rel_tol=1e-3):
                value, unit = facts.pixel_x
                notes.append(f"pixel size {given:g} um as given; the file says {value:g} {unit}")
        return given
    sides = [
        side.to_um("pixel size", source=facts.source, flag="pixel_um")
        for side in (facts.pixel_y, facts.pixel_x)
        if side is not None
    ]
    known = [side for side in sides if side is not None]
    if not known:
        return None
    if max(known) - min(known) > SQUARE * max(known):
        raise MetadataError(
            f"{facts.source}: pixels are not square: {known[0]:g} um in y and {known[1]:g} um in "
            "x; give the size to use with pixel_um (--pixel-um)."
        )
    pixel_um = known[-1]
    if not LEAST_PIXEL_UM <= pixel_um <= MOST_PIXEL_UM:
        raise MetadataError(
            f"{facts.source}: a pixel size of {pixel_um:g} um is not that of a microscope "
            f"({LEAST_PIXEL_UM:g} to {MOST_PIXEL_UM:g} um); give pixel_um (--pixel-um)."
        )
    return pixel_um


def _settle_setup(
    facts: FileFacts, options: OpenOptions, pixel_um: float | None, notes: list[str]
) -> OpticalSetup | None:
    """The optics where aperture, wavelength and pixel are known; None where they are not."""
    if options.setup is not None:
        return options.setup
    names = ("na", "wavelength_nm", "immersion_index", "sample_index")
    given = {name: getattr(options, name) for name in names}
    values = {
        name: given[name] if given[name] is not None else getattr(facts, name) for name in names
    }
    if values["na"] is None or values["wavelength_nm"] is None or pixel_um is None:
        _note_incomplete(given, {**values, "pixel_um": pixel_um}, notes)
        return None
    known = {name: value for name, value in values.items() if value is not None}
    try:
        return OpticalSetup.of(pixel_um=pixel_um, **known)
    except MetadataError as error:
        if any(value is not None for value in given.values()):
            raise MetadataError(f"{facts.source}: {error}") from error
        notes.append(f"the optics in the file are not used: {error}")
        return None


def _note_incomplete(
    given: Mapping[str, float | None], values: Mapping[str, float | None], notes: list[str]
) -> None:
    """Say what is missing where the user gave some of the optics and they come to nothing."""
    said = [_flag(name) for name, value in given.items() if value is not None]
    missing = [_flag(n) for n in ("na", "wavelength_nm", "pixel_um") if values[n] is None]
    if said:
        notes.append(
            f"{OPTICS_INCOMPLETE}: {', '.join(said)} given without {', '.join(missing)}; "
            "no answer in depths of field"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
