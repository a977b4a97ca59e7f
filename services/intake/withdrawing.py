"""A person takes part no longer: recorded here at once, so that no release gets through, then put in force by consent.

The row is committed before consent is asked. A crash, or consent being away, leaves it `recorded`; `withdraw_loop` repeats
the call under the same key until it is answered. Who is meant may be unclear: then every candidate is blocked and a
person at the hub decides; nobody known: it stays as a suppression, which a later referral meets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from services.intake import matching
from services.intake.core import PERSON, Intake, intake_of
from services.intake.facts import comparable
from services.intake.gateways import Consent
from services.intake.recognising.load import Someone, blocking_tags
from services.intake.recognising.people import Crowd, HotKeys, RecordCache
from services.intake.referral import Human, Party
from services.intake.store import following
from services.intake.store import matching as matching_store
from services.intake.store import people as details
from services.intake.store import withdrawals as store
from services.intake.store.withdrawals import NEEDS_PERSON, RECORDED, Withdrawal
from services.intake.suppressions import suppression_texts
from shared.contracts.envelope import Actor
from shared.runtime.auth import Caller
from shared.runtime.errors import Conflict, Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, invalid, not_found, unavailable
from shared.runtime.service import Service
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

log = logging.getLogger(__name__)
WITHDRAWALS = counter("withdrawals", "withdrawals recorded, by how they came")
RETRY_SECONDS = 1.0
By = Literal["person", "proxy", "agency", "link"]
Role = Literal["harmed", "responsible"]


@dataclass(frozen=True)
class Named:
    """Who withdraws, as far as the sender can say: exactly one of the first four.

    `role`: of the people of a case or of a referral, who said it. Not said: any of them may have.
    """

    person: str | None = None
    case: str | None = None
    reference: str | None = None
    human: Human | None = None
    scope: Literal["case", "everything"] = "everything"
    by: By = "person"
    role: Role | None = None


async def record(work: Work, service: Intake, caller_agency: str, worker: str | None, named: Named) -> str:
    """Record a withdrawal and return its id. Raises Problem 404 or 422."""
    if named.human is not None:
        return await _by_details(work, service, caller_agency, worker, named, named.human)
    people, case, via = await _whom(work, service, caller_agency, named)
    # Locked, so that a release that is being decided either sees this or was first, and is in flight. Whoever is linked is
    # locked with them, and who that is is read under the locks.
    await work.lock(*((PERSON, person) for person in people))
    if not all(work.version(PERSON, person) for person in people):
        raise not_found("person")
    group = _linked(work, people)
    if group == _linked(work, people[:1]):
        withdrawal = _new(work, RECORDED, named, case, people[0], caller_agency)
    else:
        # The harmed or the responsible: whichever is bound in the other's stead would be contacted after their no. Until
        # a human knows, nobody is.
        withdrawal = _new(work, NEEDS_PERSON, named, case, None, caller_agency)
    await store.record(work, withdrawal, group, via=via, worker=worker)
    WITHDRAWALS.add(1, {"via": via})
    return withdrawal.id


def _linked(work: Work, people: Iterable[str]) -> set[str]:
    """Return every id of these humans, who are locked."""
    found, todo = set(people), list(people)
    while todo:
        linked = set(work.state(PERSON, todo.pop()).links) - found
        found |= linked
        todo += linked
    return found


async def _still(work: Work, people: Sequence[str], group: Iterable[str]) -> None:
    """Make sure that nobody was linked or unlinked between the look and the lock; else run again. Raises Conflict."""
    found = set(await details.group_of(work, list(people))) if people else set()
    if found != set(group):
        raise Conflict("linked or unlinked while being locked")


def _new(
    work: Work, state: str, named: Named, case: str | None, person: str | None, agency: str
) -> Withdrawal:
    of_case = case if named.scope == "case" else None
    scope: Literal["case", "everything"] = "case" if of_case else "everything"
    return Withdrawal(new_id(), state, scope, of_case, named.by, agency, person, (), work.now, None)


async def _whom(work: Work, service: Intake, agency: str, named: Named) -> tuple[list[str], str | None, str]:
    if named.person is not None:
        return [named.person], await _case_of(work, named, named.person), "person"
    if named.case is not None:
        harmed = await store.harmed_of_case(work, named.case)
        went = [(named.case, harmed)] if harmed else await store.went_on(work, named.case)
        if not went:
            raise not_found("case")
        # One that has been parted since is two: a no by its name is of somebody in either.
        return await _of_role(work, named, went), went[0][0] if len(went) == 1 else None, "case"
    cases: list[tuple[str, str]] = []
    for of in await following.lineage(work, agency):
        tag = service.keyring.tag("reference", f"{of}\n{named.reference}")
        cases = cases or await store.cases_of_referral(work, of, tag)
        if not cases and await store.is_waiting(work, of, tag):
            raise unavailable(
                "It is not worked out yet who this referral is about. Send it again in a moment."
            )
    if not cases:
        raise not_found("referral")
    people = await _of_role(work, named, cases)
    several = len({harmed for _, harmed in cases}) > 1
    if several and not (named.role == "responsible" and named.scope == "everything"):
        wrong = FieldError(
            "reference", "several people were harmed in this referral", "Send the person or the case instead."
        )
        raise invalid([wrong])
    return people, cases[0][0], "reference"


async def _of_role(work: Work, named: Named, cases: Sequence[tuple[str, str]]) -> list[str]:
    """Return who may have said no to these cases: of the role that is named, or anybody. Raises Problem 422."""
    harmed = {one for _, one in cases}
    if named.role == "harmed":
        return sorted(harmed)
    responsible = await store.responsible_in(work, [case for case, _ in cases])
    if named.role is None:
        return sorted(harmed | responsible)
    if not responsible:
        remedy = "Leave role out, or name the person."
        raise invalid([FieldError("role", "nobody who is responsible is known in this case", remedy)])
    return sorted(responsible)


async def _case_of(work: Work, named: Named, person: str) -> str | None:
    """Return the case that is meant, by its present name; None: it cannot be told which, so every one. Raises Problem 404.

    Who says no uses the name that they were told. Since then the case may have been joined to another, or parted from it.
    """
    if named.case is None or await store.is_party(work, person, named.case):
        return named.case
    # Our own link was right when it was made. Since then a child may have come of age, or a version left somebody out.
    if named.by != "link" and not await store.was_party(work, person, named.case):
        raise not_found("person")
    went = [case for case, _ in await store.went_on(work, named.case)]
    theirs = {case for case in went if await store.is_party(work, person, case)}
    if len(theirs) > 1:
        return None
    return theirs.pop() if theirs else named.case


# --------------------------------------------------------------------------------------------------------- by details


async def _by_details(
    work: Work, service: Intake, agency: str, worker: str | None, named: Named, human: Human
) -> str:
    """Find who is meant. One human: as if named. Several possible: all are blocked. Nobody: a suppression remains."""
    record_ = matching.normalise(comparable(human, agency))
    tags = frozenset(service.keyring.tag("suppression", text) for text in suppression_texts(record_))
    keys = blocking_tags(service.keyring, record_)
    one = Someone(
        party="", position=0, contact=False, role="harmed", key=b"", human=_as_party(human), record=record_, keys=keys,
        suppression=tags,
    )  # fmt: skip
    (count,) = await work.fetch(matching_store.COUNT)
    crowd = Crowd(RecordCache(service.keyring), HotKeys(), count["people"], count["referrals"])
    # The same locks as the matcher's: a referral of this person that is being matched is either found, or meets the
    # suppression.
    await crowd.gather(work, [one])
    reached = crowd.reached(one)
    crowd.recognise(one)
    decision = one.decision
    assert decision is not None  # noqa: S101 - recognise() decides
    joined = decision.answer == "join"
    # "Take my number off": among many people a number alone says too little to know whose it is, and their approach would go
    # on. Better that somebody is left alone too until a person has looked.
    meant = list(decision.people) if joined else [*decision.people, *reached]
    # A name that too many share is a doubt as well, though nobody in particular can be blocked for it.
    candidates = await details.group_of(work, meant) if meant else []
    await work.lock(*((PERSON, person) for person in candidates))
    await _still(work, candidates, candidates)
    state = RECORDED if joined or (decision.answer == "different" and not reached) else NEEDS_PERSON
    withdrawal = _new(
        work, state, replace(named, scope="everything"), None, decision.people[0] if joined else None, agency
    )
    sealed = None
    if state == NEEDS_PERSON:  # for whoever decides, until they have: nobody else ever reads it
        owner = sealed_owner(withdrawal.id)
        key, wrapped = service.keyring.new_key(owner)
        sealed = (wrapped, key.seal(human.model_dump_json(exclude_unset=True).encode(), owner))
    await store.record(work, withdrawal, candidates, via="identifiers", worker=worker, sealed=sealed)
    if not joined:
        await store.suppress(work, tags, f"withdrawal:{withdrawal.id}", "withdrawn")
    WITHDRAWALS.add(1, {"via": "identifiers"})
    return withdrawal.id


def sealed_owner(withdrawal: str) -> str:
    """Return what the key of a withdrawal's details is bound to."""
    return f"withdrawal:{withdrawal}"


def _as_party(human: Human) -> Party:
    return Party.model_construct(**dict(human), role="harmed", identified=True)


# ------------------------------------------------------------------------------------------------------------ in force


async def put_in_force(service: Intake, withdrawal: str) -> Withdrawal | None:
    """Ask consent, if it is clear who is meant and consent has not answered yet; return how it stands now."""
    found = await store.read_bound(service.unit, withdrawal)
    if found is None:
        return None
    known = found.withdrawal
    if known.state != RECORDED or known.person is None:
        return known
    body: dict[str, Any] = {
        "scope": known.scope,
        "cases": [known.case_id] if known.scope == "case" and known.case_id else [],
        "by": known.by_whom,
        "withdrawal": known.id,
        # Consent may not have heard of a link yet, or hear of its end first: `clean` is about everybody whom we knew to be
        # this human when it was stored. The list does not change any more, so a repetition is the same request.
        "linked": [one for one in found.people if one != known.person],
        # Nor need a restored consent know what was handed out. This list does not change any more either.
        **({"handed_out": found.handed_out} if found.handed_out else {}),
    }
    try:
        answer = await Consent(service).withdraw(known.person, known.id, body, known.agency)
    except Unavailable:
        return known
    # One statement, and the same once more changes nothing: it needs no transaction around it.
    return await store.in_force(service.unit, known.id, answer.in_flight)


async def withdraw_loop(service: Service) -> None:
    """Repeat what consent has not answered, for as long as it takes."""
    intake = intake_of(service)
    while True:
        for one in await intake.transact(store.due):
            await put_in_force(intake, one.id)
        await asyncio.sleep(RETRY_SECONDS)


# ------------------------------------------------------------------------------------------- a person decides who it is


async def resolve(work: Work, withdrawal: str, people: list[str], caller: Caller) -> None:
    """A person at the hub says whom an unclear withdrawal means: some of the candidates, or nobody known. Raises Problem."""
    # Locked: of two who decide at once the second would undo what the first has put in force.
    await work.execute("SELECT FROM withdrawal WHERE id = $1 FOR UPDATE", withdrawal)
    known = await store.read(work, withdrawal)
    if known is None or known.state != NEEDS_PERSON:
        raise not_found("withdrawal that needs a person")
    rows = await work.fetch("SELECT person FROM withdrawal_candidate WHERE withdrawal = $1", withdrawal)
    candidates = {row["person"] for row in rows}
    wrong = [n for n, person in enumerate(people) if person not in candidates]
    if wrong:
        raise invalid(
            [
                FieldError(
                    f"people[{n}]", "not a candidate of this withdrawal", "Choose among its candidates."
                )
                for n in wrong
            ]
        )
    group = set(await details.group_of(work, people)) if people else set()
    await work.lock(*((PERSON, person) for person in candidates | group))
    await _still(work, people, group)
    await work.execute(
        "DELETE FROM withdrawal_candidate WHERE withdrawal = $1 AND NOT (person = ANY($2::text[]))",
        withdrawal,
        sorted(group),
    )
    first = people[0] if people else None
    await work.execute(
        "UPDATE withdrawal SET state = 'recorded', person = $2, key = NULL, sealed = NULL WHERE id = $1",
        withdrawal,
        first,
    )
    for person in people[1:]:
        # Each person has a withdrawal of their own: consent answers each by itself.
        again = replace(known, id=new_id(), state=RECORDED, person=person)
        await store.record(
            work, again, await details.group_of(work, [person]), via="identifiers", worker=caller.worker
        )


# --------------------------------------------------------------------------------------------------------------- links


def make_token(service: Intake, person: str, case: str | None, expires: int) -> str:
    """Return the signed token of a link in a message: pseudonymous ids and an end (seconds since 1970), nothing else."""
    payload = msgspec.json.encode([person, case, expires])
    return _b64(payload) + "." + _b64(service.keyring.tag("link", payload))


def read_token(service: Intake, token: str, now: float) -> tuple[str, str | None] | None:
    """Return (person, case) of a token that we made and that has not ended; else None."""
    try:
        payload, signature = (
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
        )
        if not hmac.compare_digest(signature, service.keyring.tag("link", payload)):
            return None
        person, case, expires = msgspec.json.decode(payload, type=tuple[str, str | None, int])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    return (person, case) if now < expires else None


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


PUBLIC = Actor("public")
