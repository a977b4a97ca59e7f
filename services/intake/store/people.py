"""What is held about a person, readable: every referral's details under their own keys, and the corrections over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.intake import domain
from services.intake.crypto import Keyring
from services.intake.doorstep import party_owner
from services.intake.domain import PersonState
from services.intake.referral import ContactPerson, Human, Party
from shared.contracts.people import Safety
from shared.runtime.stream import Stream
from shared.runtime.work import Work

_PARTIES: Final = """
SELECT p.id::text AS id, p.referral::text AS referral, p.person, p.contact, p.role, p.key, p.sealed, r.agency, p.version,
       p.position
FROM party AS p JOIN referral AS r ON r.id = p.referral
WHERE p.person = ANY($1::text[]) AND p.current AND p.key IS NOT NULL AND r.status <> 'retracted' ORDER BY p.id
"""
_SAFETY: Final = """
SELECT safety FROM party AS p JOIN referral AS r ON r.id = p.referral
WHERE p.person = $1 AND p.current AND p.safety IS NOT NULL AND r.status <> 'retracted'
UNION ALL SELECT safety FROM person_detail WHERE person = $1 AND safety IS NOT NULL
"""
_DETAILS: Final = "SELECT person, key, sealed, version FROM person_detail WHERE person = ANY($1::text[]) AND key IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Held:
    """What one referral says of a human. `sent` is as it was posted."""

    party: str
    referral: str
    agency: str
    person: str
    role: str
    human: Human
    sent: dict[str, Any]


async def group_of(work: Work, people: list[str]) -> list[str]:
    """Return everybody linked with these people, themselves included; a look without locks."""
    found = set(people)
    ask = found
    while ask:
        rows = await work.fetch(
            "SELECT state -> 'links' AS links FROM stream WHERE kind = 'person' AND key = ANY($1::text[])", sorted(ask)
        )
        linked = {other for row in rows for other in msgspec.json.decode(row["links"] or "[]", type=list[str])}
        ask = linked - found
        found |= linked
    return sorted(found)


async def held_about(work: Work, keyring: Keyring, people: list[str]) -> list[Held]:
    """Return the details that referrals hold of these people, oldest first. Erased ones are not there."""
    found = []
    for row in await work.fetch(_PARTIES, people):
        owner = party_owner(row["id"])
        plain = keyring.unwrap(row["key"], owner).open(row["sealed"], owner)
        kind = ContactPerson if row["contact"] else Party
        # Lax: a referral that came as CSV was text throughout, and was found to be sound then.
        human = kind.model_validate_json(plain, strict=False)
        found.append(
            Held(row["id"], row["referral"], row["agency"], row["person"], row["role"], human, msgspec.json.decode(plain))
        )
    return found


def detail_owner(person: str) -> str:
    """Return what the key of a person's corrections is bound to."""
    return f"person:{person}"


async def corrections(work: Work, keyring: Keyring, people: list[str]) -> dict[str, dict[str, Any]]:
    """Return the corrected fields of each person that has any."""
    found = {}
    for row in await work.fetch(_DETAILS, people):
        owner = detail_owner(row["person"])
        found[row["person"]] = msgspec.json.decode(keyring.unwrap(row["key"], owner).open(row["sealed"], owner))
    return found


async def safety_of(work: Work, person: str) -> Safety:
    """Return how a person may be contacted, from everything that is said now."""
    rows = await work.fetch(_SAFETY, person)
    return domain.merge_safety([msgspec.json.decode(row["safety"], type=Safety) for row in rows])


async def tell_safety(work: Work, stream: Stream[PersonState], person: str) -> None:
    """Publish how a person may be contacted, if that has changed. The person is locked."""
    safety = await safety_of(work, person)
    work.record(stream, person, *domain.change_safety(work.state(stream, person), safety))
