"""Decisions about who is who undone: the record is in doubt again, on hold, and back in the queue. And second opinions.

Undoing is always safe: it takes permission away, and gives none. So one reviewer does it alone, where undoing a link for
good, which says that there are two people, takes two.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.intake import domain, unjoining
from services.intake.core import CASE_FILE, PERSON
from services.intake.reviewing import Decided, lift_asked, lock
from services.intake.store import holds as hold_store
from services.intake.store import reviews
from shared.contracts.referrals import ReferralFacts
from shared.runtime.errors import Conflict
from shared.runtime.http import check_version
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.work import Work

_HOLD_REASON: Final = {"identity": "identity_doubtful", "incident": "incident_doubtful"}
_ERASED: Final = """
SELECT true FROM stream WHERE kind = 'person' AND key = $1 AND coalesce(state ->> 'erased', 'false') = 'true'
"""
_OF_REFERRAL: Final = """
SELECT c.referral::text AS referral, c.position, c.case_id, c.facts FROM referral_case AS c
WHERE c.referral = $1 AND c.case_id = $2
"""


async def undo(work: Work, review: str, version: int, reason: str) -> int:
    """Undo a review's decision. Returns its new version. Raises Problem 404, 409 or 412."""
    row = await _decided(work, review, version)
    return await _reopen(work, row, reason, [])


async def _decided(work: Work, review: str, version: int) -> Any:  # noqa: ANN401 - a record
    row = await reviews.read(work, review)
    if row is None:
        raise not_found("review")
    check_version(version, row["version"])
    if row["answer"] is None and row["asked_at"] is None:
        raise Problem(409, "not-decided", "This review has not been decided.")
    if row["answer"] == "superseded":
        detail = "A later version of the referral has answered it, or what was held is destroyed."
        raise Problem(409, "superseded", "This review was not decided by anybody.", detail=detail)
    if await work.fetchval(_ERASED, row["person"]):
        detail = "What was held about this person is destroyed: there is nothing to compare any more."
        raise Problem(409, "erased", "This decision stands.", detail=detail)
    return row


async def second(work: Work, decided: Decided) -> tuple[bool, int]:
    """Give a second opinion on a decision; returns whether the two agree, and the review's new version.

    Two that differ, one saying same and the other not, are a doubt: the decision is undone, and a third person decides.
    Raises Problem 404, 409, 412, or 422 for whoever decided first.
    """
    row = await _decided(work, decided.review, decided.version)
    if not row["second"]:
        raise Problem(409, "no-second", "No second opinion is wanted on this review.")
    before = await reviews.deciders(work, row["id"])
    if work.actor.worker is None or work.actor.worker in before:
        remedy = "Leave the second opinion to another worker, whose token names them."
        raise invalid([FieldError("worker", "not a second person", remedy)])
    chosen = None
    if decided.answer == "same":
        chosen = decided.chosen or (row["candidates"][0] if len(row["candidates"]) == 1 else None)
        if chosen not in row["candidates"]:
            raise invalid([FieldError("with", "not one of the candidates", "Say which of them is the same.")])
    agree = (decided.answer, chosen) == (row["answer"], row["decided_with"])
    if agree or decided.answer == "cannot_tell":
        await lock(work, row)
        await reviews.note(work, row, "second", decided.answer, chosen, decided.reason)
        return agree, await reviews.seconded(work, row)
    version = await _reopen(work, row, "reviewers_differ", [*before, work.actor.worker], decided, chosen)
    return False, version


async def _reopen(
    work: Work,
    row: Any,  # noqa: ANN401 - a record
    reason: str,
    barred: list[str],
    opinion: Decided | None = None,
    chosen: str | None = None,
) -> int:
    case = await (_incident if row["kind"] == "incident" else _identity)(work, row, reason)
    if opinion is not None:
        await reviews.note(work, row, "second", opinion.answer, chosen, opinion.reason)
    await reviews.note(work, row, "undo", row["answer"] or "cannot_tell", row["decided_with"], reason)
    return await reviews.reopen(work, row, case, sorted({*row["barred"], *barred}))


async def _identity(work: Work, row: Any, reason: str) -> str | None:  # noqa: ANN401 - a record
    person, other = row["person"], row["decided_with"] if row["answer"] == "same" else None
    held_case = await work.fetchval("SELECT case_id FROM hold WHERE id = $1", row["hold"])
    fresh: dict[str, str] = {}
    moving = await unjoining.look(work, person, other, fresh) if other else unjoining.Moving()
    files = [(CASE_FILE, held_case)] if held_case else []
    await lock(work, row, (PERSON, person), *([(PERSON, other)] if other else []), *files, *moving.keys())
    if other:
        if await unjoining.look(work, person, other, fresh) != moving:
            raise Conflict("linked, unlinked or matched while being undone")
        for side, of in ((person, other), (other, person)):
            work.record(PERSON, side, *domain.unlink(work.state(PERSON, side), of, reason))
        await unjoining.part(work, moving)
    elif row["answer"] == "different":
        await work.execute(
            """DELETE FROM told_apart WHERE decided_at = $3
               AND (person = $1 AND other = ANY($2::text[]) OR other = $1 AND person = ANY($2::text[]))""",
            person, row["candidates"], row["decided_at"],
        )  # fmt: skip
    await lift_asked(work, row, held_case, reason)
    events = domain.hold_person(work.state(PERSON, person), row["hold"], _HOLD_REASON["identity"])
    work.record(PERSON, person, *events)
    went = {one.referral: one.new for one in moving.leaving}
    await hold_store.set_again(work, row["hold"], went.get(row["referral"], held_case))
    return None


async def _incident(work: Work, row: Any, reason: str) -> str | None:  # noqa: ANN401 - a record
    case, other = row["case_id"], row["decided_with"]
    came = await work.fetch(_OF_REFERRAL, row["referral"], other) if row["answer"] == "same" and other else []
    target = new_id() if came else case
    people = {p for one in came for p in _named(one)}
    refs = (
        [(PERSON, one) for one in sorted(people)],
        [(CASE_FILE, one) for one in sorted({case, target, other or case})],
    )
    await lock(work, row, *refs[0], *refs[1])
    for one in came:
        await _to_case(work, one, target)
    await lift_asked(work, row, target, reason)
    state = work.state(CASE_FILE, target)
    held = domain.hold_referral(state, row["referral"], row["hold"], _HOLD_REASON["incident"])
    work.record(CASE_FILE, target, *held)
    await hold_store.set_again(work, row["hold"], target)
    return str(target)


# --------------------------------------------------------------------------------------- a referral in a case of its own


def _named(row: Any) -> set[str]:  # noqa: ANN401 - a record
    """Return the people whom a referral's case names. Parties whom nobody identified have no stream of their own."""
    facts = msgspec.json.decode(row["facts"], type=ReferralFacts)
    named = {person for party in facts.parties for person in (party.person, *party.contact_persons)}
    return {person for person in named if "." not in person}


async def _to_case(work: Work, row: Any, target: str) -> None:  # noqa: ANN401 - a record
    """Take a referral out of the case that it had joined, into one of its own; tell of everybody in it."""
    facts = msgspec.json.decode(row["facts"], type=ReferralFacts)
    one = unjoining.Leaving(row["referral"], row["position"], row["case_id"], target, "", facts)
    await unjoining.leave(work, one)
