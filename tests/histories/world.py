"""What there is in a history: the topics, how far each service has heard them, both services' states, and the story."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.allocation.domain.state import CaseState
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import Attempted, Context, Report
from services.consent.domain.state import CaseState as ConsentCase
from services.consent.domain.state import PersonState
from shared.contracts.envelope import Payload
from tests.support.promise import Promise

ANN, ANNE, ROB = "ann", "anne", "rob"
IDS: Final = (ANN, ANNE)
"""The two ids of the person harmed. `ROB` is responsible; where he is not one and the same, each referral names another."""
AGENCIES: Final = ("X", "Y")
HEIR: Final = "S"
"""Who succeeds one of them, in some histories."""
READS: Final = {"consent": ("people", "cases"), "allocation": ("referrals", "consent")}
"""Which topics each service reads."""


class Broken(Exception):
    """A promise was broken: which, and how."""

    def __init__(self, promise: Promise, what: str) -> None:
        super().__init__(what)
        self.promise = promise


class Unheard(NamedTuple):
    """The next event of a key that a service has not heard."""

    service: str
    topic: str
    key: str


@dataclass
class World:
    """Everything but intake, with the randomness of the seed."""

    random: random.Random
    now: datetime = datetime(2026, 3, 3, 10, tzinfo=UTC)
    topics: defaultdict[tuple[str, str], list[Payload]] = field(default_factory=lambda: defaultdict(list))
    heard: defaultdict[Unheard, int] = field(default_factory=lambda: defaultdict(int))
    people: defaultdict[str, PersonState] = field(default_factory=lambda: defaultdict(PersonState))
    consent: defaultdict[str, ConsentCase] = field(default_factory=lambda: defaultdict(ConsentCase))
    cases: defaultdict[str, CaseState] = field(default_factory=lambda: defaultdict(CaseState))
    story: list[str] = field(default_factory=list)
    permits: int = 0
    over: dict[str, tuple[Report, Attempted]] = field(default_factory=dict)
    """What was reported of each attempt."""
    successors: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Under which ids whoever was called by a permit was known to be one human when their details were handed out."""
    paused: set[str] = field(default_factory=set)
    """The referrals whose case the hub has paused, and neither let go on nor seen closed."""

    @property
    def at(self) -> Situation:
        """Consent's ledgers and cases."""
        return Situation(self.people, self.consent)

    @property
    def context(self) -> Context:
        """The time, and who has succeeded whom."""
        return Context(self.now, self.successors)

    def tell(self, topic: str, key: str, event: Payload) -> None:
        """Put an event on a topic."""
        self.topics[topic, key].append(event)

    def note(self, *words: object) -> None:
        """Add a line to the story."""
        self.story.append(" ".join(str(word) for word in words if word not in {None, ""}))

    def unheard(self) -> list[Unheard]:
        """Return what can be heard next, sorted."""
        return sorted(
            one
            for (topic, key), events in self.topics.items()
            for service, topics in READS.items()
            if topic in topics and self.heard[one := Unheard(service, topic, key)] < len(events)
        )

    def behind(self, ids: tuple[str, ...]) -> bool:
        """Say whether consent has yet to hear of any of these ids: intake gives their sequences with a permit."""
        return any(
            self.heard[Unheard("consent", "people", one)] < len(self.topics["people", one]) for one in ids
        )

    def heir(self, agency: str) -> str:
        """Return who an agency is now."""
        return self.successors.get(agency, agency)

    def group(self, person: str) -> tuple[str, ...]:
        """Return the ids that are this human for consent."""
        return Decision(self.at).group(person)
