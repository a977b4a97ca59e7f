"""The world that is explored: both services' states, whoever holds permits, and what a witness has seen.

Real: every decision and every state (`decide` and `evolve` of consent's and intake's domains, the three steps of a
release, the row's life). Stood in for, as plainly as can be: the topic `people` (a list for each key), the inbox (an event
is next, or it waits behind a parked one), the transactions (each is one step), the few lines of consent's routes that look
a permit up by its row, and the senders.

A world is four parts and the time. Each part is kept once and known by a number, so that a world is five numbers; a step
reads and changes a few parts only, so that its answer for the same parts is worked out once (the rules are pure).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

RECORDS = ("a", "b")
AGENCIES = ("X", "Y")
CASES = {"a": "case-a", "b": "case-b"}
BEGIN = datetime(2026, 1, 13, 10, tzinfo=UTC)  # a Tuesday


class Withdrawn(NamedTuple):
    """A withdrawal at intake: whom it binds, and whether consent has answered."""

    bound: tuple[int, ...]
    answered: bool


class Intake(NamedTuple):
    """Intake's persons, what it has told of each, and the withdrawals it has stored (by the record that withdrew)."""

    people: tuple[Any, ...]
    log: tuple[tuple[Any, ...], ...]
    withdrawals: tuple[Withdrawn | None, ...]

    def linked(self) -> bool:
        """Say whether the two records are one human here."""
        return bool(self.people[0].links)

    def group(self, record: int) -> tuple[int, ...]:
        """Return the records that are this human here."""
        return (0, 1) if self.linked() else (record,)


class Consent(NamedTuple):
    """Consent's ledgers and cases, its inbox for each record, and how each permit's row says that it ended."""

    people: tuple[Any, ...]
    cases: tuple[Any, ...]
    applied: tuple[int, ...]
    got: tuple[int, ...]
    parked: tuple[bool, ...]
    ended: tuple[tuple[str, str | None] | None, ...]
    succeeded: bool = False


class Try(NamedTuple):
    """A release that somebody waits for: the sequences noted, and what consent has answered (`use_by`)."""

    seen: tuple[tuple[int, int], ...]
    again: bool
    use_by: datetime | None = None
    dead: bool = False


class Row(NamedTuple):
    """A release's row at intake, and the try that is under way."""

    state: str | None = None
    told: bool = True
    since: int = 0
    trying: Try | None = None


class Holder(NamedTuple):
    """What the holder of a permit did with it. `said`: the outcome that it reported; `binds`: whose no it then was."""

    record: int
    agency: str
    handed: int = 0
    sends: int = 0
    redeemed: int = 0
    use_by: datetime | None = None
    said: str | None = None
    taken: bool = False
    binds: tuple[int, ...] = ()


class Answer(NamedTuple):
    """What a person was told of a withdrawal: for whom it is in force, and which permits were in flight."""

    bound: tuple[int, ...]
    named: frozenset[int]


class Witness(NamedTuple):
    """What an onlooker knows: the holders, what people were told, and from whom to whom leads were passed."""

    holders: tuple[Holder | None, ...]
    answers: tuple[Answer | None, ...]
    passed: frozenset[tuple[str, str]] = frozenset()

    def may_follow(self, one: str, other: str) -> bool:
        """Say whether the lead passed from one agency to another, perhaps through a third."""
        todo, found = [one], {one}
        while todo:
            here = todo.pop()
            for source, target in self.passed:
                if source == here and target not in found:
                    found.add(target)
                    todo.append(target)
        return other in found


class Clock(NamedTuple):
    """How often time has passed, and how far."""

    ticks: int = 0
    minutes: int = 0

    @property
    def now(self) -> datetime:
        """The time."""
        return BEGIN + timedelta(minutes=self.minutes)


class World(NamedTuple):
    """Everything."""

    clock: Clock
    intake: Intake
    rows: tuple[Row, ...]
    consent: Consent
    witness: Witness


def put(items: tuple[Any, ...], n: int, item: Any) -> tuple[Any, ...]:
    """Return the items with another at one place."""
    return (*items[:n], item, *items[n + 1 :])
