"""A mailbox is asked before it is told anything: one message with a signed link, and then silence until somebody agrees.

The link names the subscription and when it ends, and is signed together with the address that it was sent to: given another
address, the subscription has to be confirmed from there. Nothing of it is stored, and it holds no address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal
from urllib.parse import unquote

import asyncpg
import msgspec

from services.notifications import store
from services.notifications.domain import subscription as rules
from services.notifications.domain.subscription import MAIL, UNCONFIRMED, WITHIN, Limits, Standing
from services.notifications.messages.providers import Outgoing
from services.notifications.settings import Settings
from services.notifications.webhooks import rows
from services.notifications.webhooks.rows import CONFIRMATION, Claimed
from services.notifications.webhooks.secrets import Vault
from shared.runtime.problems import Problem
from shared.runtime.work import Connection, Work

_ID: Final = re.compile(r"[0-9a-f-]{36}")
# What a link comes to: not one of ours (any more), too old, good, or good and no longer needed.
Found = Literal["unknown", "expired", "open", "confirmed"]

_TEXT = """{name} has asked Onefriend to tell this mailbox when something changes in its cases. \
Such messages say nothing about any person.

Nothing is sent before somebody who reads this mailbox agrees. To agree, open this page and press the button \
(the link can be used for {days} days):
{link}

If you know nothing of this, do nothing: no notices will come. Nobody reads answers to this message.
"""


# ---------------------------------------------------------------------------------------------------------- asking


def shown(row: asyncpg.Record, days: int) -> dict[str, object] | None:
    """Return how the confirmation of a subscription stands, as its agency sees it; None where none is needed."""
    if not row["url"].startswith(MAIL):
        return None
    if row["confirmed"]:
        return {"state": "confirmed"}
    asked_at = row["asked_at"]
    return {
        "state": UNCONFIRMED,
        "asked_at": asked_at,
        "expires_at": asked_at and asked_at + timedelta(days=days),
        "message": row["asked_state"],
        "problem": row["asked_reason"],
    }


def unconfirmed() -> Problem:
    """Return the refusal of whatever would be sent to a mailbox that has not agreed."""
    return Problem(
        409,
        UNCONFIRMED,
        "The mailbox has not confirmed this subscription.",
        detail="Somebody who reads it must open the link in the message that it was sent, and press the button. "
        "POST /v1/subscriptions/{id}/confirmation sends another.",
    )


@dataclass(frozen=True)
class Question:
    """Which mailbox is to be asked for which subscription, which asked `asked` times before, the last at `last`."""

    subscription: str
    agency: str
    url: str
    asked: int = 0
    last: datetime | None = None


async def ask(work: Work, vault: Vault, limits: Limits, question: Question) -> None:
    """Have a mailbox asked. Raises Problem 429 with Retry-After if that has been too often."""
    mailbox = vault.tag("mailbox", unquote(question.url).lower().encode())
    of_mailbox, of_agency = await _times(work, question.agency, mailbox, limits)
    wait = rules.wait(work.now, question.last, of_mailbox, of_agency, limits)
    if wait:
        raise Problem(
            429,
            "too-often",
            "Confirmations have been asked for too often.",
            detail="Wait as long as Retry-After says. Look meanwhile for the message where mail of no interest is kept, "
            "and whether the address is spelt right.",
            headers={"Retry-After": str(math.ceil(wait.total_seconds()))},
        )
    work.write(_write_asked, (question.subscription, question.asked + 1, mailbox, question.agency, work.now))
    work.after_commit(partial(store.BELL.ring, ()))


async def _times(
    work: Work, agency: str, mailbox: bytes, limits: Limits
) -> tuple[Sequence[datetime], Sequence[datetime]]:
    """Return when the mailbox was asked of late, and when the agency asked any, the newest first."""
    # Nobody else counts and asks meanwhile: two at once would both be the last that is allowed.
    await work.execute("SELECT pg_advisory_xact_lock(hashtextextended('confirmations', 5))")
    since = work.now - WITHIN
    of_mailbox = await work.fetch(
        "SELECT at FROM confirmation_asked WHERE mailbox = $1 AND at > $2 ORDER BY at DESC LIMIT $3",
        mailbox,
        since,
        limits.to_a_mailbox,
    )
    of_agency = await work.fetch(
        "SELECT at FROM confirmation_asked WHERE agency = $1 AND at > $2 ORDER BY at DESC LIMIT $3",
        agency,
        since,
        limits.of_an_agency,
    )
    return [row["at"] for row in of_mailbox], [row["at"] for row in of_agency]


async def _write_asked(connection: Connection, asked: list[tuple[str, int, bytes, str, datetime]]) -> None:
    """Write (subscription, how often it has now asked, mailbox's hash, agency, now), and a delivery of the message."""
    await connection.execute("DELETE FROM confirmation_asked WHERE at <= $1", asked[0][4] - WITHIN)
    await connection.executemany(
        "INSERT INTO confirmation_asked (mailbox, agency, at) VALUES ($1, $2, $3)", [row[2:] for row in asked]
    )
    await connection.executemany(
        "UPDATE subscription SET asked = $2, asked_at = $3 WHERE subscription_id = $1",
        [(row[0], row[1], row[4]) for row in asked],
    )
    await rows.add(
        connection, [(row[0], -row[1], f"{row[0]}.confirmation", "", CONFIRMATION, row[4]) for row in asked]
    )


# --------------------------------------------------------------------------------------------------------- the link


@dataclass(frozen=True)
class Link:
    """A link that somebody opened. Whether we made it is known once the subscription's address is."""

    subscription: str
    expires: int
    payload: bytes
    signature: bytes


def make_token(vault: Vault, subscription: str, url: str, expires: datetime) -> str:
    """Return the signed end of a link: the subscription's id and an end, nothing else."""
    payload = msgspec.json.encode([subscription, int(expires.timestamp())])
    return f"{_b64(payload)}.{_b64(_signature(vault, payload, url))}"


def read_token(token: str) -> Link | None:
    """Return what a token says, None if it says nothing."""
    try:
        payload, signature = (
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
        )
        subscription, expires = msgspec.json.decode(payload, type=tuple[str, int])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    return Link(subscription, expires, payload, signature) if _ID.fullmatch(subscription) else None


def _signature(vault: Vault, payload: bytes, url: str) -> bytes:
    return vault.tag("confirmation", payload + b"\n" + url.encode())


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def message(settings: Settings, vault: Vault, delivery: Claimed) -> Outgoing:
    """Return the message that asks. The same at every try; a later one has another Message-ID, and is not taken for it."""
    days = settings.confirmation_days
    assert delivery.asked_at is not None  # noqa: S101 - a confirmation was asked for
    token = make_token(vault, delivery.subscription, delivery.url, delivery.asked_at + timedelta(days=days))
    link = f"{settings.base}/v1/subscriptions/link/{token}"
    return Outgoing(
        f"{delivery.subscription}-{delivery.number}",
        "email",
        unquote(delivery.url.removeprefix(MAIL)),
        "Onefriend: may this mailbox be told of changes?",
        _TEXT.format(name=" ".join(delivery.name.split()), days=days, link=link),
    )


# ------------------------------------------------------------------------------------------------------- confirming


async def look(work: Work, vault: Vault, token: str) -> tuple[Found, str]:
    """Return what a link comes to, and the agency's name; nothing changes."""
    found, row = await _find(work, vault, token)
    return found, await _name(work, row)


async def confirm(work: Work, vault: Vault, token: str) -> tuple[Found, str]:
    """Confirm by a link, and return what it came to: `confirmed`, also the second time, or `unknown`, or `expired`."""
    found, row = await _find(work, vault, token)
    if found == "open" and row is not None:
        before = Standing(row["url"], row["active"], row["reason"], row["confirmed"])
        work.write(_write_confirmed, (row["subscription_id"], rules.confirm(before)))
        work.after_commit(partial(store.BELL.ring, ()))
        found = "confirmed"
    return found, await _name(work, row)


async def _find(work: Work, vault: Vault, token: str) -> tuple[Found, asyncpg.Record | None]:
    await work.lock()
    link = read_token(token)
    row = await rows.held(work, link.subscription) if link else None
    if link is None or row is None:
        return "unknown", None
    if not hmac.compare_digest(link.signature, _signature(vault, link.payload, row["url"])):
        return "unknown", None
    if row["confirmed"]:
        return "confirmed", row
    return "open" if work.now.timestamp() < link.expires else "expired", row


async def _name(work: Work, row: asyncpg.Record | None) -> str:
    """Return the name by which people know the subscription's agency."""
    if row is None:
        return ""
    name = await work.fetchval("SELECT name FROM agency WHERE agency = $1", row["agency"])
    return str(name or row["agency"])


async def _write_confirmed(connection: Connection, confirmed: list[tuple[str, Standing]]) -> None:
    await connection.executemany(
        """UPDATE subscription SET active = $2, reason = $3, confirmed = $4, version = version + 1
        WHERE subscription_id = $1""",
        [(key, s.active, s.reason, s.confirmed) for key, s in confirmed],
    )
