"""Consent on the real database and broker. Intake's and allocation's events are put on their real topics."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.local.hours import until_tuesday
from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack
from deploy.local.topics import delete_topics, topics_with
from services.consent.service import build
from services.consent.settings import Settings
from shared.contracts.cases import CaseCleared, CaseProposed, ClearedParty, Limits, ProposedLead
from shared.contracts.envelope import Payload, contract_of
from shared.contracts.people import PersonReferred, Safety
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from tests.support.running import running, settings, until
from tests.support.stack import ROLE
from tests.support.telling import Neighbours
from tests.support.tokens import bearer

PHONE = Safety(channels=("phone", "letter", "email"))


@dataclass
class World(Neighbours):
    """A running consent, its neighbours' topics, and callers of every kind."""

    service: Service
    http: httpx.AsyncClient

    def new(self, name: str) -> str:
        """An id that no other test has: the service is shared by a module's tests."""
        return f"{name}-{secrets.token_hex(4)}"

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        return self.service.pool

    # --- what the neighbours tell

    async def tell(self, key: str, *payloads: Payload) -> None:
        """Publish events and wait until they are applied."""
        for payload in payloads:
            await self.publish(self.envelope(key, payload))
        await self.applied(contract_of(payloads[0]).topic, key)

    async def applied(self, topic: str, key: str) -> None:
        wanted = self.sequences[topic, key]
        sql = "SELECT sequence FROM inbox WHERE topic = $1 AND key = $2"
        await until(lambda: self._is(sql, wanted, topic, key), seconds=20)

    async def _is(self, sql: str, wanted: object, *args: object) -> bool:
        return bool(await self.pool.fetchval(sql, *args) == wanted)

    async def refer(
        self, person: str, case: str, role: str = "harmed", by: str = "police", **more: Any
    ) -> None:
        event = PersonReferred(
            case=case,
            incident=f"incident-{case}",
            referral=more.pop("referral", f"r-{case}"),
            referrer=by,
            role=role,  # type: ignore[arg-type]
            **{"safety": PHONE, **more},
        )
        await self.tell(person, event)

    async def propose(
        self, case: str, *leads: tuple[str, str], worker: str | None = None, party: str | None = None
    ) -> None:
        proposed = CaseProposed(
            claim=new_id(),
            incident=f"incident-{case}",
            leads=tuple(
                ProposedLead(
                    party=party or person, person=person, role="harmed", agency=agency, worker=worker
                )
                for person, agency in leads
            ),
            partnership="p",
            policy_version="1",
            rule="r",
            why=("because",),
        )
        await self.tell(case, proposed)

    async def clear(self, case: str, *people: str) -> None:
        parties = tuple(ClearedParty(party=p, person=p, limits=Limits()) for p in people)
        await self.tell(case, CaseCleared(parties=parties, policy_version="1"))

    async def lead(self, person: str, case: str, agency: str = "beacon", **more: Any) -> None:
        """Referred, led and cleared."""
        await self.refer(person, case, **more)
        await self.propose(case, (person, agency))
        await self.clear(case, person)

    # --- what callers do

    async def send(
        self,
        method: str,
        path: str,
        caller: dict[str, str],
        body: dict[str, Any] | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Send a request, with a new Idempotency-Key unless one is given."""
        sent = {"Idempotency-Key": new_id(), **caller, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.http.request(method, path, headers=sent, json=body)

    async def ask(
        self, person: str, case: str, agency: str = "beacon", *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        body = {"case": case, "person": person, "channel": "phone", **more}
        headers = {"Idempotency_Key": key} if key else {}
        return await self.send("POST", "/v1/permits", agency_of(agency), body, **headers)

    async def granted(self, person: str, case: str, agency: str = "beacon", **more: Any) -> dict[str, Any]:
        answer = await self.ask(person, case, agency, **more)
        assert answer.status_code == 201, answer.text
        permit: dict[str, Any] = answer.json()
        return permit

    async def redeem(
        self, permit: dict[str, Any], seen: dict[str, int] | None = None, *, key: str | None = None
    ) -> httpx.Response:
        people = {permit["person"], permit["contact_person"] or permit["person"]}
        token = seen or {person: self.sequences["people", person] for person in people}
        body = {"fence": permit["fence"], "seen": token}
        path = f"/v1/permits/{permit['permit']}/redemption"
        headers = {"Idempotency-Key": key} if key else {}
        return await self.http.post(path, headers=service_of("intake") | headers, json=body)

    async def outcome(
        self, permit: dict[str, Any], outcome: str, agency: str = "beacon", **more: Any
    ) -> httpx.Response:
        body = {"fence": permit["fence"], "outcome": outcome, **more}
        return await self.send("PUT", f"/v1/attempts/{permit['permit']}/outcome", agency_of(agency), body)

    async def attempt(
        self, person: str, case: str, outcome: str, agency: str = "beacon", **more: Any
    ) -> dict[str, Any]:
        permit = await self.granted(person, case, agency)
        assert (await self.redeem(permit)).status_code == 200
        answer = await self.outcome(permit, outcome, agency, **more)
        assert answer.status_code == 200, answer.text
        return permit

    async def withdraw(self, person: str, **body: Any) -> dict[str, Any]:
        """Withdraw somebody, as intake does for whoever brings it."""
        answer = await self.send(
            "POST", f"/v1/people/{person}/withdrawals", service_of("intake"), {"scope": "everything", **body}
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def events(self, person: str) -> list[tuple[str, dict[str, Any]]]:
        """What the journal has of a person: (type without version, data)."""
        rows = await self.pool.fetch(
            "SELECT type, data FROM journal WHERE key = $1 ORDER BY sequence", person
        )
        return [(row["type"].rpartition(".v")[0], msgspec.json.decode(row["data"])) for row in rows]

    async def later(self, **delta: float) -> None:
        """Move the clock on."""
        await self.pool.execute("UPDATE clock SET shift = shift + $1", timedelta(**delta))


def agency_of(agency: str, worker: str | None = "wendy") -> dict[str, str]:
    return bearer(agency, "contact", "withdrawals.write", worker=worker)


def hub(worker: str = "hanna") -> dict[str, str]:
    return bearer("hub", "hub", "contact", worker=worker)


def service_of(name: str) -> dict[str, str]:
    return bearer(name, "internal", kind="service")


def kind(answer: httpx.Response) -> str:
    """The last part of a problem's type."""
    return str(answer.json()["type"]).rpartition("/")[2]


@asynccontextmanager
async def a_world(database: str, bootstrap_servers: str, prefix: str, **more: object) -> AsyncIterator[World]:
    """A running consent, once the broker has been heard: until then nobody may be contacted."""
    service = build(settings(Settings, database, bootstrap_servers, prefix, **more))
    async with (
        running(service) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as http,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer,
    ):
        await until(lambda: heard(service), seconds=30)
        await service.pool.execute("UPDATE clock SET shift = $1", until_tuesday())
        yield World(producer, prefix, service, http)


async def forget_topics(stack: Stack, prefix: str) -> None:
    """Delete a test's topics: a broker with the topics of a thousand tests starts slowly."""
    broker = stack.client_settings()
    await asyncio.to_thread(lambda: delete_topics(broker, topics_with(broker, prefix)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_world(stack: Stack) -> AsyncIterator[World]:
    """One consent for a module's tests: a start and a stop take seconds."""
    async with (
        a_database(stack) as database,
        a_world(database, stack.broker, f"t{secrets.token_hex(6)}.") as world,
    ):
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared_world: World) -> World:
    """The module's consent, on a Tuesday at ten."""
    await shared_world.pool.execute("UPDATE clock SET shift = $1", until_tuesday())
    return shared_world


@asynccontextmanager
async def a_database(stack: Stack) -> AsyncIterator[str]:
    """A database for longer than one test."""
    admin = await asyncpg.connect(stack.admin_url)
    name = f"t{secrets.token_hex(8)}"
    await admin.execute(f'CREATE DATABASE "{name}" OWNER "{ROLE}"')
    yield on_same_server(stack.admin_url, name, ROLE, stack.place.secret(f"database/{ROLE}"))
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def heard(service: Service) -> bool:
    """Whether the broker has been heard: until then nobody may be contacted."""
    return bool(await service.pool.fetchval("SELECT heard_at IS NOT NULL FROM door"))


async def gather(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))
