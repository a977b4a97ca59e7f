"""Whether a process that runs still answers: what hangs does not die, and nobody would start it again.

Counted are questions in a row that got no answer, each after the full time between two; not the time that has passed. A
machine that slept, was stopped, or is too busy to let the asker itself run has not given the service its time to answer:
then the count begins anew.
"""

import asyncio
from time import monotonic

import httpx

ASKED_EVERY = 5.0  # seconds
ANSWERS_WITHIN = 4.0
SILENT = 6  # questions in a row: about half a minute
LATE = 2.0  # seconds beyond its time after which the asker itself was kept from running


async def hangs(base: str) -> None:
    """Return once a service at this URL, having answered, answers nothing any more. Until it has, it is starting."""
    silent: int | None = None
    async with httpx.AsyncClient() as http:
        while silent is None or silent < SILENT:
            began = monotonic()
            answered = await _answers(http, base)
            await asyncio.sleep(ASKED_EVERY - (monotonic() - began))
            in_time = monotonic() - began < ASKED_EVERY + LATE
            if answered:
                silent = 0
            elif silent is not None:
                silent = silent + 1 if in_time else 0


async def _answers(http: httpx.AsyncClient, base: str) -> bool:
    """Whether it says anything at all: an error is an answer too."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await http.get(f"{base}/livez")
    except (TimeoutError, httpx.HTTPError):
        return False
    return True
