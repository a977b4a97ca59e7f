"""Doubts decided by people: two records of one human or of two; one incident or two. And decisions undone.

A decision takes effect at commit: links, holds and cases change in the same transaction. What a human has told apart is not
joined by the machine again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import msgspec

from services.intake import domain, matching, unjoining
from services.intake.core import CASE_FILE, PERSON, Intake
from services.intake.crypto import Unreadable
from services.intake.doorstep import version_owner
from services.intake.facts import comparable, lacking
from services.intake.matching import Incident, identifiers
from services.intake.store import holds as hold_store
from services.intake.store import matching as candidates
from services.intake.store import people as store
from services.intake.store import reviews
from shared.contracts.referrals import ReferralFacts
from shared.runtime.errors import Conflict
from shared.runtime.http import check_version
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.stream import Ref
from shared.runtime.work import Work

Answer = Literal["same", "different", "cannot_tell"]
_INCIDENT = msgspec.json.Decoder(Incident)
_SUPPORTING = """
SELECT c.referral::text AS referral, c.position, c.harmed, c.facts
FROM referral_case AS c JOIN referral AS r ON r.id = c.referral
WHERE c.case_id = $1 AND r.status <> 'retracted' ORDER BY c.referral, c.position
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided about a review."""

    review: str
    version: int
    answer: Answer
    reason: str
    chosen: str | None


def sampled(review: str, share: float) -> bool:
    """Whether a second person looks at a review as well: drawn by its id, so that nobody can choose which."""
    return int.from_bytes(sha256(review.encode()).digest()[:4]) < share * 2**32


async def decide(work: Work, service: Intake, decided: Decided) -> int:
    """Decide a review. Returns its new version. Raises Problem 404, 409, 412 or 422."""
    row = await _open(work, decided)
    if row["kind"] == "incident":
        chosen = await _decide_incident(work, row, decided)
    else:
        chosen = await _decide_identity(work, service, row, decided)
    await reviews.note(work, row, "decision", decided.answer, chosen, decided.reason)
    if decided.answer == "cannot_tell":
        return await reviews.ask(work, row)
    second = row["kind"] == "identity" and sampled(row["id"], service.own.second_reviews)
    return await reviews.close(work, row, decided.answer, chosen, second=second)


async def _open(work: Work, decided: Decided) -> Any:  # noqa: ANN401 - a record
    row = await reviews.read(work, decided.review)
    if row is None:
        raise not_found("review")
    check_version(decided.version, row["version"])
    if row["answer"] is not None:
        raise Problem(
            409, "decided", "This review has been decided.", detail="Undo the decision to decide anew."
        )
    if work.actor.worker in row["barred"]:
        remedy = "Two reviewers differed, and you are one of them: leave it to somebody else."
        raise invalid([FieldError("worker", "has decided this before", remedy)])
    return row


async def lock(work: Work, row: Any, *refs: Ref) -> None:  # noqa: ANN401 - a record
    """Lock the keys, then the review: always in this order, as the matcher does. Raises Problem 412 if it moved."""
    await work.lock(*refs)
    again = await reviews.read(work, row["id"], lock=True)
    check_version(row["version"], again["version"])


def _choice(options: Sequence[str], chosen: str | None, answer: Answer) -> str | None:
    """Return which candidate is meant by "same". Raises Problem 422."""
    if answer != "same":
        return None
    found = chosen or (options[0] if len(options) == 1 else None)
    if found is None or found not in options:
        wrong = FieldError(
            "with", "it does not name one of the candidates", "Say which of the candidates is the same."
        )
        raise invalid([wrong])
    return found


# ------------------------------------------------------------------------------------------------------------ identity


async def _decide_identity(
    work: Work,
    service: Intake,
    row: Any,  # noqa: ANN401 - a record
    decided: Decided,
) -> str | None:
    person: str = row["person"]
    other = _choice(row["candidates"], decided.chosen, decided.answer)
    group = await store.group_of(work, [person, *([other] if other else [])])
    incidents = await _incidents(work, service, group)
    cases = [case for case, _, _ in incidents]
    held_case = await work.fetchval("SELECT case_id FROM hold WHERE id = $1", row["hold"])
    files = sorted({*cases, *([held_case] if held_case else [])})
    await lock(work, row, *((PERSON, one) for one in group), *((CASE_FILE, case) for case in files))
    if decided.answer == "cannot_tell":
        await _ask_agency(work, row, held_case, await _unsaid(work, service, row))
        return None
    if other is not None:
        await _no_contradiction(work, service, person, other)
        link_people(work, person, other, "decided")
        await unjoining.theirs_again(work, group, cases)
        await _unite_cases(work, incidents, person, other)
    else:
        await tell_apart(work, person, _bits(row))
    await _lift(work, person, row["hold"], f"decided_{decided.answer}")
    await lift_asked(work, row, held_case, f"decided_{decided.answer}")
    return other


async def _no_contradiction(work: Work, service: Intake, person: str, other: str) -> None:
    """Demand that no number that a person has for life is one here and another there. Raises Problem 409.

    One of the two was mistyped, or these are two people. Linked all the same, the next referral with either number would
    be taken for both.
    """
    sides = [await _numbers(work, service, await store.group_of(work, [one])) for one in (person, other)]
    differing = [
        kind for kind in sorted(sides[0].keys() & sides[1].keys()) if not sides[0][kind] & sides[1][kind]
    ]
    if differing:
        remedy = "Have the agency that sent a wrong number send a new version of its referral, or answer different."
        wrong = [
            FieldError(f"identifiers.{kind}", "one on one side, another on the other", remedy)
            for kind in differing
        ]
        title = "These records have different numbers of a kind of which a person has one for life."
        raise Problem(409, "contradiction", title, errors=wrong)


async def _numbers(work: Work, service: Intake, people: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for held, human in await store.humans_of(work, service.keyring, people):
        for kind, number in matching.normalise(comparable(human, held.agency)).identifiers:
            if kind in identifiers.UNIQUE:
                found.setdefault(kind, set()).add(number)
    return found


def link_people(work: Work, person: str, other: str, basis: str) -> None:
    """Link two locked people, on both keys."""
    work.record(PERSON, person, *domain.link(work.state(PERSON, person), person, other, basis))
    work.record(PERSON, other, *domain.link(work.state(PERSON, other), other, person, basis))


def _bits(row: Any) -> dict[str, float]:  # noqa: ANN401 - a record
    """Return how much evidence there was for each candidate. Of a review from before that was kept: as for the first."""
    first, others = msgspec.json.decode(row["evidence"]), msgspec.json.decode(row["others"])
    return {one: sum(line["bits"] for line in others.get(one, first)) for one in row["candidates"]}


async def tell_apart(work: Work, person: str, others: Mapping[str, float]) -> None:
    """Keep that these are two people, and on how many bits of evidence: only more of it is asked about again."""
    await work.execute(
        """INSERT INTO told_apart (person, other, bits, decided_at, agency, worker)
           SELECT a, b, bits, $4, $5, $6 FROM unnest($2::text[], $3::float8[]) AS o(other, bits),
             LATERAL (VALUES ($1, other), (other, $1)) AS pair(a, b)
           ON CONFLICT (person, other) DO UPDATE SET bits = greatest(told_apart.bits, excluded.bits),
             decided_at = excluded.decided_at""",
        person,
        list(others),
        list(others.values()),
        work.now,
        work.actor.agency,
        work.actor.worker,
    )


async def _ask_agency(work: Work, row: Any, case: str | None, missing: tuple[str, ...]) -> None:  # noqa: ANN401 - a record
    """Nobody can tell: the agency that sent the record is asked for more. The hold stands."""
    if case is None:
        return
    hold = f"{row['hold']}:asked"
    reason = "identity_incomplete" if row["kind"] == "identity" else "incident_doubtful"
    events = domain.hold_referral(work.state(CASE_FILE, case), row["referral"], hold, reason, missing=missing)
    if events:
        work.record(CASE_FILE, case, *events)
        asked = hold_store.HoldRow(hold, None, case, row["referral"], reason, None, work.now, 1, None)
        await hold_store.insert_or_set_again(work, asked)


async def _unsaid(work: Work, service: Intake, row: Any) -> tuple[str, ...]:  # noqa: ANN401 - a record
    """Return what the referral does not say of this person. Where in it they stand is in the name of the hold."""
    position = row["hold"].split(":")[1]
    where = f"parties[{position.rstrip('c')}]" + (".contact_person" if position.endswith("c") else "")
    sent = [
        lacking(human, held.agency, where)
        for held, human in await store.humans_of(work, service.keyring, [row["person"]])
        if held.referral == row["referral"]
    ]
    return sent[-1] if sent else (where,)


async def lift_asked(work: Work, row: Any, case: str | None, reason: str) -> None:  # noqa: ANN401 - a record
    """What the agency was asked for is not needed any more. The case is locked."""
    if case is not None:
        asked = f"{row['hold']}:asked"
        work.record(CASE_FILE, case, *domain.lift_referral(work.state(CASE_FILE, case), asked, reason))
        await hold_store.lift(work, asked, reason)


async def _lift(work: Work, person: str, hold: str, reason: str) -> None:
    work.record(PERSON, person, *domain.lift_person(work.state(PERSON, person), hold, reason))
    await hold_store.lift(work, hold, reason)


# ------------------------------------------------------------------------------------------------------------ incidents


async def _incidents(work: Work, service: Intake, people: Sequence[str]) -> list[tuple[str, str, Incident]]:
    """Return (case, harmed person, incident) of every referral about these people."""
    found = []
    for row in await candidates.incidents(work, people):
        owner = version_owner(row["agency"], row["reference_tag"], row["version"])
        try:
            opened = service.keyring.unwrap(row["key"], owner).open(row["incident"], owner, "incident")
        except Unreadable:
            continue
        found.append((row["case_id"], row["harmed"], _INCIDENT.decode(opened)))
    return found


async def _unite_cases(
    work: Work, incidents: Sequence[tuple[str, str, Incident]], person: str, other: str
) -> None:
    """Two cases of what has turned out to be one harmed party and one incident become one: the older goes on."""
    mine = [(case, incident) for case, harmed, incident in incidents if harmed == person]
    theirs = [(case, incident) for case, harmed, incident in incidents if harmed == other]
    for case, incident in mine:
        for older, known in theirs:
            if case != older and matching.same_incident(incident, known)[0] == "same":
                await join_cases(work, case, older)


async def join_cases(work: Work, case: str, into: str) -> None:
    """Let a case go on as another. Both are locked."""
    events = domain.join(work.state(CASE_FILE, case), case, into)
    if events:
        work.record(CASE_FILE, case, *events)
        # The other file takes the referrals in: from now on it is there that they are changed, held and retracted.
        for row in await work.fetch(_SUPPORTING, case):
            facts = msgspec.json.decode(row["facts"], type=ReferralFacts)
            work.record(CASE_FILE, into, *domain.receive(work.state(CASE_FILE, into), facts))
            # Under the people's own keys too: a release waits until consent has heard those, and so knows that what they
            # said of the one case they have said of the other. Of the cases it hears over allocation, later.
            known = msgspec.structs.replace(facts, incident=work.state(CASE_FILE, into).incident)
            one = unjoining.Leaving(row["referral"], row["position"], case, into, row["harmed"], known)
            await work.lock(*((PERSON, person) for person in unjoining.people_of(known)))
            unjoining.refer(work, one, known.parties)
        await work.execute("UPDATE referral_case SET case_id = $2 WHERE case_id = $1", case, into)
        await unjoining.join_holds(work, case, into)


async def _decide_incident(work: Work, row: Any, decided: Decided) -> str | None:  # noqa: ANN401 - a record
    case: str = row["case_id"]
    other = _choice(row["candidate_cases"], decided.chosen, decided.answer)
    await lock(work, row, (CASE_FILE, case), *([(CASE_FILE, other)] if other else []))
    if decided.answer == "cannot_tell":
        await _ask_agency(work, row, case, ("incident",))
        return None
    await lift_asked(work, row, case, f"decided_{decided.answer}")
    reason = f"decided_{decided.answer}"
    work.record(CASE_FILE, case, *domain.lift_referral(work.state(CASE_FILE, case), row["hold"], reason))
    await hold_store.lift(work, row["hold"], reason)
    if other is not None:
        await join_cases(work, case, other)
    return other


# ---------------------------------------------------------------------------------------------------------------- undo


async def unlink(work: Work, person: str, other: str, reason: str, version: int) -> int:
    """Undo a link: both stand on their own ledgers again, and are told apart. Raises Problem 404, 409 or 412.

    A case that was two before goes on as two: see unjoining.
    """
    fresh: dict[str, str] = {}
    moving = await unjoining.look(work, person, other, fresh)
    await work.lock((PERSON, person), (PERSON, other), *moving.keys())
    check_version(version, work.version(PERSON, person))
    if await unjoining.look(work, person, other, fresh) != moving:
        raise Conflict("linked, unlinked or matched while being unlinked")
    events = domain.unlink(work.state(PERSON, person), other, reason)
    if not events:
        raise not_found("link")
    work.record(PERSON, person, *events)
    work.record(PERSON, other, *domain.unlink(work.state(PERSON, other), person, reason))
    await tell_apart(work, person, {other: 99.0})
    await unjoining.part(work, moving)
    return work.version(PERSON, person)
