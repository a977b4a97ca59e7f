"""How states change: one pure function for each event. What has happened is not refused here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.consent.domain.state import (
    Agreed,
    Approach,
    Attempt,
    Hold,
    Lead,
    Permit,
    PersonState,
    add,
    drop,
    find,
    put,
    replace,
)
from services.consent.domain.taking_in import TAKEN_IN, part_in
from shared.contracts.consent import (
    AgreementRecorded,
    AttemptOverdue,
    AttemptRecorded,
    ConsentWithdrawn,
    DoubleReachFound,
    LeadAssigned,
    LeadEnded,
    LeadHandedOver,
    LeadRefused,
    PermitEnded,
    PermitGranted,
    PermitRedeemed,
    PermitRefused,
    PersonReached,
    StandingLoosened,
    StandingReopened,
    StandingTightened,
)
from shared.contracts.envelope import datetime

# A person's own no, as the reason of a standing. Other reasons (a hold, a link, a pause) are told to agencies, but what
# they follow from is a fact of its own, so that it can end by itself.
NO = frozenset({"declined", "prior_no", "prior_not_now_undated", "withdrawn", "carried_over"})
UNSAFE = "unsafe"
EARLIEST = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _lead_assigned(state: PersonState, e: LeadAssigned) -> PersonState:
    old, tenure = state.lead, e.tenure or state.tenures + 1
    if old is not None and old.agency == e.agency:
        lead = replace(old, covers=add(old.covers, ((e.case, e.party),)), worker=old.worker or e.worker)
    else:
        lead = Lead(tenure, e.agency, e.worker, e.claim, e.at or EARLIEST, ((e.case, e.party),))
    return replace(
        state,
        lead=lead,
        suspended=None,
        tenures=max(state.tenures, tenure),
        claims=add(state.claims, (f"{e.claim}:{e.party}",)),
        agencies=add(state.agencies, (e.agency,)),
    )


def _lead_refused(state: PersonState, e: LeadRefused) -> PersonState:
    claims = add(state.claims, (f"{e.claim}:{e.party}",))
    return replace(state, claims=claims, agencies=add(state.agencies, (e.agency,)))


def _lead_ended(state: PersonState, e: LeadEnded) -> PersonState:
    suspended = state.lead if e.reason == "linked" else None
    return replace(state, lead=None, suspended=suspended, led=add(state.led, (e.agency,)))


def _lead_handed_over(state: PersonState, e: LeadHandedOver) -> PersonState:
    tenure = e.tenure or state.tenures + 1
    lead = state.lead and replace(state.lead, tenure=tenure, agency=e.target, worker=e.worker)
    # "Attempts carrying over": the approach goes on as the target's, it does not begin again.
    approaches = tuple(replace(a, agency=e.target) if a.agency == e.source else a for a in state.approaches)
    return replace(
        state,
        lead=lead,
        suspended=None,
        tenures=max(state.tenures, tenure),
        approaches=approaches,
        agencies=add(state.agencies, (e.target,)),
        led=add(state.led, (e.source,)),
    )


def _tightened(state: PersonState, e: StandingTightened) -> PersonState:
    if e.level == "case" and e.case and e.reason in NO:
        return _close(state, e.case, e.reason)
    if e.reason == UNSAFE:
        return replace(state, holds=put(state.holds, Hold(UNSAFE, UNSAFE)))
    return state


def _close(state: PersonState, case: str, reason: str) -> PersonState:
    part = replace(part_in(state, case), closed=reason)
    return replace(
        state,
        parts=put(state.parts, part),
        agreements=drop(state.agreements, case),
        exceptions=tuple(c for c in state.exceptions if c != case),
    )


def _loosened(state: PersonState, e: StandingLoosened) -> PersonState:
    return replace(state, holds=drop(state.holds, UNSAFE)) if e.reason == "safe_again" else state


def _granted(state: PersonState, e: PermitGranted) -> PersonState:
    permit = Permit(e.permit, e.fence, e.case, e.party, e.agency, e.worker, e.purpose, e.channel, e.expires)
    return replace(state, permit=permit, fence=max(state.fence, e.fence))


def _redeemed(state: PersonState, e: PermitRedeemed) -> PersonState:
    permit = state.permit
    if permit is None or permit.id != e.permit:
        return state
    permit = replace(permit, redeemed=True, use_by=e.use_by, outcome_due=e.outcome_due, sender=e.sender)
    state = replace(state, permit=permit)
    if e.approach is None:
        return state
    at = e.at or e.use_by
    approach = find(state.approaches, e.approach) or Approach(e.approach, permit.agency, at, ())
    attempt = Attempt(permit.id, permit.agency, permit.case, at)
    approach = replace(
        approach, incidents=add(approach.incidents, e.incidents), attempts=put(approach.attempts, attempt)
    )
    return replace(state, approaches=put(state.approaches, approach))


def _permit_ended(state: PersonState, e: PermitEnded) -> PersonState:
    if e.how == "not_made":
        state = _without_attempt(state, e.permit)
        state = replace(state, unresolved=tuple(p for p in state.unresolved if p != e.permit))
    return replace(state, permit=None) if state.permit and state.permit.id == e.permit else state


def _without_attempt(state: PersonState, permit: str) -> PersonState:
    approaches = tuple(replace(a, attempts=drop(a.attempts, permit)) for a in state.approaches)
    return replace(state, approaches=tuple(a for a in approaches if a.attempts or a.answer))


def _attempt_recorded(state: PersonState, e: AttemptRecorded) -> PersonState:
    if e.at is not None and not any(find(a.attempts, e.permit) for a in state.approaches):
        state = _found(state, e, e.at)
    approaches = tuple(
        replace(a, attempts=put(a.attempts, replace(attempt, outcome=e.outcome, use_by=e.use_by)))
        if (attempt := find(a.attempts, e.permit))
        else a
        for a in state.approaches
    )
    open_ends = (
        add(state.unresolved, (e.permit,))
        if e.outcome == "unknown"
        else tuple(p for p in state.unresolved if p != e.permit)
    )
    state = replace(state, approaches=approaches, unresolved=open_ends, fence=max(state.fence, e.fence))
    if e.outcome in {"wrong_number", "returned"}:
        state = replace(state, blocked=add(state.blocked, (e.channel,)))
    if e.purpose == "feedback" and e.outcome not in {"no_answer", "voicemail", "wrong_number", "returned"}:
        state = replace(state, parts=put(state.parts, replace(part_in(state, e.case), feedback=True)))
    return replace(state, permit=None) if state.permit and state.permit.id == e.permit else state


def _found(state: PersonState, e: AttemptRecorded, at: datetime) -> PersonState:
    attempt = Attempt(e.permit, e.agency, e.case, at)
    covered = add((), (part.incident for part in state.parts if part.incident and not part.over))
    found = Approach(e.approach or e.permit, e.agency, at, covered, (attempt,))
    return replace(state, approaches=put(state.approaches, found))


def _overdue(state: PersonState, e: AttemptOverdue) -> PersonState:
    if state.permit is None or state.permit.id != e.permit:
        return state
    return replace(state, permit=replace(state.permit, overdue=True))


def _reached(state: PersonState, e: PersonReached) -> PersonState:
    at = e.at or EARLIEST
    approaches = tuple(
        a if a.answer in {"agreed", "declined"} else replace(a, answer=e.answer, answered_at=at)
        for a in state.approaches
    )
    if e.began == "agency" and not any(a.attempts for a in approaches):
        # An answer given to the referrer: its approach is on record, and the call-back belongs to it.
        part = part_in(state, e.case)
        asked = Approach(f"prior:{e.case}", e.agency or "", at, add((), (part.incident,)), (), e.answer, at)
        approaches = put(approaches, asked)
    return replace(state, approaches=approaches, not_before=e.not_before if e.answer == "not_now" else None)


def _agreement(state: PersonState, e: AgreementRecorded) -> PersonState:
    return replace(state, agreements=put(state.agreements, Agreed(e.case or "", e.agreement)))


def _withdrawn(state: PersonState, e: ConsentWithdrawn) -> PersonState:
    if e.scope == "everything":
        return replace(state, closed=state.closed or "withdrawn", exceptions=(), agreements=())
    for case in e.cases:
        state = _close(state, case, "withdrawn")
    return state


def _reopened(state: PersonState, e: StandingReopened) -> PersonState:
    cases = e.cases or tuple(p.id for p in state.parts)
    parts = tuple(replace(p, closed=None) if p.id in cases else p for p in state.parts)
    if state.closed == "erased":
        return state
    if not e.cases:
        return replace(state, parts=parts, closed=None, exceptions=())
    return replace(state, parts=parts, exceptions=add(state.exceptions, e.cases) if state.closed else ())


def _double_reach(state: PersonState, e: DoubleReachFound) -> PersonState:
    return replace(state, double_reach=add(state.double_reach, (e.other,)))


def _unchanged(state: PersonState, _: PermitRefused) -> PersonState:
    return state


_PERSON: dict[type, Callable[[PersonState, Any], PersonState]] = {
    **TAKEN_IN,
    LeadAssigned: _lead_assigned,
    LeadRefused: _lead_refused,
    LeadEnded: _lead_ended,
    LeadHandedOver: _lead_handed_over,
    StandingTightened: _tightened,
    StandingLoosened: _loosened,
    StandingReopened: _reopened,
    PermitGranted: _granted,
    PermitRefused: _unchanged,
    PermitRedeemed: _redeemed,
    PermitEnded: _permit_ended,
    AttemptRecorded: _attempt_recorded,
    AttemptOverdue: _overdue,
    PersonReached: _reached,
    AgreementRecorded: _agreement,
    ConsentWithdrawn: _withdrawn,
    DoubleReachFound: _double_reach,
}


def evolve(state: PersonState, event: object) -> PersonState:
    """Return the ledger after this event or fact. Raises KeyError for one that no ledger takes in."""
    return _PERSON[type(event)](state, event)
