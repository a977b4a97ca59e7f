"""What comes back into a case: whoever had gone for want of a referral, when one names them again."""

from __future__ import annotations

from services.allocation.domain.evolve import Placed, Reopened, Story
from services.allocation.domain.reasons import RETRACTED
from shared.contracts.cases import CaseResumed
from shared.contracts.referrals import ReferralFacts


def named_again(story: Story, facts: ReferralFacts) -> None:
    """Who had gone because a referral was taken back is in the case again; so is a case that had closed for that alone."""
    if story.state.closed == RETRACTED:
        story.tell(Reopened(), CaseResumed(reason="referred_again"))
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
