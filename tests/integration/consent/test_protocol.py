"""What is asked by allocation, said by people, put right by hubs; and what happens when something is away or restored."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.consent.settings import Settings
from shared.contracts.agencies import AgencyChanged, AgencySucceeded, Worker
from shared.contracts.cases import CaseClosed, CasePaused, CaseResumed
from shared.contracts.people import PriorContact, Safety
from tests.integration.consent.conftest import World, agency_of, hub, kind, service_of
from tests.support.running import until


async def restrict(world: World, case: str, **body: Any) -> httpx.Response:
    return await world.send(
        "POST", f"/v1/cases/{case}/restrictions", service_of("allocation"), {"reason": "meeting", **body}
    )


async def hand_over(world: World, person: str, target: str) -> httpx.Response:
    return await world.send(
        "POST", f"/v1/people/{person}/handovers", service_of("allocation"), {"target": target}
    )


# --- allocation


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_pause_by_call_is_in_force_before_its_event_and_ends_with_its_own_resumption(
    world: World,
) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    answer = await restrict(world, c1, kind="pause", restriction="pause-2")
    assert (answer.status_code, answer.json()["in_flight"]) == (201, [])
    assert kind(await world.redeem(permit)) == "revoked"
    await world.tell(
        c1, CasePaused(reason="old", pause="pause-1"), CaseResumed(reason="old", pause="pause-1")
    )
    assert kind(await world.ask(vera, c1)) == "paused"
    await world.tell(
        c1, CasePaused(reason="meeting", pause="pause-2"), CaseResumed(reason="met", pause="pause-2")
    )
    await world.granted(vera, c1)


async def test_a_restriction_names_what_had_been_redeemed(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    await world.redeem(permit)
    assert (await restrict(world, c1, kind="close")).json()["in_flight"] == [permit["permit"]]
    assert kind(await world.ask(vera, c1)) in {"no-lead", "case-closed"}
    assert (await world.outcome(permit, "no_answer")).status_code == 200


async def test_a_pause_holds_for_who_joins_the_case_later(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await restrict(world, c1, kind="pause")
    await world.lead(vera, c1)
    assert kind(await world.ask(vera, c1)) == "paused"


async def test_only_allocation_restricts_and_hands_over(world: World) -> None:
    c1 = world.new("c1")
    for caller in (agency_of("beacon"), service_of("intake"), hub()):
        body = {"kind": "pause", "reason": "meeting"}
        assert (await world.send("POST", f"/v1/cases/{c1}/restrictions", caller, body)).status_code == 403
        assert (
            await world.send("POST", "/v1/people/v/handovers", caller, {"target": "x"})
        ).status_code == 403


async def test_a_lead_moves_before_she_is_reached_and_then_only_by_her_agreement(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.attempt(vera, c1, "no_answer")
    assert (await hand_over(world, vera, "mediation")).json()["tenure"] == 2
    assert kind(await world.ask(vera, c1, "beacon")) == "not-lead"
    await world.later(days=2)
    await world.attempt(vera, c1, "agreed", "mediation")
    assert kind(await hand_over(world, vera, "probation")) == "no-agreement"
    agreed = await world.send(
        "POST", f"/v1/people/{vera}/agreements", agency_of("mediation"),
        {"case": c1, "scope": ["take_part", "share"], "agencies": ["probation"], "means": "spoken"},
    )  # fmt: skip
    assert agreed.status_code == 201, agreed.text
    assert (await hand_over(world, vera, "probation")).status_code == 201
    await world.granted(vera, c1, "probation", purpose="conversation")


async def test_taken_back_and_claimed_anew(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    assert (await restrict(world, c1, kind="reassign", person=vera)).status_code == 201
    await world.propose(c1, (vera, "mercia"))
    await world.granted(vera, c1, "mercia")


async def test_a_successor_has_every_lead_from_the_moment_of_succession(world: World) -> None:
    candle, lantern, cases = world.new("candle"), world.new("lantern"), [world.new(f"c{n}") for n in range(5)]
    people = [world.new(f"p{n}") for n in range(5)]
    for person, case in zip(people, cases, strict=True):
        await world.lead(person, case, candle)
    moment = await world.pool.fetchval("SELECT clock_timestamp() + shift + interval '1 hour' FROM clock")
    await world.tell(candle, AgencySucceeded(successor=lantern, since=moment))
    permit = await world.granted(people[0], cases[0], candle)
    assert (await world.redeem(permit)).status_code == 200
    assert (await world.ask(people[1], cases[1], lantern)).status_code == 404
    await world.later(hours=1)
    assert (await world.ask(people[1], cases[1], candle)).status_code == 409
    # Whoever sends messages knows for whom it began to: what came of it is not lost because that agency is gone.
    assert (await world.outcome(permit, "delivered", candle)).status_code == 404
    path, body = (
        f"/v1/attempts/{permit['permit']}/outcome",
        {"fence": permit["fence"], "outcome": "delivered"},
    )
    for_candle = service_of("notifications") | {"Onefriend-On-Behalf-Of": f"{candle}/wendy"}
    assert (await world.send("PUT", path, for_candle, body)).status_code == 200
    await world.granted(people[1], cases[1], lantern)
    sql = "SELECT count(*) FROM lead WHERE agency = $1"
    await until(lambda: world._is(sql, 5, lantern))
    await world.propose(world.new("c9"), (people[2], candle))
    assert [name for name, _ in await world.events(people[2])][-2:] == ["lead.handed_over", "lead.assigned"]


async def test_the_named_workers_deputy_may_ask(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.refer(vera, c1)
    await world.propose(c1, (vera, "beacon"), worker="anne")
    await world.clear(c1, vera)
    assert kind(await world.ask(vera, c1)) == "not-named-worker"
    workers = (Worker(id="anne", deputy="wendy"), Worker(id="wendy"))
    await world.tell("beacon", AgencyChanged(name="Beacon", kind="victim_care", workers=workers))
    await world.granted(vera, c1)


async def test_a_no_goes_on_with_a_case_that_is_joined_to_another(world: World) -> None:
    c1 = world.new("c1")
    c2 = world.new("c2")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.attempt(vera, c1, "declined")
    await world.refer(vera, c2)
    await world.tell(c1, CaseClosed(reason="joined", joined_into=c2))
    standing = (await world.send("GET", f"/v1/people/{vera}/standing", hub())).json()
    assert {c["case"]: c["reason"] for c in standing["cases"]} == {c1: "declined", c2: "carried_over"}


# --- people


async def test_a_childs_parent_is_asked_and_answers_for_the_child(world: World) -> None:
    c1 = world.new("c1")
    cleo = world.new("cleo")
    mona = world.new("mona")
    await world.refer(cleo, c1, safety=Safety(minor=True), contact_persons=(mona,))
    await world.refer(mona, c1, "contact", speaks_for=(cleo,))
    await world.propose(c1, (mona, "beacon"), party=cleo)
    await world.clear(c1, cleo)
    assert kind(await world.ask(mona, c1)) == "unknown", "nobody asks a parent about itself"
    permit = await world.granted(cleo, c1, contact_person=mona)
    assert permit["contact_person"] == mona
    assert (await world.redeem(permit)).status_code == 200
    assert (await world.outcome(permit, "declined")).status_code == 200
    assert "standing.tightened" in [name for name, _ in await world.events(cleo)]


async def test_a_no_given_to_the_referrer_comes_with_the_referral(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.propose(c1, (vera, "beacon"))
    await world.clear(c1, vera)
    await world.refer(vera, c1, prior_contact=PriorContact(answer="no", agency="police"))
    assert kind(await world.ask(vera, c1)) == "prior-no"


async def test_only_she_reopens_and_two_people_correct_what_was_entered_in_error(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.withdraw(vera)
    reopened = await world.send(
        "POST", f"/v1/people/{vera}/reopenings", agency_of("beacon"), {"cases": [c1], "evidence": "letter/7"}
    )
    assert reopened.status_code == 201
    await world.granted(vera, c1)
    await world.withdraw(vera)
    body = {"person": vera, "evidence": "call-log/8"}
    proposed = (await world.send("POST", "/v1/corrections", hub("hanna"), body)).json()
    path = f"/v1/corrections/{proposed['correction']}/confirmation"
    assert kind(await world.send("POST", path, hub("hanna"))) == "second-person"
    assert kind(await world.ask(vera, c1)) == "withdrawn"
    assert (await world.send("POST", path, hub("hugo"))).json()["state"] == "in_force"
    assert kind(await world.send("POST", path, hub("hilda"))) == "second-person"
    await world.granted(vera, c1)


async def test_she_rings_and_agrees(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    body = {"person": vera, "case": c1, "answer": "agreed"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("elsewhere"), body)).status_code == 404
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("police"), body)).status_code == 201
    await world.send(
        "POST", f"/v1/people/{vera}/agreements", agency_of("beacon"), {"case": c1, "scope": ["take_part"]}
    )
    await world.granted(vera, c1, purpose="conversation")


async def test_a_withdrawal_of_somebody_not_known_yet_binds_when_the_referral_comes(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    assert (await world.withdraw(vera))["state"] == "clean"
    await world.refer(vera, c1)
    await world.propose(c1, (vera, "beacon"))
    assert [name for name, _ in await world.events(vera)] == ["consent.withdrawn", "lead.refused"]


async def test_the_ledger_keeps_everything_in_order(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.attempt(vera, c1, "unsafe")
    ledger = (await world.send("GET", f"/v1/people/{vera}/ledger", hub())).json()
    assert [entry["type"] for entry in ledger["entries"]] == [
        "lead.assigned.v1", "permit.granted.v1", "permit.redeemed.v1", "attempt.recorded.v1", "standing.tightened.v1",
    ]  # fmt: skip
    assert ledger["entries"][1]["by"] == {"agency": "beacon", "worker": "wendy"}
    assert (await world.send("GET", "/v1/people/nobody/ledger", hub())).status_code == 404
    assert (await world.send("GET", f"/v1/people/{vera}/ledger", agency_of("beacon"))).status_code == 403


# --- away, and back from a copy


async def test_nobody_is_contacted_while_the_broker_is_not_heard(world: World) -> None:
    vera, c1 = world.new("vera"), world.new("c1")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    # What a broker that does not answer leaves behind: a note that grows old.
    await world.pool.execute("CREATE RULE deaf AS ON UPDATE TO door DO INSTEAD NOTHING")
    settings_of(world).deaf_seconds = 0.0
    try:
        for answer in (await world.ask(vera, c1), await world.redeem(permit)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert (await world.withdraw(vera))["state"] == "clean", "a withdrawal is taken all the same"
    finally:
        settings_of(world).deaf_seconds = 15.0
        await world.pool.execute("DROP RULE deaf ON door")


def settings_of(world: World) -> Settings:
    assert isinstance(world.service.settings, Settings)
    return world.service.settings


async def test_a_withdrawal_is_not_clean_while_what_was_handed_out_before_the_restore_can_be_used(
    world: World,
) -> None:
    await world.lead("vera", "c1")
    known = await world.attempt("vera", "c1", "no_answer")
    ends = {
        "lost": "2100-01-01T00:00:00Z",
        "over": "2020-01-01T00:00:00Z",
        known["permit"]: "2100-01-01T00:00:00Z",
    }
    handed_out = [{"permit": permit, "channel": "phone", "use_by": use_by} for permit, use_by in ends.items()]
    answer = await world.withdraw("vera", handed_out=handed_out)
    assert answer["state"] == "in_flight"
    assert [(one["permit"], one["channel"]) for one in answer["in_flight"]] == [("lost", "phone")]
    told = [data for kind, data in await world.events("vera") if kind == "consent.withdrawn"]
    assert told[0]["in_flight"] == ["lost"]


async def test_who_reopens_is_told_whose_no_still_stands(world: World) -> None:
    c1, cleo, paul = world.new("c1"), world.new("cleo"), world.new("paul")
    await world.refer(paul, c1, role="contact", speaks_for=(cleo,))
    await world.refer(cleo, c1, contact_persons=(paul,))
    await world.propose(c1, (paul, "beacon"), party=cleo)
    await world.clear(c1, cleo)
    rang = {"person": paul, "case": c1}
    beacon = agency_of("beacon")
    assert (
        await world.send("POST", "/v1/inbound-contacts", beacon, rang | {"answer": "declined"})
    ).status_code == 201
    asked = await world.send("POST", f"/v1/people/{paul}/reopenings", beacon, {"evidence": "letter-5"})
    assert asked.json()["still_closed"] == [{"person": cleo, "case": c1}]
    assert (
        kind(await world.send("POST", "/v1/inbound-contacts", beacon, rang | {"answer": "agreed"}))
        == "closed"
    )
    authority = {"evidence": "letter-5", "by": "recorded_authority"}
    opened = await world.send("POST", f"/v1/people/{cleo}/reopenings", beacon, authority)
    assert opened.json()["still_closed"] == []
    assert (
        await world.send("POST", "/v1/inbound-contacts", beacon, rang | {"answer": "agreed"})
    ).status_code == 201
    await world.granted(cleo, c1, contact_person=paul, purpose="conversation")
