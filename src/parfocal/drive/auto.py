"""The search that is used where none is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from parfocal.core.results import Status
from parfocal.drive.bayes import BayesianSearch
from parfocal.drive.checks import verify
from parfocal.drive.limits import Positive
from parfocal.drive.search import Eye, Proposal
from parfocal.drive.sweeps import CoarseFineSearch


class AutoSearch(BaseModel):
    """Bayesian where the optics are known, and coarse, then fine, where not or where it is unsure.

    Parameters
    ----------
    range_um
        Range around the start; None is all that the limits allow.

    Examples
    --------
    >>> AutoSearch().kind
    'auto'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"
    range_um: Positive | None = None

    def propose(self, eye: Eye) -> Proposal:
        """Let the search answer that suits what is known."""
        everywhere = CoarseFineSearch(range_um=self.range_um)
        if eye.setup is None:
            return everywhere.propose(eye)
        first = verify(eye, BayesianSearch(range_um=self.range_um).propose(eye))
        if first.status != Status.UNCERTAIN or eye.looks_left < 1:
            return first
        second = everywhere.propose(eye)
        return replace(second, reason=f"{second.reason} (Bayesian search before: {first.reason})")
