"""A party comes of age: from now on they are spoken to themselves, by the agency that led through their contact person."""

from __future__ import annotations

from typing import Final

from services.allocation.domain.evolve import OfAge, Story
from services.allocation.domain.route import claim
from shared.contracts.cases import ProposedLead
from shared.contracts.referrals import YOUNG, PartyFact, ReferralFacts

OF_AGE: Final = "came_of_age"


def follow(story: Story, case: str, before: ReferralFacts | None, facts: ReferralFacts) -> None:
    """Claim the leads for those who have come of age between what a referral said before and what it says now.

    Consent ends the contact person's part by itself. The same agency is claimed, and the same worker, whatever policy would
    say of an adult who is new: the person has one friend, who has been at work.
    """
    if before is None:
        return
    was = {fact.person: fact for fact in before.parties}
    same = before.version == facts.version
    for fact in facts.parties:
        known = story.state.parties.get(fact.person)
        earlier = was.get(fact.person)
        if known is None or earlier is None or known.person == fact.person:
            continue
        if _grown(earlier, fact, same_version=same):
            _claim(story, case, fact.person)


def _grown(before: PartyFact, now: PartyFact, *, same_version: bool) -> bool:
    """Say whether nobody is spoken to for this party any more, because it is no child.

    Intake tells more of a version that is known when the day has come. A later version says it by another date of birth.
    """
    if now.contact_persons or now.age_band in YOUNG:
        return False
    return bool(before.contact_persons) and (
        same_version or (before.age_band in YOUNG and now.age_band != "unknown")
    )


def _claim(story: Story, case: str, party: str) -> None:
    story.tell(OfAge(party))
    known, proposal = story.state.parties[party], story.state.proposal
    if known.place not in ("led", "elsewhere", "claimed") or known.agency is None:
        return
    if story.state.closed or proposal is None:
        return
    lead = ProposedLead(
        party=party, person=party, role=known.role, agency=known.agency, worker=known.worker, of_age=True
    )
    said = (
        f"Somebody has come of age, and is spoken to themselves from now on: {known.agency} goes on leading."
    )
    claim(story, case, (lead,), OF_AGE, (said, *proposal.why))
