"""Ending tasks so that they end. In Python a clean-up that fails takes the place of the cancellation that it answers.

A loop that goes on after errors would then go on for ever: seen where a database was killed and came back, when the relay's
unlocking met a connection that was gone.
"""

from __future__ import annotations

import asyncio
from typing import Any

PATIENCE = 5.0


def end_if_cancelled() -> None:
    """Raise the cancellation that an error has taken the place of. To be called by whoever goes on after an error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; whoever has not after PATIENCE seconds is told again."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=PATIENCE)
    # What they raised is theirs to report: nobody is to be told that it was never looked at.
    await asyncio.gather(*tasks, return_exceptions=True)
