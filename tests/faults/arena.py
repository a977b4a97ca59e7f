"""One running stack with its provider, and everything that a history leaves as evidence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.place import Place
from tests.faults.people import DESK, Human, Population
from tests.faults.record import Records
from tests.support.fleet import SERVICES, Fleet, fleet
from tests.support.running import free_port, until

_JOURNAL = """SELECT position, event_id::text AS id, topic, key, sequence, previous::text AS previous, type,
data::text AS data, extract(epoch FROM recorded_at)::float AS at FROM journal WHERE position > $1 ORDER BY position"""

# Who reads which topic.
READERS = {
    "people": {"consent"},
    "cases": {"intake", "consent", "notifications"},
    "consent": {"intake", "allocation", "notifications"},
    "referrals": {"allocation", "notifications"},
    "agencies": {"intake", "consent", "notifications"},
}
# What no service has written, and none can read: see seldom.py. It parks no key for good, and stays where it was put aside.
UNREADABLE = b"no event of ours"
# What should have been done five seconds ago, by the service's own clock.
_LATE = """
SELECT name, key FROM timer, clock WHERE due_at < clock_timestamp() + shift - interval '5 seconds'
"""
_ENDS = "SELECT topic, key, max(sequence) AS version FROM journal GROUP BY topic, key"


@dataclass(frozen=True, slots=True)
class Event:
    """A journal's line. `at` is the (shifted) time of its transaction, by a clock that a history may put forward and back.

    `position` is the order within its service, also across a restore, which begins to number anew.
    """

    service: str
    position: int
    id: str
    topic: str
    key: str
    sequence: int
    previous: str | None
    type: str
    data: dict[str, Any]
    at: float


@dataclass
class Arena:
    """The stack, who lives in it, and the evidence."""

    onefriend: Fleet
    place: Place
    calls: int
    log: Path
    population: Population
    draw: random.Random
    records: Records = field(default_factory=Records)
    humans: dict[str, Human] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    journal: dict[str, Event] = field(default_factory=dict)
    # Case -> the two humans of it, by what intake answered about the referrals.
    pairs: dict[str, tuple[Human, Human]] = field(default_factory=dict)
    # The number of who is harmed -> who is responsible.
    partner: dict[int, Human] = field(default_factory=dict)
    # The history is over but for what is still on its way: nobody is armed to die any more.
    winding_down: bool = False
    # What was the last to arrive, when everything had arrived.
    last_unsettled: list[str] = field(default_factory=list)
    _read: dict[str, int] = field(default_factory=dict)
    # Where the numbers of a service's journal begin, after it was restored.
    _base: dict[str, int] = field(default_factory=dict)
    # What the tally has counted already.
    counted: int = 0
    known: set[str] = field(default_factory=set)

    def contacts(self) -> list[dict[str, Any]]:
        """Return the provider's log: every contact there was."""
        return [told for told in self._carried() if told["to"] != DESK]

    def desk_links(self) -> list[str]:
        """Return the links that came to an agency's own mailbox, the latest last."""
        return [told["link"] for told in self._carried() if told["to"] == DESK and told["link"]]

    def _carried(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    async def read_journals(self) -> None:
        """Read what is new in all journals. What a restore took away later is still known here."""
        for service in SERVICES:
            connection = await asyncpg.connect(self.onefriend.databases[service], timeout=10)
            try:
                base = self._base.get(service, 0)
                for row in await connection.fetch(_JOURNAL, self._read.get(service, 0)):
                    fields = dict(row) | {"data": json.loads(row["data"]), "position": base + row["position"]}
                    self.journal.setdefault(row["id"], Event(service=service, **fields))
                    self._read[service] = row["position"]
            finally:
                await connection.close()

    def begin_journal_again(self, service: str) -> None:
        """A restored database numbers its lines anew."""
        self._base[service] = self._base.get(service, 0) + self._read.get(service, 0)
        self._read[service] = 0

    async def arrived(self, seconds: float) -> bool:
        """Wait until every event that there is now has been applied by all who read it, whatever follows meanwhile."""
        ends: dict[tuple[str, str], int] = {}

        async def there() -> bool:
            try:
                if not ends:
                    ends.update(await self._ends())
                behind = await self._behind(ends)
                self.last_unsettled = behind or self.last_unsettled
                return not behind
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return False

        try:
            await until(there, seconds=seconds, every=0.3)
        except AssertionError:
            return False
        return True

    async def _ends(self) -> dict[tuple[str, str], int]:
        """Return the last event of each key, by its owner's journal."""
        ends: dict[tuple[str, str], int] = {}
        for service in SERVICES:
            connection = await asyncpg.connect(self.onefriend.databases[service], timeout=5)
            try:
                rows = await connection.fetch(_ENDS)
                ends |= {(row["topic"], row["key"]): row["version"] for row in rows}
            finally:
                await connection.close()
        return ends

    async def _behind(self, ends: dict[tuple[str, str], int]) -> list[str]:
        found: list[str] = []
        for service in SERVICES:
            connection = await asyncpg.connect(self.onefriend.databases[service], timeout=5)
            try:
                rows = await connection.fetch("SELECT topic, key, sequence FROM inbox")
            finally:
                await connection.close()
            had = {(row["topic"], row["key"]): row["sequence"] for row in rows}
            found += [
                f"{service}: {topic} {key} at {had.get((topic, key), 0)} of {end}"
                for (topic, key), end in ends.items()
                if service in READERS.get(topic, set()) and had.get((topic, key), 0) < end
            ]
        return found

    async def settled(self, seconds: float) -> bool:
        """Wait until every event has been told and applied everywhere, and nothing is held. False if it takes longer."""
        try:
            await until(self._even, seconds=seconds, every=0.3)
        except AssertionError:
            return False
        return True

    async def _even(self) -> bool:
        try:
            found = await self.unsettled()
            self.last_unsettled = found or self.last_unsettled
            return not found
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def unsettled(self) -> list[str]:
        """Say what is still on its way, by the databases themselves."""
        found: list[str] = []
        ends: dict[tuple[str, str], int] = {}
        applied: dict[str, list[Any]] = {}
        for service in SERVICES:
            connection = await asyncpg.connect(self.onefriend.databases[service], timeout=5)
            try:
                untold = await connection.fetchval("SELECT count(*) FROM outbox")
                found += [f"{service}: {untold} events untold"] if untold else []
                rows = await connection.fetch(_ENDS)
                ends |= {(row["topic"], row["key"]): row["version"] for row in rows}
                late = await connection.fetch(_LATE)
                found += [f"{service}: timer {row['name']} of {row['key']} is late" for row in late]
                applied[service] = await connection.fetch("SELECT topic, key, sequence, held FROM inbox")
                parked = await connection.fetch(
                    "SELECT topic, key, reason FROM quarantine WHERE resolved IS NULL AND value <> $1",
                    UNREADABLE,
                )
                found += [f"{service}: parked {row['topic']} {row['key']}: {row['reason']}" for row in parked]
            finally:
                await connection.close()
        for service, rows in applied.items():
            had = {(row["topic"], row["key"]): row["sequence"] for row in rows}
            found += [f"{service}: held {row['topic']} {row['key']}" for row in rows if row["held"]]
            for (topic, key), end in ends.items():
                if service in READERS.get(topic, set()) and had.get((topic, key), 0) != end:
                    found.append(f"{service}: {topic} {key} at {had.get((topic, key), 0)} of {end}")
        return found


@contextlib.asynccontextmanager
async def arena(place: Place, log: Path, seed: int, begin: int = 1) -> AsyncIterator[Arena]:
    """Start a provider and a stack; `begin` is the number of the first human."""
    calls, smtp = free_port(), free_port()
    arguments = [sys.executable, "-m", "tests.faults.provider", str(log), str(calls), str(smtp)]
    provider = subprocess.Popen(arguments)  # noqa: ASYNC220 - it returns at once
    disk = await asyncio.to_thread(_small_disk, place, "postgres", "640m", "0711")
    broker_disk = await asyncio.to_thread(_small_disk, place, "kafka", "512m", "0755")
    try:
        more = {
            "ONEFRIEND_SMTP_SECONDS": "3",
            "ONEFRIEND_LOG_LEVEL": "WARNING",
            # Every clerk subscribes one and the same mailbox.
            "ONEFRIEND_CONFIRMATIONS_TO_A_MAILBOX": "100000",
            "ONEFRIEND_CONFIRMATIONS_OF_AN_AGENCY": "100000",
        }
        wal = {"max_wal_size": "96MB", "min_wal_size": "32MB"} if disk else {}
        async with fleet(place, smtp_port=smtp, more=more, settings=wal) as running:
            assert provider.poll() is None, "the provider has ended: see what it said"
            yield Arena(running, place, calls, log, Population(seed, begin), random.Random(seed))
    finally:
        provider.kill()
        provider.wait()
        for mounted in filter(None, (disk, broker_disk)):
            await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(mounted)], check=False)


def _small_disk(place: Place, name: str, size: str, mode: str) -> Path | None:
    """Put a server on a small disk of its own, which can be filled, where this user may mount one."""
    folder = place.home / name
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    return folder if made.returncode == 0 else None
