"""The dense map against patches at the same places, and both against the truth of simulated fields.

``python -m benchmarks.dense_agreement [--fields N]``: errors in effective depths of field.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.predictor import the_predictor
from parfocal.core.setup import OpticalSetup
from parfocal.nets.pair import REDUCTION_PX
from parfocal.predict.checks import effective_depth_um
from parfocal.predict.dense import defocus_map
from parfocal.predict.first_image import classes_of_first, of_first
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.pairs import resample, resampling
from parfocal.predict.posterior import centre, certainty
from parfocal.predict.tiles import Axis
from parfocal.simulate.batches import FieldBatch, FieldBatches

KINDS = ("nuclei", "filaments", "beads", "neurites", "dense_tissue", "hair_cells")
SIZE_PX, WINDOW_PX = 384, 128
SURE = 0.25
"""Certainty of a patch from which it counts as sure."""
OPEN = {"least_certainty": -1.0, "reach": 100.0, "most_clear": 2.0}


@torch.inference_mode()
def patch_by_patch(
    predictor: PairPredictor, images: torch.Tensor, spacing_um: float, setup: OpticalSetup
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Defocus and certainty of a patch at each of the map's windows."""
    share, depth_um = resampling(setup), effective_depth_um(setup)
    small = resample(images, share)
    rows, columns = (Axis(int(size), share) for size in images.shape[-2:])
    cells = WINDOW_PX // REDUCTION_PX
    grid = rows.cells - cells + 1, columns.cells - cells + 1
    patches = torch.stack(
        [
            small[:, y : y + WINDOW_PX, x : x + WINDOW_PX]
            for y in range(rows.offset_px, rows.offset_px + grid[0] * REDUCTION_PX, REDUCTION_PX)
            for x in range(
                columns.offset_px, columns.offset_px + grid[1] * REDUCTION_PX, REDUCTION_PX
            )
        ]
    )
    pixel = setup.pixel_um / share * setup.na / setup.wavelength_um
    ratio = setup.na / setup.immersion_index
    step = spacing_um / depth_um
    shares, _ = predictor._judge(patches, step, pixel=pixel, ratio=ratio)
    classes = classes_of_first(predictor.calibration, step / 2)
    first = of_first(shares, classes, step / 2, predictor.calibration)
    means = centre(first, classes) * depth_um
    return means.reshape(grid).numpy(), certainty(first).reshape(grid).numpy()


def try_field(predictor: PairPredictor, fields: FieldBatch, k: int) -> NDArray[Any]:
    """Columns: difference, error of patches, error of the map, certainty of patches."""
    setup = OpticalSetup(
        na=float(fields.na[k]),
        wavelength_nm=1000 * float(fields.wavelength_um[k]),
        pixel_um=float(fields.pixel_um[k]),
        immersion_index=float(fields.index[k]),
    )
    spacing_um, depth_um = float(fields.spacing_um[k]), float(fields.depth_um[k])
    truth = float(fields.defocus_um[k])
    patches, sure = patch_by_patch(predictor, fields.images[k], spacing_um, setup)
    whole = defocus_map(
        predictor, fields.images[k], spacing_um=spacing_um, setup=setup, saturation_counts=1e9
    ).defocus_um
    inner = slice(1, -1), slice(1, -1)
    away = [whole - patches, patches - truth, whole - truth]
    columns = [np.abs(each / depth_um)[inner].ravel() for each in away]
    return np.stack([*columns, sure[inner].ravel()])


def main() -> None:
    """Print one row for each kind of specimen, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=6, help="fields of each kind of specimen")
    options = parser.parse_args()
    predictor, what = the_predictor()
    predictor.calibration = predictor.calibration.model_copy(update=OPEN)
    print(f"{what}, {len(predictor.networks)} networks; {options.fields} fields of {SIZE_PX} px of")
    print("each kind; windows of 128 resampled px, 32 apart, without the outermost")
    print(
        f"{'':14}{'map less patch':^24}{'the same, if sure':^24}{'mean error':^18}{'if sure':^18}"
    )
    print(f"{'':14}{'median':>12}{'90 %':>12}" * 1 + f"{'median':>12}{'90 %':>12}", end="")
    print(f"{'patches':>9}{'map':>9}" * 2)
    rows: dict[str, NDArray[Any]] = {}
    for number, kind in enumerate(KINDS):
        source = FieldBatches(
            batch=options.fields, size_px=SIZE_PX, seed=100 + number, objects=(kind,), textures=0,
            reuse=1,
        )  # fmt: skip
        fields = source.draw()
        tried = [try_field(predictor, fields, k) for k in range(options.fields)]
        rows[kind] = np.concatenate(tried, 1)
        _print_row(kind, rows[kind])
    _print_row("all", np.concatenate(list(rows.values()), 1))


def _print_row(kind: str, values: NDArray[Any]) -> None:
    sure = values[:, values[3] > SURE]
    told = [np.median(values[0]), np.quantile(values[0], 0.9)]
    told += [np.median(sure[0]), np.quantile(sure[0], 0.9)] if sure.size else [np.nan] * 2
    means = [values[1].mean(), values[2].mean()]
    means += [sure[1].mean(), sure[2].mean()] if sure.size else [np.nan] * 2
    print(f"{kind:14}" + "".join(f"{each:12.2f}" for each in told), end="")
    print("".join(f"{each:9.2f}" for each in means), flush=True)


if __name__ == "__main__":
    main()
