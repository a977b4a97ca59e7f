"""What a policy says of one case. Everything in it is an id, a code or a sentence of the policy: no personal data."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.cases import Limits


class WorkerNeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may be the named worker: one of `roles`, trained at least so far, speaking `language`, none of `not_workers`.

    `hours` of work must be free; 0 leaves the choice of the worker to the agency.
    """

    roles: tuple[str, ...] = ()
    training: str = "none"
    language: str | None = None
    not_workers: tuple[str, ...] = ()
    hours: int = 0


class Lead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agency proposed to hold one party. `hand_over`: where its lead may go next, in order, with its agreement.

    `options` are the agencies that may lead by the rule, this one first and the co-ordinator at the end.

    `duty` (harmed parties only) is whether RJ must be offered or the person informed of it. `sessions`: those of a
    programme, under a conversation lease after agreement.
    """

    party: str
    role: str
    agency: str
    rule: str
    options: tuple[str, ...] = ()
    team: str | None = None
    worker: WorkerNeed = WorkerNeed()
    hand_over: tuple[str, ...] = ()
    duty: str | None = None
    limits: Limits = Limits()
    sessions: int | None = None


class TeamNeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is needed to deliver. `one_from_each`: a facilitator from one agency of each group.

    `not_workers` and `not_agencies` are not neutral in this case.
    """

    facilitators: int = 1
    different_agencies: bool = False
    one_from_each: tuple[tuple[str, ...], ...] = ()
    training: str = "none"
    experience: str = "any"
    supervision: str = "none"
    specialism: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    not_workers: tuple[str, ...] = ()
    not_agencies: tuple[str, ...] = ()
    travel_km: int | None = None


class Funding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who pays: an agency, or a fund of the policy. `extras` pays what is not delivery (rooms, travel)."""

    payer: str
    basis: str | None = None
    extras: str | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to one agency. `id` is the same each time the case is decided, so that an answer stays with it.

    `gates` are the parties whose approach waits; `delivery`: the meeting of the parties waits; `closing`: it is asked when
    the work is done, and the case is not closed without it. `after`: ids of checks that must be answered first.
    `due` and `remind` are for a check that is asked on the day the case is received, None where they depend on a date that
    nobody knows yet; `within` and `remind_within` are how the policy says it, for one that is asked later.
    """

    id: str
    kind: str
    of: str
    about: tuple[str, ...]
    gates: tuple[str, ...]
    question: str
    rule: str
    delivery: bool = False
    closing: bool = False
    due: datetime | None = None
    remind: datetime | None = None
    within: str = ""
    remind_within: str = ""
    after: tuple[str, ...] = ()


class OnHold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """No approach of these parties until the facts change; `tell` is the referrer, and what is missing."""

    reason: str
    parties: tuple[str, ...]
    review: datetime | None
    rule: str
    sentence: str
    missing: tuple[str, ...] = ()
    tell: str | None = None


class Clock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that must be done before `due`."""

    name: str
    due: datetime
    duty: str
    rule: str


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that must be told, and to which parties (`referrer`: to the referring agency)."""

    say: str
    rule: str
    parties: tuple[str, ...] = ()
    referrer: bool = False


class Agenda(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A meeting that the case is put to."""

    meeting: str
    every: str
    why: str
    rule: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy's decision on a case.

    `stream` is the delivery rule's name: the way in which the case travels. `rules` are those that fired, as
    `section/rule`. `why` is the whole explanation (some kilobytes: keep it beside the case): each rule that fired, and
    before it the rules that were passed over, with the first condition that failed. `headline` is what an event carries: who
    leads, co-ordinates, delivers and pays, and what holds the case, the harmed party's lead first.
    """

    partnership: str
    policy_version: str
    policy_digest: str
    connection: str
    co_ordinator: str
    deliverer: str
    stream: str
    leads: tuple[Lead, ...]
    team: TeamNeed
    funding: Funding
    rules: tuple[str, ...]
    headline: tuple[str, ...]
    why: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    holds: tuple[OnHold, ...] = ()
    clocks: tuple[Clock, ...] = ()
    forms: tuple[str, ...] = ()
    participants: int | None = None
    told: tuple[Statement, ...] = ()
    queue: str | None = None
    queue_order: str | None = None
    agenda: tuple[Agenda, ...] = ()

    def lead_of(self, party: str) -> Lead:
        """The lead of one party, by its id."""
        return next(lead for lead in self.leads if lead.party == party)

    def held(self, party: str) -> bool:
        """Whether some hold keeps the party from being approached."""
        return any(party in hold.parties for hold in self.holds)

    def waiting_for(self, party: str, satisfied: frozenset[str] = frozenset()) -> tuple[Check, ...]:
        """The checks that the party's approach still waits for, given the ids of those answered well, in order."""
        return tuple(check for check in self.checks if party in check.gates and check.id not in satisfied)


class Jurisdiction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which partnership holds a case, by which connection; or, where rules do not say, who decides between which."""

    partnership: str | None
    connection: Literal["offence", "harmed_home", "responsible_home", "arbiter"]
    sentence: str
    arbiter: str | None = None
    candidates: tuple[str, ...] = ()
