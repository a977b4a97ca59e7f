"""What commissioners measure, each number with its definition beside it. Counted from rows that the events wrote.

Source of the list: national-guidance 3.7. A target must never reward pressing people to take part: nothing here counts
attempts, and a person who declined counts as offered like one who agreed.
"""

# ruff: noqa: S608 - the queries are put together from constants of this file; what a caller sends is an argument
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

# Every query: $1 areas or NULL, $2 and $3 the period [from, until). A fact belongs to the period in which it happened.
_FACTS = """
FROM case_fact AS f JOIN case_row AS c USING (case_id)
WHERE ($1::text[] IS NULL OR c.area = ANY($1)) AND f.at >= $2 AND f.at < $3 AND f.fact
"""
_RECEIVED = """
FROM case_row AS c WHERE ($1::text[] IS NULL OR c.area = ANY($1)) AND c.received_at >= $2 AND c.received_at < $3
  AND c.reason IS DISTINCT FROM 'joined'
"""
_INTERVENED = """
EXISTS (SELECT 1 FROM case_fact AS o WHERE o.case_id = c.case_id AND o.fact = 'outcome' AND o.value <> 'none')
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure, or one for each group (`by`). The query gives rows of a group and a value."""

    name: str
    definition: str
    query: str
    by: str | None = None


MEASURES = (
    Measure(
        "referrals",
        "Referrals that reached a case in the period, by the agency that referred; a later version is no new referral, and "
        "one about several harmed persons counts once for the case of each.",
        f"SELECT f.agency, count(*) {_FACTS} = 'referral' GROUP BY 1 ORDER BY 1",
        "agency",
    ),
    Measure(
        "cases_received",
        "Cases first heard of in the period; what turned out to be one case counts once.",
        f"SELECT NULL, count(*) {_RECEIVED}",
    ),
    Measure(
        "cases_allocated",
        "Cases for which a lead was first told in the period.",
        f"SELECT NULL, count(DISTINCT f.case_id) {_FACTS} = 'allocated'",
    ),
    Measure(
        "victims_offered",
        "Harmed persons who were spoken to in the period about taking part, whatever they answered; a person in two cases "
        "counts once for each.",
        f"SELECT NULL, count(DISTINCT (f.case_id, split_part(f.key, ':', 1))) {_FACTS} = 'harmed_reached'",
    ),
    Measure(
        "victims_answers",
        "Answers of harmed persons in the period: agreed, not now, declined; each answer of a person counts once in a case.",
        f"SELECT f.value, count(*) {_FACTS} = 'harmed_reached' GROUP BY 1 ORDER BY 1",
        "answer",
    ),
    Measure(
        "completed_cases",
        "Cases with an outcome of a restorative form (conference, community conference, indirect) recorded in the period.",
        f"SELECT NULL, count(DISTINCT f.case_id) {_FACTS} = 'outcome' AND f.value <> 'none'",
    ),
    Measure(
        "outcomes",
        "Outcomes recorded in the period, by form.",
        f"SELECT f.value, count(*) {_FACTS} = 'outcome' GROUP BY 1 ORDER BY 1",
        "form",
    ),
    Measure(
        "conversion_percent",
        "Of the cases received in the period, the share with a restorative outcome by now, in per cent.",
        f"SELECT NULL, round(100.0 * count(*) FILTER (WHERE {_INTERVENED}) / nullif(count(*), 0), 1) {_RECEIVED}",
    ),
    Measure(
        "days_to_first_contact",
        "Median days from the receipt of a case to the first attempt to contact anybody in it, of those in the period.",
        "SELECT NULL, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - c.received_at)) / 86400)"
        f"::numeric, 2) {_FACTS} = 'contact'",
    ),
    Measure(
        "days_to_allocation",
        "Median days from the receipt of a case to its first lead, of cases allocated in the period.",
        "SELECT NULL, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - c.received_at)) / 86400)"
        f"::numeric, 2) {_FACTS} = 'allocated'",
    ),
    Measure(
        "not_proceeding",
        "Cases closed in the period without a restorative outcome, by reason.",
        "SELECT c.reason, count(*) FROM case_row AS c WHERE ($1::text[] IS NULL OR c.area = ANY($1)) AND c.closed_at >= $2 "
        f"AND c.closed_at < $3 AND c.reason <> 'joined' AND NOT {_INTERVENED} GROUP BY 1 ORDER BY 1",
        "reason",
    ),
    Measure(
        "agreements_made",
        "Outcome agreements recorded in the period, by what was agreed (apology, reparation, rehabilitation).",
        f"SELECT f.value, count(*) {_FACTS} = 'agreement' GROUP BY 1 ORDER BY 1",
        "kinds",
    ),
    Measure(
        "agreements_fulfilled",
        "Outcomes recorded in the period that say whether the agreement was fulfilled.",
        f"SELECT f.value, count(*) {_FACTS} = 'fulfilled' GROUP BY 1 ORDER BY 1",
        "fulfilled",
    ),
    Measure(
        "victims_satisfied",
        "Harmed persons' own word in outcomes recorded in the period; those who were not asked are not counted.",
        f"SELECT f.value, count(*) {_FACTS} = 'satisfied' GROUP BY 1 ORDER BY 1",
        "satisfied",
    ),
    Measure(
        "feedback",
        "What responsible people, supporters and staff said in outcomes recorded in the period, each time.",
        f"SELECT f.value, count(*) {_FACTS} = 'feedback' GROUP BY 1 ORDER BY 1",
        "said",
    ),
    Measure(
        "near_the_clock",
        "Open cases received in the period whose next statutory or court date has passed.",
        f"SELECT NULL, count(*) {_RECEIVED} AND c.closed_at IS NULL AND c.due < "
        "(SELECT clock_timestamp() + shift FROM clock)",
    ),
)


async def measure(
    pool: asyncpg.Pool[asyncpg.Record], areas: Sequence[str] | None, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Return every measure for some areas (None: all) and a period."""
    found = []
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for one in MEASURES:
            rows = await connection.fetch(one.query, areas, since, until)
            entry: dict[str, Any] = {"measure": one.name, "definition": one.definition}
            if one.by is None:
                value = rows[0][1]
                entry["value"] = (
                    None
                    if value is None
                    else float(value)
                    if one.name.startswith(("days", "conv"))
                    else int(value)
                )
            else:
                entry |= {"by": one.by, "values": {row[0] or "unspecified": int(row[1]) for row in rows}}
            found.append(entry)
    return found
