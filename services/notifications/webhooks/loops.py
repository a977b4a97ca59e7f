"""The two loops of deliveries: taking entries from feeds into lanes, and sending what is due."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from asyncpg import Record
from cryptography.exceptions import InvalidTag

from services.notifications import store
from services.notifications.domain import LaneState, lane
from services.notifications.settings import Settings
from services.notifications.store import LANE
from services.notifications.webhooks import rows
from services.notifications.webhooks.readers import Readers
from services.notifications.webhooks.rows import Claimed, Settled
from services.notifications.webhooks.secrets import Vault, open_vault
from services.notifications.webhooks.send import Sent
from shared.contracts.notifications import DeliveryFailed, DeliverySucceeded
from shared.runtime.service import Service
from shared.runtime.telemetry import counter, span
from shared.runtime.work import Work

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
TAKEN_AT_ONCE = 500
SENT_AT_ONCE = 64
# What is taken at once, and from which number on an agency has enough in hand: so one whose endpoint hangs keeps fewer than
# twice as many places, and delays nobody else's deliveries.
OF_ONE_AGENCY = 4

_deliveries = counter("deliveries", "tries to deliver an entry, by how they ended")


def settings_of(service: Service) -> Settings:
    """Return the settings with this service's own fields."""
    assert isinstance(service.settings, Settings)  # noqa: S101 - `build` made it so
    return service.settings


def vault_of(service: Service) -> Vault:
    """Return the vault of the webhook secrets; a development stack makes its key when it is missing."""
    settings = settings_of(service)
    return open_vault(settings.key_file, create=settings.development)


# ----------------------------------------------------------------------------------------- from feed to lane


async def take_entries(service: Service) -> None:
    """Loop: move each subscription's cursor along its agency's feed."""
    with store.BELL.listening(store.ANY) as grown:
        while True:
            grown.clear()
            behind = await service.pool.fetch(rows.BEHIND)
            for row in behind:
                await service.transact(take, row["subscription_id"])
            if not behind:
                await store.rung(grown, POLL_SECONDS)


async def take(work: Work, subscription: str) -> None:
    """Make deliveries of the next entries, each at the end of its lane."""
    row = await rows.held(work, subscription)
    if row is None or not row["active"]:
        return
    found = await rows.entries(work, row["agency"], row["taken"], TAKEN_AT_ONCE)
    if not found:
        return
    kinds = frozenset(row["kinds"])
    wanted = [entry for entry in found if not kinds or entry["kind"] in kinds]
    lanes = [lane.lane_id(subscription, entry["case_id"] or None) for entry in wanted]
    await work.lock(*((LANE, name) for name in dict.fromkeys(lanes)))
    for entry, name in zip(wanted, lanes, strict=True):
        # In a replay the cursor comes by an entry that had failed: that is a redrive of it.
        work.record(LANE, name, *lane.redrive(work.state(LANE, name), subscription, entry["number"]))
        work.write(rows.add, (subscription, entry["number"], name, entry["case_id"], entry["kind"], work.now))
    work.write(rows.move, (subscription, found[-1]["number"]))


# ------------------------------------------------------------------------------------------ from lane to endpoint


async def send_due(service: Service) -> None:
    """Loop: send what is due, several lanes at once, each lane one by one."""
    vault = vault_of(service)
    running: dict[asyncio.Task[None], str] = {}  # and for which agency
    with store.BELL.listening(store.ANY) as grown:
        async with Readers(settings_of(service), service.broker, vault) as readers:
            try:
                while True:
                    grown.clear()
                    busy = [agency for agency, n in Counter(running.values()).items() if n >= OF_ONE_AGENCY]
                    claimed = await _due(service, min(OF_ONE_AGENCY, SENT_AT_ONCE - len(running)), busy)
                    for delivery in claimed:
                        task = asyncio.create_task(_deliver(service, readers, vault, delivery))
                        running[task] = delivery.agency
                    await _until_something(running, grown, idle=not claimed)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)


async def _until_something(
    running: dict[asyncio.Task[None], str], grown: asyncio.Event, *, idle: bool
) -> None:
    """Wait until there may be more to send: a try ended, a feed grew, some time passed, or a place became free."""
    if len(running) >= SENT_AT_ONCE:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    elif idle:
        waking = asyncio.create_task(store.rung(grown, POLL_SECONDS))
        await asyncio.wait({waking, *running}, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
    for task in [task for task in running if task.done()]:
        del running[task]
        if (error := task.exception()) is not None:
            # The lease brings the delivery back by itself.
            log.warning(
                "delivery could not be settled", extra={"error": type(error).__name__}, exc_info=error
            )


async def _due(service: Service, places: int, busy: list[str]) -> list[Claimed]:
    if not await service.pool.fetchval(rows.SOMETHING_DUE):
        return []
    return await service.transact(_claim, places, busy)


async def _claim(work: Work, places: int, busy: list[str]) -> list[Claimed]:
    await work.lock()
    return await rows.claim(work, places, busy)


async def _deliver(service: Service, readers: Readers, vault: Vault, delivery: Claimed) -> None:
    settings = settings_of(service)
    with span("delivery", delivery.trace):
        if not delivery.allowed:
            ended = None
        else:
            try:
                secret = vault.unlock(delivery.subscription, delivery.secret)
            except InvalidTag:
                ended = Sent("secret-unreadable", final=True)
            else:
                ended = await readers.send(delivery, secret)
        _deliveries.add(1, {"how": "withheld" if ended is None else ended.reason or "taken"})
        jitter = random.random()  # noqa: S311 - jitter, not a secret
        await service.transact(settle, Try(delivery, ended, settings.delivery_attempts, jitter))


@dataclass(frozen=True)
class Try:
    """A try that has ended. `ended` None: it was not sent, because the agency may no longer see it."""

    delivery: Claimed
    ended: Sent | None
    most: int
    jitter: float


async def settle(work: Work, tried: Try) -> None:
    """Record how a try ended, and let the lane go on if it may."""
    delivery, ended = tried.delivery, tried.ended
    await work.lock((LANE, delivery.lane))

    def save(state: str, **more: Any) -> None:  # noqa: ANN401 - the fields of Settled by their names
        settled = Settled(delivery.subscription, delivery.number, delivery.lane, state, work.now, **more)
        work.write(rows.settle, settled)

    if ended is None:
        save("withheld", reason="not-allowed")
        return
    state = await _state(work, delivery)
    attempt = lane.Attempt(
        delivery.subscription, delivery.number, delivery.attempts, ended.reason, final=ended.final
    )
    decided = lane.conclude(state, attempt, tried.most)
    work.record(LANE, delivery.lane, *decided)
    match decided:
        case [DeliverySucceeded()]:
            save("delivered")
        case [DeliveryFailed()]:
            save("failed", reason=ended.reason)
            log.warning("delivery failed", extra={"lane": delivery.lane, "reason": ended.reason})
        case _ if state.failed != delivery.number:
            save("pending", due_at=work.now + lane.wait(delivery.attempts, tried.jitter), reason=ended.reason)
    if ended.reason == "gone":
        # 410 means, by the standard: never again. The agency sees why, and can activate it anew.
        work.write(rows.stop, (delivery.subscription, "gone"))


async def _state(work: Work, delivery: Claimed) -> LaneState:
    """Return a delivery's lane.

    A lane that has given it up, though its row has not, was told so by the topic after a restore of the database: it is
    tried again, or it would be sent for ever, and nothing that came of it be written down.
    """
    state = work.state(LANE, delivery.lane)
    if state.failed == delivery.number:
        row = await rows.one(work, delivery.subscription, delivery.number)
        if row is not None and row["state"] == "pending":
            work.record(LANE, delivery.lane, *lane.redrive(state, delivery.subscription, delivery.number))
    return work.state(LANE, delivery.lane)


async def redrive(work: Work, subscription: str, number: int) -> str | None:
    """Put a failed delivery back at the head of its lane; return the lane, None if it has not failed."""
    await work.lock()
    row = await rows.one(work, subscription, number)
    if row is None or row["state"] != "failed":
        return None
    await work.lock((LANE, row["lane"]))  # begins anew: then the row is read under this lock
    _reopen(work, subscription, number, row)
    return str(row["lane"])


async def redeliver(work: Work, subscription: str, number: int | None, limit: int) -> int:
    """Send again what has failed, or waits for its next try: one delivery or (None) all; return how many."""
    await work.lock()
    found = await rows.again(work, subscription, number, limit)
    await work.lock(*((LANE, name) for name in dict.fromkeys(row["lane"] for row in found)))  # as above
    for row in found:
        _reopen(work, subscription, row["number"], row)
    return len(found)


def _reopen(work: Work, subscription: str, number: int, row: Record) -> None:
    """Make a delivery due. The row decides: after a restore the lane may know from the topic of a redrive that it lost."""
    name = row["lane"]
    work.record(LANE, name, *lane.redrive(work.state(LANE, name), subscription, number))
    anew = row["state"] == "failed"
    work.write(rows.settle, Settled(subscription, number, name, "pending", work.now, work.now, anew=anew))
