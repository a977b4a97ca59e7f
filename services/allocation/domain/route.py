"""Who is asked to lead, and when a case may go ahead.

`settle` is run after everything that happens to a case and carries it as far as it can go: claims, conclusion, checks,
clearance. Each step looks at the state only, so that the order in which facts arrive does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias, get_args
from uuid import UUID, uuid5

from services.allocation.domain.evolve import Asked, Cleared, PauseLifted, PauseSet, Planned, Story
from services.allocation.domain.reasons import because
from services.allocation.domain.state import (
    HARMED,
    CaseState,
    Check,
    Party,
    Pause,
    PlannedCheck,
    PlannedParty,
    Proposal,
    no_of,
)
from shared.contracts.cases import (
    AllocatedParty,
    CaseAllocated,
    CaseCleared,
    CaseClosed,
    CaseNeedsDecision,
    CasePaused,
    CaseProposed,
    CaseQueued,
    CaseResumed,
    CheckAnswered,
    CheckKind,
    CheckRequested,
    ClearedParty,
    ProposedLead,
)

CHECKS: Final = UUID("0192f0c4-6d5e-7c3a-9a61-6f6e65667269")
# Refusals that lie in the person, not in the agency: nobody else is asked to lead.
NOT_CONTACTABLE: Final = frozenset(
    {
        "withdrawn",
        "declined",
        "prior_no",
        "prior_not_now_undated",
        "carried_over",
        "erased",
        "closed",
        "suppressed",
    }
)
# Policy's hold and open checks pause a case through these; people and intake through their own.
BY_POLICY: Final = "policy"
BY_CHECKS: Final = "checks"
REMIND_BEFORE: Final = timedelta(days=1)


@dataclass(frozen=True)
class Staffing:
    """Named workers picked for the parties about to be claimed, by party. `full`: the agency that has nobody free."""

    workers: dict[str, str | None] = field(default_factory=dict)
    full: str | None = None


def check_id(case: str, check: PlannedCheck) -> str:
    """Return the id of a planned check: the same question is never asked twice, however often policy is asked."""
    return str(uuid5(CHECKS, f"{case}/{check.id}"))


def choose(state: CaseState, planned: PlannedParty) -> str | None:
    """Return the first agency that may lead and has not given the party back or lost it."""
    party = state.parties.get(planned.party)
    tried = party.tried if party else ()
    return next((agency for agency in planned.options if agency not in tried), None)


def to_claim(state: CaseState) -> tuple[tuple[PlannedParty, str], ...]:
    """Return the parties for whom an agency has to be claimed now, with that agency."""
    if state.closed or state.proposal is None or _held(state):
        return ()
    found = []
    for planned in state.proposal.parties:
        party = state.parties.get(planned.party)
        if party is None or party.place in ("new", "ended"):
            agency = choose(state, planned)
            if agency:
                found.append((planned, agency))
    return tuple(found)


def _held(state: CaseState) -> bool:
    # A hold that lies in a referral (no agreement to share, doubtful incident) keeps the case from being told to anybody.
    return any(by.startswith("referral:") for by in state.pauses)


def plan(story: Story, proposal: Proposal) -> None:
    """Take in what policy says now. A case on hold by policy is paused, and resumed when the facts have changed."""
    story.tell(Planned(proposal))
    held = next((p for p in proposal.parties if p.hold and p.role in HARMED), None)
    held = held or next((p for p in proposal.parties if p.hold), None)
    if held and held.hold:
        pause(story, BY_POLICY, held.hold, held.review)
    else:
        unpause(story, BY_POLICY, "facts_changed")


def pause(story: Story, by: str, reason: str, until: datetime | None = None) -> None:
    """Record a reason not to contact anybody; told each time that a new one arises."""
    before = story.state.pauses.get(by)
    if story.state.closed or (before and before.reason == reason):
        return
    if before:
        unpause(story, by, "replaced")
    made = Pause(f"{by}.{story.state.paused + 1}", reason)
    story.tell(PauseSet(by, made), CasePaused(reason=reason, until=until, pause=made.id))


def unpause(story: Story, by: str, reason: str) -> None:
    """Take that reason back. Others stand: consent counts them by their ids."""
    before = story.state.pauses.get(by)
    if before:
        story.tell(PauseLifted(by), CaseResumed(reason=reason, pause=before.id))


DueOf: TypeAlias = Callable[[str], datetime | None]
"""When something is due that is asked now, by the policy's words: `5 working days`. None: its date is not known yet."""


def settle(story: Story, case: str, staffing: Staffing, due_of: DueOf | None = None) -> None:
    """Carry the case as far as it can go. Without `due_of` checks are due as if asked when the case was received."""
    if story.state.closed or story.state.proposal is None:
        return
    _claim(story, case, staffing)
    _conclude(story)
    _ask(story, case, due_of)
    _clear(story, case)


def _claim(story: Story, case: str, staffing: Staffing) -> None:
    state = story.state
    wanted = to_claim(state)
    proposal = state.proposal
    if not wanted or proposal is None:
        return
    if staffing.full:
        if state.queued_for != staffing.full:
            due = min(proposal.clocks.values(), default=None)
            story.tell(CaseQueued(agency=staffing.full, due=due, hub=proposal.hub))
        return
    leads = tuple(
        ProposedLead(
            party=planned.party,
            person=planned.person,
            role=planned.role,
            agency=agency,
            worker=staffing.workers.get(planned.party),
            team=planned.team,
        )
        for planned, agency in wanted
    )
    claim(story, case, leads, proposal.rule, proposal.why)


def claim(story: Story, case: str, leads: tuple[ProposedLead, ...], rule: str, why: tuple[str, ...]) -> None:
    """Ask consent to make these agencies the leads."""
    state, proposal = story.state, story.state.proposal
    if proposal is None:
        return
    story.tell(
        CaseProposed(
            claim=f"{case}.{state.claims + 1}",
            incident=state.incident,
            leads=leads,
            partnership=proposal.partnership,
            policy_version=proposal.policy_version,
            rule=rule,
            why=why,
            co_ordinator=proposal.co_ordinator,
            hub=proposal.hub,
            funder=proposal.funder,
            delivery=proposal.delivery,
        )
    )


def _conclude(story: Story) -> None:
    """When every party that was asked for is answered: tell who leads, or that somebody has to decide."""
    state, proposal = story.state, story.state.proposal
    if proposal is None or _held(state) or state.queued_for:
        return
    if any(party.place == "claimed" for party in state.parties.values()):
        return
    harmed = [party for party in state.parties.values() if party.role in HARMED]
    if any(party.place in ("led", "elsewhere") for party in harmed):
        _tell_leads(story)
        return
    reason = next((party.reason for party in harmed if party.reason in NOT_CONTACTABLE), None)
    if reason and all(party.place in ("out", "refused") for party in harmed):
        story.tell(CaseClosed(reason=reason))
    else:
        unruled = "no_agency_by_rule" if proposal.partnership else "jurisdiction"
        ask_hub(story, next((party.reason for party in harmed if party.reason), unruled))


def in_order(state: CaseState) -> list[tuple[str, Party]]:
    """Return the parties, the harmed ones first. A stored state does not keep the order in which they came."""
    return sorted(state.parties.items(), key=lambda item: (item[1].role not in HARMED, item[0]))


def _tell_leads(story: Story) -> None:
    state, proposal = story.state, story.state.proposal
    if proposal is None:
        return
    # Those asked too: that a check is answered, so that policy no longer plans it, is no news about who leads.
    gates: dict[str, set[CheckKind]] = {}
    gating = [(c.kind, c.gates) for c in proposal.checks] + [(c.kind, c.gates) for c in state.checks.values()]
    for kind, waiting_for in gating:
        for party in waiting_for:
            gates.setdefault(party, set()).add(kind)
    parties = tuple(
        AllocatedParty(
            party=key,
            person=party.person,
            role=party.role,
            agency=party.agency if party.place in ("led", "elsewhere") else None,
            worker=party.worker,
            refused=party.reason,
            checks=tuple(kind for kind in get_args(CheckKind) if kind in gates.get(key, ())),
        )
        for key, party in in_order(state)
        if party.place != "new"
    )
    if parties == state.told:
        return
    story.tell(
        CaseAllocated(
            claim=f"{_case_of(state)}",
            incident=state.incident,
            parties=parties,
            partnership=proposal.partnership,
            policy_version=proposal.policy_version,
            rule=proposal.rule,
            why=proposal.why,
            co_ordinator=proposal.co_ordinator,
            hub=proposal.hub,
            funder=proposal.funder,
            delivery=proposal.delivery,
        )
    )


def _case_of(state: CaseState) -> str:
    """Return the latest claim of the case: the one that this conclusion answers."""
    claims = [party.claim for party in state.parties.values() if party.claim]
    return max(claims, key=lambda claim: int(claim.rpartition(".")[2]), default="")


def ask_hub(story: Story, reason: str) -> None:
    """Leave the case to the hub, once for each reason."""
    state, proposal = story.state, story.state.proposal
    if state.undecided == reason or proposal is None:
        return
    harmed = {agency for planned in proposal.parties if planned.role in HARMED for agency in planned.options}
    story.tell(
        CaseNeedsDecision(
            claim=_case_of(state) or None,
            why=(because(reason), *proposal.why),
            reason=reason,
            hub=proposal.hub,
            options=tuple(sorted(harmed)),
        )
    )


def _ask(story: Story, case: str, due_of: DueOf | None) -> None:
    """Ask the checks whose turn it is, once the case is allocated: before that, nobody outside hears of it."""
    proposal = story.state.proposal
    if proposal is None or not story.state.told or _held(story.state):
        return
    for check in proposal.checks:
        key = check_id(case, check)
        if key in story.state.checks or not _turn(story.state, case, check):
            continue
        if check.closing and not story.state.outcomes:
            continue
        due = due_of(check.within) if due_of and check.within else check.due
        remind = due_of(check.remind_within) if due_of and check.remind_within else None
        asked = Check(
            kind=check.kind,
            of=check.of,
            about=check.about,
            gates=check.gates,
            due=due,
            remind=remind or (due - REMIND_BEFORE if due else None),
            delivery=check.delivery,
            closing=check.closing,
        )
        party = _party_of(asked, case)
        story.tell(
            Asked(key, asked),
            CheckRequested(check=key, kind=check.kind, of=check.of, party=party, due=due),
        )
        said = {story.state.parties[p].answer for p in check.about if p in story.state.parties}
        if check.kind == "willingness" and not said.isdisjoint(("agreed", "declined")):
            answer(story, key, satisfied="agreed" in said)


def answer(story: Story, key: str, *, satisfied: bool) -> None:
    """Record a check's answer; a "no" is for the hub to weigh."""
    check = story.state.checks[key]
    told = CheckAnswered(
        check=key, kind=check.kind, of=check.of, party=_party_of(check, key), satisfied=satisfied
    )
    story.tell(told)
    if not satisfied:
        ask_hub(story, f"check_{check.kind}")


def _party_of(check: Check, otherwise: str) -> str:
    """Return the party that a check is told about: whom it asks about, else whose approach waits."""
    return next(iter((*check.about, *check.gates)), otherwise)


def _turn(state: CaseState, case: str, check: PlannedCheck) -> bool:
    before = [c for c in (state.proposal.checks if state.proposal else ()) if c.id in check.after]
    return all(_satisfied(state, check_id(case, earlier)) for earlier in before)


def _satisfied(state: CaseState, key: str) -> bool:
    check = state.checks.get(key)
    return check is not None and check.satisfied is True


def open_checks(state: CaseState, case: str, party: str) -> list[str]:
    """Return the checks, planned or asked by the hub, that still gate this party's approach."""
    planned = [
        check_id(case, c) for c in (state.proposal.checks if state.proposal else ()) if party in c.gates
    ]
    extra = [key for key, check in state.checks.items() if check.extra and party in check.gates]
    refused = [key for key, check in no_of(state).items() if party in check.gates]
    return [key for key in dict.fromkeys(planned + extra + refused) if not _satisfied(state, key)]


def waiting(state: CaseState, case: str, *, closing: bool) -> list[str]:
    """Return the checks that the delivery (or the closing) of the case still waits for."""
    planned = [
        c for c in (state.proposal.checks if state.proposal else ()) if (c.closing if closing else c.delivery)
    ]
    refused = [key for key, c in no_of(state).items() if (c.closing if closing else c.delivery)]
    keys = dict.fromkeys([*(check_id(case, c) for c in planned), *refused])
    return [key for key in keys if not _satisfied(state, key)]


def _clear(story: Story, case: str) -> None:
    state, proposal = story.state, story.state.proposal
    if proposal is None or not state.told:
        return
    ready, late = [], []
    for planned in proposal.parties:
        party = state.parties.get(planned.party)
        if party is None or party.place not in ("led", "elsewhere"):
            continue
        closed = bool(planned.hold or open_checks(state, case, planned.party))
        if party.cleared and closed:
            late.append(planned.party)
        elif not party.cleared and not closed and not _held(state):
            ready.append(planned)
    if late:
        # Cleared once, and new facts ask for a check: consent cannot unclear, so the case pauses until it is answered.
        story.tell(Cleared(tuple(late), cleared=False))
        pause(story, BY_CHECKS, "check_open")
    if ready:
        cleared = tuple(ClearedParty(party=p.party, person=p.person, limits=p.limits) for p in ready)
        story.tell(
            Cleared(tuple(p.party for p in ready)),
            CaseCleared(parties=cleared, policy_version=proposal.policy_version),
        )
    if BY_CHECKS in story.state.pauses and not late and not _unready(story.state):
        unpause(story, BY_CHECKS, "checks_answered")


def _unready(state: CaseState) -> bool:
    return any(not p.cleared for p in state.parties.values() if p.place in ("led", "elsewhere"))
