"""May this agency contact this person now? Every question about contact is answered by `objection`, whoever asks."""

from __future__ import annotations

from services.consent.domain import approach
from services.consent.domain.decision import Decision, Refusal
from services.consent.domain.facts import Ask, Context
from services.consent.domain.standing import (
    LONDON,
    agreements,
    counterparts,
    current,
    history,
    lead_of,
    no,
    not_before,
    opposed,
    part_of,
    refusal_for,
    standing,
    start_of,
    today,
)
from services.consent.domain.state import Limits, Part, find
from shared.contracts.envelope import Hours, time

# The reasons that mean: this would have been a second approach to somebody who had been approached, or had answered.
NEAR_MISS = frozenset({"withdrawn", "declined", "prior_no", "carried_over", "already_approached"})


def objection(d: Decision, ask: Ask, context: Context, *, redeeming: str | None = None) -> Refusal | None:
    """Return why not, or None: may. `redeeming` is the permit that is about to be used, which does not stand in its own way.

    The lead comes first: who does not lead learns nothing else about the person.
    """
    spoken_to, party = d.group(ask.spoken_to), d.group(ask.party)
    refusal = _not_lead(d, ask, context, spoken_to, party)
    if refusal:
        return refusal
    if context.restored:
        return Refusal("restored")
    if context.parked:
        return Refusal("parked")
    part = part_of(d, party, ask.case)
    if (
        not (d.person(ask.spoken_to).known and d.person(ask.party).known)
        or part is None
        or part.role == "contact"
    ):
        return Refusal("unknown")
    return (
        _wrong_person(d, ask, spoken_to, party, part)
        or _standing(d, ask, spoken_to, party, part)
        or _busy(d, spoken_to, context, redeeming)
        or _purpose(d, ask, context, spoken_to, party)
    )


def _not_lead(
    d: Decision, ask: Ask, context: Context, spoken_to: tuple[str, ...], party: tuple[str, ...]
) -> Refusal | None:
    lead = lead_of(d, spoken_to)
    if lead is None:
        return _unled(d, ask, context, spoken_to, party)
    if current(lead.agency, context.successors) != ask.agency:
        return Refusal("not_lead", second_approach=True)
    # A successor's workers are its own: whom its predecessor named binds it no more.
    if (
        lead.worker
        and lead.agency == ask.agency
        and ask.worker not in {lead.worker, context.deputies.get(lead.worker)}
    ):
        return Refusal("not_named_worker")
    return None


def _unled(
    d: Decision, ask: Ask, context: Context, spoken_to: tuple[str, ...], party: tuple[str, ...]
) -> Refusal:
    """Nobody leads. If that is because the person said no, who led is told so; anybody else only that they do not lead."""
    reason = no(d, {*spoken_to, *party}, ask.case)
    if any(
        current(agency, context.successors) == ask.agency for key in spoken_to for agency in d.person(key).led
    ):
        if reason:
            code = refusal_for("closed", reason)
            return Refusal(code, second_approach=code in NEAR_MISS)
        part = part_of(d, party, ask.case)
        if d.case(ask.case).closed or (part is not None and part.over):
            return Refusal("case_closed")
    elif reason or history(d, spoken_to):
        return Refusal("not_lead", second_approach=True)
    if set(spoken_to) & set(party) and any(d.person(key).safety.minor for key in party):
        return Refusal("needs_contact_person")
    return Refusal("no_lead")


def _wrong_person(
    d: Decision, ask: Ask, spoken_to: tuple[str, ...], party: tuple[str, ...], part: Part
) -> Refusal | None:
    """A party with a contact person is spoken to through that one, and never through somebody on the other side."""
    if set(spoken_to) & set(party):
        if part.contact_persons or any(d.person(key).safety.minor for key in party):
            return Refusal("needs_contact_person")
        return None
    named = {member for key in part.contact_persons for member in d.group(key)}
    if ask.spoken_to not in named:
        return Refusal("not_contact_person")
    other_side = opposed(part.role)
    if any(member.id in spoken_to and member.role in other_side for member in d.case(ask.case).members):
        return Refusal("contact_person_conflict")
    return None


def _standing(
    d: Decision, ask: Ask, spoken_to: tuple[str, ...], party: tuple[str, ...], part: Part
) -> Refusal | None:
    level, reason = standing(d, {*spoken_to, *party}, ask.case)
    if level == "closed":
        code = refusal_for(level, reason)
        return Refusal(code, second_approach=code in NEAR_MISS)
    case = d.case(ask.case)
    if case.closed or part.over:
        return Refusal("case_closed")
    if case.pauses:
        return Refusal("paused")
    if level == "on_hold":
        return Refusal(refusal_for(level, reason))
    if _counterpart_is_out(d, ask, party, part):
        return Refusal("counterpart_withdrawn")
    return None


def _counterpart_is_out(d: Decision, ask: Ask, party: tuple[str, ...], part: Part) -> bool:
    """Nobody is asked to meet somebody who has said no. Of several on the other side, one who has not is enough."""
    others = [o for o in counterparts(d, party, ask.case, part.role) if not _has_left(d, o, ask.case)]
    if not others or not all(no(d, d.group(other), ask.case) for other in others):
        return False
    # Whoever agreed to be kept informed can still be told that it goes no further.
    informed = any("be_informed" in a.fact.scope for a in agreements(d, party, ask.case))
    return not (ask.purpose == "conversation" and informed)


def _has_left(d: Decision, person: str, case: str) -> bool:
    part = part_of(d, d.group(person), case)
    return part is not None and part.over


def _busy(d: Decision, spoken_to: tuple[str, ...], context: Context, redeeming: str | None) -> Refusal | None:
    for key in spoken_to:
        state = d.person(key)
        if state.unresolved:
            return Refusal("unresolved")
        permit = state.permit
        if permit is None or permit.id == redeeming:
            continue
        if permit.overdue:
            return Refusal("unresolved")
        if permit.redeemed:
            return Refusal("in_flight")
        if context.now < permit.expires:
            return Refusal("permit_live", not_before=permit.expires)
    return None


def _purpose(
    d: Decision, ask: Ask, context: Context, spoken_to: tuple[str, ...], party: tuple[str, ...]
) -> Refusal | None:
    limits = next(
        (p.limits for key in party if (p := find(d.person(key).parts, ask.case)) and p.limits), None
    )
    if limits is None:
        return Refusal("not_cleared")
    day = not_before(d, {*spoken_to, *party})
    if day is not None and today(context.now) < day:
        return Refusal("not_before", not_before=start_of(day))
    unsafe = _unsafe(d, ask, context, spoken_to, party, limits)
    if unsafe:
        return unsafe
    if ask.purpose == "approach":
        return approach.objection(d, asked(d, ask, context, limits))
    if ask.purpose == "conversation":
        return _no_agreement(d, ask, context, {*spoken_to, *party})
    return _no_feedback(d, ask, spoken_to, party)


def asked(d: Decision, ask: Ask, context: Context, limits: Limits) -> approach.Asked:
    """Return the question as the approach rule wants it."""
    ids = d.group(ask.spoken_to)
    incident = approach.incident_of(d, ids, d.group(ask.party), ask.case)
    return approach.Asked(ids, incident, ask.agency, limits, context.now, context.successors)


def limits_of(d: Decision, ask: Ask) -> Limits:
    """Return the limits of a cleared party; the contract's own where it is not cleared (nothing is granted then)."""
    part = part_of(d, d.group(ask.party), ask.case)
    return (part.limits if part else None) or Limits()


def _unsafe(
    d: Decision,
    ask: Ask,
    context: Context,
    spoken_to: tuple[str, ...],
    party: tuple[str, ...],
    limits: Limits,
) -> Refusal | None:
    if ask.channel is None:
        return None
    states = [d.person(key) for key in spoken_to]
    # Details of any of a human's ids are handed out, so that one of them is reached by a channel is enough. That one is
    # not: what one id says is not safe is safe for none, nor for whoever is spoken to for the party, who may share a home.
    possible = any(ask.channel in state.safety.channels for state in states)
    barred = any(f"no_{ask.channel}" in d.person(key).safety.flags for key in {*spoken_to, *party})
    if not possible or barred or ask.channel not in limits.channels:
        return Refusal("channel_unsafe")
    if any(ask.channel in state.blocked for state in states):
        return Refusal("channel_unsafe")
    # The post arrives when it arrives; everything else rings, buzzes or knocks at the hour at which it is sent.
    if ask.channel == "letter":
        return None
    local = context.now.astimezone(LONDON)
    for hours in (limits.hours, *(state.safety.hours for state in states)):
        if hours is not None and not _within(hours, local.isoweekday(), local.time()):
            return Refusal("hours_unsafe")
    return None


def _within(hours: Hours, weekday: int, at: time) -> bool:
    return weekday in hours.days and hours.start <= at < hours.until


def _no_agreement(d: Decision, ask: Ask, context: Context, ids: set[str]) -> Refusal | None:
    found = agreements(d, sorted(ids), ask.case)
    if not found:
        return Refusal("no_agreement")
    day = today(context.now)
    valid = [a for a in found if a.fact.expires is None or day <= a.fact.expires]
    if not valid:
        return Refusal("agreement_expired")
    if not any(names(a.fact.agencies, ask.agency, context) for a in valid):
        return Refusal("agreement_elsewhere")
    return None


def names(agencies: tuple[str, ...], agency: str, context: Context) -> bool:
    """Say whether an agreement covers an agency: it names it or its predecessor, or names nobody in particular."""
    return not agencies or any(current(a, context.successors) == agency for a in agencies)


def _no_feedback(d: Decision, ask: Ask, spoken_to: tuple[str, ...], party: tuple[str, ...]) -> Refusal | None:
    """Feedback is asked for once of somebody who took part."""
    ids = sorted({*spoken_to, *party})
    if any((part := find(d.person(key).parts, ask.case)) and part.feedback for key in ids):
        return Refusal("already_asked", second_approach=True)
    took_part = agreements(d, ids, ask.case) or any(a.answer == "agreed" for a in history(d, spoken_to))
    return None if took_part else Refusal("no_agreement")


def concerned(d: Decision, ask: Ask) -> set[str]:
    """Return the ids that must be locked to answer a question about contact, besides those that it names."""
    party = d.group(ask.party)
    part = part_of(d, party, ask.case)
    if part is None:
        return set()
    return {*part.contact_persons, *counterparts(d, party, ask.case, part.role)}


def check(d: Decision, ask: Ask, context: Context) -> Refusal | None:
    """Return advice: why not, or None. Somebody who has agreed is spoken with; anybody else would be approached."""
    refusal = objection(d, ask, context)
    if refusal is not None and refusal.reason == "already_approached":
        talk = Ask(ask.case, ask.party, ask.spoken_to, ask.agency, ask.worker, "conversation", ask.channel)
        return refusal if objection(d, talk, context) else None
    return refusal


def is_related(d: Decision, agency: str, keys: tuple[str, ...], context: Context) -> bool:
    """Say whether an agency may know that these people exist: it referred them, led them, or was proposed to."""
    return any(
        current(other, context.successors) == agency or other == agency
        for key in keys
        for other in d.person(key).agencies
    )
