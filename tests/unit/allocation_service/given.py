"""Words for the tests of allocation's rules: a case, what policy wants of it, what consent answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from services.allocation.domain import answers, cases, route
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState, PlannedCheck, PlannedParty, Proposal
from shared.contracts.envelope import Payload, Role
from shared.contracts.referrals import PartyFact, ReferralFacts
from shared.contracts.states import replace

P = TypeVar("P", bound=Payload)
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
CASE = "case-1"
ANNA, BEN = "person-anna", "person-ben"


def facts(version: int = 1, referral: str = "r1", **changes: object) -> ReferralFacts:
    values: dict[str, Any] = {
        "referral": referral,
        "agency": "northshire-police",
        "version": version,
        "incident": "incident-1",
        "received_at": NOW,
        "offence_class": "burglary",
        "stage": "post_sentence",
        "initiated_by": "agency",
        "parties": (PartyFact(person=ANNA, role="harmed"), PartyFact(person=BEN, role="responsible")),
    }
    return ReferralFacts(**(values | changes))


def party(person: str, role: Role, *options: str, **changes: Any) -> PlannedParty:
    return PlannedParty(party=person, person=person, role=role, options=options, **changes)


PROPOSAL = Proposal(
    partnership="northshire",
    policy_version="northshire 1 (abc)",
    rule="victim-led",
    why=("The harmed party began it: victim care leads.",),
    parties=(party(ANNA, "harmed", "beacon", "second-care"), party(BEN, "responsible", "probation")),
    hub="hub",
)


def research(of: str, **changes: Any) -> PlannedCheck:
    return replace(PlannedCheck(id=f"research/{of}", kind="research", of=of, gates=(ANNA,)), **changes)


def received(
    state: CaseState | None = None,
    proposal: Proposal = PROPOSAL,
    *,
    version: int = 1,
    referral: str = "r1",
    **changes: object,
) -> Story:
    """A referral arrives and policy is asked."""
    story = Story(state or CaseState())
    cases.referral(story, facts(version, referral, **changes), NOW)
    route.plan(story, proposal)
    route.settle(story, CASE, route.Staffing())
    return story


def go_on(state: CaseState) -> Story:
    return Story(state)


def settle(story: Story) -> Story:
    route.settle(story, CASE, route.Staffing())
    return story


def assigned(state: CaseState, *people: str, claim: str | None = None) -> Story:
    """Consent makes the proposed agencies the leads of these people."""
    story = Story(state)
    for person in people:
        known = story.state.parties[person]
        answers.answered(story, person, claim or known.claim or "", known.agency or "", known.worker)
        settle(story)
    return story


def allocated(proposal: Proposal = PROPOSAL) -> CaseState:
    return assigned(received(proposal=proposal).state, ANNA, BEN).state


def told(story: Story) -> list[str]:
    return [type(one).__name__ for one in story.told if isinstance(one, Payload)]


def find(story: Story, payload: type[P]) -> P:
    """The last event of this kind."""
    return [one for one in story.told if isinstance(one, payload)][-1]
