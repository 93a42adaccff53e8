"""Try one search after the other, until one is verified."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, TypeAdapter, field_validator

from parfocal.core.errors import UnknownNameError
from parfocal.core.results import Status
from parfocal.drive.auto import AutoSearch
from parfocal.drive.bayes import BayesianSearch
from parfocal.drive.brent import BrentSearch, GoldenSearch
from parfocal.drive.checks import verify
from parfocal.drive.climb import HillClimbSearch
from parfocal.drive.one_shot import PredictorSearch
from parfocal.drive.search import Eye, Proposal, Search
from parfocal.drive.sweeps import (
    CoarseFineSearch,
    ContinuousSweepSearch,
    EarlyStopSearch,
    SweepSearch,
)

# What another search cannot mend.
FINAL = (Status.SATURATED,)


class ChainSearch(BaseModel):
    """Predict, else look coarsely, else sweep: each search starts with the images of the last.

    Parameters
    ----------
    searches
        In order of cost. An answer must be verified by an image before it ends the chain.

    Examples
    --------
    >>> [search.kind for search in ChainSearch().searches]
    ['brent', 'coarse-fine', 'sweep']
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: Literal["chain"] = "chain"
    searches: tuple[SerializeAsAny[Any], ...] = (
        BrentSearch(),
        CoarseFineSearch(),
        SweepSearch(),
    )

    @field_validator("searches", mode="before")
    @classmethod
    def _are_searches(cls, values: Any) -> tuple[Any, ...]:
        chosen = tuple(parse_search(each) if isinstance(each, dict) else each for each in values)
        if not chosen:
            raise ValueError("a chain needs at least one search")
        for each in chosen:
            if not isinstance(each, Search):
                raise ValueError(f"a search has propose(eye), and {each!r} does not")
        return chosen

    def propose(self, eye: Eye) -> Proposal:
        """Give the first answer that an image verifies, else all reasons."""
        reasons = []
        proposal = Proposal(status=Status.UNCERTAIN, reason="nothing was tried")
        for search in self.searches:
            if eye.looks_left < 1:
                reasons.append("no image was left for the rest of the chain")
                break
            proposal = verify(eye, search.propose(eye))
            name = getattr(search, "kind", type(search).__name__)
            if proposal.found or proposal.status in FINAL:
                before = f" (after {'; '.join(reasons)})" if reasons else ""
                return _with_reason(proposal, f"{name}: {proposal.reason}{before}")
            reasons.append(f"{name}: {proposal.status}, {proposal.reason}")
        return _with_reason(proposal, "; ".join(reasons))


def _with_reason(proposal: Proposal, reason: str) -> Proposal:
    values = {name: getattr(proposal, name) for name in proposal.__dataclass_fields__}
    return Proposal(**values | {"reason": reason})


AnySearch = Annotated[
    AutoSearch
    | SweepSearch
    | CoarseFineSearch
    | EarlyStopSearch
    | ContinuousSweepSearch
    | BrentSearch
    | GoldenSearch
    | HillClimbSearch
    | BayesianSearch
    | PredictorSearch
    | ChainSearch,
    Field(discriminator="kind"),
]
"""Every search of this room that is a value of plain settings, told apart by its ``kind``."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnySearch)


def parse_search(values: dict[str, Any]) -> Any:
    """A search from plain settings with its ``kind``, as records hold them.

    Raises
    ------
    UnknownNameError
        If there is no search of that kind.

    Examples
    --------
    >>> parse_search({"kind": "golden", "range_um": 6}).range_um
    6.0
    """
    kinds = [each.model_fields["kind"].default for each in get_args(get_args(AnySearch)[0])]
    if values.get("kind") not in kinds:
        raise UnknownNameError("search", str(values.get("kind")), kinds)
    return _ADAPTER.validate_python(values)
