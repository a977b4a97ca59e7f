"""What a whole decision costs: whose case it is, who leads, and the named worker of each party among so many.

As the service does it: equal cases are decided once, workers are kept by load. CPU of this process, as in `decisions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from benchmarks.allocation.decisions import TODAY, micros, some_facts
from services.allocation import policy
from services.allocation.domain.state import Need
from services.allocation.store.hours import Full, Hours, Roster
from services.allocation.store.policies import Decisions, Policies
from services.allocation.store.registry import Register
from services.allocation.workforce import Facilitator

CASES = 2_000


def staffing() -> None:
    """Prints what a decision with its named workers costs, by how many workers there are and how much work is open."""
    policies = Policies.of_process()
    random = Random(4)
    facts = some_facts(random, policies.current, CASES)
    print(
        f"\na whole decision, 16 policies, {CASES:,} cases            us      x   a second   without a worker"
    )
    first = 0.0
    for count in (100, 500, 1_000, 5_000):
        cost, nobody = _cost(policies, facts, _register(Random(5), policies, count, open_share=0.3))
        first = first or cost
        _row(f"{count:5} workers", cost, first, nobody)
    print("  5,000 workers, share of their hours that is taken")
    for share in (0.0, 0.5, 0.9, 0.99):
        cost, nobody = _cost(policies, facts, _register(Random(5), policies, 5_000, open_share=share))
        _row(f"{share:5.0%}", cost, first, nobody)


def _row(what: str, cost: float, first: float, nobody: int) -> None:
    print(f"  {what:44} {cost:7.1f} {cost / first:6.2f} {1e6 / cost:10,.0f} {nobody:10}")


def _register(random: Random, policies: Policies, count: int, open_share: float) -> Register:
    partners = {
        partner.id: partner for p in policies.current.partnerships.values() for partner in p.partners.values()
    }
    names = sorted(partners)
    hours = []
    for number in range(count):
        agency = names[number % len(names)]
        trained = "complex" if number % 3 else "core"
        roles = ("facilitator", "victim_coordinator")
        known = Facilitator(id=f"w{number}", agency=agency, training=trained, roles=roles)
        used = min(40, round(40 * open_share * random.uniform(0.9, 1.1)))
        hours.append(Hours(f"w{number}", agency, None, 40, used, known))
    agencies = policy.Agencies(
        {
            a.id: a for p in policies.current.partnerships.values() for a in policy.Agencies.of(p).all()
        }.values()
    )
    return Register(agencies.all(), Roster.of(hours))


def _cost(policies: Policies, facts: Sequence[policy.CaseFacts], register: Register) -> tuple[float, int]:
    decisions = Decisions()
    nobody = 0

    def decide_all() -> None:
        nonlocal nobody
        nobody = 0
        for each in facts:
            held = policies.current.jurisdiction(each)
            partnership = policies.of(held.partnership or "")
            decided, _ = decisions.decide(partnership, each, register, held.connection, (held.sentence,))
            for lead in decided.leads:
                wanted = lead.worker
                need = Need(wanted.roles, wanted.training, wanted.language, wanted.not_workers)
                picked = register.roster.pick(lead.agency, lead.team, wanted.hours, need, TODAY)
                if isinstance(picked, str):
                    # Given back, so that each reading finds the same hours: cases close as others begin.
                    register.roster.give_back(picked, wanted.hours)
                else:
                    nobody += isinstance(picked, Full)

    decide_all()
    return micros(decide_all, len(facts)), nobody
