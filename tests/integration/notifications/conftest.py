"""Notifications on the real servers, with events told to it as the other services would tell them."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack
from deploy.local.topics import delete_topics
from services.notifications.domain import lane
from services.notifications.service import build
from services.notifications.settings import Settings
from services.notifications.webhooks import loops
from shared.contracts import cases
from shared.contracts.envelope import TOPICS, Actor, Envelope, Payload, contract_of
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from shared.runtime.wire import headers_of
from shared.runtime.work import Recorded
from tests.support.running import running, settings, until
from tests.support.stack import ROLE
from tests.support.tokens import bearer


@dataclass
class Teller:
    """Publishes events on the topics that notifications consumes, with sequences that fit."""

    producer: AIOKafkaProducer
    prefix: str
    last: dict[tuple[str, str], tuple[int, str | None]] = field(default_factory=dict)

    async def tell(self, key: str, *payloads: Payload, at: datetime | None = None) -> list[str]:
        """Publish events of one key; return their ids."""
        told = []
        for payload in payloads:
            contract = contract_of(payload)
            sequence, previous = self.last.get((contract.topic, key), (0, None))
            envelope = Envelope(
                id=new_id(),
                source="/onefriend/test",
                type=contract.type,
                subject=key,
                time=at or datetime.now(UTC),
                sequence=sequence + 1,
                previous=previous,
                causation=None,
                correlation=None,
                traceparent=None,
                actor=Actor("test"),
                data=payload,
            )
            self.last[contract.topic, key] = (envelope.sequence, envelope.id)
            recorded = Recorded(envelope, contract.topic, msgspec.json.encode(payload), None)
            await self.producer.send_and_wait(
                self.prefix + contract.topic,
                key=key.encode(),
                value=recorded.value,
                headers=headers_of(envelope),
            )
            told.append(envelope.id)
        return told


@dataclass
class World:
    """The running service and whoever speaks with it."""

    service: Service
    http: httpx.AsyncClient
    teller: Teller

    async def feed(self, agency: str, **parameters: str | int) -> dict[str, Any]:
        """Read an agency's feed."""
        answer = await self.http.get("/v1/feed", params=parameters, headers=bearer(agency, "subscribe"))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def entries(self, agency: str, count: int, **parameters: str | int) -> list[dict[str, Any]]:
        """Wait until an agency has this many entries after the number given, and return them."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = (await self.feed(agency, **parameters))["entries"]
            return len(found) >= count

        await until(there)
        assert len(found) == count, found
        return found

    async def settled(self) -> None:
        """Wait until everything told has been consumed."""

        async def done() -> bool:
            wanted = {ref: sequence for ref, (sequence, _) in self.teller.last.items()}
            rows = await self.service.pool.fetch("SELECT topic, key, sequence FROM inbox")
            reached = {(row["topic"], row["key"]): row["sequence"] for row in rows}
            return all(reached.get(ref) == sequence for ref, sequence in wanted.items())

        await until(done)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries after milliseconds, and found at once: how long the waits are is the rule's business, and tested there."""
    monkeypatch.setattr(loops, "POLL_SECONDS", 0.1)
    real = lane.wait
    monkeypatch.setattr(lane, "wait", lambda attempts, jitter: real(attempts, jitter) / 100)


@pytest.fixture(scope="module")
def more_settings() -> dict[str, object]:
    """Settings that a module changes."""
    return {}


@contextlib.asynccontextmanager
async def a_database(stack: Stack) -> AsyncIterator[str]:
    """Make a database that is dropped afterwards."""
    name = f"t{int(time.time())}_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f'CREATE DATABASE "{name}" OWNER "{ROLE}"')
    try:
        yield on_same_server(stack.admin_url, name, ROLE, stack.place.secret(f"database/{ROLE}"))
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database(stack: Stack) -> AsyncIterator[str]:
    """A database for a whole module."""
    async with a_database(stack) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def notifications(
    module_database: str,
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
    more_settings: dict[str, object],
) -> AsyncIterator[World]:
    """The service, started once for a module: starting it takes longer than most tests."""
    prefix = f"t{secrets.token_hex(6)}."
    fields = {"state_folder": tmp_path_factory.mktemp("state"), **more_settings}
    service = build(settings(Settings, module_database, stack.broker, prefix, **fields))
    producer = AIOKafkaProducer(bootstrap_servers=stack.broker)
    async with running(service) as url, httpx.AsyncClient(base_url=url, timeout=90) as http:
        await producer.start()
        try:
            yield World(service, http, Teller(producer, prefix))
        finally:
            await producer.stop()
    delete_topics(stack.client_settings(), [prefix + topic for topic in TOPICS])


EMPTY = (
    "TRUNCATE feed, feed_counter, part, restriction, agency, subscription, delivery, message, timer, command,"
    " confirmation_asked"
)


@pytest_asyncio.fixture(loop_scope="module")
async def world(notifications: World) -> AsyncIterator[World]:
    """The running service, knowing of nothing. What is told goes on counting: the inbox has seen what was told before."""
    await notifications.settled()
    emptied = False
    while not emptied:
        # The service's own loops read these tables at the same time, in an order of their own.
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            await notifications.service.pool.execute(EMPTY)
            emptied = True
    await notifications.service.pool.execute("UPDATE clock SET shift = '0'")
    yield notifications


def allocated(
    *parties: tuple[str, str | None],
    hub: str | None = "hub",
    case: str = "case-1",
    **more: Any,
) -> cases.CaseAllocated:
    """Return an allocation: (party, lead agency) each, the first the harmed one, each spoken to directly."""
    return cases.CaseAllocated(
        claim=f"claim-{case}",
        incident="incident-1",
        parties=tuple(
            cases.AllocatedParty(
                party=party,
                person=party,
                role="responsible" if number else "harmed",
                agency=agency,
                **more,
            )
            for number, (party, agency) in enumerate(parties)
        ),
        partnership="P1",
        policy_version="1",
        rule="rule-1",
        why=("because",),
        hub=hub,
    )
