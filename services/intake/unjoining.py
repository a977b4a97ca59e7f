"""A case that became one because two ids were taken for one human is two again when they are not.

The side whose referral came first keeps the case. The other's referrals go on in a new one: the case that they began in is
over for everybody else, and an over case does not come back. What was said in the old case against contact goes with them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.intake import domain
from services.intake.core import CASE_FILE, PERSON
from services.intake.store import holds
from services.intake.store import people as store
from services.intake.store.holds import HoldRow
from shared.contracts.envelope import Role
from shared.contracts.people import PersonReferred
from shared.contracts.referrals import PartyFact, ReferralFacts
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem
from shared.runtime.stream import Ref
from shared.runtime.work import Work

NOT_THEIRS: Final = "not_this_person"
_ROWS = """
SELECT c.referral::text AS referral, c.position, c.case_id, c.harmed, c.facts FROM referral_case AS c
JOIN referral AS r ON r.id = c.referral
WHERE r.status <> 'retracted' AND c.harmed = ANY($1::text[]) AND c.case_id IN (
  SELECT case_id FROM referral_case WHERE harmed = ANY($2::text[])
  INTERSECT SELECT case_id FROM referral_case WHERE harmed = ANY($3::text[]))
ORDER BY c.referral, c.position
"""
_PENDING = """
SELECT true FROM withdrawal AS w JOIN withdrawal_candidate AS c ON c.withdrawal = w.id
WHERE w.state IN ('recorded', 'needs_person') AND (c.case_id = ANY($1::text[]) OR c.person = ANY($2::text[])) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Leaving:
    """One referral that leaves a case (`old`) for another (`new`), as it was published last."""

    referral: str
    position: int
    old: str
    new: str
    harmed: str
    facts: ReferralFacts


@dataclass(frozen=True, slots=True)
class Moving:
    """Everything that leaves a case because a link is undone."""

    leaving: tuple[Leaving, ...] = field(default=())

    def keys(self) -> list[Ref]:
        """Return what must be locked."""
        found: dict[Ref, None] = {}
        for one in self.leaving:
            found |= {(CASE_FILE, one.old): None, (CASE_FILE, one.new): None}
            found |= {(PERSON, person): None for person in people_of(one.facts)}
        return list(found)


def people_of(facts: ReferralFacts) -> list[str]:
    """Return everybody in particular whom a referral's case names."""
    named = [person for party in facts.parties for person in (party.person, *party.contact_persons)]
    return [person for person in dict.fromkeys(named) if "." not in person]


async def look(work: Work, person: str, other: str, fresh: dict[str, str]) -> Moving:
    """Return what will leave which case when this link is gone; nothing if they stay linked over others.

    `fresh` keeps the new case of each old one from one look to the next.
    """
    links = {one: await _links(work, one) for one in await store.group_of(work, [person, other])}
    here, there = (_reach(links, one, {person, other}) for one in (person, other))
    if here & there:
        return Moving()
    rows = await work.fetch(_ROWS, sorted(here | there), sorted(here), sorted(there))
    first: dict[str, set[str]] = {}
    for row in rows:
        first.setdefault(row["case_id"], here if row["harmed"] in here else there)
    return Moving(
        tuple(
            Leaving(
                row["referral"],
                row["position"],
                row["case_id"],
                fresh.setdefault(row["case_id"], new_id()),
                row["harmed"],
                msgspec.json.decode(row["facts"], type=ReferralFacts),
            )
            for row in rows
            if row["harmed"] not in first[row["case_id"]]
        )
    )


async def _links(work: Work, person: str) -> list[str]:
    text = await work.fetchval(
        "SELECT state ->> 'links' FROM stream WHERE kind = 'person' AND key = $1", person
    )
    return msgspec.json.decode(text or "[]", type=list[str])


def _reach(links: Mapping[str, Iterable[str]], start: str, gone: set[str]) -> set[str]:
    found, ask = {start}, [start]
    while ask:
        one = ask.pop()
        new = {other for other in links.get(one, ()) if {one, other} != gone} - found
        found |= new
        ask += new
    return found


async def part(work: Work, moving: Moving) -> None:
    """Let them leave. Everybody concerned is locked. Raises Problem 409 while a "no" about such a case is on its way."""
    if not moving.leaving:
        return
    await wait_for_withdrawals(work, {one.old for one in moving.leaving})
    for one in moving.leaving:
        await leave(work, one)
        await _stay_away(work, one)


async def wait_for_withdrawals(work: Work, cases: Iterable[str], people: Iterable[str] = ()) -> None:
    """Raise Problem 409 while a "no" about these cases, or of these people, is on its way."""
    if await work.fetchval(_PENDING, sorted(cases), sorted(people)):
        title = "A withdrawal is not in force yet: it would miss who goes on elsewhere. Try again."
        detail = "Where a person must say whom it means (GET /v1/withdrawals), that comes first."
        raise Problem(409, "withdrawal-pending", title, detail=detail, headers={"Retry-After": "5"})


async def leave(work: Work, one: Leaving) -> None:
    """Take a referral out of a case into another, with its holds; tell of everybody in it. All of them are locked."""
    new = work.state(CASE_FILE, one.new)
    work.record(CASE_FILE, one.new, *domain.receive(new, one.facts, continues=one.old))
    refer(work, one, one.facts.parties)
    await part_holds(work, one.referral, one.old, one.new)
    for row in await holds.of_case(work, one.old):
        # Whom a later version names no more is not locked, and has nothing to do with the new case.
        if row.referral == one.referral and row.reason != NOT_THEIRS and row.person in people_of(one.facts):
            await _move_hold(work, row, one.new)
    work.record(CASE_FILE, one.old, *domain.retract(work.state(CASE_FILE, one.old), one.referral))
    await work.execute(
        "UPDATE referral_case SET case_id = $3 WHERE referral = $1 AND position = $2",
        one.referral,
        one.position,
        one.new,
    )


async def part_holds(work: Work, referral: str, case: str, into: str) -> None:
    """What holds a case because of one referral goes with it; what a human has held as one case is held as two."""
    old, new = work.state(CASE_FILE, case), work.state(CASE_FILE, into)
    for hold, held in old.holds.items():
        if held.referral == referral:
            work.record(CASE_FILE, case, *domain.lift_referral(old, hold, "unjoined"))
            moved = domain.hold_referral(new, referral, hold, held.reason, until=held.until)
            work.record(CASE_FILE, into, *moved)
            await holds.move(work, hold, into)
        elif domain.set_by_a_human(hold):
            again = new_id()
            copied = domain.hold_referral(new, referral, again, held.reason, until=held.until)
            work.record(CASE_FILE, into, *copied)
            row = HoldRow(again, None, into, referral, held.reason, held.until, work.now, 1, None)
            await holds.insert(work, row)


async def join_holds(work: Work, case: str, into: str) -> None:
    """What keeps people of a case from contact, or a human from working on it, does so in the one as which it goes on."""
    goes_on = work.state(CASE_FILE, into)
    for hold, held in work.state(CASE_FILE, case).holds.items():
        if domain.set_by_a_human(hold) and held.referral is not None:
            moved = domain.hold_referral(goes_on, held.referral, hold, held.reason, until=held.until)
            work.record(CASE_FILE, into, *moved)
            await holds.move(work, hold, into)
    rows = await holds.of_case(work, case)
    await work.lock(*((PERSON, row.person) for row in rows if row.person))
    for row in rows:
        await _move_hold(work, row, into)


async def _move_hold(work: Work, row: HoldRow, case: str) -> None:
    assert row.person is not None  # noqa: S101 - of_case() returns no others
    events = domain.move_hold(work.state(PERSON, row.person), row.id, case)
    if events:
        work.record(PERSON, row.person, *events)
        await holds.move(work, row.id, case)


async def theirs_again(work: Work, group: Iterable[str], cases: Container[str]) -> None:
    """Whoever was kept from a case because it was another's is not, now that the two are one human. All are locked."""
    for person in group:
        state = work.state(PERSON, person)
        for hold, held in state.holds.items():
            if held.reason == NOT_THEIRS and held.case in cases:
                work.record(PERSON, person, *domain.lift_person(state, hold, "linked"))
                await holds.lift(work, hold, "linked")


def refer(work: Work, one: Leaving, parties: Iterable[PartyFact]) -> None:
    """Tell these parties, and whoever is spoken to for them, as what the case goes on for them. All are locked."""
    for party in parties:
        _refer(work, one, party)


def _refer(work: Work, one: Leaving, party: PartyFact) -> None:
    spoken_for: list[tuple[str, Role]] = [(party.person, party.role)]
    spoken_for += [(person, "contact") for person in party.contact_persons]
    for person, role in spoken_for:
        if "." in person:  # nobody in particular
            continue
        work.record(
            PERSON,
            person,
            PersonReferred(
                case=one.new,
                incident=one.facts.incident,
                referral=one.referral,
                referrer=one.facts.agency,
                role=role,
                safety=work.state(PERSON, person).safety,
                speaks_for=(party.person,) if role == "contact" else (),
                contact_persons=() if role == "contact" else party.contact_persons,
                continues=one.old,
            ),
        )


async def _stay_away(work: Work, one: Leaving) -> None:
    """Nobody speaks to this person about the case that was never theirs."""
    hold = f"{one.referral}:unjoined:{one.old}"
    events = domain.hold_person(work.state(PERSON, one.harmed), hold, NOT_THEIRS, case=one.old)
    if events:
        work.record(PERSON, one.harmed, *events)
        row = HoldRow(hold, one.harmed, one.old, one.referral, NOT_THEIRS, None, work.now, 1, None)
        await holds.insert_or_set_again(work, row)
