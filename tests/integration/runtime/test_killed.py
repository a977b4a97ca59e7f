"""Killed between each pair of steps: every event still has exactly one effect, and nothing needs a person."""

import pytest

from tests.integration.runtime.conftest import Pair


@pytest.mark.parametrize(
    "step", ["before_commit", "after_commit", "after_send", "after_acknowledge", "before_answer"]
)
async def test_a_teller_killed_at_each_step(processes: Pair, step: str) -> None:
    await processes.tell(5)
    processes.teller.stop()
    processes.teller.start(ONEFRIEND_CRASH_AT=f"{step}:*#6")
    await processes.tell(30)
    await processes.settled()


@pytest.mark.parametrize("step", ["before_commit", "after_commit"])
async def test_a_listener_killed_at_each_step(processes: Pair, step: str) -> None:
    await processes.tell(5)
    processes.listener.stop()
    await processes.tell(10)
    processes.listener.start(ONEFRIEND_CRASH_AT=f"{step}:*#3")
    await processes.tell(20)
    await processes.settled()


async def test_a_listener_killed_again_and_again_while_partitions_move(processes: Pair) -> None:
    for _ in range(3):
        await processes.tell(10)
        processes.listener.kill()
        await processes.tell(5)
    await processes.settled()


async def test_both_killed_at_once(processes: Pair) -> None:
    await processes.tell(20)
    processes.teller.kill()
    processes.listener.kill()
    await processes.tell(20)
    await processes.settled()
