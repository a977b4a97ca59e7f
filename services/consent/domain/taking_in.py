"""What a ledger takes in from others: intake's word about people, allocation's about cases. Nothing of it is told again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.consent.domain.facts import (
    CaseAgain,
    CaseFact,
    CaseOver,
    Cleared,
    Closed,
    GoesOn,
    Joined,
    Left,
    Linked,
    MayHaveReached,
    Named,
    OwnVoice,
    Paused,
    Resumed,
    SpeaksNoMore,
    Unlinked,
    WorkerNamed,
)
from services.consent.domain.state import (
    CaseState,
    Hold,
    Link,
    Member,
    Part,
    Pause,
    PersonState,
    Role,
    Shared,
    add,
    drop,
    find,
    put,
    replace,
)
from shared.contracts.people import PersonChanged, PersonErased, PersonHeld, PersonHoldLifted, PersonReferred


def part_in(state: PersonState, case: str) -> Part:
    """Return what this id is in a case; a blank part if it is nothing yet."""
    return find(state.parts, case) or Part(case)


def _role(known: Role, told: Role) -> Role:
    if known in {"contact", told}:
        return told
    return known if told == "contact" else "both"


def _referred(state: PersonState, e: PersonReferred) -> PersonState:
    part = part_in(state, e.case)
    heard = (f"{e.referral}:{e.prior_contact.answer}",) if e.prior_contact else ()
    part = replace(
        part,
        incident=e.incident,
        role=_role(part.role, e.role),
        speaks_for=add(part.speaks_for, e.speaks_for),
        contact_persons=add(part.contact_persons, e.contact_persons),
        heard=add(part.heard, heard),
    )
    return replace(
        state,
        known=True,
        safety=e.safety,
        parts=put(state.parts, part),
        agencies=add(state.agencies, (e.referrer,)),
    )


def _named(state: PersonState, e: Named) -> PersonState:
    part = part_in(state, e.case)
    part = replace(
        part,
        incident=part.incident or e.incident,
        role=_role(part.role, e.role),
        speaks_for=add(part.speaks_for, e.speaks_for),
        contact_persons=add(part.contact_persons, e.contact_persons),
        # Whoever left the case is named in it again. (A case that is over says so itself.)
        over=False,
    )
    return replace(state, parts=put(state.parts, part), agencies=add(state.agencies, (e.agency,)))


def _changed(state: PersonState, e: PersonChanged) -> PersonState:
    # New details: a number that was wrong may be right now. An unsafe contact is another thing, and stays held.
    return replace(state, safety=e.safety, blocked=())


def _held(state: PersonState, e: PersonHeld) -> PersonState:
    return replace(state, holds=put(state.holds, Hold(e.hold, e.reason, e.until, e.case)))


def _hold_lifted(state: PersonState, e: PersonHoldLifted) -> PersonState:
    return replace(state, holds=drop(state.holds, e.hold))


def _erased(state: PersonState, _: PersonErased) -> PersonState:
    return replace(state, closed="erased", exceptions=(), agreements=())


def _linked(state: PersonState, e: Linked) -> PersonState:
    return replace(state, links=put(state.links, Link(e.other, e.number)))


def _unlinked(state: PersonState, e: Unlinked) -> PersonState:
    return replace(state, links=put(state.links, Link(e.other, e.number, holds=False)))


def _may_have_reached(state: PersonState, e: MayHaveReached) -> PersonState:
    before = find(state.shared, e.permit)
    others = add(before.others if before else (), e.others)
    return replace(state, shared=put(state.shared, Shared(e.permit, others)))


def _cleared(state: PersonState, e: Cleared) -> PersonState:
    return replace(state, parts=put(state.parts, replace(part_in(state, e.case), limits=e.limits)))


def _case_over(state: PersonState, e: CaseOver) -> PersonState:
    state = _goes_on(state, GoesOn(e.case, e.into)) if e.into else state
    return replace(state, parts=put(state.parts, replace(part_in(state, e.case), over=True)))


def _goes_on(state: PersonState, e: GoesOn) -> PersonState:
    there = find(state.parts, e.into)
    if there is not None and there.into == e.case:
        # It had come out of the one as which it goes on: that one is the last again.
        state = replace(state, parts=put(state.parts, replace(there, into=None)))
    return replace(state, parts=put(state.parts, replace(part_in(state, e.case), into=e.into)))


def _case_again(state: PersonState, e: CaseAgain) -> PersonState:
    part = find(state.parts, e.case)
    return replace(state, parts=put(state.parts, replace(part, over=False, into=None))) if part else state


def _own_voice(state: PersonState, e: OwnVoice) -> PersonState:
    part = find(state.parts, e.case)
    return replace(state, parts=put(state.parts, replace(part, contact_persons=()))) if part else state


def _speaks_no_more(state: PersonState, e: SpeaksNoMore) -> PersonState:
    part = find(state.parts, e.case)
    if part is not None:
        left = tuple(party for party in part.speaks_for if party != e.party)
        # Whoever was in the case for that party alone is in it no longer.
        over = part.over or (part.role == "contact" and not left)
        state = replace(state, parts=put(state.parts, replace(part, speaks_for=left, over=over)))
    if state.lead is None:
        return state
    covers = tuple(pair for pair in state.lead.covers if pair != (e.case, e.party))
    return replace(state, lead=replace(state.lead, covers=covers))


def _worker_named(state: PersonState, e: WorkerNamed) -> PersonState:
    return replace(state, lead=replace(state.lead, worker=e.worker)) if state.lead else state


TAKEN_IN: dict[type, Callable[[PersonState, Any], PersonState]] = {
    PersonReferred: _referred,
    PersonChanged: _changed,
    PersonHeld: _held,
    PersonHoldLifted: _hold_lifted,
    PersonErased: _erased,
    Linked: _linked,
    Unlinked: _unlinked,
    MayHaveReached: _may_have_reached,
    Named: _named,
    Cleared: _cleared,
    CaseOver: _case_over,
    CaseAgain: _case_again,
    GoesOn: _goes_on,
    OwnVoice: _own_voice,
    SpeaksNoMore: _speaks_no_more,
    WorkerNamed: _worker_named,
}


def evolve_case(state: CaseState, fact: object) -> CaseState:
    """Return what is known of a case after this fact."""
    told: CaseFact = fact  # type: ignore[assignment] # what the stream was declared with
    match told:
        case Joined(person, role):
            old = find(state.members, person)
            member = Member(person, _role(old.role, role) if old else role)
            return state if member == old else replace(state, members=put(state.members, member))
        case Left(person):
            known = find(state.members, person)
            return replace(state, members=put(state.members, replace(known, left=True))) if known else state
        case Paused(pause, reason, until):
            return replace(state, pauses=put(state.pauses, Pause(pause, reason, until)))
        case Resumed(pause):
            if pause:
                return replace(state, pauses=drop(state.pauses, pause))
            return replace(state, pauses=(), closed=None)
        case Closed(reason):
            return replace(state, closed=state.closed or reason)
