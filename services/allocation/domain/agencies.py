"""The agencies: what they are, who works there, and who succeeds whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from services.allocation.domain.cases import Refused
from shared.contracts.agencies import AgencyChanged, AgencyKind, AgencySucceeded, Desk, Worker
from shared.contracts.envelope import Payload


@dataclass(frozen=True)
class AgencyState:
    """An agency as last told. `kind` is empty until it is registered."""

    name: str = ""
    kind: str = ""
    areas: tuple[str, ...] = ()
    workers: tuple[Worker, ...] = ()
    sharing_agreement: str | None = None
    active: bool = True
    desk: Desk | None = None
    successor: str | None = None
    succeeded_at: datetime | None = None


def evolve(state: AgencyState, payload: Payload) -> AgencyState:
    """Return the agency after this event."""
    if isinstance(payload, AgencyChanged):
        return replace(
            state,
            name=payload.name,
            kind=payload.kind,
            areas=payload.areas,
            workers=payload.workers,
            sharing_agreement=payload.sharing_agreement,
            active=payload.active,
            desk=payload.desk,
        )
    if isinstance(payload, AgencySucceeded):
        return replace(state, successor=payload.successor, succeeded_at=payload.since)
    return state


def change(state: AgencyState, wanted: AgencyChanged) -> list[Payload]:
    """The agency is as `wanted` says; its workers are kept, they are changed one by one."""
    if state.successor:
        raise Refused("closed", f"the agency is succeeded by {state.successor}: change that one")
    told = AgencyChanged(
        name=wanted.name,
        kind=wanted.kind,
        areas=wanted.areas,
        workers=state.workers,
        sharing_agreement=wanted.sharing_agreement,
        active=wanted.active,
        desk=wanted.desk,
    )
    return [] if evolve(state, told) == state else [told]


def change_worker(state: AgencyState, worker: Worker) -> list[Payload]:
    """A worker of the agency is as this says; other services learn of it with the agency."""
    if not state.kind:
        raise Refused("invalid", "agency: not registered; register it first")
    if worker.deputy and worker.deputy not in {known.id for known in state.workers if known.active}:
        raise Refused("invalid", "deputy: not an active worker of the same agency; register the deputy first")
    if worker in state.workers:
        return []
    others = tuple(known for known in state.workers if known.id != worker.id)
    workers = tuple(sorted((*others, worker), key=lambda known: known.id))
    return [
        AgencyChanged(
            name=state.name,
            kind=cast("AgencyKind", state.kind),
            areas=state.areas,
            workers=workers,
            sharing_agreement=state.sharing_agreement,
            active=state.active,
            desk=state.desk,
        )
    ]


def succeed(
    state: AgencyState, agency: str, successor: str, since: datetime, successors: Mapping[str, str]
) -> list[Payload]:
    """From `since` another agency takes this one's place. `successors` is who succeeded whom so far."""
    if state.successor == successor and state.succeeded_at == since:
        return []
    if state.successor:
        raise Refused("closed", f"the agency is succeeded by {state.successor} already")
    if not state.kind:
        raise Refused("invalid", "agency: not registered; register it first")
    if heir(successor, successors) == agency or successor == agency:
        raise Refused(
            "invalid", "successor: that would make a circle; name an agency that does not end in this one"
        )
    return [AgencySucceeded(successor=successor, since=since)]


def heir(agency: str, successors: Mapping[str, str]) -> str:
    """Return the agency that now stands in this one's place, at the end of all successions."""
    seen = {agency}
    while (following := successors.get(agency)) and following not in seen:
        seen.add(following)
        agency = following
    return agency
