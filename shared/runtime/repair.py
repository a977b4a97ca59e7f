"""Closing gaps: what a key is missing is asked of the service that owns the topic."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import BadMessage, Unavailable, UnknownEvent
from shared.runtime.inbox import Incoming
from shared.runtime.quarantine import Exits
from shared.runtime.settings import OWNERS
from shared.runtime.wire import decode

if TYPE_CHECKING:
    from shared.runtime.service import Service

log = logging.getLogger(__name__)

# Events overtake each other by milliseconds: ask only for what stays missing.
PATIENCE = timedelta(seconds=1)
ALARM = timedelta(minutes=1)
# Seconds between two looks: while keys are held, and while none is (what another process holds may wait for that long).
BUSY = 0.5
IDLE = 3.0


def source_of(service: Service) -> Callable[[str, str, int], Awaitable[Sequence[Incoming]]]:
    """Return the function that fetches a key's events after a sequence from the journal of the topic's owner."""

    async def fetch(topic: str, key: str, after: int) -> Sequence[Incoming]:
        answer = await service.call(
            OWNERS[topic], "GET", f"/v1/journal/{topic}/{key}", params={"after": after}
        )
        if answer.status_code != 200:  # noqa: PLR2004 - HTTP
            raise Unavailable(f"the journal of {topic} refused")
        found = []
        for entry in answer.json()["events"]:
            value = entry["data"].encode()
            headers = [(name, text.encode()) for name, text in entry["headers"]]
            try:
                found.append(Incoming(topic, decode(key.encode(), headers, value), value))
            except (BadMessage, UnknownEvent):
                log.exception(
                    "the source's journal holds an event that this release cannot read",
                    extra={"topic": topic, "key": key},
                )
                break
        return found

    return fetch


async def repair_held_keys(exits: Exits) -> None:
    """Work off held keys for ever: first those whose next event has arrived meanwhile, then those with a gap."""
    while True:
        pause = IDLE
        exits.held.clear()
        try:
            for key, since in await exits.held_keys():
                pause = BUSY
                age = datetime.now(UTC) - since if since else PATIENCE
                if age >= ALARM:
                    extra = {"topic": key[0], "key": key[1], "seconds": int(age.total_seconds())}
                    log.error("an event has been missing for over a minute", extra=extra)
                if age >= PATIENCE:
                    await exits.work_off(key)
        except (Unavailable, *INFRASTRUCTURE) as error:
            log.warning("repair waits", extra={"error": type(error).__name__})
            pause = BUSY
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await exits.held.wait()
                # What has only just begun to wait is left its time to come by itself.
                await asyncio.sleep(BUSY)
