"""What is held about a person, readable: every referral's details under their own keys, and the corrections over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.intake import domain
from services.intake.crypto import Keyring
from services.intake.domain import PersonState
from services.intake.doorstep import party_owner
from services.intake.referral import ContactPerson, Human, Party
from services.intake.store.following import lineage
from shared.contracts.people import Safety
from shared.runtime.stream import Stream
from shared.runtime.work import Work

_EVER: Final = """
SELECT p.id::text AS id, p.referral::text AS referral, p.person, p.contact, p.role, p.key, p.sealed, r.agency, p.version,
       p.position
FROM party AS p JOIN referral AS r ON r.id = p.referral
WHERE p.person = ANY($1::text[]) AND p.key IS NOT NULL
"""
_PARTIES: Final = _EVER + " AND p.current AND r.status <> 'retracted' ORDER BY p.id"
# A correction stands over what referrals said before it; what came after it counts beside it.
_SAFETY: Final = """
SELECT p.person, p.safety FROM party AS p JOIN referral AS r ON r.id = p.referral
LEFT JOIN person_detail AS d ON d.person = p.person
WHERE p.person = ANY($1::text[]) AND p.current AND p.safety IS NOT NULL AND r.status <> 'retracted'
  AND (d.after_party IS NULL OR p.id > d.after_party) AND NOT (p.referral = ANY($2::uuid[]))
UNION ALL SELECT person, safety FROM person_detail WHERE person = ANY($1::text[]) AND safety IS NOT NULL
"""
_DETAILS: Final = """
SELECT person, key, sealed, after_party::text AS after_party FROM person_detail
WHERE person = ANY($1::text[]) AND key IS NOT NULL
"""


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
            "SELECT state -> 'links' AS links FROM stream WHERE kind = 'person' AND key = ANY($1::text[])",
            sorted(ask),
        )
        linked = {
            other for row in rows for other in msgspec.json.decode(row["links"] or "[]", type=list[str])
        }
        ask = linked - found
        found |= linked
    return sorted(found)


async def held_about(work: Work, keyring: Keyring, people: list[str]) -> list[Held]:
    """Return the details that referrals hold of these people, oldest first. Erased ones are not there."""
    return _opened(keyring, await work.fetch(_PARTIES, people))


def _opened(keyring: Keyring, rows: Sequence[Any]) -> list[Held]:
    found = []
    for row in rows:
        owner = party_owner(row["id"])
        plain = keyring.unwrap(row["key"], owner).open(row["sealed"], owner)
        kind = ContactPerson if row["contact"] else Party
        # Lax: a referral that came as CSV was text throughout, and was found to be sound then.
        human = kind.model_validate_json(plain, strict=False)
        found.append(
            Held(
                row["id"],
                row["referral"],
                row["agency"],
                row["person"],
                row["role"],
                human,
                msgspec.json.decode(plain),
            )
        )
    return found


def detail_owner(person: str) -> str:
    """Return what the key of a person's corrections is bound to."""
    return f"person:{person}"


@dataclass(frozen=True, slots=True)
class Correction:
    """What was corrected of a person: fields over every referral's up to, and with, the row `after_party`."""

    fields: dict[str, Any]
    after_party: str

    def over(self, held: Held) -> Human:
        """Return what a referral says, as corrected since."""
        if held.party > self.after_party:
            return held.human
        document = msgspec.json.decode(held.human.model_dump_json()) | self.fields
        return type(held.human).model_validate_json(msgspec.json.encode(document), strict=False)


async def corrections(work: Work, keyring: Keyring, people: list[str]) -> dict[str, Correction]:
    """Return the corrections of each person that has any."""
    found = {}
    for row in await work.fetch(_DETAILS, people):
        owner = detail_owner(row["person"])
        fields = msgspec.json.decode(keyring.unwrap(row["key"], owner).open(row["sealed"], owner))
        found[row["person"]] = Correction(fields, row["after_party"] or "")
    return found


async def humans_of(work: Work, keyring: Keyring, people: list[str]) -> list[tuple[Held, Human]]:
    """Return what is held of these people, each referral's with what was corrected since, oldest first."""
    corrected = await corrections(work, keyring, people)
    held = await held_about(work, keyring, people)
    return [(one, corrected[one.person].over(one) if one.person in corrected else one.human) for one in held]


async def ever_said_of(work: Work, keyring: Keyring, people: list[str]) -> list[tuple[Held, Human]]:
    """Return everything that was ever said of these people: as sent and as corrected; superseded and retracted too."""
    corrected = await corrections(work, keyring, people)
    held = _opened(keyring, await work.fetch(_EVER, people))
    as_corrected = [(one, corrected[one.person].over(one)) for one in held if one.person in corrected]
    return [(one, one.human) for one in held] + as_corrected


async def said_of(work: Work, people: list[str], but_for: Sequence[str] = ()) -> dict[str, list[Safety]]:
    """Return what is said now of each person's safe contact, but for what these referrals say."""
    found: dict[str, list[Safety]] = {}
    for row in await work.fetch(_SAFETY, people, list(but_for)):
        found.setdefault(row["person"], []).append(msgspec.json.decode(row["safety"], type=Safety))
    return found


async def safety_of(work: Work, person: str) -> Safety:
    """Return how a person may be contacted, from everything that is said now."""
    return domain.merge_safety((await said_of(work, [person])).get(person, []))


async def tell_safety(work: Work, stream: Stream[PersonState], person: str) -> None:
    """Publish how a person may be contacted, if that has changed. The person is locked."""
    safety = await safety_of(work, person)
    work.record(stream, person, *domain.change_safety(work.state(stream, person), safety))


async def is_related(work: Work, agency: str, people: list[str]) -> bool:
    """Say whether an agency has referred one of these people, or was handed their details."""
    return bool(
        await work.fetchval(
            """SELECT true FROM party AS p JOIN referral AS r ON r.id = p.referral
               WHERE p.person = ANY($2::text[]) AND r.agency = ANY($1::text[])
               UNION ALL SELECT true FROM release
               WHERE person = ANY($2::text[]) AND agency = ANY($1::text[]) AND state = 'handed_out'
               LIMIT 1""",
            await lineage(work, agency),
            people,
        )
    )
