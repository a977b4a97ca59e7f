"""Releases: one row for each permit, for ever; and the telephones, addresses and homes that live approaches have claimed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from services.intake.domain.releases import BEFORE
from services.intake.store.matching import POINTS, STRIPES
from shared.contracts.envelope import Role
from shared.runtime.work import Work

_NUMBERING: Final = 4_071_718

# A withdrawal that bars a case. What is in force bars it too, but for what the person has opened again.
_BARS: Final = "(w.scope = 'everything' OR c.case_id IS NULL OR c.case_id = {case})"
_STORED: Final = f"""
FROM withdrawal_candidate AS c JOIN withdrawal AS w ON w.id = c.withdrawal
WHERE c.person = {{person}} AND w.state = ANY({{states}}) AND {_BARS}
"""
_ANY: Final = (
    _STORED
    + """  AND NOT EXISTS (SELECT FROM withdrawal_exception AS x
                  WHERE x.withdrawal = w.id AND x.person = c.person AND x.case_id = {case})
"""
)
_STANDS: Final = "'{recorded,needs_person,in_force}'::text[]"
_WITHDRAWN: Final = f"SELECT true {_ANY.format(person='ANY($1::text[])', states=_STANDS, case='$2')} LIMIT 1"
# Everybody who is linked with those that a walk begins at. OFFSET keeps the look-up of one key a look-up: as a join it was a
# scan of every person there is.
_LINKED: Final = """{name}(person) AS (
  SELECT {begin}
  UNION SELECT link FROM {name}
    CROSS JOIN LATERAL (SELECT state FROM stream WHERE kind = 'person' AND key = {name}.person OFFSET 0) AS s
    CROSS JOIN jsonb_array_elements_text(s.state -> 'links') AS link
)"""
# Who the person spoken to ($1) and the party ($2) are by all their ids, and how the former is reached.
_WHO: Final = f"""
{_LINKED.format(name="own", begin="$1::text")},
{_LINKED.format(name="people", begin="unnest(ARRAY[$1::text, $2::text])")}, points(tag) AS (
  SELECT DISTINCT tag FROM contact_point WHERE person = ANY(ARRAY(SELECT person FROM own))
)
"""  # noqa: S608 - constants
# Found and locked at once, in the order of the stripes. Whoever waits here for another release has found what was there
# before it: a look follows, in a statement of its own.
_LOCK_POINTS: Final = f"""
WITH RECURSIVE {_WHO}, locked AS MATERIALIZED (
  SELECT pg_advisory_xact_lock($3::int, stripe) FROM (
    SELECT DISTINCT (('x' || encode(substr(tag, 1, 4), 'hex'))::bit(32)::bigint % $4::int)::int AS stripe FROM points
    ORDER BY stripe OFFSET 0) AS s
)
SELECT ARRAY(SELECT person FROM own) AS own, ARRAY(SELECT person FROM people) AS people,
  ARRAY(SELECT tag FROM points) AS points, (SELECT count(*) FROM locked)
"""  # noqa: S608 - constants
# Everything that the protocol asks of the rows about one contact, at one moment: who the person spoken to ($1) and the
# party ($2) are by all their ids, how the former is reached, whether a withdrawal of either is recorded, in force at consent
# or not yet; who the parties of the case ($3) are, and of whom of them a withdrawal is recorded that consent may not know
# of; and whether somebody else is at the same telephone, e-mail address or home, whose approach is live or who said no.
# Whoever speaks for somebody shares theirs by nature; what a human has cleared is cleared.
_LOOK: Final = f"""
WITH RECURSIVE {_WHO}, parties AS (
  SELECT DISTINCT f ->> 'person' AS person, f ->> 'role' AS role
  FROM referral_case AS c JOIN referral AS r ON r.id = c.referral, json_array_elements(c.facts -> 'parties') AS f
  WHERE c.case_id = $3 AND r.status <> 'retracted'
), there(person) AS (
  SELECT p.person FROM contact_point AS p JOIN ledger AS l ON l.person = p.person
  WHERE p.tag = ANY(ARRAY(SELECT tag FROM points)) AND (l.live OR l.refused)
  UNION SELECT c.person FROM contact_claim AS c WHERE c.tag = ANY(ARRAY(SELECT tag FROM points)) AND c.permit <> $4
)
SELECT ARRAY(SELECT person FROM own) AS own, ARRAY(SELECT person FROM people) AS people,
  ARRAY(SELECT tag FROM points) AS points,
  EXISTS (SELECT {_ANY.format(person="ANY(ARRAY(SELECT person FROM people))", states=_STANDS, case="$3")}) AS withdrawn,
  (SELECT json_agg(json_build_array(person, role)) FROM parties) AS parties,
  ARRAY(SELECT person FROM parties AS p WHERE EXISTS (
    SELECT {_STORED.format(person="p.person", states="'{recorded,needs_person}'::text[]", case="$3")})) AS unheard,
  EXISTS (SELECT FROM there AS o
    WHERE NOT (o.person = ANY(ARRAY(SELECT person FROM own)))
      AND NOT EXISTS (SELECT FROM speaks_for AS s
                      WHERE (s.contact = ANY(ARRAY(SELECT person FROM own)) AND s.party = o.person)
                         OR (s.party = ANY(ARRAY(SELECT person FROM own)) AND s.contact = o.person))
      AND NOT EXISTS (SELECT FROM contact_point_cleared AS k
                      WHERE k.person = ANY(ARRAY(SELECT person FROM own)) AND k.other = o.person)) AS elsewhere
"""  # noqa: S608 - constants
# The row, and with it the claims of the contact points: none without the other.
_ASK: Final = """
WITH asked AS (
  INSERT INTO release (permit, fence, person, party, case_id, agency, worker, seen, state, asked_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, 'asked', $9)
  ON CONFLICT (permit) DO UPDATE SET seen = excluded.seen, fence = excluded.fence, asked_at = excluded.asked_at,
    worker = excluded.worker, state = 'asked', reason = NULL
  WHERE release.state = ANY($10::text[])
  RETURNING permit, person, asked_at, xmax <> 0 AS again
), claimed AS (
  INSERT INTO contact_claim (tag, person, permit, claimed_at)
  SELECT tag, a.person, a.permit, a.asked_at FROM asked AS a CROSS JOIN unnest($11::bytea[]) AS tag
  ON CONFLICT (tag, person) DO UPDATE SET permit = excluded.permit, claimed_at = excluded.claimed_at
)
SELECT again FROM asked
"""
# Numbers are drawn under a lock that is held until the commit: whoever reads `after` a number misses none. The number is
# worked out for the row that the join gives, so never before the lock is held; if the release was given up meanwhile, that
# row is looked at again, and not handed out. Without the note of who read it there is no handing out.
_HAND_OUT: Final = """
WITH numbering AS MATERIALIZED (
  SELECT pg_advisory_xact_lock($1)
), handed AS (
  UPDATE release SET state = 'handed_out', handed_out_at = $3, redeemed = $4::json, number = nextval('release_number')
  FROM numbering WHERE permit = $2 AND state = ANY($5::text[])
  RETURNING permit, person
), noted AS (
  INSERT INTO read_log (agency, worker, what, person, permit) SELECT $6, $7, 'release', person, permit FROM handed
)
SELECT true FROM handed
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the rows shows of a contact: `own` and `people` are all ids of the person, and of both, sorted.

    `unheard`: parties of the case of whom a withdrawal is recorded that consent may not know of. `elsewhere`: another
    person's live approach or "no" is at one of the contact points.
    """

    own: list[str]
    people: list[str]
    points: list[bytes]
    parties: list[tuple[str, Role]]
    unheard: frozenset[str]
    withdrawn: bool
    elsewhere: bool


async def look(work: Work, person: str, party: str, case: str, permit: str) -> Look:
    """Look at everything that concerns one contact, as it is at this moment."""
    row = await work.fetchrow(_LOOK, person, party, case, permit)
    assert row is not None  # noqa: S101 - a statement of sub-selects has one row
    return Look(
        sorted(row["own"]),
        sorted(row["people"]),
        sorted(row["points"]),
        msgspec.json.decode(row["parties"] or "[]", type=list[tuple[str, Role]]),
        frozenset(row["unheard"]),
        row["withdrawn"],
        row["elsewhere"],
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a release is about, found before they are locked: see Look."""

    own: list[str]
    people: list[str]
    points: list[bytes]


async def lock_points(work: Work, person: str, party: str) -> Found:
    """Find whom a release is about, and lock their contact points.

    So of two releases to one telephone the second sees the first one's claim.
    """
    row = await work.fetchrow(_LOCK_POINTS, person, party, POINTS, STRIPES)
    assert row is not None  # noqa: S101 - a statement of sub-selects has one row
    return Found(*(sorted(row[name]) for name in ("own", "people", "points")))


async def withdrawn(work: Work, people: list[str], case: str) -> bool:
    """Say whether a withdrawal of any of these people is recorded here, in force at consent or not yet."""
    return bool(await work.fetchval(_WITHDRAWN, people, case))


async def spoken_with(work: Work, person: str, cases: list[str]) -> bool:
    """Say whether an approach of this person is live, or has been answered with a no, or a no is recorded here."""
    query = "SELECT true FROM ledger WHERE person = $1 AND (live OR refused) LIMIT 1"
    known = bool(await work.fetchval(query, person))
    return known or any([await withdrawn(work, [person], case) for case in cases])


async def refused_by(work: Work, people: list[str]) -> bool:
    """Say whether consent has told that any of these people said no."""
    query = "SELECT true FROM ledger WHERE person = ANY($1::text[]) AND refused LIMIT 1"
    return bool(await work.fetchval(query, people))


async def ask(
    work: Work, release: dict[str, Any], seen: dict[str, int], points: Iterable[bytes]
) -> bool | None:
    """Write the release's row before consent is asked, and claim the contact points; say whether an earlier try was refused.

    None: another try has the row, or had it and nobody knows that nothing was redeemed.
    """
    again: bool | None = await work.fetchval(
        _ASK, release["permit"], release["fence"], release["person"], release["party"], release["case"],
        release["agency"], release["worker"], msgspec.json.encode(seen).decode(), work.now,
        BEFORE["asked"], sorted(points),
    )  # fmt: skip
    return again


async def hand_out(work: Work, permit: str, redeemed: object, agency: str, worker: str | None) -> bool:
    """Mark a release as handed out, number it, and note who read it. False: it was given up meanwhile."""
    return bool(
        await work.fetchval(
            _HAND_OUT, _NUMBERING, permit, work.now, msgspec.json.encode(redeemed).decode(), BEFORE["handed_out"],
            agency, worker,
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
