"""Patches of short stacks, cut from stored light-sheet scenes whose focus is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import platformdirs
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.core.errors import InputError
from parfocal.simulate.sheet_scenes import Scene


def scenes_folder() -> Path:
    """Where simulated scenes are kept: the platform's cache folder."""
    return Path(platformdirs.user_cache_dir("parfocal")) / "light-sheet"


def nearest_plane(scene: Scene, defocus_um: float) -> int:
    """Plane whose defocus is nearest to the one that is asked for.

    Examples
    --------
    >>> from parfocal.core.setup import OpticalSetup
    >>> setup = OpticalSetup(na=0.6, wavelength_nm=580, pixel_um=0.65)
    >>> scene = Scene(counts=np.zeros((3, 4, 4), np.uint16), z_um=(0.0, 2.0, 4.0), focus_um=1.8,
    ...               tissue="", is_flat=True, setup=setup)
    >>> nearest_plane(scene, 2.0), nearest_plane(scene, -1.0)
    (2, 0)
    """
    return int(np.abs(np.array(scene.z_um) - scene.focus_um - defocus_um).argmin())


class PatchCutter:
    """Cuts patches at random places of random scenes, mirrored and turned at random.

    Parameters
    ----------
    scenes
        Where from; all with planes equally far apart.
    size_px
        Side of a patch.
    generator
        Draws scenes, places and symmetries.
    turns
        Whether patches are turned by a quarter as well as mirrored.

    Raises
    ------
    InputError
        If there is no scene, or one is smaller than a patch.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        size_px: int = 128,
        generator: np.random.Generator,
        turns: bool = False,
    ) -> None:
        if not scenes or min(min(scene.counts.shape[1:]) for scene in scenes) < size_px:
            raise InputError(
                f"Patches of {size_px} px need at least one scene, and none that is smaller; "
                f"{len(scenes)} scenes came."
            )
        self.scenes, self.size_px, self.generator, self.turns = scenes, size_px, generator, turns

    def cut(
        self, defocus_um: Float[Tensor, " b"], offsets_um: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n y x"], Float[Tensor, "b n"]]:
        """Patches near the defocus that is asked for, with images at offsets from it.

        Parameters
        ----------
        defocus_um
            Of offset 0, wished for.
        offsets_um
            Of each image, in order of rising stage z; whole numbers of plane distances.

        Returns
        -------
        Counts, and the true defocus of each image: planes lie where they lie.
        """
        patches, truths = [], []
        for wish, steps in zip(defocus_um.tolist(), offsets_um.tolist(), strict=True):
            scene = self.scenes[int(self.generator.integers(len(self.scenes)))]
            z_um = np.array(scene.z_um)
            gaps = np.rint(np.array(steps) / (z_um[1] - z_um[0])).astype(int)
            first = np.clip(nearest_plane(scene, wish), -gaps.min(), len(z_um) - 1 - gaps.max())
            planes = first + gaps
            patches.append(self._patch(scene, planes))
            truths.append(torch.from_numpy(z_um[planes] - scene.focus_um))
        return torch.stack(patches), torch.stack(truths).float()

    def _patch(self, scene: Scene, planes: np.ndarray) -> Float[Tensor, "n y x"]:
        """One patch of some planes."""
        dice, size = self.generator, self.size_px
        _, size_y, size_x = scene.counts.shape
        y, x = int(dice.integers(size_y - size + 1)), int(dice.integers(size_x - size + 1))
        counts = scene.counts[planes, y : y + size, x : x + size].astype(np.float32)
        patch = torch.from_numpy(counts)
        axes = [axis for axis in (-2, -1) if dice.random() < 0.5]
        patch = patch.flip(axes) if axes else patch
        return patch.mT if self.turns and dice.random() < 0.5 else patch
