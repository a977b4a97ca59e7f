"""Releases: one row for each permit, for ever; and the telephones, addresses and homes that live approaches have claimed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import msgspec

from services.intake.domain.releases import BEFORE
from services.intake.store.matching import POINTS, lock_tags
from shared.contracts.envelope import Role
from shared.runtime.work import Work

_NUMBERING: Final = 4_071_718

_POINTS: Final = "SELECT DISTINCT tag FROM contact_point WHERE person = ANY($1::text[])"
# Somebody else at the same telephone, e-mail address or home, whose approach is live or who said no. Whoever speaks for
# somebody shares theirs by nature; what a human has cleared is cleared.
_OTHERS: Final = """
SELECT DISTINCT o.person FROM (
  SELECT p.person FROM contact_point AS p JOIN ledger AS l ON l.person = p.person
  WHERE p.tag = ANY($1::bytea[]) AND (l.live OR l.refused)
  UNION SELECT c.person FROM contact_claim AS c WHERE c.tag = ANY($1::bytea[]) AND c.permit <> $3
) AS o
WHERE NOT (o.person = ANY($2::text[]))
  AND NOT EXISTS (SELECT FROM speaks_for AS s WHERE (s.contact = ANY($2::text[]) AND s.party = o.person)
                  OR (s.party = ANY($2::text[]) AND s.contact = o.person))
  AND NOT EXISTS (SELECT FROM contact_point_cleared AS k WHERE k.person = ANY($2::text[]) AND k.other = o.person)
LIMIT 1
"""
_CLAIM: Final = """
INSERT INTO contact_claim (tag, person, permit, claimed_at) SELECT tag, $2, $3, $4 FROM unnest($1::bytea[]) AS tag
ON CONFLICT (tag, person) DO UPDATE SET permit = excluded.permit, claimed_at = excluded.claimed_at
"""
_WITHDRAWN: Final = """
SELECT true FROM withdrawal_candidate AS c JOIN withdrawal AS w ON w.id = c.withdrawal
WHERE c.person = ANY($1::text[]) AND w.state IN ('recorded', 'needs_person', 'in_force')
  AND (w.scope = 'everything' OR c.case_id IS NULL OR c.case_id = $2)
  AND NOT EXISTS (SELECT FROM withdrawal_exception AS x
                  WHERE x.withdrawal = w.id AND x.person = c.person AND x.case_id = $2) LIMIT 1
"""
# Withdrawals of these people, for a case, that consent may not know of yet.
_UNHEARD: Final = """
SELECT true FROM withdrawal_candidate AS c JOIN withdrawal AS w ON w.id = c.withdrawal
WHERE c.person = ANY($1::text[]) AND w.state IN ('recorded', 'needs_person')
  AND (w.scope = 'everything' OR c.case_id IS NULL OR c.case_id = $2) LIMIT 1
"""
_PARTIES: Final = """
SELECT DISTINCT f ->> 'person' AS person, f ->> 'role' AS role
FROM referral_case AS c JOIN referral AS r ON r.id = c.referral, json_array_elements(c.facts -> 'parties') AS f
WHERE c.case_id = $1 AND r.status <> 'retracted'
"""
_ASK: Final = """
INSERT INTO release (permit, fence, person, party, case_id, agency, worker, seen, state, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, 'asked', $9)
ON CONFLICT (permit) DO UPDATE SET seen = excluded.seen, fence = excluded.fence, asked_at = excluded.asked_at,
  worker = excluded.worker, state = 'asked', reason = NULL
WHERE release.state = ANY($10::text[])
RETURNING xmax <> 0
"""


async def points_of(work: Work, people: list[str]) -> set[bytes]:
    """Return the keyed hashes of every way to reach these people."""
    return {row["tag"] for row in await work.fetch(_POINTS, people)}


async def lock_points(work: Work, points: set[bytes]) -> None:
    """Lock contact points, so that of two releases to one telephone the second sees the first one's claim."""
    await lock_tags(work, points, POINTS)


async def somebody_else(work: Work, points: set[bytes], people: list[str], permit: str) -> bool:
    """Say whether another person's live approach or "no" is at one of these contact points."""
    return bool(await work.fetchval(_OTHERS, sorted(points), people, permit))


async def claim(work: Work, points: set[bytes], person: str, permit: str) -> None:
    """Claim contact points for a permit."""
    await work.execute(_CLAIM, sorted(points), person, permit, work.now)


async def withdrawn(work: Work, people: list[str], case: str) -> bool:
    """Say whether a withdrawal of any of these people is recorded here, in force at consent or not yet."""
    return bool(await work.fetchval(_WITHDRAWN, people, case))


async def unheard(work: Work, people: Iterable[str], case: str) -> bool:
    """Say whether a withdrawal of any of these people is recorded that is not known to be in force."""
    return bool(await work.fetchval(_UNHEARD, list(people), case))


async def refused_by(work: Work, people: list[str]) -> bool:
    """Say whether consent has told that any of these people said no."""
    query = "SELECT true FROM ledger WHERE person = ANY($1::text[]) AND refused LIMIT 1"
    return bool(await work.fetchval(query, people))


async def parties_of(work: Work, case: str) -> list[tuple[str, Role]]:
    """Return (person, role) of the parties of a case, as its referrals name them."""
    return [(row["person"], row["role"]) for row in await work.fetch(_PARTIES, case)]


async def ask(work: Work, release: dict[str, Any], seen: dict[str, int]) -> bool | None:
    """Write the release's row before consent is asked; say whether an earlier try was refused.

    None: another try has the row, or had it and nobody knows that nothing was redeemed.
    """
    again: bool | None = await work.fetchval(
        _ASK, release["permit"], release["fence"], release["person"], release["party"], release["case"],
        release["agency"], release["worker"], msgspec.json.encode(seen).decode(), work.now,
        BEFORE["asked"],
    )  # fmt: skip
    return again


async def hand_out(work: Work, permit: str, redeemed: object) -> bool:
    """Mark a release as handed out, and number it. False: it was given up meanwhile.

    Numbers are drawn under a lock that is held until the commit: whoever reads `after` a number misses none.
    """
    await work.execute("SELECT pg_advisory_xact_lock($1)", _NUMBERING)
    return bool(
        await work.fetchval(
            """UPDATE release SET state = 'handed_out', handed_out_at = $2, redeemed = $3::json,
                 number = nextval('release_number')
               WHERE permit = $1 AND state = ANY($4::text[]) RETURNING true""",
            permit, work.now, msgspec.json.encode(redeemed).decode(), BEFORE["handed_out"],
        )
    )  # fmt: skip


async def give_up(work: Work, permit: str, reason: str, tell: bool = True) -> bool:  # noqa: FBT001, FBT002 - passed by position
    """Decide that nothing is handed out for a permit; consent is to be told. False: too late."""
    given_up = await work.fetchval(
        """UPDATE release SET state = 'given_up', reason = $2, told = NOT $3::boolean
           WHERE permit = $1 AND state = ANY($4::text[]) RETURNING true""",
        permit,
        reason,
        tell,
        BEFORE["given_up"],
    )
    if given_up:
        await work.execute("DELETE FROM contact_claim WHERE permit = $1", permit)
    return bool(given_up)


async def in_doubt(work: Work, age: timedelta) -> list[str]:
    """Return permits whose release was begun longer ago than this, and neither handed out nor refused."""
    await work.lock()
    rows = await work.fetch(
        "SELECT permit FROM release WHERE state = 'asked' AND asked_at < $1 ORDER BY asked_at LIMIT 100",
        work.now - age,
    )
    return [row["permit"] for row in rows]


async def refused(work: Work, permit: str, reason: str) -> None:
    """Note a refusal of consent that says for certain that nothing was redeemed; the contact points are free again."""
    refused_now = await work.fetchval(
        """UPDATE release SET state = 'refused', reason = $2
           WHERE permit = $1 AND state = ANY($3::text[]) RETURNING true""",
        permit,
        reason,
        BEFORE["refused"],
    )
    if refused_now:
        await work.execute("DELETE FROM contact_claim WHERE permit = $1", permit)


async def told(work: Work, permit: str) -> None:
    """Consent knows that nothing was handed out."""
    await work.execute("UPDATE release SET told = true WHERE permit = $1", permit)
