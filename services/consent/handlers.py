"""What comes in: intake's people, allocation's cases and agencies, and time. Each: load, decide, save.

On the way of every referral (referred, proposed, cleared) only states that were loaded for the whole batch are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.consent import store
from services.consent.domain import cases, coming_of_age, leads, outcomes, people, permits
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.evolve import evolve
from services.consent.domain.facts import Context, Paused
from services.consent.domain.standing import start_of
from services.consent.domain.state import CaseState, PersonState
from services.consent.domain.taking_in import evolve_case
from shared.contracts import agencies as agency_events
from shared.contracts import cases as case_events
from shared.contracts import consent as own
from shared.contracts import people as people_events
from shared.contracts.envelope import REGISTER, Envelope, Payload
from shared.runtime.handlers import Handlers
from shared.runtime.stream import Ref, Stream
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

BATCH = 200
GRANTED = counter("permits_granted", "permits granted, by purpose")
REFUSED = counter("permits_refused", "requests for a permit refused, by reason")
NEAR_MISSES = counter("second_approaches_refused", "refusals that would have been a second approach")
WITHDRAWN = counter("withdrawals_in_force", "withdrawals in force, by state")

PERSON: Stream[PersonState] = Stream(
    kind="person",
    topic="consent",
    state=PersonState,
    evolve=evolve,
    group=lambda state: [link.id for link in state.links if link.holds],
)
# What is known of a case: locked and saved as a person's ledger is, but nothing is ever told of it. A refusal to one person
# because of a pause is that person's event.
CASE: Stream[CaseState] = Stream(kind="case", topic="consent", state=CaseState, evolve=evolve_case)

handlers = Handlers()


class Held:
    """The locked states of one stream, as the rules want them. Raises KeyError for a key that is not locked."""

    def __init__(self, work: Work, stream: Stream[Any]) -> None:
        """Read nothing yet."""
        self._work = work
        self._stream = stream

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - the stream's state
        """Return the state of a locked key."""
        return self._work.state(self._stream, key)


def situation(work: Work) -> Situation:
    """Return what is locked."""
    return Situation(Held(work, PERSON), Held(work, CASE))


def carry_out(work: Work, decision: Decision) -> Decision:
    """Record what a decision says, with the rows and timers that follow from it."""
    for how, key, what in decision.changes:
        if how == "case":
            work.note(CASE, key, what)
        elif how == "note":
            work.note(PERSON, key, what)
        else:
            assert isinstance(what, Payload)  # noqa: S101 - only events are told
            work.record(PERSON, key, what)
            stage(work, key, what)
    return decision


def stage(work: Work, key: str, event: Payload) -> None:
    """Stage rows, timers and measures of one own event."""
    store.stage(work, key, event, work.now)
    if isinstance(event, own.PersonReached) and event.not_before is not None:
        work.timer("not-before", key, start_of(event.not_before))
    if isinstance(event, own.PermitGranted | own.PermitRefused | own.ConsentWithdrawn):
        work.after_commit(lambda: _count(event))


def _count(event: Payload) -> None:
    match event:
        case own.PermitGranted():
            GRANTED.add(1, {"purpose": event.purpose})
        case own.PermitRefused():
            REFUSED.add(1, {"reason": event.reason})
            NEAR_MISSES.add(int(event.second_approach))
        case own.ConsentWithdrawn():
            WITHDRAWN.add(1, {"state": "in_flight" if event.in_flight else "clean"})
        case _:
            pass


def everyone(*keys: str) -> list[Ref]:
    """Return people to lock."""
    return [(PERSON, key) for key in keys]


def subject(e: Envelope) -> list[Ref]:
    """Return the person that an event is about."""
    return [(PERSON, e.subject)]


# --- people, by intake


def _referred_keys(e: Envelope[people_events.PersonReferred]) -> Iterable[Ref]:
    return (PERSON, e.subject), (CASE, e.data.case)


async def _lock_voices(work: Work, person: str, safety: people_events.Safety) -> None:
    """Lock who is spoken to for somebody who comes of age by this."""
    state = work.state(PERSON, person)
    if coming_of_age.is_news(state, safety):
        await work.lock(*everyone(*coming_of_age.voices(state)))


@handlers.event(people_events.PersonReferred, locks=_referred_keys)
async def person_referred(work: Work, e: Envelope[people_events.PersonReferred]) -> None:
    """A referral names a person."""
    data = e.data
    await _lock_voices(work, e.subject, data.safety)
    carry_out(work, people.referred(situation(work), e.subject, data, Context(work.now)))


@handlers.event(people_events.PersonChanged, locks=subject)
async def person_changed(work: Work, e: Envelope[people_events.PersonChanged]) -> None:
    """How a person may safely be contacted has changed."""
    data = e.data
    await _lock_voices(work, e.subject, data.safety)
    carry_out(work, people.changed(situation(work), e.subject, data))


@handlers.event(people_events.PersonHeld, locks=subject)
async def person_held(work: Work, e: Envelope[people_events.PersonHeld]) -> None:
    """A hold begins."""
    carry_out(work, people.held(situation(work), e.subject, e.data))


@handlers.event(people_events.PersonHoldLifted, locks=subject)
async def person_hold_lifted(work: Work, e: Envelope[people_events.PersonHoldLifted]) -> None:
    """A hold is over."""
    carry_out(work, people.hold_lifted(situation(work), e.subject, e.data))


@handlers.event(people_events.PersonErased, locks=subject)
async def person_erased(work: Work, e: Envelope[people_events.PersonErased]) -> None:
    """A person has been erased."""
    carry_out(work, people.erased(situation(work), e.subject, e.data))


def _pair(e: Envelope[people_events.PersonLinked | people_events.PersonUnlinked]) -> Iterable[Ref]:
    return (PERSON, e.subject), (PERSON, e.data.other)


@handlers.event(people_events.PersonLinked, locks=_pair)
async def person_linked(work: Work, e: Envelope[people_events.PersonLinked]) -> None:
    """Two ids are one human."""
    data = e.data
    context = Context(work.now, await store.successions(work))
    carry_out(work, people.linked(situation(work), e.subject, data.other, data.number, context))


@handlers.event(people_events.PersonUnlinked, locks=_pair)
async def person_unlinked(work: Work, e: Envelope[people_events.PersonUnlinked]) -> None:
    """They are two after all."""
    data = e.data
    carry_out(work, people.unlinked(situation(work), e.subject, data.other, data.number))


# --- cases, by allocation


def _proposed_keys(e: Envelope[case_events.CaseProposed]) -> Iterable[Ref]:
    named = {key for lead in e.data.leads for key in (lead.party, lead.person)}
    return (CASE, e.subject), *((PERSON, key) for key in named)


@handlers.event(case_events.CaseProposed, locks=_proposed_keys)
async def case_proposed(work: Work, e: Envelope[case_events.CaseProposed]) -> None:
    """A claim: decided party by party, in one transaction, under the people's locks."""
    data = e.data
    grown = [work.state(PERSON, lead.party) for lead in data.leads if lead.of_age]
    if grown:
        await work.lock(*everyone(*{contact for state in grown for contact in coming_of_age.voices(state)}))
    decision = leads.claim(situation(work), e.subject, data, e.time, Context(work.now))
    if any(event.reason == "led_elsewhere" for _, event in decision.told(own.LeadRefused)):
        # Another agency leads, unless one of the two has succeeded the other: rare, so it is looked up only now.
        context = Context(work.now, await store.successions(work))
        decision = leads.claim(situation(work), e.subject, data, e.time, context)
    carry_out(work, decision)


def _cleared_keys(e: Envelope[case_events.CaseCleared]) -> Iterable[Ref]:
    return [(PERSON, party.party) for party in e.data.parties]


@handlers.event(case_events.CaseCleared, locks=_cleared_keys)
async def case_cleared(work: Work, e: Envelope[case_events.CaseCleared]) -> None:
    """The checks of some parties are answered."""
    carry_out(work, cases.cleared(situation(work), e.subject, e.data))


def case_of(e: Envelope) -> list[Ref]:
    """Return the case that an event is about."""
    return [(CASE, e.subject)]


async def lock_members(work: Work, case: str) -> None:
    """Lock everybody in a locked case."""
    await work.lock(*everyone(*(member.id for member in work.state(CASE, case).members)))


@handlers.event(case_events.CasePaused, locks=case_of)
async def case_paused(work: Work, e: Envelope[case_events.CasePaused]) -> None:
    """A pause, which allocation has put in force here by call already, or which comes by event alone."""
    data = e.data
    await lock_members(work, e.subject)
    carry_out(
        work, cases.paused(situation(work), e.subject, Paused(data.pause or "", data.reason, data.until))
    )


@handlers.event(case_events.CaseResumed, locks=case_of)
async def case_resumed(work: Work, e: Envelope[case_events.CaseResumed]) -> None:
    """A pause is over, or a case that was closed goes on."""
    data = e.data
    if data.pause is None:
        await lock_members(work, e.subject)
    carry_out(work, cases.resumed(situation(work), e.subject, data.pause))


def _closed_keys(e: Envelope[case_events.CaseClosed]) -> list[Ref]:
    return [(CASE, case) for case in (e.subject, e.data.joined_into) if case]


@handlers.event(case_events.CaseClosed, locks=_closed_keys)
async def case_closed(work: Work, e: Envelope[case_events.CaseClosed]) -> None:
    """A case is over, or went on as another."""
    data = e.data
    await lock_members(work, e.subject)
    carry_out(work, cases.closed(situation(work), e.subject, data.reason, data.joined_into))


def _left_keys(e: Envelope[case_events.CasePartyLeft]) -> list[Ref]:
    data = e.data
    return [(CASE, e.subject), *everyone(data.party, data.person)]


@handlers.event(case_events.CasePartyLeft, locks=_left_keys)
async def party_left(work: Work, e: Envelope[case_events.CasePartyLeft]) -> None:
    """A party is named in a case no longer."""
    await lock_members(work, e.subject)
    carry_out(work, cases.left(situation(work), e.subject, e.data))


@handlers.event(case_events.CaseAccepted, locks=case_of)
async def case_accepted(work: Work, e: Envelope[case_events.CaseAccepted]) -> None:
    """A lead agency has taken the case on, and perhaps named its worker."""
    data = e.data
    if data.worker is None:
        return
    await lock_members(work, e.subject)
    members = [member.id for member in work.state(CASE, e.subject).members]
    context = Context(work.now, await store.successions(work))
    carry_out(work, leads.name_worker(situation(work), e.subject, members, data.agency, data.worker, context))


# --- agencies, by allocation


@handlers.event(agency_events.AgencyChanged, locks=lambda _: ())
async def agency_changed(work: Work, e: Envelope[agency_events.AgencyChanged]) -> None:
    """Which deputy each worker names: of one who has left, too, or nobody could speak with whom they were the friend of."""
    for worker in e.data.workers:
        work.write(store.save_workers, (worker.id, e.subject, worker.deputy))


@handlers.event(agency_events.AgencySucceeded, locks=lambda _: ())
async def agency_succeeded(work: Work, e: Envelope[agency_events.AgencySucceeded]) -> None:
    """An agency's leads are its successor's from that moment; they are written down person by person when it has come."""
    data = e.data
    work.write(store.save_successions, (e.subject, data.successor, data.since))
    work.timer("succession", e.subject, max(data.since, work.now))


# --- time


def _person_of(_: str, data: dict[str, Any]) -> list[Ref]:
    return [(PERSON, data["person"])]


@handlers.timer("permit-expiry", locks=_person_of)
async def permit_expiry(work: Work, key: str, data: dict[str, Any]) -> None:
    """A permit was not redeemed in time."""
    carry_out(work, permits.expire(situation(work), data["person"], key, Context(work.now)))


@handlers.timer("outcome-due", locks=_person_of)
async def outcome_due(work: Work, key: str, data: dict[str, Any]) -> None:
    """An outcome is missing."""
    carry_out(work, permits.overdue(situation(work), data["person"], key, Context(work.now)))


@handlers.timer("not-before", locks=lambda key, _: [(PERSON, key)])
async def not_before(work: Work, key: str, _: dict[str, Any]) -> None:
    """The date that a person gave has come."""
    carry_out(work, outcomes.date_came(situation(work), key, Context(work.now)))


@handlers.timer("succession", locks=lambda _key, _data: ())
async def succession(work: Work, key: str, _: dict[str, Any]) -> None:
    """Write down, a batch at a time, whom the successor leads now."""
    led = await store.led_by(work, key, BATCH)
    await work.lock(*everyone(*led))
    context = Context(work.now, await store.successions(work))
    for person in led:
        carry_out(work, leads.succeed(situation(work), person, context))
    if len(led) == BATCH:
        work.timer("succession", key, work.now)


# --- after a restore


_ROWS = tuple(contract.payload for contract in REGISTER.values() if contract.topic == "consent")


@handlers.restore(*_ROWS)
async def put_back(work: Work, e: Envelope) -> None:
    """Rebuild the rows of an own event that only the topic still has."""
    store.stage(work, e.subject, e.data, e.time)
    data = e.data
    if isinstance(data, own.PersonReached) and data.not_before is not None:
        work.timer("not-before", e.subject, start_of(data.not_before))
