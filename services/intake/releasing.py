"""Release: the only way to redeem a permit, in three steps, because the facts lie in two databases.

1. In a transaction: lock, check intake's facts, claim the contact points, write the release's row, note the sequences.
2. With no transaction open: consent redeems, if it has applied those sequences.
3. In a transaction: lock again; if nothing has moved since (1), hand out; else give up and tell consent `not_made`.

Only the try that wrote the row may repeat (2), with the sequences that it noted: an old answer together with newer sequences
would hide what moved in between. Every other try finds the row and is refused. The row is open again only after an answer
that says for certain that nothing was redeemed: a refusal, or a 503 of which consent itself says so.

What a crash, or an answer that never came, leaves:
- after (1) or (2): a row `asked`, claims, and a permit of which nobody knows whether it is redeemed. Nothing is handed out
  later. After IN_DOUBT the row is marked `given_up` and consent is told `not_made`. The mark comes first: a try that is
  merely slow then finds its row decided in (3), and hands nothing out either.
- after (3), before the answer has arrived: handed out as far as anybody can know. A release is never replayed: the holder
  records an outcome.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.intake.core import PERSON, Intake, intake_of
from services.intake.details import details_for
from services.intake.domain import releases as rules
from services.intake.gateways import Consent, PermitFact, Redeemed, Refusal
from services.intake.store import following
from services.intake.store import people as details
from services.intake.store import releases as store
from shared.contracts.envelope import Actor
from shared.runtime.auth import Caller
from shared.runtime.errors import Conflict, Unavailable
from shared.runtime.problems import Problem, not_found
from shared.runtime.service import Service
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

log = logging.getLogger(__name__)
RELEASES = counter("releases", "permits presented at intake, by what came of them")
TELL_SECONDS = 2.0
# Far longer than a try can wait for consent: whoever wrote the row has died. (If not, it hands nothing out.)
IN_DOUBT = timedelta(minutes=2)

_TITLES = {
    "behind": "Something about this person has just changed. Try again in a moment.",
    "changed": "Something about this person changed meanwhile. Ask for a new permit.",
    "unsafe": "There is no safe way to contact this person by this channel.",
    "contact-point": "Somebody else's approach, or no, is at the same contact point. A person must look at it.",
    "already-redeemed": "This permit was used before. A release is never repeated.",
    "withdrawn": "This person takes part no longer.",
    "on-hold": "Contact with this person is on hold.",
    "expired": "This permit has expired.",
    "revoked": "This permit was revoked.",
    "fence": "The fence is not this permit's.",
    "counterpart-withdrawn": "Nobody on the other side takes part in this case any longer.",
    "not-named-worker": "The permit is for another worker.",
}
_RETRY = {"behind": 1, "parked": 5, "restored": 30}  # seconds, as consent has them


@dataclass(frozen=True)
class Asked:
    """What step 1 found and noted. `again`: an earlier try had been refused for certain."""

    people: list[str]
    seen: dict[str, int]
    again: bool


def refusal(kind: str, title: str = "") -> Problem:
    """Return the 409 for a typed reason. Tells no more than the reason, in our words or in consent's `title`."""
    headers = {"Retry-After": str(_RETRY[kind])} if kind in _RETRY else {}
    title = _TITLES.get(kind) or title or "Contact is not allowed."
    return Problem(409, kind, title, detail="Do not contact this person.", headers=headers)


@dataclass(frozen=True)
class Holder:
    """Who presents a permit, the worker who will make contact, and the service that sends for them."""

    agency: str
    worker: str | None
    sender: str | None = None

    @classmethod
    def of(cls, caller: Caller, behalf: str) -> Holder:
        """Return the caller; or, for notifications, the agency that it sends for. Raises Problem 404."""
        if caller.kind != "service":
            return cls(caller.agency, caller.worker)
        agency, _, worker = behalf.partition("/")
        if caller.agency != "notifications" or not agency:
            raise not_found("permit")
        return cls(agency, worker or None, caller.agency)


async def release(service: Intake, caller: Holder, permit: str, fence: int) -> dict[str, Any]:
    """Redeem a permit and return the contact details, once.

    Raises Problem 404 or 409, or Unavailable: do not contact.
    """
    try:
        answer = await _release(service, caller, permit, fence)
    except Problem as problem:
        RELEASES.add(1, {"outcome": problem.kind})
        raise
    RELEASES.add(1, {"outcome": "handed_out"})
    return answer


async def _release(service: Intake, caller: Holder, permit: str, fence: int) -> dict[str, Any]:
    consent = Consent(service)
    fact = await consent.permit(permit)
    if fact is None or not await _holds(service, caller.agency, fact.agency):
        raise not_found("permit")
    asked: Asked = await service.transact(
        _step_one, service, caller, permit, fence, fact, actor=Actor(caller.agency, caller.worker)
    )
    try:
        redeemed = await consent.redeem(permit, fence, asked.seen, caller.worker, caller.sender)
    except Unavailable as error:
        if error.nothing_done:
            # Consent never had the request, or says that it did nothing: the permit is as it was, and so is the row.
            await service.transact(store.refused, permit, "unavailable")
        raise
    if isinstance(redeemed, Refusal):
        raise await _refused(service, permit, fence, redeemed, asked)
    found = await service.transact(
        _step_three, service, caller, fact, asked, redeemed, actor=Actor(caller.agency, caller.worker)
    )
    if found is None:
        await _tell_not_made(service, permit, fence)
        raise refusal("changed")
    return {**_public(redeemed), **found}


async def _holds(service: Intake, agency: str, holder: str) -> bool:
    return agency == holder or holder in await service.transact(following.lineage, agency)


def _public(redeemed: Redeemed) -> dict[str, Any]:
    return {
        "permit": redeemed.permit,
        "person": redeemed.person,
        "party": redeemed.party,
        "case": redeemed.case,
        "purpose": redeemed.purpose,
        "channel": redeemed.channel,
        "worker": redeemed.worker,
        "use_by": redeemed.use_by.isoformat(),
        "outcome_due": redeemed.outcome_due.isoformat(),
    }


async def _step_one(
    work: Work, service: Intake, caller: Holder, permit: str, fence: int, fact: PermitFact
) -> Asked:
    # Contact points first, then people: the order of every transaction that takes both.
    before = await store.lock_points(work, fact.person, fact.party)
    people = before.people
    await work.lock(*((PERSON, person) for person in people))
    # A statement of its own, after the locks: what whoever held them before us has written is seen.
    look = await store.look(work, fact.person, fact.party, fact.case, permit)
    if (look.people, look.own, look.points) != (people, before.own, before.points):
        raise Conflict("linked, unlinked or changed while being locked")
    if not any(party in look.people for party, _ in look.parties):
        # The case has been joined to another, or parted from it, or its referral taken back. Consent is told by allocation.
        raise refusal("changed")
    states = {person: work.state(PERSON, person) for person in people}
    reason = rules.objection(
        states, fact.case, withdrawn=look.withdrawn, alone=await _alone(work, fact.case, look)
    )
    if reason is not None:
        raise refusal(reason)
    if rules.unsafe(states[fact.person], fact.channel):
        raise refusal("unsafe")
    if fact.channel is not None and not await details_for(
        work, service.keyring, look.own, fact.case, fact.channel
    ):
        raise refusal("unsafe")
    if look.elsewhere:
        raise refusal("contact-point")
    row = {
        "permit": permit, "fence": fence, "person": fact.person, "party": fact.party, "case": fact.case,
        "agency": fact.agency, "worker": caller.worker,
    }  # fmt: skip
    seen = {person: work.version(PERSON, person) for person in people}
    again = await store.ask(work, row, seen, look.points)
    if again is None:
        raise refusal("already-redeemed")
    return Asked(people, seen, again)


async def _alone(work: Work, case: str, look: store.Look) -> bool:
    """Say whether nobody is left on the other side of the case, by a "no" that consent may not have heard yet.

    Nobody there is locked. A "no" that is recorded while this is decided comes after it, as it does for consent.
    """
    others = rules.counterparts(look.parties, set(look.people))
    if look.unheard.isdisjoint(others):
        return False
    for other in others:
        group = await details.group_of(work, [other])
        if not (await store.withdrawn(work, group, case) or await store.refused_by(work, group)):
            return False
    return True


async def _step_three(
    work: Work, service: Intake, caller: Holder, fact: PermitFact, asked: Asked, redeemed: Redeemed
) -> dict[str, Any] | None:
    """Hand out, or give up: None."""
    await work.lock(*((PERSON, person) for person in asked.people))
    look = await store.look(work, fact.person, fact.party, fact.case, redeemed.permit)
    moved = rules.moved(
        asked.seen,
        {person: work.version(PERSON, person) for person in asked.people},
        look.people,
        withdrawn=look.withdrawn or await _alone(work, fact.case, look),
        late=work.now >= redeemed.use_by,
    )
    found = None
    if not moved:
        found = await details_for(work, service.keyring, look.own, fact.case, redeemed.channel)
    if found is None:
        await store.give_up(work, redeemed.permit, "changed")
        return None
    handed_out = await store.hand_out(work, redeemed.permit, redeemed, caller.agency, caller.worker)
    return found if handed_out else None


async def _refused(service: Intake, permit: str, fence: int, of: Refusal, asked: Asked) -> Problem:
    kind = of.kind
    becomes = rules.after_refusal(kind, again=asked.again)
    if becomes in ("given_up", "taken_back"):
        tell = becomes == "taken_back"
        if await service.transact(store.give_up, permit, "interrupted", tell) and tell:
            await _tell_not_made(service, permit, fence)
    elif becomes == "refused":
        await service.transact(store.refused, permit, kind)
    return not_found("permit") if kind == "not-found" else refusal(kind, of.title)


async def _tell_not_made(service: Intake, permit: str, fence: int) -> None:
    """Tell consent that nothing was handed out. If that fails now, `tell_loop` does it later."""
    try:
        if await Consent(service).not_made(permit, fence):
            await service.transact(store.told, permit)
    except Unavailable:
        log.warning("consent will be told later that nothing was handed out", extra={"permit": permit})


async def tell_loop(service: Service) -> None:
    """Give up releases whose try has died; tell consent of all that were given up, until it knows."""
    intake = intake_of(service)
    while True:
        for permit in await intake.transact(store.in_doubt, IN_DOUBT):
            await intake.transact(store.give_up, permit, "interrupted")
        for row in await intake.pool.fetch("SELECT permit, fence FROM release WHERE NOT told LIMIT 100"):
            await _tell_not_made(intake, row["permit"], row["fence"])
        await asyncio.sleep(TELL_SECONDS)
