"""A service hears an event: the real decision for it, on the cases that its handler would load."""

from __future__ import annotations

from services.allocation.domain import answers, joining, route
from services.allocation.domain import cases as rules
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import LED_ELSEWHERE, CaseState, PlannedParty, Proposal
from services.consent.domain import cases as of_case
from services.consent.domain import leads, people
from services.consent.domain.decision import Decision
from services.consent.domain.facts import Paused
from shared.contracts import cases, consent, referrals
from shared.contracts import people as person
from shared.contracts.envelope import Payload
from tests.histories.world import Unheard, World


def hear(world: World, one: Unheard) -> None:
    """Let a service hear the next event of a key."""
    event = world.topics[one.topic, one.key][world.heard[one]]
    world.heard[one] += 1
    details = (getattr(event, name, None) for name in ("case", "agency", "reason", "joined_into"))
    world.note("   ", one.service, "hears of", one.key, type(event).__name__, *details)
    if one.service == "consent":
        do(world, _consent(world, one.key, event))
    elif one.topic == "referrals":
        _of_referrals(world, one.key, event)
    else:
        _of_consent(world, one.key, event)


# ---------------------------------------------------------------------------------------------------- consent


def do(world: World, decision: Decision | None) -> None:
    """Put a decision of consent in force, and tell of it."""
    if decision is None:
        return
    world.people.update(decision.people())
    world.consent.update(decision.cases())
    for change in decision.changes:
        if isinstance(change.what, Payload) and change.how == "tell":
            world.tell("consent", change.key, change.what)


def _consent(world: World, key: str, event: Payload) -> Decision | None:  # noqa: C901, PLR0911 - one for each event
    at, context = world.at, world.context
    match event:
        case person.PersonReferred():
            return people.referred(at, key, event, context)
        case person.PersonLinked():
            return people.linked(at, key, event.other, event.number, context)
        case person.PersonUnlinked():
            return people.unlinked(at, key, event.other, event.number)
        case person.PersonHeld():
            return people.held(at, key, event)
        case person.PersonHoldLifted():
            return people.hold_lifted(at, key, event)
        case person.PersonErased():
            return people.erased(at, key, event)
        case cases.CaseProposed():
            return leads.claim(at, key, event, world.now, context)
        case cases.CaseCleared():
            return of_case.cleared(at, key, event)
        case cases.CasePaused():
            return of_case.paused(at, key, Paused(event.pause or "", event.reason, event.until))
        case cases.CaseResumed():
            return of_case.resumed(at, key, event.pause)
        case cases.CaseClosed():
            return of_case.closed(at, key, event.reason, event.joined_into)
        case cases.CasePartyLeft():
            return of_case.left(at, key, event)
    return None


# ------------------------------------------------------------------------------------------------- allocation


def carry(world: World, case: str, story: Story, *, replan: bool = False) -> None:
    """Do what follows for a case, and keep and tell it."""
    if replan and story.state.referrals and story.state.closed is None:
        proposal = _policy(world, story.state)
        if proposal != story.state.proposal:
            route.plan(story, proposal)
    route.settle(story, case, route.Staffing())
    world.cases[case] = story.state
    for told in story.told:
        if isinstance(told, Payload):
            world.tell("cases", case, told)
    if story.state.closed is not None and story.state.joined_into is None:
        world.paused.difference_update(story.state.referrals)


def _policy(world: World, state: CaseState) -> Proposal:
    """Who posted the first referral leads everybody; or else the other agency. A successor stands for whom it succeeded."""
    first = ("Y", "X") if min(state.referrals) == "r2" else ("X", "Y")
    options = tuple(world.heir(agency) for agency in first)
    parties = {
        fact.person: PlannedParty(party=fact.person, person=fact.person, role=fact.role, options=options)
        for referral in sorted(state.referrals, reverse=True)
        for fact in state.referrals[referral].parties
    }
    return Proposal(
        partnership="p", policy_version="1", rule="r", why=("w",), parties=tuple(parties.values()), hub="hub"
    )


def _of_referrals(world: World, key: str, event: Payload) -> None:
    story = Story(world.cases[key])
    match event:
        case referrals.ReferralReceived(facts=facts) | referrals.ReferralChanged(facts=facts):
            if rules.referral(story, facts, facts.received_at):
                if isinstance(event, referrals.ReferralReceived) and event.continues:
                    old = Story(world.cases[event.continues])
                    joining.part(old, story, key)
                    world.cases[event.continues] = old.state
                carry(world, key, story, replan=True)
        case referrals.ReferralRetracted():
            rules.retract(story, event.referral)
            carry(world, key, story, replan=True)
        case referrals.CaseFileJoined():
            before = story.state
            joining.join(story, event.into)
            carry(world, key, story)
            other = Story(world.cases[event.into])
            joining.take_over_pause(other, before)
            carry(world, event.into, other)
            for case in other.state.parted:
                late = Story(world.cases[case])
                joining.take_over_late(late, before)
                carry(world, case, late)


def _of_consent(world: World, key: str, event: Payload) -> None:
    match event:
        case consent.LeadAssigned():
            story = Story(world.cases[event.case])
            if answers.answered(story, event.party, event.claim, event.agency, event.worker):
                carry(world, event.case, story)
        case consent.LeadRefused():
            led = _leader(world, key, but=event.case) if event.reason == LED_ELSEWHERE else None
            story = Story(world.cases[event.case])
            if answers.refused(story, event.party, event.claim, event.reason, led):
                carry(world, event.case, story)
        case consent.LeadEnded():
            for case in sorted({*event.cases, *_cases_of(world, key)}):
                story = Story(world.cases[case])
                rules.lead_ended(story, key, event.agency, event.reason)
                carry(world, case, story)
        case consent.LeadHandedOver():
            for case in sorted({*event.cases, *_cases_of(world, key)}):
                story = Story(world.cases[case])
                rules.hand_over(story, key, event.target, event.worker, own=case in event.cases)
                carry(world, case, story)
        case consent.PersonReached():
            story = Story(world.cases[event.case])
            rules.reached(story, key, event.answer)
            carry(world, event.case, story, replan=bool(story.told))
        case _:
            _of_a_choice(world, key, event)


def _of_a_choice(world: World, key: str, event: Payload) -> None:
    match event:
        case consent.ConsentWithdrawn():
            _out(world, key, event.cases, "withdrawn")
        case consent.StandingTightened(standing="closed"):
            _out(world, key, (event.case,) if event.case else (), event.reason)
        case consent.StandingReopened():
            for case in event.cases or _cases_of(world, key):
                story = Story(world.cases[case])
                rules.reopen(story, key)
                carry(world, case, story, replan=True)
        case consent.StandingLoosened(reason="unlinked") if event.standing != "closed":
            for case in (event.case,) if event.case else _cases_of(world, key):
                story = Story(world.cases[case])
                rules.reopen(story, key, "unlinked")
                carry(world, case, story, replan=True)


def _out(world: World, key: str, named: tuple[str, ...], reason: str) -> None:
    for case in named or _cases_of(world, key):
        story = Story(world.cases[case])
        rules.person_out(story, key, reason)
        carry(world, case, story)


def _cases_of(world: World, key: str) -> tuple[str, ...]:
    return tuple(sorted(case for case, state in world.cases.items() if rules.spoken_to_as(state, key)))


def _leader(world: World, key: str, *, but: str) -> tuple[str, str | None] | None:
    found = {
        case: (party.agency, party.worker)
        for case, state in world.cases.items()
        for name in rules.spoken_to_as(state, key)
        if (party := state.parties[name]).place == "led" and state.closed is None and party.agency
        if case != but
    }
    return found[max(found)] if found else None
