"""What intake answers about a referral, and the record of who read what."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final, TypeAlias

import asyncpg

from shared.contracts.sharing import agreements
from shared.runtime.work import Work

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# What its agency alone can answer is always told. What else is told is for the sharing agreement to say; and never the
# reasons that would tell of other agencies, or of a person's "no".
_ASKED: Final = frozenset({"identity_incomplete", "agreement_to_share_missing", "details_lost"})
_TOLD: Final = _ASKED | {"incident_doubtful", "unsafe_contact", "contact_person_unsafe"}
_STATUS: Final = """
SELECT r.id::text AS referral, r.agency, r.version, r.status, r.reason, r.received_at,
  (SELECT json_agg(json_build_object('case', c.case_id, 'status', coalesce(s.status, 'matched'), 'reason', s.reason,
      'until', s.until) ORDER BY c.position)
   FROM referral_case AS c LEFT JOIN case_status AS s USING (case_id) WHERE c.referral = r.id) AS cases,
  (SELECT json_agg(json_build_object('hold', h.id, 'reason', h.reason, 'until', h.until, 'since', h.set_at)
                   ORDER BY h.set_at)
   FROM hold AS h WHERE h.referral = r.id AND h.lifted_at IS NULL) AS holds,
  (SELECT c.facts ->> 'sharing_agreement' FROM referral_case AS c WHERE c.referral = r.id LIMIT 1) AS agreement,
  (SELECT (clock_timestamp() + shift)::date FROM clock) AS day,
  (SELECT v.warnings FROM referral_version AS v WHERE v.referral = r.id AND v.version = r.version) AS warnings
FROM referral AS r WHERE r.id = $1
"""
# The worse of several cases is what the referral as a whole is.
_ORDER: Final = ("received", "closed", "refused", "allocated", "proposed", "matched")


def as_uuid(text: str) -> str | None:
    """Return the text if it is a UUID, else None: an id that cannot exist is one that does not."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


async def status_of(pool: Pool, referral: str | None) -> dict[str, Any] | None:
    """Return what became of a referral, None if there is no such one."""
    row = await pool.fetchrow(_STATUS, referral) if referral else None
    if row is None:
        return None
    cases = json.loads(row["cases"]) if row["cases"] else []
    holds = json.loads(row["holds"]) if row["holds"] else []
    agreement = agreements().get(row["agreement"] or "")
    allowed = agreement.referrer_status if agreement and agreement.covers(row["agency"], row["day"]) else ()
    for hold in holds:
        if hold["reason"] not in (_TOLD if "hold_reason" in allowed else _ASKED):
            hold["reason"] = "under_review"
    for case in cases:
        if "case_reason" not in allowed:
            case["reason"] = None
    status = row["status"]
    if status == "matched" and cases:
        status = max((case["status"] for case in cases), key=lambda s: _ORDER.index(s) if s in _ORDER else 0)
    if holds and status != "retracted":
        status = "on_hold"
    return {
        "referral": row["referral"],
        "agency": row["agency"],
        "version": row["version"],
        "status": status,
        "reason": row["reason"],
        "received_at": row["received_at"].isoformat(),
        "cases": cases,
        "holds": holds,
        "warnings": json.loads(row["warnings"]) if row["warnings"] else [],
    }


async def note_read(
    work: Work,
    agency: str,
    worker: str | None,
    what: str,
    person: str | None = None,
    referral: str | None = None,
    permit: str | None = None,
) -> None:
    """Record who read what. Part of reading: without the row there is no answer."""
    await work.execute(
        "INSERT INTO read_log (agency, worker, what, person, referral, permit) VALUES ($1, $2, $3, $4, $5, $6)",
        agency, worker, what, person, referral, permit,
    )  # fmt: skip
