"""Fields of transparent specimens by single LEDs, as stacks about a known focus."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.core.setup import OpticalSetup
from parfocal.optics.exit_waves import transmission_pixel_um
from parfocal.optics.zernike import Aberrations
from parfocal.simulate.catalog import find_specimen, make_specimen
from parfocal.simulate.imaging import Renderer
from parfocal.simulate.modalities import LedImaging
from parfocal.simulate.specimen import Specimen, structure_weight

ABERRATIONS = (3, 5, 7, 8, 12)
"""Astigmatism, coma and spherical aberration, which no objective is quite free of."""
PLANES_AT_ONCE = 6
LAYER_STEP, MOST_LAYERS = 0.66, 16
"""Distance of a specimen's layers, in depths of field, and their number."""
READ_NOISE = 2.0
CELLS_PER_MM2 = (300.0, 900.0)


class LedFields(BaseModel):
    """How fields by off-axis LEDs are drawn.

    Parameters
    ----------
    na, wavelength_nm, pixel_um, immersion_index
        The optics; a specimen is sampled as the camera samples its image.
    size_px
        Side of a field.
    planes, reach_um
        Planes of a stack: one drawn from each of ``planes`` equal parts of +-``reach_um``.
    led_na_yx
        Direction of the LED.
    led_jitter
        Standard deviation of that, from stack to stack: no array is calibrated better.
    aberration_waves
        Standard deviation of each aberration.
    photons
        Of a pixel of the empty field, from the least to the most, even in the logarithm.

    Examples
    --------
    >>> LedFields(size_px=256).setup.depth_of_field_um
    2.12
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    na: float = 0.5
    wavelength_nm: float = 530.0
    pixel_um: Annotated[float, Field(gt=0)] = 0.26
    immersion_index: float = 1.0
    size_px: Annotated[int, Field(ge=64)] = 512
    planes: Annotated[int, Field(ge=1)] = 20
    reach_um: Annotated[float, Field(gt=0)] = 30.0
    led_na_yx: tuple[float, float] = (0.0, 0.3)
    led_jitter: Annotated[float, Field(ge=0)] = 0.006
    aberration_waves: Annotated[float, Field(ge=0)] = 0.03
    photons: tuple[float, float] = (500.0, 20_000.0)

    @property
    def setup(self) -> OpticalSetup:
        """The optics."""
        return OpticalSetup.of(
            na=self.na,
            wavelength_nm=self.wavelength_nm,
            pixel_um=self.pixel_um,
            immersion_index=self.immersion_index,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LedStack:
    """Images by one light, and how far each is from focus."""

    images: Float[Tensor, "z y x"]
    defocus_um: Float[Tensor, " z"]
    specimen: str
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LedScene:
    """One specimen with all that its stacks share, whatever the light.

    Parameters
    ----------
    specimen
        What is imaged.
    focus_um
        Mean height of its structure: what is in focus at defocus 0.
    planes_um
        Defocus of each image.
    aberrations
        Of the objective.
    jitter_yx
        By how much every LED is off.
    photons
        Of a pixel of the empty field.
    """

    fields: LedFields
    specimen: Specimen
    focus_um: float
    planes_um: Float[np.ndarray, " z"]
    aberrations: Aberrations
    jitter_yx: tuple[float, float]
    photons: float
    seed: int

    @classmethod
    def draw(cls, fields: LedFields, name: str, *, seed: int) -> LedScene:
        """Draw a scene; the same settings and seed give the same one.

        Raises
        ------
        InputError
            If the specimen does not change the light that passes.
        """
        row = find_specimen(name)
        if "transmission" not in row.contrasts:
            raise InputError(f"{name} shows nothing by LEDs: it is for {', '.join(row.contrasts)}.")
        dice = np.random.default_rng([seed, 19])
        step_um = LAYER_STEP * fields.setup.depth_of_field_um
        thickness_um = row.thickness_um
        options: dict[str, Any] = {"cells_per_mm2": float(dice.uniform(*CELLS_PER_MM2))}
        specimen = make_specimen(
            name, fields.size_px, pixel_um=fields.pixel_um, thickness_um=thickness_um,
            layer_step_um=max(step_um, thickness_um / (MOST_LAYERS - 1)),
            generator=torch.Generator().manual_seed(seed),
            **(options if name == "phase_cells" else {}),
        )  # fmt: skip
        weight = structure_weight(specimen).sum((1, 2)).double()
        mean_um = float(weight @ specimen.heights_um.double() / weight.sum().clamp(min=1e-12))
        edges = np.linspace(-fields.reach_um, fields.reach_um, fields.planes + 1)
        low, high = (math.log(value) for value in fields.photons)
        waves = dice.normal(0.0, fields.aberration_waves, len(ABERRATIONS))
        return cls(
            fields=fields,
            specimen=specimen,
            focus_um=mean_um,
            planes_um=edges[:-1] + dice.uniform(size=fields.planes) * np.diff(edges),
            aberrations=Aberrations(zernike_waves=dict(zip(ABERRATIONS, waves, strict=True))),
            jitter_yx=(dice.normal(0, fields.led_jitter), dice.normal(0, fields.led_jitter)),
            photons=math.exp(dice.uniform(low, high)),
            seed=seed,
        )

    def light(self, leds_yx: Sequence[tuple[float, float]] | None = None) -> Tensor:
        """Noise-free images (z y x) by some LEDs together, over that of an empty field."""
        leds = [self.fields.led_na_yx] if leds_yx is None else leds_yx
        off_y, off_x = self.jitter_yx
        imaging = LedImaging(
            na_yx=tuple((y + off_y, x + off_x) for y, x in leds), aberrations=self.aberrations
        )
        renderer = Renderer(self.fields.setup, imaging)
        z = torch.tensor(self.planes_um + self.focus_um).float()
        return torch.cat(
            [renderer.images(self.specimen, part) for part in torch.split(z, PLANES_AT_ONCE)]
        )

    def expose(self, light: Tensor) -> LedStack:
        """Images with shot and read noise, both normal."""
        generator = torch.Generator().manual_seed(self.seed)
        photons = light.clamp(min=0) * self.photons
        spread = (photons + READ_NOISE**2).sqrt()
        return LedStack(
            images=photons + spread * torch.randn(photons.shape, generator=generator),
            defocus_um=torch.from_numpy(self.planes_um).float(),
            specimen=self.specimen.name,
            seed=self.seed,
        )


def simulate_led_stack(fields: LedFields, name: str, *, seed: int) -> LedStack:
    """One stack by the LED of the settings.

    Parameters
    ----------
    fields
        Optics, planes and light.
    name
        A specimen that transmits light.
    seed
        Draws all that is random.

    Examples
    --------
    >>> fields = LedFields(size_px=64, planes=3, pixel_um=0.26)
    >>> stack = simulate_led_stack(fields, "blood_smear", seed=1)
    >>> stack.images.shape, bool((stack.defocus_um.diff() > 0).all())
    (torch.Size([3, 64, 64]), True)
    """
    scene = LedScene.draw(fields, name, seed=seed)
    return scene.expose(scene.light())


def finest_pixel_um(fields: LedFields, leds_na: Sequence[float]) -> float:
    """Coarsest pixel at which specimens may be sampled for LEDs of these apertures, in um.

    Examples
    --------
    >>> round(finest_pixel_um(LedFields(), [0.3, 0.6]), 3)
    0.241
    """
    return transmission_pixel_um(fields.setup, source_na=max(leds_na))


Extract = Callable[[LedStack], Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureSet:
    """Features of many stacks, plane by plane.

    Parameters
    ----------
    features
        What an image was turned into.
    defocus_um
        Of each image.
    kinds
        Specimen of each stack.
    """

    features: Tensor
    defocus_um: Float[Tensor, "s z"]
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def chosen(self, which: Sequence[int] | slice) -> FeatureSet:
        """Some of the stacks."""
        places = range(len(self))[which] if isinstance(which, slice) else which
        index = torch.tensor(list(places), dtype=torch.long)
        return FeatureSet(
            features=self.features[index],
            defocus_um=self.defocus_um[index],
            kinds=tuple(self.kinds[place] for place in places),
        )

    def of_kind(self, kind: str) -> FeatureSet:
        """The stacks of one specimen."""
        return self.chosen([k for k, each in enumerate(self.kinds) if each == kind])

    @classmethod
    def joined(cls, sets: Sequence[FeatureSet]) -> FeatureSet:
        """Several sets as one."""
        return cls(
            features=torch.cat([each.features for each in sets]),
            defocus_um=torch.cat([each.defocus_um for each in sets]),
            kinds=tuple(kind for each in sets for kind in each.kinds),
        )


def gather_features(
    fields: LedFields,
    wanted: Sequence[tuple[str, int]],
    extract: Extract,
    *,
    begin_stack: Callable[[str], None] | None = None,
) -> FeatureSet:
    """Simulate stacks one after the other and keep their features alone, as float16.

    Parameters
    ----------
    fields
        Optics, planes and light.
    wanted
        (specimen, seed) of each stack.
    extract
        Features (z, ...) of one stack.
    begin_stack
        Called with the specimen's name before each stack.
    """
    features, defocus, kinds = [], [], []
    for name, seed in wanted:
        if begin_stack is not None:
            begin_stack(name)
        stack = simulate_led_stack(fields, name, seed=seed)
        features.append(extract(stack).half())
        defocus.append(stack.defocus_um)
        kinds.append(name)
    return FeatureSet(
        features=torch.stack(features), defocus_um=torch.stack(defocus), kinds=tuple(kinds)
    )
