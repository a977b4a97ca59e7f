"""How good a hub's meeting can be: 200 cases and 60 facilitators, the solver against the rule of arrival order."""

from __future__ import annotations

from datetime import date
from random import Random
from time import process_time

from benchmarks.allocation.people import cases, districts, facilitators
from services.allocation.workforce import Plan, Roster, in_order
from services.allocation.workforce.solve import Effort, solve

TODAY = date(2026, 3, 2)
KM_PER_HOUR = 50.0
SOUTH_EAST = ("BN", "RH", "TN", "GU")


def meeting(seconds: tuple[float, ...] = (10.0, 60.0), seeds: tuple[int, ...] = (7, 8, 9)) -> None:
    """Prints the table: travel in hours at 50 km/h, spread of workload, pairs that break a wish, bound and gap."""
    places = districts(*SOUTH_EAST)
    print("\n200 cases, 60 facilitators of 6 agencies, homes in BN, RH, TN and GU; travel counted at 50 km/h")
    print(
        "seed  rule          travel h  pairs breaking a wish  h above fair share  spread  without  cost km  bound km"
        "    gap  wall s"
    )
    for seed in seeds:
        random = Random(seed)
        roster = Roster(facilitators(random, 60, 6, places))
        wanted = cases(random, 200, places)
        began = process_time()
        greedy = in_order(roster, wanted, TODAY)
        _row(seed, "in order", greedy, process_time() - began)
        for limit in seconds:
            plan = solve(roster, wanted, TODAY, Effort(seconds=limit, cores=2))
            _row(seed, f"solver {limit:.0f} s", plan, plan.seconds)


def _row(seed: int, rule: str, plan: Plan, wall: float) -> None:
    bound = (
        f"{plan.bound:9,.0f} {plan.gap:6.2%}" if plan.bound is not None and plan.gap is not None else " " * 16
    )
    print(
        f"{seed:4}  {rule:12} {plan.km / KM_PER_HOUR:9,.0f} {plan.pairs_with_broken_wish:22} {plan.over_hours:19,.0f} "
        f"{plan.spread:7.3f} {plan.without:8} {plan.cost:8,.0f} {bound} {wall:7.1f}"
    )
