"""The page about the partnerships, and what each of them must show."""

from __future__ import annotations

import pytest

from services.allocation.policy.jurisdiction import Policies
from tests.partnerships import allocated, changed, spoken
from tests.partnerships.document import FILE, MARK, written
from tests.partnerships.play import STEPS
from tests.partnerships.scenario import KINDS, Scenario, scenarios
from tests.unit.allocation.scenario import policies

PARTS = {"sections", "conditions", "partnerships", "kinds", "sources", "flow", "scenarios"}


@pytest.fixture(scope="module")
def shipped() -> Policies:
    return policies()


def test_the_document_of_partnerships_is_the_one_that_policies_and_scenarios_make() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert {match[1] for match in (found.groups() for found in MARK.finditer(text))} <= PARTS
    assert {found[2] for found in MARK.finditer(text)} == PARTS
    assert text == written(text), "run: python -m tests.partnerships.document"


def test_every_partnership_shows_every_kind_of_case(shipped: Policies) -> None:
    shown = {(scenario.partnership, scenario.kind) for scenario in scenarios()}
    missing = [
        (partnership, kind)
        for partnership in shipped.partnerships
        for kind in KINDS
        if (partnership, kind) not in shown
    ]
    assert missing == []


@pytest.mark.parametrize("story", scenarios(), ids=lambda story: story.id)
def test_every_step_is_known_and_quotes_its_source(story: Scenario) -> None:
    known = {word for module in (allocated, changed, spoken) for word in vars(module)} & set(STEPS)
    assert {word for step in story.then for word in step} <= known
    assert len(story.sentence) > len("a few words")
