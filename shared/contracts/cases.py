"""Events of one case, by allocation. Topic `cases`, key case_id."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.contracts.envelope import Channel, Hours, Payload, Role, datetime, event

CheckKind = Literal[
    "research",
    "suitability",
    "approval",
    "risk_meeting",
    "partner_consent",
    "responsible_identified",
    "admission",
    "willingness",
    "needs_assessment",
    "agreement_to_share",
]


class ProposedLead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lead proposed for one party. `person` is who is spoken to: the party, or its contact person.

    `of_age`: the party has come of age and is spoken to itself, or has another contact person now; whoever was spoken to for
    it is so no longer.
    """

    party: str
    person: str
    role: Role
    agency: str
    worker: str | None = None
    team: str | None = None
    of_age: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a cleared party may be approached.

    Attempts in one approach, days between attempts and between approaches, local hours, channels, and within how many hours
    an outcome is due.
    """

    attempts: int = 3
    gap_days: int = 2
    approach_gap_days: int = 90
    hours: Hours = Hours()
    channels: tuple[Channel, ...] = ("phone", "text", "email", "letter", "visit")
    outcome_due_hours: int = 24


class ClearedParty(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A party whose checks are answered."""

    party: str
    person: str
    limits: Limits


class AllocatedParty(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A party with the lead that consent gave it (None: refused, led nowhere yet). `cleared`: consent will grant."""

    party: str
    person: str
    role: Role
    agency: str | None
    worker: str | None = None
    refused: str | None = None
    checks: tuple[CheckKind, ...] = ()


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who delivers: agencies to draw facilitators from, how many, how trained, and members already named."""

    agencies: tuple[str, ...] = ()
    facilitators: int = 2
    training: str = "core"
    members: tuple[str, ...] = ()


@event("cases", "case.proposed")
class CaseProposed(Payload, frozen=True, kw_only=True):
    """Allocation asks consent to make these agencies the leads. Nobody outside acts on a proposal.

    `claim` identifies the request; `why` explains the decision in sentences, first the rule that decided.
    """

    claim: str
    incident: str
    leads: tuple[ProposedLead, ...]
    partnership: str
    policy_version: str
    rule: str
    why: tuple[str, ...]
    co_ordinator: str | None = None
    hub: str | None = None
    funder: str | None = None
    delivery: Delivery = Delivery()


@event("cases", "case.allocated")
class CaseAllocated(Payload, frozen=True, kw_only=True):
    """Consent has decided: who leads for each party. Published again after a hand-over, with the new lead."""

    claim: str
    incident: str
    parties: tuple[AllocatedParty, ...]
    partnership: str
    policy_version: str
    rule: str
    why: tuple[str, ...]
    co_ordinator: str | None = None
    hub: str | None = None
    funder: str | None = None
    delivery: Delivery = Delivery()


@event("cases", "case.needs_decision")
class CaseNeedsDecision(Payload, frozen=True, kw_only=True):
    """No agency can take the harmed party's lead by rule: the hub decides. `options` are agency ids."""

    claim: str | None
    why: tuple[str, ...]
    reason: str
    hub: str | None = None
    options: tuple[str, ...] = ()


@event("cases", "case.queued")
class CaseQueued(Payload, frozen=True, kw_only=True):
    """Every worker of the agency that would lead is taken: the case waits its turn, the most urgent clock first."""

    agency: str
    due: datetime | None = None
    hub: str | None = None


@event("cases", "clock.missed")
class ClockMissed(Payload, frozen=True, kw_only=True):
    """A statutory or court date of the case passed before what it asks for was done."""

    clock: str
    due: datetime


@event("cases", "case.cleared")
class CaseCleared(Payload, frozen=True, kw_only=True):
    """The checks that gate the approach of these parties are answered: consent will now grant, within the limits."""

    parties: tuple[ClearedParty, ...]
    policy_version: str


@event("cases", "case.paused", restrictive=True)
class CasePaused(Payload, frozen=True, kw_only=True):
    """No contact in this case until it is resumed. `pause` names it, also in the call that enforced it."""

    reason: str
    until: datetime | None = None
    pause: str | None = None


@event("cases", "case.resumed")
class CaseResumed(Payload, frozen=True, kw_only=True):
    """The pause of this id is over. None named: all of them are, and a case that was closed goes on."""

    reason: str
    pause: str | None = None


@event("cases", "case.closed", restrictive=True)
class CaseClosed(Payload, frozen=True, kw_only=True):
    """The case is over, or went on as another (`joined_into`)."""

    reason: str
    joined_into: str | None = None


@event("cases", "case.party_left", restrictive=True)
class CasePartyLeft(Payload, frozen=True, kw_only=True):
    """No referral names this party in this case any more. `person` is who was spoken to; the case goes on without them."""

    party: str
    person: str
    reason: str


@event("cases", "case.accepted")
class CaseAccepted(Payload, frozen=True, kw_only=True):
    """A lead agency took the case on."""

    agency: str
    worker: str | None = None


@event("cases", "case.returned")
class CaseReturned(Payload, frozen=True, kw_only=True):
    """A lead agency gave the case back, with a reason code; it is allocated anew."""

    agency: str
    reason: str


@event("cases", "case.transferred")
class CaseTransferred(Payload, frozen=True, kw_only=True):
    """Another partnership holds the case from now on. Leads stay until each is handed over."""

    source: str
    target: str
    reason: str


@event("cases", "case.team_changed")
class CaseTeamChanged(Payload, frozen=True, kw_only=True):
    """The members that deliver the case, as worker ids by agency."""

    members: tuple[str, ...]


@event("cases", "check.requested")
class CheckRequested(Payload, frozen=True, kw_only=True):
    """Policy wants a question answered before `party` is approached."""

    check: str
    kind: CheckKind
    of: str
    party: str
    due: datetime | None = None


@event("cases", "check.answered")
class CheckAnswered(Payload, frozen=True, kw_only=True):
    """A check's answer: satisfied or not. The evidence stays with who answered."""

    check: str
    kind: CheckKind
    of: str
    party: str
    satisfied: bool


@event("cases", "check.reminded")
class CheckReminded(Payload, frozen=True, kw_only=True):
    """A check is due soon and not answered: whoever was asked is reminded."""

    check: str
    kind: CheckKind
    of: str
    party: str
    due: datetime


@event("cases", "check.overdue")
class CheckOverdue(Payload, frozen=True, kw_only=True):
    """A check was not answered in time: whoever was asked and the hub are reminded."""

    check: str
    kind: CheckKind
    of: str
    party: str
    due: datetime


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who took part said of it; who, only by their part. The harmed person's own word is `satisfied`."""

    by: Literal["responsible", "supporter", "staff"]
    satisfied: bool


@event("cases", "outcome.recorded")
class OutcomeRecorded(Payload, frozen=True, kw_only=True):
    """What came of the case. `kinds`: what was agreed. `satisfied`: the harmed person's own word, where asked."""

    form: Literal["conference", "community_conference", "indirect", "none"]
    agreement: bool
    fulfilled: bool | None = None
    reason: str | None = None
    kinds: tuple[Literal["apology", "reparation", "rehabilitation"], ...] = ()
    satisfied: bool | None = None
    feedback: tuple[Feedback, ...] = ()
