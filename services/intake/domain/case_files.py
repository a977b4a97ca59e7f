"""The rules of a case file: the referrals that are one case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.intake.domain.holds import Hold, Refused, without
from shared.contracts.envelope import Payload
from shared.contracts.referrals import (
    CaseFileJoined,
    ReferralChanged,
    ReferralFacts,
    ReferralHeld,
    ReferralHoldLifted,
    ReferralReceived,
    ReferralRetracted,
)
from shared.contracts.states import State, field, replace


class KnownReferral(State, frozen=True):
    """A referral of a case file, and whether it still supports the case."""

    agency: str
    version: int
    supports: bool = True


class CaseFileState(State, frozen=True):
    """The referrals of one case, its holds, and the case that it went on as."""

    incident: str = ""
    referrals: Mapping[str, KnownReferral] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    joined_into: str | None = None


def evolve_case_file(state: CaseFileState, event: Payload) -> CaseFileState:
    """Return the case file after one event."""
    match event:
        case ReferralReceived(facts=facts) | ReferralChanged(facts=facts):
            known = KnownReferral(facts.agency, facts.version)
            return replace(
                state,
                incident=state.incident or facts.incident,
                referrals={**state.referrals, facts.referral: known},
            )
        case ReferralHeld(hold=hold, reason=reason, until=until, referral=referral):
            return replace(state, holds={**state.holds, hold: Hold(reason, until, None, referral)})
        case ReferralHoldLifted(hold=hold):
            return replace(state, holds=without(state.holds, hold))
        case ReferralRetracted(referral=referral):
            gone = replace(state.referrals[referral], supports=False)
            return replace(state, referrals={**state.referrals, referral: gone})
        case CaseFileJoined(into=into):
            return replace(state, joined_into=into)
        case _:
            return state


def receive(
    state: CaseFileState,
    facts: ReferralFacts,
    before: ReferralFacts | None = None,
    *,
    continues: str | None = None,
) -> list[Payload]:
    """A referral joins or opens the case, or a later version of it changes facts. Without a difference nothing is said.

    Of one that a version had left the case by, everything is: the others believe that it supports the case no longer.
    `continues`: the case that it was a part of until now.
    """
    known = state.referrals.get(facts.referral)
    if known is None:
        return [ReferralReceived(facts=facts, continues=continues)]
    changed = different(before, facts) if before is not None and known.supports else ("everything",)
    return [ReferralChanged(facts=facts, changed=changed)] if changed else []


def different(before: ReferralFacts, after: ReferralFacts) -> tuple[str, ...]:
    """Name the facts that differ; the version and the moment are no facts about the case."""
    fields = (name for name in after.__struct_fields__ if name not in ("version", "received_at"))
    return tuple(name for name in fields if getattr(before, name) != getattr(after, name))


def hold_referral(
    state: CaseFileState,
    referral: str,
    hold: str,
    reason: str,
    *,
    until: datetime | None = None,
    missing: tuple[str, ...] = (),
) -> list[Payload]:
    """Hold the case for a reason that lies in one referral."""
    if hold in state.holds:
        return []
    return [ReferralHeld(referral=referral, hold=hold, reason=reason, until=until, missing=missing)]


def lift_referral(state: CaseFileState, hold: str, reason: str) -> list[Payload]:
    """Lift one hold of the case."""
    held = state.holds.get(hold)
    return (
        [] if held is None else [ReferralHoldLifted(referral=held.referral or "", hold=hold, reason=reason)]
    )


def retract(state: CaseFileState, referral: str) -> list[Payload]:
    """The agency posted it in error. The case goes on only if another referral supports it."""
    known = state.referrals.get(referral)
    if known is None or not known.supports:
        return []
    remaining = sum(other.supports for key, other in state.referrals.items() if key != referral)
    return [ReferralRetracted(referral=referral, agency=known.agency, remaining=remaining)]


def join(state: CaseFileState, own: str, into: str) -> list[Payload]:
    """This case and another were one harmed party and one incident: it continues as `into`."""
    if own == into:
        raise Refused("same-case", "a case cannot join itself")
    if state.joined_into is not None:
        return []
    return [CaseFileJoined(into=into)]
