"""Who is spoken to for a party changes, and the agency that leads goes on leading.

A party comes of age, and is spoken to itself. Or a referral names a contact person, or another one, for somebody who is led
already: consent grants nothing for whom the lead was claimed then, so that it has to be claimed for who is spoken to now.
"""

from __future__ import annotations

from typing import Final

from services.allocation.domain.evolve import OfAge, SpokenTo, Story
from services.allocation.domain.route import claim
from shared.contracts.cases import ProposedLead
from shared.contracts.referrals import YOUNG, PartyFact, ReferralFacts

OF_AGE: Final = "came_of_age"
THROUGH: Final = "contact_person_changed"
STAYS: Final = frozenset({OF_AGE, THROUGH})
"""Why a tenure ended that was claimed anew for somebody else who is spoken to for the same party."""


def follow(story: Story, case: str, before: ReferralFacts | None, facts: ReferralFacts) -> None:
    """Claim the leads for those who have come of age between what a referral said before and what it says now.

    Consent ends the contact person's part by itself. The same agency is claimed, and the same worker, whatever policy would
    say of an adult who is new: the person has one friend, who has been at work.
    """
    was = {fact.person: fact for fact in before.parties} if before else {}
    same = before is not None and before.version == facts.version
    for fact in facts.parties:
        known = story.state.parties.get(fact.person)
        earlier = was.get(fact.person)
        if known is None:
            continue
        if fact.contact_persons and not _is_named(story, fact.person, known.person):
            _speak_through(story, case, fact.person, fact.contact_persons[0])
        elif earlier and known.person != fact.person and _grown(earlier, fact, same_version=same):
            _claim(story, case, fact.person)


def _is_named(story: Story, party: str, person: str) -> bool:
    """Say whether any referral names this contact person of a party."""
    every = (fact for facts in story.state.referrals.values() for fact in facts.parties)
    return any(fact.person == party and person in fact.contact_persons for fact in every)


def _speak_through(story: Story, case: str, party: str, person: str) -> None:
    story.tell(SpokenTo(party, person))
    why = "Somebody else is spoken to for a party from now on: {agency} goes on leading."
    _claim_anew(story, case, party, THROUGH, why)


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
    why = "Somebody has come of age, and is spoken to themselves from now on: {agency} goes on leading."
    _claim_anew(story, case, party, OF_AGE, why)


def _claim_anew(story: Story, case: str, party: str, rule: str, why: str) -> None:
    known, proposal = story.state.parties[party], story.state.proposal
    if known.place not in ("led", "elsewhere", "claimed") or known.agency is None:
        return
    if story.state.closed or proposal is None:
        return
    lead = ProposedLead(
        party=party,
        person=known.person,
        role=known.role,
        agency=known.agency,
        worker=known.worker,
        of_age=True,
    )
    claim(story, case, (lead,), rule, (why.format(agency=known.agency), *proposal.why))
