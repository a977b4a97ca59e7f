"""Sending a message to a person, at most once.

The order is the whole of it:

1. the message's row takes the permit's place (a unique index), committed;
2. one process claims it and redeems the permit at intake, with no transaction open: the details are now in its memory only;
3. `message.sending` is committed: from here on nobody may send it again;
4. the provider tests the deadline and writes;
5. the end is committed, and with it what consent is owed; a loop tells consent until it answers.

Killed before 3: nothing was sent, for certain, and nobody has the details any more: not made. Killed after 3: the provider
may have it or not: unknown, and a person finds out. In no case is it sent again, because a release is handed out once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from asyncpg import Record

from services.notifications import gateways, store
from services.notifications.domain import message
from services.notifications.domain.message import Result
from services.notifications.gateways import Holder, Refused, Release
from services.notifications.messages import rows, words
from services.notifications.messages.providers import (
    Deadline,
    FileProvider,
    Outgoing,
    Provider,
    mail_provider,
)
from services.notifications.messages.reach import Reach
from services.notifications.messages.rows import StepRow
from services.notifications.messages.words import Wanted
from services.notifications.settings import Settings
from services.notifications.store import ANY, MESSAGE, Bell, rung
from shared.contracts.envelope import Channel, Payload
from shared.contracts.notifications import MessageAccepted
from shared.runtime import crash
from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem, not_found
from shared.runtime.service import Service
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

log = logging.getLogger(__name__)

_messages = counter("messages", "messages to people, by how they ended")
# Messages that are being sent in this process: kept, because the event loop itself holds tasks only weakly.
_SENDING: set[asyncio.Task[None]] = set()
# After these answers the permit is not redeemed, and the holder may ask again.
AGAIN = frozenset({"behind"})
# Rung when consent is owed something new, in this process.
OWED = Bell()
OWED_POLL = 1.0
ABANDONED_POLL = 10.0


def providers(settings: Settings) -> dict[Channel, Provider]:
    """Return who carries which channel."""
    files = FileProvider(settings.sink)
    return {"email": mail_provider(settings), "letter": files, "text": files}


# --------------------------------------------------------------------------------------------- 1. the permit's place


async def accept(work: Work, wanted: rows.NewMessage) -> str | None:
    """Take a message on and return its id, or that of the same one asked for before; None if the permit is taken."""
    await work.lock((MESSAGE, wanted.message_id))
    known = await rows.of_permit(work, wanted.permit)
    if known is not None:
        same = (known["agency"], known["template"], known["language"], known["fence"])
        if same == (wanted.agency, wanted.template, wanted.language, wanted.fence):
            return str(known["message_id"])
        return None
    accepted = MessageAccepted(
        permit=wanted.permit,
        fence=wanted.fence,
        agency=wanted.agency,
        template=wanted.template,
        language=wanted.language,
        worker=wanted.worker,
    )
    work.record(MESSAGE, wanted.message_id, *message.accept(work.state(MESSAGE, wanted.message_id), accepted))
    work.write(rows.insert, (wanted, work.now))
    return wanted.message_id


# ------------------------------------------------------------------------------------------------- 2. the release


async def redeem_and_send(service: Service, settings: Settings, message_id: str) -> Refused | None:
    """Redeem the permit of an accepted message and begin to send it; return the refusal, if there is one.

    Raises Unavailable if consent or intake does not answer: the holder may ask again.
    """
    claimant = new_id()
    row = await service.transact(_claim, message_id, claimant)
    if row is None:
        return None  # somebody else has it in hand, or it has ended
    holder = Holder(row["permit"], row["fence"], row["agency"], row["worker"])
    try:
        found = await _redeem(service, settings, holder, row["template"])
    except Unavailable:
        await service.transact(rows.unclaim, message_id, claimant)
        raise
    if isinstance(found, Refused):
        await service.transact(_refused, message_id, claimant, found)
        return found
    released, name, link, reach = found
    wanted = Wanted(row["template"], row["language"], name, link, reach)
    sending = asyncio.create_task(_send(service, settings, Taken(message_id, claimant, wanted), released))
    _SENDING.add(sending)
    sending.add_done_callback(_done)
    return None


async def _redeem(
    service: Service, settings: Settings, holder: Holder, template: str
) -> tuple[Release, str, str, Reach] | Refused:
    """Return the details, who signs, the link to withdraw and how to answer. What can fail without it fails before."""
    fact = await gateways.permit(service, holder.permit)
    # Intake trusts us to present a permit for nobody but its holder, or whoever has taken the holder's place.
    if fact is None or not await store.is_or_was(service.pool, holder.agency, fact.agency):
        return _refusal(not_found("permit"))
    signature = await service.transact(rows.signature, holder.agency, fact.case)
    if signature is None:
        # A person would be written to in the name of somebody who is there no more, and answer nobody.
        title = "Your agency is not active any more, or another has taken its place."
        detail = "Nothing was redeemed. Its successor can send the message, with this permit."
        return _refusal(Problem(409, "agency-ended", title, detail=detail))
    if fact.channel not in providers(settings):
        title = "This permit's channel is not one that messages are sent by."
        return _refusal(
            Problem(409, "no-such-channel", title, detail="Nothing was redeemed: use it yourself.")
        )
    if fact.purpose != template:
        # An invitation under a permit for feedback would be a second approach to somebody who has answered the first.
        title = f"These words are not for a permit whose purpose is {fact.purpose}."
        detail = "Nothing was redeemed. The template `approach` is for an approach, `feedback` for feedback."
        return _refusal(Problem(409, "template-not-for-purpose", title, detail=detail))
    link = await gateways.withdrawal_link(service, fact)
    released = await gateways.release(service, holder)
    if isinstance(released, Refused):
        return released
    name, reach = signature
    return released, name, link, reach


def _refusal(problem: Problem) -> Refused:
    return Refused(problem.kind, problem.status, problem.body())


def _done(task: asyncio.Task[None]) -> None:
    _SENDING.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        # The loop of the abandoned will settle the message. The text of the error may quote details: only its type is told.
        log.error("a message could not be concluded", extra={"error": type(error).__name__})


async def _claim(work: Work, message_id: str, claimant: str) -> Record | None:
    await work.lock()
    return await rows.claim(work, message_id, claimant)


async def _refused(work: Work, message_id: str, claimant: str, refused: Refused) -> None:
    await work.lock((MESSAGE, message_id))
    if not await rows.holds(work, message_id, claimant):
        return
    if refused.kind in AGAIN or refused.status == 429:  # noqa: PLR2004 - HTTP
        await rows.unclaim(work, message_id, claimant)
        return
    # It was never redeemed, or by the holder itself for an attempt of its own: consent is told nothing by us. (If it was an
    # earlier try of ours whose answer was lost, its outcome becomes overdue, and the hub is told.)
    decided = message.conclude(work.state(MESSAGE, message_id), Result("not_made", refused.kind))
    _conclude(work, message_id, decided, owes=False)


# ---------------------------------------------------------------------------------------------------- 3. to 5.


@dataclass(frozen=True)
class Taken:
    """A message in the hands of this process."""

    message_id: str
    claimant: str
    wanted: Wanted


async def _send(service: Service, settings: Settings, taken: Taken, released: Release) -> None:
    provider = providers(settings).get(released.channel)
    outgoing = _compose(taken, released)
    if provider is None or isinstance(outgoing, str):
        reason = outgoing if isinstance(outgoing, str) else "no-such-channel"
        result = Result("not_made", reason, released.channel)
    else:
        # Read before the transaction reads the database's clock: so the deadline can only be too early.
        pinned = time.monotonic()
        now = await service.transact(_begin, taken, released.channel, provider.name)
        if now is None:
            return  # somebody concluded that we had died
        left = released.use_by - now - timedelta(seconds=settings.use_by_margin_seconds)
        if crash.ARMED:
            crash.reach("before_call", f"provider {released.channel}")
        result = await provider.send(outgoing, Deadline(pinned + left.total_seconds()))
        if crash.ARMED:
            crash.reach("after_call", f"provider {released.channel}")
    await _persist(service, taken.message_id, result)


def _compose(taken: Taken, released: Release) -> Outgoing | str:
    """Return the message, or why there is none: a code."""
    to = words.destination(released)
    if to is None:
        return "no-own-point" if released.phones or released.emails else "no-such-channel"
    language = words.spoken(taken.wanted, released)
    if language is None:
        return "no-such-language"
    subject, text = words.render(taken.wanted, released, language)
    reply_to = taken.wanted.reach.desk.email or ""
    form = released.safe_contact.accessible_format or ""
    return Outgoing(taken.message_id, released.channel, to, subject, text, reply_to, form)


async def _begin(work: Work, taken: Taken, channel: Channel, provider: str) -> datetime | None:
    """Commit that the write begins; None if the message is no longer ours."""
    await work.lock((MESSAGE, taken.message_id))
    if not await rows.holds(work, taken.message_id, taken.claimant):
        return None
    decided = message.start(work.state(MESSAGE, taken.message_id), channel, provider)
    if not decided:
        return None
    work.record(MESSAGE, taken.message_id, *decided)
    work.write(rows.save_steps, StepRow(taken.message_id, "sending", work.now, channel, provider))
    return work.now


async def _persist(service: Service, message_id: str, result: Result) -> None:
    """Commit the end, for as long as the database is away: forgetting a success would make it unknown for ever."""
    while True:
        try:
            await service.transact(_end, message_id, result)
        except Unavailable:
            await asyncio.sleep(1)
        else:
            return


async def _end(work: Work, message_id: str, result: Result) -> None:
    await work.lock((MESSAGE, message_id))
    _conclude(work, message_id, message.conclude(work.state(MESSAGE, message_id), result), owes=True)


def _conclude(work: Work, message_id: str, decided: Sequence[Payload], *, owes: bool) -> None:
    """Record the end of a message, and what consent is owed of it."""
    if not decided:
        return
    work.record(MESSAGE, message_id, *decided)
    state = work.state(MESSAGE, message_id)
    outcome = message.OUTCOMES[state.step] if owes else None
    row = StepRow(
        message_id, state.step, work.now, state.channel, state.provider or None, state.reason or None, outcome
    )
    work.write(rows.save_steps, row)
    work.after_commit(partial(OWED.ring, ()))
    _messages.add(1, {"how": state.step})


# -------------------------------------------------------------------------------------- after a crash, and consent


async def settle_abandoned(service: Service) -> None:
    """Loop: conclude messages whose sender died."""
    while True:
        for message_id in await service.transact(_abandoned):
            await service.transact(abandon, message_id)
        await asyncio.sleep(ABANDONED_POLL)


async def _abandoned(work: Work) -> list[str]:
    await work.lock()
    return await rows.abandoned(work)


async def abandon(work: Work, message_id: str) -> None:
    """Conclude one: not made if it was certainly not sent, else unknown. Never sent again.

    Even when it was not sent, consent is told `unknown`: whether the permit had been redeemed, and by whom, died with the
    sender, and `not_made` would free a permit that its holder may be using.
    """
    await work.lock((MESSAGE, message_id))
    decided = message.interrupted(work.state(MESSAGE, message_id))
    _conclude(work, message_id, decided, owes=True)
    if decided and work.state(MESSAGE, message_id).step == "not_made":
        work.write(rows.owe, (message_id, "unknown", work.now))


async def tell_outcomes(service: Service) -> None:
    """Loop: tell consent what became of messages, until it has answered."""
    with OWED.listening(ANY) as more:
        while True:
            more.clear()
            due = await _due(service)
            await asyncio.gather(*(_tell(service, row) for row in due))
            if not due:
                await rung(more, OWED_POLL)


async def _due(service: Service) -> list[Record]:
    if not await service.pool.fetchval(rows.SOMETHING_OWED):
        return []
    return await service.transact(_owed)


async def _owed(work: Work) -> list[Record]:
    await work.lock()
    return await rows.owed(work, 20)


async def _tell(service: Service, row: Record) -> None:
    holder = Holder(row["permit"], row["fence"], row["agency"], row["worker"])
    try:
        status = await gateways.tell_outcome(service, holder, row["outcome"])
    except Unavailable:
        status = 503
    await service.transact(_told, row["message_id"], row["outcome"], status, row["outcome_tries"])


async def _told(work: Work, message_id: str, outcome: str, status: int, tries: int) -> None:
    await work.lock()
    if status == 200:  # noqa: PLR2004 - HTTP
        work.write(rows.outcome_told, (message_id, "told", None))
    elif status in {401, 403, 408, 425, 429} or status >= 500:  # noqa: PLR2004 - HTTP
        # 403 too: a token's scope is put right by an operator, and the outcome must not have been dropped by then.
        work.write(rows.outcome_told, (message_id, "owed", work.now + timedelta(seconds=min(2**tries, 300))))
    elif status == 409 and outcome == "not_made":  # noqa: PLR2004 - HTTP
        # Too late to give the permit back: then it counts as an attempt, and a person resolves it.
        work.write(rows.owe, (message_id, "unknown", work.now))
    else:
        log.error("consent refused an outcome", extra={"message_id": message_id, "status": status})
        work.write(rows.outcome_told, (message_id, "refused", None))
