"""Allocation on the real database and broker. Its neighbours' events are put on their real topics by `World.tell`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.stack import Stack
from deploy.local.topics import TOPICS, delete_topics
from services.allocation.service import build
from services.allocation.settings import Settings
from services.consent.service import build as build_consent
from services.consent.settings import Settings as ConsentSettings
from shared.contracts.consent import LeadAssigned
from shared.contracts.envelope import Payload
from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import PartyFact, ReferralFacts, ReferralReceived
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from tests.support.running import running, settings, until
from tests.support.telling import Neighbours
from tests.support.tokens import bearer

SCOPES = ("cases.read", "cases.write", "hub", "operator", "commissioner")


@dataclass
class World(Neighbours):
    """A running allocation, and the two services that it listens to."""

    service: Service
    http: httpx.AsyncClient

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        return self.service.pool

    async def tell(self, key: str, *payloads: Payload) -> None:
        """Publish events as intake or consent would: in sequence, on their topics."""
        await self.publish(*(self.envelope(key, payload) for payload in payloads))

    async def events(self, case: str) -> list[tuple[str, Any]]:
        """What the journal has of a case: (type without version, data)."""
        rows = await self.pool.fetch("SELECT type, data FROM journal WHERE key = $1 ORDER BY sequence", case)
        return [(row["type"].rpartition(".v")[0], msgspec.json.decode(row["data"])) for row in rows]

    async def wait(self, case: str, *types: str) -> dict[str, Any]:
        """Wait until the case's events are exactly these; gives the data of the last of each type."""

        async def there() -> bool:
            return [name for name, _ in await self.events(case)] == list(types)

        try:
            await until(there, seconds=20)
        except AssertionError:
            found = [name for name, _ in await self.events(case)]
            raise AssertionError(f"{case}: {found}, not {list(types)}") from None
        return dict(await self.events(case))

    async def refer(self, case: str, **changes: object) -> ReferralFacts:
        """A referral of `case` arrives: Anna was harmed, Ben has admitted it."""
        facts = referral(case, **changes)
        await self.tell(case, ReferralReceived(facts=facts))
        return facts

    async def assign(self, case: str, *people: str) -> None:
        """Consent gives the agencies of the case's last claim the leads, of these people or of all."""
        claim = [data for name, data in await self.events(case) if name == "case.proposed"][-1]
        for lead in claim["leads"]:
            if not people or lead["party"] in people:
                assigned = LeadAssigned(
                    claim=claim["claim"],
                    case=case,
                    party=lead["party"],
                    agency=lead["agency"],
                    worker=lead.get("worker"),
                )
                await self.tell(lead["person"], assigned)

    async def allocate(self, case: str, **changes: object) -> None:
        """A case of which consent has given every lead."""
        await self.refer(case, **changes)
        await self.wait(case, "case.proposed")
        await self.assign(case)
        await self.wait(case, "case.proposed", "case.allocated", "case.cleared")

    async def get(self, path: str, agency: str, *scopes: str) -> httpx.Response:
        return await self.http.get(path, headers=bearer(agency, *(scopes or ("cases.read",))))

    async def send(
        self,
        method: str,
        path: str,
        agency: str,
        *scopes: str,
        etag: str | None = None,
        key: str | None = None,
        json: object = None,
    ) -> httpx.Response:
        """Send a change: with the ETag read before, or with an Idempotency-Key (a new one if not given)."""
        headers = bearer(agency, *scopes)
        headers["If-Match" if etag else "Idempotency-Key"] = etag or key or f'"{new_id()}"'
        return await self.http.request(method, path, headers=headers, json=json)

    async def change(
        self, case: str, what: str, agency: str, body: dict[str, Any] | None = None, *scopes: str
    ) -> httpx.Response:
        """Read a case's ETag, then do something to the case; again where it changed meanwhile (412)."""
        for _ in range(5):
            read = await self.get(f"/v1/cases/{case}", agency, "cases.read", "hub")
            answer = await self.send(
                "POST",
                f"/v1/cases/{case}/{what}",
                agency,
                *(scopes or ("cases.write",)),
                etag=read.headers.get("etag", '"0"'),
                json=body or {},
            )
            if answer.status_code != HTTPStatus.PRECONDITION_FAILED:
                return answer
        msg = f"{case} changed each time that it was read"
        raise AssertionError(msg)


def referral(case: str, **changes: object) -> ReferralFacts:
    """The facts of a referral; people are named after the case."""
    values: dict[str, Any] = {
        "referral": f"r-{case}",
        "agency": "hertfordshire-constabulary",
        "version": 1,
        "incident": f"incident-{case}",
        "received_at": datetime.now(UTC),
        "offence_class": "burglary",
        "stage": "post_sentence",
        "initiated_by": "agency",
        "area": "hertfordshire",
        "parties": (
            PartyFact(person=f"anna-{case}", role="harmed"),
            PartyFact(person=f"ben-{case}", role="responsible", admitted=True),
        ),
    }
    return ReferralFacts(**(values | changes))


@pytest.fixture
def own_topics(stack: Stack, topic_prefix: str) -> Iterator[str]:
    """The prefix of this test's topics, deleted afterwards: a broker with thousands of them is slow for everybody."""
    yield topic_prefix
    delete_topics(stack.client_settings(), [topic_prefix + topic for topic in TOPICS])


@pytest.fixture
async def world(database: str, bootstrap_servers: str, own_topics: str) -> AsyncIterator[World]:
    service = build(settings(Settings, database, bootstrap_servers, own_topics))
    async with (
        running(service) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as http,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer,
    ):
        yield World(producer, own_topics, service, http)


@dataclass
class Together:
    """Both services, and consent's URL."""

    world: World
    consent: Service
    url: str

    async def refer(self, case: str, anna: str) -> None:
        """A referral of a case about Anna, who is known to consent, and Ben, who has admitted it."""
        ben = f"ben-{case}"
        for person, role in ((anna, "harmed"), (ben, "responsible")):
            referred = PersonReferred(
                case=case,
                incident=f"incident-{case}",
                referral=f"r-{case}",
                referrer="hertfordshire-constabulary",
                role=role,  # type: ignore[arg-type]
                safety=Safety(channels=("phone", "letter")),
            )
            await self.world.tell(person, referred)
        parties = (
            PartyFact(person=anna, role="harmed"),
            PartyFact(person=ben, role="responsible", admitted=True),
        )
        await self.world.refer(case, parties=parties)

    async def ask(self, method: str, path: str, agency: str, *scopes: str, **body: object) -> httpx.Response:
        kind = "service" if "internal" in scopes else "agency"
        headers = {**bearer(agency, *scopes, kind=kind), "Idempotency-Key": f'"{new_id()}"'}
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            return await http.request(method, path, headers=headers, json=body)

    async def last(self, case: str, name: str) -> None:
        """Wait until the case's last event is of this type."""

        async def there() -> bool:
            events = await self.world.events(case)
            return bool(events) and events[-1][0] == name

        await until(there, seconds=20)


@pytest.fixture
async def together(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, own_topics: str
) -> AsyncIterator[Together]:
    one, two = await new_database(), await new_database()
    consent = build_consent(settings(ConsentSettings, one, bootstrap_servers, own_topics))
    url = f"http://127.0.0.1:{consent.settings.port}"
    service = build(settings(Settings, two, bootstrap_servers, own_topics, consent_url=url))
    async with (
        running(service) as own_url,
        running(consent),
        httpx.AsyncClient(base_url=own_url, timeout=60) as http,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer,
    ):

        async def heard() -> bool:
            return bool(await consent.pool.fetchval("SELECT heard_at IS NOT NULL FROM door"))

        await until(heard)  # before, consent answers nobody
        yield Together(World(producer, own_topics, service, http), consent, url)
