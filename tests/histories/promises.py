"""What must hold after every step, and what once everybody has heard everything."""

from __future__ import annotations

from services.allocation.domain.state import BY_HUB, CaseState, Party
from services.consent.domain import contact
from services.consent.domain.decision import Decision
from services.consent.domain.facts import Ask
from services.consent.domain.standing import leads_of, own_no
from tests.histories.intake import REFERRALS, Intake
from tests.histories.world import IDS, ROB, Broken, World
from tests.support.promise import Promise

PASSED = frozenset(
    {
        "case_closed", "no_lead", "on_hold", "paused", "unknown", "not_lead", "not_cleared", "not_contact_person",
    }
)  # fmt: skip
"""Why the lead of an open, cleared case that is not paused must not be refused, once everything has been heard."""


def one_lead(world: World) -> None:
    """N7: one human has one lead, at any time."""
    decision = Decision(world.at)
    for person in (*IDS, ROB):
        agencies = {world.heir(lead.agency) for _, lead in leads_of(decision, decision.group(person))}
        if len(agencies) > 1:
            raise Broken(Promise.N7, f"{person} is led by {' and '.join(sorted(agencies))}")


def at_rest(world: World, intake: Intake) -> None:
    """N9: everything has converged, and nobody is forgotten, led by nobody, or locked out by nothing."""
    one_lead(world)
    for referral in intake.live():
        case, person = intake.case_of[referral], REFERRALS[referral].person
        state = world.cases[case]
        if referral in world.paused and state.closed is None and BY_HUB not in state.pauses:
            raise Broken(Promise.N6, f"{case} is not paused, though the hub paused {referral}")
        if state.closed is None:
            _goes_on(world, intake, case, person)
        else:
            _ended_by_a_no(world, intake, case, state)
    live = {intake.case_of[referral] for referral in intake.live()}
    for case, state in sorted(world.cases.items()):
        if state.closed is None and state.referrals and case not in live:
            raise Broken(Promise.N9, f"{case} is open, and no referral is in it")
    for person in sorted(world.people):
        _led_for_something(world, person)


def _goes_on(world: World, intake: Intake, case: str, person: str) -> None:
    state = world.cases[case]
    party = state.parties.get(person)
    if party is None:
        raise Broken(Promise.N9, f"{person} is not in {case}")
    asked = state.undecided is not None or any(
        other.place == "led" for other in state.parties.values() if other.role == "harmed"
    )
    if party.place == "led":
        _agrees_on_the_lead(world, case, person, party)
        if party.cleared and not state.pauses:
            _is_not_locked_out(world, case, person, party)
    elif party.place in {"new", "claimed", "ended"} and not asked:
        raise Broken(Promise.N9, f"{person} in {case} is {party.place}, and nobody is asked")
    elif party.place == "out" and party.reason == "linked" and not intake.linked:
        raise Broken(Promise.N9, f"{person} is out of {case} for a link that is none")
    elif party.place == "out" and party.reason != "linked" and not _no_of(world, world.group(person), case):
        raise Broken(Promise.N9, f"{person} is out of {case} ({party.reason}), and nobody's no stands")


def _agrees_on_the_lead(world: World, case: str, person: str, party: Party) -> None:
    leads = [lead.agency for _, lead in leads_of(Decision(world.at), world.group(person))]
    if leads[:1] != [party.agency]:
        raise Broken(Promise.N9, f"{party.agency} leads {person} in {case}; for consent it is {leads}")
    own = world.people[person].lead
    if own is None or (case, person) not in own.covers:
        raise Broken(Promise.N9, f"consent's lead of {person} is not for {case}, which {party.agency} leads")


def _is_not_locked_out(world: World, case: str, person: str, party: Party) -> None:
    ask = Ask(case, person, person, world.heir(party.agency or ""), None, "approach", None)
    refusal = contact.check(Decision(world.at), ask, world.context)
    if refusal is not None and refusal.reason in PASSED:
        raise Broken(Promise.N9, f"{party.agency} leads {person} in {case} and is refused: {refusal.reason}")


def _ended_by_a_no(world: World, intake: Intake, case: str, state: CaseState) -> None:
    if state.closed == "linked" and intake.linked:
        return
    locked_out = state.closed in {"joined", "retracted"}
    if state.closed in {"linked", "declined", "withdrawn", "carried_over", "closed"}:
        locked_out = not _no_of(
            world, (*state.parties, *IDS) if intake.linked else tuple(state.parties), case
        )
    if locked_out:
        raise Broken(
            Promise.N9, f"{case} is over ({state.closed}), a referral is in it, and nobody's no stands"
        )


def _no_of(world: World, ids: tuple[str, ...], case: str) -> bool:
    return any(own_no(world.people[one], case) for one in ids)


def _led_for_something(world: World, person: str) -> None:
    ledger = world.people[person]
    if ledger.lead is None or (ledger.permit is not None and ledger.permit.redeemed):
        return
    if all(
        world.cases[case].closed is not None or party not in world.cases[case].parties
        for case, party in ledger.lead.covers
    ):
        raise Broken(Promise.N9, f"{ledger.lead.agency} leads {person}, for nothing that is open")
