"""Weights and card on disk: safetensors beside JSON, checked against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from parfocal.core.errors import MetadataError, ReadError
from parfocal.models.card import ModelCard
from parfocal.models.catalog import find_model

WEIGHTS, CARD = "weights.safetensors", "card.json"
ARCHITECTURES = "parfocal.nets."


def save_model(folder: Path, card: ModelCard, networks: Sequence[nn.Module]) -> ModelCard:
    """Write an ensemble and its card; the card that comes back holds the hash of the weights."""
    if len(networks) != card.members:
        raise MetadataError(
            f"{card.name}: the card says {card.members} members, but {len(networks)} were given."
        )
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{number}.{name}": value.detach().cpu().contiguous()
        for number, network in enumerate(networks)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    unfinished = folder / f".{WEIGHTS}.unfinished"
    unfinished.write_bytes(save(tensors))  # not save_file, whose files only their owner may read
    unfinished.replace(folder / WEIGHTS)
    whole = card.model_copy(update={"sha256": _hash(folder / WEIGHTS)})
    whole.write(folder / CARD)
    return whole


def load_model(
    model: str | Path, *, device: torch.device | str = "cpu"
) -> tuple[list[nn.Module], ModelCard]:
    """Load an ensemble by its name in the catalogue, or from a folder, ready to predict.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    ReadError
        If weights or card are missing or damaged, or do not belong together.
    """
    folder = Path(model) if Path(model).is_dir() else find_model(str(model)).folder
    card = ModelCard.read(folder / CARD)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ReadError(f"{path} is missing; train it with: parfocal train {card.name}.")
    if card.sha256 and _hash(path) != card.sha256:
        raise ReadError(
            f"{path} is not the file that its card describes (its hash differs): it is damaged or "
            "was replaced; install parfocal again or train it anew."
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ReadError(f"{path} cannot be read as safetensors: {error}.") from error
    return [_build(card, tensors, number, device) for number in range(card.members)], card


def _build(
    card: ModelCard, tensors: dict[str, torch.Tensor], number: int, device: torch.device | str
) -> nn.Module:
    module, _, name = card.architecture.partition(":")
    if not module.startswith(ARCHITECTURES) or not name.isidentifier():
        raise MetadataError(
            f"The card of {card.name} names the architecture {card.architecture!r}; only those of "
            f"{ARCHITECTURES}* are built."
        )
    network: nn.Module = getattr(import_module(module), name)(**card.settings)
    prefix = f"{number}."
    state = {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ReadError(
            f"The weights of {card.name} do not fit {name}: "
            f"{', '.join([*missing, *unexpected][:3])}."
        )
    return network.to(device).eval()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
