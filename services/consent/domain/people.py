"""What intake tells of a person: referred, held, linked, unlinked, erased."""

from __future__ import annotations

from typing import Literal

from services.consent.domain.coming_of_age import come_of_age, is_news
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import Context, GoesOn, Joined, Linked, MayHaveReached, Unlinked
from services.consent.domain.leads import end, led_twice, reached_by
from services.consent.domain.standing import (
    carry_on,
    current,
    history,
    leads_of,
    no,
    part_of,
    standing,
)
from services.consent.domain.state import Lead, PersonState, find
from shared.contracts.consent import (
    AgreementRecorded,
    DoubleReachFound,
    LeadAssigned,
    LeadEnded,
    PersonReached,
    StandingLoosened,
    StandingTightened,
)
from shared.contracts.envelope import datetime
from shared.contracts.people import (
    AgreementFact,
    PersonChanged,
    PersonErased,
    PersonHeld,
    PersonHoldLifted,
    PersonReferred,
    PriorContact,
)


def referred(at: Situation, person: str, event: PersonReferred, context: Context) -> Decision:
    """Take in that a referral names a person. An answer given to the referrer binds: a no closes, a yes is an agreement."""
    d = Decision(at)
    before = find(d.person(person).parts, event.case)
    heard = before.heard if before else ()
    if is_news(d.person(person), event.safety):
        # First, so that whom this very referral names for an adult is spoken to for them.
        come_of_age(d, person)
    d.note(person, event)
    d.note_case(event.case, Joined(person, event.role))
    if event.continues:
        d.note(person, GoesOn(event.continues, event.case))
        carry_on(d, person, event.continues)
    prior = event.prior_contact
    if prior is not None and f"{event.referral}:{prior.answer}" not in heard:
        _prior(d, person, event.case, prior, context)
    fact = event.agreement
    if fact is None and prior is not None and prior.answer == "yes":
        fact = AgreementFact(scope=("be_contacted",), means=prior.means or "", on=prior.on)
    if (
        fact is not None
        and find(d.person(person).agreements, event.case) is None
        and not no(d, d.group(person), event.case)
    ):
        d.tell(person, AgreementRecorded(case=event.case, agreement=fact, recorded_by=event.referrer))
    return d


def _prior(d: Decision, person: str, case: str, prior: PriorContact, context: Context) -> None:
    ids = d.group(person)
    if prior.answer == "not_now" and prior.not_before is not None:
        reached = PersonReached(
            answer="not_now", case=case, began="agency", not_before=prior.not_before, agency=prior.agency,
            at=context.now,
        )  # fmt: skip
        # Whoever has answered since, to us, has said something later than to the referrer.
        if not any(a.answer for a in history(d, ids)):
            for key in ids:
                d.tell(key, reached)
            d.revoke(ids, "not_now")
    elif prior.answer in {"no", "not_now"}:
        # Said while these ids were linked, it is in the ledger of each, and stays there when they are unlinked.
        reason = "prior_no" if prior.answer == "no" else "prior_not_now_undated"
        for key in ids:
            part = find(d.person(key).parts, case)
            if part is None or part.closed is None:
                d.tell(key, StandingTightened(level="case", standing="closed", reason=reason, case=case))
                d.revoke(ids, reason)


def changed(at: Situation, person: str, event: PersonChanged) -> Decision:
    """Take in how a person may safely be contacted now. Whoever has come of age is spoken to themselves."""
    d = Decision(at)
    if is_news(d.person(person), event.safety):
        come_of_age(d, person)
    d.note(person, event)
    return d


def held(at: Situation, person: str, event: PersonHeld) -> Decision:
    """Hold a person: permits not redeemed yet end."""
    d = Decision(at)
    known = find(d.person(person).holds, event.hold)
    if known is not None and known.case == event.case:
        return d
    d.note(person, event)
    level: Literal["case", "person"] = "case" if event.case else "person"
    d.tell(person, StandingTightened(level=level, standing="on_hold", reason=event.reason, case=event.case))
    d.revoke(d.group(person), event.reason, case=event.case)
    return d


def hold_lifted(at: Situation, person: str, event: PersonHoldLifted) -> Decision:
    """Lift one hold; others stand."""
    d = Decision(at)
    hold = find(d.person(person).holds, event.hold)
    if hold is None:
        return d
    d.note(person, event)
    now, _ = standing(d, (person,), hold.case or "")
    if now != "on_hold":
        level: Literal["case", "person"] = "case" if hold.case else "person"
        d.tell(person, StandingLoosened(level=level, standing=now, reason=hold.reason, case=hold.case))
    return d


def erased(at: Situation, person: str, event: PersonErased) -> Decision:
    """Close for good."""
    d = Decision(at)
    if d.person(person).closed == "erased":
        return d
    d.revoke(d.group(person), "erased")
    d.note(person, event)
    d.tell(person, StandingTightened(level="person", standing="closed", reason="erased"))
    end(d, (person,), "erased")
    return d


def _newer(d: Decision, person: str, other: str, number: int) -> bool:
    """Say whether a decision about two ids is newer than what is known of them. Both keys carry it: one copy comes late."""
    known = find(d.person(person).links, other)
    return known is None or number > known.number


def linked(at: Situation, person: str, other: str, number: int, context: Context) -> Decision:
    """Two ids are one human: the strictest of their ledgers counts, permits not redeemed end, one lead remains."""
    d = Decision(at)
    if not _newer(d, person, other, number):
        return d
    sides = d.group(person), d.group(other)
    joined = other in sides[0]
    d.note(person, Linked(other, number))
    d.note(other, Linked(person, number))
    # Known to be one human, and yet led twice: after a restore, a lead that a later unlink gave back is known before it.
    if joined and not led_twice(d, d.group(person), context):
        return d
    d.revoke(d.group(person), "linked")
    _report_double_reach(d, person, other, sides, context)
    _settle(d, d.group(person), context)
    for one, own in ((person, sides[0]), (other, sides[1])):
        _tell_stricter(d, one, own)
    return d


def _report_double_reach(
    d: Decision, person: str, other: str, sides: tuple[tuple[str, ...], tuple[str, ...]], context: Context
) -> None:
    here, there = ({current(a, context.successors) for a in reached_by(d, side)} for side in sides)
    if here and there and here | there != here & there and other not in d.person(person).double_reach:
        agencies = tuple(sorted(here | there))
        d.tell(person, DoubleReachFound(other=other, agencies=agencies))
        d.tell(other, DoubleReachFound(other=person, agencies=agencies))


def _settle(d: Decision, ids: tuple[str, ...], context: Context) -> None:
    """Leave one lead: who has reached the person, then who redeemed first, then who claimed first. The others are told."""
    if not led_twice(d, ids, context):
        return
    leads = leads_of(d, ids)
    _, winner = min(leads, key=lambda pair: _rank(d.person(pair[0]), pair[1], context))
    keeps = current(winner.agency, context.successors)
    for key, lead in leads:
        if current(lead.agency, context.successors) != keeps:
            d.tell(key, LeadEnded(agency=lead.agency, reason="linked", cases=lead.cases))


def _rank(state: PersonState, lead: Lead, context: Context) -> tuple[bool, datetime, datetime, str]:
    never = datetime.max.replace(tzinfo=context.now.tzinfo)
    mine = [
        a
        for a in state.approaches
        if current(a.agency, context.successors) == current(lead.agency, context.successors)
    ]
    reached = any(a.answer and a.attempts for a in mine)
    redeemed = min((t.at for a in mine for t in a.attempts), default=never)
    return not reached, redeemed, lead.claimed_at, lead.agency


def _tell_stricter(d: Decision, person: str, own: tuple[str, ...]) -> None:
    """Tell an id's agencies that its standing is stricter than its own ledgers alone would have it."""
    for part in d.person(person).parts:
        before, _ = standing(d, own, part.id)
        after, _ = standing(d, d.group(person), part.id)
        if after != before:
            d.tell(person, StandingTightened(level="case", standing=after, reason="linked", case=part.id))


def unlinked(at: Situation, person: str, other: str, number: int) -> Decision:
    """A link was wrong: each id stands on its own ledger again."""
    d = Decision(at)
    if not _newer(d, person, other, number):
        return d
    before = d.group(person)
    stood = {key: [standing(d, before, part.id)[0] for part in d.person(key).parts] for key in before}
    d.note(person, Unlinked(other, number))
    d.note(other, Unlinked(person, number))
    if other in d.group(person) or other not in before:
        return d
    d.revoke(before, "unlinked")
    _remember_attempts(d, before)
    for side in (d.group(person), d.group(other)):
        _give_back(d, side)
        for key in side:
            for part, was in zip(d.person(key).parts, stood[key], strict=True):
                now, _ = standing(d, side, part.id)
                if now != was:
                    d.tell(key, StandingLoosened(level="case", standing=now, reason="unlinked", case=part.id))
    return d


def _remember_attempts(d: Decision, before: tuple[str, ...]) -> None:
    """Details of every id were handed out: any of those who were one human may be who answers, or has answered."""
    for key in before:
        state, still = d.person(key), d.group(key)
        others = tuple(other for other in before if other not in still)
        live = (state.permit.id,) if state.permit is not None and state.permit.redeemed else ()
        # Of those that are over a no can come late, or that what was unsafe is safe again.
        over = (attempt.id for approach in state.approaches for attempt in approach.attempts)
        for permit in sorted({*live, *state.unresolved, *over}):
            d.note(key, MayHaveReached(permit, others))


def _give_back(d: Decision, ids: tuple[str, ...]) -> None:
    """A lead that ended only because of a link is its agency's again, unless somebody leads by now."""
    for key in ids:
        lead = d.person(key).suspended
        if lead is None or any(d.person(k).lead for k in ids):
            continue
        tenure = 1 + max(d.person(k).tenures for k in ids)
        for case, party in lead.covers:
            part = part_of(d, (key,), case)
            if not no(d, ids, case) and (part is None or not part.over):
                again = LeadAssigned(
                    claim=lead.claim, case=case, party=party, agency=lead.agency, worker=lead.worker, tenure=tenure,
                    at=lead.claimed_at,
                )  # fmt: skip
                d.tell(key, again)
