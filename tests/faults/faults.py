"""The faults. Each is done and undone by one function, which returns when it is over; nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncpg
import psutil

from tests.faults.arena import Arena
from tests.support.fleet import SERVICES
from tests.support.processes import Process

Fault = Callable[[Arena], Awaitable[None]]
LONG = (1.0, 4.0)


class Skipped(Exception):
    """This machine cannot make this fault; the text says why."""


async def nothing(_arena: Arena) -> None:
    """No fault: what the others are compared with."""


async def kill_service(name: str, arena: Arena) -> None:
    """Kill -9; whoever supervises starts it again."""
    arena.onefriend.processes[name].kill()
    await asyncio.sleep(arena.draw.uniform(*LONG))


async def stop_service(name: str, arena: Arena) -> None:
    """SIGSTOP: a process that is there and does nothing, and then goes on with what it believed."""
    process = arena.onefriend.processes[name]
    process.kill(signal.SIGSTOP)
    try:
        await asyncio.sleep(arena.draw.uniform(*LONG))
    finally:
        process.kill(signal.SIGCONT)


async def kill_broker(arena: Arena) -> None:
    """The broker ends as in a power cut, and starts with its data."""
    kafka = arena.onefriend.servers.kafka
    assert kafka is not None
    await asyncio.to_thread(kafka.kill)
    await asyncio.sleep(arena.draw.uniform(*LONG))
    await asyncio.to_thread(kafka.start)


async def empty_broker(arena: Arena) -> None:
    """The broker starts with an empty disk: every topic is gone."""
    kafka = arena.onefriend.servers.kafka
    assert kafka is not None
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(shutil.rmtree, kafka.folder / "data")
    await asyncio.sleep(arena.draw.uniform(*LONG))
    await asyncio.to_thread(kafka.start)


async def kill_database(arena: Arena) -> None:
    """Every database ends as in a power cut, and starts with its data."""
    postgres = arena.onefriend.servers.postgres
    assert postgres is not None
    await asyncio.to_thread(postgres.kill)
    await asyncio.sleep(arena.draw.uniform(0.2, 2))
    await asyncio.to_thread(postgres.start)


async def _freeze(arena: Arena, processes: list[psutil.Process]) -> None:
    everybody = [each for process in processes for each in (process, *process.children(recursive=True))]
    for each in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.suspend()
    try:
        await asyncio.sleep(arena.draw.uniform(*LONG))
    finally:
        for each in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()


async def stop_broker(arena: Arena) -> None:
    """SIGSTOP of the broker."""
    kafka = arena.onefriend.servers.kafka
    assert kafka is not None
    await _freeze(arena, kafka.processes())


async def stop_database(arena: Arena) -> None:
    """SIGSTOP of the database server and all its sessions."""
    postgres = arena.onefriend.servers.postgres
    assert postgres is not None
    await _freeze(arena, postgres.processes())


async def cut(way: str, arena: Arena) -> None:
    """Every connection of a way is cut, and none is taken for a while."""
    arena.onefriend.ways[way].cut()
    await asyncio.sleep(arena.draw.uniform(*LONG))
    arena.onefriend.ways[way].mend()


async def drop(way: str, arena: Arena) -> None:
    """The connections of a way are cut again and again: answers are lost, new connections succeed."""
    for _ in range(12):
        arena.onefriend.ways[way].drop()
        await asyncio.sleep(arena.draw.uniform(0.05, 0.4))


async def hold(way: str, arena: Arena) -> None:
    """A way goes silent, and then delivers all that it held up."""
    arena.onefriend.ways[way].hold()
    await asyncio.sleep(arena.draw.uniform(*LONG))
    arena.onefriend.ways[way].mend()


async def slow(way: str, arena: Arena) -> None:
    """Everything on a way takes longer."""
    arena.onefriend.ways[way].slow(arena.draw.uniform(0.05, 0.3))
    await asyncio.sleep(arena.draw.uniform(2, 5))
    arena.onefriend.ways[way].mend()


async def step_clock(name: str, arena: Arena) -> None:
    """A service's clock jumps some minutes forward, and back again."""
    one = arena.onefriend
    for shift in (arena.draw.uniform(60, 1_200), 0.0):
        for _ in range(50):
            with contextlib.suppress(AssertionError, OSError, Exception):
                await one.set_clock(name, one.shift + shift)
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(arena.draw.uniform(*LONG))


async def rebalance(name: str, arena: Arena) -> None:
    """Members of the service's group come and go, some killed: its partitions wander all the time."""
    first = arena.onefriend.processes[name]
    log = arena.place.log(f"{name}-more")
    others = [
        Process(["tests.support.serve", name, "--only", "consumer"], first.environment, log, first.nursery)
        for _ in range(2)
    ]
    try:
        for other in (*others, others[0]):
            other.start(ONEFRIEND_PORT=str(other.port))
            with contextlib.suppress(AssertionError):
                await other.ready(15)
            other.kill() if arena.draw.random() < 0.5 else other.stop_asking()
    finally:
        for other in others:
            await asyncio.to_thread(other.stop)


async def restore_consent(arena: Arena) -> None:
    """Consent's database becomes what it was some seconds ago. All that it had told had been told: the rest is nobody's."""
    postgres = arena.onefriend.servers.postgres
    assert postgres is not None
    url = arena.onefriend.databases["consent"]
    dump = arena.place.home / "consent.dump"
    await _run(postgres.binaries / "pg_dump", "--format=custom", f"--file={dump}", url)
    await asyncio.sleep(arena.draw.uniform(2, 4))
    process, way = arena.onefriend.processes["consent"], arena.onefriend.ways["consent"]
    for _ in range(20):
        way.cut()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(process.stop)
        if not await _untold(url):
            break
        process.start()
        await process.ready(120, revived=True)
    await arena.read_journals()
    arena.begin_journal_again("consent")
    admin = postgres.url()
    connection = await asyncpg.connect(admin)
    await connection.execute("DROP DATABASE consent WITH (FORCE)")
    await connection.execute("CREATE DATABASE consent OWNER consent")
    await connection.close()
    await _run(
        postgres.binaries / "pg_restore", "--exit-on-error", f"--dbname={url}", "--no-owner", str(dump)
    )
    process.start()
    way.mend()
    await process.ready(120, revived=True)


async def _run(program: Path, *arguments: str) -> None:
    done = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.PIPE)
    _, said = await done.communicate()
    assert done.returncode == 0, said.decode()


async def _untold(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM outbox"))
    finally:
        await connection.close()


async def fill_disk(arena: Arena) -> None:
    """The database's disk is full for a while."""
    postgres = arena.onefriend.servers.postgres
    assert postgres is not None
    disk = postgres.root
    if not disk.is_mount():
        raise Skipped("the database is not on a small disk of its own (that takes the right to mount one)")
    await _full(disk, arena)
    await asyncio.to_thread(postgres.start)


async def fill_broker(arena: Arena) -> None:
    """The broker's disk is full for a while; it ends by that, or is ended, and starts when there is room again."""
    kafka = arena.onefriend.servers.kafka
    assert kafka is not None
    if not kafka.folder.is_mount():
        raise Skipped("the broker is not on a small disk of its own (that takes the right to mount one)")
    await _full(kafka.folder, arena)
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)


async def _full(disk: Path, arena: Arena) -> None:
    ballast = disk / "ballast"
    try:
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(arena.draw.uniform(*LONG))
    finally:
        ballast.unlink(missing_ok=True)


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1_048_576)):
            pass


async def roll(name: str, arena: Arena) -> None:
    """A new process of a service takes over from the old one: for a while both run, on one database and in one group."""
    one = arena.onefriend
    old = one.processes[name]
    new = Process(old.arguments, old.environment, old.log, old.nursery)
    try:
        new.start()
        await new.ready(240)
    except BaseException:
        new.stop()
        raise
    one.ways[name].target = new.port
    one.processes[name] = new
    await asyncio.sleep(arena.draw.uniform(0.5, 2))
    await asyncio.to_thread(old.stop)


FAULTS: dict[str, Fault] = {
    "nothing": nothing,
    **{f"kill {name}": partial(kill_service, name) for name in SERVICES},
    **{f"stop {name}": partial(stop_service, name) for name in SERVICES},
    "kill broker": kill_broker,
    "stop broker": stop_broker,
    "empty broker": empty_broker,
    "kill database": kill_database,
    "stop database": stop_database,
    "fill disk": fill_disk,
    "fill broker": fill_broker,
    "restore consent": restore_consent,
    "cut broker": partial(cut, "broker"),
    "drop broker": partial(drop, "broker"),
    "hold broker": partial(hold, "broker"),
    "slow broker": partial(slow, "broker"),
    **{f"cut {name}": partial(cut, name) for name in ("intake", "consent")},
    **{f"drop {name}": partial(drop, name) for name in ("intake", "consent")},
    **{f"hold {name}": partial(hold, name) for name in ("intake", "consent")},
    **{f"cut {name}-database": partial(cut, f"{name}-database") for name in SERVICES},
    **{f"drop {name}-database": partial(drop, f"{name}-database") for name in SERVICES},
    **{f"slow {name}-database": partial(slow, f"{name}-database") for name in ("intake", "consent")},
    **{f"clock {name}": partial(step_clock, name) for name in ("intake", "consent")},
    **{f"roll {name}": partial(roll, name) for name in SERVICES},
    **{f"rebalance {name}": partial(rebalance, name) for name in ("consent", "allocation")},
}
