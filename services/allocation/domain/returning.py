"""What comes back into a case: whoever had gone for want of a referral, when one names them again."""

from __future__ import annotations

from services.allocation.domain.evolve import Placed, Reopened, Story
from services.allocation.domain.reasons import RETRACTED
from services.allocation.domain.route import pause
from services.allocation.domain.state import BY_HUB
from shared.contracts.cases import CasePartyLeft, CaseResumed
from shared.contracts.referrals import ReferralFacts


def go_on(story: Story, reason: str) -> None:
    """Let a closed case go on, without those whom no referral names any more: they may be in another by now.

    That they have left is told first: consent takes back into the case whoever was in it when it closed. What the hub had
    paused is paused still: that the case was over for a while is no answer to why.
    """
    named = {fact.person for facts in story.state.referrals.values() for fact in facts.parties}
    gone = {key: party.person for key, party in story.state.parties.items() if key not in named}
    for key, person in gone.items():
        story.tell(CasePartyLeft(party=key, person=person, reason=RETRACTED))
    paused = story.state.closed_paused
    story.tell(Reopened(), CaseResumed(reason=reason))
    if paused is not None:
        # Told after, and before anybody is claimed: that the case goes on ends every pause at consent.
        pause(story, BY_HUB, paused)
    for key in gone:
        story.tell(Placed(key, "out", reason=RETRACTED))


def named_again(story: Story, facts: ReferralFacts) -> None:
    """Who had gone because a referral was taken back is in the case again; so is a case that had closed for that alone."""
    if story.state.closed == RETRACTED:
        go_on(story, "referred_again")
        return
    for fact in facts.parties:
        known = story.state.parties.get(fact.person)
        if (
            known is not None
            and known.place == "out"
            and known.reason == RETRACTED
            and not story.state.closed
        ):
            story.tell(Placed(fact.person, "new"))
