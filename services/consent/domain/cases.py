"""What allocation tells of a case: cleared, paused, resumed, closed; and what it asks to be put in force by call."""

from __future__ import annotations

from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import (
    CaseAgain,
    CaseOver,
    Cleared,
    Closed,
    Joined,
    Left,
    Paused,
    Restrict,
    Resumed,
)
from services.consent.domain.leads import reassign
from services.consent.domain.standing import carry_on
from services.consent.domain.state import find
from shared.contracts.cases import CaseCleared, CasePartyLeft
from shared.contracts.consent import LeadEnded


def cleared(at: Situation, case: str, event: CaseCleared) -> Decision:
    """The checks of these parties are answered: contact is allowed, within the limits."""
    d = Decision(at)
    for party in event.parties:
        d.note(party.party, Cleared(case, party.limits))
    return d


def paused(at: Situation, case: str, pause: Paused) -> Decision:
    """No contact in this case until it is resumed. In flight is what was redeemed before."""
    d = Decision(at)
    d.note_case(case, pause)
    for member in d.case(case).members:
        d.revoke(d.group(member.id), "paused", case=case)
    return d


def resumed(at: Situation, case: str, pause: str | None) -> Decision:
    """End a pause. None named: end all of them, and let a case that was closed go on."""
    d = Decision(at)
    d.note_case(case, Resumed(pause or ""))
    if pause is None:
        for member in d.case(case).members:
            # Who had left it before it closed may go on elsewhere.
            if not member.left:
                d.note(member.id, CaseAgain(case))
    return d


def left(at: Situation, case: str, event: CasePartyLeft) -> Decision:
    """No referral names this party in this case any more: it is over for them, and for whoever spoke for them alone."""
    d = Decision(at)
    _leave(d, case, event.party)
    if event.person != event.party:
        part = find(d.person(event.person).parts, case)
        others = [find(d.person(other).parts, case) for other in (part.speaks_for if part else ())]
        if not any(other is not None and not other.over for other in others):
            _leave(d, case, event.person)
    return d


def _leave(d: Decision, case: str, person: str) -> None:
    d.revoke(d.group(person), "left_the_case", case=case)
    d.note(person, CaseOver(case))
    d.note_case(case, Left(person))
    carry_on(d, person, case)
    _end_lead(d, person)


def closed(at: Situation, case: str, reason: str, into: str | None) -> Decision:
    """The case is over. Where it goes on as another, what a person has said goes on with it: a no, or an agreement."""
    d = Decision(at)
    d.note_case(case, Closed(reason))
    for member in d.case(case).members:
        if into is not None and not member.left:
            d.note_case(into, Joined(member.id, member.role))
        d.revoke(d.group(member.id), "case_closed", case=case)
        d.note(member.id, CaseOver(case, None if member.left else into))
        if into is not None:
            carry_on(d, member.id, case)
        _end_lead(d, member.id)
    return d


def _end_lead(d: Decision, person: str) -> None:
    """A lead ends with the last of its cases. While an attempt is in flight it stays, for its outcome to be recorded."""
    state = d.person(person)
    if state.lead is None:
        return
    parts = [find(state.parts, case) for case in state.lead.cases]
    if all(part is not None and part.over for part in parts):
        group = d.group(person)
        if not any(d.person(key).lead for key in group if key != person):
            # Also for a case that the lead was not claimed for: what a holder has is no more than its lead.
            d.revoke(group, "case_closed")
        d.tell(person, LeadEnded(agency=state.lead.agency, reason="case_closed", cases=state.lead.cases))


def restrict(at: Situation, command: Restrict) -> Decision:
    """Put in force at once what allocation is about to tell."""
    if command.kind == "pause":
        return paused(at, command.case, Paused(command.restriction, command.reason, command.until))
    if command.kind == "close":
        return closed(at, command.case, command.reason, command.joined_into)
    return reassign(Decision(at), command.person or "")


def in_flight(d: Decision, case: str) -> tuple[str, ...]:
    """Return the permits of a case that had been redeemed already, and whose outcome is not known."""
    permits = (d.person(key).permit for member in d.case(case).members for key in d.group(member.id))
    return tuple(sorted({p.id for p in permits if p is not None and p.redeemed and p.case == case}))
