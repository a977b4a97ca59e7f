"""A hold for a "no" that was kept, and that a human has lifted, is not set again by what they had before them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.intake.crypto import Keyring
from services.intake.recognising.load import Someone
from services.intake.recognising.people import Crowd
from services.intake.suppressions import suppression_texts
from shared.runtime.work import Work

# The holds of these people's records are found by their names: there is no index of holds that are over. One that went to
# another id with its record was lifted by nobody.
_DECIDED: Final = """
WITH own AS (
  SELECT DISTINCT referral::text || ':' || position || CASE WHEN contact THEN 'c' ELSE '' END || ':suppressed' AS id
  FROM party WHERE person = ANY($1::text[])
), decided AS (
  SELECT max(lifted_at) AS at, bool_or(lifted_at IS NULL) AS stands FROM hold JOIN own USING (id)
  WHERE person = ANY($1::text[]) AND lift_reason IS DISTINCT FROM 'parted'
)
SELECT true FROM decided WHERE at IS NOT NULL AND NOT stands
  AND NOT EXISTS (SELECT FROM suppression WHERE tag = ANY($2::bytea[]) AND since > decided.at)
"""


async def forget_decided(work: Work, keyring: Keyring, crowd: Crowd, people: Iterable[Someone]) -> None:
    """Let nobody be held for a suppression that a human has weighed: neither it nor what meets it has come since."""
    for one in people:
        if not (one.suppressed and one.known):
            continue
        before = {
            keyring.tag("suppression", text)
            for record in crowd.known_before(one)
            for text in suppression_texts(record)
        }
        if one.met_suppressions <= before:
            group = sorted(crowd.members(one.person))
            one.suppressed = not await work.fetchval(_DECIDED, group, sorted(one.met_suppressions))
