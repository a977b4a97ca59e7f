"""A plan for a list of cases: what it costs, and the rule of arrival order that every plan is held against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from statistics import pstdev
from typing import Final

import msgspec

from services.allocation.workforce.choose import WISH_KM, Picked, assign_team
from services.allocation.workforce.needs import CaseNeed
from services.allocation.workforce.roster import Roster

NOBODY_KM: Final = 2_000.0
"""A case without a team is worse than any journey or broken wish."""
OVER_KM: Final = 4.0
"""An hour above everybody's fair share is worth this many kilometres."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Teams for a list of cases. `cost` is in kilometres: travel, broken wishes, hours above the fair share, cases without.

    `bound` is what no plan over the same candidates can go below (None: not known), `gap` how far this one may be above it.
    `spread` is the standard deviation of the share of hours that is taken.
    """

    how: str
    picked: tuple[Picked, ...]
    cost: float
    km: float
    broken: int
    pairs_with_broken_wish: int
    over_hours: float
    spread: float
    without: int
    bound: float | None = None
    proven: bool = False
    seconds: float = 0.0
    options: int = 0

    @property
    def gap(self) -> float | None:
        """The share by which the plan may at most be above the best."""
        if self.bound is None:
            return None
        return 0.0 if self.cost <= self.bound else (self.cost - self.bound) / self.cost


def in_order(roster: Roster, cases: Sequence[CaseNeed], on: date) -> Plan:
    """The greedy rule: each case in the order of the list takes the team that is best for it then."""
    working = Roster(roster.all)
    picked = []
    for case in cases:
        team = assign_team(working, case, on)
        for member in team.members:
            working.take(member, case.hours)
        picked.append(team)
    return measure(roster, cases, tuple(picked))


def measure(roster: Roster, cases: Sequence[CaseNeed], picked: tuple[Picked, ...]) -> Plan:
    """What a plan costs, counted from its teams."""
    hours = {facilitator.id: facilitator.used for facilitator in roster.all}
    for case, team in zip(cases, picked, strict=True):
        for member in team.members:
            hours[member] += case.hours
    share = fair_share(roster, cases)
    over = sum(max(0, hours[f.id] - round(share * f.capacity)) for f in roster.all)
    km = sum(team.km for team in picked)
    broken = sum(len(team.broken) for team in picked)
    without = sum(not team.members for team in picked)
    return Plan(
        how="in order",
        picked=picked,
        cost=km + WISH_KM * broken + OVER_KM * over + NOBODY_KM * without,
        km=km,
        broken=broken,
        pairs_with_broken_wish=sum(bool(team.broken) for team in picked),
        over_hours=over,
        spread=pstdev(hours[f.id] / f.capacity for f in roster.all if f.capacity) if roster.all else 0.0,
        without=without,
    )


def fair_share(roster: Roster, cases: Sequence[CaseNeed]) -> float:
    """The share of hours that would be taken if everybody had the same."""
    capacity = sum(facilitator.capacity for facilitator in roster.all)
    wanted = sum(f.used for f in roster.all) + sum(case.hours * case.team.facilitators for case in cases)
    return min(1.0, wanted / capacity) if capacity else 1.0
