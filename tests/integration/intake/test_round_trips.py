"""How often a release and a withdrawal go to the database: each time waits for a turn of a busy loop, and of PostgreSQL."""

import functools
from collections.abc import Awaitable, Callable
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

SENT: ContextVar[list[str] | None] = ContextVar("sent", default=None)


def _noting(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def noted(self: object, sql: str, *args: Any, **named: Any) -> Any:
        sent = SENT.get()
        # What the relay has told by chance is deleted with whatever is saved next.
        if sent is not None and not sql.lstrip().startswith("WITH told"):
            sent.append(" ".join(sql.split())[:60])
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
    StandIn(intake).permit("p1", *victim, "victim-care")
    SENT.set(sent)
    released = await releasing.release(intake, Holder("victim-care", "w1"), "p1", 1)
    assert released["phones"]
    # Two transactions, each: begin, lock, read the time, look, look at the details, write, commit; and the contact points.
    assert len(sent) == 15, sent
    sent.clear()
    number = await intake.transact(
        withdrawing.record, intake, "victim-care", "w1", Named(person=victim[0]), command_id="withdrawal"
    )
    stored = await withdrawing.put_in_force(intake, number)
    assert stored is not None
    assert stored.state == "in_force"
    # Stored: begin, lock, read the time, write, remember the command, commit. Read. Answered: begin, write, commit.
    assert len(sent) == 10, sent
