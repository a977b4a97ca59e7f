"""What one look-up costs among 10,000, 100,000 and 1,000,000 people: `make bench-identity-scale`.

The service's own code on the real PostgreSQL: keyed hashes locked and looked up, sealed records read and opened, compared,
decided; some are dropped, then each look-up is timed alone. CPU is this process's and its database backend's together.
The million is built by COPY from the rows that the matcher would have written. Beside it, where its environment is there,
Splink 4's own look-up of single records among the same people (later versions have none).
"""

import argparse
import gc
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import uvloop

from benchmarks.identity.invented import Inventor
from deploy.local.place import Place
from deploy.local.postgres import Postgres, ensure_databases, on_same_server
from services.intake import matching
from services.intake.crypto import Keyring, make_master_key
from services.intake.doorstep import party_owner
from services.intake.matching import Person, Record
from services.intake.recognising.load import Someone, blocking_tags
from services.intake.recognising.people import Crowd, HotKeys, RecordCache
from shared.contracts.envelope import Actor
from shared.runtime.database import connect_pool
from shared.runtime.identifiers import new_id
from shared.runtime.migrations import migrate
from shared.runtime.unit_of_work import NoRelay, UnitOfWork
from shared.runtime.work import Work

MIGRATIONS = Path(__file__).parents[2] / "services" / "intake" / "migrations"
SPLINK_4 = Path(__file__).parents[2] / ".venv-splink4" / "bin" / "python"
CHUNK = 10_000
WARM_UP = 20
_PARTY = (
    *("id", "referral", "version", "position", "contact", "role", "person"),
    *("key", "sealed", "record_tag", "record", "current"),
)
_INDEXES = """
SELECT indexdef, indexname, conname FROM pg_indexes LEFT JOIN pg_constraint ON conname = indexname
WHERE tablename IN ('blocking_key', 'party', 'stream') AND schemaname = 'public'
"""


def main() -> None:
    """Build, look up, print; the same as JSON in --out. On the event loop that the service has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sizes", default="10000,100000,1000000", help="people in the store, by comma, growing"
    )
    parser.add_argument("--look-ups", type=int, default=1000, help="timed at each size")
    parser.add_argument(
        "--splink", type=int, default=30, help="look-ups by Splink 4 at each size; 0 leaves it out"
    )
    parser.add_argument(
        "--home", type=Path, default=Path(".onefriend/scale"), help="emptied before and after"
    )
    parser.add_argument("--out", type=Path, default=Path(".onefriend/bench-identity-scale.json"))
    args = parser.parse_args()
    shutil.rmtree(args.home, ignore_errors=True)
    home = args.home.resolve()
    server = Postgres(
        Place(home, home).made(),
        {
            "shared_buffers": "512MB",
            "maintenance_work_mem": "512MB",
            "max_wal_size": "4GB",
            "autovacuum": "off",
        },
    )
    server.start()
    try:
        sizes = [int(size) for size in args.sizes.split(",")]
        ensure_databases(server.url(), {"intake": "benchmark"})
        url = on_same_server(server.url(), "intake", "intake", "benchmark")
        migrate(MIGRATIONS, url)
        results = uvloop.run(_run(url, sizes, args.look_ups, args.splink, home))
    finally:
        server.stop()
        shutil.rmtree(server.root, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
    args.out.write_text(json.dumps(results, indent=1))


async def _run(url: str, sizes: Sequence[int], look_ups: int, splink: int, home: Path) -> dict[str, object]:
    make_master_key(home / "master.key")
    keyring = Keyring.read(home / "master.key")
    text = (resources.files("services.intake.matching") / "data" / "weights.json").read_text("utf-8")
    inventor = Inventor(json.loads(text))
    pool = await connect_pool(url, name="bench", size=1)
    stored: list[Person] = []
    results: dict[str, object] = {}
    print(
        f"{'people':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU p50':>9}{'CPU p99':>9}{'of it database':>16}"
        f"{'of 500: ms':>21}{'CPU each':>10}{'hot':>7}{'read':>7}{'known people found':>20}"
    )
    for size in sizes:
        await _build(url, keyring, inventor, stored, size - len(stored))
        # As the service has it; and the invented people are no part of a service's memory, for its collector to walk.
        gc.set_threshold(100_000, 20, 50)
        gc.freeze()
        bench = Bench(pool, keyring, inventor, stored)
        row = await bench.measure(look_ups)
        results[str(size)] = row
        print(
            f"{size:>10,}{row['p50']:>9.2f}{row['p99']:>9.2f}{row['cpu_p50']:>9.2f}{row['cpu_p99']:>9.2f}"
            f"{row['cpu_database']:>16.2f}{row['batch']:>21.2f}{row['batch_cpu']:>10.2f}{row['hot']:>7.1f}{row['read']:>7.1f}"
            f"{row['found']:>20.1%}",
            flush=True,
        )
        if splink:
            results[f"splink 4, {size}"] = beside = _splink(stored, inventor, splink, home)
            print(f"{'':>10}Splink 4: {beside}", flush=True)
    await pool.close()
    return results


# ------------------------------------------------------------------------------------------------------------- build


async def _build(url: str, keyring: Keyring, inventor: Inventor, stored: list[Person], more: int) -> None:
    """Store `more` people as the matcher would: one referral each, every key, every record sealed under a key of its own."""
    connection = await asyncpg.connect(url, command_timeout=None)
    started = time.monotonic()
    try:
        known = await connection.fetch(_INDEXES)
        for row in known:
            name, table = row["indexname"], _table(row)
            drop = (
                f'ALTER TABLE {table} DROP CONSTRAINT "{name}"' if row["conname"] else f'DROP INDEX "{name}"'
            )
            await connection.execute(drop)
        done = 0
        people = inventor.people(more)
        while done < more:
            chunk = [next(people) for _ in range(min(CHUNK, more - done))]
            await _copy(connection, keyring, chunk)
            stored += chunk
            done += len(chunk)
            _say(f"building: {done:,} of {more:,} people, {time.monotonic() - started:,.0f} s")
        for row in known:
            name, table = row["indexname"], _table(row)
            _say(f"building: index {name}, {time.monotonic() - started:,.0f} s")
            await connection.execute(row["indexdef"])
            if row["conname"]:
                await connection.execute(f'ALTER TABLE {table} ADD PRIMARY KEY USING INDEX "{name}"')
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    _say(f"built {more:,} people in {time.monotonic() - started:,.0f} s", last=True)


def _table(row: asyncpg.Record) -> str:
    return str(row["indexdef"]).split(" ON ")[1].split()[0]


async def _copy(
    connection: "asyncpg.Connection[asyncpg.Record]", keyring: Keyring, chunk: Sequence[Person]
) -> None:
    parties, keys, streams = [], [], []
    for sent in chunk:
        record = matching.normalise(sent)
        person, party = new_id(), new_id()
        owner = party_owner(party)
        key, wrapped = keyring.new_key(owner)
        plain = msgspec.json.encode(record)
        parties.append(
            (party, new_id(), 1, 0, False, "harmed", person, wrapped, key.seal(msgspec.json.encode(sent), owner),
             keyring.tag("content", plain), key.seal(plain, owner, "record"), True)
        )  # fmt: skip
        keys += [(tag, person) for tag in blocking_tags(keyring, record).values()]
        streams.append(("person", person, 1, 0, '{"links": []}'))
    await connection.copy_records_to_table("party", records=parties, columns=_PARTY)
    await connection.copy_records_to_table("blocking_key", records=keys, columns=("tag", "person"))
    await connection.copy_records_to_table(
        "stream", records=streams, columns=("kind", "key", "version", "base", "state")
    )


def _say(text: str, *, last: bool = False) -> None:
    if sys.stderr.isatty() or last:
        print(f"\r{text:<78}", end="\n" if last else "", file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------------------------------- look up


@dataclass
class Cost:
    """Of one transaction: milliseconds on the clock, of this process's CPU and of its database backend's."""

    wall: float
    own: float
    database: float


class Bench:
    """Look-ups of people of whom half are stored."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        keyring: Keyring,
        inventor: Inventor,
        stored: Sequence[Person],
    ) -> None:
        self._pool, self._keyring, self._inventor, self._stored = pool, keyring, inventor, stored
        self._unit = UnitOfWork(pool, "bench", NoRelay())
        self._cache = RecordCache(keyring)
        self._crowded = HotKeys()
        self._hot: list[int] = []
        self._read: list[int] = []

    async def measure(self, times: int) -> dict[str, float]:
        """Time single look-ups, and batches of 500."""
        backend = await self._pool.fetchval("SELECT pg_backend_pid()")
        for _ in range(WARM_UP):
            await self._look_up([self._someone(known=False)])
        self._hot.clear()
        self._read.clear()
        costs, found, asked = [], 0, 0
        for number in range(times):
            known = number % 2 == 0
            one = self._someone(known=known)
            costs.append(await self._timed([one], backend))
            if known:
                asked += 1
                found += one.decision is not None and one.decision.answer != "different"
        read, hot = statistics.mean(self._read), statistics.mean(self._hot)
        batches = [
            await self._timed([self._someone(known=n % 2 == 0) for n in range(500)], backend)
            for _ in range(3)
        ]
        walls = sorted(cost.wall for cost in costs)
        cpus = sorted(cost.own + cost.database for cost in costs)
        return {
            "p50": walls[len(walls) // 2],
            "p99": walls[int(len(walls) * 0.99)],
            "cpu_p50": cpus[len(cpus) // 2],
            "cpu_p99": cpus[int(len(cpus) * 0.99)],
            "cpu_mean": statistics.mean(cpus),
            "cpu_database": statistics.median(cost.database for cost in costs),
            "batch": statistics.median(cost.wall for cost in batches) / 500,
            "batch_cpu": statistics.median(cost.own + cost.database for cost in batches) / 500,
            "hot": hot,
            "read": read,
            "found": found / asked,
        }

    def _someone(self, *, known: bool) -> Someone:
        """Somebody to look up; made comparable within the timed part, as the service does."""
        inventor = self._inventor
        sent = inventor.again(inventor.rng.choice(self._stored)) if known else next(inventor.people(1))
        return Someone(
            "", position=0, contact=False, role="harmed", key=b"", human=cast("Any", sent), record=Record(), keys={},
            suppression=frozenset(),
        )  # fmt: skip

    async def _timed(self, people: list[Someone], backend: int) -> Cost:
        before, wall, own = _backend_cpu(backend), time.perf_counter(), time.process_time()
        await self._look_up(people)
        own, wall = time.process_time() - own, time.perf_counter() - wall
        return Cost(wall * 1e3, own * 1e3, (_backend_cpu(backend) - before) * 1e3)

    async def _look_up(self, people: list[Someone]) -> None:
        for one in people:
            one.record = matching.normalise(cast("Person", one.human))
            one.keys = blocking_tags(self._keyring, one.record)
        crowd = Crowd(self._cache, self._crowded, len(self._stored))

        async def look(work: Work) -> None:
            await crowd.gather(work, people)
            for one in people:
                crowd.recognise(one)

        await self._unit.run(look, actor=Actor("bench"))
        self._hot.append(sum(len(self._crowded.among(one.keys.values())) for one in people))
        self._read.append(len(crowd.record_tags))


def _backend_cpu(backend: int) -> float:
    """CPU seconds of a backend, to the nanosecond (Linux)."""
    return int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9


# ----------------------------------------------------------------------------------------------------------- Splink 4


def _splink(stored: Sequence[Person], inventor: Inventor, times: int, home: Path) -> dict[str, Any]:
    """Splink 4's look-up among the same people, in its own environment."""
    if not SPLINK_4.exists():
        return {"left out": "no environment: make .venv-splink4/.identity"}
    asked = [inventor.again(inventor.rng.choice(stored)) for _ in range(times)]
    for name, people in (("stored", stored), ("asked", asked)):
        rows = "\n".join(json.dumps(_flat(number, person)) for number, person in enumerate(people))
        (home / f"{name}.ndjson").write_text(rows)
    run = subprocess.run(
        [SPLINK_4, "-W", "ignore", Path(__file__).with_name("splink4.py"), home / "stored.ndjson", home / "asked.ndjson"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode != 0:
        return {"failed": run.stderr[-400:]}
    return dict(json.loads(run.stdout.splitlines()[-1]))


def _flat(number: int, person: Person) -> dict[str, object]:
    given = str(person["forenames"]).split()[0]
    return {
        "unique_id": number,
        "first_name": given,
        "surname": person["surname"],
        "dob": person.get("date_of_birth"),
        "postcode": next(iter(person["addresses"])).get("postcode"),
        "phone": next(iter(person.get("phones", ())), None),
        "email": next(iter(person.get("emails", ())), None),
    }


if __name__ == "__main__":
    main()
