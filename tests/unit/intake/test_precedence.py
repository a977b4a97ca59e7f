"""A release or a withdrawal goes before the pieces of a batch; a batch waits for a while, and never for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.intake.precedence import Patience, Precedence


async def _pieces(patience: Patience, done: list[str], count: int) -> None:
    for number in range(count):
        await patience.give_way()
        done.append(f"piece {number}")


async def test_a_batch_goes_on_when_the_request_is_over() -> None:
    precedence, done = Precedence(), list[str]()
    with precedence.first():
        batch = asyncio.create_task(_pieces(Patience(precedence, 60), done, 3))
        for _ in range(20):
            await asyncio.sleep(0)
        assert done == []
        done.append("released")
    await asyncio.wait_for(batch, 30)
    assert done == ["released", "piece 0", "piece 1", "piece 2"]


async def test_the_last_of_several_requests_lets_it_go_on() -> None:
    precedence, done = Precedence(), list[str]()
    with precedence.first():
        batch = asyncio.create_task(_pieces(Patience(precedence, 60), done, 1))
        with precedence.first():
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert done == []
    await asyncio.wait_for(batch, 30)


async def test_patience_ends_though_requests_do_not() -> None:
    """A withdrawal may wait for what the batch has locked: the batch must end, whoever is under way."""
    precedence, done = Precedence(), list[str]()
    with precedence.first():
        patience = Patience(precedence, 0.01)
        await asyncio.wait_for(_pieces(patience, done, 1_000), 30)
    assert len(done) == 1_000
    assert patience.seconds <= 0


async def test_a_request_that_fails_is_over() -> None:
    precedence = Precedence()
    with suppress(ValueError), precedence.first():
        int("nobody")
    assert not precedence.wanted
