"""What a process remembers of agencies and workers, so that a case costs no query: refreshed when its name has changed.

The hours in it are a guess at the last moment known. They choose the least loaded worker; whether the hours are really free
is decided by the statement that takes them (`take_hours`), and when the guess was wrong the transaction runs again on fresh
numbers.
"""

from __future__ import annotations

import heapq
import weakref
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import msgspec

from services.allocation import policy
from services.allocation.domain.agencies import heir
from services.allocation.domain.state import Need
from services.allocation.store.drafts import published
from services.allocation.store.policies import Decisions, Policies
from services.allocation.workforce.people import Facilitator
from shared.runtime.errors import Conflict
from shared.runtime.work import Connection, Work

_VERSION = "SELECT version::text FROM registry"
_AGENCIES = "SELECT agency, name, kind, areas, sharing_agreement, active, successor, since FROM agency"
_WORKERS = "SELECT worker, agency, team, active, named, capacity, used FROM worker"
_HOURS = "SELECT worker, agency, team, capacity, used, details FROM worker WHERE active AND named"
_HOURS_OF = _HOURS + " AND agency = ANY($1::text[])"
_QUEUES = "SELECT DISTINCT agency FROM queue"
# Rows are locked in one order, so that two batches never wait for each other; then tested and changed in one statement.
# Who arrives does not pass those who wait: `strict` hours are refused while the agency has a queue.
_TAKE = """
WITH wanted AS (
  SELECT * FROM unnest($1::text[], $2::int[], $3::boolean[]) AS t(worker, hours, strict)
), locked AS (
  SELECT w.worker, w.agency, w.used, w.capacity FROM worker AS w JOIN wanted USING (worker) ORDER BY w.worker
  FOR NO KEY UPDATE OF w
)
UPDATE worker AS w SET used = greatest(0, w.used + t.hours)
FROM wanted AS t JOIN locked AS l USING (worker)
WHERE w.worker = t.worker AND (NOT t.strict OR (w.used + t.hours <= w.capacity
  AND NOT EXISTS (SELECT 1 FROM queue AS q WHERE q.agency = w.agency)))
RETURNING w.worker
"""
STALE_AFTER: Final = 2000  # picks, after which the guess is read again


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency as registered."""

    id: str
    name: str
    kind: str
    areas: tuple[str, ...]
    sharing_agreement: str | None
    active: bool
    successor: str | None


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

    def suits(self, team: str | None, need: Need, day: date) -> bool:
        """Say whether policy lets this worker be the named one."""
        return (
            (team is None or self.team is None or self.team == team)
            and (not need.roles or not set(need.roles).isdisjoint(self.known.roles))
            and self.known.trained(need.training)
            and (need.language is None or need.language in self.known.languages)
            and self.worker not in need.not_workers
            and not self.known.away(day)
        )


@dataclass
class Roster:
    """The hours of the named workers, least loaded first. `queues`: agencies for which cases wait."""

    heaps: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    hours: dict[str, Hours] = field(default_factory=dict)
    queues: frozenset[str] = frozenset()
    agencies: dict[str, tuple[int, int]] = field(default_factory=dict)  # used and capacity
    picks: int = 0

    @classmethod
    def of(cls, workers: Sequence[Hours], queues: frozenset[str] = frozenset()) -> Roster:
        """Return the roster of these workers."""
        heaps: dict[str, list[tuple[float, str]]] = defaultdict(list)
        known = {hours.worker: hours for hours in workers if hours.capacity > 0}
        for hours in known.values():
            heaps[hours.agency].append((hours.load(), hours.worker))
        for heap in heaps.values():
            heapq.heapify(heap)
        found = cls(dict(heaps), known, queues)
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
        heap = self.heaps.get(agency)
        if hours <= 0 or not heap:
            return None
        if agency in self.queues and not waiting:
            return Full(agency)
        self.picks += 1
        found = self._least_loaded(heap, team, hours, need, day)
        if found is None and need.language is not None:
            found = self._least_loaded(heap, team, hours, replace(need, language=None), day)
        return found

    def _least_loaded(
        self, heap: list[tuple[float, str]], team: str | None, hours: int, need: Need, day: date
    ) -> str | Full | None:
        # Usually the first one: a heap costs the same for a hundred workers and for five thousand.
        passed: list[Hours] = []
        found: str | Full | None = None
        while heap and not isinstance(found, str):
            worker = self.hours[heapq.heappop(heap)[1]]
            passed.append(worker)
            if worker.suits(team, need, day):
                if worker.used + hours <= worker.capacity:
                    self._take(worker, hours)
                    found = worker.worker
                    continue
                found = Full(worker.agency)
            if worker.load() >= 1 and found is not None:
                break  # everybody after is at least as full
        for worker in passed:
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
        """Return how full an agency is on the whole; 0 where no hours are registered."""
        used, capacity = self.agencies.get(agency, (0, 0))
        return used / capacity if capacity else 0.0


class Register(policy.Agencies):
    """The agencies as policy sees them, as busy as the roster has them at this moment."""

    def __init__(self, agencies: Iterable[policy.Agency], roster: Roster) -> None:
        """`roster` is the one that workers are picked from."""
        super().__init__(agencies)
        self.roster = roster

    def load(self, agency_id: str) -> float:
        """Return how busy the agency, or its successor, is."""
        return self.roster.load_of(self.current(agency_id))


@dataclass
class Registry:
    """Agencies and workers as of one name of the registry."""

    version: str
    agencies: dict[str, Agency]
    agency_of: dict[str, str]
    successors: dict[str, str]
    roster: Roster
    policies: Policies
    register: Register
    decisions: Decisions = field(default_factory=Decisions)

    def heir(self, agency: str) -> str:
        """Return the agency that now stands in this one's place."""
        return heir(agency, self.successors) if agency in self.successors else agency


class Memory:
    """The registry that this process knows, and for which transaction it was last compared with the database."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.known: Registry | None = None
        self._compared: weakref.ref[Work] | None = None

    async def registry(self, work: Work) -> Registry:
        """Return the registry, compared once for each transaction, that is once for a batch."""
        if self.known is not None and self._compared is not None and self._compared() is work:
            return self.known
        version = await work.fetchval(_VERSION)
        if self.known is None or self.known.version != version:
            self.known = await _load(work, version)
        elif self.known.roster.picks > STALE_AFTER:
            self.known.roster = self.known.register.roster = await roster(work)
        self._compared = weakref.ref(work)
        return self.known

    def forget_hours(self) -> None:
        """The guess was wrong: read the hours again."""
        if self.known is not None:
            self.known.roster.picks = STALE_AFTER + 1


MEMORY = Memory()


async def _load(work: Work, version: str) -> Registry:
    agencies = {
        row["agency"]: Agency(
            row["agency"],
            row["name"],
            row["kind"],
            tuple(row["areas"]),
            row["sharing_agreement"],
            row["active"],
            row["successor"] if row["since"] is None or row["since"] <= work.now else None,
        )
        for row in await work.fetch(_AGENCIES)
    }
    workers = await work.fetch(_WORKERS)
    policies = Policies.of_process(await published(work))
    await policies.keep(work)
    hours = await roster(work)
    return Registry(
        version=version,
        agencies=agencies,
        agency_of={row["worker"]: row["agency"] for row in workers},
        successors={a.id: a.successor for a in agencies.values() if a.successor},
        roster=hours,
        policies=policies,
        register=Register(
            (
                policy.Agency(
                    id=a.id, kind=a.kind, name=a.name, areas=a.areas, successor=a.successor, active=a.active
                )
                for a in agencies.values()
            ),
            hours,
        ),
    )


async def roster(work: Work, *agencies: str) -> Roster:
    """Return the hours as they are now, of these agencies or of all."""
    rows = await work.fetch(_HOURS_OF, list(agencies)) if agencies else await work.fetch(_HOURS)
    queues = frozenset(row["agency"] for row in await work.fetch(_QUEUES))
    workers = [
        Hours(
            r["worker"],
            r["agency"],
            r["team"],
            r["capacity"],
            r["used"],
            facilitator(r["worker"], r["agency"], r["details"]),
        )
        for r in rows
    ]
    return Roster.of(workers, queues)


def facilitator(worker: str, agency: str, details: str) -> Facilitator:
    """Return a worker as pairing knows it. Raises msgspec.ValidationError if the details have another form."""
    return msgspec.convert({**msgspec.json.decode(details), "id": worker, "agency": agency}, Facilitator)


async def take_hours(connection: Connection, rows: list[tuple[str, int, bool]]) -> None:
    """Take hours of workers, or give them back (negative). `strict`: only if they are free and nobody waits.

    Raises Conflict if they are not: the batch runs again, on fresh numbers.
    """
    hours: dict[tuple[str, bool], int] = defaultdict(int)
    for worker, amount, strict in rows:
        hours[worker, strict and amount > 0] += amount
    for strict in (False, True):  # what is given back first may be taken again
        chosen = sorted(
            (worker, amount) for (worker, kind), amount in hours.items() if kind is strict and amount
        )
        if not chosen:
            continue
        workers, amounts = zip(*chosen, strict=True)
        done = await connection.fetch(_TAKE, workers, amounts, [strict] * len(chosen))
        if strict and len(done) != len(chosen):
            MEMORY.forget_hours()
            raise Conflict("hours that were thought free are taken")


async def rename(connection: Connection, rows: list[None]) -> None:  # noqa: ARG001 - a row writer
    """Say that agencies, workers or policies changed: every process reads them again at its next batch."""
    await connection.execute("UPDATE registry SET version = gen_random_uuid()")
