"""What consent asks of others: whether the broker is there, and after a restore what intake has handed out."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import msgspec
from confluent_kafka import KafkaException

from services.consent import store
from services.consent.domain import permits
from services.consent.domain.facts import Context, Released
from services.consent.handlers import PERSON, carry_out, everyone, situation
from shared.contracts.envelope import Channel
from shared.runtime.errors import Unavailable
from shared.runtime.restoration import CatchingUp
from shared.runtime.service import Service
from shared.runtime.work import Work

log = logging.getLogger(__name__)

LISTEN_SECONDS = 2.0
CONNECTING_SECONDS = 0.1
BATCH = 200
OK = 200


class Release(msgspec.Struct, frozen=True):
    """One release as intake lists it. Of one in doubt nobody knows yet how long it can be used, nor by which channel."""

    permit: str
    person: str
    case: str
    agency: str
    handed_out_at: datetime
    channel: Channel | None = None
    fence: int = 0
    use_by: datetime | None = None


class Releases(msgspec.Struct, frozen=True):
    """A page of releases; `next` is the cursor to go on with, None at the end."""

    releases: tuple[Release, ...]
    next: str | None = None


# --- the broker


async def listen(service: Service) -> None:
    """Note every two seconds that the broker is there and our consumer with it.

    While that note is old, a pause or a claim may be on its way without our knowing, and nobody may be contacted. Once
    the consumer is connected it is made at once: a service that has just started refuses no longer than it must.
    """
    while True:
        if service.consumer is None or not service.consumer.connected:
            await asyncio.sleep(CONNECTING_SECONDS)
            continue
        try:
            await service.topics.ids(list(service.consumes))
            await service.transact(_heard)
        except (KafkaException, OSError, TimeoutError) as error:
            log.warning("the broker is not heard", extra={"error": type(error).__name__})
        await asyncio.sleep(LISTEN_SECONDS)


async def _heard(work: Work) -> None:
    await work.execute("UPDATE door SET heard_at = clock_timestamp()")


# --- after a restore


async def close_the_door(service: Service) -> None:
    """This database came back from a copy: no permit is granted until what intake has handed out is known here too."""
    await service.transact(_close)


async def _close(work: Work) -> None:
    await work.execute("UPDATE door SET restored = true, releases_after = NULL")


async def open_again(service: Service) -> None:
    """Reconcile a restored database: learn of releases, forget unredeemed permits, catch up with the topics; then open."""
    catching_up: CatchingUp | None = None
    while True:
        if not await service.transact(store.is_closed):
            catching_up = None
        else:
            # Noted only now that the door is seen to be closed: what was forgotten is in the topics since before that.
            catching_up = catching_up or CatchingUp(service)
            await catching_up.note()
            await _reconcile(service, catching_up)
        await asyncio.sleep(LISTEN_SECONDS)


async def _reconcile(service: Service, catching_up: CatchingUp) -> None:
    cursor = await service.transact(_cursor)
    while True:
        try:
            page = await releases_after(service, cursor)
        except Unavailable as error:
            # Nothing to begin anew for: what there is to catch up with would be more each time.
            log.warning("still closed after a restore: %s", error)
            return
        for release in page.releases:
            await service.transact(_learn, release)
        if page.next is None or page.next == cursor:
            break
        cursor = page.next
        await service.transact(_move_cursor, cursor)
    # Only now: a permit that was handed out has become an attempt. Told as revoked, it would let go of the telephone that it
    # has claimed, while its holder can still ring.
    while await service.transact(_forget_permits):
        pass
    if service.consumer is not None and service.consumer.connected and await catching_up.done():
        await service.transact(_open)
        log.warning("reconciled after a restore; permits are granted again")


async def releases_after(service: Service, cursor: str | None) -> Releases:
    """Return the releases after a cursor. Raises Unavailable."""
    answer = await service.call("intake", "GET", "/v1/releases", params={"after": cursor} if cursor else {})
    if answer.status_code != OK:
        message = f"intake answered {answer.status_code} about its releases"
        raise Unavailable(message)
    try:
        return msgspec.json.decode(answer.content, type=Releases)
    except msgspec.DecodeError as error:
        raise Unavailable("intake's releases cannot be read") from error


async def _forget_permits(work: Work) -> int:
    people = await store.granted_people(work, BATCH)
    await work.lock(*everyone(*people))
    decisions = [carry_out(work, permits.forget_unredeemed(situation(work), person)) for person in people]
    return sum(len(decision.changes) for decision in decisions)


async def _learn(work: Work, release: Release) -> None:
    await work.lock((PERSON, release.person))
    known = await store.permit_of(work, release.permit)
    if known is not None and (known.status == "redeemed" or known.how in {"attempted", "not_made"}):
        return
    found = Released(
        release.permit,
        release.person,
        release.case,
        release.agency,
        release.channel or "phone",
        release.handed_out_at,
        release.fence,
        release.use_by,
    )
    carry_out(work, permits.find_released(situation(work), found, Context(work.now)))


async def _cursor(work: Work) -> str | None:
    cursor: str | None = await work.fetchval("SELECT releases_after FROM door")
    return cursor


async def _move_cursor(work: Work, cursor: str) -> None:
    await work.execute("UPDATE door SET releases_after = $1", cursor)


async def _open(work: Work) -> None:
    await work.execute("UPDATE door SET restored = false, releases_after = NULL")
