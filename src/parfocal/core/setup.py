"""The optics of one image: what was used, and the lengths that follow from it.

The sign of defocus is defined here, once (docs/decisions/0002-sign-of-defocus.md):

``defocus_um`` = z of the image's plane minus z of best focus, along increasing stage z.
A stage that stands at defocus +3 must move by -3 to be in focus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parfocal.core.errors import MetadataError

# Values that the command line can give too, as --na and so on.
_FLAGS = frozenset(
    ("na", "wavelength_nm", "pixel_um", "immersion_index", "sample_index", "z_step_um", "channel",
     "time", "position")
)  # fmt: skip
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def defocus_um(z_um: float, focus_um: float) -> float:
    """Signed defocus of a plane at ``z_um`` when best focus lies at ``focus_um``, in um.

    Examples
    --------
    >>> defocus_um(13.0, focus_um=10.0)
    3.0
    """
    return z_um - focus_um


def plain_fault(fault: Mapping[str, Any]) -> str:
    """What pydantic found wrong with one value, its name first and its flag last.

    Examples
    --------
    >>> plain_fault({"loc": ("pixel_um",), "msg": "Input should be greater than 0", "input": -1})
    'pixel_um is -1: input should be greater than 0 (--pixel-um)'
    """
    text = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    if not fault["loc"]:  # of all values together: the text names them
        return text
    name = str(fault["loc"][0])
    flag = f" (--{name.replace('_', '-')})" if name in _FLAGS else ""
    if fault.get("type") == "missing":
        return f"{name} is missing{flag}"
    if fault.get("type") == "extra_forbidden":
        return f"{name} is no known name here"
    return f"{name} is {fault['input']!r}: {text[0].lower()}{text[1:]}{flag}"


class OpticalSetup(BaseModel):
    """The optics that made an image: objective, light, medium and sampling.

    Parameters
    ----------
    na
        Numerical aperture of the detection objective, 0 < na < immersion_index.
    wavelength_nm
        Wavelength of the detected light in vacuum, in nm (emission for fluorescence).
    pixel_um
        Distance between pixel centres in the object, in um.
    immersion_index
        Refractive index between objective and coverslip: 1.0 air, 1.333 water, 1.515 oil.
    sample_index
        Refractive index around the specimen.
    magnification
        Objective and tube lens together; only recorded, since ``pixel_um`` is in the object.

    Raises
    ------
    MetadataError
        From ``OpticalSetup.of`` if a value is impossible; the constructor raises pydantic's
        ``ValidationError`` with the same text.

    Notes
    -----
    Depth of field is n * wavelength / NA^2, the unit in which parfocal compares optics
    [Inoue1997]_; with the camera's pixel, n * (wavelength / NA^2 + pixel / NA).
    Lateral resolution is Rayleigh's 0.61 * wavelength / NA; the cut-off of incoherent
    imaging lies at 2 * NA / wavelength.

    Examples
    --------
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> round(setup.depth_of_field_um, 3), round(setup.lateral_resolution_um, 3)
    (0.953, 0.436)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    na: Positive
    wavelength_nm: Annotated[float, Field(ge=100, le=20_000)]
    pixel_um: Positive
    immersion_index: Annotated[float, Field(ge=1.0, le=4.0)] = 1.0
    sample_index: Annotated[float, Field(ge=1.0, le=4.0)] = 1.33
    magnification: Positive | None = None

    @model_validator(mode="after")
    def _aperture_fits_immersion(self) -> OpticalSetup:
        if self.na >= self.immersion_index:
            raise ValueError(
                f"NA {self.na:g} is impossible with immersion index {self.immersion_index:g}: "
                "give immersion_index (--immersion-index): 1.333 for water, 1.515 for oil."
            )
        return self

    @classmethod
    def of(cls, **values: object) -> OpticalSetup:
        """Build a setup from named values; an impossible one raises a one-line MetadataError."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            text = "; ".join(plain_fault(fault) for fault in error.errors())
            raise MetadataError(f"These optics cannot be: {text}.") from error

    @property
    def wavelength_um(self) -> float:
        """Vacuum wavelength in um."""
        return self.wavelength_nm / 1000.0

    @property
    def depth_of_field_um(self) -> float:
        """One depth of field, n * wavelength / NA^2, in um."""
        return self.immersion_index * self.wavelength_um / self.na**2

    @property
    def effective_depth_of_field_um(self) -> float:
        """Depth of field with the camera's share, n * (wavelength / NA^2 + pixel / NA), in um."""
        return self.depth_of_field_um + self.immersion_index * self.pixel_um / self.na

    @property
    def lateral_resolution_um(self) -> float:
        """Rayleigh's distance, 0.61 * wavelength / NA, in um."""
        return 0.61 * self.wavelength_um / self.na

    @property
    def cutoff_per_um(self) -> float:
        """Highest spatial frequency that incoherent imaging passes, 2 NA / wavelength, per um."""
        return 2.0 * self.na / self.wavelength_um

    @property
    def cutoff_cycles_per_px(self) -> float:
        """The cut-off in cycles per pixel; above 0.5 the camera undersamples."""
        return self.cutoff_per_um * self.pixel_um

    @property
    def nyquist_pixel_um(self) -> float:
        """Coarsest pixel that samples the cut-off, wavelength / (4 NA), in um."""
        return self.wavelength_um / (4.0 * self.na)

    def defocus_dof(self, defocus_um: float) -> float:
        """Express a defocus in depths of field, keeping its sign."""
        return math.copysign(abs(defocus_um) / self.depth_of_field_um, defocus_um)
