"""The chapters of the Luo 2020 benchmark, each made or taken from where it was kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from parfocal.cli.kept_rows import KeptRows
from parfocal.cli.progress import progress
from parfocal.core.results import Refocused
from parfocal.evaluate.luo2020 import (
    BLIND,
    ESTIMATED,
    INPUT,
    NETWORK,
    PUBLISHED,
    SMOOTHED,
    TRUE,
    USERS,
    BlurredField,
    FieldRow,
    Method,
    Shown,
    as_given,
    as_published,
    draw_fields,
    never_declined,
    setup_of,
    try_fields,
)
from parfocal.evaluate.luo2020_beads import (
    BACKGROUND,
    SETUP,
    BeadImage,
    BeadRow,
    bead_planes,
    judge_beads,
)
from parfocal.evaluate.luo2020_real import CASES, RealPlane, try_real
from parfocal.evaluate.luo2020_stains import DISTANCES_DOF as STAINS_DOF
from parfocal.evaluate.luo2020_stains import WHITE, draw_stains, stain_methods
from parfocal.evaluate.luo2020_study import ClearRow, Shot
from parfocal.evaluate.luo2020_targets import AFTER_CAPTURE
from parfocal.evaluate.luo2020_tilt import TiltRow, judge_tilt, tilted_field
from parfocal.evaluate.luo2020_times import (
    MEASURES,
    TimeRow,
    time_refocusing,
    time_searches,
)  # fmt: skip
from parfocal.evaluate.luo2020_times import (
    PUBLISHED as PUBLISHED_S,
)
from parfocal.io.finding import find_stacks
from parfocal.models.package import CARD
from parfocal.refocus import richardson_lucy
from parfocal.refocus.blind import load_refocuser
from parfocal.refocus.refocuser import BlindRefocuser
from parfocal.simulate.clear_fields import ClearFields
from parfocal.train.held_out import UNSEEN_CLEAR, HeldOut
from parfocal.train.making import Step
from parfocal.train.refocus_making import make_refocuser
from parfocal.train.refocus_task import RefocusRecipe

if TYPE_CHECKING:
    from parfocal.cli.luo2020 import Luo2020Request

SEED = 412_000
"""Of the fields: none is among those that set or measured the card of a model."""
BEADS_UM = (-8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
CLEAR_EACH = 4
SEARCHES = 8
"""By each measure."""
TILTED = "dense_tissue"
RANGES_DOF = (2.0, 4.0, 8.0)
"""Up to which the networks of the trade-off learn."""
SHOWN_AT = ((1.0, 500.0), (3.0, 500.0), (3.0, 50.0))


def field_rows(
    request: Luo2020Request,
    asked: Mapping[str, Method],
    kept: KeptRows,
    classical: KeptRows,
) -> list[FieldRow]:
    """Every method about every simulated field; ``classical`` holds what no network changes."""
    rows: list[FieldRow] = []
    by_network = (ESTIMATED, NETWORK, BLIND, PUBLISHED)
    parts = (
        (classical, {name: method for name, method in asked.items() if name not in by_network}),
        (kept, {name: method for name, method in asked.items() if name in by_network}),
    )
    with progress(len(request.conditions), "fields") as begin:
        for dof, photons in request.conditions:
            begin(f"{dof:g} DoF, {photons:g} photons")
            group = f"fields-{dof:g}-{photons:g}"
            for where, own in parts:
                make = partial(_try_group, request, own, dof, photons)
                rows += where.rows(group, FieldRow, make)
    return rows


def _try_group(
    request: Luo2020Request, asked: dict[str, Method], dof: float, photons: float
) -> list[FieldRow]:
    fields = list(
        draw_fields(
            request.kinds, fields=1 if request.is_quick else request.fields,
            size_px=request.size_px, dof=dof, photons=photons, seed=SEED + request.seed,
        )
    )  # fmt: skip
    return try_fields(fields, asked, dof=dof, photons=photons)


def range_rows(request: Luo2020Request, kept: KeptRows) -> list[FieldRow]:
    """Fields at each distance by networks that were trained up to three of them, for as long."""
    small: dict[str, Any] = {"batch": 2, "patch_px": 64} if request.is_quick else {}
    recipes = [
        RefocusRecipe(
            name=f"range-{reach:g}", reach_dof=reach, steps=request.range_steps,
            epoch_steps=min(250, request.range_steps),
            **small,
        )
        for reach in RANGES_DOF
    ]  # fmt: skip
    place = request.place / "ranges" / str(request.range_steps)
    tests = HeldOut(fields=1 if request.is_quick else 4, size_px=96)
    total = sum(recipe.steps for recipe in recipes)
    asked: dict[str, Method] = {INPUT: lambda field: Shown(image=field.image)}
    with progress(total, "networks of three ranges") as begin:
        for recipe in recipes:
            folder = place / recipe.name
            if not (folder / CARD).is_file():

                def tell(step: Step, last: int = recipe.steps) -> None:
                    if step.done <= last:  # measuring is not counted
                        begin(step.what)

                make_refocuser(
                    recipe, folder, seed=request.seed, device=request.device, held_out=tests,
                    on_progress=tell,
                )  # fmt: skip
            network = load_refocuser(folder, device=request.device)
            asked[f"trained to {recipe.reach_dof:g}"] = partial(_never_declined, network)
    rows: list[FieldRow] = []
    for dof, photons in request.conditions:
        if photons == request.conditions[0][1]:
            make = partial(_try_group, request, asked, dof, photons)
            rows += kept.rows(f"ranges-{dof:g}", FieldRow, make)
    return rows


def _never_declined(network: BlindRefocuser, field: BlurredField) -> Shown:
    return never_declined(network, field.image, field.setup)


def examples(request: Luo2020Request, asked: Mapping[str, Method]) -> list[Shot]:
    """A field of each kind, at one of some distances, by the methods worth seeing."""
    names = (INPUT, SMOOTHED, TRUE, USERS, ESTIMATED, PUBLISHED, NETWORK)
    shots = []
    with progress(len(request.kinds), "examples") as begin:
        for number, kind in enumerate(request.kinds):
            begin(kind)
            dof, photons = SHOWN_AT[number % len(SHOWN_AT)]
            dof, photons = request.conditions[0] if request.is_quick else (dof, photons)
            drawn = draw_fields(
                (kind,), fields=1, size_px=request.size_px, dof=dof, photons=photons,
                seed=SEED + 50 + request.seed,
            )  # fmt: skip
            for field in drawn:
                images = {name: asked[name](field).image for name in names if name in asked}
                title = f"{kind}, {dof:g} DoF, {photons:g} photons"
                shots.append(Shot(title=title, images={**images, "truth": field.truth}))
    return shots


def bead_rows(
    request: Luo2020Request, ours: BlindRefocuser | None, published: nn.Module | None,
    kept: KeptRows, *, steps: int,
) -> list[BeadRow]:  # fmt: skip
    """Beads at each distance by each method."""
    distances = (0.0, 3.0) if request.is_quick else BEADS_UM
    planes = bead_planes(distances, beads=4 if request.is_quick else 36, seed=request.seed)
    rows: list[BeadRow] = []
    with progress(len(planes), "beads") as begin:
        for plane in planes:
            begin(f"{plane.defocus_um:+g} um")

            def make(plane: BeadImage = plane) -> list[BeadRow]:
                sharp = richardson_lucy(
                    plane.image, plane.psf, steps, background=BACKGROUND, edges="periodic"
                )
                shown = {
                    INPUT: (plane.image, "found"), TRUE: (sharp + BACKGROUND, "found"),
                    **_by_networks(plane.image, ours, published),
                }  # fmt: skip
                return judge_beads(plane, shown)

            rows += kept.rows(f"beads-{plane.defocus_um:g}", BeadRow, make)
    return rows


def _by_networks(
    image: np.ndarray, ours: BlindRefocuser | None, published: nn.Module | None
) -> dict[str, tuple[np.ndarray, str]]:
    """An image of the 20x objective by every network, and what it said."""
    shown: dict[str, tuple[np.ndarray, str]] = {}
    if ours is not None:
        given, whole = as_given(ours, image, SETUP), never_declined(ours, image, SETUP)
        shown |= {NETWORK: (whole.image, whole.status), BLIND: (given.image, given.status)}
    if published is not None:
        shown[PUBLISHED] = (as_published(published, image), "found")
    return shown


def tilt_rows(
    request: Luo2020Request, ours: BlindRefocuser | None, published: nn.Module | None,
    kept: KeptRows,
) -> list[TiltRow]:  # fmt: skip
    """Rows of a tilted field before and after."""

    def make() -> list[TiltRow]:
        size = 128 if request.is_quick else 512
        field = tilted_field(TILTED, size_px=size, seed=request.seed)
        answers = _by_networks(field.image, ours, published)
        shown = {INPUT: field.image} | {name: answer[0] for name, answer in answers.items()}
        return judge_tilt(field, shown)

    with progress(1, "tilt") as begin:
        begin("1.5 degrees")
        return kept.rows("tilt", TiltRow, make)


def clear_rows(request: Luo2020Request, ours: BlindRefocuser, kept: KeptRows) -> list[ClearRow]:
    """Simulated transmitted light of specimens that training never saw."""

    def make() -> list[ClearRow]:
        return [_clear_row(kind, number, ours) for number, kind in enumerate(UNSEEN_CLEAR)]

    with progress(1, "transmitted light") as begin:
        begin(f"{len(UNSEEN_CLEAR)} specimens")
        return kept.rows("clear", ClearRow, make)


def stain_rows(
    request: Luo2020Request, stains: BlindRefocuser | None, kept: KeptRows, *, steps: int
) -> list[FieldRow]:
    """Stained specimens that training never saw, by every way to refocus them."""
    asked = stain_methods(stains, steps=steps)
    distances = STAINS_DOF[2:3] if request.is_quick else STAINS_DOF
    rows: list[FieldRow] = []
    with progress(len(distances), "stains") as begin:
        for dof in distances:
            begin(f"{dof:g} DoF")

            def make(dof: float = dof) -> list[FieldRow]:
                fields = list(_stained(request, dof))
                return try_fields(fields, asked, dof=dof, photons=WHITE)

            rows += kept.rows(f"stains-{dof:g}", FieldRow, make)
    return rows


def stain_examples(request: Luo2020Request, stains: BlindRefocuser | None) -> list[Shot]:
    """A stained field of each kind, two depths of field from focus."""
    asked = stain_methods(stains, steps=4 if request.is_quick else 100)
    names = (INPUT, SMOOTHED, USERS, NETWORK)
    return [
        Shot(
            title=f"stained {field.kind}, {field.dof:g} DoF",
            images={
                **{name: asked[name](field).image for name in names if name in asked},
                "truth": field.truth,
            },
        )
        for field in _stained(request, STAINS_DOF[2], fields=1)
    ]


def _stained(request: Luo2020Request, dof: float, fields: int = 4) -> Iterator[BlurredField]:
    return draw_stains(
        request.kinds, fields=1 if request.is_quick else fields, size_px=request.size_px, dof=dof,
        seed=SEED + 90 + request.seed,
    )  # fmt: skip


def _clear_row(kind: str, number: int, ours: BlindRefocuser) -> ClearRow:
    source = ClearFields(size_px=192, seed=SEED + number, specimen=kind, kept=CLEAR_EACH)
    declined = 0
    for _ in range(CLEAR_EACH):
        drawn = source.draw(1)
        setup = setup_of(drawn, 0)
        finest = 0.6 * setup.wavelength_um / setup.na
        setup = setup.model_copy(update={"pixel_um": min(setup.pixel_um, finest)})
        declined += not ours.refocus(drawn.images[0, 0], setup=setup).found
    return ClearRow(kind=kind, fields=CLEAR_EACH, declined=declined)


def time_rows(
    request: Luo2020Request, ours: BlindRefocuser | None, kept: KeptRows
) -> list[TimeRow]:  # fmt: skip
    """Seconds for each mm^2, on line and after capture."""

    def make() -> list[TimeRow]:
        rows = time_searches(MEASURES, runs=SEARCHES, seed=request.seed)
        if ours is not None:
            tile = bead_planes((2.0,), beads=16, seed=1)[0].image
            rows.append(
                time_refocusing(
                    AFTER_CAPTURE, lambda image: ours.refocus(image, setup=SETUP), tile,
                    published=PUBLISHED_S["Deep-R, CPU"],
                )
            )  # fmt: skip
        return rows

    with progress(1, "times") as begin:
        begin("searches and refocusing")
        return kept.rows("times", TimeRow, make)


def real_planes(folder: Path, ours: BlindRefocuser) -> list[RealPlane]:
    """Recorded stacks, plane by plane."""
    sources = {s.name: s for s in find_stacks([folder], z_in_planes=True, crop_common=True)}
    planes: list[RealPlane] = []

    def refocus(image: np.ndarray, setup: Any) -> Refocused:
        return ours.refocus(image, setup=setup)

    cases: Sequence[Any] = [case for case in CASES if case.stack in sources]
    with progress(len(cases), "recorded stacks") as begin:
        for case in cases:
            begin(case.stack)
            source = sources[case.stack]
            focus = int(source.extra["focus_index"])
            planes += try_real(case, source.open(), focus, refocus)
    return planes
