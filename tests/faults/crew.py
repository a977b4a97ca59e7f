"""Several workers at once, each a process with a stack of its own, given more when it has done what it was given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

from tests.support.processes import ROOT

# So often a worker that ends by itself is replaced, before the machine is taken to be at fault.
REPLACED = 5
# The seeds of two workers' stacks are so far apart.
APART = 1_000_000
# A line of a worker: a history with many violations tells long stories.
LINE = 64 * 1024 * 1024
END = 60.0


class OutOfWorkers(Exception):
    """Workers ended by themselves too often; the text says which."""


class Crew:
    """`following` gives the next piece of work, or None; `done` is told of each with its answer."""

    def __init__(
        self,
        module: str,
        following: Callable[[], Any],
        done: Callable[[Any, dict[str, Any]], None],
    ) -> None:
        """Each worker is `python -m module seed`, and speaks as tests/faults/worker.py says."""
        self._module = module
        self._following = following
        self._done = done

    async def work(self, workers: int, seed: int) -> None:
        """Work until nothing follows. Raises OutOfWorkers when all have ended, if one of them has too often."""
        ended = await asyncio.gather(
            *(self._one(seed + APART * number) for number in range(workers)), return_exceptions=True
        )
        for error in filter(None, ended):
            raise error

    async def _one(self, seed: int) -> None:
        asked = self._following()
        for _ in range(REPLACED):
            if asked is None:
                return
            asked = await self._until_it_ends(asked, seed)
        raise OutOfWorkers(f"{self._module} has ended by itself {REPLACED} times: see what it said")

    async def _until_it_ends(self, asked: Any, seed: int) -> Any:
        """Give work to one process; return what it left undone, if it ended by itself."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            str(seed),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            while asked is not None:
                process.stdin.write((json.dumps(asked) + "\n").encode())
                answer = await process.stdout.readline()
                if not answer:
                    return asked
                self._done(asked, json.loads(answer))
                asked = self._following()
        finally:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END)
            if process.returncode is None:
                process.kill()
        return None
