"""The database in memory does what PostgreSQL does: the same transactions, interleaved in the same way, on both.

Three sessions lock, save and commit in an order that a seed draws, through the runtime's own `Work` and `save`. At each step
both databases must give the same answer, the same error, or let the session wait; in the end they must hold the same rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest

from services.allocation.handlers import of_consent as on_leads
from services.allocation.store import policies as policy_rows
from services.allocation.store import reading, registry
from services.allocation.store import rows as case_rows
from services.consent import store as consent_store
from services.consent.handlers import PERSON as LEDGER
from services.intake.store import releases, withdrawals
from shared.contracts.consent import LeadEnded, PermitGranted
from shared.contracts.envelope import Actor
from shared.runtime.identifiers import new_id
from shared.runtime.saving import Consumed, InboxAdvance, save
from shared.runtime.schema import bring_up_to_date, folder_of
from shared.runtime.work import Work
from tests.simulation import statements_of_allocation as of_allocation
from tests.simulation import statements_of_services as known
from tests.simulation.database import BEGIN, Database, Pool, Transaction
from tests.simulation.loop import CURRENT, Chance, Process

pytestmark = pytest.mark.timeout(600)
TABLES = {
    "stream": "kind, key, version, base, state",
    "journal": "topic, key, sequence, type, data",
    "outbox": "topic, key, failed",
    "inbox": "topic, key, sequence, base, held",
    "consumer_offset": "topic, partition, topic_id, next_offset",
    "timer": "name, key, due_at, data, attempts",
    "command": "id, fingerprint, answer",
    "permit": "id, person, status, how, outcome, fence",
    "lead": "person, agency",
}
KEYS = ("a", "b", "c")
TRIES = 5


def in_memory(name: str) -> Pool:
    """Return a pool of an empty database in memory, where nothing goes wrong by itself."""
    chance = Chance(0)
    chance.quiet = True
    tables, statements = {
        "consent": (known.consent_tables(), known.of_consent()),
        "intake": (known.intake_tables(), known.of_intake()),
        "allocation": (of_allocation.tables(), of_allocation.of_allocation()),
    }[name]
    return Pool(Database(name, tables, statements, chance), Process("test"))


async def on_a_server(url: str, name: str) -> asyncpg.Pool[asyncpg.Record]:
    """Return a pool of a real database with a service's tables."""
    await bring_up_to_date(folder_of(name), url)
    return await asyncpg.create_pool(url, min_size=1, max_size=5)


class Side:
    """One of the two, with three sessions."""

    def __init__(self, pool: Any, watch: asyncpg.Connection[asyncpg.Record] | None) -> None:
        self.pool = pool
        self._watch = watch
        self.sessions: dict[int, Any] = {}
        self.blocks: dict[int, Any] = {}
        self.works: dict[int, Work] = {}
        self.waiting: dict[int, asyncio.Task[Any]] = {}

    async def begin(self, n: int) -> None:
        connection = await self.pool.acquire().__aenter__()
        self.sessions[n], self.blocks[n] = connection, connection.transaction()
        await self.blocks[n].__aenter__()
        self.works[n] = Work(connection, source="test", actor=Actor("test"), command_id=None, wanted={})

    async def step(self, n: int, function: Callable[[Work], Awaitable[Any]]) -> Any:
        """Run one step of a session: its answer, the name of its error, or "waits"."""
        self.waiting[n] = asyncio.ensure_future(function(self.works[n]))
        return await self.look(n)

    async def look(self, n: int) -> Any:
        """Return how the last step of a session stands."""
        task, blocked = self.waiting[n], 0
        for _ in range(3000):
            if task.done():
                break
            # Seen three times: who has just been let go of may be about to go on.
            blocked = blocked + 1 if await self._is_blocked() else 0
            if blocked == 3:
                return "waits"
            await asyncio.sleep(0.01)
        error = task.exception()
        return type(error).__name__ if error else task.result()

    async def _is_blocked(self) -> bool:
        """Say whether everybody who has something to do waits for a lock."""
        busy = [task for task in self.waiting.values() if not task.done()]
        if self._watch is not None:
            waiting = await self._watch.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            return bool(waiting == len(busy))
        queues = self.pool._database.locks._waiting.values()
        return sum(not turn.done() for queue in queues for _, turn in queue) == len(busy)

    async def end(self, n: int, *, commit: bool) -> None:
        kind = None if commit else ValueError
        with suppress(ValueError):
            await self.blocks[n].__aexit__(kind, None, None)
        await _give_back(self.pool, self.sessions.pop(n))
        del self.works[n], self.waiting[n]


async def _give_back(pool: Any, session: Any) -> None:
    if isinstance(pool, Pool):
        pool.give_back(session)
    else:
        await pool.release(session)


def _lock(keys: tuple[str, ...]) -> Callable[[Work], Awaitable[Any]]:
    async def function(work: Work) -> Any:
        glimpsed = await consent_store.glimpse(work, ["person"] * len(KEYS), KEYS)
        await work.lock(*((LEDGER, key) for key in keys))
        found = await consent_store.surroundings(work, ["w"], 60.0, keys, "case", KEYS)
        states = {key: msgspec.json.decode(state) for key, state in glimpsed.items()}
        return states, found, sorted((key, work.version(LEDGER, key)) for key in keys)

    return function


def _save(seed: int, keys: tuple[str, ...]) -> Callable[[Work], Awaitable[Any]]:
    """Stage much of what a transaction can write, as the seed draws it, and save it."""
    random = Random(seed)

    async def function(work: Work) -> Any:
        for key in keys:
            work.record(LEDGER, key, LeadEnded(agency=f"agency-{random.randrange(3)}", reason="test"))
            if random.random() < 0.15:
                permit = f"permit-{random.randrange(3)}"
                granted = PermitGranted(
                    permit=permit, fence=seed, case="case", party=key, agency="X", purpose="approach", channel="phone",
                    expires=BEGIN + timedelta(minutes=seed),
                )  # fmt: skip
                work.record(LEDGER, key, granted)
                consent_store.stage(work, key, granted, BEGIN)
            if random.random() < 0.3:
                work.write(consent_store.save_leads, (key, random.choice(["X", "Y", None])))
        work.timer("timer", random.choice(keys), BEGIN + timedelta(seconds=seed), {"n": seed})
        if random.random() < 0.5:
            work.cancel_timer("timer", random.choice(KEYS))
        sequence = random.randrange(3)
        advance = InboxAdvance(
            "people", random.choice(KEYS), sequence + 1, sequence, new_id(), random.random() < 0.5
        )
        offset = ("people", random.randrange(2), random.choice(["t1", "t2"]), random.randrange(5))
        consumed = Consumed([advance], [offset]) if random.random() < 0.6 else None
        if random.random() < 0.3:
            work.command_id = f"command-{random.randrange(3)}"
            work.fingerprint, work.answer = "print", "answer"
        await save(work.connection, work, consumed, ())
        return [recorded.position > 0 for recorded in work.recorded]

    return function


async def _play(side: Side, seed: int) -> list[Any]:
    """Interleave transactions of three sessions as the seed draws; return everything that could be seen."""
    random = Random(seed)
    seen: list[Any] = []
    phase: dict[int, int] = {}
    keys: dict[int, tuple[str, ...]] = {}
    for step in range(28):
        able = [n for n in range(3) if n not in side.waiting or side.waiting[n].done()]
        n = random.choice(able) if able else -1
        if n < 0:
            break
        failed = n in side.waiting and side.waiting[n].done() and side.waiting[n].exception() is not None
        if n not in side.works:
            await side.begin(n)
            keys[n], phase[n] = tuple(sorted(random.sample(KEYS, random.choice([1, 1, 2])))), 0
        elif failed or phase[n] == 2:
            commit = not failed and random.random() < 0.8
            await side.end(n, commit=commit)
            seen.append((n, "commit" if commit else "rollback"))
            seen += [(other, "then", await side.look(other)) for other in sorted(side.waiting)]
            continue
        function = _lock(keys[n]) if phase[n] == 0 else _save(seed * 100 + step, keys[n])
        phase[n] += 1
        seen.append((n, phase[n], await side.step(n, function)))
    while side.works:
        for n in [n for n in sorted(side.works) if side.waiting[n].done()]:
            await side.end(n, commit=False)
        await asyncio.sleep(0.01)
    return seen


async def _rows(pool: Any, tables: dict[str, str]) -> dict[str, list[Any]]:
    """Return every row of some tables, without what differs by nature (ids, times of day)."""
    found = {}
    for table, columns in tables.items():
        names = columns.split(", ")
        if isinstance(pool, Pool):
            rows = [[row[name] for name in names] for row in pool._database.tables[table].rows.values()]
        else:
            rows = [list(row.values()) for row in await pool.fetch(f"SELECT {columns} FROM {table}")]  # noqa: S608 - names of our own tables
        found[table] = sorted((list(map(_plain, row)) for row in rows), key=repr)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{":
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(value)
    return value


async def _both(seed: int, url: str) -> tuple[tuple[list[Any], Any], tuple[list[Any], Any]]:
    """Play a history in memory and on a server; return what each showed and what rows it left."""
    real = await on_a_server(url, "consent")
    watch = await asyncpg.connect(url)
    memory = in_memory("consent")
    token = CURRENT.set(memory._process)
    try:
        there, here = await _play(Side(real, watch), seed), await _play(Side(memory, None), seed)
        return (here, await _rows(memory, TABLES)), (there, await _rows(real, TABLES))
    finally:
        CURRENT.reset(token)
        await watch.close()
        await real.close()


@pytest.mark.parametrize("seed", range(1, 9))
async def test_interleaved_transactions_see_and_leave_the_same(
    seed: int, new_database: Callable[[], Awaitable[str]]
) -> None:
    # Two who wait for the end of one and the same transaction are woken together, and on a busy machine either of them may
    # go on first; in memory it is the one that came first. What differs for any other reason differs each time.
    here, there = await _both(seed, await new_database())
    for _ in range(TRIES):
        if here == there:
            break
        here, there = await _both(seed, await new_database())
    seen = "\n".join(f"{i} {a} {b}" for i, (a, b) in enumerate(zip(here[0], there[0], strict=False)))
    assert here == there, seen
    assert any(step[-1] == "waits" for step in there[0]) or seed > 3, "this seed shows nothing of waiting"


# --- intake's rows, one statement after the other


INTAKE_TABLES = {
    "release": "permit, fence, person, agency, worker, state, reason, told, number",
    "contact_claim": "tag, person, permit",
    "withdrawal": "state, scope, case_id, person, in_flight",
    "withdrawal_candidate": "person, case_id",
    "read_log": "agency, worker, what, person, permit",
}
# Two of the three are one human; each can be reached by a telephone of their own, and two by a third one. One said no.
BEFORE: dict[str, list[dict[str, Any]]] = {
    "stream": [
        {"kind": "person", "key": key, "version": 1, "base": 0, "last_event": None, "state": state}
        for key, state in (("a", '{"links": ["b"]}'), ("b", '{"links": ["a"]}'), ("c", '{"links": []}'))
    ],
    "contact_point": [
        {"tag": bytes([tag]) * 8, "person": person}
        for person, tag in zip("abcbc", (0, 1, 2, 3, 3), strict=True)
    ],
    "ledger": [
        {"person": "a", "live": True, "refused": False},
        {"person": "c", "live": False, "refused": True},
    ],
}


async def _begin_with(pool: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in tables.items():
        if isinstance(pool, Pool):
            table = pool._database.tables[name]
            table.rows.update({table.key_of(row): row for row in rows})
        else:
            columns, places = ", ".join(rows[0]), ", ".join(f"${n + 1}" for n in range(len(rows[0])))
            await pool.executemany(
                f"INSERT INTO {name} ({columns}) VALUES ({places})",  # noqa: S608 - names of our own
                [tuple(row.values()) for row in rows],
            )


async def _calls(pool: Any, seed: int) -> list[Any]:  # noqa: C901 - one arm for each function
    """Call the functions of intake's stores as the seed draws; return their answers."""
    random = Random(seed)
    answers: list[Any] = []
    stored: list[str] = []
    for n in range(60):
        permit, person = f"permit-{random.randrange(3)}", random.choice(KEYS)
        tags, kind = {bytes([random.randrange(3)]) * 8}, random.randrange(12)
        async with pool.acquire() as connection, connection.transaction():
            work = Work(connection, source="test", actor=Actor("test"), command_id=None, wanted={})
            await work.lock()
            match kind:
                case 0 | 1:
                    row = {"permit": permit, "fence": n, "person": person, "party": person, "case": "case",
                           "agency": "X", "worker": None}  # fmt: skip
                    answers.append(await releases.ask(work, row, {person: n}, tags))
                case 2:
                    redeemed = {
                        "channel": "phone",
                        "purpose": random.choice(["approach", "arrangement"]),
                        "use_by": random.choice(["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]),
                    }
                    answers.append(await releases.hand_out(work, permit, redeemed, "X", None))
                case 3:
                    answers.append(await releases.give_up(work, permit, "changed", random.random() < 0.5))
                case 4:
                    await releases.refused(work, permit, "behind")
                case 5:
                    await releases.told(work, permit)
                case 6:
                    answers.append(await releases.lock_points(work, person, random.choice(KEYS)))
                case 7:
                    look = await releases.look(work, person, random.choice(KEYS), "case", permit)
                    # The simulated cases have no parties of their own: whoever is asked about is in the case.
                    answers.append(replace(look, parties=[]))
                case 8:
                    answers.append(await releases.withdrawn(work, [person], "case"))
                case 9:
                    number = new_id()
                    one = withdrawals.Withdrawal(
                        number, random.choice(["recorded", "needs_person"]), random.choice(["case", "everything"]),
                        random.choice(["case", "another", None]), "person", "X", person, (), work.now, None,
                    )  # fmt: skip
                    await withdrawals.record(
                        work, one, [person, random.choice(KEYS)], via="person", worker=None
                    )
                    stored.append(number)
                case 10 if stored:
                    found = await withdrawals.in_force(work, stored[0], [{"permit": permit}])
                    answers.append((found.state, found.in_flight) if found else None)
                case _:
                    answers.append(len(await withdrawals.due(work)))
                    bound = [await withdrawals.read_bound(work, number) for number in stored]
                    answers.append(
                        [(one.withdrawal.state, one.people, one.handed_out) for one in bound if one]
                    )
                    answers.append(sorted(await releases.in_doubt(work, timedelta(minutes=-1))))
    return answers


@pytest.mark.parametrize("seed", range(1, 5))
async def test_the_statements_of_a_release_and_a_withdrawal_answer_and_leave_the_same(
    seed: int, new_database: Callable[[], Awaitable[str]]
) -> None:
    real = await on_a_server(await new_database(), "intake")
    memory = in_memory("intake")
    token = CURRENT.set(memory._process)
    try:
        await _begin_with(memory, BEFORE)
        await _begin_with(real, BEFORE)
        assert await _calls(memory, seed) == await _calls(real, seed)
        assert await _rows(memory, INTAKE_TABLES) == await _rows(real, INTAKE_TABLES)
    finally:
        CURRENT.reset(token)
        await real.close()


# --- allocation's rows, the same way


ALLOCATION_TABLES = {
    "case_row": "case_id, status, reason, incident, partnership, policy_version, rule, area, offence, stage, initiated_by, "
    "hub, co_ordinator, funder, due, received_at, allocated_at, closed_at, changed_at",
    "case_party": "case_id, party, person, role, place, agency, worker",
    "case_agency": "agency, case_id, relation",
    "case_fact": "case_id, fact, key, at, agency, value",
    "case_decision": "case_id, at, policy_version, rule, explanation",
    "explanation": "digest, why",
    "policy_version": "reference, partnership, files",
}


def _case(random: Random, at: datetime) -> case_rows.CaseRow:
    """Return a case's row, some of it drawn."""
    maybe = [at, None]
    return case_rows.CaseRow(
        f"case-{random.choice(KEYS)}", random.choice(["proposed", "closed"]), None, "incident", "p", "1", "r", None, "theft",
        None, None, "hub", None, None, random.choice(maybe), at, random.choice(maybe), random.choice(maybe), at,
    )  # fmt: skip


async def _cases(pool: Any, seed: int) -> list[Any]:
    """Call the functions of allocation's stores as the seed draws; return their answers."""
    random = Random(seed)
    answers: list[Any] = []
    for n in range(80):
        case, at, kind = f"case-{random.choice(KEYS)}", BEGIN + timedelta(minutes=n), random.randrange(9)
        person, agency = random.choice(KEYS), random.choice(["x", "y"])
        async with pool.acquire() as connection, connection.transaction():
            work = Work(connection, source="test", actor=Actor("test"), command_id=None, wanted={})
            await work.lock()
            match kind:
                case 0 | 1:
                    await case_rows.save_cases(connection, [_case(random, at) for _ in range(3)])
                case 2:
                    place = random.choice(["led", "led", "ended"])
                    party, worker = random.choice(KEYS), random.choice(["w", None])
                    rows: list[Any] = [(case, party, person, "harmed", place, agency, worker)]
                    await case_rows.save_parties(connection, [*rows, *rows])
                case 3:
                    related = [
                        (agency, case, random.choice(["hub", "lead"]), random.random() < 0.6)
                        for _ in range(3)
                    ]
                    await case_rows.relate(connection, related)
                case 4:
                    fact = random.choice(["deliverer", "referral"])
                    await case_rows.save_facts(connection, [(case, fact, agency, at, agency, str(n))])
                case 5:
                    decided = (case, random.choice([at, BEGIN]), "1", f"r{n}", f"digest-{n % 3}", "why")
                    await case_rows.save_decisions(connection, [decided])
                case 6:
                    answers.append(sorted(r["case_id"] for r in await work.fetch(on_leads._CASES_OF, person)))
                    led = await work.fetch(on_leads._LEADERS_OF, person)
                    answers.append(sorted(map(repr, (tuple(row.values()) for row in led))))
                case 7:
                    await work.execute(policy_rows._KEEP, [f"p {n % 3}"], ["p"], ["{}"])
                    answers.append(sorted(row["reference"] for row in await work.fetch(policy_rows._KNOWN)))
                    kept = await work.fetch(policy_rows._FILES, ["p 0", "p 2"])
                    answers.append(sorted(tuple(row.values()) for row in kept))
                case _:
                    answers.append(sorted(tuple(row.values()) for row in await work.fetch(registry._CASES)))
                    others = (registry._AGENCIES, registry._WORKERS, registry._HOURS, registry._QUEUES)
                    answers += [[tuple(row.values()) for row in await work.fetch(sql)] for sql in others]
                    answers.append(len(await work.fetch(registry._VERSION)))
        answers.append(await reading.standing_for(pool, agency))
    return answers


@pytest.mark.parametrize("seed", range(1, 5))
async def test_the_statements_of_cases_answer_and_leave_the_same(
    seed: int, new_database: Callable[[], Awaitable[str]]
) -> None:
    real = await on_a_server(await new_database(), "allocation")
    memory = in_memory("allocation")
    token = CURRENT.set(memory._process)
    try:
        assert await _cases(memory, seed) == await _cases(real, seed)
        assert await _rows(memory, ALLOCATION_TABLES) == await _rows(real, ALLOCATION_TABLES)
    finally:
        CURRENT.reset(token)
        await real.close()


# --- what must not be mistaken


def test_a_statement_that_is_not_known_is_an_error() -> None:
    async def ask() -> None:
        CURRENT.set((pool := in_memory("consent"))._process)
        await pool.fetch("SELECT something_new")

    with pytest.raises(Exception, match="something_new"):
        asyncio.run(ask())


def test_two_that_wait_for_each_other_are_told() -> None:
    async def lock_both() -> list[Any]:
        pool = in_memory("consent")
        CURRENT.set(pool._process)
        one, other = (Transaction(pool._database, pool.take()) for _ in range(2))
        await one.hold("first")
        await other.hold("second")
        waits = asyncio.ensure_future(one.hold("second"))
        await asyncio.sleep(0)
        outcome = (await asyncio.gather(other.hold("first"), return_exceptions=True))[0]
        other.end()
        await waits
        return [type(outcome)]

    assert asyncio.run(lock_both()) == [asyncpg.DeadlockDetectedError]
