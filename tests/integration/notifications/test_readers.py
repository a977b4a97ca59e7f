"""An agency that has no endpoint reads its feed by e-mail, or on a topic of its own: thin, in order, tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.stack import Stack
from deploy.local.topics import delete_topics, ensure_topics
from services.notifications.domain import lane
from services.notifications.webhooks.readers import topic_of
from shared.contracts import cases
from tests.integration.notifications.conftest import World, allocated
from tests.support.running import free_port, until
from tests.support.tokens import bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Desk:
    """A real SMTP server; `answer` is what it says to a message."""

    port: int
    answer: str = "250 taken"
    mails: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        self.mails.append(envelope)
        return self.answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    found = Desk(free_port())
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(found, hostname="127.0.0.1", port=found.port, loop=loop)
    controller.server = await controller._create_server()
    yield found
    controller.server.close()
    await controller.server.wait_closed()


@pytest.fixture(scope="module")
def more_settings(desk: Desk) -> dict[str, object]:
    return {"smtp_port": desk.port, "delivery_attempts": 5}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    real = lane.wait
    monkeypatch.setattr(lane, "wait", lambda attempts, jitter: real(attempts, jitter) / 100)


async def subscribe(world: World, url: str, status: int = 201) -> str:
    headers = bearer("beacon", "subscribe") | {"Idempotency-Key": f'"{url}"'}
    answer = await world.http.post("/v1/subscriptions", json={"url": url}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_a_desk_is_told_by_email_that_a_case_changed_and_nothing_else(world: World, desk: Desk) -> None:
    desk.mails.clear()
    await subscribe(world, "mailto:desk@beacon.example")
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: len(desk.mails) == 1)
    message = message_from_bytes(desk.mails[0].content or b"", policy=default)  # type: ignore[arg-type]
    assert desk.mails[0].rcpt_tos == ["desk@beacon.example"]
    text = str(message.get_content())
    assert "case-1" in text
    assert "mary" not in str(message)
    assert message["Auto-Submitted"] == "auto-generated"
    await until(lambda: world.service.pool.fetchval("SELECT state = 'delivered' FROM delivery"))


async def test_a_mail_server_that_will_not_is_asked_again_in_order(world: World, desk: Desk) -> None:
    desk.mails.clear()
    desk.answer = "451 later"
    await subscribe(world, "mailto:desk@beacon.example")
    await world.teller.tell("case-2", allocated(("mary", "beacon"), case="case-2"))
    await world.teller.tell("case-2", cases.CasePaused(reason="risk"))
    await until(lambda: len(desk.mails) >= 2)
    desk.answer = "250 taken"
    done = "SELECT count(*) = 2 FROM delivery WHERE state = 'delivered'"
    await until(lambda: world.service.pool.fetchval(done))
    numbers = [str(mail.content).partition("Entry ")[2][:1] for mail in desk.mails]
    assert numbers == sorted(numbers)
    assert numbers[-1] == "2"


async def test_an_agencys_own_topic_has_its_cases_in_order(world: World, stack: Stack) -> None:
    topic = world.service.broker.topic(topic_of("beacon"))
    ensure_topics(stack.client_settings(), [topic])
    try:
        await subscribe(world, "kafka:cases")
        await world.teller.tell("case-3", allocated(("mary", "beacon"), case="case-3"))
        await world.teller.tell("case-3", cases.CasePaused(reason="risk"))
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=stack.broker, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(60):
                read = [await consumer.getone() for _ in range(2)]
        finally:
            await consumer.stop()
    finally:
        delete_topics(stack.client_settings(), [topic])
    assert [record.key for record in read] == [b"case-3", b"case-3"]
    bodies = [json.loads(record.value or b"") for record in read]
    assert [body["data"] for body in bodies] == [{"number": n, "case": "case-3"} for n in (1, 2)]
    assert b"mary" not in b"".join(record.value or b"" for record in read)


@pytest.mark.parametrize(
    "url",
    ["mailto:", "mailto:a@b.example,c@d.example", "mailto:a@b.example?bcc=x@y.example", "kafka:consent"],
)
async def test_where_nothing_can_be_sent_is_refused_with_the_remedy(world: World, url: str) -> None:
    refused = await subscribe(world, url, 422)
    assert "write" in refused
