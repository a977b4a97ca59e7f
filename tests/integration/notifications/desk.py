"""An agency's mailbox behind a real SMTP server, and whoever reads it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.integration.notifications.conftest import World
from tests.support.running import free_port, until
from tests.support.tokens import bearer

LINK = re.compile(r"https?://\S+(/v1/subscriptions/link/\S+)")
ASKS = "may this mailbox be told"


@dataclass
class Desk:
    """A real SMTP server; `answer` is what it says to a message. `asked`: the messages that ask it to confirm."""

    port: int
    answer: str = "250 taken"
    mails: list[Envelope] = field(default_factory=list)
    asked: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        asks = ASKS in str(opened(envelope)["Subject"])
        (self.asked if asks else self.mails).append(envelope)
        return self.answer

    def cleared(self) -> Desk:
        """Forget what came, and take what comes."""
        self.mails.clear()
        self.asked.clear()
        self.answer = "250 taken"
        return self


def opened(mail: Envelope) -> EmailMessage:
    """Return the message in an envelope."""
    message = message_from_bytes(mail.content or b"", policy=default)  # type: ignore[arg-type]
    assert isinstance(message, EmailMessage)
    return message


def link_in(mail: Envelope) -> str:
    """Return the path of the link in a message that asks."""
    found = LINK.search(str(opened(mail).get_content()))
    assert found, "no link"
    return found[1]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Desk]:
    """Run a mail server until the block ends."""
    desk = Desk(free_port())
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(desk, hostname="127.0.0.1", port=desk.port, loop=loop)
    controller.server = await controller._create_server()
    yield desk
    controller.server.close()
    await controller.server.wait_closed()


async def subscribe(
    world: World, url: str, status: int = 201, *, agency: str = "beacon", key: str = ""
) -> str:
    """Subscribe; return the answer."""
    headers = bearer(agency, "subscribe") | {"Idempotency-Key": f'"{key or url}"'}
    answer = await world.http.post("/v1/subscriptions", json={"url": url}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.text


async def agree(world: World, desk: Desk, count: int = 1) -> str:
    """Wait for the message that asks, and press the button behind its link; return the link's path."""
    await until(lambda: len(desk.asked) == count)
    path = link_in(desk.asked[-1])
    answer = await world.http.post(path)
    assert answer.status_code == 200, answer.text
    return path
