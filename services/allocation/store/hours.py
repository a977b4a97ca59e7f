"""The hours of named workers as a process knows them: who of an agency is the least loaded that policy lets."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias

from services.allocation.domain.state import Need
from services.allocation.workforce.people import Facilitator
from shared.contracts.states import replace

Kind: TypeAlias = "tuple[str | None, tuple[str, ...], str, tuple[str, ...]]"
Heap: TypeAlias = list[tuple[float, str]]
ROUNDING: Final = 0.01
# An agency of which no hours are registered is as full as one that is half full when it has this many open cases: what two
# workers carry, of ten each.
HALF_FULL: Final = 20


@dataclass(frozen=True, slots=True)
class Full:
    """Nobody of the agency has the hours free, or others wait already."""

    agency: str


@dataclass(slots=True)
class Hours:
    """One worker's hours, and what is known of the worker."""

    worker: str
    agency: str
    team: str | None
    capacity: int
    used: int
    known: Facilitator

    def load(self) -> float:
        """Return how full the worker is."""
        return self.used / self.capacity

    @property
    def kind(self) -> Kind:
        """Return what tells this worker from others of the agency, as far as policy asks."""
        return (self.team, self.known.roles, self.known.training, self.known.languages)

    def of_kind(self, team: str | None, need: Need) -> bool:
        """Say whether policy lets workers of this kind be the named one."""
        return (
            (team is None or self.team is None or self.team == team)
            and (not need.roles or not set(need.roles).isdisjoint(self.known.roles))
            and self.known.trained(need.training)
            and (need.language is None or need.language in self.known.languages)
        )

    def there(self, need: Need, day: date) -> bool:
        """Say whether this one may be it: neutral in the case, and not away."""
        return self.worker not in need.not_workers and not self.known.away(day)


@dataclass
class Roster:
    """The hours of the named workers, least loaded first. `queues`: agencies for which cases wait.

    `heaps` hold an agency's workers by kind, so that a pick looks at nobody whom policy does not let; `suitable` remembers
    which heaps those are.
    """

    heaps: dict[str, dict[Kind, Heap]] = field(default_factory=dict)
    suitable: dict[tuple[object, ...], list[Heap]] = field(default_factory=dict)
    hours: dict[str, Hours] = field(default_factory=dict)
    queues: frozenset[str] = frozenset()
    agencies: dict[str, tuple[int, int]] = field(default_factory=dict)  # used and capacity
    cases: Counter[str] = field(default_factory=Counter)  # open ones, of agencies without registered hours
    largest: int = 0  # capacity
    picks: int = 0
    uncounted: int = 0  # picks of those before this one, since `cases` were counted

    def counted_lately(self) -> bool:
        """Say whether at most one in ten of the open cases is a guess."""
        return self.uncounted + self.picks <= self.cases.total() // 10

    @classmethod
    def of(cls, workers: Sequence[Hours], queues: frozenset[str] = frozenset()) -> Roster:
        """Return the roster of these workers."""
        heaps: dict[str, dict[Kind, Heap]] = defaultdict(dict)
        known = {hours.worker: hours for hours in workers if hours.capacity > 0}
        for hours in known.values():
            heaps[hours.agency].setdefault(hours.kind, []).append((hours.load(), hours.worker))
        for kinds in heaps.values():
            for heap in kinds.values():
                heapq.heapify(heap)
        largest = max((hours.capacity for hours in known.values()), default=0)
        found = cls(dict(heaps), hours=known, queues=queues, largest=largest)
        for hours in known.values():
            used, capacity = found.agencies.get(hours.agency, (0, 0))
            found.agencies[hours.agency] = (used + hours.used, capacity + hours.capacity)
        return found

    def pick(
        self, agency: str, team: str | None, hours: int, need: Need, day: date, *, waiting: bool = False
    ) -> str | Full | None:
        """Return the least loaded worker who suits; None if the agency has nobody registered who does and names its own.

        A language is a wish: where nobody speaks it, somebody else comes with an interpreter.
        """
        if hours <= 0 or agency not in self.heaps:
            return None
        if agency in self.queues and not waiting:
            return Full(agency)
        self.picks += 1
        found = self._least_loaded(self._heaps(agency, team, need), hours, need, day)
        if found is None and need.language is not None:
            need = replace(need, language=None)
            found = self._least_loaded(self._heaps(agency, team, need), hours, need, day)
        return found

    def _heaps(self, agency: str, team: str | None, need: Need) -> list[Heap]:
        asked = (agency, team, need.roles, need.training, need.language)
        found = self.suitable.get(asked)
        if found is None:
            found = self.suitable[asked] = [
                heap for heap in self.heaps[agency].values() if self.hours[heap[0][1]].of_kind(team, need)
            ]
        return found

    def _least_loaded(self, heaps: Sequence[Heap], hours: int, need: Need, day: date) -> str | Full | None:
        # Usually the first one: a heap costs the same for a hundred workers and for five thousand.
        passed: list[tuple[Heap, Hours]] = []
        found: str | Full | None = None
        while not isinstance(found, str):
            heap = min((heap for heap in heaps if heap), key=_first, default=None)
            if heap is None:
                break
            worker = self.hours[heapq.heappop(heap)[1]]
            passed.append((heap, worker))
            if worker.there(need, day):
                if worker.used + hours <= worker.capacity:
                    self._take(worker, hours)
                    found = worker.worker
                    continue
                found = Full(worker.agency)
            if found is not None and (1 - worker.load()) * self.largest < hours - ROUNDING:
                break  # everybody after is at least as full, and has no more hours to begin with
        for heap, worker in passed:
            heapq.heappush(heap, (worker.load(), worker.worker))
        return found

    def _take(self, worker: Hours, hours: int) -> None:
        worker.used += hours
        used, capacity = self.agencies[worker.agency]
        self.agencies[worker.agency] = (used + hours, capacity)

    def give_back(self, worker: str | None, hours: int) -> None:
        """A pick is not used after all."""
        if worker is not None:
            self._take(self.hours[worker], -hours)

    def load_of(self, agency: str) -> float:
        """Return how full an agency is on the whole, from 0 to 1.

        Where no hours are registered, by its open cases: the more the fuller, and never quite full.
        """
        used, capacity = self.agencies.get(agency, (0, 0))
        if capacity:
            return used / capacity
        return self.cases[agency] / (self.cases[agency] + HALF_FULL)

    def note_case(self, agency: str) -> bool:
        """Count one more open case of an agency; False if its hours are registered, and count instead."""
        if self.agencies.get(agency, (0, 0))[1]:
            return False
        self.cases[agency] += 1
        self.picks += 1
        return True


def _first(heap: Heap) -> tuple[float, str]:
    return heap[0]
