"""P3 Sussex, through the public API of all four services. Source: rjc-multi-agency-partnerships, area 3."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import LONDON, Onefriend
from tests.e2e.steps import SUSSEX, Case, refer, referral, register, withdraw
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICE, SUPPORT = "sussex-police", "victim-support-sussex"
WEST, EAST, BRIGHTON = "E10000032", "E10000011", "E06000043"


async def asked(case: Case, count: int) -> list[dict[str, Any]]:
    """Wait until so many checks are asked."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await case.checks()
        return len(found) >= count

    await until(there, every=0.1)
    assert len(found) == count, found
    return found


async def answered(case: Case, count: int) -> None:
    """Every agency that was asked answers."""
    for check in await asked(case, count):
        await case.answer_check(check["of_agency"], check["check_id"])


@pytest.mark.parametrize(
    ("area", "hub"), [(WEST, "hub-bognor-regis"), (EAST, "hub-bexhill"), (BRIGHTON, "hub-brighton")]
)
async def test_every_referral_enters_the_hub_of_its_area(onefriend: Onefriend, area: str, hub: str) -> None:
    """Three hubs by area: the local authority's ONS code says which."""
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(SUSSEX, *parties, incident={"area": area}, stage="caution")
    (case,) = await refer(onefriend, POLICE, document)
    await case.allocated(hub)
    await case.allocated(hub, "responsible")


async def test_nobody_is_approached_before_the_research_is_answered(onefriend: Onefriend) -> None:
    """The usual case: four agencies are asked, with due dates; when the last has answered, the hub may."""
    document = referral(
        SUSSEX, onefriend.stranger(), onefriend.stranger("responsible"), incident={"area": WEST},
        stage="community_order", initiated_by="harmed",
    )  # fmt: skip
    (case,) = await refer(onefriend, SUPPORT, document)
    hub = "hub-bognor-regis"
    entry = await case.allocated(hub)
    checks = await asked(case, 4)
    assert sorted(c["of_agency"] for c in checks) == ["kss-crc", "nps-sussex", POLICE, SUPPORT]
    assert {c["kind"] for c in checks} == {"research"}
    today = datetime.now(LONDON).date()
    for check in checks:
        told = await onefriend.wait_for(
            check["of_agency"], "check.requested", case.id, check=check["check_id"]
        )
        due = date.fromisoformat(told["data"]["due"][:10])
        # Five working days, from whatever day the clock of the test stands at.
        assert today + timedelta(days=5) <= due <= today + timedelta(days=21), (today, due)
    for check in checks[:-1]:
        await case.refused(hub, entry["party"], "not-cleared")
        await case.answer_check(check["of_agency"], check["check_id"])
    other = await onefriend.call(
        "allocation", "GET", f"/v1/checks/{checks[-1]['check_id']}", "sussex-pathways"
    )
    assert other.status_code == 404, other.text
    await case.answer_check(checks[-1]["of_agency"], checks[-1]["check_id"])
    await onefriend.wait_for(hub, "case.cleared", case.id)
    await case.contact(hub, entry["party"], "agreed")


async def test_an_offender_in_prison_asks_and_the_prison_says_who_its_contacts_are(
    onefriend: Onefriend,
) -> None:
    """Offender-led, from HMP Ford: the prison is asked too, and he is reached by letter, visit or video."""
    ben = onefriend.stranger("responsible", custody_agency="hmp-ford", willing=True)
    document = referral(
        SUSSEX,
        onefriend.stranger(),
        ben,
        incident={"area": EAST},
        stage="custody",
        initiated_by="responsible",
    )
    (case,) = await refer(onefriend, "hmp-ford", document)
    hub = "hub-bexhill"
    offender = await case.allocated(hub, "responsible")
    assert "hmp-ford" in {c["of_agency"] for c in await asked(case, 4)}
    await case.refused(hub, offender["party"], "not-cleared", channel="letter")
    await answered(case, 4)
    await case.refused(hub, offender["party"], "channel-unsafe", channel="phone")
    await case.contact(hub, offender["party"], "agreed", channel="visit")


async def test_a_young_offender_in_brighton(onefriend: Onefriend) -> None:
    """Brighton's youth offending service delivers and pays; the hub leads, and the boy's mother is whom it asks."""
    mother = {k: v for k, v in onefriend.stranger().items() if k != "role"}
    boy = onefriend.stranger(
        "responsible", date_of_birth="2011-01-15", phones=[], contact_person={**mother, "relation": "parent"}
    )
    document = referral(
        SUSSEX, onefriend.stranger(), boy, incident={"area": BRIGHTON}, stage="community_order",
        initiated_by="court",
    )  # fmt: skip
    (case,) = await refer(onefriend, POLICE, document)
    offender = await case.allocated("hub-brighton", "responsible")
    seen = (await case.read("hub-brighton")).json()
    assert (seen["funder"], seen["delivery"]["agencies"][0]) == ("brighton-yos", "brighton-yos")
    assert offender["data"]["person"] != offender["party"]


async def test_a_hate_crime_goes_to_the_divisional_meeting_after_the_research(onefriend: Onefriend) -> None:
    """Sensitive: the meeting is asked only when the research is there; its answer clears the case."""
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(
        SUSSEX, *parties, incident={"area": BRIGHTON, "offence_class": "hate"}, stage="conditional_caution"
    )
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated("hub-brighton")

    async def open_checks(kind: str) -> list[dict[str, Any]]:
        return [c for c in await case.checks() if c["kind"] == kind and c["open"]]

    await until(lambda: _some(open_checks("research")), every=0.1)
    assert await open_checks("approval") == []
    for check in await open_checks("research"):
        await case.answer_check(check["of_agency"], check["check_id"])
    await until(lambda: _some(open_checks("approval")), every=0.1)
    (meeting,) = await open_checks("approval")
    assert meeting["of_agency"] == "hub-brighton"
    await case.refused("hub-brighton", entry["party"], "not-cleared")
    await case.answer_check("hub-brighton", meeting["check_id"])
    await case.permit("hub-brighton", entry["party"])


async def _some(found: Any) -> bool:
    return bool(await found)


async def test_facilitators_of_two_agencies_and_one_lead(onefriend: Onefriend) -> None:
    """Every case is co-facilitated across agencies: both see it, only the hub that leads gets a permit."""
    await register(onefriend, "calm", "provider")
    worker = {"agency": "calm", "named": False, "details": {"roles": ["facilitator"]}}
    put = await onefriend.call(
        "allocation", "PUT", "/v1/workers/calm-1", "onefriend", "operator", json=worker
    )
    assert put.status_code == 200, put.text
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(SUSSEX, *parties, incident={"area": WEST}, stage="caution")
    (case,) = await refer(onefriend, POLICE, document)
    hub = "hub-bognor-regis"
    entry = await case.allocated(hub)
    assert (await case.read(hub)).json()["delivery"].get("facilitators", 2) == 2
    team = await case.change("PUT", "team", hub, {"members": ["calm-1"]})
    assert team.status_code == 200, team.text
    assert (await case.read("calm")).json()["relations"] == ["team"]
    await answered(case, 2)
    await onefriend.wait_for(hub, "case.cleared", case.id)
    await case.refused("calm", entry["party"], "not-found", worker="calm-1")
    await case.permit(hub, entry["party"])


async def test_she_withdraws_while_the_research_is_open(onefriend: Onefriend) -> None:
    """Midway: nothing was under way; the answers that come later clear nothing."""
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(SUSSEX, *parties, incident={"area": EAST}, stage="caution")
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated("hub-bexhill")
    await asked(case, 2)
    state = await withdraw(onefriend, SUPPORT, entry["party"])
    assert state["outcome"] == "clean", state
    await onefriend.wait_for("hub-bexhill", "consent.withdrawn", case.id)
    await case.refused("hub-bexhill", entry["party"], "withdrawn", "no-lead", "case-closed")
