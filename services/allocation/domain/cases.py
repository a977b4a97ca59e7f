"""What happens to a case: what intake and consent say, and what agencies and hubs do with it.

Each function tells the story of one thing; `route.settle` then carries the case on. What may not be is raised as `Refused`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import uuid5

from services.allocation.domain.coming_of_age import STAYS
from services.allocation.domain.evolve import (
    Answered,
    Asked,
    Decided,
    Dropped,
    Learned,
    PartnershipChosen,
    Placed,
    PolicyLeft,
    Received,
    Story,
    TeamTakes,
)
from services.allocation.domain.reasons import LINKED, RETRACTED
from services.allocation.domain.returning import go_on, named_again
from services.allocation.domain.route import (
    CHECKS,
    NOT_CONTACTABLE,
    REMIND_BEFORE,
    answer,
    ask_hub,
    claim,
    pause,
    unpause,
    waiting,
)
from services.allocation.domain.state import BY_HUB, HARMED, RESPONSIBLE, CaseState, Check, leads_of
from shared.contracts.cases import (
    CaseAccepted,
    CaseClosed,
    CasePartyLeft,
    CaseReturned,
    CaseTeamChanged,
    CaseTransferred,
    CheckKind,
    CheckRequested,
    OutcomeRecorded,
    ProposedLead,
)
from shared.contracts.referrals import ReferralFacts

# National conditions of taking part: no hub can waive them.
NOT_WAIVABLE: Final[frozenset[CheckKind]] = frozenset(
    {"admission", "willingness", "agreement_to_share", "responsible_identified"}
)
NOT_THEIRS: Final = frozenset({LINKED, "closed"})
"""Why a party is out, or was refused a lead, by the "no" of somebody linked. Its own is said again by no unlink."""
MEMBERS_AT_MOST: Final = 30
TEAM_HOURS: Final = 6
"""What delivering a case takes of each member of its team: preparation, the meeting, the follow-up."""

Why = Literal[
    "not-lead", "closed", "already-accepted", "check-answered", "checks-open", "not-waivable", "undecided", "not-allocated",
    "invalid",
]  # fmt: skip


class Refused(Exception):
    """Something that the rules do not allow: a stable code and a sentence with the remedy."""

    def __init__(self, why: Why, detail: str) -> None:
        """Carry the code and the sentence."""
        super().__init__(detail)
        self.why: Why = why
        self.detail = detail


# ------------------------------------------------------------------------------------------ what intake says


def referral(story: Story, facts: ReferralFacts, now: datetime) -> bool:
    """A referral, or a later version of one, is known. False if there is nothing new in it."""
    known = story.state.referrals.get(facts.referral)
    # Of one version intake may learn more: who a party really is, that somebody has come of age. Its stream is in order.
    if known is not None and (known.version > facts.version or known == facts):
        return False
    story.tell(Received(now), Learned(facts))
    if known is not None:
        _named_no_more(story, known)
    named_again(story, facts)
    if story.state.closed and facts.initiated_by in ("harmed", "responsible") and story.state.proposal:
        # A person who comes back of their own accord is not turned away by a closed file, nor approached by rule.
        ask_hub(story, "asked_again")
    return True


def _named_no_more(story: Story, before: ReferralFacts) -> None:
    """Whom a version of a referral no longer names, and no other referral does, takes no part."""
    named = {fact.person for facts in story.state.referrals.values() for fact in facts.parties}
    for fact in before.parties:
        known = story.state.parties.get(fact.person)
        if known and known.place != "out" and fact.person not in named and story.state.closed is None:
            story.tell(CasePartyLeft(party=fact.person, person=known.person, reason=RETRACTED))
            take_out(story, fact.person, RETRACTED)


def retract(story: Story, referral_id: str) -> None:
    """A referral was posted in error. The case goes on only while another supports it."""
    if referral_id not in story.state.referrals:
        return
    story.tell(Dropped(referral_id))
    named = {fact.person for facts in story.state.referrals.values() for fact in facts.parties}
    if not story.state.referrals:
        close(story, RETRACTED)
        return
    for key, party in story.state.parties.items():
        if key not in named and party.place != "out":
            if story.state.closed is None:
                # Consent may be deciding a claim for this party, or have decided it: a lead would stand for nothing.
                story.tell(CasePartyLeft(party=key, person=party.person, reason=RETRACTED))
            take_out(story, key, RETRACTED)


def hold(story: Story, hold_id: str, reason: str, until: datetime | None) -> None:
    """A referral puts the case on hold."""
    pause(story, f"referral:{hold_id}", reason, until)


def lift(story: Story, hold_id: str, reason: str) -> None:
    """That hold is over."""
    unpause(story, f"referral:{hold_id}", reason)


# ----------------------------------------------------------------------------------------- what consent says


def spoken_to_as(state: CaseState, person: str) -> list[str]:
    """Return the parties of the case that this person is, or speaks for."""
    return [key for key, party in state.parties.items() if person in (key, party.person)]


def take_out(story: Story, party: str, reason: str) -> None:
    """The party takes part no longer: the case closes with the harmed party, and goes on without a responsible one."""
    known = story.state.parties.get(party)
    if story.state.closed or known is None or known.place == "out":
        return
    # Who led it may still see that it is over, and why it must not call.
    story.tell(Placed(party, "out", reason=reason, agency=known.agency if known.place == "led" else None))
    parties = story.state.parties.values()
    if known.role in HARMED and all(p.place == "out" for p in parties if p.role in HARMED):
        # One human may be in it under two ids. A case that ended with a no goes on when they ask for it, or were not meant.
        said = (p.reason for p in parties if p.role in HARMED and p.reason in {LINKED, *NOT_CONTACTABLE})
        close(story, next(said, reason) or reason)
    elif known.role in RESPONSIBLE and all(p.place == "out" for p in parties if p.role in RESPONSIBLE):
        ask_hub(story, "no_responsible_left")


def person_out(story: Story, person: str, reason: str) -> None:
    """A person withdrew, declined or may not be contacted any more: every party that they speak for is out."""
    for party in spoken_to_as(story.state, person):
        take_out(story, party, reason)


def reopen(story: Story, person: str, because: Literal["person_asked", "unlinked"] = "person_asked") -> None:
    """What a "no" had ended begins again, with a new claim: the person asked for it, or it was somebody else's "no"."""
    mine = [(key, story.state.parties[key]) for key in spoken_to_as(story.state, person)]
    parties = [
        key
        for key, party in mine
        if party.place == "out"
        and (party.reason in NOT_THEIRS if because == "unlinked" else party.reason != RETRACTED)
    ]
    if not parties:
        return
    if story.state.closed in (NOT_THEIRS if because == "unlinked" else {LINKED, *NOT_CONTACTABLE}):
        go_on(story, because)
    elif story.state.closed is None:
        for party in parties:
            story.tell(Placed(party, "new"))


def hand_over(story: Story, person: str, target: str, worker: str | None, *, own: bool = True) -> None:
    """Consent moved the lead for this person; whoever led through another case, the case follows.

    `own`: the case is one of the tenure's. Another follows the person's new lead only where it followed the old one.
    """
    for key in spoken_to_as(story.state, person):
        party = story.state.parties[key]
        if story.state.closed is not None:
            continue
        if own and party.place in ("led", "elsewhere", "claimed"):
            story.tell(Placed(key, "led", agency=target, worker=worker, tried=party.agency))
        elif not own and party.place == "elsewhere":
            story.tell(Placed(key, "elsewhere", reason=party.reason, agency=target, worker=worker))


def lead_ended(story: Story, person: str, agency: str, reason: str) -> None:
    """The agency leads no longer: it is not asked again by rule, and somebody else is. One that led elsewhere was not asked.

    Where somebody else is spoken to for the party from now on the agency goes on leading, and is claimed for them.
    """
    if story.state.closed:
        return
    for key in spoken_to_as(story.state, person):
        party = story.state.parties[key]
        if reason in STAYS and party.place == "led":
            continue
        if party.place in ("led", "elsewhere") and party.agency == agency:
            asked = agency if party.place == "led" else None
            story.tell(Placed(key, "ended", reason=reason, tried=asked))


def reached(story: Story, person: str, said: str) -> None:
    """The person has been spoken to. A willingness that policy asked about is thereby answered."""
    for key in spoken_to_as(story.state, person):
        if story.state.parties[key].answer != said:
            story.tell(Answered(key, said))
        for check_key, check in list(story.state.checks.items()):
            waits = check.kind == "willingness" and key in check.about and check.satisfied is None
            if waits and said in ("agreed", "declined"):
                answer(story, check_key, satisfied=said == "agreed")


# -------------------------------------------------------------------------------------- what agencies do


def _must_be_open(state: CaseState) -> None:
    if state.closed:
        more = f"; it goes on as case {state.joined_into}" if state.joined_into else ""
        raise Refused("closed", f"the case is closed ({state.closed}){more}")


def _must_lead(state: CaseState, agency: str) -> None:
    _must_be_open(state)
    if agency not in leads_of(state):
        raise Refused("not-lead", "only an agency that leads a party of the case can do this")


def accept(story: Story, agency: str, worker: str | None) -> None:
    """A lead takes the case on, once."""
    _must_lead(story.state, agency)
    if agency in story.state.accepted:
        if story.state.accepted[agency] == worker:
            return
        raise Refused(
            "already-accepted",
            "the case is already accepted; a worker is changed through the team or a hand-over",
        )
    story.tell(CaseAccepted(agency=agency, worker=worker))


def may_give_back(state: CaseState, agency: str) -> None:
    """Raise Refused if the agency cannot return the case."""
    _must_lead(state, agency)
    if state.outcomes:
        raise Refused("closed", "an outcome is recorded: the case cannot be returned, close it instead")


def give_back(story: Story, agency: str, reason: str, *, keep: bool = False) -> None:
    """A lead returns the case: somebody else is to lead. `keep`: it has begun with the person, so the hub hands over."""
    _must_be_open(story.state)
    story.tell(CaseReturned(agency=agency, reason=reason))
    if keep:
        ask_hub(story, "returned")
        return
    for key, party in story.state.parties.items():
        if party.agency == agency and party.place == "led":
            story.tell(Placed(key, "ended", reason=reason, tried=agency))


def assign(story: Story, case: str, party: str, agency: str, worker: str | None, by: str) -> None:
    """The hub names the lead of a party: consent is asked, as for a claim by rule."""
    _must_be_open(story.state)
    known, proposal = story.state.parties.get(party), story.state.proposal
    if known is None or proposal is None:
        raise Refused("invalid", "party: not of this case; name one of its parties")
    if known.place == "led":
        if known.agency != agency:  # consent would refuse the claim, and the case would forget who leads it
            raise Refused("invalid", f"party: {known.agency} leads it; take the lead back, or hand it over")
        return
    lead = ProposedLead(party=party, person=known.person, role=known.role, agency=agency, worker=worker)
    claim(story, case, (lead,), "decided_by_hub", (f"Decided by {by}: {agency} leads.", *proposal.why))


def proceed(story: Story) -> None:
    """The hub lets the case go on in spite of what it was asked about; national conditions cannot be waived."""
    _must_be_open(story.state)
    if story.state.undecided is None:
        raise Refused("undecided", "nothing in this case waits for a decision")
    failed = [(key, check) for key, check in story.state.checks.items() if check.satisfied is False]
    if any(check.kind in NOT_WAIVABLE for _, check in failed):
        raise Refused(
            "not-waivable",
            "admission, willingness and agreement to share cannot be decided by a hub: close the case",
        )
    for key, _ in failed:
        answer(story, key, satisfied=True)
    story.tell(Decided())


def choose_partnership(story: Story, partnership: str) -> None:
    """The arbiter decides which partnership holds a case that rules give to none or to several."""
    _must_be_open(story.state)
    if story.state.proposal is None or story.state.proposal.partnership:
        raise Refused("undecided", "a partnership holds this case already: a move is a hand-over of the lead")
    story.tell(PartnershipChosen(partnership))


def transfer(story: Story, partnership: str, reason: str) -> None:
    """Another area takes the case over, because its people have moved. Nobody is contacted anew: leads are handed over."""
    _must_be_open(story.state)
    held_by = story.state.proposal.partnership if story.state.proposal else ""
    if not held_by:
        raise Refused("undecided", "no partnership holds this case yet: the arbiter decides whose it is")
    if held_by == partnership:
        raise Refused("invalid", "partnership: it holds the case already; name the one that takes it over")
    story.tell(CaseTransferred(source=held_by, target=partnership, reason=reason))


def move_to_policy_in_force(story: Story) -> None:
    """The case leaves the policy version that it began with."""
    _must_be_open(story.state)
    if story.state.proposal is None or not story.state.proposal.partnership:
        raise Refused("undecided", "no partnership holds this case yet: it has no policy to leave")
    story.tell(PolicyLeft())


def close_by_agency(story: Story, case: str, reason: str) -> None:
    """An agency closes the case. After an outcome policy may want an assessment first; without one nothing is in the way."""
    if story.state.outcomes and waiting(story.state, case, closing=True):
        raise Refused(
            "checks-open", "policy wants a check answered before the case is closed: see its open checks"
        )
    close(story, reason)


def close(story: Story, reason: str) -> None:
    """The case is over."""
    if story.state.closed is None:
        story.tell(CaseClosed(reason=reason))


def pause_by_hub(story: Story, reason: str, until: datetime | None) -> None:
    """Nobody is contacted in this case until somebody lifts the pause."""
    _must_be_open(story.state)
    pause(story, BY_HUB, reason, until)


def resume_by_hub(story: Story, reason: str) -> None:
    """The hub's pause is over; pauses that others set stand."""
    _must_be_open(story.state)
    unpause(story, BY_HUB, reason)


def extra_check_id(case: str, command: str) -> str:
    """Return the id of a check that a hub asks by this command."""
    return str(uuid5(CHECKS, f"{case}/extra/{command}"))


def ask(story: Story, key: str, kind: CheckKind, of: str, party: str, due: datetime | None) -> None:
    """The hub asks a question that policy did not plan; the party's approach waits for it."""
    _must_be_open(story.state)
    if party not in story.state.parties:
        raise Refused("invalid", "party: not of this case; name one of its parties")
    remind = due - REMIND_BEFORE if due else None
    check = Check(kind=kind, of=of, about=(party,), gates=(party,), due=due, remind=remind, extra=True)
    story.tell(Asked(key, check), CheckRequested(check=key, kind=kind, of=of, party=party, due=due))


def answer_check(story: Story, key: str, agency: str, *, satisfied: bool) -> None:
    """The agency that was asked answers, once; the same answer again changes nothing."""
    check = story.state.checks[key]
    if check.of != agency:
        raise Refused("not-lead", "another agency was asked")
    if check.satisfied == satisfied:
        return
    _must_be_open(story.state)
    if check.satisfied is not None:
        raise Refused("check-answered", "the check is answered already; the hub can weigh it in a decision")
    answer(story, key, satisfied=satisfied)


def change_team(story: Story, agency: str, members: tuple[str, ...]) -> None:
    """The members that deliver the case."""
    _must_lead(story.state, agency)
    put_team(story, members)


def put_team(story: Story, members: tuple[str, ...]) -> None:
    """The hub, or the lead, names who delivers; the case is work for each of them until it is closed."""
    _must_be_open(story.state)
    if not story.state.told:
        raise Refused("not-allocated", "nobody leads this case yet: a team comes after the allocation")
    if len(members) > MEMBERS_AT_MOST or len(set(members)) != len(members):
        raise Refused(
            "invalid", f"members: too many, or one twice; name at most {MEMBERS_AT_MOST} workers, each once"
        )
    if members != story.state.members:
        story.tell(CaseTeamChanged(members=members), TeamTakes(TEAM_HOURS))


def record_outcome(story: Story, case: str, agency: str, outcome: OutcomeRecorded) -> None:
    """What came of the case. Further outcomes (the agreement fulfilled, later) add to it."""
    _must_lead(story.state, agency)
    if not story.state.told:
        raise Refused("not-allocated", "nobody leads this case yet: an outcome comes after the allocation")
    begun = story.state.outcomes > 0
    if outcome.form != "none" and not begun and waiting(story.state, case, closing=False):
        raise Refused(
            "checks-open", "policy wants a check answered before the parties meet: see its open checks"
        )
    story.tell(outcome)
