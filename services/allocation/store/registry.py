"""What a process remembers of agencies and workers, so that a case costs no query: refreshed when its name has changed.

The hours in it are a guess at the last moment known. They choose the least loaded worker; whether the hours are really free
is decided by the statement that takes them (`take_hours`), and when the guess was wrong the transaction runs again on fresh
numbers.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.allocation import policy
from services.allocation.domain.agencies import heir
from services.allocation.store.drafts import published
from services.allocation.store.hours import Hours, Roster
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
_CASES = """
SELECT f.agency, count(*) AS cases FROM case_fact AS f JOIN case_row AS c USING (case_id)
WHERE f.fact = 'deliverer' AND c.closed_at IS NULL GROUP BY f.agency
"""
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
    left: frozenset[str]
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
            self.known.roster = self.known.register.roster = await roster(work, before=self.known.roster)
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
        left=frozenset(row["worker"] for row in workers if not row["active"]),
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


async def roster(work: Work, *agencies: str, before: Roster | None = None) -> Roster:
    """Return the hours as they are now, of these agencies or of all.

    `before`: the guess that this replaces. Its open cases are taken over until one in ten is a guess: to count them reads
    every case that there ever was (quarter of a second among 25,000, on a busy machine).
    """
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
    found = Roster.of(workers, queues)
    if before is not None and before.counted_lately():
        found.cases, found.uncounted = before.cases, before.uncounted + before.picks
    elif not agencies:
        found.cases.update({row["agency"]: row["cases"] for row in await work.fetch(_CASES)})
    return found


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
