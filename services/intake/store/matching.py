"""What the matcher reads and writes: candidates by keyed hashes, records under their keys, one statement for the result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.runtime.work import Connection, Work

# Blocking keys are locked by stripes: enough that two matchers seldom meet, few enough that a batch's locks always fit into
# the server's lock table.
STRIPES: Final = 2048
_BLOCKING: Final = 1_717
# Contact points have stripes of their own: a batch of the matcher holds most of its, and a release must not wait for that.
POINTS: Final = 1_718

# What the prior follows: how many people there are, and how many records there are of them. It takes their logarithm: where
# there are many, PostgreSQL's own estimate will do, and nothing is counted (seconds among a million, with somebody waiting).
FEW: Final = 100_000


def counting(few: int) -> str:
    """Return the statement that counts up to about so many rows of either table, and estimates beyond."""
    return f"""
SELECT CASE WHEN s.rows * s.share > {few} THEN (s.rows * s.share)::bigint
            ELSE (SELECT count(*) FROM stream WHERE kind = 'person') END AS people,
       CASE WHEN p.rows * p.share > {few} THEN (p.rows * p.share)::bigint
            ELSE (SELECT count(*) FROM party WHERE record IS NOT NULL) END AS referrals
FROM (SELECT c.reltuples AS rows,
        (SELECT most_common_freqs[array_position(most_common_vals::text::text[], 'person')] FROM pg_stats
         WHERE schemaname = current_schema() AND tablename = 'stream' AND attname = 'kind') AS share
      FROM pg_class AS c WHERE c.oid = 'stream'::regclass) AS s,
     (SELECT c.reltuples AS rows,
        (SELECT 1 - null_frac FROM pg_stats
         WHERE schemaname = current_schema() AND tablename = 'party' AND attname = 'record') AS share
      FROM pg_class AS c WHERE c.oid = 'party'::regclass) AS p
"""  # noqa: S608 - a number of ours


COUNT: Final = counting(FEW)
_TAKE: Final = """
SELECT r.id::text AS id, r.agency, r.reference_tag, r.version, r.received_at, q.trace, q.attempts, r.status
FROM to_match AS q JOIN referral AS r ON r.id = q.referral
WHERE q.due_at <= clock_timestamp() AND ($2::uuid IS NULL OR q.referral = $2)
ORDER BY q.due_at LIMIT $1 FOR UPDATE OF q, r SKIP LOCKED
"""
_SENT: Final = """
SELECT v.referral::text AS referral, v.version, v.key AS version_key, v.sealed AS version_sealed, p.id::text AS id,
       p.position, p.contact, p.role, p.key, p.sealed
FROM unnest($1::uuid[], $2::int[]) AS w(referral, version)
JOIN referral_version AS v USING (referral, version) JOIN party AS p USING (referral, version)
ORDER BY v.referral, p.position, p.contact
"""
# Whoever was erased since is nobody whom we know any more: who is sent again meets the suppression, as in a new referral.
_EARLIER: Final = """
SELECT p.referral::text AS referral, p.position, p.contact, p.role, p.person, p.id::text AS id, p.key, p.record
FROM party AS p WHERE p.referral = ANY($1::uuid[]) AND p.person IS NOT NULL AND p.current
  AND NOT EXISTS (SELECT FROM stream AS s
                  WHERE s.kind = 'person' AND s.key = p.person AND (s.state ->> 'erased')::boolean)
"""
_CASES_OF: Final = """
SELECT referral::text AS referral, position, case_id, harmed, facts FROM referral_case WHERE referral = ANY($1::uuid[])
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock($1, s) FROM unnest($2::int[]) AS s"
# One person may have hundreds of referrals, so people are counted and not their records. The bound is one more than is
# followed: that many says "hot". In the same round trip: which suppressions are met, as rows without people.
_MEET: Final = """
SELECT n, people FROM (
  SELECT n, ARRAY(SELECT person FROM blocking_key AS b WHERE b.tag = t.tag LIMIT t.bound + 1) AS people
  FROM unnest($1::bytea[], $2::int[]) WITH ORDINALITY AS t(tag, bound, n) OFFSET 0
) AS met WHERE people <> '{}'
UNION ALL
SELECT n, NULL FROM unnest($3::bytea[]) WITH ORDINALITY AS s(tag, n)
WHERE EXISTS (SELECT FROM suppression AS u WHERE u.tag = s.tag OFFSET 0)
"""
# Of each person, the newest. All that anybody has, so that an old number or birth date that contradicts is seen; bounded
# because whoever has more is no one human, and a batch holds its locks meanwhile.
RECORDS: Final = 500
# Hardly anybody was ever linked: a table of who was is always in memory, and the streams of the others are not read.
_RECORDS: Final = f"""
SELECT w.person, r.id::text AS id, r.key, r.record, r.record_tag,
       (SELECT (SELECT state -> 'links' FROM stream WHERE kind = 'person' AND key = e.person)
        FROM ever_linked AS e WHERE e.person = w.person) AS links
FROM unnest($1::text[]) AS w(person)
CROSS JOIN LATERAL (SELECT id, key, record, record_tag FROM party AS p WHERE p.person = w.person AND p.record IS NOT NULL
                    AND p.key IS NOT NULL ORDER BY p.id DESC LIMIT {RECORDS}) AS r
"""  # noqa: S608 - a constant
_APART: Final = """
SELECT person, other, bits FROM told_apart WHERE person = ANY($1::text[])
"""
_INCIDENTS: Final = """
SELECT c.harmed, c.case_id, c.incident, r.agency, r.reference_tag, c.version, v.key
FROM referral_case AS c JOIN referral AS r ON r.id = c.referral
JOIN referral_version AS v ON v.referral = c.referral AND v.version = c.version
WHERE c.harmed = ANY($1::text[]) AND v.key IS NOT NULL AND r.status <> 'retracted'
ORDER BY c.case_id
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A referral whose people are to be worked out."""

    id: str
    agency: str
    reference_tag: bytes
    version: int
    received_at: Any
    trace: str | None
    attempts: int
    status: str


async def take_due(work: Work, limit: int, only: str | None = None) -> list[Due]:
    """Take what is due, skipping what another process or a later version's POST is at."""
    rows = await work.fetch(_TAKE, limit, only)
    return [Due(**dict(row)) for row in rows]


async def sent(work: Work, wanted: Iterable[tuple[str, int]]) -> list[Any]:
    """Return the sealed rows of these versions, a row for each human."""
    pairs = list(wanted)
    return (
        await work.fetch(_SENT, [one for one, _ in pairs], [version for _, version in pairs]) if pairs else []
    )


async def earlier(work: Work, referrals: Sequence[str]) -> list[Any]:
    """Return whom earlier versions of these referrals were found to be about."""
    return await work.fetch(_EARLIER, list(referrals))


async def cases_of(work: Work, referrals: Sequence[str]) -> list[Any]:
    """Return the cases that earlier versions of these referrals joined or opened."""
    return await work.fetch(_CASES_OF, list(referrals))


async def lock_tags(work: Work, tags: Iterable[bytes]) -> None:
    """Take the advisory locks of blocking keys, in order, until the transaction ends.

    What follows must be a new statement: only that sees what the one that held the locks before has committed.
    """
    stripes = sorted({int.from_bytes(tag[:4]) % STRIPES for tag in tags})
    await work.execute(_LOCK, _BLOCKING, stripes)


async def meet(
    work: Work, tags: Mapping[bytes, int], suppressions: Iterable[bytes]
) -> tuple[dict[bytes, list[str]], set[bytes]]:
    """Return the people under each key, at most its bound and one more; and which of the suppressions there are.

    A suppression is of somebody who said no and is erased, or was never met.
    """
    ordered, others = list(tags), list(suppressions)
    rows = await work.fetch(_MEET, ordered, [tags[tag] for tag in ordered], others)
    under = {ordered[number - 1]: people for number, people in rows if people is not None}
    return under, {others[number - 1] for number, people in rows if people is None}


async def records(work: Work, people: Iterable[str]) -> list[Any]:
    """Return the sealed records of these people, the newest RECORDS of each, and whom each is linked with."""
    wanted = list(people)
    return await work.fetch(_RECORDS, wanted) if wanted else []


async def told_apart(work: Work, people: Iterable[str]) -> dict[tuple[str, str], float]:
    """Return what humans decided about these people: the evidence in bits at which two were told apart."""
    wanted = list(people)
    rows = await work.fetch(_APART, wanted) if wanted else []
    return {(row["person"], row["other"]): row["bits"] for row in rows}


async def incidents(work: Work, harmed: Iterable[str]) -> list[Any]:
    """Return the cases of these people, with their sealed incidents."""
    wanted = list(harmed)
    return await work.fetch(_INCIDENTS, wanted) if wanted else []


# ------------------------------------------------------------------------------------------------------------- results


@dataclass(slots=True)
class Result:
    """The rows of a batch's result; each list has one tuple a row, in the order of the columns below."""

    parties: list[tuple[Any, ...]]  # id, person, record_tag, record, safety, decided
    keys: set[tuple[bytes, str]]  # blocking: tag, person
    points: set[tuple[bytes, str]]  # contact points: tag, person
    speaks: set[tuple[str, str]]  # contact, party
    cases: list[tuple[Any, ...]]  # referral, position, case, harmed, version, facts, incident
    holds: list[tuple[Any, ...]]  # id, person, case, referral, reason, until
    lifted: list[tuple[str, str]]  # hold, reason
    reviews: list[tuple[Any, ...]]
    done: list[tuple[str, int]]  # referral, version
    moved: list[tuple[str, int]]  # referral, position: its case is under another position now
    set_by: str
    at: Any


_SAVE: Final = """
WITH placed AS (
  UPDATE party AS p SET person = n.person, record_tag = n.record_tag, record = n.record, safety = n.safety,
    decided = n.decided
  FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::json[], $6::json[])
    AS n(id, person, record_tag, record, safety, decided)
  WHERE p.id = n.id
), keyed AS (
  INSERT INTO blocking_key SELECT * FROM unnest($7::bytea[], $8::text[]) ON CONFLICT DO NOTHING
), pointed AS (
  INSERT INTO contact_point SELECT * FROM unnest($9::bytea[], $10::text[]) ON CONFLICT DO NOTHING
), spoken AS (
  INSERT INTO speaks_for SELECT * FROM unnest($11::text[], $12::text[]) ON CONFLICT DO NOTHING
), filed AS (
  INSERT INTO referral_case (referral, position, case_id, harmed, version, facts, incident)
  SELECT * FROM unnest($13::uuid[], $14::smallint[], $15::text[], $16::text[], $17::int[], $18::json[], $19::bytea[])
  ON CONFLICT (referral, position) DO UPDATE SET case_id = excluded.case_id, harmed = excluded.harmed,
    version = excluded.version, facts = excluded.facts, incident = excluded.incident
), finished AS (
  UPDATE referral SET status = 'matched'
  FROM unnest($20::uuid[]) AS d(id) WHERE referral.id = d.id AND referral.status IN ('received', 'lost')
)
DELETE FROM to_match WHERE referral = ANY($20::uuid[])
"""
_HOLDS: Final = """
INSERT INTO hold (id, person, case_id, referral, reason, until, set_by, set_at)
SELECT h.*, $7::json, $8 FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[]) AS h
ON CONFLICT (id) DO UPDATE SET lifted_at = NULL, lifted_by = NULL, lift_reason = NULL, reason = excluded.reason,
  until = excluded.until, set_at = excluded.set_at, version = hold.version + 1
"""
_LIFT: Final = """
UPDATE hold SET lifted_at = $3, lifted_by = $4::json, lift_reason = l.reason, version = version + 1
FROM unnest($1::text[], $2::text[]) AS l(id, reason) WHERE hold.id = l.id AND hold.lifted_at IS NULL
"""
_REVIEWS: Final = """
INSERT INTO match_review (id, person, candidates, case_id, candidate_cases, kind, reasons, sentence, score, evidence, ask,
                          model, hold, agency, referral, opened_at, others)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
HOLD_OF_REVIEW: Final = 12  # the hold's place in a row of the statement above
# A later version of the referral has answered the doubt, or put it anew: the older question is not asked any more.
_SUPERSEDE: Final = """
UPDATE match_review SET answer = 'superseded', decided_at = $2, version = version + 1
WHERE hold = ANY($1::text[]) AND answer IS NULL
"""
_RETIRE: Final = """
UPDATE party SET current = false FROM unnest($1::uuid[], $2::int[]) AS d(referral, version)
WHERE party.referral = d.referral AND party.version < d.version AND party.current
"""


async def save_results(connection: Connection, results: list[Result]) -> None:
    """Write a batch's result: one statement for what every referral has, others only where there is something."""
    for r in results:
        await connection.execute(
            _SAVE,
            *_columns(r.parties, 6),
            *_columns(sorted(r.keys), 2),
            *_columns(sorted(r.points), 2),
            *_columns(sorted(r.speaks), 2),
            *_columns(r.cases, 7),
            [referral for referral, _ in r.done],
        )
        later = [(referral, version) for referral, version in r.done if version > 1]
        if later:
            await connection.execute(_RETIRE, *_columns(later, 2))
        if r.moved:
            await connection.executemany(
                "DELETE FROM referral_case WHERE referral = $1 AND position = $2", r.moved
            )
        if r.holds:
            await connection.execute(_HOLDS, *_columns(r.holds, 6), r.set_by, r.at)
        if r.lifted:
            await connection.execute(_LIFT, *_columns(r.lifted, 2), r.at, r.set_by)
        closed = sorted({hold for hold, _ in r.lifted} | {review[HOLD_OF_REVIEW] for review in r.reviews})
        if closed:
            await connection.execute(_SUPERSEDE, closed, r.at)
        if r.reviews:
            await connection.executemany(_REVIEWS, r.reviews)


async def put_off(work: Work, referral: str) -> int:
    """Note that a referral could not be matched; it is due again later and later, and never given up."""
    return int(
        await work.fetchval(
            """UPDATE to_match SET attempts = attempts + 1,
                 due_at = clock_timestamp() + least(power(2, least(attempts, 12)), 3600) * interval '1 second'
               WHERE referral = $1 RETURNING attempts""",
            referral,
        )
        or 0
    )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def as_json(value: object) -> str:
    """Return a value as JSON text, for a json column."""
    return json.dumps(value)
