"""One stack, and then another, on which histories run as they are asked for: `python -m tests.faults.worker SEED`.

Reads a line of JSON for each history, `["kill consent", "cut broker"]`, and writes its `Result` as one; ends when nothing
more is asked. Several workers run beside each other, each on servers of its own, because a history mostly waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from tests.faults.arena import Arena, arena
from tests.faults.checker import check
from tests.faults.faults import Skipped
from tests.faults.history import Episode
from tests.faults.tally import Result, count
from tests.support.stack import outside_place

# A stack is thrown away after so many histories: its evidence stays readable, and what only a fresh one shows is met again.
PER_STACK = 25
# A history that takes longer has met with something that nobody thought of.
TOO_LONG = 600.0


def label(faults: tuple[str, ...]) -> str:
    """Return the name of a history's faults."""
    return " + ".join(faults)


class Line:
    """The way to whoever asks: a line in, a line out."""

    async def asked(self) -> Any:
        """Return what is asked for next; None at the end."""
        line = await asyncio.to_thread(sys.stdin.readline)
        return json.loads(line) if line else None

    def tell(self, answer: dict[str, Any]) -> None:
        """Tell what came of it."""
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def one_history(one: Arena, number: int, faults: tuple[str, ...], **more: Any) -> Result:
    """Run a history, and check it; `more` is how much happens in it, see Episode."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(TOO_LONG):
            history = await Episode(one, number, faults, **more).run()
            await one.read_journals()
        result = count(one, history, check(one, history), label(faults))
    except Skipped as why:
        return Result(label(faults), skipped=f"skipped: {why}")
    except Exception as error:  # noqa: BLE001 - it is told, and counted
        return Result(label(faults), broke_off=f"{type(error).__name__}: {error}"[:500])
    result.seconds = time.monotonic() - began
    return result


async def main(seed: int) -> None:
    """Run what is asked for, stack after stack."""
    line, number = Line(), 0
    asked = await line.asked()
    while asked is not None:
        with outside_place() as place:
            async with arena(place, place.home / "provider.log", seed + number) as one:
                for _ in range(PER_STACK):
                    number += 1
                    result = await one_history(one, number, tuple(asked))
                    line.tell(asdict(result))
                    asked = await line.asked()
                    # What is left of a stack on which something unforeseen happened proves nothing.
                    if asked is None or result.broke_off:
                        break


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1])))
