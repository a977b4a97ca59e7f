"""The best teams for a whole list at once, for a hub's meeting: constraint programming with OR-Tools (CP-SAT).

For each case one yes-or-no variable for each team that could take it. What couples the cases are people's hours: nobody
beyond the free ones, and each hour above the fair share costs.

What is pruned, and why that is safe: `Roster.candidates` keeps the nearest people and a few of each kind (the bound is of
these people). Then only teams whose reduced cost is within a limit are given to CP-SAT. A plan with any other team costs at
least the relaxation's value and that limit, so once CP-SAT is done with one limit that sum is a bound; the limit is doubled
until the bound meets the plan or time is out. The first answer is the better of the greedy plan and the relaxation rounded,
so no plan is worse than the greedy one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from ortools.sat.python import cp_model

from services.allocation.workforce.choose import Picked, cost, explain
from services.allocation.workforce.needs import CaseNeed
from services.allocation.workforce.options import (
    NOBODY,
    OVER,
    TENTHS,
    Option,
    Relaxed,
    fair_hours,
    free_hours,
    options_of,
    relax,
)
from services.allocation.workforce.plan import Plan, in_order, measure
from services.allocation.workforce.roster import Candidate, Roster

FIRST_LIMIT: Final = 600
"""Tenths of a kilometre of reduced cost: what the first, small problem may use."""
ALTERNATIVES: Final = 400

Teams: TypeAlias = dict[str, Option | None]
"""The team of each case; None: nobody."""


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How hard to look: seconds, cores, people kept for each case. With one core a seed repeats a finished plan exactly."""

    seconds: float = 10.0
    cores: int = 2
    nearest: int = 24
    seed: int = 1


class _Found(NamedTuple):
    teams: Teams
    tenths: int
    finished: bool


def solve(roster: Roster, cases: Sequence[CaseNeed], on: date, effort: Effort | None = None) -> Plan:
    """The best plan found in the time given, with the bound that no plan of the same people can beat."""
    effort = effort if effort is not None else Effort()
    began = monotonic()
    greedy = in_order(roster, cases, on)
    options = {
        case.id: options_of(roster, case, on, effort.nearest, picked.members)
        for case, picked in zip(cases, greedy.picked, strict=True)
    }
    relaxed = relax(roster, cases, options)
    starts = (_as_teams(greedy, options), _rounded(roster, cases, options, relaxed))
    best = min(starts, key=lambda teams: _cost(roster, cases, teams))
    best_tenths, bound, limit, used = _cost(roster, cases, best), relaxed.tenths, FIRST_LIMIT, 0
    while bound < best_tenths and (left := effort.seconds - (monotonic() - began)) > 0:
        few = {
            case: [
                o
                for o, reduced in zip(options[case], relaxed.reduced[case], strict=True)
                if reduced <= limit or o is best[case]
            ]
            for case in options
        }
        used = sum(map(len, few.values()))
        found = _search(roster, cases, few, best, effort, left)
        if found.tenths < best_tenths:
            best, best_tenths = found.teams, found.tenths
        if not found.finished:
            break
        bound = max(bound, min(best_tenths, relaxed.tenths + limit))
        limit *= 2
    plan = measure(roster, cases, _explained(roster, cases, best, options))
    return msgspec.structs.replace(
        plan,
        how="solver",
        bound=bound / TENTHS,
        proven=bound >= best_tenths,
        seconds=monotonic() - began,
        options=used,
    )


def _search(
    roster: Roster,
    cases: Sequence[CaseNeed],
    few: Mapping[str, Sequence[Option]],
    best: Teams,
    effort: Effort,
    seconds: float,
) -> _Found:
    """CP-SAT over some of the options, begun from the best plan so far."""
    model = cp_model.CpModel()
    takes: dict[str, list[Any]] = {}
    work: dict[str, list[Any]] = {person.id: [] for person in roster.all}
    hours = {person.id: 0 for person in roster.all}
    costs: list[Any] = []
    for case in cases:
        takes[case.id] = [model.new_bool_var("") for _ in few[case.id]]
        nobody = model.new_bool_var("")
        model.add_exactly_one([*takes[case.id], nobody])
        model.add_hint(nobody, best[case.id] is None)
        costs.append(NOBODY * nobody)
        for option, take in zip(few[case.id], takes[case.id], strict=True):
            model.add_hint(take, option is best[case.id])
            costs.append(option.tenths * take)
            for member in option.ids:
                work[member].append(case.hours * take)
                hours[member] += case.hours if option is best[case.id] else 0
    fair, free = fair_hours(roster, cases), free_hours(roster, cases)
    for person in roster.all:
        over = model.new_int_var(0, max(person.capacity, person.used), "")
        model.add(over >= sum(work[person.id]) - fair[person.id])
        model.add_hint(over, max(0, hours[person.id] - fair[person.id]))
        costs.append(OVER * over)
        if work[person.id]:
            model.add(sum(work[person.id]) <= free[person.id])
    model.minimize(sum(costs))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = effort.cores
    solver.parameters.random_seed = effort.seed
    status = solver.solve(model)
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return _Found(best, _cost(roster, cases, best), finished=False)
    teams: Teams = {
        case.id: next(
            (
                option
                for option, take in zip(few[case.id], takes[case.id], strict=True)
                if solver.boolean_value(take)
            ),
            None,
        )
        for case in cases
    }
    return _Found(teams, _cost(roster, cases, teams), finished=status == cp_model.OPTIMAL)


def _rounded(
    roster: Roster, cases: Sequence[CaseNeed], options: Mapping[str, Sequence[Option]], relaxed: Relaxed
) -> Teams:
    """A plan near the relaxation: each case takes the team that it takes most of, the surest first, while hours last."""
    free, teams = free_hours(roster, cases), Teams()
    for case in sorted(cases, key=lambda case: -max(relaxed.taken[case.id], default=0.0)):
        taken, reduced = relaxed.taken[case.id], relaxed.reduced[case.id]
        wanted = sorted(range(len(options[case.id])), key=lambda index: (-taken[index], reduced[index]))
        possible_now = (
            options[case.id][i] for i in wanted if all(free[m] >= case.hours for m in options[case.id][i].ids)
        )
        teams[case.id] = option = next(possible_now, None)
        for member in option.ids if option is not None else ():
            free[member] -= case.hours
    return teams


def _as_teams(greedy: Plan, options: Mapping[str, Sequence[Option]]) -> Teams:
    return {
        picked.case: next(
            (option for option in options[picked.case] if option.ids == set(picked.members)), None
        )
        for picked in greedy.picked
    }


def _cost(roster: Roster, cases: Sequence[CaseNeed], teams: Teams) -> int:
    """The solver's objective, counted from the teams."""
    hours = dict.fromkeys((person.id for person in roster.all), 0)
    tenths = 0
    for case in cases:
        option = teams[case.id]
        tenths += NOBODY if option is None else option.tenths
        for member in option.ids if option is not None else ():
            hours[member] += case.hours
    fair = fair_hours(roster, cases)
    return tenths + OVER * sum(max(0, hours[person] - fair[person]) for person in hours)


def _explained(
    roster: Roster, cases: Sequence[CaseNeed], teams: Teams, options: Mapping[str, Sequence[Option]]
) -> tuple[Picked, ...]:
    """Each team beside the best that could still take its place, given everything else in the plan."""
    final = Roster(roster.all)
    for case in cases:
        option = teams[case.id]
        for member in option.ids if option is not None else ():
            final.take(member, case.hours)
    return tuple(_explain_one(final, case, teams[case.id], options[case.id]) for case in cases)


def _explain_one(final: Roster, case: CaseNeed, chosen: Option | None, options: Sequence[Option]) -> Picked:
    if chosen is None:
        needed = f"Nobody: {len(options)} teams could, and other cases need their hours more."
        sentence = needed if options else "Nobody: no team of those who could take part fits together."
        return Picked(case=case.id, members=(), broken=(), km=0.0, why=(sentence,))

    def before(member: Candidate) -> Candidate:
        person = final.person(member.facilitator.id)
        used = person.used - (case.hours if person.id in chosen.ids else 0)
        return Candidate(msgspec.structs.replace(person, used=used), member.km)

    others = []
    for option in options[:ALTERNATIVES]:
        other = tuple(map(before, option.team))
        if option is not chosen and all(c.facilitator.free >= case.hours for c in other):
            others.append(other)
    team = tuple(map(before, chosen.team))
    return explain(team, min(others, key=lambda other: cost(other, case), default=None), case)
