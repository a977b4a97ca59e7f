"""People: details corrected, doubts decided and undone, everything exported or erased, every reading recorded."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from services.intake.store import following
from tests.integration.intake.helpers import Headers, by_two, events, harmed, kind, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import party, referral
from tests.support.running import until
from tests.support.tokens import bearer

HUB = ("hub", "referrals.read")
READS = (*HUB, "referrals.write")
HERTS = "herts-rj-coordinator"  # who shares with those two under an agreement
INCIDENT = {
    "offence_class": "burglary",
    "reference": "41/1234/26",
    "force": "41",
    "on": "2026-03-02",
    "area": "E23000027",
}


@pytest.fixture
def hub() -> dict[str, str]:
    return bearer("hub", *HUB, worker="h1")


@pytest.fixture
def consent(intake: Intake) -> StandIn:
    return StandIn(intake)


def key(headers: dict[str, str], value: str) -> dict[str, str]:
    return {**headers, "Idempotency-Key": f'"{value}"'}


def doubtful() -> dict[str, Any]:
    """Return Mary Wells again, with no more than her name and birth date: never joined by machine."""
    return party(addresses=[], phones=[], emails=[], name={"forenames": "Mary Ann", "surname": "Wells"})


async def review_of(client: httpx.AsyncClient, hub: Headers) -> dict[str, Any]:
    found = (await client.get("/v1/match-reviews", headers=hub)).json()["reviews"]
    assert len(found) == 1, found
    return dict(found[0])


async def test_a_name_and_a_birth_date_alone_are_held_for_a_person(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    assert second[0] != first[0]
    review = await review_of(client, hub)
    assert (review["person"], review["candidates"]) == (second[0], [first[0]])
    assert {line["field"] for line in review["evidence"]} >= {"surname", "date_of_birth"}
    held = (await client.get(f"/v1/people/{second[0]}", headers=hub)).json()
    assert list(held["holds"].values()) == ["identity_doubtful"]
    assert not (await client.get(f"/v1/people/{first[0]}", headers=hub)).json()["on_hold"]


async def test_the_same_human_is_linked_and_her_two_cases_become_one(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    police, care, hub = (
        bearer(a, *READS, worker="h1") for a in ("hertfordshire-constabulary", "beacon", HERTS)
    )
    first = await harmed(intake, await posted(intake, client, police, referral()))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    review = await review_of(client, hub)
    sides = await client.get(f"/v1/match-reviews/{review['id']}", headers=hub)
    assert [side["records"][0]["sent"]["name"]["surname"] for side in sides.json()["sides"]] == [
        "Wells",
        "Wells",
    ]
    path = f"/v1/match-reviews/{review['id']}/decision"
    body = {"answer": "same", "reason": "spoke_to_both"}
    stale = await client.post(path, json=body, headers={**hub, "If-Match": '"9"'})
    assert stale.status_code == 412
    decided = await client.post(path, json=body, headers={**hub, "If-Match": sides.headers["etag"]})
    assert decided.status_code == 200, decided.text
    told = await events(intake, "people")
    assert {
        (first[0], "person.linked"),
        (second[0], "person.linked"),
        (second[0], "person.hold_lifted"),
    } <= set(told)
    assert (second[1], "case_file.joined") in await events(intake, "referrals")
    again = await client.post(path, json=body, headers={**hub, "If-Match": '"2"'})
    assert (again.status_code, kind(again)) == (409, "decided")


async def test_a_third_referral_meets_linked_people_as_one(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    review = await review_of(client, hub)
    body = {"answer": "same", "reason": "spoke_to_both"}
    await client.post(
        f"/v1/match-reviews/{review['id']}/decision", json=body, headers={**hub, "If-Match": '"1"'}
    )
    third = await harmed(intake, await posted(intake, client, care, referral("V-2", parties=[party()])))
    assert third[0] in (first[0], second[0])
    assert third[1] == first[1]


async def test_told_apart_is_never_joined_again_by_machine(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    await posted(intake, client, police, referral())
    other = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    review = await review_of(client, hub)
    body = {"answer": "different", "reason": "two_people"}
    await client.post(
        f"/v1/match-reviews/{review['id']}/decision", json=body, headers={**hub, "If-Match": '"1"'}
    )
    await posted(intake, client, care, referral("V-1", version=2, parties=[doubtful()], stage="licence"))
    assert (await client.get("/v1/match-reviews", headers=hub)).json()["reviews"] == []
    assert not (await client.get(f"/v1/people/{other[0]}", headers=hub)).json()["on_hold"]


async def test_a_link_is_undone_by_two_people(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    review = await review_of(client, hub)
    body = {"answer": "same", "reason": "spoke_to_both"}
    await client.post(
        f"/v1/match-reviews/{review['id']}/decision", json=body, headers={**hub, "If-Match": '"1"'}
    )
    seen = await client.get(f"/v1/people/{first[0]}", headers=hub)
    assert seen.json()["links"] == [second[0]]
    path = f"/v1/people/{first[0]}/links/{second[0]}"
    match = {**hub, "If-Match": seen.headers["etag"]}
    for _ in range(2):
        assert (await client.delete(path, headers=match)).status_code == 202, "nobody seconds themselves"
    nobody = {**bearer("hub", "hub"), "If-Match": seen.headers["etag"]}
    assert (await client.delete(path, headers=nobody)).status_code == 422
    assert (await client.get(f"/v1/people/{first[0]}", headers=hub)).json()["links"] == [second[0]]
    other_way = f"/v1/people/{second[0]}/links/{first[0]}"
    seen = await client.get(f"/v1/people/{second[0]}", headers=hub)
    match = {**bearer("hub", *HUB, worker="h2"), "If-Match": seen.headers["etag"]}
    undone = await client.delete(other_way, headers=match)
    assert undone.status_code == 200, undone.text
    unknown = await client.delete(path, headers=match)
    assert unknown.status_code == 404
    assert [entry for entry in await events(intake, "people") if entry[1] == "person.unlinked"] == [
        (second[0], "person.unlinked"),
        (first[0], "person.unlinked"),
    ]


async def test_a_withdrawal_carries_everybody_who_was_linked_when_it_was_stored(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers, consent: StandIn
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[doubtful()])))
    review = await review_of(client, hub)
    body = {"answer": "same", "reason": "spoke_to_both"}
    path = f"/v1/match-reviews/{review['id']}/decision"
    await client.post(path, json=body, headers={**hub, "If-Match": '"1"'})
    consent.away = True
    await client.post("/v1/withdrawals", json={"person": second[0]}, headers=key(care, "w1"))
    seen = await client.get(f"/v1/people/{first[0]}", headers=hub)
    path = f"/v1/people/{first[0]}/links/{second[0]}"
    undone = await by_two(client, "DELETE", path, seen.headers["etag"])
    assert undone.status_code == 200, undone.text
    consent.away = False
    state = "SELECT state = 'in_force' FROM withdrawal"
    await until(lambda: intake.pool.fetchval(state))
    sent = consent.called("POST", "withdrawals")
    assert [body["linked"] for body in sent] == [[first[0]]] * len(sent), (
        "what was said while linked binds both"
    )
    numbers = await intake.pool.fetch(
        "SELECT data ->> 'number' AS n FROM journal WHERE type ~ 'person.(un)?linked' ORDER BY position"
    )
    assert [row["n"] for row in numbers] == ["1", "1", "2", "2"]


async def test_a_correction_changes_what_is_handed_out(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers, consent: StandIn
) -> None:
    person, case = await harmed(intake, await posted(intake, client, police, referral()))
    path = f"/v1/people/{person}"
    assert (await client.get(path, headers=care)).status_code == 404
    seen = await client.get(path, headers=police)
    assert "phone" in seen.json()["channels"]
    body = {"phones": [{"number": "01632 960777"}], "safe_contact": {"no_letters": True}}
    changed = await client.patch(path, json=body, headers={**police, "If-Match": seen.headers["etag"]})
    assert changed.status_code == 200, changed.text
    lost = await client.patch(path, json=body, headers={**police, "If-Match": seen.headers["etag"]})
    assert lost.status_code == 412
    assert {"text", "letter"}.isdisjoint((await client.get(path, headers=police)).json()["channels"])
    consent.permit("p1", person, case, "victim-care")
    answer = await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    assert answer.json()["phones"] == ["+441632960777"]


async def test_erasure_leaves_nothing_readable_and_a_later_referral_is_held(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    person, case = await harmed(
        intake, await posted(intake, client, police, referral(notes="Mary is afraid"))
    )
    before = await client.get(f"/v1/people/{person}/export", headers=hub)
    assert "Mary Ann" in before.text
    assert "Mary is afraid" in before.text
    named = {"identifiers": {"name": {"forenames": "Mary Ann", "surname": "Wells"}}}
    unclear = await client.post("/v1/withdrawals", json=named, headers=key(police, "no"))
    assert unclear.json()["state"] == "needs_person"
    body = {"reason": "asked"}
    path = f"/v1/people/{person}/erasure"
    known = [following.CaseStatus(case, "proposed", hubs=("hub",)), following.CaseStatus(case, "on_hold")]
    for status in (known, known[1:]):
        async with intake.pool.acquire() as connection:
            await following.save_case_status(connection, status)
    elsewhere = bearer("hub-of-elsewhere", *HUB, worker="h9")
    assert (await client.get(f"/v1/people/{person}/export", headers=elsewhere)).status_code == 404
    assert (await client.post(path, json=body, headers=key(elsewhere, "1"))).status_code == 404
    for number in ("1", "2"):
        first = await client.post(path, json=body, headers=key(hub, number))
        assert first.json() == {"person": person, "state": "awaiting_second_person"}
    seen = (await client.get(f"/v1/people/{person}", headers=hub)).json()
    assert [(one["what"], one["worker"]) for one in seen["awaiting_second_person"]] == [("erasure", "h1")]
    assert "Mary Ann" in (await client.get(f"/v1/people/{person}/export", headers=hub)).text
    answer = await client.post(path, json=body, headers=key(bearer("hub", *HUB, worker="h2"), "1"))
    assert (answer.status_code, answer.json()["erased"]) == (202, [person])
    assert (await client.post(path, json=body, headers=key(hub, "3"))).status_code == 404
    after = (await client.get(f"/v1/people/{person}/export", headers=hub)).json()
    assert (after["as_sent"], after["referrals"]) == ([], [])
    (waiting,) = (await client.get("/v1/withdrawals", headers=hub)).json()["withdrawals"]
    assert (waiting["identifiers"], waiting["candidates"]) == (None, [person])
    assert (person, "person.erased") in await events(intake, "people")
    again, _ = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[party()])))
    assert again != person
    holds = (await client.get(f"/v1/people/{again}", headers=hub)).json()["holds"]
    assert list(holds.values()) == ["suppressed"]


async def test_erasure_of_somebody_whose_referral_was_taken_back_is_not_forgotten(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    """They may have been approached meanwhile: a later referral is held, though nobody ever said no."""
    number = await posted(intake, client, police, referral())
    person, _ = await harmed(intake, number)
    await client.post(f"/v1/referrals/{number}/retraction", headers=key(police, "1"))
    answer = await by_two(client, "POST", f"/v1/people/{person}/erasure", json={"reason": "asked"})
    assert answer.status_code == 202, answer.text
    again, _ = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[party()])))
    assert again != person
    holds = (await client.get(f"/v1/people/{again}", headers=hub)).json()["holds"]
    assert list(holds.values()) == ["suppressed"]


async def test_erasure_of_somebody_known_by_name_and_birth_date_is_not_forgotten(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    person, _ = await harmed(intake, await posted(intake, client, police, referral(parties=[doubtful()])))
    await by_two(client, "POST", f"/v1/people/{person}/erasure", json={"reason": "asked"})
    again, _ = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[party()])))
    holds = (await client.get(f"/v1/people/{again}", headers=hub)).json()["holds"]
    assert list(holds.values()) == ["suppressed"]


async def test_a_successor_has_its_predecessors_referrals(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    number = await posted(intake, client, police, referral())
    person, _ = await harmed(intake, number)
    for path in (f"/v1/referrals/{number}", "/v1/referrals?reference=R-1", f"/v1/people/{person}"):
        assert (await client.get(path, headers=care)).status_code == 404
    async with intake.pool.acquire() as connection:
        ahead = datetime.now(UTC) + timedelta(days=1)
        await following.save_succession(connection, [("police", "police-2", ahead - timedelta(days=2))])
        await following.save_succession(connection, [("police-2", "victim-care", ahead)])
    assert (await client.get(f"/v1/referrals/{number}", headers=care)).status_code == 404, "not yet"
    async with intake.pool.acquire() as connection:
        await following.save_succession(connection, [("police-2", "victim-care", ahead - timedelta(days=2))])
    for path in (f"/v1/referrals/{number}", f"/v1/people/{person}"):
        assert (await client.get(path, headers=care)).status_code == 200
    await posted(intake, client, care, referral(parties=[party(name={"full": "Nora Stone"}, phones=[])]))
    found = await client.get("/v1/referrals", params={"reference": "R-1"}, headers=care)
    assert [one["agency"] for one in found.json()["referrals"]] == ["victim-care", "police"]
    taken_back = await client.post(f"/v1/referrals/{number}/retraction", headers=key(care, "1"))
    assert taken_back.status_code == 202


async def test_a_database_dump_identifies_nobody(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn
) -> None:
    person, case = await harmed(
        intake, await posted(intake, client, police, referral(notes="Mary is afraid"))
    )
    consent.permit("p1", person, case, "victim-care")
    await client.post("/v1/releases", json={"permit": "p1", "fence": 1}, headers=care)
    details = {"name": {"full": "Mary Wells"}, "phones": [{"number": "07700 900123"}]}
    await client.post("/v1/withdrawals", json={"identifiers": details}, headers=key(care, "1"))
    tables = await intake.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    dump = ""
    for table in tables:
        rows = await intake.pool.fetch(f'SELECT t::text AS line FROM "{table["tablename"]}" AS t')  # noqa: S608 - names of our own tables
        dump += "\n".join(row["line"] for row in rows)
    assert person in dump
    personal = [
        "mary",
        "wells",
        "900123",
        "mill lane",
        "1971-03-09",
        "19710309",
        "example.org",
        "163001",
        "r-1",
        "41/1234",
        "afraid",
        "frank",
    ]
    shown = dump.lower()
    for text in personal:
        assert text not in shown, text
        assert text.encode().hex() not in shown, text


async def test_every_reading_is_recorded(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    number = await posted(intake, client, police, referral())
    person, _ = await harmed(intake, number)
    await client.get(f"/v1/people/{person}", headers=hub)
    await client.get(f"/v1/people/{person}/export", headers=hub)
    reads = (await client.get(f"/v1/people/{person}/reads", headers=hub)).json()["reads"]
    assert [(read["worker"], read["what"]) for read in reads] == [("h1", "person"), ("h1", "export")]


async def test_a_name_alone_is_incomplete_until_a_later_version_says_more(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    bare = {"role": "harmed", "name": {"forenames": "Mary Ann", "surname": "Wells"}}
    number = await posted(intake, client, police, referral(parties=[bare]))
    person, _ = await harmed(intake, number)
    told = (await client.get(f"/v1/referrals/{number}", headers=police)).json()
    assert (told["status"], {hold["reason"] for hold in told["holds"]}) == (
        "on_hold",
        {"identity_incomplete"},
    )
    await posted(intake, client, police, referral(version=2, parties=[party()]))
    told = (await client.get(f"/v1/referrals/{number}", headers=police)).json()
    assert told["holds"] == []
    assert (await harmed(intake, number))[0] == person


async def test_a_later_version_that_settles_it_links_her_with_whom_she_is(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    bare = {"role": "harmed", "name": {"forenames": "Mary Ann", "surname": "Wells"}}
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[bare])))
    assert second[0] != first[0]
    await posted(intake, client, care, referral("V-1", version=2, parties=[party()]))
    links = (await client.get(f"/v1/people/{second[0]}", headers=hub)).json()
    assert (links["links"], links["holds"]) == ([first[0]], {})


async def test_a_retraction_takes_back_the_case_unless_another_supports_it(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    number = await posted(intake, client, police, referral())
    other = await posted(intake, client, care, referral("V-1", parties=[party()]))
    _, case = await harmed(intake, number)
    theirs = await client.post(f"/v1/referrals/{number}/retraction", headers=key(care, "1"))
    assert theirs.status_code == 404
    answer = await client.post(f"/v1/referrals/{number}/retraction", headers=key(police, "1"))
    assert answer.status_code == 202, answer.text
    data = await intake.pool.fetchval(
        "SELECT data::text FROM journal WHERE key = $1 AND type LIKE 'referral.retracted%'", case
    )
    assert '"remaining":1' in data.replace(" ", "")
    assert (await client.get(f"/v1/referrals/{number}", headers=police)).json()["status"] == "retracted"
    assert (await client.get(f"/v1/referrals/{other}", headers=care)).json()["status"] == "matched"


async def test_a_hub_holds_a_referral_and_lifts_it_again(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    number = await posted(intake, client, police, referral())
    path = f"/v1/referrals/{number}/holds"
    body = {"reason": "safeguarding", "until": "2026-12-24T12:00:00Z"}
    made = await client.post(path, json=body, headers=key(hub, "1"))
    assert made.status_code == 201, made.text
    assert (await client.get(f"/v1/referrals/{number}", headers=police)).json()["status"] == "on_hold"
    lifted = await client.post(
        f"{path}/{made.json()['hold']}/release",
        json={"reason": "resolved"},
        headers={**hub, "If-Match": made.headers["etag"]},
    )
    assert lifted.status_code == 200
    assert [name for _, name in await events(intake, "referrals")][-2:] == [
        "referral.held",
        "referral.hold_lifted",
    ]


async def test_a_child_comes_of_age(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    parent = {
        "relation": "parent",
        "name": {"full": "Dora Wells"},
        "phones": [{"number": "07700 900999"}],
        "date_of_birth": "1980-01-01",
    }
    child = party(date_of_birth="2010-06-01", contact_person=parent)
    person, _ = await harmed(intake, await posted(intake, client, police, referral(parties=[child])))
    assert (await client.get(f"/v1/people/{person}", headers=hub)).json()["minor"]
    operator = bearer("onefriend", "operator")
    await client.put("/v1/clock", json={"seconds": 3 * 366 * 86400}, headers=operator)

    async def grown() -> bool:
        return not (await client.get(f"/v1/people/{person}", headers=hub)).json()["minor"]

    await until(grown)
    assert (person, "person.changed") in await events(intake, "people")
    # Policies ask whether somebody is under 18: they hear of it, and of the month beforehand, never of the day.
    rows = await intake.pool.fetch(
        "SELECT type, data FROM journal WHERE topic = 'referrals' ORDER BY position"
    )
    told = [(row["type"], json.loads(row["data"])["facts"]) for row in rows]
    assert [name for name, _ in told] == ["referral.received.v1", "referral.changed.v1"]
    bands = [[p.get("age_band") for p in facts["parties"] if p["person"] == person] for _, facts in told]
    assert bands == [["10_to_17"], ["18_to_24"]]
    assert [facts.get("deadlines", {}).get("turns_18") for _, facts in told] == ["2028-06-01", None]
