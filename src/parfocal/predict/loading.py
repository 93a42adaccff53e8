"""From a model's name to a predictor, by the architecture that its card names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from parfocal.core.device import pick_device
from parfocal.core.errors import MetadataError
from parfocal.core.results import DefocusEstimate
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.models.package import load_model

DEFAULT_MODEL = "pair-fluorescence"


@runtime_checkable
class Predictor(Protocol):
    """A ``DefocusPredictor`` with a card: what ``load`` gives."""

    card: ModelCard

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        ...

    def predict(
        self,
        images: Any,
        *,
        spacing_um: float | None = None,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
    ) -> DefocusEstimate:
        """Estimate the defocus of the first of ``images`` (n, y, x), ``spacing_um`` apart."""
        ...


@dataclass(frozen=True)
class PredictorRow:
    """What is built from cards of one architecture; nothing is imported by it.

    Parameters
    ----------
    architecture
        As cards name it.
    predictor
        Import address of the class, built as ``Class(networks, card, device=device)``.
    images
        How many images it is best asked with.
    """

    architecture: str
    predictor: str
    images: int


PREDICTORS = (
    PredictorRow(
        architecture="parfocal.nets.pair:PairNetwork",
        predictor="parfocal.predict.pair_predictor:PairPredictor",
        images=2,
    ),
    PredictorRow(
        architecture="parfocal.nets.li2021:Li2021Network",
        predictor="parfocal.predict.class_predictor:ClassPredictor",
        images=2,
    ),
    PredictorRow(
        architecture="parfocal.nets.spectrum:SpectrumNetwork",
        predictor="parfocal.predict.spectrum_predictor:SpectrumPredictor",
        images=1,
    ),
    PredictorRow(
        architecture="parfocal.nets.spectrum:SpectrumPerceptron",
        predictor="parfocal.predict.spectrum_predictor:SpectrumPredictor",
        images=1,
    ),
)


def find_predictor(card: ModelCard) -> PredictorRow:
    """The row of a card's architecture.

    Raises
    ------
    MetadataError
        If models of that architecture predict no defocus.
    """
    for row in PREDICTORS:
        if row.architecture == card.architecture:
            return row
    known = ", ".join(row.architecture.partition(":")[2] for row in PREDICTORS)
    raise MetadataError(
        f"{card.name} is no predictor of defocus: its architecture is {card.architecture}, and "
        f"predictors are {known}; see parfocal train --list."
    )


def load(model: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> Predictor:
    """Load a predictor by its name in the catalogue, or from a folder.

    Parameters
    ----------
    model
        A name, or a folder that holds weights and card.
    device
        "cpu", "cuda", "cuda:1" or "auto".

    Raises
    ------
    UnknownNameError
        If no model has that name.
    InputError
        If there is no such device, or no model at all.
    ReadError, MetadataError
        If weights or card are missing or damaged, or belong to another kind of network.

    Examples
    --------
    >>> import tempfile
    >>> from parfocal.models import save_model
    >>> from parfocal.nets.pair import PairNetwork
    >>> shape = {"bins": 9, "widths": [4, 4, 4, 4, 4]}
    >>> card = ModelCard(
    ...     name="mine", task="", architecture="parfocal.nets.pair:PairNetwork", settings=shape,
    ...     recipe={}, commit="", seed=0, data="", seconds=0, machine="", metrics={}, coverage={},
    ...     limits=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = save_model(Path(folder), card, [PairNetwork(**shape)])
    ...     load(folder).name
    'mine'
    """
    where = pick_device(device)
    networks, card = load_model(model, device=where)
    module, _, name = find_predictor(card).predictor.partition(":")
    predictor: Predictor = getattr(import_module(module), name)(networks, card, device=device)
    return predictor
