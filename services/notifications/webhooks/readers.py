"""Where a subscription's deliveries go, by its URL: a webhook, an e-mail to a desk, or the agency's own topic on the broker.

All three read the same feed and are told the same: that a case changed, and the number of the entry that says how. Whoever
wants to know more asks, and is answered what it may know by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.notifications.domain.subscription import MAIL
from services.notifications.messages.providers import Deadline, Outgoing, mail_provider
from services.notifications.settings import Settings
from services.notifications.webhooks import confirmations
from services.notifications.webhooks import send as webhook
from services.notifications.webhooks.guard import Forbidden
from services.notifications.webhooks.guard import check as check_address
from services.notifications.webhooks.rows import Claimed
from services.notifications.webhooks.secrets import Vault
from services.notifications.webhooks.send import Sent
from shared.runtime.topics import Broker

TOPIC: Final = "kafka:cases"
MAIL_SECONDS: Final = 30
TOPIC_SECONDS: Final = 15
# One mailbox, and nothing that could be read as a header or as a second address.
_MAILBOX: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


def topic_of(agency: str) -> str:
    """Return the name of the topic that is an agency's own. Its ACL lets that agency read it, and nobody else."""
    return f"agency.{agency}.cases"


def check(url: str, *, development: bool) -> None:
    """Check where deliveries are to go. Raises Forbidden with what is wrong and the remedy."""
    if url.startswith(MAIL):
        if not _MAILBOX.fullmatch(unquote(url.removeprefix(MAIL))):
            raise Forbidden("not one e-mail address; write mailto:desk@agency.example")
    elif url.startswith("kafka:"):
        if url != TOPIC:
            raise Forbidden(f"not a topic; write {TOPIC} for your agency's own")
    else:
        check_address(url, development=development)


@dataclass
class Readers:
    """The clients that deliveries are sent with. The broker's is connected when the first delivery wants it."""

    settings: Settings
    broker: Broker
    vault: Vault
    http: httpx.AsyncClient = field(default_factory=webhook.client)
    _producer: AIOKafkaProducer | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        await self.http.aclose()
        if self._producer is not None:
            with contextlib.suppress(KafkaError, OSError):
                await self._producer.stop()

    async def send(self, delivery: Claimed, secret: bytes) -> Sent:
        """Send one delivery to where its subscription says. Never raises for what the other side does."""
        if delivery.number < 0:
            return await self._ask(delivery)
        if delivery.url.startswith(MAIL):
            return await self._mail(delivery)
        if delivery.url == TOPIC:
            return await self._publish(delivery)
        return await webhook.send(self.http, delivery, secret, development=self.settings.development)

    async def _ask(self, delivery: Claimed) -> Sent:
        """Ask a mailbox whether it will be told.

        Whoever has not agreed gets one message: it is not sent again where it may have come, or was refused for good. The
        agency sees that, and can have another sent.
        """
        outgoing = confirmations.message(self.settings, self.vault, delivery)
        ended = await mail_provider(self.settings).send(outgoing, Deadline(time.monotonic() + MAIL_SECONDS))
        if ended.step == "sent":
            return Sent()
        reason = ended.reason or ""
        refused = reason == "address-malformed" or reason.startswith("smtp-5")
        return Sent(ended.reason, final=refused or ended.step == "unknown")

    async def _mail(self, delivery: Claimed) -> Sent:
        what = f"Case {delivery.case} has changed." if delivery.case else "Your feed has a new entry."
        subject = "a case has changed" if delivery.case else "a new entry"
        where = f"Entry {delivery.number} of your feed says how. Sign in, or read the feed, to see it."
        if delivery.number == 0:
            what, where, subject = "This is the test that you asked for.", "Nothing has changed.", "a test"
        text = (
            f"{what}\n\n{where}\n"
            "This message says nothing about any person, and nobody reads answers to it.\n"
        )
        # Sent again after an unknown end: a notice that comes twice, under one Message-ID, harms nobody.
        outgoing = Outgoing(
            delivery.id,
            "email",
            unquote(delivery.url.removeprefix(MAIL)),
            f"Onefriend: {subject}",
            text,
        )
        ended = await mail_provider(self.settings).send(outgoing, Deadline(time.monotonic() + MAIL_SECONDS))
        return (
            Sent() if ended.step == "sent" else Sent(ended.reason, final=ended.reason == "address-malformed")
        )

    async def _publish(self, delivery: Claimed) -> Sent:
        """Publish under the case's id: what is told of one case is read in order."""
        headers = [("webhook-id", delivery.id.encode())]
        if delivery.trace:
            headers.append(("traceparent", delivery.trace.encode()))
        try:
            async with asyncio.timeout(TOPIC_SECONDS):
                producer = await self._connected()
                await producer.send_and_wait(
                    self.broker.topic(topic_of(delivery.agency)),
                    key=delivery.case.encode() or None,
                    value=webhook.body_of(delivery, datetime.now(UTC)),
                    headers=headers,
                )
        except TimeoutError:
            return Sent("topic-timeout")
        except (KafkaError, OSError) as error:
            return Sent(f"topic-{type(error).__name__}"[:64])
        return Sent()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self.broker.for_aiokafka(),
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=10_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
