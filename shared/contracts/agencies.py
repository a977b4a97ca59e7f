"""Events of one agency, by allocation. Topic `agencies`, key agency_id."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.contracts.envelope import Hours, Payload, datetime, event

AgencyKind = Literal[
    "police",
    "victim_care",
    "witness_service",
    "crc",
    "nps",
    "yot",
    "prison",
    "court",
    "provider",
    "hub",
    "school",
    "housing",
    "self",
    "commissioner",
]


class Worker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker as other services need to know it: an id, whether it may be a named worker, and its deputy."""

    id: str
    active: bool = True
    deputy: str | None = None


class Desk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How anybody reaches the agency: its public number and mailbox, never those of one of its workers.

    `phone` as it is printed, `hours` when it is answered.
    """

    phone: str | None = None
    email: str | None = None
    hours: tuple[Hours, ...] = ()


@event("agencies", "agency.changed")
class AgencyChanged(Payload, frozen=True, kw_only=True):
    """An agency as it is now: name, kind, police areas, workers, the sharing agreement that governs what it sees.

    `desk`: how people whom it writes to can answer; None if it has not been told.
    """

    name: str
    kind: AgencyKind
    areas: tuple[str, ...] = ()
    workers: tuple[Worker, ...] = ()
    sharing_agreement: str | None = None
    active: bool = True
    desk: Desk | None = None


@event("agencies", "agency.succeeded")
class AgencySucceeded(Payload, frozen=True, kw_only=True):
    """From `since`, `successor` inherits this agency's leads, named-agency agreements and feed."""

    successor: str
    since: datetime
