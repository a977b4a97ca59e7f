"""Who goes first: a release or a withdrawal is one person who waits, a batch of the matcher a hundred referrals.

They share one event loop, one database and two cores. While such a request is under way the matcher takes no further piece,
for a while: the request needs some twenty turns of the loop, and would wait for a piece at each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


class Precedence:
    """The requests that go first, of one process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._under_way = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Go first inside the block. Never while waiting for a lock that a batch holds all along: it would wait for us."""
        self._under_way += 1
        self._none.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._none.set()

    async def none_left(self) -> None:
        """Wait until no such request is under way."""
        await self._none.wait()

    @property
    def wanted(self) -> bool:
        """Whether such a request is under way."""
        return self._under_way > 0


@dataclass(slots=True)
class Patience:
    """How many seconds one batch may be held up in all: referrals wait for a while, and never for ever."""

    precedence: Precedence
    seconds: float = field(default=0.2)

    async def give_way(self) -> None:
        """Let others have the loop; as long as requests that go first are under way, if there is patience left."""
        await asyncio.sleep(0)
        if not self.precedence.wanted or self.seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await self.precedence.none_left()
        self.seconds -= loop.time() - began
