"""The teams that could take each case, and the linear relaxation that says which of them can matter.

The relaxation (GLOP) allows parts of teams. Its value is a bound that no plan can beat, and a team's reduced cost is by how
much at least a plan with that team lies above the bound: with it, teams are left out without loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, islice
from math import ceil, gcd
from typing import Any, Final, NamedTuple

from ortools.linear_solver import pywraplp

from services.allocation.workforce.choose import WISH_KM, people
from services.allocation.workforce.needs import CaseNeed, broken_wishes, possible
from services.allocation.workforce.plan import NOBODY_KM, OVER_KM, fair_share
from services.allocation.workforce.roster import Candidate, Roster, candidate

TENTHS: Final = 10
"""The solvers count in whole tenths of a kilometre."""
TEAMS_LISTED: Final = 5_000
TOLERANCE: Final = 0.01
NOBODY: Final = round(NOBODY_KM * TENTHS)
OVER: Final = round(OVER_KM * TENTHS)


class Option(NamedTuple):
    """A team that could take a case, and what it costs apart from hours, in tenths of a kilometre."""

    team: tuple[Candidate, ...]
    tenths: int

    @property
    def ids(self) -> frozenset[str]:
        """Who is in it."""
        return frozenset(member.facilitator.id for member in self.team)


class Relaxed(NamedTuple):
    """The bound in tenths; and of each option, in the options' order, its reduced cost and how much of it is taken."""

    tenths: int
    reduced: Mapping[str, Sequence[float]]
    taken: Mapping[str, Sequence[float]]


def options_of(
    roster: Roster, case: CaseNeed, on: date, nearest: int, greedy: Sequence[str]
) -> tuple[Option, ...]:
    """The teams of the candidates of a case, the cheapest first. The greedy rule's members are always candidates."""
    pool = {c.facilitator.id: c for c in roster.candidates(case, on, nearest)}
    for member in greedy:
        pool.setdefault(member, candidate(roster.person(member), case))
    listed = islice(combinations(pool.values(), case.team.facilitators), TEAMS_LISTED)
    options = [Option(team, _tenths(team, case)) for team in listed if possible(people(team), case)]
    return tuple(sorted(options, key=lambda option: (option.tenths, sorted(option.ids))))


def fair_hours(roster: Roster, cases: Sequence[CaseNeed]) -> dict[str, int]:
    """Hours that each person can still take before lying above the fair share (less than none: already above)."""
    share = fair_share(roster, cases)
    return {person.id: round(share * person.capacity) - person.used for person in roster.all}


def step_of(cases: Sequence[CaseNeed]) -> int:
    """Hours are taken in multiples of this."""
    return gcd(*(case.hours for case in cases)) or 1


def free_hours(roster: Roster, cases: Sequence[CaseNeed]) -> dict[str, int]:
    """Hours that each person can take, without the rest that no case fits into."""
    step = step_of(cases)
    return {person.id: max(0, person.free) // step * step for person in roster.all}


def _over_rows(fair: int, step: int) -> Iterator[tuple[float, float]]:
    """Lines `slope * hours - most` that the hours above the fair share cannot lie below, hours being whole steps."""
    yield 1.0, fair
    below = fair // step
    if below >= 0:
        # Between the last step that is fair and the first that is not, the cost runs straight: parts of teams pay it too.
        height = (below + 1) * step - fair
        yield height / step, height * below


def relax(roster: Roster, cases: Sequence[CaseNeed], options: Mapping[str, Sequence[Option]]) -> Relaxed:
    """Solves the relaxation."""
    solver: Any = pywraplp.Solver("relaxation", pywraplp.Solver.GLOP_LINEAR_PROGRAMMING)
    objective, infinity = solver.Objective(), solver.infinity()
    objective.SetMinimization()
    fair, free = fair_hours(roster, cases), free_hours(roster, cases)
    rows: dict[str, list[tuple[Any, float]]] = {}
    for person in roster.all:
        over = solver.NumVar(0, infinity, "")
        objective.SetCoefficient(over, OVER)
        rows[person.id] = [(solver.Constraint(-infinity, free[person.id]), 1.0)]
        for slope, most in _over_rows(fair[person.id], step_of(cases)):
            row = solver.Constraint(-infinity, most)
            row.SetCoefficient(over, -1)
            rows[person.id].append((row, slope))
    takes: dict[str, list[Any]] = {}
    for case in cases:
        one = solver.Constraint(1, 1)
        nobody = solver.NumVar(0, infinity, "")
        objective.SetCoefficient(nobody, NOBODY)
        one.SetCoefficient(nobody, 1)
        takes[case.id] = []
        for option in options[case.id]:
            take = solver.NumVar(0, infinity, "")
            takes[case.id].append(take)
            objective.SetCoefficient(take, option.tenths)
            one.SetCoefficient(take, 1)
            for member in option.ids:
                for row, slope in rows[member]:
                    row.SetCoefficient(take, slope * case.hours)
    if solver.Solve() != pywraplp.Solver.OPTIMAL:
        raise RuntimeError("the relaxation has no answer, though leaving every case without a team is one")
    reduced = {case.id: [take.reduced_cost() for take in takes[case.id]] for case in cases}
    # Every plan costs whole tenths, so the bound may be rounded up; the small part is the solver's own tolerance.
    taken = {case.id: [take.solution_value() for take in takes[case.id]] for case in cases}
    return Relaxed(ceil(objective.Value() - TOLERANCE), reduced, taken)


def _tenths(team: Sequence[Candidate], case: CaseNeed) -> int:
    km = WISH_KM * len(broken_wishes(people(team), case)) + sum(member.km for member in team)
    return round(km * TENTHS)
