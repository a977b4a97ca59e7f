"""Withdrawals on their way to consent, whom they may mean, and the "no" of people not known yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.work import Work

RECORDED, IN_FORCE, NEEDS_PERSON = "recorded", "in_force", "needs_person"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One withdrawal as stored. `person` is None while it is not clear, or not known, who it is."""

    id: str
    state: str
    scope: str
    case_id: str | None
    by_whom: str
    agency: str
    person: str | None
    in_flight: tuple[dict[str, Any], ...]
    recorded_at: datetime
    in_force_at: datetime | None

    def body(self) -> dict[str, Any]:
        """Return what may be told of it: its state, and when."""
        answer: dict[str, Any] = {
            "withdrawal": self.id,
            "state": self.state,
            "scope": self.scope,
            "recorded_at": self.recorded_at.isoformat(),
        }
        if self.state == IN_FORCE:
            answer["outcome"] = "in_flight" if self.in_flight else "clean"
            answer["in_flight"] = list(self.in_flight)
            answer["in_force_at"] = self.in_force_at.isoformat() if self.in_force_at else None
        return answer


_COLUMNS: Final = (
    "id::text AS id, state, scope, case_id, by_whom, agency, person, in_flight, recorded_at, in_force_at"
)


# With what had been handed out of them, and could be used, when it was stored: since then no more was.
_BOUND: Final = f"""
SELECT {_COLUMNS}, b.people AS bound,
  (SELECT json_agg(json_build_object('permit', r.permit, 'channel', r.redeemed ->> 'channel',
                                     'use_by', r.redeemed ->> 'use_by') ORDER BY r.permit)
   FROM release AS r WHERE (r.person = ANY(b.people) OR r.party = ANY(b.people)) AND r.state = 'handed_out'
     AND (r.redeemed ->> 'use_by')::timestamptz > w.recorded_at
     AND (w.scope = 'everything' OR r.case_id = w.case_id OR r.redeemed ->> 'purpose' = 'approach')) AS handed_out
FROM withdrawal AS w CROSS JOIN LATERAL (
  SELECT ARRAY(SELECT c.person FROM withdrawal_candidate AS c WHERE c.withdrawal = w.id ORDER BY c.person)) AS b(people)
WHERE id = $1
"""  # noqa: S608 - constants
# Whom it means comes with it: a withdrawal without candidates would bar nobody.
_RECORD: Final = """
WITH recorded AS (
  INSERT INTO withdrawal (id, state, scope, case_id, via, by_whom, agency, worker, person, key, sealed, recorded_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  RETURNING id, case_id
)
INSERT INTO withdrawal_candidate (withdrawal, person, case_id)
SELECT r.id, person, r.case_id FROM recorded AS r CROSS JOIN unnest($13::text[]) AS person
"""
_IN_FORCE: Final = f"""
UPDATE withdrawal SET state = 'in_force', in_flight = $2::json,
  in_force_at = (SELECT clock_timestamp() + shift FROM clock)
WHERE id = $1 AND state = 'recorded' RETURNING {_COLUMNS}
"""  # noqa: S608 - constants


def _of(row: Any) -> Withdrawal:  # noqa: ANN401 - a record
    fields = dict(row)
    return Withdrawal(**fields | {"in_flight": tuple(msgspec.json.decode(fields["in_flight"]))})


async def read(at: Work | UnitOfWork, withdrawal: str) -> Withdrawal | None:
    """Return a withdrawal, None if there is no such one."""
    row = await at.fetchrow(f"SELECT {_COLUMNS} FROM withdrawal WHERE id = $1", withdrawal)  # noqa: S608 - constants
    return _of(row) if row else None


@dataclass(frozen=True, slots=True)
class Bound:
    """A withdrawal with everybody whom it means: who it was known to be, under all their ids, when it was stored.

    `handed_out`: the releases of theirs that could be used then, as {permit, channel, use_by}.
    """

    withdrawal: Withdrawal
    people: list[str]
    handed_out: list[dict[str, str]]


async def read_bound(at: Work | UnitOfWork, withdrawal: str) -> Bound | None:
    """Return a withdrawal with whom it means and what was handed out of them."""
    row = await at.fetchrow(_BOUND, withdrawal)
    if row is None:
        return None
    *columns, (_, people), (_, handed_out) = row.items()
    return Bound(_of(columns), people, msgspec.json.decode(handed_out or "[]"))


async def due(work: Work, limit: int = 100) -> list[Withdrawal]:
    """Return the withdrawals that consent has yet to answer, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM withdrawal WHERE state = 'recorded' AND person IS NOT NULL ORDER BY id LIMIT $1"  # noqa: S608 - constants
    return [_of(row) for row in await work.fetch(query, limit)]


async def record(
    work: Work,
    withdrawal: Withdrawal,
    candidates: Iterable[str],
    *,
    via: str,
    worker: str | None,
    sealed: tuple[bytes, bytes] | None = None,
) -> None:
    """Store a withdrawal. From the commit on, no release of any candidate gets through.

    `via` says by what it came: person, case, reference, identifiers or link; `sealed` is (wrapped key, details).
    """
    await work.execute(
        _RECORD,
        withdrawal.id, withdrawal.state, withdrawal.scope, withdrawal.case_id, via, withdrawal.by_whom, withdrawal.agency,
        worker, withdrawal.person, *(sealed or (None, None)), withdrawal.recorded_at, sorted(set(candidates)),
    )  # fmt: skip


async def unclear(work: Work) -> Sequence[Any]:
    """Return the withdrawals of which a person must say whom they mean, the oldest first, with their sealed details."""
    return await work.fetch(
        """SELECT w.id::text AS id, w.agency, w.recorded_at, w.scope, w.case_id, w.key, w.sealed,
             ARRAY(SELECT c.person FROM withdrawal_candidate AS c WHERE c.withdrawal = w.id ORDER BY c.person) AS candidates
           FROM withdrawal AS w WHERE w.state = $1 ORDER BY w.id LIMIT 200""",
        NEEDS_PERSON,
    )


async def suppress(work: Work, tags: Iterable[bytes], source: str, reason: str) -> None:
    """Keep keyed hashes that a later referral meets."""
    await work.execute(
        """INSERT INTO suppression (tag, source, since, reason) SELECT tag, $2, $3, $4 FROM unnest($1::bytea[]) AS tag
           ON CONFLICT DO NOTHING""",
        sorted(set(tags)),
        source,
        work.now,
        reason,
    )


async def in_force(
    at: Work | UnitOfWork, withdrawal: str, in_flight: Sequence[dict[str, Any]]
) -> Withdrawal | None:
    """Consent has answered. Returns the withdrawal as it is now, whether by this answer or by one before it."""
    row = await at.fetchrow(_IN_FORCE, withdrawal, msgspec.json.encode(list(in_flight)).decode())
    return _of(row) if row else await read(at, withdrawal)


async def harmed_of_case(work: Work, case: str) -> str | None:
    """Return the harmed person of a case."""
    person: str | None = await work.fetchval(
        "SELECT harmed FROM referral_case WHERE case_id = $1 LIMIT 1", case
    )
    return person


async def responsible_in(work: Work, cases: Sequence[str]) -> set[str]:
    """Return who is responsible, and somebody in particular, in these cases."""
    rows = await work.fetch(
        """SELECT DISTINCT f ->> 'person' AS person FROM referral_case AS c JOIN referral AS r ON r.id = c.referral,
             json_array_elements(c.facts -> 'parties') AS f
           WHERE c.case_id = ANY($1::text[]) AND r.status <> 'retracted' AND f ->> 'role' IN ('responsible', 'both')
             AND position('.' IN f ->> 'person') = 0""",
        list(cases),
    )
    return {row["person"] for row in rows}


async def cases_of_referral(work: Work, agency: str, reference_tag: bytes) -> list[tuple[str, str]]:
    """Return (case, harmed person) of an agency's own referral."""
    rows = await work.fetch(
        """SELECT c.case_id, c.harmed FROM referral AS r JOIN referral_case AS c ON c.referral = r.id
           WHERE r.agency = $1 AND r.reference_tag = $2 ORDER BY c.position""",
        agency,
        reference_tag,
    )
    return [(row["case_id"], row["harmed"]) for row in rows]


async def is_waiting(work: Work, agency: str, reference_tag: bytes) -> bool:
    """Say whether it is still to be worked out who a referral of an agency is about."""
    query = "SELECT true FROM referral WHERE agency = $1 AND reference_tag = $2 AND status = 'received'"
    return bool(await work.fetchval(query, agency, reference_tag))


async def is_party(work: Work, person: str, case: str) -> bool:
    """Say whether a person is a party, or speaks for one, of a case."""
    return bool(
        await work.fetchval(
            """SELECT true FROM referral_case AS c, json_array_elements(c.facts -> 'parties') AS f
               WHERE c.case_id = $2 AND (f ->> 'person' = $1 OR (f -> 'contact_persons')::jsonb ? $1) LIMIT 1""",
            person,
            case,
        )
    )


# The referrals that a case ever had, whatever has become of them.
_REFERRALS: Final = """
FROM stream AS s CROSS JOIN LATERAL jsonb_object_keys(s.state::jsonb -> 'referrals') AS r(id)
"""
_WENT_ON: Final = f"""
SELECT DISTINCT c.case_id, c.harmed {_REFERRALS} JOIN referral_case AS c ON c.referral = r.id::uuid
WHERE s.kind = 'case_file' AND s.key = $1 ORDER BY c.case_id
"""
_WAS_PARTY: Final = f"""
SELECT true {_REFERRALS} JOIN party AS p ON p.referral = r.id::uuid
WHERE s.kind = 'case_file' AND s.key = $1 AND p.person = $2 LIMIT 1
"""


async def went_on(work: Work, case: str) -> list[tuple[str, str]]:
    """Return as which cases the referrals of this one go on, each with who was harmed."""
    return [(row["case_id"], row["harmed"]) for row in await work.fetch(_WENT_ON, case)]


async def was_party(work: Work, person: str, case: str) -> bool:
    """Say whether any version of a referral that this case ever had was about this person."""
    return bool(await work.fetchval(_WAS_PARTY, case, person))
