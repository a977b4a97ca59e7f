"""A "no" is in force for releases at once, and reaches consent however long that takes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from services.intake.store import following
from shared.runtime.errors import Unavailable
from tests.integration.intake.helpers import Headers, harmed, kind, matched, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import party, referral
from tests.support.running import until
from tests.support.tokens import bearer


@pytest.fixture
def consent(intake: Intake) -> StandIn:
    return StandIn(intake)


@pytest.fixture
async def victim(intake: Intake, client: httpx.AsyncClient, police: Headers) -> tuple[str, str]:
    return await harmed(intake, await posted(intake, client, police, referral()))


def key(headers: dict[str, str], value: str) -> dict[str, str]:
    return {**headers, "Idempotency-Key": f'"{value}"'}


DETAILS = {
    "name": {"forenames": "Mary", "surname": "Wells"},
    "date_of_birth": "1971-03-09",
    "phones": [{"number": "07700 900123"}],
    "addresses": [{"postcode": "SG1 2AB"}],
}


async def test_a_withdrawal_by_person_is_clean(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    answer = await client.post("/v1/withdrawals", json={"person": victim[0]}, headers=key(care, "1"))
    assert (answer.status_code, answer.json()["outcome"]) == (201, "clean")
    again = await client.post("/v1/withdrawals", json={"person": victim[0]}, headers=key(care, "1"))
    assert again.json()["withdrawal"] == answer.json()["withdrawal"]
    assert len(consent.called("POST", "withdrawals")) == 1


async def test_what_was_under_way_is_named(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.in_flight = [{"permit": "p9", "channel": "phone"}]
    answer = await client.post(
        "/v1/withdrawals", json={"case": victim[1], "scope": "case", "role": "harmed"}, headers=key(care, "1")
    )
    assert (answer.status_code, answer.json()["outcome"], answer.json()["in_flight"][0]["permit"]) == (
        201,
        "in_flight",
        "p9",
    )
    assert consent.called("POST", "withdrawals")[0]["cases"] == [victim[1]]


async def test_consent_is_told_what_has_been_handed_out_and_may_still_be_used(
    client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    released = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert released.status_code == 200
    await client.post("/v1/withdrawals", json={"person": victim[0]}, headers=key(police, "1"))
    (told,) = consent.called("POST", "withdrawals")[0]["handed_out"]
    assert (told["permit"], told["channel"]) == ("p1", "phone")
    assert datetime.fromisoformat(told["use_by"]) == datetime.fromisoformat(released.json()["use_by"])


async def test_with_consent_away_it_is_recorded_bars_releases_and_is_repeated(
    client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.away = True
    answer = await client.post(
        "/v1/withdrawals", json={"reference": "R-1", "role": "harmed"}, headers=key(police, "1")
    )
    assert (answer.status_code, answer.json()["state"]) == (202, "recorded")
    consent.away = False
    refused = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert (refused.status_code, kind(refused)) == (409, "withdrawn")

    async def in_force() -> bool:
        state = await client.get(answer.headers["location"], headers=police)
        return bool(state.json()["state"] == "in_force")

    await until(in_force)
    sent = consent.called("POST", "/withdrawals")
    assert {body["withdrawal"] for body in sent} == {answer.json()["withdrawal"]}


async def test_a_no_in_a_case_of_which_nobody_says_whose_it_is_stops_both_until_somebody_does(
    intake: Intake,
    client: httpx.AsyncClient,
    police: Headers,
    care: Headers,
    consent: StandIn,
    victim: tuple[str, str],
) -> None:
    him = await intake.pool.fetchval("SELECT person FROM party WHERE role = 'responsible'")
    for number, (who, named) in enumerate({victim[0]: "harmed", him: "responsible"}.items()):
        body = {"case": victim[1], "scope": "case", "role": named}
        clear = await client.post("/v1/withdrawals", json=body, headers=key(care, f"c{number}"))
        assert (clear.status_code, consent.asked[-1][1]) == (201, f"/v1/people/{who}/withdrawals")
    await intake.pool.execute("DELETE FROM withdrawal_candidate")
    said = await client.post("/v1/withdrawals", json={"reference": "R-1"}, headers=key(police, "1"))
    assert (said.status_code, said.json()["state"]) == (202, "needs_person")
    for number, who in enumerate((victim[0], him)):
        consent.permit(f"p{number}", who, victim[1], "victim-care")
        wanted = {"permit": f"p{number}", "fence": 1}
        assert kind(await client.post("/v1/releases", json=wanted, headers=care)) == "withdrawn"
    hub = bearer("hub", "hub", worker="h1")
    (waiting,) = (await client.get("/v1/withdrawals", headers=hub)).json()["withdrawals"]
    assert (sorted(waiting["candidates"]), waiting["identifiers"]) == (sorted((victim[0], him)), None)
    path = f"/v1/withdrawals/{said.json()['withdrawal']}/resolution"
    decided = await client.post(path, json={"people": [him]}, headers=hub)
    assert (decided.json()["state"], consent.asked[-1][1]) == ("in_force", f"/v1/people/{him}/withdrawals")


async def test_by_details_that_are_clearly_hers(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    answer = await client.post("/v1/withdrawals", json={"identifiers": DETAILS}, headers=key(care, "1"))
    assert (answer.status_code, answer.json()["outcome"]) == (201, "clean")
    assert consent.asked[-1][1] == f"/v1/people/{victim[0]}/withdrawals"


async def test_by_details_that_may_be_hers_a_person_decides_and_nobody_approaches_meanwhile(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    unsure = {"name": {"forenames": "Mary", "surname": "Wells"}, "date_of_birth": "1971-03-09"}
    answer = await client.post("/v1/withdrawals", json={"identifiers": unsure}, headers=key(care, "1"))
    assert (answer.status_code, answer.json()["state"]) == (202, "needs_person")
    consent.permit("p1", *victim, "victim-care")
    refused = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert kind(refused) == "withdrawn"
    hub = bearer("hub", "hub", worker="h1")
    waiting = (await client.get("/v1/withdrawals", headers=hub)).json()["withdrawals"]
    assert waiting[0]["candidates"] == [victim[0]]
    path = f"/v1/withdrawals/{answer.json()['withdrawal']}/resolution"
    cleared = await client.post(path, json={"people": []}, headers=hub)
    assert cleared.json()["state"] == "recorded"
    assert (
        await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    ).status_code == 200
    # Somebody at her telephone, of whom nothing else is like her: among many people it would be taken for nobody known.
    at_hers = {"phones": [{"number": "07700 900123", "whose": "relative"}], "date_of_birth": "1999-12-31"}
    answer = await client.post("/v1/withdrawals", json={"identifiers": at_hers}, headers=key(care, "2"))
    assert (answer.status_code, answer.json()["state"]) == (202, "needs_person")
    waiting = (await client.get("/v1/withdrawals", headers=hub)).json()["withdrawals"]
    assert [one["candidates"] for one in waiting] == [[victim[0]]]


async def test_who_decides_whom_a_no_means_sees_what_was_said_and_decides_once(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    unsure = {"name": {"forenames": "Mary", "surname": "Wells"}, "date_of_birth": "1971-03-09"}
    answer = await client.post("/v1/withdrawals", json={"identifiers": unsure}, headers=key(care, "1"))
    hub = bearer("hub", "hub", worker="h1")
    listed = await client.get("/v1/withdrawals", headers=hub)
    assert listed.json()["withdrawals"][0]["identifiers"] == unsure
    assert listed.headers["cache-control"] == "no-store"
    reads = (await client.get(f"/v1/people/{victim[0]}/reads", headers=hub)).json()["reads"]
    assert [(read["worker"], read["what"]) for read in reads] == [("h1", "withdrawals.unclear")]
    path = f"/v1/withdrawals/{answer.json()['withdrawal']}/resolution"
    both: tuple[dict[str, list[str]], ...] = ({"people": [victim[0]]}, {"people": []})
    answers = await asyncio.gather(*(client.post(path, json=body, headers=hub) for body in both))
    assert sorted(one.status_code for one in answers) == [200, 404]
    assert await intake.pool.fetchval("SELECT count(*) FROM withdrawal WHERE sealed IS NOT NULL") == 0


async def test_a_no_that_nobody_in_particular_can_be_blocked_for_is_in_the_hubs_list(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    unsure = {"name": {"forenames": "Mary", "surname": "Wells"}, "date_of_birth": "1971-03-09"}
    answer = await client.post("/v1/withdrawals", json={"identifiers": unsure}, headers=key(care, "1"))
    # As with a name that too many people have.
    await intake.pool.execute("DELETE FROM withdrawal_candidate")
    hub = bearer("hub", "hub", worker="h1")
    (listed,) = (await client.get("/v1/withdrawals", headers=hub)).json()["withdrawals"]
    assert (listed["withdrawal"], listed["candidates"]) == (answer.json()["withdrawal"], [])


async def test_nothing_is_kept_of_what_was_said_where_nobody_has_to_decide(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn
) -> None:
    answer = await client.post("/v1/withdrawals", json={"identifiers": DETAILS}, headers=key(care, "1"))
    assert (answer.status_code, answer.json()["state"]) == (202, "recorded")
    assert await intake.pool.fetchval("SELECT key IS NULL AND sealed IS NULL FROM withdrawal")


async def test_a_no_by_the_reference_of_a_referral_that_is_still_worked_out_is_to_be_sent_again(
    intake: Intake, client: httpx.AsyncClient, police: Headers, consent: StandIn
) -> None:
    async with intake.pool.acquire() as another, another.transaction():
        await another.execute("LOCK TABLE blocking_key")
        posted_ = await client.post("/v1/referrals", json=referral(), headers=police)
        assert posted_.status_code == 202
        early = await client.post(
            "/v1/withdrawals", json={"reference": "R-1", "role": "harmed"}, headers=key(police, "1")
        )
        assert (early.status_code, "retry-after" in early.headers) == (503, True)
        unknown = await client.post("/v1/withdrawals", json={"reference": "R-9"}, headers=key(police, "2"))
        assert unknown.status_code == 404
    await matched(intake, 1)
    again = await client.post(
        "/v1/withdrawals", json={"reference": "R-1", "role": "harmed"}, headers=key(police, "1")
    )
    assert (again.status_code, again.json()["outcome"]) == (201, "clean")


async def test_a_successor_reads_the_withdrawals_of_its_predecessor(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    made = await client.post("/v1/withdrawals", json={"person": victim[0]}, headers=key(care, "1"))
    path = f"/v1/withdrawals/{made.json()['withdrawal']}"
    heir = bearer("new-care", "withdrawals.write")
    assert (await client.get(path, headers=heir)).status_code == 404
    async with intake.pool.acquire() as connection:
        await following.save_succession(
            connection, [("victim-care", "new-care", datetime.now(UTC) - timedelta(days=1))]
        )
    assert (await client.get(path, headers=heir)).json()["state"] == "in_force"


async def test_the_link_of_somebody_whom_a_later_version_leaves_out_still_says_no(
    intake: Intake, client: httpx.AsyncClient, police: Headers, consent: StandIn
) -> None:
    parent = {"relation": "parent", "name": {"full": "Dora Wells"}, "phones": [{"number": "07700 900999"}]}
    child = party(date_of_birth="2015-06-01", contact_person=parent)
    number = await posted(intake, client, police, referral(parties=[child]))
    _, case = await harmed(intake, number)
    mother = await intake.pool.fetchval("SELECT person FROM party WHERE contact")
    internal = bearer("notifications", "internal", kind="service")
    made = await client.post(f"/v1/people/{mother}/withdrawal-link?case={case}", headers=internal)
    await posted(intake, client, police, referral(version=2, parties=[party(date_of_birth="2015-06-01")]))
    acted = await client.post("/v1" + made.json()["url"].partition("/v1")[2], data={"scope": "case"})
    assert acted.status_code == 200, acted.text
    assert consent.asked[-1][1] == f"/v1/people/{mother}/withdrawals"


async def test_a_no_of_somebody_not_known_yet_holds_the_later_referral(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn
) -> None:
    answer = await client.post("/v1/withdrawals", json={"identifiers": DETAILS}, headers=key(care, "1"))
    assert (answer.status_code, answer.json()["state"]) == (202, "recorded")
    person, case = await harmed(intake, await posted(intake, client, police, referral(parties=[party()])))
    held = await intake.pool.fetch("SELECT reason FROM hold WHERE person = $1 AND lifted_at IS NULL", person)
    assert [row["reason"] for row in held] == ["suppressed"]
    consent.permit("p1", person, case, "victim-care")
    refused = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert kind(refused) == "on-hold"
    # Whoever weighs it has weighed it: a later version does not ask again, unless it says what nobody had before them.
    hub = bearer("hub", "hub", worker="h1")
    number = await intake.pool.fetchval("SELECT id::text FROM referral")
    (hold,) = (await client.get(f"/v1/referrals/{number}/holds", headers=hub)).json()["holds"]
    path = f"/v1/referrals/{number}/holds/{hold['hold']}/release"
    body, match = {"reason": "another_mary"}, {"If-Match": f'"{hold["version"]}"'}
    lifted = await client.post(path, json=body, headers={**hub, **match})
    assert lifted.status_code == 200, lifted.text
    held_again = []
    numbers = [{"number": "07700 900123"}, {"number": "07700 900777"}]
    for version, parties in enumerate(([party(vulnerable=True)], [party(phones=numbers)]), start=2):
        await posted(intake, client, police, referral(version=version, parties=parties))
        rows = await intake.pool.fetch("SELECT reason FROM hold WHERE lifted_at IS NULL")
        held_again.append([row["reason"] for row in rows])
        if version == 2:
            other = {"name": {"full": "Nora Stone"}, "phones": numbers[1:]}
            said = await client.post("/v1/withdrawals", json={"identifiers": other}, headers=key(care, "2"))
            assert said.json()["state"] == "recorded"
    assert held_again == [[], ["suppressed"]]


async def test_an_old_link_says_no_again_to_whoever_has_come_back_since(
    intake: Intake, client: httpx.AsyncClient, consent: StandIn, victim: tuple[str, str], care: Headers
) -> None:
    person, case = victim
    internal = bearer("notifications", "internal", kind="service")
    made = await client.post(f"/v1/people/{person}/withdrawal-link?case={case}", headers=internal)
    path = "/v1" + made.json()["url"].partition("/v1")[2]
    assert (await client.post(path, data={"scope": "everything"})).status_code == 200
    async with intake.pool.acquire() as connection:
        await following.reopen(connection, [(person, (case,))])
    consent.permit("p1", person, case, "victim-care")
    await intake.pool.execute("UPDATE clock SET shift = shift + interval '2 minutes'")
    try:
        assert (await client.post(path, data={"scope": "everything"})).status_code == 200
        refused = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
        assert kind(refused) == "withdrawn"
    finally:
        await intake.pool.execute("UPDATE clock SET shift = '0'")
    assert len(consent.called("POST", "withdrawals")) == 2


async def test_a_no_by_a_link_that_cannot_be_written_down_says_so_in_words(
    intake: Intake, client: httpx.AsyncClient, victim: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    internal = bearer("notifications", "internal", kind="service")
    made = await client.post(f"/v1/people/{victim[0]}/withdrawal-link", headers=internal)

    async def away(*_args: object, **_more: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(intake, "once", away)
    path = "/v1" + made.json()["url"].partition("/v1")[2]
    told = await client.post(f"{path}?language=cy", data={"scope": "everything"})
    assert (told.status_code, told.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "Ni allem nodi hyn" in told.text


async def test_the_link_in_a_message_shows_on_get_and_acts_on_post(
    client: httpx.AsyncClient, consent: StandIn, victim: tuple[str, str]
) -> None:
    internal = bearer("notifications", "internal", kind="service")
    made = await client.post(f"/v1/people/{victim[0]}/withdrawal-link?case={victim[1]}", headers=internal)
    path = "/v1" + made.json()["url"].partition("/v1")[2]
    shown = await client.get(path)
    assert "Stop contacting me" in shown.text
    assert consent.called("POST", "withdrawals") == []
    welsh = await client.get(f"{path}?language=cy")
    assert "Stopiwch gysylltu â mi" in welsh.text
    assert 'lang="cy"' in welsh.text
    acted = await client.post(f"{path}?language=pl", data={"scope": "case"})
    assert (acted.status_code, acted.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "w sprawie, której dotyczyła" in acted.text, "of other matters they may still hear"
    # What a mail program makes of the end of a link does not stand in the way of a no.
    await client.post(f"{path}?language=cy.", data={"scope": "case"})
    assert [body["by"] for body in consent.called("POST", "withdrawals")] == ["link"]
    tampered = await client.post(path[:-4] + "AAAA", data={"scope": "everything"})
    assert tampered.status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"person": "a", "reference": "b"}, {"identifiers": {}}, {"person": "a", "scope": "case"}]
)
async def test_who_withdraws_must_be_said_once(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, body: dict[str, Any]
) -> None:
    answer = await client.post("/v1/withdrawals", json=body, headers=key(care, "1"))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["remedy"]


async def test_who_takes_part_in_one_case_again_stays_withdrawn_from_the_others(
    intake: Intake,
    client: httpx.AsyncClient,
    police: Headers,
    care: Headers,
    consent: StandIn,
    victim: tuple[str, str],
) -> None:
    person, case = victim
    later = referral("R-2", incident={"offence_class": "theft", "on": "2026-05-20", "area": "E23000027"})
    same, other = await harmed(intake, await posted(intake, client, police, later))
    assert (same, other != case) == (person, True)
    gone = await client.post("/v1/withdrawals", json={"person": person}, headers=key(care, "1"))
    assert gone.json()["state"] == "in_force"
    async with intake.pool.acquire() as connection:
        await following.reopen(connection, [(person, (case,))])
        await following.reopen(connection, [(person, (case,))])  # a topic that is told again
    for permit, of in (("p1", case), ("p2", other)):
        consent.permit(permit, person, of, "victim-care")
    refused = await client.post("/v1/releases", json={"permit": "p2", "fence": 1}, headers=care)
    assert (refused.status_code, kind(refused)) == (409, "withdrawn")
    allowed = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert allowed.status_code == 200, allowed.text
    await client.post("/v1/withdrawals", json={"person": person}, headers=key(care, "2"))
    consent.permit("p3", person, case, "victim-care")
    again = await client.post("/v1/releases", json={"permit": "p3", "fence": 1}, headers=care)
    assert kind(again) == "withdrawn", "a new withdrawal knows of no exception"
