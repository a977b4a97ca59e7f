"""The rules of a person: who is linked with whom, what is held of whom, who is erased."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.intake.domain.holds import Hold, Refused, without
from shared.contracts.envelope import Payload
from shared.contracts.people import (
    PersonChanged,
    PersonErased,
    PersonHeld,
    PersonHoldLifted,
    PersonLinked,
    PersonReferred,
    PersonUnlinked,
    Safety,
)
from shared.contracts.states import State, field, replace


class PersonState(State, frozen=True, omit_defaults=False):
    """What decisions need to know of a person. `safety` is what was last published. Written whole: statements read it.

    `decided`: how many times a link with each other person was made or undone; both sides count alike.
    """

    links: tuple[str, ...] = ()
    decided: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    safety: Safety = Safety()
    erased: bool = False


def evolve_person(state: PersonState, event: Payload) -> PersonState:  # noqa: PLR0911 - one for each kind of event
    """Return the person after one event."""
    match event:
        case PersonReferred(safety=safety) | PersonChanged(safety=safety):
            return replace(state, safety=safety)
        case PersonLinked(other=other, number=number):
            links = tuple(sorted({*state.links, other}))
            return replace(state, links=links, decided={**state.decided, other: number})
        case PersonUnlinked(other=other, number=number):
            links = tuple(link for link in state.links if link != other)
            return replace(state, links=links, decided={**state.decided, other: number})
        case PersonHeld(hold=hold, reason=reason, until=until, case=of):
            return replace(state, holds={**state.holds, hold: Hold(reason, until, of)})
        case PersonHoldLifted(hold=hold):
            return replace(state, holds=without(state.holds, hold))
        case PersonErased():
            return replace(state, erased=True, safety=Safety())
        case _:
            return state


def change_safety(state: PersonState, safety: Safety) -> list[Payload]:
    """Say how the person may now be contacted, if that differs from what was said."""
    return [] if state.erased or state.safety == safety else [PersonChanged(safety=safety)]


def hold_person(
    state: PersonState, hold: str, reason: str, *, until: datetime | None = None, case: str | None = None
) -> list[Payload]:
    """Hold a person. The same hold twice is one hold."""
    return [] if hold in state.holds else [PersonHeld(hold=hold, reason=reason, until=until, case=case)]


def lift_person(state: PersonState, hold: str, reason: str) -> list[Payload]:
    """Lift one hold; others stand."""
    return [PersonHoldLifted(hold=hold, reason=reason)] if hold in state.holds else []


def move_hold(state: PersonState, hold: str, case: str) -> list[Payload]:
    """A hold about one case is about the one as which that goes on."""
    known = state.holds.get(hold)
    if known is None or known.case in (None, case):
        return []
    return [PersonHeld(hold=hold, reason=known.reason, until=known.until, case=case)]


def link(state: PersonState, own: str, other: str, basis: str) -> list[Payload]:
    """One side of a link. Both sides are recorded in one transaction."""
    if own == other:
        raise Refused("same-person", "a person cannot be linked with itself")
    if other in state.links:
        return []
    return [PersonLinked(other=other, basis=basis, number=state.decided.get(other, 0) + 1)]


def unlink(state: PersonState, other: str, reason: str) -> list[Payload]:
    """One side of undoing a link."""
    if other not in state.links:
        return []
    return [PersonUnlinked(other=other, reason=reason, number=state.decided.get(other, 0) + 1)]


def erase(state: PersonState, reason: str) -> list[Payload]:
    """Say that the keys of everything held about the person are destroyed. Holds stand: they are what keeps it closed."""
    return [] if state.erased else [PersonErased(reason=reason)]
