"""How a case changes. Facts that only this service needs are `Note`s: they change the state and are told to nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.allocation.domain.state import BY_HUB, CaseState, Check, Party, Pause, Place, Proposal
from shared.contracts.cases import (
    CaseAccepted,
    CaseAllocated,
    CaseCleared,
    CaseClosed,
    CaseNeedsDecision,
    CasePaused,
    CaseProposed,
    CaseQueued,
    CaseResumed,
    CaseReturned,
    CaseTeamChanged,
    CaseTransferred,
    CheckAnswered,
    CheckKind,
    CheckRequested,
    OutcomeRecorded,
)
from shared.contracts.envelope import Payload
from shared.contracts.referrals import ReferralFacts
from shared.contracts.states import replace

ANSWERS: Final[Mapping[CheckKind, str]] = {
    "admission": "admitted",
    "willingness": "willing",
    "responsible_identified": "identified",
}
"""Checks whose answer is a fact about a party, and which fact of a referral it is."""


@dataclass(frozen=True)
class Note:
    """Something that changes the state of a case and is not published."""


@dataclass(frozen=True)
class Learned(Note):
    """A version of a referral is known."""

    facts: ReferralFacts


@dataclass(frozen=True)
class Dropped(Note):
    """A referral does not support the case any more."""

    referral: str


@dataclass(frozen=True)
class PartedInto(Note):
    """A referral has left this case for another."""

    case: str


@dataclass(frozen=True)
class ClosedPaused(Note):
    """What the hub had paused came to this case when it was over: what leaves it is paused."""

    reason: str


@dataclass(frozen=True)
class Planned(Note):
    """Policy was asked, with this answer."""

    proposal: Proposal


@dataclass(frozen=True)
class Placed(Note):
    """A party stands elsewhere now. `tried`: an agency not to be asked again by rule."""

    party: str
    place: Place
    reason: str | None = None
    agency: str | None = None
    worker: str | None = None
    tried: str | None = None


@dataclass(frozen=True)
class OfAge(Note):
    """A party has come of age: it is spoken to itself."""

    party: str


@dataclass(frozen=True)
class SpokenTo(Note):
    """A party is spoken to through this person from now on."""

    party: str
    person: str


@dataclass(frozen=True)
class Cleared(Note):
    """Parties may be approached (or, `cleared` False, may not after all until their checks are answered)."""

    parties: tuple[str, ...]
    cleared: bool = True


@dataclass(frozen=True)
class Answered(Note):
    """A party has been reached and said what it wants."""

    party: str
    answer: str


@dataclass(frozen=True)
class Asked(Note):
    """A check was asked: what the event does not carry."""

    check: str
    asked: Check


@dataclass(frozen=True)
class PauseSet(Note):
    """A reason not to contact anybody, by who set it."""

    by: str
    pause: Pause


@dataclass(frozen=True)
class PauseLifted(Note):
    """That reason is gone."""

    by: str


@dataclass(frozen=True)
class Reopened(Note):
    """A person of the closed case asked to take part after all."""


@dataclass(frozen=True)
class Decided(Note):
    """The hub has decided what the case waited for."""


@dataclass(frozen=True)
class PartnershipChosen(Note):
    """The arbiter decided which partnership holds the case."""

    partnership: str


@dataclass(frozen=True)
class TeamTakes(Note):
    """Hours of work that the case is for each member of its team."""

    hours: int


@dataclass(frozen=True)
class PolicyLeft(Note):
    """The case is to be decided by the version in force from now on."""


@dataclass(frozen=True)
class Received(Note):
    """When the case was first heard of."""

    at: datetime


Told = Payload | Note


def _overtaken(state: CaseState, facts: ReferralFacts) -> dict[str, Check]:
    """Return the checks, those marked to whose answer a later version of a referral says something new."""
    if not state.checks:
        return state.checks
    known = state.referrals.get(facts.referral)
    before = {fact.person: fact for fact in known.parties} if known else {}
    news = {
        (kind, fact.person)
        for fact in facts.parties
        for kind, field in ANSWERS.items()
        if getattr(fact, field) is not None
        and fact.person in before
        and getattr(fact, field) != getattr(before[fact.person], field)
    }
    return {
        key: replace(check, overtaken=True)
        if check.satisfied is not None and any((check.kind, party) in news for party in check.about)
        else check
        for key, check in state.checks.items()
    }


def _learned(state: CaseState, note: Learned) -> CaseState:
    referrals = {**state.referrals, note.facts.referral: note.facts}
    checks = _overtaken(state, note.facts)
    parties = dict(state.parties)
    for fact in note.facts.parties:
        if fact.role == "contact":
            continue
        person = fact.contact_persons[0] if fact.contact_persons else fact.person
        before = parties.get(fact.person)
        if before is None:
            parties[fact.person] = Party(person=person, role=fact.role)
        elif before.role != fact.role:
            parties[fact.person] = replace(before, role="both")
    return replace(
        state,
        incident=state.incident or note.facts.incident,
        referrals=referrals,
        parties=parties,
        checks=state.checks if checks == state.checks else checks,
    )


def _dropped(state: CaseState, note: Dropped) -> CaseState:
    return replace(state, referrals={k: v for k, v in state.referrals.items() if k != note.referral})


def _party(state: CaseState, party: str, **changes: Any) -> CaseState:  # noqa: ANN401 - fields of Party
    if party not in state.parties:
        return state
    return replace(state, parties={**state.parties, party: replace(state.parties[party], **changes)})


def _placed(state: CaseState, note: Placed) -> CaseState:
    before = state.parties.get(note.party)
    if before is None:
        return state
    tried = before.tried if note.tried is None or note.tried in before.tried else (*before.tried, note.tried)
    led = note.place == "led"
    planned = {p.party: p.hours for p in state.proposal.parties} if state.proposal else {}
    return _party(
        state,
        note.party,
        place=note.place,
        reason=note.reason,
        agency=note.agency,
        worker=note.worker,
        tried=tried,
        hours=planned.get(note.party, 0) if led and note.worker else 0,
        cleared=before.cleared and note.place in ("led", "elsewhere"),
    )


def _proposed(state: CaseState, event: CaseProposed) -> CaseState:
    parties = dict(state.parties)
    hours = {planned.party: planned.hours for planned in state.proposal.parties} if state.proposal else {}
    for lead in event.leads:
        before = parties.get(lead.party) or Party(person=lead.person, role=lead.role)
        parties[lead.party] = replace(
            before,
            place="claimed",
            claim=event.claim,
            person=lead.person,
            agency=lead.agency,
            worker=lead.worker,
            hours=hours.get(lead.party, 0) if lead.worker else 0,
            reason=None,
        )
    incident = state.incident or event.incident
    if any(lead.of_age for lead in event.leads):
        # Who leads stays as it was: what the case waits for is not answered by it.
        return replace(state, parties=parties, claims=state.claims + 1)
    return replace(
        state, incident=incident, parties=parties, claims=state.claims + 1, undecided=None, queued_for=None
    )


def _allocated(state: CaseState, event: CaseAllocated) -> CaseState:
    # Who leads is settled; a question about going on at all (a check's "no", nobody left to meet) is not answered by it.
    about_going_on = (state.undecided or "").startswith(("check_", "no_responsible_left"))
    return replace(state, told=event.parties, undecided=state.undecided if about_going_on else None)


def _cleared(state: CaseState, note: Cleared) -> CaseState:
    for party in note.parties:
        state = _party(state, party, cleared=note.cleared)
    return state


def _cleared_told(state: CaseState, event: CaseCleared) -> CaseState:
    return _cleared(state, Cleared(tuple(cleared.party for cleared in event.parties)))


def _check_requested(state: CaseState, event: CheckRequested) -> CaseState:
    if event.check in state.checks:
        return state
    check = Check(kind=event.kind, of=event.of, about=(event.party,), gates=(event.party,), due=event.due)
    return replace(state, checks={**state.checks, event.check: check})


def _check_answered(state: CaseState, event: CheckAnswered) -> CaseState:
    check = state.checks.get(event.check)
    if check is None:
        return state
    answered = replace(check, satisfied=event.satisfied, overtaken=False)
    return replace(state, checks={**state.checks, event.check: answered})


def _closed(state: CaseState, event: CaseClosed) -> CaseState:
    parties = {
        key: replace(party, hours=0, worker=None, cleared=False) for key, party in state.parties.items()
    }
    return replace(
        state,
        closed=event.reason,
        joined_into=event.joined_into,
        parties=parties,
        member_hours=0,
        pauses={},
        closed_paused=state.pauses[BY_HUB].reason if BY_HUB in state.pauses else state.closed_paused,
        undecided=None,
        queued_for=None,
    )


def _reopened(state: CaseState, _: Reopened | CaseResumed) -> CaseState:
    parties = {
        key: replace(party, place="new", claim=None, reason=None, tried=(), answer=None)
        for key, party in state.parties.items()
    }
    return replace(state, closed=None, closed_paused=None, parties=parties, told=(), accepted={})


def _transferred(state: CaseState, event: CaseTransferred) -> CaseState:
    # Told anew under the new partnership: its hub and co-ordinator have to hear of the case.
    state = _policy_left(replace(state, partnership=event.target, undecided=None, told=()), PolicyLeft())
    parties = {
        # Somebody returned it there: here nobody has.
        key: replace(party, tried=()) if party.place in ("new", "ended") else party
        for key, party in state.parties.items()
    }
    return replace(state, parties=parties)


def _policy_left(state: CaseState, _: PolicyLeft) -> CaseState:
    proposal = replace(state.proposal, policy_version="") if state.proposal else None
    return replace(state, proposal=proposal)


def _returned(state: CaseState, event: CaseReturned) -> CaseState:
    return replace(state, accepted={k: v for k, v in state.accepted.items() if k != event.agency})


_EVOLVE: dict[type[Any], Callable[[CaseState, Any], CaseState]] = {
    Decided: lambda s, _: replace(s, undecided=None),
    PartnershipChosen: lambda s, n: replace(s, partnership=n.partnership, undecided=None),
    PolicyLeft: _policy_left,
    CaseTransferred: _transferred,
    TeamTakes: lambda s, n: replace(s, member_hours=n.hours),
    Received: lambda s, n: replace(s, received_at=s.received_at or n.at),
    Learned: _learned,
    Dropped: _dropped,
    PartedInto: lambda s, n: replace(s, parted=(*s.parted, n.case)),
    ClosedPaused: lambda s, n: replace(s, closed_paused=n.reason),
    Planned: lambda s, n: replace(s, proposal=n.proposal),
    Placed: _placed,
    Cleared: _cleared,
    Answered: lambda s, n: _party(s, n.party, answer=n.answer),
    # What a contact person answered was that one's answer.
    OfAge: lambda s, n: _party(s, n.party, person=n.party, answer=None),
    SpokenTo: lambda s, n: _party(s, n.party, person=n.person, answer=None),
    Asked: lambda s, n: replace(s, checks={**s.checks, n.check: n.asked}),
    PauseSet: lambda s, n: replace(s, pauses={**s.pauses, n.by: n.pause}, paused=s.paused + 1),
    PauseLifted: lambda s, n: replace(s, pauses={k: v for k, v in s.pauses.items() if k != n.by}),
    Reopened: _reopened,
    CaseProposed: _proposed,
    CaseQueued: lambda s, e: replace(s, queued_for=e.agency),
    CaseAllocated: _allocated,
    CaseNeedsDecision: lambda s, e: replace(s, undecided=e.reason),
    CasePaused: lambda s, _: s,
    CaseClosed: _closed,
    CaseAccepted: lambda s, e: replace(s, accepted={**s.accepted, e.agency: e.worker}),
    CaseReturned: _returned,
    CaseTeamChanged: lambda s, e: replace(s, members=e.members),
    # The notes beside these say more; they are read here for the sake of a restored journal, which has no notes.
    CaseResumed: lambda s, e: _reopened(s, e) if s.closed and e.pause is None else s,
    CaseCleared: _cleared_told,
    CheckRequested: _check_requested,
    CheckAnswered: _check_answered,
    OutcomeRecorded: lambda s, _: replace(s, outcomes=s.outcomes + 1),
}


def evolve(state: CaseState, told: Told) -> CaseState:
    """Return the case after this event or note; events that change nothing here leave it as it is."""
    change = _EVOLVE.get(type(told))
    return change(state, told) if change else state


class Story:
    """Folds what is decided while it is being decided, so that each step sees the steps before it."""

    __slots__ = ("state", "told")

    def __init__(self, state: CaseState) -> None:
        """Begin with the case as it is."""
        self.state = state
        self.told: list[Told] = []

    def tell(self, *told: Told) -> None:
        """Decide these: the state changes at once."""
        for one in told:
            self.state = evolve(self.state, one)
            self.told.append(one)
