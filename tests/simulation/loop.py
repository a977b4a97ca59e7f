"""Time and tasks: an event loop whose clock is a number, and processes that can be killed between any two awaits.

Nothing waits for anything real. When every task waits, the clock jumps to the next thing that is due, so that a month is
over in a moment. What is drawn (how long each statement, message and call takes, who is killed, what is lost) comes from one
seeded generator: the same seed is the same history.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from math import log
from random import Random
from typing import Any

AT_ONCE = 1 / 3
CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


class Stuck(Exception):
    """Every task waits for another: nothing will ever happen again."""


class Handle(list[Any]):
    """Something that will run: [when, number, function, arguments, context]; a list, because lists compare quickly."""

    __slots__ = ()

    def cancel(self) -> None:
        """Do not run it."""
        self[2] = None


class Loop(asyncio.BaseEventLoop):
    """An asyncio loop on simulated time.

    Half of a history's cost was asyncio's own bookkeeping: here handles are kept in as few steps as it takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._number = 0
        self._later: list[Handle] = []
        self._soon: deque[Handle] = deque()

    def time(self) -> float:
        """Return the seconds since the beginning."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run something in this round or the next."""
        handle = Handle((0.0, 0, callback, args, copy_context() if context is None else context))
        self._soon.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run something when it is due; of two that are due at once, first what was asked for first."""
        self._number += 1
        handle = Handle((when, self._number, callback, args, copy_context() if context is None else context))
        heapq.heappush(self._later, handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Run something after a while."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> Any:
        """Begin a task, as one of the process that it is begun in."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=str(name or ""), context=context)
        process = context.get(CURRENT) if context is not None else CURRENT.get()
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(process.forget)
            if not process.alive:
                task.cancel()
        return task

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _run_once(self) -> None:
        """Run what is ready; if nothing is, go on to when something is due."""
        later, soon = self._later, self._soon
        while later and later[0][2] is None:
            heapq.heappop(later)
        if not soon:
            if not later:
                raise Stuck
            self._now = max(self._now, later[0][0])
        while later and later[0][0] <= self._now:
            soon.append(heapq.heappop(later))
        for _ in range(len(soon)):
            handle = soon.popleft()
            _, _, function, args, context = handle
            if function is not None:
                handle[2] = None
                try:
                    context.run(function, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio's own handles do
                    self.call_exception_handler({"message": f"in {function}", "exception": error})


class Process:
    """A process of the simulated machine: it lives until it is killed, and all its tasks die with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        # In the order in which they began, which is that of their death: a set's is that of their addresses, and with those
        # it changed from run to run who woke first.
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.sessions: dict[Any, None] = {}
        self.on_death: list[Callable[[], None]] = []
        self.memory: dict[str, Any] = {}
        """What its modules keep in variables of their own."""

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        token = CURRENT.set(self)
        try:
            return asyncio.get_running_loop().create_task(work)
        finally:
            CURRENT.reset(token)

    def forget(self, task: asyncio.Task[Any]) -> None:
        """A task has ended."""
        self.tasks.pop(task, None)

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


class Turn:
    """A moment that a task waits for: a future in as few steps as a wait takes. The loop wakes the task itself."""

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_handle", "_loop", "_when")

    def __init__(self, loop: Loop, when: float) -> None:
        self._asyncio_future_blocking = False
        self._cancelled = False
        self._handle: Handle | None = None
        self._loop = loop
        self._when = when

    def __await__(self) -> Generator[Turn, None, None]:
        """Wait. Raises CancelledError if the task is told to end meanwhile."""
        self._asyncio_future_blocking = True
        yield self
        self.result()

    def get_loop(self) -> Loop:
        """Return the loop: a task waits for what is of its own loop."""
        return self._loop

    def add_done_callback(self, wakeup: Callable[[Turn], object], *, context: Context) -> None:
        """Wake this task when it is time."""
        self._handle = self._loop.call_at(self._when, wakeup, self, context=context)

    def result(self) -> None:
        """Return nothing. Raises CancelledError."""
        if self._cancelled:
            raise asyncio.CancelledError

    def cancel(self, msg: object = None) -> bool:
        """End the wait, in the next round."""
        handle = self._handle
        if handle is None or handle[2] is None:
            return False
        self._cancelled = True
        self._loop.call_soon(handle[2], self, context=handle[4])
        handle.cancel()
        return True


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
        self.met: Counter[str] = Counter()
        """How often which fault has happened."""

    def happens(self, what: str, probability: float) -> bool:
        """Draw whether something bad happens; never once it is quiet."""
        if self.quiet or self.random.random() >= min(0.5, probability * self.severity):
            return False
        self.met[what] += 1
        return True

    async def wait(self, mean: float) -> None:
        """Wait as long as a message takes on its way; a process may be killed at any such moment."""
        process = CURRENT.get()
        if process is not None and (not process.alive or process.name in self.fuse):
            self._burn(process)
        # An exponential distribution; as asyncio.sleep, in fewer steps.
        loop, seconds = asyncio.get_running_loop(), -log(1 - self.random.random()) * mean
        await (Turn(loop, loop.time() + seconds) if isinstance(loop, Loop) else asyncio.sleep(seconds))
        if process is not None:
            process.must_live()

    async def step(self, mean: float) -> None:
        """Wait like that, or (one in three) not at all: the process may be killed all the same, and nobody comes between."""
        process = CURRENT.get()
        if process is None or self.random.random() < AT_ONCE:
            if process is not None:
                self._burn(process)
            return
        await self.wait(mean)

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
