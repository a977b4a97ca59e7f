"""Why records are one person, as rows: what was decided of each."""

from __future__ import annotations

from typing import Any, Final

from services.intake.store.second_person import OPEN
from shared.runtime.http import decode_cursor, encode_cursor
from shared.runtime.work import Work

# A later version's party stays who the earlier one's was: why that is so is at the first that was theirs.
_JOINS: Final = f"""
SELECT c.id::text AS record, c.referral::text AS referral, c.position, c.contact, c.role, r.agency,
  r.status = 'retracted' AS retracted, f.version, f.decided, v.received_at,
  o.referral::text AS like_referral, o.person AS like_person, t.agency AS like_agency,
  m.id::text AS review, m.answer, m.decided_at, m.decided_by, m.second,
  a.reason AS asked_for, a.agency AS asked_by_agency, a.worker AS asked_by, a.at AS asked_at
FROM party AS c JOIN referral AS r ON r.id = c.referral
CROSS JOIN LATERAL (SELECT version, decided FROM party AS f WHERE f.referral = c.referral AND f.position = c.position
                    AND f.contact = c.contact AND f.person = c.person ORDER BY f.version LIMIT 1) AS f
JOIN referral_version AS v ON v.referral = c.referral AND v.version = f.version
LEFT JOIN party AS o ON o.id = (f.decided ->> 'record')::uuid LEFT JOIN referral AS t ON t.id = o.referral
LEFT JOIN LATERAL (
  SELECT id, answer, decided_at, decided_by, second FROM match_review AS m
  WHERE m.person = c.person
    AND m.hold = concat(c.referral, ':', c.position, CASE WHEN c.contact THEN 'c' END, ':identity_doubtful')
  ORDER BY m.id DESC LIMIT 1) AS m ON true
LEFT JOIN second_person AS a ON a.person = c.person AND a.what = 'split' AND a.detail = c.id::text AND {OPEN}
WHERE c.person = $1 AND c.current AND c.key IS NOT NULL AND ($2::text IS NULL OR c.id::text > $2) ORDER BY c.id LIMIT $3
"""  # noqa: S608 - constants
# A reviewer's answer stands over what the machine had found.
_LINKS: Final = """
SELECT l.other, p.decided, m.id::text AS review, m.sentence, m.reasons, m.score, m.evidence, m.model, m.decided_at,
       m.decided_by, m.second
FROM unnest($2::text[]) AS l(other)
LEFT JOIN LATERAL (
  SELECT * FROM match_review AS m WHERE m.answer = 'same'
    AND (m.person = $1 AND m.decided_with = l.other OR m.person = l.other AND m.decided_with = $1)
  ORDER BY m.decided_at DESC LIMIT 1) AS m ON true
LEFT JOIN LATERAL (
  SELECT decided FROM party AS p WHERE (p.person = $1 AND p.decided ->> 'linked' = l.other
                                        OR p.person = l.other AND p.decided ->> 'linked' = $1)
  ORDER BY p.id DESC LIMIT 1) AS p ON true
ORDER BY l.other
"""


async def page(work: Work, person: str, cursor: str | None, limit: int) -> tuple[list[Any], str | None]:
    """Return the rows of a person's records, the oldest first, and the cursor of the next page."""
    after = decode_cursor(cursor, str)
    rows = await work.fetch(_JOINS, person, after[0] if after else None, limit)
    return rows, encode_cursor(rows[-1]["record"]) if len(rows) == limit else None


async def links(work: Work, person: str, others: list[str]) -> list[Any]:
    """Return why each of these is linked with the person."""
    return await work.fetch(_LINKS, person, others) if others else []
