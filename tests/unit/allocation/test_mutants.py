"""Each rule that ships is taken away in turn: the checker refuses the policy, or a scenario notices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.allocation import policy
from services.allocation.policy.loader import AREAS, NATIONAL, VOCABULARY
from services.allocation.policy.source import read
from tests.unit.allocation.scenario import POLICIES, Scenario, expect, run, scenarios

FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(POLICIES.glob("*.yaml"))}
BASICS = (VOCABULARY, AREAS, NATIONAL)


def without_each_rule(text: str) -> Iterator[tuple[str, str]]:
    """The name of each rule, and the file without it."""
    root = read("policy.yaml", text, [])
    assert root is not None
    lines = text.split("\n")
    for section, node in (root.fields or {}).items():
        for item in node.items or ():
            if item.fields and "rule" in item.fields:
                first = last = item.line - 1
                while lines[last + 1].startswith("    "):
                    last += 1
                yield f"{section}/{item.fields['rule'].text}", "\n".join(lines[:first] + lines[last + 1 :])


def passes(scenario: Scenario, policies: policy.Policies) -> bool:
    try:
        found, proposal = run(scenario, policies)
        expect(found, proposal, scenario.then)
    except (AssertionError, KeyError, StopIteration, IndexError, policy.FactsError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FILES if name not in {VOCABULARY, AREAS}])
def test_a_rule_that_is_taken_away_is_missed(name: str) -> None:
    files = FILES if name == NATIONAL else {other: FILES[other] for other in (*BASICS, name)}
    sound = policy.parse(files)
    whose = (
        {scenario.partnership for scenario in scenarios()}
        if name == NATIONAL
        else {name.removesuffix(".yaml"), "national"}
    )
    telling = [s for s in scenarios() if s.partnership in whose and passes(s, sound)]
    missed = []
    for rule, text in without_each_rule(FILES[name]):
        try:
            mutant = policy.parse({**files, name: text})
        except policy.PolicyErrors:
            continue
        if all(passes(scenario, mutant) for scenario in telling):
            missed.append(rule)
    assert missed == []
