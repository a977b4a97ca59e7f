"""The simulation in a bound that fits a test run: 2,000 histories; `make simulate-long` runs 100,000."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from shared.contracts.envelope import Actor
from shared.runtime.handlers import Handlers
from shared.runtime.quarantine import Exits
from tests.simulation.loop import CURRENT, Chance, Loop, Process
from tests.simulation.mutants import BUGS
from tests.simulation.tally import Outcome, Tally

ROOT = Path(__file__).parents[2]
HISTORIES = 2_000
QUICK = ("duplicates_are_applied", "restrictions_wait", "end_tells_its_own_cases")

pytestmark = pytest.mark.timeout(1500)  # on a busy machine


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def test_every_history_keeps_the_promise() -> None:
    done = _simulate("--histories", str(HISTORIES), "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ["histories", f"{HISTORIES:,}"] in [line.split() for line in done.stdout.splitlines()]


def test_a_long_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    half, whole = Tally(), Tally()
    for seed in (1, 2, 3):
        outcome = Outcome(
            seed, "N1" if seed == 2 else "", "a story", {"contacts": seed}, {"a topic lost": 1}, 0.5
        )
        whole.add(outcome, "one source")
        if seed < 3:
            half.add(outcome, "one source")
    half.write(kept)
    again = Tally.read(kept)
    again.add(Outcome(3, "", "", {"contacts": 3}, {"a topic lost": 1}, 0.5), "another source")
    assert (again.done, again.counts, again.faults, again.harm) == (3, whole.counts, whole.faults, whole.harm)
    assert again.harm["N1"] == 1
    assert again.stories == ["seed 2: a story"]
    assert again.sources == {"one source": 2, "another source": 1}


def test_the_same_seed_is_the_same_history_in_another_process() -> None:
    first, second = _simulate("--seed", "7"), _simulate("--seed", "7")
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(first.stdout.splitlines()) > 20
    assert first.stdout == second.stdout


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(name: str) -> None:
    done = _simulate("--only", name, "--histories", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT FOUND" not in done.stdout


def test_every_planted_bug_still_fits_the_source() -> None:
    assert len(BUGS) >= 20
    for bug in BUGS:
        for module, source in bug.sources().items():
            compile(source, module, "exec")


def test_tasks_of_a_killed_process_end_in_the_order_in_which_they_began() -> None:
    loop, process = Loop(), Process("service")
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(50)
        finally:
            ended.append(number)

    async def history() -> None:
        for number in range(100):
            process.start(work(number))
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(1)

    loop.run_until_complete(history())
    loop.close()
    assert ended == list(range(100))


def test_nothing_that_a_dead_process_does_has_an_effect() -> None:
    loop, process = Loop(), Process("service")
    done: list[float] = []

    async def work(chance: Chance) -> None:
        while True:
            await chance.wait(1)
            done.append(loop.time())

    async def history() -> None:
        process.start(work(Chance(1)))
        loop.call_later(10, process.kill)
        await asyncio.sleep(50)

    loop.run_until_complete(history())
    loop.close()
    assert done
    assert max(done) <= 10
    assert CURRENT.get() is None


async def test_a_key_is_not_let_go_of_by_a_try_that_failed() -> None:
    """Seed 5236: nothing waited at the first try, whose transaction failed, and something did at the second."""

    class Twice:
        saved: Any = None

        async def run(self, body: Any, *, actor: Any, consumed: Any) -> None:
            for busy in (False, True):
                work = AsyncMock()
                work.fetchval.return_value = busy
                work.fetch.return_value = [
                    {"topic": "cases", "key": "c", "sequence": 1, "event_id": "e", "held": True}
                ]
                await body(work)
            self.saved = consumed().advances

    unit = Twice()
    await Exits(unit, Handlers(), Actor("test"), AsyncMock())._release(("cases", "c"), 0)  # type: ignore[arg-type]
    assert unit.saved == []
