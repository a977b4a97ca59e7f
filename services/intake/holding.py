"""Holds set and lifted by people, and referrals taken back by the agency that posted them."""

from __future__ import annotations

from datetime import datetime

from services.intake import domain
from services.intake.core import CASE_FILE, PERSON
from services.intake.store import following
from services.intake.store import holds as store
from services.intake.store import people as details
from services.intake.store.arrivals import forget_unmatched, forget_whole
from services.intake.store.holds import HoldRow
from shared.runtime.errors import Conflict
from shared.runtime.http import check_version
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem, not_found
from shared.runtime.work import Work


async def hold_referral(work: Work, referral: str, reason: str, until: datetime | None) -> HoldRow:
    """Hold every case that a referral is about. Raises Problem 404 before it is matched or if there is none."""
    cases = await _cases(work, referral)
    if not cases:
        raise not_found("referral with a case")
    await work.lock(*((CASE_FILE, case) for case in cases))
    hold = new_id()
    for case in cases:
        events = domain.hold_referral(work.state(CASE_FILE, case), referral, hold, reason, until=until)
        work.record(CASE_FILE, case, *events)
    row = HoldRow(hold, None, cases[0], referral, reason, until, work.now, 1, None)
    await store.insert(work, row)
    return row


async def lift(work: Work, referral: str, hold: str, reason: str, version: int) -> HoldRow:
    """Lift a hold. Raises Problem: 404; 409 if a review of identity decides it; 412 if somebody was first."""
    row = await store.read(work, hold)
    if row is None or row.referral != referral:
        raise not_found("hold")
    check_version(version, row.version)
    if await work.fetchval("SELECT true FROM match_review WHERE hold = $1 AND answer IS NULL LIMIT 1", hold):
        detail = "Decide the match review: same, different, or ask the agency."
        raise Problem(409, "decide-review", "This hold is lifted by deciding a review.", detail=detail)
    cases = await _cases(work, referral)
    people = [row.person] if row.person else []
    await work.lock(*((PERSON, person) for person in people), *((CASE_FILE, case) for case in cases))
    await _lift(work, row, cases, reason)
    found = await store.read(work, hold)
    assert found is not None  # noqa: S101 - read above, in this transaction
    return found


async def _lift(work: Work, row: HoldRow, cases: list[str], reason: str) -> None:
    """Lift a hold of a person, or of cases. They are locked."""
    if row.person is not None:
        events = domain.lift_person(work.state(PERSON, row.person), row.id, reason)
        work.record(PERSON, row.person, *events)
    for case in cases:
        work.record(CASE_FILE, case, *domain.lift_referral(work.state(CASE_FILE, case), row.id, reason))
    await store.lift(work, row.id, reason)


async def retract(work: Work, referral: str, agency: str) -> str:
    """Take back a referral posted in error. The case goes on only if another referral supports it. Raises Problem 404.

    What the referral said of a person's safe contact counts no longer; who the people are stays known.
    """
    row = await work.fetchrow(
        "SELECT agency, status, version FROM referral WHERE id = $1 FOR UPDATE", referral
    )
    if row is None or row["agency"] not in await following.lineage(work, agency):
        raise not_found("referral")
    if row["status"] == "retracted":
        return referral
    parties = await work.fetch(
        "SELECT DISTINCT person FROM party WHERE referral = $1 AND person IS NOT NULL AND current", referral
    )
    people = [p["person"] for p in parties if "." not in p["person"]]
    cases = await _cases(work, referral)
    await work.lock(*((PERSON, person) for person in people), *((CASE_FILE, case) for case in cases))
    if await _cases(work, referral) != cases:
        raise Conflict("matched while being retracted")
    await work.execute(
        "UPDATE referral SET status = 'retracted', reason = 'posted_in_error' WHERE id = $1", referral
    )
    await work.execute("DELETE FROM to_match WHERE referral = $1", referral)
    await forget_unmatched(work, referral, row["version"] + 1)
    await forget_whole(work, referral)
    for case in cases:
        work.record(CASE_FILE, case, *domain.retract(work.state(CASE_FILE, case), referral))
    for person in people:
        await details.tell_safety(work, PERSON, person)
    # What only a later version of it could have answered: there will be none.
    for held in await store.of_referral(work, referral):
        if held.reason in domain.ANSWERABLE and held.person in (None, *people):
            await _lift(work, held, [] if held.person else cases, "retracted")
    return referral


async def _cases(work: Work, referral: str) -> list[str]:
    rows = await work.fetch(
        "SELECT DISTINCT case_id FROM referral_case WHERE referral = $1 ORDER BY case_id", referral
    )
    return [row["case_id"] for row in rows]
