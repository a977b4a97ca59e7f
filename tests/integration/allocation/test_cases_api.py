"""What agencies see and do over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.allocation.store.policies import Policies
from shared.contracts.consent import AttemptRecorded, PersonReached
from shared.contracts.referrals import PartyFact, ReferralChanged
from tests.integration.allocation.conftest import World, referral
from tests.support.running import until

CO_ORDINATOR = "herts-rj-coordinator"


async def test_each_agency_sees_its_part_and_no_more(world: World) -> None:
    await world.allocate("s1", sharing_agreement="hertfordshire-2026")
    lead = (await world.get("/v1/cases/s1", "beacon")).json()
    assert [p.get("party") for p in lead["parties"]] == ["anna-s1", None]
    assert lead["why"][0].startswith("Lead for the harmed party: Beacon")
    hub = (await world.get("/v1/cases/s1", CO_ORDINATOR, "cases.read", "hub")).json()
    assert {p["agency"] for p in hub["parties"]} == {"beacon", "mediation-hertfordshire"}
    assert any("passed over" in line or "not by" in line for line in hub["decisions"][0]["why"])
    referrer = (await world.get("/v1/cases/s1", "hertfordshire-constabulary")).json()
    assert referrer["leads"] == ["beacon", "mediation-hertfordshire"]
    assert "parties" not in referrer
    assert "why" not in referrer
    for agency in ("bench-crc", "nobody"):
        assert (await world.get("/v1/cases/s1", agency)).status_code == 404
    # A co-ordinator without the scope of a hub is nobody here.
    assert (await world.get("/v1/cases/s1", CO_ORDINATOR)).status_code == 404


async def test_without_an_agreement_a_referrer_sees_the_status_only(world: World) -> None:
    await world.allocate("s2")
    seen = (await world.get("/v1/cases/s2", "hertfordshire-constabulary")).json()
    assert set(seen) == {"case", "status", "relations", "referrals"}


async def test_the_list_is_paged_and_filtered(world: World) -> None:
    for name in ("l1", "l2", "l3"):
        await world.allocate(name)
    first = (await world.get("/v1/cases?limit=2", "beacon")).json()
    assert [entry["case"] for entry in first["cases"]] == ["l3", "l2"]
    second = (await world.get(f"/v1/cases?limit=2&cursor={first['next']}", "beacon")).json()
    assert [entry["case"] for entry in second["cases"]] == ["l1"]
    assert (await world.get("/v1/cases?status=closed", "beacon")).json()["cases"] == []
    assert (await world.get("/v1/cases?cursor=x", "beacon")).status_code == 422
    assert (await world.get("/v1/cases", "bench-crc")).json()["cases"] == []


async def test_accepted_by_its_lead_and_by_nobody_else(world: World) -> None:
    await world.allocate("a1")
    assert (await world.change("a1", "acceptance", "bench-crc")).status_code == 404
    assert (await world.change("a1", "acceptance", "hertfordshire-constabulary")).status_code == 403
    accepted = await world.change("a1", "acceptance", "beacon", {"worker": "w1"})
    assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")
    assert (await world.change("a1", "acceptance", "beacon", {"worker": "w2"})).status_code == 409


async def test_a_stale_or_missing_etag(world: World) -> None:
    await world.allocate("t1")
    stale = await world.send("POST", "/v1/cases/t1/acceptance", "beacon", "cases.write", etag='"1"', json={})
    assert (stale.status_code, stale.headers["etag"]) == (412, '"3"')
    missing = await world.send("POST", "/v1/cases/t1/acceptance", "beacon", "cases.write", json={})
    assert missing.status_code == 428
    wrong = await world.send("POST", "/v1/cases/t1/acceptance", "beacon", "cases.write", etag="x", json={})
    assert wrong.status_code == 400


async def test_a_check_is_asked_answered_once_and_clears(world: World) -> None:
    parties = (
        PartyFact(person="anna-k1", role="harmed"),
        PartyFact(person="ben-k1", role="responsible", supervising_agency="bench-crc"),
    )
    await world.refer("k1", parties=parties)
    await world.wait("k1", "case.proposed")
    await world.assign("k1")
    told = await world.wait("k1", "case.proposed", "case.allocated", "check.requested", "case.cleared")
    assert [p["party"] for p in told["case.cleared"]["parties"]] == ["ben-k1"]
    (check,) = (await world.get("/v1/checks", "bench-crc")).json()["checks"]
    path = f"/v1/checks/{check['check_id']}"
    assert check["question"].startswith("Has the person admitted")
    assert (await world.get(path, "beacon")).status_code == 404
    etag = (await world.get(path, "bench-crc")).headers["etag"]
    foreign = await world.send(
        "PUT", f"{path}/answer", "beacon", "cases.write", etag=etag, json={"satisfied": True}
    )
    assert foreign.status_code == 404
    yes = {"satisfied": True}
    done = await world.send("PUT", f"{path}/answer", "bench-crc", "cases.write", etag=etag, json=yes)
    assert done.status_code == 200, done.text
    again = await world.send(
        "PUT", f"{path}/answer", "bench-crc", "cases.write", etag=done.headers["etag"], json=yes
    )
    assert again.status_code == 200
    no = await world.send(
        "PUT",
        f"{path}/answer",
        "bench-crc",
        "cases.write",
        etag=done.headers["etag"],
        json={"satisfied": False},
    )
    assert no.status_code == 409
    names = [name for name, _ in await world.events("k1")]
    assert names[-2:] == ["check.answered", "case.cleared"]


async def test_a_hub_asks_more_and_the_case_pauses_until_it_is_answered(world: World) -> None:
    await world.allocate("k2")
    body = {"kind": "risk_meeting", "of": CO_ORDINATOR, "party": "anna-k2"}
    key = '"k2-meeting"'
    first = await world.send("POST", "/v1/cases/k2/checks", CO_ORDINATOR, "hub", json=body, key=key)
    assert first.status_code == 201, first.text
    replay = await world.send("POST", "/v1/cases/k2/checks", CO_ORDINATOR, "hub", json=body, key=key)
    assert replay.json() == first.json()
    assert (await world.events("k2"))[-1][0] == "case.paused"
    path = f"/v1/checks/{first.json()['check']}"
    etag = (await world.get(path, CO_ORDINATOR)).headers["etag"]
    done = await world.send(
        "PUT", f"{path}/answer", CO_ORDINATOR, "cases.write", "hub", etag=etag, json={"satisfied": True}
    )
    assert done.status_code == 200, done.text
    assert [name for name, _ in await world.events("k2")][-3:] == [
        "check.answered",
        "case.cleared",
        "case.resumed",
    ]


async def test_a_case_that_no_rule_places_is_decided_by_the_arbiter(world: World) -> None:
    await world.refer("j1", area="dyfed-powys")
    told = await world.wait("j1", "case.needs_decision")
    assert told["case.needs_decision"]["reason"] == "jurisdiction"
    arbiter = told["case.needs_decision"]["hub"]
    wrong = await world.change("j1", "decision", arbiter, {"kind": "jurisdiction", "partnership": "x"}, "hub")
    assert wrong.status_code == 422
    body = {"kind": "jurisdiction", "partnership": "sussex"}
    done = await world.change("j1", "decision", arbiter, body, "hub")
    assert done.status_code == 200, done.text
    assert (await world.events("j1"))[-1][1]["partnership"] == "sussex"


async def test_identified_later_and_only_then_cleared(world: World) -> None:
    """A hold of the facts: nothing admitted, until a later version says otherwise."""
    parties = (
        PartyFact(person="a-h1", role="harmed"),
        PartyFact(person="b-h1", role="responsible", admitted=False),
    )
    facts = await world.refer("h1", parties=parties)
    await world.wait("h1", "case.paused", "case.proposed")
    await world.assign("h1")
    await world.wait("h1", "case.paused", "case.proposed", "case.allocated", "case.cleared")
    admitted = (parties[0], PartyFact(person="b-h1", role="responsible", admitted=True))
    later = referral("h1", parties=admitted, version=2, received_at=facts.received_at)
    await world.tell("h1", ReferralChanged(facts=later, changed=("parties",)))

    async def cleared() -> bool:
        return (await world.events("h1"))[-1][0] == "case.cleared" and len(await world.events("h1")) == 6

    await until(cleared)
    assert [name for name, _ in await world.events("h1")][-2:] == ["case.resumed", "case.cleared"]


async def test_outcomes_and_the_commissioners_figures_equal_the_journal(world: World) -> None:
    for name in ("o1", "o2", "o3"):
        await world.allocate(name)
    attempt = AttemptRecorded(permit="p", case="o1", agency="beacon", channel="phone", outcome="agreed")
    reached = PersonReached(answer="agreed", case="o1", began="agency", agency="beacon")
    await world.tell("anna-o1", attempt, reached)
    await world.tell("anna-o2", PersonReached(answer="declined", case="o2", began="agency", agency="beacon"))

    async def told() -> bool:
        return (
            int(await world.pool.fetchval("SELECT count(*) FROM case_fact WHERE fact = 'harmed_reached'"))
            == 2
        )

    await until(told)
    body = {"form": "conference", "agreement": True, "kinds": ["apology"], "satisfied": True}
    key = '"o1"'
    path = "/v1/cases/o1/outcomes"
    first = await world.send("POST", path, "beacon", "cases.write", json=body, key=key)
    assert first.status_code == 201, first.text
    assert (
        await world.send("POST", path, "beacon", "cases.write", json=body, key=key)
    ).json() == first.json()
    assert (await world.send("POST", path, "bench-crc", "cases.write", json=body)).status_code == 404
    figures = (await world.get("/v1/measures?area=hertfordshire", "opcc", "commissioner")).json()["measures"]
    value = {one["measure"]: one.get("value", one.get("values")) for one in figures}
    assert all(one["definition"] for one in figures)
    count = "SELECT count(*) FROM journal WHERE type = $1"
    assert value["cases_allocated"] == await world.pool.fetchval(count, "case.allocated.v1") == 3
    assert value["outcomes"]["conference"] == await world.pool.fetchval(count, "outcome.recorded.v1") == 1
    assert value["referrals"] == {"hertfordshire-constabulary": 3}
    assert value["victims_offered"] == 2
    assert value["victims_answers"] == {"agreed": 1, "declined": 1}
    assert value["conversion_percent"] == pytest.approx(33.3)
    assert (value["agreements_made"], value["victims_satisfied"]) == ({"apology": 1}, {"yes": 1})
    assert value["days_to_first_contact"] is not None
    elsewhere = (await world.get("/v1/measures?area=sussex", "opcc", "commissioner")).json()["measures"]
    assert all(not one.get("value") and not one.get("values") for one in elsewhere)
    table = await world.get("/v1/measures?format=csv", "opcc", "commissioner")
    assert table.text.splitlines()[0].startswith("measure,by,group,value")
    assert (await world.get("/v1/measures", "beacon", "cases.read")).status_code == 403


async def test_bad_input_names_the_field(world: World) -> None:
    await world.allocate("b1")
    bodies: list[tuple[str, dict[str, Any], str]] = [
        ("acceptance", {"wrker": "x"}, "wrker"),
        ("pause", {"reason": "Mary Wells is upset"}, "reason"),
        ("pause", {"reason": "x", "until": "2026-01-01"}, "until"),
        ("closure", {}, "reason"),
    ]
    for what, body, field in bodies:
        answer = await world.change("b1", what, "beacon", body)
        assert answer.status_code == 422, (what, answer.text)
        assert answer.json()["errors"][0]["field"] == field
        assert "Mary" not in answer.text


async def test_a_dry_run_shows_what_would_differ_and_changes_nothing(world: World) -> None:
    await world.allocate("d1")
    text = Policies.of_process().files["hertfordshire.yaml"]
    changed = text.replace("    agency: beacon\n    team: Victim Services Team\n", "    agency: bench-crc\n")
    assert changed != text
    path = "/v1/policies/hertfordshire/dry-run"
    before = len(await world.events("d1"))
    found = (await world.send("POST", path, CO_ORDINATOR, "hub", json={"text": changed})).json()
    assert (found["tried"], found["differing"]) == (1, 1)
    lead = next(d for d in found["cases"][0]["differences"] if d["what"].startswith("lead of harmed"))
    assert (lead["is"], lead["would_be"]) == ("beacon", "bench-crc")
    same = (await world.send("POST", path, CO_ORDINATOR, "hub", json={"text": text})).json()
    assert same["differing"] == 0
    broken = await world.send(
        "POST", path, CO_ORDINATOR, "hub", json={"text": text.replace("because:", "becos:")}
    )
    assert broken.status_code == 422
    assert broken.json()["errors"][0]["field"].startswith("hertfordshire.yaml:")
    assert len(await world.events("d1")) == before


async def test_two_accept_at_once_and_one_is_told_that_it_was_late(world: World) -> None:
    await world.allocate("a2")
    etag = (await world.get("/v1/cases/a2", "beacon")).headers["etag"]
    answers = await asyncio.gather(
        *(
            world.send(
                "POST", "/v1/cases/a2/acceptance", "beacon", "cases.write", etag=etag, json={"worker": worker}
            )
            for worker in ("w1", "w2")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert [name for name, _ in await world.events("a2")].count("case.accepted") == 1


async def test_after_an_outcome_a_case_is_closed_and_not_returned(world: World) -> None:
    await world.allocate("a3")
    outcome = {"form": "conference", "agreement": False}
    done = await world.send("POST", "/v1/cases/a3/outcomes", "beacon", "cases.write", json=outcome)
    assert done.status_code == 201, done.text
    returned = await world.change("a3", "return", "beacon", {"reason": "no_capacity"})
    assert returned.status_code == 409
    assert "close it instead" in returned.json()["detail"]
    assert "case.returned" not in [name for name, _ in await world.events("a3")]
