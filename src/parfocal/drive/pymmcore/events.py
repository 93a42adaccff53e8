"""What an event of useq says, and what it leaves unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from useq import (
    AcquireImage,
    Channel,
    EventChannel,
    HardwareAutofocus,
    MDAEvent,
    MDASequence,
)

from parfocal.drive.pymmcore.corrections import Place
from parfocal.drive.pymmcore.settings import EngineSettings


def kind_of(event: MDAEvent) -> Literal["frame", "focus", "other"]:
    """What an event is for."""
    if isinstance(event.action, HardwareAutofocus):
        return "focus"
    return "frame" if isinstance(event.action, (AcquireImage, type(None))) else "other"


def index_of(event: MDAEvent) -> dict[str, int]:
    """Place in the sequence by plain axis names."""
    return {str(getattr(axis, "value", axis)): int(place) for axis, place in event.index.items()}


def place_of(event: MDAEvent) -> Place:
    """Position and tile of an event."""
    return event.index.get("p"), event.index.get("g")


def channel_offset_um(event: MDAEvent, *, whole: bool = False) -> float:
    """Offset of an event's channel that is not in its z yet.

    useq adds ``z_offset`` to the planes of a z plan, and forgets it where there is no such plan.

    Parameters
    ----------
    whole
        The offset of the channel, in its z or not.

    Examples
    --------
    >>> plan = MDASequence(channels=[{"config": "A", "z_offset": 3}], stage_positions=[(0, 0, 1)])
    >>> [(event.z_pos, channel_offset_um(event)) for event in plan]
    [(1.0, 3.0)]
    """
    if event.channel is None or event.sequence is None or ("z" in event.index and not whole):
        return 0.0
    wanted = event.channel.group, event.channel.config
    for channel in _channels(event):
        if (channel.group, channel.config) == wanted:
            return float(channel.z_offset or 0.0)
    return 0.0


def _channels(event: MDAEvent) -> Iterator[Channel]:
    """Channels of the position's own sequence, then of the whole."""
    sequence, place = event.sequence, event.index.get("p")
    positions: Any = () if sequence is None else sequence.stage_positions
    if place is not None and place < len(positions) and positions[place].sequence is not None:
        yield from positions[place].sequence.channels
    if sequence is not None:
        yield from sequence.channels


def fresh(sequence: MDASequence) -> Iterator[MDAEvent]:
    """Events of a copy: an autofocus plan of useq remembers where it was used last.

    Examples
    --------
    >>> plan = MDASequence(stage_positions=[(0, 0, 0)], autofocus_plan={"axes": ("p",)})
    >>> [len(list(plan)) for _ in range(2)], [len(list(fresh(plan))) for _ in range(2)]
    ([2, 1], [2, 2])
    """
    copy = MDASequence(**sequence.model_dump())
    return iter(copy.model_copy(update={"uid": sequence.uid}))


def for_focusing(event: MDAEvent, settings: EngineSettings, *, group: str) -> MDAEvent:
    """The event in the channel and exposure that are meant for focusing.

    ``group`` is that of a channel where the event names none.
    """
    changes = dict[str, Any]()
    if settings.focus_exposure_ms is not None:
        changes["exposure"] = settings.focus_exposure_ms
    if settings.focus_channel is not None:
        group = event.channel.group if event.channel else group
        channel = EventChannel(config=settings.focus_channel, group=group)
        changes["channel"] = channel
        if "z" in event.index and event.z_pos is not None:  # its z has the offset of its own
            there = event.model_copy(update={"channel": channel})
            offsets_um = (channel_offset_um(one, whole=True) for one in (there, event))
            changes["z_pos"] = event.z_pos + next(offsets_um) - next(offsets_um)
    return event.model_copy(update=changes)
