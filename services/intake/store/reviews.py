"""Match reviews as rows: the queue, the most urgent first, and every opinion about each."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from services.intake.explaining import lines, of_others
from services.intake.matching import Decision
from services.intake.store.holds import actor_json
from services.intake.store.matching import as_json
from services.intake.store.reading import Pool
from shared.runtime.auth import Caller
from shared.runtime.http import decode_cursor, encode_cursor
from shared.runtime.work import Work

State = Literal["open", "asked", "second", "decided", "all"]
Act = Literal["decision", "second", "undo"]
_COLUMNS: Final = """m.id::text AS id, kind, person, candidates, case_id, candidate_cases, reasons, sentence, score,
  evidence, others, ask, model, hold, agency, referral::text AS referral, opened_at, version, answer, decided_with,
  decided_at, decided_by, asked_at, second, barred"""
_LEAD_DAYS: Final = 28  # a hearing so far ahead is as urgent as a review that is opened today
# Of the dates of the proceedings that the referral's clocks run to, the first that is still to come.
_DUE: Final = """LEFT JOIN LATERAL (
  SELECT e.value AS due, e.key AS due_for FROM referral_case AS c, json_each_text(c.facts -> 'deadlines') AS e
  WHERE c.referral = m.referral AND e.value::date >= $5::date ORDER BY e.value LIMIT 1) AS d ON true"""
_STATES: Final[dict[State, str]] = {
    "open": "answer IS NULL AND asked_at IS NULL",
    "asked": "answer IS NULL AND asked_at IS NOT NULL",
    "second": "second AND decided_by ->> 'worker' IS DISTINCT FROM $4::text",
    "decided": "answer IS NOT NULL",
    "all": "true",
}
_URGENCY: Final = (
    f"extract(epoch FROM least(opened_at, d.due::date - {_LEAD_DAYS} * interval '1 day'))::float8"
)
_NEWEST: Final = "-extract(epoch FROM decided_at)::float8"


def body_of(row: Any, caller: Caller) -> dict[str, Any]:  # noqa: ANN401 - a record
    """Return a review as a hub sees it: evidence before score, no details.

    While a second opinion is wanted, only who decided sees the first: a second reviewer who knew it would not be one.
    """
    fields = dict(row)
    fields.pop("rank", None)
    decided_by = msgspec.json.decode(fields.pop("decided_by") or "{}")
    for moment in ("opened_at", "decided_at", "asked_at"):
        fields[moment] = fields[moment].isoformat() if fields[moment] else None
    fields["decided_by"] = decided_by.get("worker")
    fields["evidence"] = msgspec.json.decode(fields["evidence"])
    fields["others"] = msgspec.json.decode(fields["others"])
    fields["may_decide"] = caller.worker not in fields.pop("barred")
    fields["blind"] = bool(fields["second"]) and caller.worker != decided_by.get("worker")
    if fields["blind"]:
        fields |= {"answer": None, "decided_with": None, "decided_at": None, "decided_by": None}
    return fields


async def page(
    pool: Pool, caller: Caller, state: State, kind: str | None, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of the queue and the cursor of the next one. What is decided comes newest first."""
    after = decode_cursor(cursor, float, str)
    rank = _NEWEST if state == "decided" else _URGENCY
    rows = await pool.fetch(
        f"""WITH ranked AS (SELECT {_COLUMNS}, d.due, d.due_for, {rank} AS rank FROM match_review AS m {_DUE}
              WHERE {_STATES[state]} AND ($1::text IS NULL OR kind = $1) AND ($4::text IS NULL OR true))
            SELECT * FROM ranked WHERE $2::float8 IS NULL OR (rank, id) > ($2, $3::text) ORDER BY rank, id LIMIT $6""",  # noqa: S608 - constants
        kind,
        after[0] if after else None,
        after[1] if after else None,
        caller.worker,
        await pool.fetchval(
            "SELECT ((clock_timestamp() + shift) AT TIME ZONE 'Europe/London')::date FROM clock"
        ),
        limit,
    )
    following = encode_cursor(rows[-1]["rank"], rows[-1]["id"]) if len(rows) == limit else None
    return [body_of(row, caller) for row in rows], following


async def read(work: Work, review: str, *, lock: bool = False) -> Any:  # noqa: ANN401 - a record
    """Return one review's row, None if there is no such one."""
    query = f"SELECT {_COLUMNS} FROM match_review AS m WHERE m.id = $1"  # noqa: S608 - constants
    return await work.fetchrow(query + (" FOR UPDATE" if lock else ""), review)


async def note(
    work: Work,
    row: Any,  # noqa: ANN401 - a record
    act: Act,
    answer: str,
    chosen: str | None,
    reason: str,
) -> None:
    """Keep an opinion, for ever."""
    await work.execute(
        """INSERT INTO review_opinion (review, act, answer, chosen, reason, agency, worker, model, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        row["id"], act, answer, chosen, reason, work.actor.agency, work.actor.worker, row["model"], work.now,
    )  # fmt: skip


async def ask_no_more(work: Work, people: list[str]) -> None:
    """Close what is asked about these people, and what a second person was to look at: nothing of them can be read."""
    await work.execute(
        """UPDATE match_review SET version = version + 1, answer = coalesce(answer, 'superseded'),
             decided_at = coalesce(decided_at, $2), second = false
           WHERE person = ANY($1::text[]) AND (answer IS NULL OR second)""",
        people, work.now,
    )  # fmt: skip


async def close(work: Work, row: Any, answer: str, chosen: str | None, *, second: bool) -> int:  # noqa: ANN401 - a record
    """Mark a review as decided; returns its new version."""
    version: int = await work.fetchval(
        """UPDATE match_review SET version = version + 1, answer = $2, decided_with = $3, decided_by = $4, decided_at = $5,
             second = $6 WHERE id = $1 RETURNING version""",
        row["id"], answer, chosen, actor_json(work), work.now, second,
    )  # fmt: skip
    return version


async def ask(work: Work, row: Any) -> int:  # noqa: ANN401 - a record
    """Mark a review as waiting for the agency; returns its new version."""
    version: int = await work.fetchval(
        "UPDATE match_review SET version = version + 1, asked_at = $2 WHERE id = $1 RETURNING version",
        row["id"],
        work.now,
    )
    return version


async def reopen(work: Work, row: Any, case: str | None, barred: list[str]) -> int:  # noqa: ANN401 - a record
    """Put a review back into the queue; returns its new version."""
    version: int = await work.fetchval(
        """UPDATE match_review SET version = version + 1, answer = NULL, decided_with = NULL, decided_by = NULL,
             decided_at = NULL, asked_at = NULL, second = false, case_id = $2, barred = $3
           WHERE id = $1 RETURNING version""",
        row["id"],
        case,
        barred,
    )
    return version


async def seconded(work: Work, row: Any) -> int:  # noqa: ANN401 - a record
    """Note that the second opinion has been given; returns the new version."""
    query = "UPDATE match_review SET version = version + 1, second = false WHERE id = $1 RETURNING version"
    version: int = await work.fetchval(query, row["id"])
    return version


async def deciders(work: Work, review: str) -> list[str]:
    """Return who has given an opinion on a review."""
    rows = await work.fetch(
        "SELECT DISTINCT worker FROM review_opinion WHERE review = $1 AND worker IS NOT NULL", review
    )
    return sorted(row["worker"] for row in rows)


_PAIRS: Final = """
SELECT d.answer AS one,
  CASE WHEN s.answer = d.answer AND s.chosen IS DISTINCT FROM d.chosen THEN 'another_person' ELSE s.answer END AS other
FROM review_opinion AS s CROSS JOIN LATERAL (
  SELECT answer, chosen FROM review_opinion AS d WHERE d.review = s.review AND d.act = 'decision' AND d.id < s.id
  ORDER BY d.id DESC LIMIT 1) AS d
WHERE s.act = 'second'
"""
_COUNTS: Final = """
SELECT count(*) FILTER (WHERE answer IS NULL AND asked_at IS NULL) AS open,
  count(*) FILTER (WHERE answer IS NULL AND asked_at IS NOT NULL) AS asked,
  count(*) FILTER (WHERE second AND decided_by ->> 'worker' IS DISTINCT FROM $1) AS second,
  count(*) FILTER (WHERE answer IN ('same', 'different')) AS decided,
  min(opened_at) FILTER (WHERE answer IS NULL AND asked_at IS NULL) AS oldest,
  (SELECT count(DISTINCT referral) FROM hold WHERE reason = 'identity_incomplete' AND lifted_at IS NULL) AS incomplete,
  (SELECT count(*) FROM review_opinion WHERE act = 'undo') AS undone
FROM match_review
"""


async def pairs(pool: Pool) -> list[tuple[str, str]]:
    """Return first and second opinions, of all reviews that have both."""
    return [(row["one"], row["other"]) for row in await pool.fetch(_PAIRS)]


async def counts(pool: Pool, caller: Caller) -> dict[str, Any]:
    """Return how many wait for what."""
    row = await pool.fetchrow(_COUNTS, caller.worker)
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY gives one row
    return dict(row) | {"oldest": row["oldest"].isoformat() if row["oldest"] else None}


async def incomplete(pool: Pool, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the referrals that wait for an agency to say more about who somebody is, the oldest first."""
    rows = await pool.fetch(
        """SELECT h.id AS hold, h.referral::text AS referral, r.agency, h.set_at
           FROM hold AS h JOIN referral AS r ON r.id = h.referral
           WHERE h.reason = 'identity_incomplete' AND h.lifted_at IS NULL AND h.person IS NOT NULL
             AND ($1::text IS NULL OR (h.set_at, h.id) > (SELECT set_at, id FROM hold WHERE id = $1))
           ORDER BY h.set_at, h.id LIMIT $2""",
        after,
        limit,
    )
    return [dict(row) | {"set_at": row["set_at"].isoformat()} for row in rows]


# ------------------------------------------------------------------------------------- opened when the store is rescored


async def open_identity(
    work: Work,
    review: str,
    person: str,
    hold: str,
    agency: str,
    referral: str,
    decision: Decision,
) -> None:
    """Put a person into the queue."""
    await work.execute(
        """INSERT INTO match_review (id, person, candidates, kind, reasons, sentence, score, evidence, model, hold, agency,
             referral, opened_at, others) VALUES ($1, $2, $3, 'identity', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
        review, person, list(decision.people), list(decision.reasons), decision.sentence, decision.score,
        as_json(lines(decision.evidence)), decision.model, hold, agency, referral, work.now, as_json(of_others(decision)),
    )  # fmt: skip


async def weigh_again(work: Work, review: str, decision: Decision) -> None:
    """Show other weights' evidence in an open review."""
    await work.execute(
        """UPDATE match_review SET candidates = $2, reasons = $3, sentence = $4, score = $5, evidence = $6, model = $7,
             others = $8, version = version + 1 WHERE id = $1""",
        review, list(decision.people), list(decision.reasons), decision.sentence, decision.score,
        as_json(lines(decision.evidence)), decision.model, as_json(of_others(decision)),
    )  # fmt: skip
