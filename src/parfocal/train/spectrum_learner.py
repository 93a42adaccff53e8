"""What trains for the studies of Pinkard 2019, by the name of a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parfocal.predict.spectrum import published_bins
from parfocal.predict.spectrum_windows import log_powers
from parfocal.simulate.led_fields import FeatureSet, LedFields, LedStack
from parfocal.train.spectrum_task import (
    LedAnswers,
    LedPhaseRecipe,
    LedRecipe,
    Pinkard2019Recipe,
    answers_of,
    extract_of,
    fit_spectrum,
)

MOST_MAPS = 64
"""Images whose gradients a saliency map is the mean of."""


@dataclass(frozen=True)
class StudyLearner:
    """Shorter trainings than the recipes': the published one at a higher rate.

    Parameters
    ----------
    published_steps, published_rate
        Of the published network, for which the recipe has 100,000 and 2e-5.
    ours_steps
        Of our network.
    tuning_steps, tuning_rate
        Of our network's fine-tuning; the published one has as many batches as from the start.
    seed
        Of weights and batches.
    """

    published_steps: int = 1200
    published_rate: float = 3e-4
    ours_steps: int = 400
    tuning_steps: int = 800
    tuning_rate: float = 2e-3
    seed: int = 0

    def recipe(self, method: str, fields: LedFields) -> LedRecipe:
        """The recipe of a method: published, phase or ours."""
        names = ("size_px", "pixel_um", "planes", "reach_um", "na", "wavelength_nm", "led_na_yx")
        optics: dict[str, Any] = {name: getattr(fields, name) for name in names}
        if method == "ours":
            steps = self.ours_steps
            return LedPhaseRecipe(**optics, steps=steps, epoch_steps=steps)
        return Pinkard2019Recipe(
            **optics, steps=self.published_steps, epoch_steps=max(1, self.published_steps // 8),
            peak_rate=self.published_rate, magnitude=method != "phase",
        )  # fmt: skip

    def extract(self, method: str, fields: LedFields) -> Callable[[LedStack], Tensor]:
        """What turns a stack into the features of a method."""
        return extract_of(self.recipe(method, fields))

    def learn(self, method: str, fields: LedFields, examples: FeatureSet, first: Any = None) -> Any:
        """A network trained on these stacks; a tenth of them chooses the published one's epoch.

        Fine-tuning ours takes ``tuning_steps`` at ``tuning_rate``: half the batches at a third of
        the rate were too few for a new kind of specimen.
        """
        recipe = self.recipe(method, fields)
        validation = None
        if first is not None and isinstance(recipe, LedPhaseRecipe):
            tuning = {"steps": self.tuning_steps, "epoch_steps": self.tuning_steps}
            recipe = recipe.model_copy(update={**tuning, "peak_rate": self.tuning_rate})
        elif first is None and isinstance(recipe, Pinkard2019Recipe) and len(examples) >= 10:
            last = len(examples) // 10
            validation = examples.chosen(slice(0, last))
            examples = examples.chosen(slice(last, len(examples)))
        trained = fit_spectrum(recipe, examples, seed=self.seed, first=first, validation=validation)
        return trained.network

    def answers(
        self, method: str, fields: LedFields, network: Any, examples: FeatureSet
    ) -> LedAnswers:
        """Answers of a network."""
        return answers_of(network, self.recipe(method, fields), examples)

    def saliency(
        self, method: str, fields: LedFields, network: Any, examples: FeatureSet
    ) -> Float[np.ndarray, "v u"]:
        """Mean modulus of the gradient of the answer by each z-scored frequency [Simonyan2013]_."""
        recipe = self.recipe(method, fields)
        every = examples.features.flatten(0, 1)
        flat = every[:: -(-len(every) // MOST_MAPS)].float()
        inputs = log_powers(flat.exp().mean(1)) if isinstance(recipe, LedPhaseRecipe) else flat
        inputs = inputs.requires_grad_()
        network.eval()
        out = network(inputs)
        if isinstance(recipe, LedPhaseRecipe):
            classes = torch.linspace(-recipe.classes_reach, recipe.classes_reach, recipe.bins)
            out = out.softmax(-1) @ classes
        (gradient,) = torch.autograd.grad(out.sum(), inputs)
        maps = (gradient * network.spread).abs().mean(0)
        if isinstance(recipe, Pinkard2019Recipe):
            across, along = published_bins(recipe.side)
            maps = maps.reshape(across, 2 * along)
        values: np.ndarray = maps.numpy()
        return values
