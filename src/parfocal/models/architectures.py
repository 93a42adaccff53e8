"""The network classes that models are made of: the verb of each, and how it leaves parfocal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArchitectureRow:
    """One class of networks; nothing is imported by its row.

    Parameters
    ----------
    address
        As cards name it, "module:Class".
    verb
        The command that its models serve.
    graph
        Import address of the ``export_ports.Graph`` that wraps an ensemble of it for export;
        None where there is none yet.
    """

    address: str
    verb: str
    graph: str | None = None


ARCHITECTURES = (
    ArchitectureRow(
        "parfocal.nets.pair:PairNetwork",
        verb="predict",
        graph="parfocal.models.export_pair:PairGraph",
    ),
    ArchitectureRow("parfocal.nets.li2021:Li2021Network", verb="predict"),
    ArchitectureRow("parfocal.nets.spectrum:SpectrumNetwork", verb="predict"),
    ArchitectureRow("parfocal.nets.spectrum:SpectrumPerceptron", verb="predict"),
    ArchitectureRow("parfocal.nets.refocus_unet:RefocusNetwork", verb="refocus"),
    ArchitectureRow("parfocal.nets.surface_unet:SurfaceNetwork", verb="refocus"),
    ArchitectureRow("parfocal.nets.luo2020:Luo2020Generator", verb="refocus"),
    ArchitectureRow("parfocal.nets.focus_unet:FocusUnet", verb="segment"),
    ArchitectureRow("parfocal.nets.li2023:Li2023Network", verb="segment"),
)


def find_architecture(address: str) -> ArchitectureRow | None:
    """The row of a card's architecture, where there is one.

    Examples
    --------
    >>> find_architecture("parfocal.nets.pair:PairNetwork").verb
    'predict'
    """
    return next((row for row in ARCHITECTURES if row.address == address), None)
