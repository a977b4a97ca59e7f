"""An agency that has no endpoint reads its feed by e-mail, or on a topic of its own: thin, in order, tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from deploy.local.stack import Stack
from deploy.local.topics import delete_topics, ensure_topics
from services.notifications.webhooks.readers import topic_of
from shared.contracts import cases
from tests.integration.notifications.conftest import World, allocated
from tests.integration.notifications.desk import Desk, agree, opened, serving, subscribe
from tests.support.running import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("quick")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    async with serving() as found:
        yield found


@pytest.fixture(scope="module")
def more_settings(desk: Desk) -> dict[str, object]:
    return {"smtp_port": desk.port, "delivery_attempts": 5}


async def test_a_desk_is_told_by_email_that_a_case_changed_and_nothing_else(world: World, desk: Desk) -> None:
    desk.cleared()
    await subscribe(world, "mailto:desk@beacon.example")
    await agree(world, desk)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: len(desk.mails) == 1)
    message = opened(desk.mails[0])
    assert desk.mails[0].rcpt_tos == ["desk@beacon.example"]
    text = str(message.get_content())
    assert "case-1" in text
    assert "mary" not in str(message)
    assert message["Auto-Submitted"] == "auto-generated"
    await until(
        lambda: world.service.pool.fetchval("SELECT state = 'delivered' FROM delivery WHERE number = 1")
    )


async def test_a_mail_server_that_will_not_is_asked_again_in_order(world: World, desk: Desk) -> None:
    desk.cleared()
    await subscribe(world, "mailto:desk@beacon.example")
    await agree(world, desk)
    desk.answer = "451 later"
    await world.teller.tell("case-2", allocated(("mary", "beacon"), case="case-2"))
    await world.teller.tell("case-2", cases.CasePaused(reason="risk"))
    await until(lambda: len(desk.mails) >= 2)
    desk.answer = "250 taken"
    done = "SELECT count(*) = 2 FROM delivery WHERE state = 'delivered' AND number > 0"
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
    events = [entry["event"] for entry in await world.entries("beacon", 2)]
    told = [{"number": n, "case": "case-3", "event": event} for n, event in enumerate(events, 1)]
    assert [body["data"] for body in bodies] == told
    assert b"mary" not in b"".join(record.value or b"" for record in read)


@pytest.mark.parametrize(
    "url",
    ["mailto:", "mailto:a@b.example,c@d.example", "mailto:a@b.example?bcc=x@y.example", "kafka:consent"],
)
async def test_where_nothing_can_be_sent_is_refused_with_the_remedy(world: World, url: str) -> None:
    refused = await subscribe(world, url, 422)
    assert "write" in refused
