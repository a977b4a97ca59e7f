"""What a decision costs: by partnership, by number of rules; what a team costs: by number of facilitators and open cases.

CPU time of this process only, median of several readings, each beside a yardstick in the same run: the standard library's
JSON round trip of the same facts. Machines and their neighbours differ; the ratios travel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

import msgspec

from benchmarks.allocation.people import cases, districts, facilitators
from services.allocation import policy
from services.allocation.workforce import CaseNeed, Roster, assign_team

POLICIES = Path(__file__).parents[2] / "services" / "allocation" / "policies"
READINGS = 5
TODAY = date(2026, 3, 2)
STAGES = [
    "caution",
    "community_order",
    "community_resolution",
    "custody",
    "licence",
    "pre_sentence",
    "post_sentence",
]
OFFENCES = [
    "burglary",
    "assault",
    "theft",
    "criminal_damage",
    "robbery",
    "hate",
    "serious_violence",
    "domestic_abuse",
]


def micros(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one `work` of `times`, the median of the readings."""
    readings = []
    for _ in range(READINGS):
        began = process_time()
        work()
        readings.append((process_time() - began) / times * 1e6)
    return median(readings)


def some_facts(random: Random, policies: policy.Policies, count: int) -> list[policy.CaseFacts]:
    """Cases of all partnerships, most of them ordinary."""
    found = []
    for number in range(count):
        partnership = random.choice(sorted(policies.partnerships))
        covered = policies.partnership(partnership)
        young = random.random() < 0.15
        found.append(
            policy.CaseFacts(
                received_at=datetime(2026, 3, 2 + number % 20, 10, tzinfo=UTC),
                areas=(covered.areas[0],),
                offence=random.choice(OFFENCES),
                stage=random.choice(STAGES),
                initiated_by=random.choice(["harmed", "agency", "agency", "responsible"]),
                referred_by=random.choice(sorted(covered.partners)),
                explicit_agreement=random.random() < 0.5,
                parties=(
                    policy.PartyFacts(
                        id=f"h{number}",
                        role="harmed",
                        age_band=random.choice(["18_to_24", "25_or_over", "10_to_17"]),
                    ),
                    policy.PartyFacts(
                        id=f"r{number}",
                        role="responsible",
                        age_band="10_to_17" if young else "25_or_over",
                        risk=random.choice(["low", "medium", "high", "unknown"]),
                        admitted=random.choice([True, True, None]),
                    ),
                ),
            )
        )
    return found


def with_more_rules(files: dict[str, str], more: int) -> policy.Policies:
    """Hertfordshire with rules before its own that ask and do not match, as many in two sections."""
    text = files["hertfordshire.yaml"]
    for section, agency in (("deliver", "bench-crc"), ("lead_harmed", "beacon")):
        extra = "".join(
            f"  - {{rule: extra-{number}, when: {{programme: [extra-{number}], stage: [custody]}}, "
            f"agency: {agency}, because: x}}\n"
            for number in range(more)
        )
        text = text.replace(f"{section}:\n", f"{section}:\n{extra}", 1)
    programmes = "".join(f"  extra-{number}: another\n" for number in range(more))
    text = text.replace("programmes:\n", f"programmes:\n{programmes}", 1)
    return policy.parse({**files, "hertfordshire.yaml": text})


def decisions() -> None:
    """Prints what deciding costs."""
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*.yaml"))}
    policies = policy.parse(files)
    random = Random(1)
    facts = some_facts(random, policies, 2_000)
    agencies = policy.Agencies(
        {a.id: a for p in policies.partnerships.values() for a in policy.Agencies.of(p).all()}.values()
    )
    plain = [msgspec.to_builtins(each) for each in facts]
    yard = micros(lambda: [json.loads(json.dumps(each)) for each in plain], len(plain))

    def decide_all(of: policy.Policies) -> list[policy.Proposal]:
        done = []
        for each in facts:
            held = of.jurisdiction(each)
            done.append(
                policy.decide(of.partnership(held.partnership or ""), each, agencies, held.connection)
            )
        return done

    began = process_time()
    decide_all(policies)
    first = (process_time() - began) / len(facts) * 1e6
    warm = micros(lambda: decide_all(policies), len(facts))
    print(f"yardstick: one JSON round trip of a case's facts      {yard:8.1f} us")
    print(f"16 policies, the first time each case is seen         {first:8.1f} us {first / yard:6.1f} x")
    print(
        f"16 policies, after 2,000 cases                        {warm:8.1f} us {warm / yard:6.1f} x "
        f"{1e6 / warm:9,.0f} a second"
    )
    size = median(len(msgspec.json.encode(each)) for each in decide_all(policies))
    print(f"an explanation and its decision, as JSON              {size:8,.0f} bytes")
    of_one = [each for each in facts if each.areas == ("hertfordshire",)]
    print("\nrules before the one that decides, Hertfordshire      first time      after")
    for more in (0, 10, 50, 200):
        changed = with_more_rules(files, more).partnership("hertfordshire")
        began = process_time()
        for each in of_one:
            policy.decide(changed, each, agencies)
        cold = (process_time() - began) / len(of_one) * 1e6
        again = micros(lambda: [policy.decide(changed, each, agencies) for each in of_one], len(of_one))  # noqa: B023 - called before the next turn
        print(f"  {2 * more:4} more                                       {cold:8.1f} us {again:8.1f} us")


def teams() -> None:
    """Prints what one team costs, among how many people."""
    places = districts()
    print("\none team, in order of arrival                         of 6 agencies   of anybody")
    first: dict[str, float] = {}
    for count in (100, 500, 1_000, 5_000):
        random = Random(2)
        roster = Roster(facilitators(random, count, agencies=max(6, count * 6 // 100), places=places))
        wanted = cases(random, 60, places)
        few = [
            msgspec.structs.replace(each, agencies=tuple(f"agency-{n}" for n in range(6))) for each in wanted
        ]
        row = {"of 6 agencies": _team_cost(roster, few), "of anybody": _team_cost(roster, wanted)}
        first = first or row
        shown = "".join(f"{row[key]:9,.0f} us ({row[key] / first[key]:.2f} x)" for key in row)
        print(f"  {count:5} facilitators                                {shown}")
    print("\none team of 1,000 facilitators, by open cases")
    for opened in (0, 500, 2_000):
        random = Random(3)
        roster = Roster(facilitators(random, 1_000, agencies=60, places=places))
        everybody = [person.id for person in roster.all]
        for _ in range(opened):
            roster.take(random.choice(everybody), 6)
        wanted = cases(random, 60, places)
        print(
            f"  {opened:5} open                                       {_team_cost(roster, wanted):9,.0f} us"
        )


def _team_cost(roster: Roster, wanted: Sequence[CaseNeed]) -> float:
    return micros(lambda: [assign_team(roster, each, TODAY) for each in wanted], len(wanted))
