"""Whether a human being may be contacted: the strictest of what the ledgers of all its ids say."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from services.consent.domain.decision import Decision, Reason
from services.consent.domain.state import (
    Agreed,
    Approach,
    Lead,
    Part,
    PersonState,
    Standing,
    find,
    put,
    replace,
)
from shared.contracts.consent import AgreementRecorded, StandingTightened
from shared.contracts.envelope import Role, date, datetime, time

LONDON: Final = ZoneInfo("Europe/London")


def today(now: datetime) -> date:
    """Return the date in London."""
    return now.astimezone(LONDON).date()


def start_of(day: date) -> datetime:
    """Return when a day begins in London, in UTC."""
    return datetime.combine(day, time(0), LONDON).astimezone(ZoneInfo("UTC"))


def current(agency: str, successors: Mapping[str, str]) -> str:
    """Return who an agency is now, after its successions. A circle of successors ends where it began."""
    seen = {agency}
    while (successor := successors.get(agency)) is not None and successor not in seen:
        seen.add(successor)
        agency = successor
    return agency


def own_no(state: PersonState, case: str) -> str | None:
    """Return the reason why this ledger says no for good to a case."""
    if state.closed and case not in state.exceptions:
        return state.closed
    part = find(state.parts, case)
    return part.closed if part else None


def no(d: Decision, ids: Iterable[str], case: str) -> str | None:
    """Return the reason why any ledger of a human says no to a case."""
    for key in ids:
        reason = own_no(d.person(key), case)
        if reason:
            return reason
    return None


def standing(d: Decision, ids: Iterable[str], case: str) -> tuple[Standing, str | None]:
    """Return the strictest standing of these ids for a case, with its reason."""
    ids = tuple(ids)
    reason = no(d, ids, case)
    if reason:
        return "closed", reason
    for key in ids:
        for hold in d.person(key).holds:
            if hold.case in {None, case}:
                return "on_hold", hold.reason
    return "open", None


def refusal_for(level: Standing, reason: str | None) -> Reason:
    """Return the reason code to refuse with. A hold's own reason stays inside: it may tell of another person."""
    if level == "on_hold":
        return "unsafe" if reason == "unsafe" else "on_hold"
    known: dict[str | None, Reason] = {
        "withdrawn": "withdrawn", "declined": "declined", "erased": "erased", "prior_no": "prior_no",
        "prior_not_now_undated": "prior_not_now_undated", "carried_over": "carried_over",
    }  # fmt: skip
    return known.get(reason, "closed")


def part_of(d: Decision, ids: Iterable[str], case: str) -> Part | None:
    """Return what a human is in a case, from all its ledgers: a part of its own, and one that is not over, if there is one.

    Whoever any of them names as contact person is spoken to: one id may have left the case, or known of nobody.
    """
    parts = [part for key in ids if (part := find(d.person(key).parts, case))]
    if len(parts) < 2:  # noqa: PLR2004 - most humans have one
        return parts[0] if parts else None
    best = min(parts, key=lambda part: (part.role == "contact", part.over))
    alike = [
        part for part in parts if (part.role == "contact", part.over) == (best.role == "contact", best.over)
    ]
    contacts = {contact for part in alike for contact in part.contact_persons}
    return replace(best, contact_persons=tuple(sorted(contacts)))


def lead_of(d: Decision, ids: Iterable[str]) -> Lead | None:
    """Return a human's lead. Linked ledgers may each carry it; never two different ones."""
    leads = [lead for _, lead in leads_of(d, ids)]
    return min(leads, key=lambda lead: (lead.claimed_at, lead.agency)) if leads else None


def leads_of(d: Decision, ids: Iterable[str]) -> list[tuple[str, Lead]]:
    """Return which of these ids carry a lead, each with its own."""
    return [(key, lead) for key in ids if (lead := d.person(key).lead)]


def next_tenure(d: Decision, ids: Iterable[str]) -> int:
    """Return the number that a new lead gets."""
    return 1 + max(d.person(key).tenures for key in ids)


def history(d: Decision, ids: Iterable[str]) -> tuple[Approach, ...]:
    """Return a human's approaches from all its ledgers, those of one id joined, the oldest first."""
    merged: dict[str, Approach] = {}
    for key in ids:
        for a in d.person(key).approaches:
            b = merged.get(a.id)
            merged[a.id] = a if b is None else _join(a, b)
    return tuple(sorted(merged.values(), key=lambda a: (a.started_at, a.id)))


def _join(a: Approach, b: Approach) -> Approach:
    attempts = a.attempts
    for attempt in b.attempts:
        attempts = put(attempts, attempt)
    answered = a if (a.answered_at or a.started_at) >= (b.answered_at or b.started_at) and a.answer else b
    answered = answered if answered.answer else a
    return Approach(
        a.id,
        a.agency,
        min(a.started_at, b.started_at),
        tuple(sorted({*a.incidents, *b.incidents})),
        attempts,
        answered.answer,
        answered.answered_at,
    )


def live(approach: Approach) -> bool:
    """Say whether an approach can go on: not answered, or answered with "not now"."""
    return approach.answer in {None, "not_now"}


def last_contact(approach: Approach) -> datetime:
    """Return when an approach last touched the person."""
    return max(
        (approach.started_at, approach.answered_at or approach.started_at, *(a.at for a in approach.attempts))
    )


def not_before(d: Decision, ids: Iterable[str]) -> date | None:
    """Return the latest date that the person gave."""
    return max((day for key in ids if (day := d.person(key).not_before)), default=None)


def agreements(d: Decision, ids: Iterable[str], case: str) -> list[Agreed]:
    """Return the agreements on record that hold for a case."""
    return [a for key in ids for a in d.person(key).agreements if a.id in {"", case}]


def carry_on(d: Decision, person: str, before: str) -> None:
    """What this id has said of a case holds in what has become of it: a no, or else what it agreed to."""
    part = find(d.person(person).parts, before)
    for case in sorted(_follow(d, (person,), (before,), ()) - {before}) if part and part.closed else ():
        there = find(d.person(person).parts, case)
        if there is None or not there.closed:
            d.tell(
                person, StandingTightened(level="case", standing="closed", reason="carried_over", case=case)
            )
    state, case = d.person(person), goes_on_as(d, (person,), before, named=False)
    agreed = find(state.agreements, before)
    if agreed and find(state.agreements, case) is None and not no(d, d.group(person), case):
        d.tell(person, AgreementRecorded(case=case, agreement=agreed.fact, recorded_by=""))


def going_on(d: Decision, ids: Iterable[str], cases: Iterable[str]) -> tuple[str, ...]:
    """Return these cases with those as which they go on: whoever has not heard of a joining still uses the old name."""
    named = frozenset(cases)
    return tuple(sorted(_follow(d, tuple(ids), named, named)))


def goes_on_as(d: Decision, ids: Iterable[str], case: str, *, named: bool = True) -> str:
    """Return the case as which this one goes on; itself, if it was joined to no other."""
    ids, first, seen = tuple(ids), case if named else None, {case}
    while more := _next(d, ids, case, by_name=case == first) - seen:
        case = min(more)
        seen.add(case)
    return case


def _follow(d: Decision, ids: tuple[str, ...], cases: Iterable[str], named: Container[str]) -> set[str]:
    found, todo = set(cases), list(cases)
    while todo:
        case = todo.pop()
        more = _next(d, ids, case, by_name=case in named) - found
        found |= more
        todo += more
    return found


def _next(d: Decision, ids: tuple[str, ...], case: str, *, by_name: bool) -> set[str]:
    """Return as what a case goes on. Where somebody is in it still, and it is meant by its own name, it is no other."""
    parts = (find(d.person(key).parts, case) for key in ids)
    return {part.into for part in parts if part is not None and part.into and (part.over or not by_name)}


def opposed(role: Role) -> frozenset[Role]:
    """Return the roles on the other side."""
    if role == "harmed":
        return frozenset({"responsible", "both"})
    if role == "responsible":
        return frozenset({"harmed", "both"})
    return frozenset({"harmed", "responsible", "both"})


def counterparts(d: Decision, ids: tuple[str, ...], case: str, role: Role) -> list[str]:
    """Return the ids of a case that are on the other side of somebody in it."""
    wanted = opposed(role)
    return [member.id for member in d.case(case).members if member.role in wanted and member.id not in ids]
