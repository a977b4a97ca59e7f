"""Policy's answer about a case, in the words of the domain."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from services.allocation import policy
from services.allocation.domain.evolve import ANSWERS
from services.allocation.domain.route import DueOf, in_order
from services.allocation.domain.state import CaseState, Need, PlannedCheck, PlannedParty, Proposal
from services.allocation.policy.context import place_in
from services.allocation.store.policies import Decisions, Policies, Why
from shared.contracts.cases import CheckKind, Delivery
from shared.contracts.envelope import Role
from shared.contracts.states import replace


def propose(
    state: CaseState, policies: Policies, agencies: policy.Agencies, decisions: Decisions
) -> tuple[Proposal, Why]:
    """Return what policy says of the case as it is known, and the whole explanation.

    A case keeps the policy version that it began with. Where rules do not say whose it is, nobody leads by rule.
    """
    sentences: tuple[str, ...] = ()
    connection: str | None = None
    try:
        facts = with_answers(policy.combine(state.referrals.values()), state)
        held_by = state.partnership or (state.proposal.partnership if state.proposal else "")
        if held_by:
            pinned = state.proposal.policy_version if state.proposal and state.proposal.partnership else None
            partnership = policies.of(held_by, pinned)
            connection = "arbiter" if state.partnership else None
        else:
            found = policies.current.jurisdiction(facts)
            if found.partnership is None:
                sentences = (
                    found.sentence,
                    *(f"{candidate} could hold it." for candidate in found.candidates),
                )
                return _undecided(state, found.arbiter or policies.current.arbiter, found.sentence), Why.of(
                    sentences
                )
            partnership, connection, sentences = (
                policies.of(found.partnership),
                found.connection,
                (found.sentence,),
            )
        register = agencies.going_on(_deliverer(state))
        decided, why = decisions.decide(partnership, facts, register, connection, sentences)
    except policy.FactsError as error:
        return _undecided(state, policies.current.arbiter, str(error)), Why.of((str(error),))
    ids = tuple(party.id for party in facts.parties)
    return _as_registered(state, _proposal(state, decided, partnership, facts, ids)), why


def with_answers(facts: policy.CaseFacts, state: CaseState) -> policy.CaseFacts:
    """Return the facts with what was answered since: by checks, and by the responsible themselves.

    A yes about several people does not say of whom; it counts for the check, and is no fact about each.
    """
    said: dict[str, dict[str, bool]] = {}
    explicit = facts.explicit_agreement
    for check in state.checks.values():
        if check.satisfied is None or check.overtaken:
            continue
        explicit = explicit or (check.kind == "agreement_to_share" and check.satisfied)
        if check.kind in ANSWERS and (len(check.about) == 1 or not check.satisfied):
            for party in check.about:
                said.setdefault(party, {})[ANSWERS[check.kind]] = check.satisfied
    for key, known in state.parties.items():
        if known.answer in ("agreed", "declined"):
            said.setdefault(key, {})["willing"] = known.answer == "agreed"
    if not said and explicit == facts.explicit_agreement:
        return facts
    parties = tuple(msgspec.structs.replace(p, **said[p.id]) if p.id in said else p for p in facts.parties)
    return msgspec.structs.replace(facts, parties=parties, explicit_agreement=explicit)


def due_of(state: CaseState, now: datetime) -> DueOf:
    """Return when something is due that is asked now, by the dates of the proceedings that the case's referrals tell."""

    def due(words: str) -> datetime | None:
        parsed = policy.parse_due(words)
        return (
            policy.due_at(parsed, now, policy.combine(state.referrals.values()).deadlines) if parsed else None
        )

    return due


def _deliverer(state: CaseState) -> str | None:
    """Return who delivers the case already, unless it gave somebody back or lost them."""
    found = state.proposal.delivery.agencies[:1] if state.proposal and state.claims else ()
    lost = {agency for party in state.parties.values() for agency in party.tried}
    return next((agency for agency in found if agency not in lost), None)


def _as_registered(state: CaseState, proposal: Proposal) -> Proposal:
    """Leave a harmed party to the agency that an older system's register names as its lead.

    It has spoken to the person, or is about to: whatever a rule would prefer would be a second approach on the first day.
    """
    imported = sorted((f.received_at, f.register_lead) for f in state.referrals.values() if f.register_lead)
    if not imported:
        return proposal
    lead = imported[0][1]
    said = (
        f"Lead for the harmed party: {lead}, because an older system's register says that it leads already."
    )
    return replace(
        proposal,
        rule="register",
        why=(said, *proposal.why),
        parties=tuple(
            replace(party, options=(lead,), team=None, hours=0, need=Need())
            if party.role != "responsible"
            else party
            for party in proposal.parties
        ),
    )


def team_wanted(
    state: CaseState, policies: Policies, agencies: policy.Agencies, decisions: Decisions
) -> tuple[policy.Proposal, policy.CaseFacts, tuple[str, ...]] | None:
    """Return what policy says of a case that a team is sought for, its facts, and the agencies whose people may deliver it.

    None for a case that no partnership holds.
    """
    if state.proposal is None or not state.proposal.partnership:
        return None
    facts = with_answers(policy.combine(state.referrals.values()), state)
    partnership = policies.of(state.proposal.partnership, state.proposal.policy_version)
    decided, _ = decisions.decide(partnership, facts, agencies, "arbiter" if state.partnership else None, ())
    named = (decided.deliverer, *(a for group in decided.team.one_from_each for a in group))
    if decided.team.different_agencies and not decided.team.one_from_each:
        # Across agencies, and no group says which: any partner may send somebody.
        named = (*named, *map(agencies.current, partnership.partners))
    return decided, facts, tuple(dict.fromkeys(named))


def _undecided(state: CaseState, arbiter: str, why: str) -> Proposal:
    return Proposal(
        partnership="",
        policy_version="national",
        rule="jurisdiction",
        why=(why,),
        parties=tuple(
            PlannedParty(party=key, person=party.person, role=party.role) for key, party in in_order(state)
        ),
        hub=arbiter,
    )


def _proposal(
    state: CaseState,
    decided: policy.Proposal,
    partnership: policy.Partnership,
    facts: policy.CaseFacts,
    ids: tuple[str, ...],
) -> Proposal:
    """`ids` are the parties by the places under which the decision names them."""
    return Proposal(
        partnership=decided.partnership,
        policy_version=partnership.reference,
        rule=next(lead.rule for lead in decided.leads),
        why=decided.headline,
        parties=tuple(_party(state, lead, decided, ids) for lead in decided.leads),
        checks=tuple(_check(check, ids) for check in decided.checks),
        co_ordinator=decided.co_ordinator,
        hub=decided.co_ordinator,
        funder=decided.funding.payer,
        delivery=Delivery(
            agencies=tuple(
                dict.fromkeys(
                    (decided.deliverer, *(a for group in decided.team.one_from_each for a in group))
                )
            ),
            facilitators=decided.team.facilitators,
            training=decided.team.training,
        ),
        clocks={clock.name: clock.due for clock in decided.clocks},
        area=area.id if (area := place_in(partnership, facts)[0]) else None,
    )


def _party(
    state: CaseState, lead: policy.Lead, decided: policy.Proposal, ids: tuple[str, ...]
) -> PlannedParty:
    party = ids[int(lead.party)]
    hold = next((hold for hold in decided.holds if lead.party in hold.parties), None)
    return PlannedParty(
        party=party,
        person=state.parties[party].person,
        role=cast("Role", lead.role),
        options=(lead.agency,),
        team=lead.team,
        hours=lead.worker.hours,
        need=Need(lead.worker.roles, lead.worker.training, lead.worker.language, lead.worker.not_workers),
        limits=lead.limits,
        handover_to=lead.hand_over,
        hold=hold.reason if hold else None,
        review=hold.review if hold else None,
    )


def _check(check: policy.Check, ids: tuple[str, ...]) -> PlannedCheck:
    return PlannedCheck(
        id=check.id,
        kind=cast("CheckKind", check.kind),
        of=check.of,
        about=tuple(ids[int(place)] for place in check.about),
        gates=tuple(ids[int(place)] for place in check.gates),
        due=check.due,
        after=check.after,
        question=check.question,
        delivery=check.delivery,
        closing=check.closing,
        within=check.within,
        remind_within=check.remind_within,
    )
