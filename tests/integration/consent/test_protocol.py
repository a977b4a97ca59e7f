"""What is asked by allocation, said by people, put right by hubs; and what happens when something is away or restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from services.consent.gateways import close_the_door
from services.consent.service import build
from services.consent.settings import Settings
from shared.contracts.agencies import AgencyChanged, AgencySucceeded, Worker
from shared.contracts.cases import CaseClosed, CasePaused, CaseResumed
from shared.contracts.people import PersonReferred, PriorContact, Safety
from shared.runtime.service import Service
from tests.integration.consent.conftest import PHONE, World, agency_of, heard, hub, kind, service_of
from tests.support.running import free_port, running, settings, until


async def restrict(world: World, case: str, **body: Any) -> httpx.Response:
    return await world.send(
        "POST", f"/v1/cases/{case}/restrictions", service_of("allocation"), {"reason": "meeting", **body}
    )


async def hand_over(world: World, person: str, target: str) -> httpx.Response:
    return await world.send(
        "POST", f"/v1/people/{person}/handovers", service_of("allocation"), {"target": target}
    )


# --- allocation


async def test_a_pause_by_call_is_in_force_before_its_event_and_ends_with_its_own_resumption(
    world: World,
) -> None:
    await world.lead("vera", "c1")
    permit = await world.granted("vera", "c1")
    answer = await restrict(world, "c1", kind="pause", restriction="pause-2")
    assert (answer.status_code, answer.json()["in_flight"]) == (201, [])
    assert kind(await world.redeem(permit)) == "revoked"
    await world.tell(
        "c1", CasePaused(reason="old", pause="pause-1"), CaseResumed(reason="old", pause="pause-1")
    )
    assert kind(await world.ask("vera", "c1")) == "paused"
    await world.tell(
        "c1", CasePaused(reason="meeting", pause="pause-2"), CaseResumed(reason="met", pause="pause-2")
    )
    await world.granted("vera", "c1")


async def test_a_restriction_names_what_had_been_redeemed(world: World) -> None:
    await world.lead("vera", "c1")
    permit = await world.granted("vera", "c1")
    await world.redeem(permit)
    assert (await restrict(world, "c1", kind="close")).json()["in_flight"] == [permit["permit"]]
    assert kind(await world.ask("vera", "c1")) in {"no-lead", "case-closed"}
    assert (await world.outcome(permit, "no_answer")).status_code == 200


async def test_a_pause_holds_for_who_joins_the_case_later(world: World) -> None:
    await restrict(world, "c1", kind="pause")
    await world.lead("vera", "c1")
    assert kind(await world.ask("vera", "c1")) == "paused"


async def test_only_allocation_restricts_and_hands_over(world: World) -> None:
    for caller in (agency_of("beacon"), service_of("intake"), hub()):
        body = {"kind": "pause", "reason": "meeting"}
        assert (await world.send("POST", "/v1/cases/c1/restrictions", caller, body)).status_code == 403
        assert (
            await world.send("POST", "/v1/people/v/handovers", caller, {"target": "x"})
        ).status_code == 403


async def test_a_lead_moves_before_she_is_reached_and_then_only_by_her_agreement(world: World) -> None:
    await world.lead("vera", "c1")
    await world.attempt("vera", "c1", "no_answer")
    assert (await hand_over(world, "vera", "mediation")).json()["tenure"] == 2
    assert kind(await world.ask("vera", "c1", "beacon")) == "not-lead"
    await world.later(days=2)
    await world.attempt("vera", "c1", "agreed", "mediation")
    assert kind(await hand_over(world, "vera", "probation")) == "no-agreement"
    agreed = await world.send(
        "POST", "/v1/people/vera/agreements", agency_of("mediation"),
        {"case": "c1", "scope": ["take_part", "share"], "agencies": ["probation"], "means": "spoken"},
    )  # fmt: skip
    assert agreed.status_code == 201, agreed.text
    assert (await hand_over(world, "vera", "probation")).status_code == 201
    await world.granted("vera", "c1", "probation", purpose="conversation")


async def test_taken_back_and_claimed_anew(world: World) -> None:
    await world.lead("vera", "c1")
    assert (await restrict(world, "c1", kind="reassign", person="vera")).status_code == 201
    await world.propose("c1", ("vera", "mercia"))
    await world.granted("vera", "c1", "mercia")


async def test_a_successor_has_every_lead_from_the_moment_of_succession(world: World) -> None:
    for n in range(5):
        await world.lead(f"p{n}", f"c{n}")
    moment = await world.pool.fetchval("SELECT clock_timestamp() + shift + interval '1 hour' FROM clock")
    await world.tell("beacon", AgencySucceeded(successor="lantern", since=moment))
    await world.granted("p0", "c0", "beacon")
    assert (await world.ask("p1", "c1", "lantern")).status_code == 404
    await world.later(hours=1)
    assert (await world.ask("p1", "c1", "beacon")).status_code == 409
    await world.granted("p1", "c1", "lantern")
    sql = "SELECT count(*) FROM lead WHERE agency = 'lantern'"
    await until(lambda: world._is(sql, 5))
    await world.propose("c9", ("p2", "beacon"))
    assert [name for name, _ in await world.events("p2")][-2:] == ["lead.handed_over", "lead.assigned"]


async def test_the_named_workers_deputy_may_ask(world: World) -> None:
    await world.refer("vera", "c1")
    await world.propose("c1", ("vera", "beacon"), worker="anne")
    await world.clear("c1", "vera")
    assert kind(await world.ask("vera", "c1")) == "not-named-worker"
    workers = (Worker(id="anne", deputy="wendy"), Worker(id="wendy"))
    await world.tell("beacon", AgencyChanged(name="Beacon", kind="victim_care", workers=workers))
    await world.granted("vera", "c1")


async def test_a_no_goes_on_with_a_case_that_is_joined_to_another(world: World) -> None:
    await world.lead("vera", "c1")
    await world.attempt("vera", "c1", "declined")
    await world.refer("vera", "c2")
    await world.tell("c1", CaseClosed(reason="joined", joined_into="c2"))
    standing = (await world.send("GET", "/v1/people/vera/standing", hub())).json()
    assert {c["case"]: c["reason"] for c in standing["cases"]} == {"c1": "declined", "c2": "carried_over"}


# --- people


async def test_a_childs_parent_is_asked_and_answers_for_the_child(world: World) -> None:
    await world.refer("cleo", "c1", safety=Safety(minor=True), contact_persons=("mona",))
    await world.refer("mona", "c1", "contact", speaks_for=("cleo",))
    await world.propose("c1", ("mona", "beacon"))
    await world.clear("c1", "cleo")
    assert kind(await world.ask("mona", "c1")) == "unknown", "nobody asks a parent about itself"
    permit = await world.granted("cleo", "c1", contact_person="mona")
    assert permit["contact_person"] == "mona"
    assert (await world.redeem(permit)).status_code == 200
    assert (await world.outcome(permit, "declined")).status_code == 200
    assert "standing.tightened" in [name for name, _ in await world.events("cleo")]


async def test_a_no_given_to_the_referrer_comes_with_the_referral(world: World) -> None:
    await world.propose("c1", ("vera", "beacon"))
    await world.clear("c1", "vera")
    await world.refer("vera", "c1", prior_contact=PriorContact(answer="no", agency="police"))
    assert kind(await world.ask("vera", "c1")) == "prior-no"


async def test_only_she_reopens_and_two_people_correct_what_was_entered_in_error(world: World) -> None:
    await world.lead("vera", "c1")
    await world.withdraw("vera")
    reopened = await world.send(
        "POST", "/v1/people/vera/reopenings", agency_of("beacon"), {"cases": ["c1"], "evidence": "letter/7"}
    )
    assert reopened.status_code == 201
    await world.granted("vera", "c1")
    await world.withdraw("vera")
    body = {"person": "vera", "evidence": "call-log/8"}
    proposed = (await world.send("POST", "/v1/corrections", hub("hanna"), body)).json()
    path = f"/v1/corrections/{proposed['correction']}/confirmation"
    assert kind(await world.send("POST", path, hub("hanna"))) == "second-person"
    assert kind(await world.ask("vera", "c1")) == "withdrawn"
    assert (await world.send("POST", path, hub("hugo"))).json()["state"] == "in_force"
    assert kind(await world.send("POST", path, hub("hilda"))) == "second-person"
    await world.granted("vera", "c1")


async def test_she_rings_and_agrees(world: World) -> None:
    await world.lead("vera", "c1")
    body = {"person": "vera", "case": "c1", "answer": "agreed"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("elsewhere"), body)).status_code == 404
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("police"), body)).status_code == 201
    await world.send(
        "POST", "/v1/people/vera/agreements", agency_of("beacon"), {"case": "c1", "scope": ["take_part"]}
    )
    await world.granted("vera", "c1", purpose="conversation")


async def test_a_withdrawal_of_somebody_not_known_yet_binds_when_the_referral_comes(world: World) -> None:
    assert (await world.withdraw("vera"))["state"] == "clean"
    await world.refer("vera", "c1")
    await world.propose("c1", ("vera", "beacon"))
    assert [name for name, _ in await world.events("vera")] == ["consent.withdrawn", "lead.refused"]


async def test_the_ledger_keeps_everything_in_order(world: World) -> None:
    await world.lead("vera", "c1")
    await world.attempt("vera", "c1", "unsafe")
    ledger = (await world.send("GET", "/v1/people/vera/ledger", hub())).json()
    assert [entry["type"] for entry in ledger["entries"]] == [
        "lead.assigned.v1", "permit.granted.v1", "permit.redeemed.v1", "attempt.recorded.v1", "standing.tightened.v1",
    ]  # fmt: skip
    assert ledger["entries"][1]["by"] == {"agency": "beacon", "worker": "wendy"}
    assert (await world.send("GET", "/v1/people/nobody/ledger", hub())).status_code == 404
    assert (await world.send("GET", "/v1/people/vera/ledger", agency_of("beacon"))).status_code == 403


# --- away, and back from a copy


@pytest.mark.parametrize("world", [{"deaf_seconds": 1.0}], indirect=True)
async def test_nobody_is_contacted_while_the_broker_is_not_heard(world: World) -> None:
    await world.lead("vera", "c1")
    permit = await world.granted("vera", "c1")
    await world.pool.execute("ALTER TABLE door RENAME COLUMN heard_at TO not_heard")
    await world.pool.execute(
        "ALTER TABLE door ADD COLUMN heard_at timestamptz DEFAULT clock_timestamp() - interval '1 hour'"
    )
    await world.pool.execute("CREATE RULE deaf AS ON UPDATE TO door DO INSTEAD NOTHING")
    for answer in (await world.ask("vera", "c1"), await world.redeem(permit)):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (await world.withdraw("vera"))["state"] == "clean", "a withdrawal is taken all the same"


class FakeIntake:
    """An intake that lists what it has handed out."""

    def __init__(self) -> None:
        self.releases: list[dict[str, Any]] = []
        self.up = False
        self.port = free_port()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = FastAPI()

        @app.get("/v1/releases")
        async def listed(after: str | None = None) -> dict[str, Any]:
            if not self.up:
                raise RuntimeError("down")
            return {
                "releases": self.releases if after is None else [],
                "next": "end" if after is None else None,
            }

        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None))
        server.config.load()
        serving = asyncio.create_task(server._serve())
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{self.port}"
        server.should_exit = True
        await serving


async def test_closed_after_a_restore_until_intakes_releases_are_known(
    database: str, bootstrap_servers: str, topic_prefix: str
) -> None:
    from aiokafka import AIOKafkaProducer

    intake = FakeIntake()
    async with intake.running() as intake_url:
        service = build(settings(Settings, database, bootstrap_servers, topic_prefix, intake_url=intake_url))
        async with (
            running(service) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as http,
            AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer,
        ):
            await until(lambda: heard(service))
            world = World(service, http, producer, topic_prefix)
            await world.lead("vera", "c1")
            await world.lead("rob", "c2")
            await service.pool.execute("UPDATE clock SET shift = $1", _ahead())
            permit = await world.granted("rob", "c2")
            intake.releases = [
                {"permit": "lost", "person": "vera", "case": "c1", "agency": "beacon", "channel": "phone",
                 "handed_out_at": datetime.now(UTC).isoformat()},
            ]  # fmt: skip
            await close_the_door(service)
            assert kind(await world.ask("vera", "c1")) == "restored"
            intake.up = True
            await until(lambda: _open(service), seconds=30)
            assert kind(await world.redeem(permit)) == "revoked"
            assert kind(await world.ask("vera", "c1")) == "unresolved", "somebody may have rung her"
            listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
            assert [(a["permit"], a["outcome"]) for a in listed] == [("lost", "unknown")]
            await world.granted("rob", "c2")


def _ahead() -> timedelta:
    from tests.integration.consent.conftest import tuesday_at_ten

    return tuesday_at_ten()


async def _open(service: Service) -> bool:
    return not await service.pool.fetchval("SELECT restored FROM door")


async def test_what_the_topic_has_and_a_restored_database_lacks_is_put_back(
    new_database: Any, bootstrap_servers: str, topic_prefix: str
) -> None:
    """A second consent on an empty database and the same topics: the extreme of a restore."""
    from aiokafka import AIOKafkaProducer

    first = build(settings(Settings, await new_database(), bootstrap_servers, topic_prefix))
    async with (
        running(first) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as http,
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer,
    ):
        await first.pool.execute("UPDATE clock SET shift = $1", _ahead())
        await until(lambda: heard(first))
        world = World(first, http, producer, topic_prefix)
        await world.lead("vera", "c1")
        permit = await world.granted("vera", "c1")
        await world.redeem(permit)
        await world.lead("rob", "c2")
        await world.withdraw("rob")
        before = await world.events("vera")
        await until(lambda: _told(first))
    second = build(settings(Settings, await new_database(), bootstrap_servers, topic_prefix))
    async with running(second) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        await second.pool.execute("UPDATE clock SET shift = $1", _ahead())
        world.service, world.http = second, http
        assert await world.events("vera") == before
        await until(lambda: heard(second))
        await world.applied("people", "vera")
        await world.applied("cases", "c2")
        assert (
            await second.pool.fetchval("SELECT status FROM permit WHERE id = $1", permit["permit"])
            == "redeemed"
        )
        assert kind(await world.ask("vera", "c1")) == "restored"
        assert kind(await world.ask("rob", "c2")) in {"restored", "not-lead"}
        assert (await world.outcome(permit, "no_answer")).status_code == 200


async def _told(service: Service) -> bool:
    return not await service.pool.fetchval("SELECT count(*) FROM outbox")
