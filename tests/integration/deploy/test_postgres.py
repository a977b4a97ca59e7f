"""Our launcher of PostgreSQL: whatever happened before, the next start works and nothing committed is lost."""

import asyncio
import os
import socket
import threading
import time

import asyncpg
import pytest

from deploy.local.place import Place
from deploy.local.postgres import Postgres, ensure_databases
from deploy.local.processes import DidNotStart
from tests.support.stack import outside_place


def _run(url: str, statement: str) -> str:
    async def run() -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval(statement))
        finally:
            await connection.close()

    return asyncio.run(run())


def _write(server: Postgres, text: str) -> None:
    _run(server.url(), f"CREATE TABLE IF NOT EXISTS kept AS SELECT '{text}'::text AS said")


def _read(server: Postgres) -> str:
    return _run(server.url(), "SELECT said FROM kept")


def test_it_survives_stop_and_kill(postgres: Postgres) -> None:
    postgres.start()
    _write(postgres, "this")
    postgres.stop()
    postgres.start()
    assert _read(postgres) == "this"
    postgres.kill()
    postgres.start()
    assert _read(postgres) == "this"


def test_one_that_runs_is_adopted(postgres: Postgres) -> None:
    postgres.start()
    first = postgres.process()
    other_owner = Postgres(postgres.place)
    other_owner.start()
    assert other_owner.process() == first is not None
    other_owner.stop()
    assert postgres.process() is None


def test_a_lock_file_whose_pid_belongs_to_somebody_else_is_no_obstacle(postgres: Postgres) -> None:
    postgres.start()
    _write(postgres, "that")
    postgres.kill()
    # As after a restart of the machine: the pid in the file is a living process of the same user, and no server.
    lines = (postgres.data / "postmaster.pid").read_text().splitlines()
    (postgres.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    postgres.start()
    assert _read(postgres) == "that"


def test_an_initialisation_that_was_killed_is_made_again(postgres: Postgres) -> None:
    (postgres.root / "data.new" / "base").mkdir(parents=True)
    postgres.start()
    assert _run(postgres.url(), "SELECT 1") == "1"


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(postgres: Postgres) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", postgres.port))
        other.listen()
        taken = postgres.port
        postgres.start()
        assert postgres.port != taken
        assert _run(postgres.url(), "SELECT 1") == "1"


def test_nobody_enters_without_the_password(postgres: Postgres) -> None:
    postgres.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        _run(f"postgresql://onefriend:wrong@127.0.0.1:{postgres.port}/postgres", "SELECT 1")


def test_a_service_enters_its_own_database_only(postgres: Postgres) -> None:
    postgres.start()
    passwords = {"intake": "it's one", "consent": "another"}
    ensure_databases(postgres.url(), passwords)
    ensure_databases(postgres.url(), passwords)
    server = f"127.0.0.1:{postgres.port}"
    assert _run(f"postgresql://intake:it's%20one@{server}/intake", "SELECT current_user") == "intake"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        _run(f"postgresql://intake:it's%20one@{server}/consent", "SELECT 1")


def test_what_is_wrong_is_said_with_the_end_of_the_log(postgres: Postgres) -> None:
    broken = Postgres(postgres.place, settings={"shared_buffers": "no size"})
    with pytest.raises(DidNotStart, match="shared_buffers"):
        broken.start(timeout=2)


def test_a_statement_or_a_value_never_reaches_the_log(postgres: Postgres) -> None:
    postgres.start()
    _run(postgres.url(), "CREATE TABLE people (name text UNIQUE)")
    for _ in range(2):
        try:
            _run(postgres.url(), "INSERT INTO people VALUES ('Ada Lovelace')")
        except asyncpg.UniqueViolationError:
            break
    time.sleep(0.2)
    log = postgres.log.read_text()
    assert "duplicate key" in log
    assert "Lovelace" not in log


def test_two_starts_at_once_of_two_places_do_not_collide(postgres: Postgres) -> None:
    with outside_place() as elsewhere:
        second = Postgres(elsewhere)
        both = [threading.Thread(target=server.start) for server in (postgres, second)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert postgres.process() != second.process()
        assert _run(postgres.url(), "SELECT 1") == _run(second.url(), "SELECT 1") == "1"
        second.stop()


def test_a_path_of_any_length_will_do(place: Place) -> None:
    server = Postgres(place.inner("x" * 100).inner("ä " * 60))
    server.start()
    try:
        assert _run(server.url(), "SELECT 1") == "1"
    finally:
        server.stop()
