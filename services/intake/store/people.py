"""What is held about a person, readable: every referral's details under their own keys, and the corrections over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeVar

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

H = TypeVar("H", bound=Human)
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
# For one contact: what is held of a human (what = 'own') and of the other parties of a case ('other'), what was corrected of
# the human ('corrected'), and what is said of how to contact them ('safety'). Whoever speaks for a party mostly lives with
# them: their home and telephone are no others'.
_FOR_CONTACT: Final = f"""
WITH others AS (
  SELECT DISTINCT f ->> 'person' AS person FROM referral_case AS c, json_array_elements(c.facts -> 'parties') AS f
  WHERE c.case_id = $2 AND f ->> 'person' IS NOT NULL AND NOT (f ->> 'person' = ANY($1::text[]))
    AND NOT EXISTS (SELECT FROM speaks_for AS s WHERE s.contact = ANY($1::text[]) AND s.party = f ->> 'person')
), held AS (
  {_EVER.replace("$1::text[]", "ARRAY(SELECT person FROM others) || $1::text[]")}
    AND p.current AND r.status <> 'retracted'
), said AS (
  {_SAFETY.replace("$2::uuid[]", "'{}'::uuid[]")}
)
SELECT CASE WHEN person = ANY($1::text[]) THEN 'own' ELSE 'other' END AS what, person, id, referral, contact, role, key,
       sealed, agency, NULL::json AS safety FROM held
UNION ALL SELECT 'corrected', person, after_party::text, NULL, NULL, NULL, key, sealed, NULL, NULL FROM person_detail
          WHERE person = ANY($1::text[]) AND key IS NOT NULL
UNION ALL SELECT 'safety', person, NULL, NULL, NULL, NULL, NULL, NULL, NULL, safety FROM said
"""  # noqa: S608 - constants
# Who is responsible beside a person in each referral that names them, but for whoever they speak for.
_BESIDE: Final = """
SELECT own.id::text AS own, p.id::text AS id, p.key, p.sealed
FROM party AS own JOIN party AS p ON p.referral = own.referral AND p.version = own.version AND NOT p.contact
WHERE own.person = $1 AND own.current AND p.role = 'responsible' AND p.key IS NOT NULL AND p.id <> own.id
  AND NOT (own.contact AND p.position = own.position)
"""
_DETAILS: Final = """
SELECT person, key, sealed, after_party::text AS id FROM person_detail
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


async def group_of(work: Work, people: list[str], without: Iterable[str] = ()) -> list[str]:
    """Return everybody linked with these people, themselves included; a look without locks.

    `without`: people whose own links do not count, nor they themselves.
    """
    found, apart = set(people), set(without)
    ask = found
    while ask:
        rows = await work.fetch(
            "SELECT state -> 'links' AS links FROM stream WHERE kind = 'person' AND key = ANY($1::text[])",
            sorted(ask),
        )
        linked = {
            other for row in rows for other in msgspec.json.decode(row["links"] or "[]", type=list[str])
        }
        ask = linked - found - apart
        found |= ask
    return sorted(found)


async def held_about(work: Work, keyring: Keyring, people: list[str]) -> list[Held]:
    """Return the details that referrals hold of these people, oldest first. Erased ones are not there."""
    return _opened(keyring, await work.fetch(_PARTIES, people))


async def ever_held(work: Work, keyring: Keyring, people: list[str]) -> list[Held]:
    """Return the details that are held of these people, oldest first: superseded and retracted ones too."""
    return _opened(keyring, await work.fetch(_EVER + " ORDER BY p.id", people))


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

    def over(self, party: str, human: H) -> H:
        """Return what a referral says, as corrected since. What it says is not safe stays unsafe, unless that was said."""
        if party > self.after_party:
            return human
        said = Human.model_validate_json(msgspec.json.encode(self.fields), strict=False)
        now = {name: getattr(said, name) for name in said.model_fields_set}
        for kind, key in (("phones", "number"), ("emails", "address"), ("addresses", "postcode")):
            if kind in now:
                now[kind] = _unsafe_too(now[kind], getattr(human, kind), key)
        if "safe_contact" in now:
            changed = {name: getattr(said.safe_contact, name) for name in said.safe_contact.model_fields_set}
            now["safe_contact"] = human.safe_contact.model_copy(update=changed)
        # Copied, not read again: what is left may be too little for a referral, and is all the same what is known.
        return human.model_copy(update=now)


def _unsafe_too(said: Sequence[Any], before: Sequence[Any], key: str) -> tuple[Any, ...]:
    """Return the points that a correction gives, with those that are not safe of whatever it says nothing about."""
    judged = {getattr(one, key) for one in said if "safe" in one.model_fields_set}
    unsafe = tuple(one for one in before if not one.safe and getattr(one, key) not in judged)
    bad = {getattr(one, key) for one in unsafe}
    return (*(one for one in said if getattr(one, key) not in bad), *unsafe)


async def corrections(work: Work, keyring: Keyring, people: list[str]) -> dict[str, Correction]:
    """Return the corrections of each person that has any."""
    return _corrected(keyring, await work.fetch(_DETAILS, people))


def _corrected(keyring: Keyring, rows: Sequence[Any]) -> dict[str, Correction]:
    found = {}
    for row in rows:
        owner = detail_owner(row["person"])
        fields = msgspec.json.decode(keyring.unwrap(row["key"], owner).open(row["sealed"], owner))
        found[row["person"]] = Correction(fields, row["id"] or "")
    return found


async def humans_of(work: Work, keyring: Keyring, people: list[str]) -> list[tuple[Held, Human]]:
    """Return what is held of these people, each referral's with what was corrected since, oldest first."""
    corrected = await corrections(work, keyring, people)
    return _as_corrected(await held_about(work, keyring, people), corrected)


def _as_corrected(held: Sequence[Held], corrected: dict[str, Correction]) -> list[tuple[Held, Human]]:
    return [(one, _own(one, corrected)) for one in held]


def _own(one: Held, corrected: dict[str, Correction]) -> Human:
    return corrected[one.person].over(one.party, one.human) if one.person in corrected else one.human


def _all_corrected(held: Sequence[Held], corrected: dict[str, Correction]) -> list[tuple[Held, Human]]:
    """Return what is held of one human under several ids, with what was corrected under any of them; its own id's last."""
    found = []
    for one in held:
        human = one.human
        for person in sorted(corrected, key=lambda person: (person == one.person, person)):
            human = corrected[person].over(one.party, human)
        found.append((one, human))
    return found


async def responsible_beside(work: Work, keyring: Keyring, person: str) -> dict[str, list[Human]]:
    """Return the responsible of each referral of a person, by the row of what that referral says of the person."""
    found: dict[str, list[Human]] = {}
    for row in await work.fetch(_BESIDE, person):
        owner = party_owner(row["id"])
        plain = keyring.unwrap(row["key"], owner).open(row["sealed"], owner)
        found.setdefault(row["own"], []).append(Party.model_validate_json(plain, strict=False))
    return found


@dataclass(frozen=True, slots=True)
class ForContact:
    """What is known of a human for one contact: as held and corrected, oldest first; of how to contact each of its ids.

    `others`: what is held of the other parties of the case.
    """

    known: list[tuple[Held, Human]]
    safety: list[Safety]
    others: list[Human]


async def for_contact(work: Work, keyring: Keyring, own: list[str], case: str) -> ForContact:
    """Return what is known of a human (`own`: every id that is them) for a contact about a case, by one statement."""
    rows: dict[str, list[Any]] = {"own": [], "other": [], "corrected": [], "safety": []}
    for row in await work.fetch(_FOR_CONTACT, own, case):
        rows[row["what"]].append(row)
    held = {what: _opened(keyring, sorted(rows[what], key=itemgetter("id"))) for what in ("own", "other")}
    return ForContact(
        _all_corrected(held["own"], _corrected(keyring, rows["corrected"])),
        [domain.merge_safety(said) for said in _said(rows["safety"]).values()],
        [one.human for one in held["other"]],
    )


async def ever_said_of(work: Work, keyring: Keyring, people: list[str]) -> list[tuple[Held, Human]]:
    """Return everything that was ever said of these people: as sent and as corrected; superseded and retracted too."""
    corrected = await corrections(work, keyring, people)
    held = _opened(keyring, await work.fetch(_EVER, people))
    as_corrected = [(one, _own(one, corrected)) for one in held if one.person in corrected]
    return [(one, one.human) for one in held] + as_corrected


async def said_of(work: Work, people: list[str], but_for: Sequence[str] = ()) -> dict[str, list[Safety]]:
    """Return what is said now of each person's safe contact, but for what these referrals say."""
    return _said(await work.fetch(_SAFETY, people, list(but_for)))


def _said(rows: Iterable[Any]) -> dict[str, list[Safety]]:
    found: dict[str, list[Safety]] = {}
    for row in rows:
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
