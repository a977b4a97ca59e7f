"""The envelope of every event, and the register of event types.

An event is a CloudEvents 1.0 message in binary mode: the attributes below travel as Kafka headers, the payload is the JSON
value. Nothing in an attribute, a key or a payload identifies a person: people are pseudonymous ids, reasons are codes.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Final, Generic, Literal

import msgspec
from typing_extensions import TypeVar

# The names that a service's rules may use without knowing which library encodes them.
__all__ = [
    "REGISTER",
    "Actor",
    "Channel",
    "Contract",
    "Envelope",
    "Hours",
    "Payload",
    "Purpose",
    "Role",
    "Topic",
    "contract_of",
    "date",
    "datetime",
    "event",
    "time",
]

Topic = Literal["people", "referrals", "cases", "agencies", "consent", "notifications"]
TOPICS: Final[tuple[Topic, ...]] = ("people", "referrals", "cases", "agencies", "consent", "notifications")

Role = Literal["harmed", "responsible", "both", "contact"]
Channel = Literal["phone", "text", "email", "letter", "visit", "video"]
Purpose = Literal["approach", "feedback", "conversation"]


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of one event. Subclasses are registered by `event` and are immutable."""


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did it: an agency's id and its worker's, or a service's name as the agency."""

    agency: str
    worker: str | None = None


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """When contact is safe: ISO weekdays (1 = Monday) and local times in Europe/London, `until` excluded."""

    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    start: time = time(9, 0)
    until: time = time(20, 0)


P = TypeVar("P", bound=Payload, default=Payload, covariant=True)


class Envelope(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """One event as published and as consumed.

    `sequence` counts the events of one key from 1; `previous` is the id of the key's event before it (None for the first),
    so that every reader can see an edit, a gap or a fork. `causation` is the id of the event or command that caused this
    one, `correlation` the id of the first cause of them all.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    sequence: int
    previous: str | None
    causation: str | None
    correlation: str | None
    traceparent: str | None
    actor: Actor
    data: P


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One registered event type: its full name with version, its topic, payload class and whether it restricts contact."""

    topic: Topic
    payload: type[Payload]
    restrictive: bool
    type: str


REGISTER: Final[dict[str, Contract]] = {}
_BY_PAYLOAD: Final[dict[type[Payload], Contract]] = {}

C = TypeVar("C", bound=type[Payload])


def event(topic: Topic, name: str, *, version: int = 1, restrictive: bool = False) -> Any:  # noqa: ANN401 - a decorator
    """Register a payload class under `name.vN` on a topic.

    A restrictive event narrows who may be contacted: a consumer applies it at once, even past a parked key, so its handler
    must be monotone (applying it early, or twice, never loosens anything).
    """

    def register(payload: C) -> C:
        contract = Contract(topic=topic, payload=payload, restrictive=restrictive, type=f"{name}.v{version}")
        if contract.type in REGISTER:
            message = f"event type {contract.type} is registered twice"
            raise ValueError(message)
        REGISTER[contract.type] = contract
        _BY_PAYLOAD[payload] = contract
        return payload

    return register


def contract_of(payload: Payload) -> Contract:
    """Return the contract of a payload. Raises KeyError if its class was never registered."""
    return _BY_PAYLOAD[type(payload)]
