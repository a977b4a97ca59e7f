"""Refusals in words, and what the routes have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from services.consent import store
from services.consent.domain import contact
from services.consent.domain.decision import Decision, Refusal, Situation, circle
from services.consent.domain.facts import Ask, Context
from services.consent.domain.standing import lead_of
from services.consent.handlers import CASE, PERSON, everyone, situation
from services.consent.settings import Settings
from shared.runtime.auth import Caller
from shared.runtime.idempotency import idempotency_key
from shared.runtime.problems import FieldError, Problem, invalid, not_found, unavailable
from shared.runtime.service import Service, current_service
from shared.runtime.stream import Ref, Stream
from shared.runtime.work import Work

Current = Annotated[Service, Depends(current_service)]
Key = Annotated[str, Depends(idempotency_key)]
BEHALF = "onefriend-on-behalf-of"

_TITLES = {
    "agreement_elsewhere": "The agreement on record names other agencies.",
    "agreement_expired": "The agreement on record has expired.",
    "already_approached": "This person has been approached already. Do not approach them again.",
    "already_asked": "This person has been asked for feedback already.",
    "already_redeemed": "This permit has been redeemed already. It cannot be used twice.",
    "approach_gap": "It is too soon for another approach.",
    "attempt_gap": "It is too soon for another attempt.",
    "attempted": "Contact has been attempted: ask for a hand-over, which carries the attempts over.",
    "attempts_spent": "All attempts that policy allows have been made.",
    "behind": "Not everything that intake knows has arrived here yet. Ask again.",
    "carried_over": "The person has said no. Do not contact them.",
    "case_closed": "The case is closed.",
    "channel_unsafe": "This channel is not known to be safe for this person.",
    "closed": "The person has said no. Only if they ask themselves is it opened again: record a reopening.",
    "contact_person_conflict": "The contact person is on the other side of this case.",
    "counterpart_withdrawn": "Nobody on the other side takes part in this case any longer.",
    "declined": "The person has declined.",
    "erased": "What was held about this person has been erased. Do not contact them.",
    "expired": "The permit has expired. Ask for another.",
    "fence": "The fence is not this permit's.",
    "hours_unsafe": "This is not an hour at which the person can safely be contacted.",
    "in_flight": "An attempt is being made, or its outcome has not been recorded.",
    "needs_contact_person": "This person is spoken to through a contact person: the referral has to name one.",
    "needs_date": "Not now needs the date that the person gave, and one to come.",
    "no_agreement": "There is no agreement on record that allows this.",
    "not_live": "There is nothing of this kind to end: it is over already, or never was.",
    "no_lead": "No agency leads for this person.",
    "not_before": "The person asked not to be contacted before a certain date.",
    "not_cleared": "The checks that policy asks for are not answered yet.",
    "not_contact_person": "This is not a contact person of the party.",
    "not_lead": "Your agency does not lead for this person. Do not contact them.",
    "not_sender": "A message may be on its way under this permit: only its sender can say that it is not.",
    "not_named_worker": "Another worker is this person's one point of contact. Has that one left, hand over to a colleague.",
    "on_hold": "Contact is on hold.",
    "parked": "What is known about somebody concerned may be out of date. Do not contact them yet.",
    "paused": "The case is paused.",
    "prior_no": "The person has said no to whoever referred them. Do not contact them.",
    "prior_not_now_undated": "The person said not now, and named no date: wait until they come of their own accord.",
    "permit_live": "A permit for this person has been granted and is not used yet.",
    "reached": "The person has been reached: ask for a hand-over to an agency that they have agreed to.",
    "restored": "Records are being checked after a restore. Nobody may be contacted until that is done.",
    "same_lead": "This agency, with this worker, leads already.",
    "too_early": "The contact can still be made: until not_before only its holder can record what became of it. Ask them.",
    "too_late": "Only the holder can say that nothing was begun, and only in time.",
    "unknown": "The person is not known well enough yet.",
    "unresolved": "What became of an earlier attempt is not known. A person at the hub has to find out.",
    "unsafe": "An earlier contact was unsafe. A person at the hub has to say that it is safe again.",
    "withdrawn": "The person has withdrawn. Do not contact them.",
}
_RETRY = {"behind": 1, "parked": 5, "restored": 30}


def problem(refusal: Refusal) -> Problem:
    """Return a refusal as an answer."""
    if refusal.reason == "not_found":
        return not_found("person")
    headers = {"Retry-After": str(_RETRY[refusal.reason])} if refusal.reason in _RETRY else {}
    extra: dict[str, Any] = {"not_before": iso(refusal.not_before)} if refusal.not_before else {}
    title = _TITLES.get(refusal.reason, "This is not possible.")
    return Problem(409, refusal.reason.replace("_", "-"), title, headers=headers, **extra)


def refused(decision: Decision) -> Decision:
    """Raise a decision's refusal; return the decision if it has none."""
    if decision.refusal is not None:
        raise problem(decision.refusal)
    return decision


def holder_of(caller: Caller, request: Request) -> str | None:
    """Return the agency that the call is made for; None for a service's own."""
    if caller.kind != "service":
        return caller.agency
    header = request.headers.get(BEHALF, "")
    return header.partition("/")[0] or None


def only(caller: Caller, *services: str) -> None:
    """Raise 403 unless the caller is one of these services."""
    if caller.kind != "service" or caller.agency not in services:
        wanted = " or ".join(services)
        raise Problem(403, "scope", "The token does not allow this.", detail=f"Only {wanted} may call this.")


def iso(at: datetime | None) -> str | None:
    """Return a time as answers have it."""
    return at.isoformat() if at else None


class _Glimpsed:
    """States as they were at a glimpse, without a lock. Raises KeyError for a key that was not looked at."""

    def __init__(self, stream: Stream[Any], keys: Iterable[str], found: store.Glimpse) -> None:
        """Take those of one stream; a key without a row is as it begins."""
        self._stream = stream
        self._keys = frozenset(keys)
        self._found = found

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - the stream's state
        """Return the state of a key."""
        if key not in self._keys:
            raise KeyError(key)
        state = self._found.get((self._stream.kind, key))
        return self._stream.initial() if state is None else self._stream.decode(state)


async def _glimpse(
    work: Work, people: Iterable[str], cases: Iterable[str], found: store.Glimpse | None = None
) -> Decision:
    """Return an empty decision about these as they are now, unlocked: it may only say what to lock, never what to do.

    Whoever else the answer depends on is locked with them at once then. Otherwise the transaction learns of them under the
    locks, and begins again: six round trips, for nothing.
    """
    people, cases = sorted({*people}), sorted({*cases})
    if found is None:
        kinds = [PERSON.kind] * len(people) + [CASE.kind] * len(cases)
        found = await store.glimpse(work, kinds, [*people, *cases])
    return Decision(Situation(_Glimpsed(PERSON, people, found), _Glimpsed(CASE, cases, found)))


def _guessed(about: Callable[[], Iterable[str]]) -> list[Ref]:
    """Return whom an answer depends on, as far as a glimpse can tell: of linked people only the locks can."""
    try:
        return everyone(*about())
    except KeyError:
        return []


async def lock_for(work: Work, ask: Ask, found: store.Glimpse | None = None) -> Decision:
    """Lock everybody whose ledger the answer to a question depends on. Returns an empty decision about them.

    `found`: what they said a moment ago, if that was looked up already.
    """
    seen = await _glimpse(work, (ask.spoken_to, ask.party), (ask.case,), found)
    guessed = _guessed(lambda: contact.concerned(seen, ask))
    await work.lock((CASE, ask.case), *everyone(ask.spoken_to, ask.party), *guessed)
    d = Decision(situation(work))
    # Under the locks nobody is guessed any more: if anybody is missing, the transaction begins again.
    await work.lock(*everyone(*contact.concerned(d, ask)))
    return d


async def lock_circle(work: Work, people: Iterable[str], found: store.Glimpse | None = None) -> None:
    """Lock people, with those spoken to for them and those they speak for. `found`: see `lock_for`.

    Most speak for themselves: for this alone nobody is looked at before.
    """
    people = list(people)
    guessed = []
    if found is not None:
        seen = await _glimpse(work, people, (), found)
        guessed = _guessed(lambda: _around(seen, people))
    await work.lock(*everyone(*people), *guessed)
    d = Decision(situation(work))
    reached = {other for key in d.groups(people) for one in d.person(key).shared for other in one.others}
    if reached:
        await work.lock(*everyone(*reached))
        people += sorted(reached)
    await work.lock(*everyone(*_around(d, people)))


def _around(d: Decision, people: Iterable[str]) -> set[str]:
    return {other for key in d.groups(people) for other in circle(d.person(key))}


async def context_of(work: Work, service: Service, ask: Ask) -> Context:
    """Return what surrounds a question about contact. Raises 503 while the broker has not been heard: the answer is no."""
    context, _ = await context_and_applied(work, service, ask, ())
    return context


async def context_and_applied(
    work: Work, service: Service, ask: Ask, seen: Iterable[str]
) -> tuple[Context, Mapping[str, int]]:
    """Return what surrounds a question about contact, and the last sequence of intake's applied of each person in `seen`.

    Raises 503 while the broker has not been heard: the answer is no.
    """
    d = Decision(situation(work))
    lead = lead_of(d, d.group(ask.spoken_to))
    settings = service.settings
    assert isinstance(settings, Settings)  # noqa: S101 - what build was given
    found = await store.surroundings(
        work,
        [lead.worker] if lead and lead.worker else [],
        settings.deaf_seconds,
        d.groups([ask.spoken_to, ask.party]),
        ask.case,
        list(seen),
    )
    if found.deaf:
        raise unavailable(
            "The message broker has not been heard for a while, so what is known here may be out of date.",
            nothing_done=True,
        )
    return Context(work.now, found.successors, found.deputies, found.parked, found.restored), found.applied


async def plain_context(work: Work) -> Context:
    """Return the context of a command that does not ask for contact."""
    return Context(work.now, await store.successions(work))


def must_be_related(d: Decision, agency: str | None, keys: Iterable[str], context: Context) -> None:
    """Raise 404 unless these people are any business of the agency's."""
    ids = d.groups(keys)
    if agency is not None and not contact.is_related(d, agency, ids, context):
        raise not_found("person")


def must_be_cases_of(d: Decision, person: str, cases: Iterable[str]) -> None:
    """Raise 422 for a case in which this person is not known: what was said of a mistyped one would bind in none."""
    known = {part.id for key in d.group(person) for part in d.person(key).parts}
    unknown = [case for case in cases if case not in known]
    if unknown:
        remedy = "Name a case of this person. One that has just begun may take a moment to arrive here: send it again."
        raise invalid(
            [FieldError("case", f"{case} is not known as a case of this person", remedy) for case in unknown]
        )


def body_of(row: store.PermitRow) -> dict[str, Any]:
    """Return a permit as its holder sees it."""
    return {
        "permit": row.id,
        "person": row.person,
        "party": row.party,
        "case": row.case_id,
        "agency": row.agency,
        "worker": row.worker,
        "purpose": row.purpose,
        "channel": row.channel,
    }
