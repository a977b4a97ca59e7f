"""Fixtures that give tests the real PostgreSQL and the real Kafka.

stack: Stack (session)
    Both servers, started once in `.onefriend/test`; one that runs is adopted; the last session to end stops them
    (kept running with ONEFRIEND_KEEP=1). Works with pytest-xdist. Shared by everybody: never stop or kill these.
database: str (function)
    URL of a fresh empty database of a role that is no superuser; dropped afterwards.
new_database: async () -> str (function)
    As many of these as a test needs, one for each service.
bootstrap_servers: str (function)
    "127.0.0.1:port".
topic_prefix: str (function)
    "t0123456789ab.", unlike any other test's; every topic that begins with it is deleted afterwards.
new_topics: (*names, partitions=4) -> dict[str, str] (function)
    Makes prefixed topics: {"people": "t0123456789ab.people"}.
own_stack: Stack (module)
    Servers of this module's own, started, in a folder with a space in its name, to be stopped, killed and started:
    `own_stack.kafka.kill()`, `own_stack.kafka.start()`, `own_stack.postgres.stop()`. 2 to 4 s and 210 MB for each
    module that uses it.

Everything also runs on servers named by ONEFRIEND_POSTGRES and ONEFRIEND_KAFKA, or on containers with
ONEFRIEND_STACK=containers; `own_stack` skips there, because it must own what it kills.

`tests/conftest.py` registers this module as a plugin: no import is needed.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest

from deploy.local.kafka import Kafka
from deploy.local.place import Busy, Place
from deploy.local.postgres import Postgres, on_same_server
from deploy.local.stack import Stack
from deploy.local.topics import delete_topics, ensure_topics, topics_with

ROLE = "test"
MANY_PARTITIONS = 300


class NewTopics(Protocol):
    """Makes prefixed topics and gives {name: prefixed name}."""

    def __call__(self, *names: str, partitions: int = 4) -> dict[str, str]: ...


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    place = Place.default().inner("test")
    servers = Stack(place)
    # Everybody who uses the servers holds this lock shared; who can hold it alone at the end is the last.
    with place.lock("users", shared=True):
        _forget_old_topics(servers)
        servers.start()
        _ensure_role(servers)
        yield servers
    if not os.environ.get("ONEFRIEND_KEEP"):
        try:
            with place.lock("users", wait=False):
                servers.stop()
        except Busy:
            pass


def _forget_old_topics(servers: Stack) -> None:
    """Sessions that were killed leave topics behind; a broker that is down begins anew when there are many."""
    if servers.kafka:
        with servers.place.lock("start-broker"):
            data = servers.kafka.folder / "data"
            if (
                data.exists()
                and servers.kafka.process() is None
                and len(list(data.iterdir())) > MANY_PARTITIONS
            ):
                shutil.rmtree(data)


def _ensure_role(servers: Stack) -> None:
    with servers.place.lock("role"):
        servers.ensure_databases((ROLE,))


@pytest.fixture
async def new_database(stack: Stack) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    made: list[str] = []
    password = stack.place.secret(f"database/{ROLE}")
    admin = await asyncpg.connect(stack.admin_url)

    async def make() -> str:
        name = f"t{int(time.time())}_{secrets.token_hex(4)}"
        await admin.execute(f'CREATE DATABASE "{name}" OWNER "{ROLE}"')
        made.append(name)
        return on_same_server(stack.admin_url, name, ROLE, password)

    yield make
    for name in made:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def database(new_database: Callable[[], Awaitable[str]]) -> str:
    return await new_database()


@pytest.fixture
def bootstrap_servers(stack: Stack) -> str:
    return stack.broker


@pytest.fixture
def topic_prefix(stack: Stack) -> Iterator[str]:
    prefix = f"t{secrets.token_hex(6)}."
    yield prefix
    # Whoever made them: services under test make their own. Thousands of forgotten ones exhaust a broker of this size.
    delete_topics(stack.client_settings(), topics_with(stack.client_settings(), prefix))


@pytest.fixture
def new_topics(stack: Stack, topic_prefix: str) -> NewTopics:
    broker = stack.client_settings()

    def make(*names: str, partitions: int = 4) -> dict[str, str]:
        prefixed = {name: topic_prefix + name for name in names}
        ensure_topics(broker, prefixed.values(), partitions=partitions)
        return prefixed

    return make


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    with outside_place() as place:
        servers = Stack(place)
        if servers.postgres is None or servers.kafka is None:
            pytest.skip(
                "needs servers that it may kill: unset ONEFRIEND_POSTGRES, ONEFRIEND_KAFKA, ONEFRIEND_STACK"
            )
        servers.start()
        yield servers
        # Thrown away: a broker that stops in good order takes many seconds over it.
        servers.kafka.kill()
        servers.postgres.kill()


@contextmanager
def outside_place() -> Iterator[Place]:
    """A place in a temporary folder, with the checkout's jars; removed afterwards.

    Not in pytest's own temporary folder: each session of pytest closes that to others, and the database's user is another.
    """
    _sweep()
    with tempfile.TemporaryDirectory(prefix="onefriend-") as folder:
        Path(folder).chmod(0o711)
        place = Place(Path(folder) / "a stack", Place.default().shared).made()
        with place.lock("owner"):
            yield place


def _sweep() -> None:
    """End the servers of sessions that were killed: nobody holds the lock of their owner any more."""
    for left in Path(tempfile.gettempdir()).glob("onefriend-*/a stack"):
        if (left / "locks" / "owner").exists():
            place = Place(left, left)
            with suppress(Busy, OSError), place.lock("owner", wait=False):
                Kafka(place).kill()
                Postgres(place).kill()
                # Disks of their own, as tests/faults/arena.py mounts them: what is mounted cannot be removed.
                for server in ("postgres", "kafka"):
                    with suppress(OSError):
                        subprocess.run(["umount", left / server], check=False, capture_output=True)
                shutil.rmtree(left.parent)
