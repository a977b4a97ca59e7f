"""What intake says of a case file."""

from __future__ import annotations

from services.allocation.domain import cases, coming_of_age, joining
from services.allocation.domain.evolve import Story
from services.allocation.handlers.carry import CASE, carry_on
from services.allocation.store import rows
from shared.contracts import referrals
from shared.contracts.envelope import Envelope
from shared.runtime.handlers import Handlers
from shared.runtime.stream import Ref
from shared.runtime.work import Work

handlers = Handlers()


def of_case(event: Envelope) -> list[Ref]:
    """Return the case that the event is about."""
    return [(CASE, event.subject)]


def with_the_old(event: Envelope[referrals.ReferralReceived | referrals.ReferralChanged]) -> list[Ref]:
    """Return the case that the event is about, and the one that its referral has left for it."""
    data = event.data
    left = data.continues if isinstance(data, referrals.ReferralReceived) else None
    return [(CASE, event.subject), *([(CASE, left)] if left else [])]


def into(event: Envelope[referrals.CaseFileJoined]) -> list[Ref]:
    """Return the case that ends and the one that it goes on as."""
    return [(CASE, event.subject), (CASE, event.data.into)]


@handlers.event(referrals.ReferralReceived, referrals.ReferralChanged, locks=with_the_old)
async def referral_known(
    work: Work, event: Envelope[referrals.ReferralReceived | referrals.ReferralChanged]
) -> None:
    """A referral, or a later version of one: policy is asked about the case as it is now."""
    data = event.data
    story = Story(work.state(CASE, event.subject))
    before = story.state.referrals.get(data.facts.referral)
    if cases.referral(story, data.facts, data.facts.received_at):
        coming_of_age.follow(story, event.subject, before, data.facts)
        if isinstance(data, referrals.ReferralReceived) and data.continues:
            # Before anybody is claimed: consent hears of the pause first.
            old = Story(work.state(CASE, data.continues))
            joining.part(old, story, event.subject)
            await carry_on(work, data.continues, old, replan=False, settle=False)
            rows.stage_move(work, data.continues, event.subject, data.facts.referral)
        rows.stage_fact(
            work, event.subject, "referral", data.facts.referral, data.facts.agency, data.facts.stage
        )
        await carry_on(work, event.subject, story, replan=True)


@handlers.event(referrals.ReferralHeld, locks=of_case)
async def referral_held(work: Work, event: Envelope[referrals.ReferralHeld]) -> None:
    """The case is on hold for a reason that lies in a referral."""
    data = event.data
    story = Story(work.state(CASE, event.subject))
    cases.hold(story, data.hold, data.reason, data.until)
    await carry_on(work, event.subject, story, replan=False)


@handlers.event(referrals.ReferralHoldLifted, locks=of_case)
async def referral_hold_lifted(work: Work, event: Envelope[referrals.ReferralHoldLifted]) -> None:
    """That hold is over: what waited for it goes on."""
    data = event.data
    story = Story(work.state(CASE, event.subject))
    cases.lift(story, data.hold, data.reason)
    await carry_on(work, event.subject, story, replan=True)


@handlers.event(referrals.ReferralRetracted, locks=of_case)
async def referral_retracted(work: Work, event: Envelope[referrals.ReferralRetracted]) -> None:
    """A referral supports the case no longer."""
    story = Story(work.state(CASE, event.subject))
    cases.retract(story, event.data.referral)
    await carry_on(work, event.subject, story, replan=True)


@handlers.event(referrals.CaseFileJoined, locks=into)
async def case_file_joined(work: Work, event: Envelope[referrals.CaseFileJoined]) -> None:
    """Two cases were one: the other goes on. Of its referrals intake tells there, where they may have been parted since."""
    data = event.data
    before = work.state(CASE, event.subject)
    ended = Story(before)
    joining.join(ended, data.into)
    await carry_on(work, event.subject, ended, replan=False)
    rows.stage_move(work, event.subject, data.into)
    story = Story(work.state(CASE, data.into))
    joining.take_over_pause(story, before)
    await carry_on(work, data.into, story, replan=False)
    # Some of it may have been parted again, which is heard under another key, and so perhaps before this.
    parted = story.state.parted
    await work.lock(*((CASE, case) for case in parted))
    for case in parted:
        late = Story(work.state(CASE, case))
        joining.take_over_late(late, before)
        await carry_on(work, case, late, replan=False)
