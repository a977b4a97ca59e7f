"""What an agency sees of a case: by what it has to do with it, and no more than its sharing agreement allows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from services.allocation.domain.route import in_order, open_checks, waiting
from services.allocation.domain.state import CaseState, status_of
from shared.contracts.sharing import agreements

_WHOLE: Final = frozenset({"hub", "co_ordinator", "operator"})


def view(
    case: str,
    state: CaseState,
    relations: Collection[str],
    agencies: Sequence[str],
    decisions: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    allowed: Collection[str] = (),
) -> dict[str, Any]:
    """Return the case as agencies with these relations see it.

    `agencies` are those that the caller stands for; `allowed` what its agreement lets a referring agency see besides.
    """
    whole = not _WHOLE.isdisjoint(relations)
    own = {key for key, party in state.parties.items() if party.agency in agencies and "lead" in relations}
    inside = whole or "lead" in relations or "team" in relations
    seen: dict[str, Any] = {"case": case, "status": status_of(state), "relations": sorted(relations)}
    if inside:
        seen |= _inside(state, whole=whole)
        seen["parties"] = [
            _party(case, state, key, whole=whole or key in own or "team" in relations)
            for key, _ in in_order(state)
        ]
        seen["delivery_waits_for"] = waiting(state, case, closing=False)
        seen["decisions"] = list(decisions) if whole else list(decisions)[-1:]
    if "referrer" in relations and not inside:
        seen |= _for_referrer(state, agencies, allowed)
    if inside or "asked" in relations:
        seen["checks"] = [
            {**check, "open": check["satisfied"] is None}
            for check in checks
            if whole or check["of_agency"] in agencies or (own & set(state.checks[check["check_id"]].gates))
        ]
    return seen


def _inside(state: CaseState, *, whole: bool) -> dict[str, Any]:
    proposal = state.proposal
    found: dict[str, Any] = {
        "incident": state.incident,
        "reason": state.closed or state.undecided,
        "pauses": [pause.reason for pause in state.pauses.values()],
        "joined_into": state.joined_into,
        "members": state.members,
        "accepted": state.accepted,
        "outcomes": state.outcomes,
    }
    if proposal:
        found |= {
            "partnership": proposal.partnership,
            "policy_version": proposal.policy_version,
            "rule": proposal.rule,
            "why": proposal.why,
            "co_ordinator": proposal.co_ordinator,
            "hub": proposal.hub,
            "funder": proposal.funder,
            "delivery": msgspec.to_builtins(proposal.delivery),
            "clocks": proposal.clocks,
        }
    if whole:
        found["referrals"] = [
            {
                "referral": facts.referral,
                "agency": facts.agency,
                "version": facts.version,
                "stage": facts.stage,
            }
            for facts in state.referrals.values()
        ]
    return found


def _party(case: str, state: CaseState, key: str, *, whole: bool) -> dict[str, Any]:
    party = state.parties[key]
    if not whole:
        return {"role": party.role}
    planned = next((p for p in (state.proposal.parties if state.proposal else ()) if p.party == key), None)
    return {
        "party": key,
        "person": party.person,
        "role": party.role,
        "place": party.place,
        "agency": party.agency,
        "worker": party.worker,
        "reason": party.reason,
        "cleared": party.cleared,
        "waits_for": open_checks(state, case, key),
        "hold": planned.hold if planned else None,
        "hand_over_to": planned.handover_to if planned else (),
    }


def allowed_to_referrer(
    state: CaseState, agencies: Sequence[str], own_agreement: Mapping[str, str | None], day: date
) -> frozenset[str]:
    """Return what the agreements in force let referring agencies see: those that they referred under, else their own."""
    allowed: frozenset[str] = frozenset()
    for facts in state.referrals.values():
        if facts.agency in agencies:
            agreement = agreements().get(facts.sharing_agreement or own_agreement.get(facts.agency) or "")
            if agreement is not None and agreement.covers(facts.agency, day):
                allowed |= frozenset(agreement.referrer_case)
    return allowed


def _for_referrer(state: CaseState, agencies: Sequence[str], allowed: Collection[str]) -> dict[str, Any]:
    full = {
        "reason": state.closed or state.undecided,
        "leads": sorted({p.agency for p in state.parties.values() if p.agency and state.told}),
        "co_ordinator": state.proposal.co_ordinator if state.proposal else None,
        "rule": state.proposal.rule if state.proposal else None,
        "outcomes": state.outcomes,
    }
    mine = [facts for facts in state.referrals.values() if facts.agency in agencies]
    referrals = [{"referral": facts.referral, "version": facts.version} for facts in mine]
    return {"referrals": referrals, **{name: full[name] for name in sorted(allowed)}}
