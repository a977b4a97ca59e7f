"""A join undone: a referral's party that was taken for somebody becomes a person of their own."""

from __future__ import annotations

from typing import Any

import msgspec

from services.intake import domain, matching
from services.intake.core import CASE_FILE, PERSON, Intake
from services.intake.facts import comparable
from services.intake.recognising.load import blocking_tags
from services.intake.reviewing import tell_apart
from services.intake.safe_contact import contact_points
from services.intake.store import holds as hold_store
from services.intake.store import matching as candidates
from services.intake.store import people as store
from services.intake.store.people import Held
from shared.contracts.people import PersonReferred
from shared.contracts.referrals import PartyFact, ReferralFacts
from shared.runtime.identifiers import new_id
from shared.runtime.problems import not_found
from shared.runtime.work import Work


async def split(
    work: Work, service: Intake, person: str, referral: str, position: int, *, contact: bool
) -> str:
    """Give a referral's party a person id of its own; returns it. Raises Problem 404.

    The old id keeps its ledger, and is held for the cases that were never theirs, so that nobody speaks to them about those.
    The new id starts with what the referral said. The machine does not join the two again.
    """
    row = await work.fetchrow(
        """SELECT id::text AS id FROM party
           WHERE referral = $1 AND position = $2 AND contact = $3 AND person = $4 AND current AND key IS NOT NULL""",
        referral, position, contact, person,
    )  # fmt: skip
    if row is None:
        raise not_found("party of this person")
    held = list(await store.held_about(work, service.keyring, [person]))
    moved = next(one for one in held if one.party == row["id"])
    cases = await work.fetch(
        "SELECT case_id, position, facts, harmed FROM referral_case WHERE referral = $1", referral
    )
    tags = [tag for one in held for tag in _tags(service, one)]
    await candidates.lock_tags(work, tags)
    new = new_id()
    mine = [case for case in cases if _names(case, person)]
    files = {case["case_id"] for case in mine}
    fresh = {case["case_id"]: new_id() for case in mine if case["harmed"] == person}
    await work.lock(
        (PERSON, person), (PERSON, new), *((CASE_FILE, case) for case in (*files, *fresh.values()))
    )
    await work.execute("UPDATE party SET person = $2 WHERE id = $1", row["id"], new)
    for case in mine:
        await _move(work, case, referral, person, new, fresh.get(case["case_id"]), moved)
    await _rekey(work, service, person, [one for one in held if one.party != moved.party])
    await _rekey(work, service, new, [moved])
    await tell_apart(work, person, [new], 99.0)
    await store.tell_safety(work, PERSON, person)
    return new


def _names(case: Any, person: str) -> bool:  # noqa: ANN401 - a record
    facts = msgspec.json.decode(case["facts"], type=ReferralFacts)
    return any(person in (party.person, *party.contact_persons) for party in facts.parties)


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
    before = msgspec.json.decode(case["facts"], type=ReferralFacts)
    parties = tuple(_renamed(party, person, new) for party in before.parties)
    after = msgspec.structs.replace(before, parties=parties)
    old = case["case_id"]
    target = fresh or old
    if fresh is not None:
        work.record(CASE_FILE, old, *domain.retract(work.state(CASE_FILE, old), referral))
    work.record(CASE_FILE, target, *domain.receive(work.state(CASE_FILE, target), after, before))
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
    hold = f"{referral}:split:{old}"
    held = domain.hold_person(work.state(PERSON, person), hold, "not_this_person", case=old)
    if held:
        work.record(PERSON, person, *held)
        await hold_store.insert(
            work, hold_store.HoldRow(hold, person, old, referral, "not_this_person", None, work.now, 1, None)
        )
    await work.execute(
        "UPDATE referral_case SET case_id = $3, harmed = $4, facts = $5 WHERE referral = $1 AND position = $2",
        referral,
        case["position"],
        target,
        new if case["harmed"] == person else case["harmed"],
        msgspec.json.encode(after).decode(),
    )


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
