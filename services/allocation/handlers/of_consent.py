"""What consent says of the people of a case: who leads, who said no, who was reached."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from services.allocation.domain import answers, cases
from services.allocation.domain.cases import spoken_to_as
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import LED_ELSEWHERE
from services.allocation.handlers.carry import CASE, carry_on
from services.allocation.store import rows
from shared.contracts import consent
from shared.contracts.envelope import Envelope
from shared.runtime.handlers import Handlers
from shared.runtime.stream import Ref
from shared.runtime.work import Work

OfCase = (
    consent.LeadAssigned
    | consent.LeadRefused
    | consent.StandingTightened
    | consent.StandingLoosened
    | consent.PersonReached
    | consent.AttemptRecorded
)
OfCases = consent.LeadEnded | consent.LeadHandedOver | consent.ConsentWithdrawn | consent.StandingReopened

handlers = Handlers()
UNLED: Final = timedelta(seconds=10)

_CASES_OF = "SELECT DISTINCT case_id FROM case_party WHERE person = $1 OR party = $1"
_LEADERS_OF = """
SELECT p.case_id, p.agency, p.worker FROM case_party AS p JOIN case_row AS c USING (case_id)
WHERE p.person = $1 AND p.place = 'led' AND c.closed_at IS NULL
"""


def of_case(event: Envelope[OfCase]) -> list[Ref]:
    """Return the one case that the event names."""
    return [(CASE, event.data.case)] if event.data.case else []


def of_cases(event: Envelope[OfCases]) -> list[Ref]:
    """Return the cases that the event names."""
    return [(CASE, case) for case in event.data.cases]


async def cases_of(work: Work, person: str) -> list[str]:
    """Lock and return every case in which this person is a party or speaks for one."""
    found = sorted(row["case_id"] for row in await work.fetch(_CASES_OF, person))
    await work.lock(*((CASE, case) for case in found))
    return found


async def leader_of(work: Work, person: str, *, but: str) -> tuple[str, str | None] | None:
    """Return the agency and worker who lead a person through a case other than this one; None if it is no case of ours."""
    found = {row["case_id"]: (row["agency"], row["worker"]) for row in await work.fetch(_LEADERS_OF, person)}
    # Of the cases that this batch has changed, the rows still tell what was before it.
    for case, state in work.locked(CASE).items():
        found.pop(case, None)
        led = [party for key in spoken_to_as(state, person) if (party := state.parties[key]).place == "led"]
        if led and state.closed is None:
            found[case] = (led[0].agency, led[0].worker)
    found.pop(but, None)
    return found[max(found)] if found else None


@handlers.event(consent.LeadAssigned, locks=of_case)
async def lead_assigned(work: Work, event: Envelope[consent.LeadAssigned]) -> None:
    """An agency that we proposed is the lead."""
    data = event.data
    story = Story(work.state(CASE, data.case))
    if answers.answered(story, data.party, data.claim, data.agency, data.worker):
        await carry_on(work, data.case, story, replan=False)


@handlers.event(consent.LeadRefused, locks=of_case)
async def lead_refused(work: Work, event: Envelope[consent.LeadRefused]) -> None:
    """An agency that we proposed is not. If another leads, and leads through a case of ours, we know which."""
    data = event.data
    elsewhere = None
    if data.reason == LED_ELSEWHERE:
        elsewhere = await leader_of(work, event.subject, but=data.case)
    story = Story(work.state(CASE, data.case))
    if answers.refused(story, data.party, data.claim, data.reason, elsewhere):
        await carry_on(work, data.case, story, replan=False)


@handlers.event(consent.LeadEnded, locks=of_cases)
async def lead_ended(work: Work, event: Envelope[consent.LeadEnded]) -> None:
    """A tenure is over: in its own cases, and in those that followed it because the person was led elsewhere."""
    data = event.data
    for case in sorted({*data.cases, *await cases_of(work, event.subject)}):
        story = Story(work.state(CASE, case))
        cases.lead_ended(story, event.subject, data.agency, data.reason)
        ours = data.reason == "reassigned"
        await carry_on(work, case, story, replan=False, settle=not ours)
        if ours and story.told:
            # We asked for it, and whoever asked is about to say who leads next. If that process died in between, the
            # case is proposed anew.
            work.timer("unled", case, work.now + UNLED)


@handlers.event(consent.LeadHandedOver, locks=of_cases)
async def lead_handed_over(work: Work, event: Envelope[consent.LeadHandedOver]) -> None:
    """The lead moved, with all its cases; those that followed it because the person was led elsewhere still do."""
    data = event.data
    for case in sorted({*data.cases, *await cases_of(work, event.subject)}):
        story = Story(work.state(CASE, case))
        cases.hand_over(story, event.subject, data.target, data.worker, own=case in data.cases)
        await carry_on(work, case, story, replan=False)


async def _out(work: Work, person: str, named: Iterable[str], reason: str) -> None:
    for case in list(named) or await cases_of(work, person):
        story = Story(work.state(CASE, case))
        cases.person_out(story, person, reason)
        await carry_on(work, case, story, replan=False)


@handlers.event(consent.ConsentWithdrawn, locks=of_cases)
async def consent_withdrawn(work: Work, event: Envelope[consent.ConsentWithdrawn]) -> None:
    """The person takes part no longer, in these cases or in anything."""
    await _out(work, event.subject, event.data.cases, "withdrawn")


@handlers.event(consent.StandingTightened, locks=of_case)
async def standing_tightened(work: Work, event: Envelope[consent.StandingTightened]) -> None:
    """Closed for contact ends the person's part. A pause at consent does not: it grants nothing meanwhile anyhow."""
    data = event.data
    if data.standing == "closed":
        await _out(work, event.subject, (data.case,) if data.case else (), data.reason)


@handlers.event(consent.StandingReopened, locks=of_cases)
async def standing_reopened(work: Work, event: Envelope[consent.StandingReopened]) -> None:
    """The person asked to take part after all."""
    for case in event.data.cases or await cases_of(work, event.subject):
        story = Story(work.state(CASE, case))
        cases.reopen(story, event.subject)
        await carry_on(work, case, story, replan=True)


@handlers.event(consent.StandingLoosened, locks=of_case)
async def standing_loosened(work: Work, event: Envelope[consent.StandingLoosened]) -> None:
    """A "no" that counted because of a link counts no longer: it was somebody else's."""
    data = event.data
    if data.reason != "unlinked" or data.standing == "closed":
        return
    for case in (data.case,) if data.case else await cases_of(work, event.subject):
        story = Story(work.state(CASE, case))
        cases.reopen(story, event.subject, "unlinked")
        await carry_on(work, case, story, replan=True)


@handlers.event(consent.PersonReached, locks=of_case)
async def person_reached(work: Work, event: Envelope[consent.PersonReached]) -> None:
    """The person has been spoken to and answered: in an approach, for all their cases.

    Whoever is responsible in hundreds of cases is asked once whether they are willing, not once for each victim.
    """
    data = event.data
    agreed = data.wide and data.answer == "agreed"
    others = [case for case in await cases_of(work, event.subject) if case != data.case] if agreed else []
    before = work.state(CASE, data.case)
    story = Story(before)
    cases.reached(story, event.subject, data.answer)
    harmed = any(
        before.parties[p].role in ("harmed", "both") for p in cases.spoken_to_as(before, event.subject)
    )
    if before.parties:
        key = f"{event.subject}:{data.answer}"
        rows.stage_fact(
            work, data.case, "harmed_reached" if harmed else "reached", key, data.agency, data.answer
        )
    # What the person said is a fact that policy may ask about.
    await carry_on(work, data.case, story, replan=bool(story.told))
    for case in others:
        story = Story(work.state(CASE, case))
        if story.state.closed is None:
            cases.reached(story, event.subject, data.answer)
            await carry_on(work, case, story, replan=bool(story.told))


@handlers.event(consent.AttemptRecorded, locks=of_case)
async def attempt_recorded(work: Work, event: Envelope[consent.AttemptRecorded]) -> None:
    """When a case's first contact was: measures count the days to it."""
    data = event.data
    if data.outcome != "not_made" and work.state(CASE, data.case).parties:
        rows.stage_fact(work, data.case, "contact", "first", data.agency, data.channel)
