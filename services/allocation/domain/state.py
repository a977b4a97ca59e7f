"""What is remembered of a case, and the vocabulary that decisions about it use."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from shared.contracts.cases import AllocatedParty, CheckKind, Delivery, Limits
from shared.contracts.envelope import Role
from shared.contracts.referrals import ReferralFacts
from shared.contracts.states import State, field

Place = Literal["new", "claimed", "led", "elsewhere", "refused", "ended", "out"]
"""Where a party stands: not asked for yet; asked of consent; led by us; led by an agency through another case; refused for a
reason that is not another lead; its tenure ended; takes no part any more."""

LED_ELSEWHERE = "led_elsewhere"
HARMED: tuple[Role, ...] = ("harmed", "both")
RESPONSIBLE: tuple[Role, ...] = ("responsible", "both")
BY_HUB = "hub"
"""Who set a pause that people set; intake and policy have names of their own."""


class PlannedCheck(State, frozen=True):
    """A question to the agency `of`, which must be answered yes before the approach of the parties that it `gates`.

    `id` is policy's own, the same each time that the case is decided. `about`: parties (none: the case). `delivery`: the
    meeting waits too. `closing`: it is asked once there is an outcome, and the case is not closed without an answer.
    `after`: ids of checks that come first. `due` counts from the receipt of the case; what is asked later is due `within`
    this time of being asked, and whoever is asked is reminded `remind_within` it (a day before it is due, if empty).
    """

    id: str
    kind: CheckKind
    of: str
    about: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    due: datetime | None = None
    after: tuple[str, ...] = ()
    question: str = ""
    delivery: bool = False
    closing: bool = False
    within: str = ""
    remind_within: str = ""


class Need(State, frozen=True):
    """Who may be the named worker: one of `roles`, trained at least so far, speaking `language`, none of `not_workers`."""

    roles: tuple[str, ...] = ()
    training: str = "none"
    language: str | None = None
    not_workers: tuple[str, ...] = ()


class PlannedParty(State, frozen=True):
    """What policy wants for one party: agencies that may lead, best first (none: nobody by rule).

    `hours` is the work that the named worker must have free; 0 leaves the choice of a worker to the agency. `hold`: the
    reason (a code) why this party is not approached until the facts change, looked at again at `review`.
    """

    party: str
    person: str
    role: Role
    options: tuple[str, ...] = ()
    team: str | None = None
    hours: int = 0
    need: Need = Need()
    limits: Limits = Limits()
    handover_to: tuple[str, ...] = ()
    hold: str | None = None
    review: datetime | None = None


class Proposal(State, frozen=True):
    """What policy says about a case as it is known now.

    `clocks` are the statutory and court dates that run, by name: the case whose first one ends soonest is served first.
    """

    partnership: str
    policy_version: str
    rule: str
    why: tuple[str, ...]
    parties: tuple[PlannedParty, ...]
    checks: tuple[PlannedCheck, ...] = ()
    co_ordinator: str | None = None
    hub: str | None = None
    funder: str | None = None
    delivery: Delivery = Delivery()
    clocks: dict[str, datetime] = field(default_factory=dict)
    area: str | None = None


class Party(State, frozen=True):
    """One party of the case. `tried` are agencies that gave it back or lost it; they are not asked again by rule."""

    person: str
    role: Role
    place: Place = "new"
    claim: str | None = None
    agency: str | None = None
    worker: str | None = None
    hours: int = 0
    reason: str | None = None
    tried: tuple[str, ...] = ()
    cleared: bool = False
    answer: str | None = None


class Check(State, frozen=True):
    """A check that was asked. `satisfied` None: not answered yet. `extra`: asked by the hub, not by policy.

    `delivery` and `closing` as in `PlannedCheck`. `overtaken`: a later version of a referral says something new about what
    was answered, and counts instead.
    """

    kind: CheckKind
    of: str
    about: tuple[str, ...]
    gates: tuple[str, ...]
    due: datetime | None = None
    remind: datetime | None = None
    satisfied: bool | None = None
    extra: bool = False
    delivery: bool = False
    closing: bool = False
    overtaken: bool = False


class Pause(State, frozen=True):
    """A reason not to contact anybody in the case. Consent knows it by `id`: an old resumption ends no newer pause."""

    id: str
    reason: str


class CaseState(State, frozen=True):
    """One case: one harmed party, one incident, any number of responsible parties and of referrals.

    `pauses` are the reasons why nobody may be contacted now, by who set them ("hub", "policy", "referral:<hold>"): the
    case goes on when the last is lifted. The case lives under the policy version of its first proposal; `partnership` is
    set where an arbiter chose it. `told` is what was last said of who leads. `member_hours`: the work of each member of its
    team. `parted`: cases that have come out of it. `closed_paused`: why the hub had paused it when it closed.
    """

    incident: str = ""
    referrals: dict[str, ReferralFacts] = field(default_factory=dict)
    proposal: Proposal | None = None
    parties: dict[str, Party] = field(default_factory=dict)
    claims: int = 0
    pauses: dict[str, Pause] = field(default_factory=dict)
    paused: int = 0
    told: tuple[AllocatedParty, ...] = ()
    checks: dict[str, Check] = field(default_factory=dict)
    undecided: str | None = None
    queued_for: str | None = None
    partnership: str | None = None
    closed: str | None = None
    joined_into: str | None = None
    parted: tuple[str, ...] = ()
    closed_paused: str | None = None
    accepted: dict[str, str | None] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    member_hours: int = 0
    outcomes: int = 0
    received_at: datetime | None = None


Status = Literal[
    "received",
    "on_hold",
    "queued",
    "proposed",
    "needs_decision",
    "allocated",
    "cleared",
    "accepted",
    "concluded",
    "closed",
]


def status_of(state: CaseState) -> Status:
    """Say in one word where a case stands; of several that apply, the one that a co-ordinator has to know first."""
    ladder: tuple[tuple[bool, Status], ...] = (
        (state.closed is not None, "closed"),
        (bool(state.pauses), "on_hold"),
        (state.undecided is not None, "needs_decision"),
        (state.queued_for is not None, "queued"),
        (state.outcomes > 0, "concluded"),
        (bool(state.accepted), "accepted"),
        (any(party.cleared for party in state.parties.values()), "cleared"),
        (bool(state.told), "allocated"),
        (state.claims > 0, "proposed"),
    )
    return next((status for holds, status in ladder if holds), "received")


def no_of(state: CaseState) -> dict[str, Check]:
    """Return the checks that were answered no, and still are. They count although policy no longer asks: it knows."""
    return {key: c for key, c in state.checks.items() if c.satisfied is False and not c.overtaken}


def leads_of(state: CaseState) -> frozenset[str]:
    """Return the agencies that lead a party of the case."""
    return frozenset(p.agency for p in state.parties.values() if p.agency and p.place in ("led", "elsewhere"))


def is_known(state: CaseState) -> bool:
    """Say whether any referral has opened this case."""
    return bool(state.incident)
