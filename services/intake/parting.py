"""A join undone: a referral's party that was taken for somebody becomes a person of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.intake import domain, matching, unjoining
from services.intake.core import CASE_FILE, PERSON, Intake
from services.intake.explaining import Decided, Parting, encoded
from services.intake.facts import comparable
from services.intake.recognising.load import blocking_tags
from services.intake.reviewing import tell_apart
from services.intake.safe_contact import contact_points
from services.intake.store import holds as hold_store
from services.intake.store import matching as candidates
from services.intake.store import people as store
from services.intake.store import releases, withdrawals
from services.intake.store.people import Held
from shared.contracts.people import PersonReferred
from shared.contracts.referrals import PartyFact, ReferralFacts
from shared.runtime.errors import Conflict
from shared.runtime.identifiers import new_id
from shared.runtime.problems import not_found
from shared.runtime.work import Work


async def party_of(work: Work, person: str, referral: str, position: int, *, contact: bool) -> str:
    """Return the row of a referral's human who is taken for this person. Raises Problem 404."""
    party = await work.fetchval(
        """SELECT p.id::text FROM party AS p JOIN referral AS r ON r.id = p.referral
           WHERE p.referral = $1 AND p.position = $2 AND p.contact = $3 AND p.person = $4 AND p.current
             AND p.key IS NOT NULL AND r.status <> 'retracted'""",
        referral, position, contact, person,
    )  # fmt: skip
    if party is None:
        raise not_found("party of this person")
    return str(party)


async def split(
    work: Work,
    service: Intake,
    person: str,
    party: str,
    reason: str,
    *,
    worker: str,
    confirmed_by: str | None,
) -> str:
    """Give a referral's human, by their row, a person id of its own; returns it.

    The old id keeps its ledger, and is held for the cases that were never theirs, so that nobody speaks to them about those.
    The new id starts with what the referral said. The machine does not join the two again. Where somebody has been spoken
    with already, the new one is held: only a human can find out which of the two that was.
    """
    held = list(await store.held_about(work, service.keyring, [person]))
    moved = next((one for one in held if one.party == party), None)
    if moved is None:
        raise Conflict("parted, changed or retracted meanwhile")
    cases = await work.fetch(
        "SELECT case_id, position, facts, harmed FROM referral_case WHERE referral = $1", moved.referral
    )
    tags = [tag for one in held for tag in _tags(service, one)]
    await candidates.lock_tags(work, tags)
    new = new_id()
    mine = [case for case in cases if _names(case, person)]
    files = {case["case_id"] for case in mine}
    fresh = {case["case_id"]: new_id() for case in mine if case["harmed"] == person}
    around = {one for case in mine if case["case_id"] in fresh for one in unjoining.people_of(_facts(case))}
    await work.lock(
        *((PERSON, one) for one in {person, new, *around}),
        *((CASE_FILE, case) for case in (*files, *fresh.values())),
    )
    # The new id is nobody's candidate: a "no" that reaches consent after this would not reach them.
    await unjoining.wait_for_withdrawals(work, files, [person])
    parting = Parting(person=person, reason=reason, worker=worker, confirmed_by=confirmed_by, at=work.now)
    await _own(work, party, person, new, parting)
    for case in mine:
        await _move(work, case, moved.referral, person, new, fresh.get(case["case_id"]), moved)
    await _take_holds(work, moved, person, new, fresh)
    if await releases.spoken_with(work, person, [case["case_id"] for case in mine]):
        await _look_first(work, new, moved.referral)
    await _rekey(work, service, person, [one for one in held if one.party != moved.party])
    await _rekey(work, service, new, [moved])
    await tell_apart(work, person, {new: 99.0})
    await store.tell_safety(work, PERSON, person)
    return new


async def _look_first(work: Work, new: str, referral: str) -> None:
    """Who has been spoken with, or has said no, may have been this one: a human finds out before anybody contacts them."""
    hold = f"{referral}:split:spoken_with"
    work.record(PERSON, new, *domain.hold_person(work.state(PERSON, new), hold, "approached_before"))
    row = hold_store.HoldRow(hold, new, None, referral, "approached_before", None, work.now, 1, None)
    await hold_store.insert_or_set_again(work, row)


async def _own(work: Work, party: str, person: str, new: str, parting: Parting) -> None:
    """Let a record be another person's. What the machine had decided of it is not so any more; what people did is."""
    decided = encoded(Decided(answer="parted", parting=parting))
    row = "UPDATE party SET person = $3, decided = $4 WHERE id = $1 AND person = $2 RETURNING true"
    if not await work.fetchval(row, party, person, new, decided):
        raise Conflict("parted by somebody else meanwhile")


def _facts(case: Any) -> ReferralFacts:  # noqa: ANN401 - a record
    return msgspec.json.decode(case["facts"], type=ReferralFacts)


def _names(case: Any, person: str) -> bool:  # noqa: ANN401 - a record
    return person in unjoining.people_of(_facts(case))


async def _move(
    work: Work,
    case: Any,  # noqa: ANN401 - a record
    referral: str,
    person: str,
    new: str,
    fresh: str | None,
    moved: Held,
) -> None:
    """Tell of one case that its party is somebody else. A harmed party takes the referral into a case of its own."""
    before = _facts(case)
    parties = tuple(_renamed(party, person, new) for party in before.parties)
    after = msgspec.structs.replace(before, parties=parties)
    old = case["case_id"]
    target = fresh or old
    if fresh is not None:
        work.record(CASE_FILE, old, *domain.retract(work.state(CASE_FILE, old), referral))
    continues = old if fresh is not None else None
    known = domain.receive(work.state(CASE_FILE, target), after, before, continues=continues)
    work.record(CASE_FILE, target, *known)
    safety = (await store.said_of(work, [new])).get(new, [])
    own = next((party for party in parties if party.person == new), None)
    work.record(
        PERSON,
        new,
        PersonReferred(
            case=target,
            incident=after.incident,
            referral=referral,
            referrer=moved.agency,
            role=own.role if own else "contact",
            safety=domain.merge_safety(safety),
            speaks_for=() if own else tuple(p.person for p in parties if new in p.contact_persons),
            contact_persons=own.contact_persons if own else (),
        ),
    )
    if fresh is not None:
        # What the others have said of the old case, they have said of this one.
        others = tuple(party for party in parties if party.person != new)
        leaving = unjoining.Leaving(referral, case["position"], old, target, new, after)
        unjoining.refer(work, leaving, others)
        await unjoining.part_holds(work, referral, old, fresh)
    await work.execute(
        "UPDATE referral_case SET case_id = $3, harmed = $4, facts = $5 WHERE referral = $1 AND position = $2",
        referral,
        case["position"],
        target,
        new if case["harmed"] == person else case["harmed"],
        msgspec.json.encode(after).decode(),
    )
    if not await withdrawals.is_party(work, person, old):
        await _stay_away(work, person, referral, old)


async def _take_holds(work: Work, moved: Held, person: str, new: str, fresh: Mapping[str, str]) -> None:
    """What their record has them held for, they are held for: a "no" that it meets, a telephone that is not safe."""
    place = "SELECT position || CASE WHEN contact THEN 'c' ELSE '' END FROM party WHERE id = $1"
    named = f"{moved.referral}:{await work.fetchval(place, moved.party)}:"
    for row in await hold_store.of_referral(work, moved.referral):
        if row.person != person or not row.id.startswith(named):
            continue
        held = work.state(PERSON, person).holds[row.id]
        case = fresh.get(held.case, held.case) if held.case else None
        work.record(PERSON, person, *domain.lift_person(work.state(PERSON, person), row.id, "parted"))
        again = domain.hold_person(work.state(PERSON, new), row.id, held.reason, until=held.until, case=case)
        work.record(PERSON, new, *again)
        await hold_store.give(work, row.id, new, fresh.get(row.case_id or "", row.case_id))


async def _stay_away(work: Work, person: str, referral: str, case: str) -> None:
    """Nobody speaks to this person about a case that was never theirs. If another referral names them in it, it is."""
    hold = f"{referral}:split:{case}"
    held = domain.hold_person(work.state(PERSON, person), hold, unjoining.NOT_THEIRS, case=case)
    if held:
        work.record(PERSON, person, *held)
        row = hold_store.HoldRow(hold, person, case, referral, unjoining.NOT_THEIRS, None, work.now, 1, None)
        await hold_store.insert_or_set_again(work, row)


def _renamed(party: PartyFact, person: str, new: str) -> PartyFact:
    contacts = tuple(new if one == person else one for one in party.contact_persons)
    return msgspec.structs.replace(
        party, person=new if party.person == person else party.person, contact_persons=contacts
    )


def _tags(service: Intake, one: Held) -> list[bytes]:
    record = matching.normalise(comparable(one.human, one.agency))
    return list(blocking_tags(service.keyring, record).values())


async def _rekey(work: Work, service: Intake, person: str, held: list[Held]) -> None:
    """Make a person findable by what is held of them, and by nothing else."""
    await work.execute("DELETE FROM blocking_key WHERE person = $1", person)
    await work.execute("DELETE FROM contact_point WHERE person = $1", person)
    keys = sorted({tag for one in held for tag in _tags(service, one)})
    points = sorted(
        {service.keyring.tag("contact-point", p) for one in held for p in contact_points(one.human).texts()}
    )
    await work.execute(
        "INSERT INTO blocking_key SELECT tag, $2 FROM unnest($1::bytea[]) AS tag", keys, person
    )
    await work.execute(
        "INSERT INTO contact_point SELECT tag, $2 FROM unnest($1::bytea[]) AS tag", points, person
    )


async def clear_contact_point(work: Work, person: str, other: str) -> None:
    """Keep that two people at one contact point may both be contacted."""
    await work.lock((PERSON, person), (PERSON, other))
    if not work.version(PERSON, person) or not work.version(PERSON, other):
        raise not_found("person")
    await work.execute(
        "INSERT INTO contact_point_cleared VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        person,
        other,
        hold_store.actor_json(work),
        work.now,
    )
