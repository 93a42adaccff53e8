"""Settings of an acquisition that is focused by images."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from parfocal.drive.limits import Positive
from parfocal.drive.shots import Region


class EngineSettings(BaseModel):
    """How an acquisition is focused, and when it is given up.

    Parameters
    ----------
    focus_channel
        Channel in which to focus; default the channel of the event.
    focus_exposure_ms
        Exposure for focusing; default that of the event.
    near_um
        Range about the predicted focus that is searched first, once focus is known anywhere; if
        focus is not there, the search's own range. For searches with a ``range_um``; others
        begin at the prediction anyway. Default the search's own range at once.
    region
        Rows and columns (top, bottom, left, right) in px to focus on; default the whole image.
    retries
        How often a move that failed is tried again.
    retakes
        How often an image that failed is tried again; each costs light.
    most_failures
        So many lost frames in a row stop the acquisition: a connection that is lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    focus_channel: str | None = None
    focus_exposure_ms: Positive | None = None
    near_um: Positive | None = None
    region: Region | None = None
    retries: Annotated[int, Field(ge=0)] = 1
    retakes: Annotated[int, Field(ge=0)] = 0
    most_failures: Annotated[int, Field(ge=1)] = 5
