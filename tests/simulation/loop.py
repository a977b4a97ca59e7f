"""Time and tasks: an event loop whose clock is a number, and processes that can be killed between any two awaits.

Nothing waits for anything real. When every task waits, the clock jumps to the next thing that is due, so that a month is
over in a moment. What is drawn (how long each statement, message and call takes, who is killed, what is lost) comes from one
seeded generator: the same seed is the same history.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from random import Random
from typing import Any

CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


class Stuck(Exception):
    """Every task waits for another: nothing will ever happen again."""


class Loop(asyncio.BaseEventLoop):
    """An asyncio loop on simulated time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Return the seconds since the beginning."""
        return self._now

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _run_once(self) -> None:
        """Run what is ready; if nothing is, go on to when something is due."""
        scheduled = self._scheduled  # type: ignore[attr-defined]
        ready = self._ready  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Stuck
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()


class Process:
    """A process of the simulated machine: it lives until it is killed, and all its tasks die with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.sessions: set[Any] = set()
        self.on_death: list[Callable[[], None]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        token = CURRENT.set(self)
        try:
            return asyncio.get_running_loop().create_task(work)
        finally:
            CURRENT.reset(token)

    def kill(self) -> None:
        """As by SIGKILL: the server drops its sessions, and whatever its tasks still try has no effect."""
        if not self.alive:
            return
        self.alive = False
        for session in list(self.sessions):
            session.drop()
        for callback in self.on_death:
            callback()
        for task in list(self.tasks):
            task.cancel()

    def must_live(self) -> None:
        """Raise CancelledError in a process that is dead: nothing that it does after its death has any effect."""
        if not self.alive:
            raise asyncio.CancelledError


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
    context = more.get("context")
    process = context.get(CURRENT) if context is not None else CURRENT.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        if not process.alive:
            task.cancel()
    return task


class Chance:
    """Everything that is drawn. `quiet` ends the faults, so that what is left can converge."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.quiet = False
        # Some histories have bad weather, most have not: rare faults alone, and many at once, show different things.
        self.severity = self.random.choice([0.3, 1, 1, 3, 8])
        self.fuse: dict[str, int] = {}
        """Process name -> after how many more waits it is killed."""
        self.kill: Callable[[Process], None] = lambda process: process.kill()

    def happens(self, probability: float) -> bool:
        """Draw whether something bad happens; never once it is quiet."""
        return not self.quiet and self.random.random() < min(0.5, probability * self.severity)

    async def wait(self, mean: float) -> None:
        """Wait as long as a message takes on its way; a process may be killed at any such moment."""
        process = CURRENT.get()
        if process is not None:
            self._burn(process)
        await asyncio.sleep(self.random.expovariate(1 / mean))
        if process is not None:
            process.must_live()

    def _burn(self, process: Process) -> None:
        process.must_live()
        left = self.fuse.get(process.name)
        if left is None:
            return
        if left > 0:
            self.fuse[process.name] = left - 1
            return
        del self.fuse[process.name]
        self.kill(process)
        raise asyncio.CancelledError
