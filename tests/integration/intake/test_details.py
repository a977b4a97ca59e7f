"""What is handed out: never what any referral says is not safe, and what is safe in spite of whoever is near."""

from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, by_two, harmed, kind, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import offender, party, referral
from tests.support.running import until
from tests.support.tokens import bearer


@pytest.fixture
def consent(intake: Intake) -> StandIn:
    return StandIn(intake)


@pytest.fixture
def hub() -> Headers:
    return bearer("hub", "hub", "referrals.read", worker="h1")


class Asker:
    """Asks for one person's details again and again, each time against a permit of its own."""

    def __init__(self, client: httpx.AsyncClient, consent: StandIn, headers: Headers) -> None:
        self._client, self._consent, self._headers = client, consent, headers
        self._permits = 0

    async def __call__(
        self, person: str, case: str, channel: str = "phone", *, speaks_for: str | None = None
    ) -> httpx.Response:
        """Return the answer to a release."""
        self._permits += 1
        permit = self._consent.permit(f"p{self._permits}", person, case, "victim-care", channel)
        self._consent.permits[permit]["party"] = speaks_for or person
        body = {"permit": permit, "fence": 1}
        return await self._client.post("/v1/releases", json=body, headers=self._headers)


@pytest.fixture
def ask(client: httpx.AsyncClient, consent: StandIn, care: Headers) -> Asker:
    return Asker(client, consent, care)


def shared_home(**fields: Any) -> dict[str, Any]:
    """Return a party whose telephone, e-mail and home are Mary's."""
    return offender(addresses=party()["addresses"], **fields)


async def test_that_they_live_together_counts_for_every_referrals_telephones(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, ask: Asker
) -> None:
    told = referral(parties=[party(safe_contact={"lives_with_responsible": True}), offender()])
    person, case = await harmed(intake, await posted(intake, client, police, told))
    landline = {"number": "01438 555 019", "whose": "shared"}
    unaware = referral("V-1", parties=[party(phones=[{"number": "07700 900123"}, landline]), offender()])
    assert (await harmed(intake, await posted(intake, client, care, unaware)))[0] == person
    assert (await ask(person, case)).json()["phones"] == ["+447700900123"]


async def test_an_offender_with_a_home_elsewhere_takes_no_telephone_away(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, ask: Asker
) -> None:
    elsewhere = [{"lines": ["9 Far Street"], "postcode": "TS1 3AA"}]
    sons = party(phones=[{"number": "07700 900123", "whose": "relative"}])
    document = referral(parties=[sons, offender(addresses=elsewhere)])
    person, case = await harmed(intake, await posted(intake, client, police, document))
    # A later referral of another agency leaves out whose it is: that takes nothing back.
    unaware = referral("V-1", parties=[party(), offender(addresses=elsewhere)])
    assert (await harmed(intake, await posted(intake, client, care, unaware)))[0] == person
    answer = await ask(person, case)
    assert (answer.status_code, answer.json().get("phones")) == (200, ["+447700900123"]), answer.text
    assert answer.json()["whose"] == {"+447700900123": "relative"}


async def test_who_speaks_for_a_child_is_reached_at_the_home_that_they_share(
    intake: Intake, client: httpx.AsyncClient, police: Headers, ask: Asker
) -> None:
    number = [{"number": "07700 900999", "whose": "parent"}]
    mother = {
        "relation": "parent",
        "name": {"full": "Dora Wells"},
        "date_of_birth": "1980-01-01",
        "phones": [{"number": "07700 900999"}],
        "addresses": party()["addresses"],
    }
    child = party(date_of_birth="2015-06-01", phones=number, emails=[], contact_person=mother)
    referred = await posted(intake, client, police, referral(parties=[child, offender()]))
    party_, case = await harmed(intake, referred)
    person = await intake.pool.fetchval("SELECT person FROM party WHERE contact")
    rung = await ask(person, case, speaks_for=party_)
    assert rung.json().get("phones") == ["+447700900999"], rung.text
    assert (await ask(person, case, "letter", speaks_for=party_)).json().get("addresses")


@pytest.mark.parametrize("channel", ["letter", "phone"])
async def test_what_one_referral_says_is_not_safe_none_makes_safe(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, ask: Asker, channel: str
) -> None:
    unsafe: dict[str, Any] = {
        "addresses": [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB", "safe": False}],
        "phones": [{"number": "07700 900123", "safe": False}],
    }
    person, case = await harmed(
        intake, await posted(intake, client, police, referral(parties=[party(**unsafe), offender()]))
    )
    other = party(addresses=[{"lines": ["4, Mill Ln."], "postcode": "SG1 2AB"}])
    same, _ = await harmed(
        intake, await posted(intake, client, care, referral("V-1", parties=[other, offender()]))
    )
    assert same == person
    answer = await ask(person, case, channel)
    assert (answer.status_code, kind(answer)) == (409, "unsafe")


async def corrected(client: httpx.AsyncClient, headers: Headers, person: str, body: Any) -> httpx.Response:
    path = f"/v1/people/{person}"
    seen = await client.get(path, headers=headers)
    return await client.patch(path, json=body, headers={**headers, "If-Match": seen.headers["etag"]})


async def test_a_correction_by_who_does_not_know_makes_nothing_safe(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers, ask: Asker
) -> None:
    says = {"lives_with_responsible": True, "hours": {"days": [1, 2], "start": "10:00", "until": "12:00"}}
    phones = [{"number": "07700 900555", "safe": False}, {"number": "07700 900123"}]
    known = party(safe_contact=says, phones=phones)
    person, case = await harmed(
        intake, await posted(intake, client, police, referral(parties=[known, offender()]))
    )
    await posted(intake, client, care, referral("V-1", parties=[party(), offender()]))
    body = {
        "phones": [{"number": "07700 900555"}, {"number": "07700 900124"}],
        "safe_contact": {"no_letters": True},
    }
    assert (await corrected(client, care, person, body)).status_code == 200
    flags = (await client.get(f"/v1/people/{person}", headers=hub)).json()["flags"]
    assert {"lives_with_responsible", "no_letter"} <= set(flags)
    answer = (await ask(person, case)).json()
    assert (answer["phones"], answer["safe_contact"]["hours"]["days"]) == (["+447700900124"], [1, 2])
    now_safe = {"phones": [{"number": "07700 900555", "safe": True}], "safe_contact": {"hours": None}}
    assert (await corrected(client, care, person, now_safe)).status_code == 200
    answer = (await ask(person, case)).json()
    assert (answer["phones"], answer["safe_contact"]["hours"]) == (["+447700900555"], None)


async def test_a_correction_leaves_what_follows_from_the_other_parties(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    document = referral(parties=[party(), shared_home()])
    person, _ = await harmed(intake, await posted(intake, client, police, document))
    before = (await client.get(f"/v1/people/{person}", headers=police)).json()
    assert "lives_with_responsible" in before["flags"]
    assert (await corrected(client, police, person, {"language": "cy"})).status_code == 200
    assert (await client.get(f"/v1/people/{person}", headers=police)).json() == before


async def test_a_correction_replaces_what_was_said_under_another_id_of_hers(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers, ask: Asker
) -> None:
    person, case = await harmed(intake, await posted(intake, client, police, referral()))
    bare = {"role": "harmed", "name": {"forenames": "Mary Ann", "surname": "Wells"}}
    await posted(intake, client, care, referral("V-1", parties=[bare]))
    whole = party(phones=[{"number": "07700 900123"}, {"number": "07700 900777"}])
    other, _ = await harmed(
        intake, await posted(intake, client, care, referral("V-1", version=2, parties=[whole]))
    )
    assert (await client.get(f"/v1/people/{person}", headers=hub)).json()["links"] == [other]
    body = {"phones": [{"number": "07700 900888"}]}
    assert (await corrected(client, police, person, body)).status_code == 200
    assert (await ask(person, case)).json()["phones"] == ["+447700900888"]


async def test_what_is_said_of_one_of_her_ids_holds_for_all_of_them(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, ask: Asker
) -> None:
    person, case = await harmed(intake, await posted(intake, client, police, referral()))
    bare = {"role": "harmed", "name": {"forenames": "Mary Ann", "surname": "Wells"}}
    await posted(intake, client, care, referral("V-1", parties=[bare]))
    letters = party(safe_contact={"channels": ["letter"]})
    await posted(intake, client, care, referral("V-1", version=2, parties=[letters]))
    answer = await ask(person, case)
    assert (answer.status_code, kind(answer)) == (409, "unsafe")
    assert (await ask(person, case, "letter")).json()["addresses"]


@pytest.mark.parametrize("language", ["\u0000", "no language at all", ""])
async def test_what_cannot_be_a_correction_is_named(
    intake: Intake, client: httpx.AsyncClient, police: Headers, language: str
) -> None:
    person, _ = await harmed(intake, await posted(intake, client, police, referral()))
    answer = await corrected(client, police, person, {"language": language})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "language"), answer.text


async def test_who_is_known_by_a_number_alone_may_lose_it_and_is_erased_all_the_same(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    known = {"role": "harmed", "phones": [{"number": "07700 900123"}]}
    person, _ = await harmed(intake, await posted(intake, client, police, referral(parties=[known])))
    assert (await corrected(client, police, person, {"phones": []})).status_code == 200
    erased = await by_two(client, "POST", f"/v1/people/{person}/erasure", json={"reason": "asked"})
    assert erased.json()["state"] == "erased", erased.text


async def test_a_child_whose_details_were_corrected_comes_of_age_too(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    parent = {"relation": "parent", "name": {"full": "Dora Wells"}, "phones": [{"number": "07700 900999"}]}
    child = party(date_of_birth="2010-06-01", contact_person=parent)
    person, _ = await harmed(intake, await posted(intake, client, police, referral(parties=[child])))
    assert (await corrected(client, police, person, {"language": "cy"})).status_code == 200
    assert (await client.get(f"/v1/people/{person}", headers=hub)).json()["minor"]
    operator = bearer("onefriend", "operator")
    await client.put("/v1/clock", json={"seconds": 3 * 366 * 86400}, headers=operator)

    async def grown() -> bool:
        return not (await client.get(f"/v1/people/{person}", headers=hub)).json()["minor"]

    await until(grown, seconds=15)
