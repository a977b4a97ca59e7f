from __future__ import annotations

from datetime import date
from itertools import combinations, product
from random import Random
from typing import Any

import msgspec
import pytest

from services.allocation.policy import TeamNeed
from services.allocation.workforce import CaseNeed, Facilitator, Roster, assign_team, in_order
from services.allocation.workforce.choose import Picked
from services.allocation.workforce.needs import broken_wishes, possible, unfit_for
from services.allocation.workforce.plan import measure
from services.allocation.workforce.roster import km_for
from services.allocation.workforce.solve import Effort, solve

TODAY = date(2026, 3, 2)
PAIR = TeamNeed(facilitators=2, different_agencies=True, training="core", experience="one_experienced")
COMPLEX = TeamNeed(facilitators=2, training="complex", experience="all_experienced", supervision="specialist")


def person(name: str, **given: Any) -> Facilitator:
    return Facilitator(**{"id": name, "agency": name[0], "experienced": True, "district": "BN1", **given})


def case(name: str = "case", need: TeamNeed = PAIR, **given: Any) -> CaseNeed:
    return CaseNeed(**{"id": name, "team": need, "districts": ("BN1",), **given})


def expert(name: str, **given: Any) -> Facilitator:
    return person(name, **{"training": "complex", "supervision": "specialist", **given})


def test_a_pair_is_of_different_agencies_and_one_of_them_is_new_to_the_work() -> None:
    people = [person("a1"), person("a2"), person("b1"), person("b2", experienced=False, district="BN20")]
    picked = assign_team(Roster(people), case(), TODAY)
    assert set(picked.members) == {"a1", "b2"}
    assert picked.broken == ()
    assert picked.why[0].startswith("a1 and b2 keep every wish")
    assert picked.why[1] == "a2 and b2 would do as well."


def test_two_without_experience_are_never_sent_alone() -> None:
    novices = [person("a1", experienced=False), person("b1", experienced=False)]
    assert assign_team(Roster(novices), case(), TODAY).members == ()
    assert set(assign_team(Roster([*novices, person("c1")]), case(), TODAY).members) >= {"c1"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"training": "core"}, "not trained"),
        ({"experienced": False}, "without the experience"),
        ({"supervision": "line"}, "without specialist supervision"),
        ({"absences": ((TODAY, TODAY),)}, "away"),
        ({"capacity": 10, "used": 5}, "without the hours"),
        ({"active": False}, "no longer active"),
        ({"roles": ("victim_coordinator",)}, "not a facilitator"),
    ],
)
def test_who_cannot_take_a_complex_case_is_left_out_with_the_reason(
    given: dict[str, Any], reason: str
) -> None:
    weak = expert("a1", **given)
    assert reason in (unfit_for(weak, case(need=COMPLEX), TODAY) or "")
    picked = assign_team(Roster([weak, expert("b1"), expert("c1")]), case(need=COMPLEX), TODAY)
    assert set(picked.members) == {"b1", "c1"}


def test_neutrality_leaves_out_the_worker_and_the_agency() -> None:
    need = msgspec.structs.replace(PAIR, not_workers=("a1",), not_agencies=("b",))
    people = [person("a1"), person("a2"), person("b1"), person("c1", experienced=False)]
    assert set(assign_team(Roster(people), case(need=need), TODAY).members) == {"a2", "c1"}


def test_the_policy_s_groups_the_language_and_the_specialism_are_wishes() -> None:
    need = msgspec.structs.replace(
        PAIR, one_from_each=(("a",), ("m",)), languages=("pl",), specialism=("hate",)
    )
    people = [
        person("a1"),
        person("b1"),
        person("m1", languages=("en", "pl"), experienced=False),
        person("m2", specialisms=("hate",)),
    ]
    picked = assign_team(Roster(people), case(need=need), TODAY)
    assert picked.members == ("a1", "m1")
    assert picked.broken == ("specialism_hate",)
    assert "lack the specialism hate" in picked.why[0]


def test_the_nearer_and_then_the_less_loaded_is_chosen() -> None:
    people = [
        person("a1"),
        person("b1", district="NE1", experienced=False),
        person("c1", district="BN3", experienced=False),
    ]
    assert set(assign_team(Roster(people), case(), TODAY).members) == {"a1", "c1"}
    busy = [person("a1"), person("b1", used=12, experienced=False), person("c1", experienced=False)]
    assert set(assign_team(Roster(busy), case(), TODAY).members) == {"a1", "c1"}


def test_a_co_ordinator_pins_and_forbids() -> None:
    people = [person("a1"), person("b1"), person("c1", district="NE1"), person("d1")]
    assert "c1" in assign_team(Roster(people), case(pinned=("c1",)), TODAY).members
    assert "b1" not in assign_team(Roster(people), case(forbidden=("b1",)), TODAY).members
    nobody = assign_team(Roster(people), case(pinned=("z9",)), TODAY)
    assert nobody.members == ()
    assert nobody.why[0].startswith("Nobody")


def test_only_agencies_of_the_partnership_are_asked() -> None:
    people = [person("a1"), person("b1"), person("c1")]
    assert set(assign_team(Roster(people), case(agencies=("b", "c")), TODAY).members) == {"b1", "c1"}


def test_pruning_keeps_the_rare_speaker_far_away() -> None:
    near = [person(f"a{n}", district="BN1") for n in range(60)]
    far = person("z1", district="NE1", languages=("en", "pl"))
    need = msgspec.structs.replace(PAIR, languages=("pl",))
    kept = {c.facilitator.id for c in Roster([*near, far]).candidates(case(need=need), TODAY, nearest=8)}
    assert "z1" in kept
    assert len(kept) < 20


def test_hours_are_taken_case_by_case_and_never_twice() -> None:
    people = [person("a1", capacity=12), person("b1", capacity=12)]
    plan = in_order(Roster(people), [case("1"), case("2"), case("3")], TODAY)
    assert [len(team.members) for team in plan.picked] == [2, 2, 0]
    assert plan.without == 1


def some_people(random: Random, count: int) -> list[Facilitator]:
    return [
        person(
            f"{'abc'[n % 3]}{n}",
            experienced=random.random() < 0.6,
            district=random.choice(["BN1", "BN3", "RH1", "TN1", "GU1"]),
            capacity=random.choice([12, 18]),
            used=random.choice([0, 3]),
            languages=("en", "pl") if n == 0 else ("en",),
        )
        for n in range(count)
    ]


def some_cases(random: Random, count: int) -> list[CaseNeed]:
    polish = msgspec.structs.replace(PAIR, languages=("pl",))
    return [
        case(f"c{n}", polish if n == 0 else PAIR, districts=(random.choice(["BN1", "RH1", "TN1", "GU1"]),))
        for n in range(count)
    ]


def best_of_all(roster: Roster, cases: list[CaseNeed]) -> float:
    """The cheapest plan there is, by trying every one: what the solver is held against."""
    teams = []
    for one in cases:
        able = [p for p in roster.all if unfit_for(p, one, TODAY) is None]
        teams.append([(), *(team for team in combinations(able, 2) if possible(team, one))])
    best = float("inf")
    for chosen in product(*teams):
        hours = {p.id: p.used for p in roster.all}
        for one, team in zip(cases, chosen, strict=True):
            for member in team:
                hours[member.id] += one.hours
        if any(hours[p.id] > p.capacity for p in roster.all):
            continue
        picked = tuple(_picked(one, team) for one, team in zip(cases, chosen, strict=True))
        best = min(best, measure(roster, cases, picked).cost)
    return best


def _picked(one: CaseNeed, team: tuple[Facilitator, ...]) -> Picked:
    km = sum(km_for(member, one) for member in team)
    broken = broken_wishes(team, one) if team else ()
    return Picked(case=one.id, members=tuple(m.id for m in team), broken=broken, km=km, why=())


@pytest.mark.parametrize("seed", range(8))
def test_the_solver_finds_what_trying_everything_finds(seed: int) -> None:
    random = Random(seed)
    roster = Roster(some_people(random, 5))
    # In every second seed the cases differ in hours, so that hours do not fit evenly.
    hours = [6, 6, 6] if seed % 2 else [random.choice([4, 6, 9]) for _ in range(3)]
    cases = [
        msgspec.structs.replace(one, hours=h) for one, h in zip(some_cases(random, 3), hours, strict=True)
    ]
    plan = solve(roster, cases, TODAY, Effort(seconds=20, cores=1))
    assert plan.proven
    assert plan.cost == pytest.approx(best_of_all(roster, cases), abs=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_a_solved_plan_is_possible_never_worse_than_the_greedy_one_and_above_its_bound(seed: int) -> None:
    random = Random(100 + seed)
    roster, cases = Roster(some_people(random, 14)), some_cases(random, 20)
    greedy, plan = in_order(roster, cases, TODAY), solve(roster, cases, TODAY, Effort(seconds=5))
    assert plan.cost <= greedy.cost + 0.5
    assert plan.bound is not None
    assert plan.bound <= plan.cost + 0.5
    people, hours = {p.id: p for p in roster.all}, {p.id: p.used for p in roster.all}
    for one, team in zip(cases, plan.picked, strict=True):
        if team.members:
            members = [people[member] for member in team.members]
            assert possible(members, one)
            assert all(unfit_for(member, one, TODAY) is None for member in members)
            assert team.broken == broken_wishes(members, one)
        for member in team.members:
            hours[member] += one.hours
    assert all(hours[p.id] <= p.capacity for p in roster.all)
    assert all(team.why for team in plan.picked)


def test_a_pin_and_a_forbid_hold_in_the_next_solution() -> None:
    random = Random(5)
    roster, cases = Roster(some_people(random, 12)), some_cases(random, 8)
    first = solve(roster, cases, TODAY, Effort(seconds=3))
    gone, kept = first.picked[0].members[0], first.picked[1].members[0]
    changed = [
        msgspec.structs.replace(cases[0], forbidden=(gone,)), msgspec.structs.replace(cases[1], pinned=(kept,)), *cases[2:]
    ]  # fmt: skip
    again = solve(roster, changed, TODAY, Effort(seconds=3))
    assert gone not in again.picked[0].members
    assert kept in again.picked[1].members


def test_the_same_seed_and_one_core_give_the_same_plan() -> None:
    random = Random(6)
    roster, cases = Roster(some_people(random, 10)), some_cases(random, 8)
    effort = Effort(seconds=20, cores=1)
    assert [p.members for p in solve(roster, cases, TODAY, effort).picked] == [
        p.members for p in solve(roster, cases, TODAY, effort).picked
    ]


def test_nobody_to_send_is_a_plan_too() -> None:
    plan = solve(Roster([]), [case()], TODAY, Effort(seconds=1))
    assert plan.without == 1
    assert plan.picked[0].why[0].startswith("Nobody")
