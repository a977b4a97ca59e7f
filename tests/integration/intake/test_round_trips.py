"""How often a release and a withdrawal go to the database: each time waits for a turn of a busy loop, and of PostgreSQL."""

import functools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake import releasing, withdrawing
from services.intake.core import Intake
from services.intake.releasing import Holder
from services.intake.withdrawing import Named
from tests.integration.intake.helpers import Headers, harmed, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import referral

_PLANNED = "SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0"
SENT: ContextVar[list[str] | None] = ContextVar("sent", default=None)


def _noting(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def noted(self: object, sql: str, *args: Any, **named: Any) -> Any:
        sent = SENT.get()
        if sent is not None:
            sent.append(sql.strip())
        return await method(self, sql, *args, **named)

    return noted


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the statements that this test's own calls send; those of the service's loops are not among them."""
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(asyncpg.Connection, name, _noting(getattr(asyncpg.Connection, name)))
    return []


@pytest.fixture
async def victim(intake: Intake, client: httpx.AsyncClient, police: Headers) -> tuple[str, str]:
    """Give (person, case) of somebody referred by the police."""
    return await harmed(intake, await posted(intake, client, police, referral()))


async def test_a_release_and_a_withdrawal_need_few_round_trips(
    intake: Intake, victim: tuple[str, str], sent: list[str]
) -> None:
    SENT.set(sent)
    await _release(intake, victim)
    # Two transactions, each: begin, lock with the time, look, look at the details, write, commit; and the contact points.
    # What the relay has told is not deleted here, whatever there is of it.
    assert len(sent) == 13, sent
    sent.clear()
    await _withdraw(intake, victim)
    # Stored: begin, lock with the time, write, remember the command, commit. Read. Answered: write.
    assert len(sent) == 7, sent


async def test_connections_have_planned_them_before_anybody_waits(
    intake: Intake, victim: tuple[str, str], sent: list[str]
) -> None:
    tables = ("release", "contact_claim", "withdrawal", "withdrawal_candidate", "command", "read_log")
    before = [await intake.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608 - names of our own tables
    await intake.rehearse()
    assert before == [await intake.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608 - names of our own tables
    assert intake.pool.get_size() == intake.pool.get_max_size()
    SENT.set(sent)
    await _release(intake, victim)
    await _withdraw(intake, victim)
    needed = set(sent) - {"BEGIN;", "COMMIT;"}
    assert len(needed) > 8
    SENT.set(None)
    ready = 0
    async with AsyncExitStack() as taken:
        while intake.pool.get_idle_size():
            connection = await taken.enter_async_context(intake.pool.acquire())
            rows = await connection.fetch(_PLANNED)
            ready += needed <= {row["statement"].strip() for row in rows}
    # All but the relay's, and those that a loop of the service had at that moment.
    assert ready >= intake.pool.get_max_size() - 4


async def _release(intake: Intake, victim: tuple[str, str]) -> None:
    StandIn(intake).permit("p1", *victim, "victim-care")
    released = await releasing.release(intake, Holder("victim-care", "w1"), "p1", 1)
    assert released["phones"]


async def _withdraw(intake: Intake, victim: tuple[str, str]) -> None:
    named = Named(person=victim[0])
    number = await intake.transact(
        withdrawing.record, intake, "victim-care", "w1", named, command_id="withdrawal"
    )
    stored = await withdrawing.put_in_force(intake, number)
    assert stored is not None
    assert stored.state == "in_force"
