"""`python -m benchmarks.allocation.succession [cases]`: 21 agencies end in one night, with 50,000 live cases.

The real services, as processes of their own, on the real database and broker. Intake's events are put on its topics as it
would have: who is who is measured elsewhere. Everybody is led by one of 21 agencies, as an older system's register has it;
then all 21 are succeeded by twelve. Counted from both services' databases: who leads whom, before and after.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

import asyncpg
import httpx
import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks.flow.stack import Measured, measured
from deploy.local.place import Place
from shared.contracts.envelope import Actor, Envelope, Payload, contract_of
from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import PartyFact, ReferralFacts, ReferralReceived
from shared.runtime.identifiers import new_id
from shared.runtime.wire import headers_of

CRCS: Final = [f"crc-{number:02}" for number in range(21)]
REGIONS: Final = [f"probation-region-{number:02}" for number in range(12)]
SUCCESSOR: Final = {crc: REGIONS[number % len(REGIONS)] for number, crc in enumerate(CRCS)}
AIM_SECONDS: Final = 300
AT_ONCE: Final = 2_000


def lead_of(number: int) -> str:
    """Return the agency that leads a person before that night."""
    return CRCS[number % len(CRCS)]


def events(number: int) -> Iterator[tuple[str, Payload]]:
    """Yield what intake would say of one case: its harmed person, and the referral of whoever leads her already."""
    person, case = f"person-{number:06}", f"case-{number:06}"
    safety = Safety(channels=("phone", "letter"))
    yield person, PersonReferred(
        case=case, incident=f"i-{case}", referral=f"r-{case}", referrer=lead_of(number), role="harmed", safety=safety
    )  # fmt: skip
    facts = ReferralFacts(
        referral=f"r-{case}",
        agency=lead_of(number),
        version=1,
        incident=f"i-{case}",
        received_at=datetime.now(UTC),
        offence_class="burglary",
        stage="community_order",
        initiated_by="agency",
        area="metropolitan",
        parties=(
            PartyFact(person=person, role="harmed"),
            PartyFact(person=f"other-{number:06}", role="responsible", admitted=True, identified=False),
        ),
        register_lead=lead_of(number),
    )
    yield case, ReferralReceived(facts=facts)


async def tell(producer: AIOKafkaProducer, key: str, payload: Payload) -> object:
    """Publish an event as intake's relay would; return its acknowledgement."""
    contract = contract_of(payload)
    envelope = Envelope(
        id=new_id(), source="/onefriend/intake", type=contract.type, subject=key, time=datetime.now(UTC), sequence=1,
        previous=None, causation=None, correlation=None, traceparent=None, actor=Actor("benchmark"), data=payload,
    )  # fmt: skip
    return await producer.send(
        contract.topic, msgspec.json.encode(payload), key=key.encode(), headers=headers_of(envelope)
    )


async def until(what: str, wanted: int, count: Callable[[], Awaitable[int]]) -> float:
    """Wait until so many are counted; return the seconds. Prints how far it is."""
    began, told = perf_counter(), perf_counter()
    while (there := await count()) != wanted:
        if perf_counter() - told > 20:
            print(f"  {what}: {there:,} of {wanted:,}", flush=True)
            told = perf_counter()
        await asyncio.sleep(0.25)
    return perf_counter() - began


async def put(
    http: httpx.AsyncClient, at: Measured, path: str, body: dict[str, str], *, post: bool = False
) -> None:
    """Change something as the operator."""
    headers = {"Authorization": f"Bearer {at.token('operator')}", "Idempotency-Key": f'"{new_id()}"'}
    answer = await http.request("POST" if post else "PUT", path, headers=headers, json=body)
    answer.raise_for_status()


async def leads(pool: asyncpg.Pool[asyncpg.Record], sql: str) -> dict[str, list[str]]:
    """Return who leads each person, as a service's rows have it."""
    found: dict[str, list[str]] = {}
    for row in await pool.fetch(sql):
        found.setdefault(row["person"], []).append(row["agency"])
    return found


async def succession(cases: int) -> None:
    """Prints how long it takes until nobody is led by an agency that is no more, and whether anybody was lost."""
    async with measured(Place.default().inner("bench-succession")) as at:
        consent, allocation = at.pools["consent"], at.pools["allocation"]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{at.port('allocation')}", timeout=30
        ) as http:
            for agency in (*CRCS, *REGIONS):
                kind = "crc" if agency in SUCCESSOR else "nps"
                await put(http, at, f"/v1/agencies/{agency}", {"name": agency, "kind": kind})
            await _refer(at, cases)

            async def led() -> int:
                return int(await consent.fetchval("SELECT count(*) FROM lead WHERE agency LIKE 'crc-%'"))

            async def allocated() -> int:
                return int(
                    await allocation.fetchval("SELECT count(*) FROM case_row WHERE allocated_at IS NOT NULL")
                )

            seconds = await until("led", cases, led) + await until("allocated", cases, allocated)
            print(f"{cases:,} live cases, all led by one of 21 agencies after {seconds:,.0f} s of work")
            began = perf_counter()
            cpu = at.cpu_seconds()
            for crc, region in SUCCESSOR.items():
                await put(http, at, f"/v1/agencies/{crc}/succession", {"successor": region}, post=True)
            await _watch(at, cases, began)
            spent = {name: now - cpu.get(name, 0.0) for name, now in at.cpu_seconds().items()}
            shown = ", ".join(
                f"{name} {seconds:.1f}" for name, seconds in sorted(spent.items()) if seconds >= 1
            )
            print(f"CPU seconds: {shown}")


async def _refer(at: Measured, cases: int) -> None:
    kafka = at.stack.kafka
    assert kafka is not None, "the benchmark needs its own broker"
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, acks="all", linger_ms=20
    ) as producer:
        for start in range(0, cases, AT_ONCE):
            numbers = range(start, min(cases, start + AT_ONCE))
            sent = [await tell(producer, key, payload) for n in numbers for key, payload in events(n)]
            await asyncio.gather(*sent)  # type: ignore[call-overload]


async def _watch(at: Measured, cases: int, began: float) -> None:
    consent, allocation = at.pools["consent"], at.pools["allocation"]

    async def in_force() -> int:
        return int(await consent.fetchval("SELECT count(*) FROM agency WHERE successor IS NOT NULL"))

    async def left() -> int:
        return int(await consent.fetchval("SELECT count(*) FROM lead WHERE agency LIKE 'crc-%'"))

    async def told() -> int:
        sql = "SELECT count(*) FROM case_party WHERE place = 'led' AND agency LIKE 'probation-%'"
        return int(await allocation.fetchval(sql))

    await until("known to consent", len(CRCS), in_force)
    print(f"{perf_counter() - began:7.1f} s  consent grants to the successors, and to nobody else")
    await until("left", 0, left)
    print(f"{perf_counter() - began:7.1f} s  written down for every person at consent")
    await until("told", cases, told)
    seconds = perf_counter() - began
    print(f"{seconds:7.1f} s  known to allocation for every case (aim: {AIM_SECONDS} s)")
    at_consent = await leads(consent, "SELECT person, agency FROM lead WHERE person LIKE 'person-%'")
    at_allocation = await leads(
        allocation,
        "SELECT person, agency FROM case_party WHERE person LIKE 'person-%' AND agency IS NOT NULL",
    )
    expected = {f"person-{number:06}": [SUCCESSOR[lead_of(number)]] for number in range(cases)}
    for name, found in (("consent", at_consent), ("allocation", at_allocation)):
        without = sum(person not in found for person in expected)
        two = sum(len(agencies) > 1 for agencies in found.values())
        other = sum(found.get(person, agencies) != agencies for person, agencies in expected.items())
        print(f"at {name}: {without} without a lead, {two} with two, {other} with another than the successor")


if __name__ == "__main__":
    asyncio.run(succession(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
