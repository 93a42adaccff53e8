"""Scenes of thick specimens without simulated optics: textures blurred by their distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from parfocal.simulate.focus_truth import FAINTEST
from parfocal.simulate.thick_scenes import ANNOTATIONS, TRUTH, ThickSet, thick_recipes


def fabricate_thick(scenes: ThickSet, folder: Path) -> None:
    """Store every scene of a set where ``load_thick_scenes`` looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, recipe in thick_recipes(scenes):
        counts, masks = fabricated(recipe.seed, recipe.planes, recipe.shape_px[0])
        np.savez(
            folder / f"{name}.npz", counts=counts, masks=np.packbits(masks, axis=-1),
            recipe=recipe.model_dump_json() + TRUTH,
        )  # fmt: skip


def fabricated(seed: int, planes: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts, and masks (truth, then annotations): a band of texture moves down with the planes."""
    dice = np.random.default_rng(seed)
    texture = 400 * (dice.random((size_px, size_px)) < 0.1)
    rows = np.arange(size_px)[:, None] * planes / size_px
    blurred = np.stack([gaussian_filter(texture, s, mode="wrap") for s in (0.0, 1.0, 2.0, 4.0)])
    counts, masks = [], []
    for plane in range(planes):
        away = np.abs(rows - plane - 0.5) * np.ones((1, size_px))
        level = np.minimum(away.astype(int), 3)
        light = 100 + np.take_along_axis(blurred, level[None], 0)[0]
        counts.append(dice.poisson(light).astype(np.uint16))
        own = [(away < 0.5) & (texture > 0)]
        for changed in ANNOTATIONS.values():
            wide = gaussian_filter(texture, 1.0) > 15
            is_wider = changed.get("threshold", 1.0) < FAINTEST
            reach = changed.get("reach_depths", 0.5)
            own.append((away < reach) & (wide if is_wider else texture > 0))
        masks.append(own)
    return np.stack(counts), np.moveaxis(np.array(masks), 1, 0)
