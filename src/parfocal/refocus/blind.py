"""Bring one image into focus without being told how far it is from it."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from parfocal.core.errors import MetadataError
from parfocal.core.results import Refocused
from parfocal.core.setup import OpticalSetup
from parfocal.models.card import ModelCard
from parfocal.models.catalog import find_model
from parfocal.models.package import CARD, load_model
from parfocal.refocus.refocuser import BlindRefocuser, Untrusted

DEFAULT_MODEL = "deep-r-fluorescence"
REFOCUSERS = {
    "parfocal.nets.refocus_unet:RefocusNetwork": "parfocal.refocus.refocuser:BlindRefocuser",
    "parfocal.nets.luo2020:Luo2020Generator": "parfocal.refocus.published:PublishedRefocuser",
}
"""What is built from cards of each architecture; nothing is imported by it."""


@runtime_checkable
class Refocuser(Protocol):
    """What ``load_refocuser`` gives: a network with its card, asked for one image at a time."""

    card: ModelCard

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        ...

    def refocus(
        self,
        image: Any,
        *,
        setup: OpticalSetup | None = None,
        saturation_counts: float | None = None,
        untrusted: Untrusted = "answer",
    ) -> Refocused:
        """Bring one image (y, x) into focus, or say why not."""
        ...


def blind(
    image: Any,
    *,
    setup: OpticalSetup | None = None,
    model: str | Path = DEFAULT_MODEL,
    saturation_counts: float | None = None,
    untrusted: Untrusted = "answer",
    device: str = "cpu",
) -> Refocused:
    """Bring one fluorescence image into focus after capture, at a distance that is not known.

    After Deep-R [Luo2020]_; but the network is not asked to invent: it chooses among the image
    and its deconvolutions by assumed distances of the nominal optics, place by place, and
    corrects its choice. An image within one depth of field of focus is passed through.

    Parameters
    ----------
    image
        Counts (y, x) of any array kind, or a FocalStack of one plane; lazy arrays are read tile by
        tile. Pixels of up to 0.6 wavelength / NA; very fine ones are resampled and come back.
    setup
        The optics; of a FocalStack its own where not given.
    model
        A name in the catalogue, or a folder that holds weights and card.
    saturation_counts
        Counts at which the camera clips; the largest pixel where unknown.
    untrusted
        What stands where trust is below a half: the network's "answer", or the "input".
    device
        "cpu", "cuda" or "auto".

    Returns
    -------
    The image in counts, on the scale of the input and with its light; trust of each pixel; the
    chance that the whole is better than the input; |defocus| with its 90 % interval. No image
    with a status other than ``found``: blank, saturated, or uncertain (transmitted light, too far,
    optics unlike those of training, light not kept).

    Raises
    ------
    ShapeError, InputError
        If it is no image of finite numbers.
    MetadataError
        If the optics are missing, or the model is no refocusing network.
    UnknownNameError, ReadError
        If there is no such model, or it cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> setup = OpticalSetup(na=0.75, wavelength_nm=536, pixel_um=0.325)
    >>> result = blind(np.full((64, 64), 100.0), setup=setup)
    >>> result.status.value, result.image is None
    ('blank', True)
    """
    return _found(model, device).refocus(
        image, setup=setup, saturation_counts=saturation_counts, untrusted=untrusted
    )


def load_refocuser(model: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> BlindRefocuser:
    """Load a refocusing network once, by its name in the catalogue or from a folder.

    Raises
    ------
    MetadataError
        If the model is no refocusing network with trust.
    UnknownNameError, ReadError
        If there is no such model, or it cannot be read.

    Examples
    --------
    >>> load_refocuser().name
    'deep-r-fluorescence'
    """
    refocuser = _found(model, device)
    if not isinstance(refocuser, BlindRefocuser):
        raise MetadataError(
            f"{refocuser.name} knows no distance and no trust: ask it by parfocal.refocus.blind, "
            f"or load a model like {DEFAULT_MODEL}."
        )
    return refocuser


def _found(model: str | Path, device: str) -> Refocuser:
    folder = Path(model) if Path(model).is_dir() else find_model(str(model)).folder
    card = folder / CARD
    return _loaded(folder, device, card.stat().st_mtime_ns if card.is_file() else 0)


@lru_cache(maxsize=4)
def _loaded(folder: Path, device: str, written: int) -> Refocuser:
    """One refocuser of a folder, as it was written at that time."""
    networks, card = load_model(folder)
    address = REFOCUSERS.get(card.architecture)
    if address is None:
        raise MetadataError(
            f"{card.name} refocuses nothing: its architecture is {card.architecture}, and one of "
            f"{', '.join(REFOCUSERS)} is needed; see parfocal train --list."
        )
    module, _, name = address.partition(":")
    refocuser: Refocuser = getattr(import_module(module), name)(networks, card, device=device)
    return refocuser
