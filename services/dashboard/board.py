"""What has changed, for pages that are open: a number for each subject, and a bell for whoever watches it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

PAUSE_SECONDS = 0.3  # a batch of events is one change to whoever looks
QUIET_SECONDS = 1.0  # then whoever watches is asked whether the service is to stop


class Board:
    """The changes of one process. Nothing is kept: a page that was closed has missed nothing that it will not read."""

    def __init__(self) -> None:
        self._changes: Counter[str] = Counter()
        self._bell = asyncio.Condition()
        self._ringing: set[asyncio.Task[None]] = set()

    def changed(self, subject: str) -> None:
        """Say that a subject has changed. Called after a commit."""
        self._changes[subject] += 1
        task = asyncio.create_task(self._ring())
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    def number(self, subject: str) -> int:
        """Return how often a subject has changed: what a page that is made now has seen."""
        return self._changes[subject]

    async def _ring(self) -> None:
        async with self._bell:
            self._bell.notify_all()

    async def watch(self, subject: str, seen: int) -> AsyncIterator[int | None]:
        """Give a number for each change of a subject beyond what a page has seen; None now and then, if there was none."""
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS), self._bell:
                    while self._changes[subject] == seen:
                        await self._bell.wait()
            except TimeoutError:
                yield None
                continue
            await asyncio.sleep(PAUSE_SECONDS)
            seen = self._changes[subject]
            yield seen
