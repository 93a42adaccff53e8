"""Light-sheet scenes in a blink: noise that is blurred with its distance from focus."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parfocal.simulate.sheet_scenes import Scene, SceneSet, scene_recipes

BLUR_PX_PER_UM = 0.15


def blurred_counts(z_um: np.ndarray, focus_um: float, size_px: int, *, seed: int) -> np.ndarray:
    """Counts (z, y, x) of a texture that is sharpest at ``focus_um``, wider above it than below."""
    dice = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(dice.random((size_px, size_px)) ** 8)
    v = np.fft.fftfreq(size_px)[:, None]
    u = np.fft.rfftfreq(size_px)
    planes = []
    for defocus_um in z_um - focus_um:
        sigma = 0.7 + BLUR_PX_PER_UM * abs(defocus_um) * (1.2 if defocus_um > 0 else 0.8)
        otf = np.exp(-2 * (np.pi * sigma) ** 2 * (u**2 + v**2))
        light = 20_000 * np.fft.irfft2(spectrum * otf, s=(size_px, size_px))
        planes.append(np.rint(100 + np.clip(light, 0, 60_000)))
    return np.array(planes, np.uint16)


def fabricate_scenes(scenes: SceneSet, folder: Path) -> None:
    """Put scenes into a folder as if they had been simulated."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, recipe) in enumerate(scene_recipes(scenes)):
        focus_um = recipe.z_um[len(recipe.z_um) // 2] + 0.3
        counts = blurred_counts(np.array(recipe.z_um), focus_um, scenes.size_px, seed=number)
        path = folder / f"{name}.npz"
        np.savez(path, counts=counts, focus_um=focus_um, recipe=recipe.model_dump_json())


def fabricated_scene(
    *, size_px: int = 384, planes: int = 51, seed: int = 0, tissue: str = "neurites",
    is_flat: bool = True,
) -> Scene:  # fmt: skip
    """One scene that was never stored."""
    wanted = SceneSet(split="test", tissues=(tissue,), thick=0, flat=1, size_px=size_px)
    _, recipe = next(iter(scene_recipes(wanted)))
    z_um = np.arange(planes) * 2.0
    focus_um = float(planes - 1) + 0.3
    return Scene(
        counts=blurred_counts(z_um, focus_um, size_px, seed=seed),
        z_um=tuple(z_um.tolist()),
        focus_um=focus_um,
        tissue=tissue,
        is_flat=is_flat,
        setup=recipe.setup,
    )
