"""What a user may say about a stack, and how one of several is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup, plain_fault

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pick = int | str


class OpenOptions(BaseModel):
    """What the caller says of a stack; it wins over what the file says.

    Parameters
    ----------
    z_step_um
        Distance between planes in um; negative where z falls from plane to plane.
    nominal_z_step_um
        The same, but exact z positions in the file win over it where both agree within 10 %.
    pixel_um, na, wavelength_nm, immersion_index, sample_index
        Sampling and optics (see ``OpticalSetup``).
    channel, time, position
        Which one, by number from 0 or by name.
    crop_common
        Cut planes of different size to the field that all have in common.
    z_in_planes
        Count z in planes where the distance between them cannot be learned.
    setup
        All optics at once.
    level
        Resolution level of a pyramid, 0 for full resolution.
    modality
        What the contrast is, where the file does not say.
    singly
        Each file with one image is a field by itself, and no plane of a stack.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    z_step_um: Annotated[float, Field(allow_inf_nan=False)] | None = None
    nominal_z_step_um: Annotated[float, Field(allow_inf_nan=False)] | None = None
    pixel_um: Positive | None = None
    channel: Pick | None = None
    time: Pick | None = None
    position: Pick | None = None
    crop_common: bool = False
    z_in_planes: bool = False
    na: Positive | None = None
    wavelength_nm: Positive | None = None
    immersion_index: Positive | None = None
    sample_index: Positive | None = None
    setup: OpticalSetup | None = None
    level: Annotated[int, Field(ge=0)] = 0
    modality: str | None = None
    singly: bool = False

    @field_validator("z_step_um", "nominal_z_step_um")
    @classmethod
    def _not_zero(cls, value: float | None) -> float | None:
        if value == 0:
            raise ValueError("must not be 0: give the distance between planes in um")
        return value

    @classmethod
    def of(cls, **values: object) -> OpenOptions:
        """Build options from named values; an impossible one raises a one-line InputError."""
        try:
            return cls.model_validate(values)
        except ValueError as error:
            problems: list[Any] = getattr(error, "errors", list)()
            texts = [plain_fault(problem) for problem in problems]
            raise InputError(f"These options cannot be: {'; '.join(texts) or error}.") from error

    def but(self, **values: object) -> OpenOptions:
        """The same options with some values replaced."""
        current = {name: getattr(self, name) for name in self.model_fields_set}
        return self.of(**(current | values))


def choose(
    what: str, asked: Pick | None, names: Sequence[str], *, source: str, flag: str | None = None
) -> int:
    """Index of the one that was asked for by number or name; the only one needs no asking.

    Raises
    ------
    InputError
        If there are several and none was named, or there is none of that name or number; the
        message lists the choices and the flag.

    Examples
    --------
    >>> choose("channel", "GFP", ["DAPI", "GFP"], source="a.tif")
    1
    """
    name = flag or what
    listed = [label if label == str(i) else f"{i} ({label})" for i, label in enumerate(names[:12])]
    choices = ", ".join(listed) + (", ..." if len(names) > 12 else "")
    if asked is None:
        if len(names) == 1:
            return 0
        raise InputError(
            f"{source}: holds {len(names)} {what}s: {choices}; "
            f"choose one with {name} (--{name.replace('_', '-')})."
        )
    if isinstance(asked, str):
        matches = [i for i, label in enumerate(names) if label == asked] or [
            i for i, label in enumerate(names) if label.casefold() == asked.casefold()
        ]
        if len(matches) == 1:
            return matches[0]
        if asked.isdecimal():
            asked = int(asked)
    if isinstance(asked, int) and 0 <= asked < len(names):
        return asked
    raise InputError(f"{source}: has no {what} {asked!r}; choose one of: {choices}.")
