"""Policy's answer about a case, in the words of the domain."""

from __future__ import annotations

from typing import cast

from services.allocation import policy
from services.allocation.domain.state import CaseState, Need, PlannedCheck, PlannedParty, Proposal
from services.allocation.store.policies import Policies
from shared.contracts.cases import CheckKind, Delivery
from shared.contracts.envelope import Role


def propose(
    state: CaseState, policies: Policies, agencies: policy.Agencies
) -> tuple[Proposal, tuple[str, ...]]:
    """Return what policy says of the case as it is known, and the whole explanation.

    A case keeps the policy version that it began with. Where rules do not say whose it is, nobody leads by rule.
    """
    arbiter = policies.current.arbiter
    sentences: tuple[str, ...] = ()
    connection: str | None = None
    try:
        facts = policy.combine(state.referrals.values())
        held_by = state.partnership or (state.proposal.partnership if state.proposal else "")
        if held_by:
            pinned = state.proposal.policy_version if state.proposal and state.proposal.partnership else None
            partnership = policies.of(held_by, pinned)
            connection = "arbiter" if state.partnership else None
        else:
            found = policies.current.jurisdiction(facts)
            if found.partnership is None:
                return _undecided(state, found.arbiter or arbiter, found.sentence, found.candidates), (
                    found.sentence,
                )
            partnership, connection, sentences = (
                policies.of(found.partnership),
                found.connection,
                (found.sentence,),
            )
        decided = policy.decide(partnership, facts, agencies, connection)
    except policy.FactsError as error:
        return _undecided(state, arbiter, str(error), ()), (str(error),)
    return _proposal(state, decided, partnership.reference, facts), (*sentences, *decided.why)


def _undecided(state: CaseState, arbiter: str, why: str, candidates: tuple[str, ...]) -> Proposal:
    return Proposal(
        partnership="",
        policy_version="national",
        rule="jurisdiction",
        why=(why, *(f"It could be held by {candidate}." for candidate in candidates[:5])),
        parties=tuple(
            PlannedParty(party=key, person=party.person, role=party.role)
            for key, party in state.parties.items()
        ),
        hub=arbiter,
    )


def _proposal(
    state: CaseState, decided: policy.Proposal, reference: str, facts: policy.CaseFacts
) -> Proposal:
    return Proposal(
        partnership=decided.partnership,
        policy_version=reference,
        rule=next(lead.rule for lead in decided.leads),
        why=decided.headline,
        parties=tuple(_party(state, lead, decided) for lead in decided.leads if lead.party in state.parties),
        checks=tuple(_check(check) for check in decided.checks),
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
        area=facts.areas[0] if facts.areas else None,
    )


def _party(state: CaseState, lead: policy.Lead, decided: policy.Proposal) -> PlannedParty:
    hold = next((hold for hold in decided.holds if lead.party in hold.parties), None)
    return PlannedParty(
        party=lead.party,
        person=state.parties[lead.party].person,
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


def _check(check: policy.Check) -> PlannedCheck:
    return PlannedCheck(
        id=check.id,
        kind=cast("CheckKind", check.kind),
        of=check.of,
        about=check.about,
        gates=check.gates,
        due=check.due,
        after=check.after,
        question=check.question,
        delivery=check.delivery,
        closing=check.closing,
    )
