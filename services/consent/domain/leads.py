"""Leads: who may be given permits for a person. A tenure has a number; there are never two at once."""

from __future__ import annotations

from collections.abc import Iterable

from services.consent.domain.coming_of_age import come_of_age, speak_through
from services.consent.domain.contact import names
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import Context, HandOver, Joined, Named, WorkerNamed
from services.consent.domain.standing import agreements, current, history, lead_of, leads_of, next_tenure, no
from services.consent.domain.state import Lead
from shared.contracts.cases import CaseProposed, ProposedLead
from shared.contracts.consent import LeadAssigned, LeadEnded, LeadHandedOver, LeadRefused
from shared.contracts.envelope import datetime


def claim(
    at: Situation, case: str, proposal: CaseProposed, proposed_at: datetime, context: Context
) -> Decision:
    """Decide a claim, party by party: the first accepted claim wins, and whoever is led elsewhere keeps that lead."""
    d = Decision(at)
    for wanted in proposal.leads:
        _name(d, case, proposal.incident, wanted)
        _claim(d, case, proposal.claim, wanted, proposed_at, context)
    return d


def _name(d: Decision, case: str, incident: str, wanted: ProposedLead) -> None:
    through = wanted.person != wanted.party
    contacts = (wanted.person,) if through else ()
    if wanted.of_age and through:
        speak_through(d, wanted.party, case, wanted.person)
    elif wanted.of_age:
        # Mostly known by now from intake. An older claim may have named the contact person again since.
        come_of_age(d, wanted.party, case)
    d.note(wanted.party, Named(case, incident, wanted.role, wanted.agency, (), contacts))
    d.note_case(case, Joined(wanted.party, wanted.role))
    if through:
        d.note(wanted.person, Named(case, incident, "contact", wanted.agency, (wanted.party,), ()))
        d.note_case(case, Joined(wanted.person, "contact"))


def _claim(
    d: Decision, case: str, claim_id: str, wanted: ProposedLead, proposed_at: datetime, context: Context
) -> None:
    # Decided once, whatever has become of the lead since: after a restore old claims are read again.
    if f"{claim_id}:{wanted.party}" in d.person(wanted.person).claims:
        return
    ids = d.group(wanted.person)
    # The id's own lead goes on: in its place another would take its cases from it, and nobody would be told. The two differ
    # while a succession is not written down, and where a restored ledger has yet to read the unlink that gave a lead back.
    own = d.person(wanted.person).lead
    lead = own or lead_of(d, ids)
    # A case that closes with a link and goes on with its unlink is claimed anew. Where two cases of one lead do so one after
    # the other, the lead is never without any, and stands for both: whoever is asked for, the answer is whose they are.
    covered = own is not None and (case, wanted.party) in own.covers
    reason = None
    if no(d, {*ids, *d.group(wanted.party)}, case):
        reason = "closed"
    elif (
        lead is not None
        and not covered
        and current(lead.agency, context.successors) != current(wanted.agency, context.successors)
    ):
        reason = "led_elsewhere"
    elif own is None and led_twice(d, ids, context):
        # Whose it would be is known once that unlink is read.
        reason = "led_elsewhere"
    if reason:
        refused = LeadRefused(
            claim=claim_id, case=case, party=wanted.party, agency=wanted.agency, reason=reason
        )
        d.tell(wanted.person, refused)
        return
    d.tell(
        wanted.person,
        LeadAssigned(
            claim=claim_id,
            case=case,
            party=wanted.party,
            agency=lead.agency if lead else wanted.agency,
            worker=lead.worker if lead else wanted.worker,
            tenure=lead.tenure if lead else next_tenure(d, ids),
            at=lead.claimed_at if lead else proposed_at,
        ),
    )


def led_twice(d: Decision, ids: Iterable[str], context: Context) -> bool:
    """Say whether a human has two different leads: only until a restored consent has read everything again."""
    return len({current(lead.agency, context.successors) for _, lead in leads_of(d, ids)}) > 1


def end(d: Decision, ids: Iterable[str], reason: str) -> None:
    """End whatever leads these ids have. What was done stays in the ledger: the next lead does not begin again."""
    for key, lead in leads_of(d, ids):
        d.tell(key, LeadEnded(agency=lead.agency, reason=reason, cases=lead.cases))


def reached_by(d: Decision, ids: Iterable[str]) -> set[str]:
    """Return the agencies that have spoken with a human under a permit and been answered."""
    return {a.agency for a in history(d, tuple(ids)) if a.answer and a.attempts}


def reassign(d: Decision, person: str) -> Decision:
    """Take back a lead, so that the person can be claimed anew: only while nothing has been begun."""
    ids = d.group(person)
    if lead_of(d, ids) is None:
        return d.refuse("no_lead")
    if _in_flight(d, ids):
        return d.refuse("in_flight")
    if any(a.answer for a in history(d, ids)):
        return d.refuse("reached")
    if any(a.attempts for a in history(d, ids)):
        return d.refuse("attempted")
    d.revoke(ids, "reassigned")
    end(d, ids, "reassigned")
    return d


def _in_flight(d: Decision, ids: Iterable[str]) -> bool:
    return any(
        state.unresolved or (state.permit and state.permit.redeemed)
        for state in (d.person(key) for key in ids)
    )


def hand_over(at: Situation, command: HandOver, context: Context) -> Decision:
    """Move a person's lead, with all open cases: if an agreement names the target, or before the person is reached."""
    d = Decision(at)
    ids = d.group(command.person)
    lead = lead_of(d, ids)
    if lead is None:
        return d.refuse("no_lead")
    source = current(lead.agency, context.successors)
    target = current(command.target, context.successors)
    if source == target and lead.worker == command.worker:
        return d.refuse("same_lead")
    if _in_flight(d, ids):
        return d.refuse("in_flight")
    reached = any(a.answer for a in history(d, ids))
    if reached and source != target and not _named(d, ids, lead, target, context):
        return d.refuse("no_agreement")
    d.revoke(ids, "handed_over")
    tenure = next_tenure(d, ids)
    for key, held in leads_of(d, ids):
        _move(d, key, held, target, command.worker, command.reason, tenure, agreement=reached)
    return d


def _named(d: Decision, ids: tuple[str, ...], lead: Lead, target: str, context: Context) -> bool:
    day = context.now.date()
    found = [a for case in ("", *lead.cases) for a in agreements(d, ids, case)]
    return any(
        a.fact.agencies
        and names(a.fact.agencies, target, context)
        and (a.fact.expires is None or day <= a.fact.expires)
        for a in found
    )


def _move(
    d: Decision, key: str, lead: Lead, target: str, worker: str | None, reason: str, tenure: int, *, agreement: bool
) -> None:  # fmt: skip
    moved = LeadHandedOver(
        source=lead.agency, target=target, cases=lead.cases, reason=reason, worker=worker, agreement=agreement,
        tenure=tenure,
    )  # fmt: skip
    d.tell(key, moved)


def succeed(at: Situation, person: str, context: Context) -> Decision:
    """Write down, for one person, what has been true since its lead was succeeded. Whatever is in flight goes on."""
    d = Decision(at)
    ids = d.group(person)
    tenure = next_tenure(d, ids)
    for key, lead in leads_of(d, ids):
        # Linked ids may have one lead under two names: the agency's own, and its predecessor's.
        target = current(lead.agency, context.successors)
        if target != lead.agency:
            _move(d, key, lead, target, None, "succession", tenure, agreement=False)
    return d


def name_worker(
    at: Situation, case: str, people: Iterable[str], agency: str, worker: str, context: Context
) -> Decision:
    """The lead agency has said which of its workers is these people's one point of contact.

    Whoever has begun with a person through another case stays that: only a hand-over gives the person somebody else.
    Under whatever id: one human has one friend.
    """
    d = Decision(at)
    for key, _ in leads_of(d, people):
        ids = d.group(key)
        theirs = leads_of(d, ids)
        elsewhere = any(lead.worker is not None and lead.cases != (case,) for _, lead in theirs)
        if elsewhere and any(a.attempts for a in history(d, ids)):
            continue
        for one, lead in theirs:
            if current(lead.agency, context.successors) == current(agency, context.successors):
                d.note(one, WorkerNamed(agency, worker))
    return d
