"""The matcher reads the streams only of people who were ever linked: the database itself keeps who that is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from services.intake.core import Intake
from shared.runtime.migrations import migrate
from tests.integration.intake.helpers import Headers, harmed, matched, posted
from tests.support.referrals import party, referral
from tests.support.tokens import bearer

MIGRATIONS = Path(__file__).parents[3] / "services" / "intake" / "migrations"
_PERSON = "INSERT INTO stream (kind, key, version, base, state) VALUES ($1, $2, 1, 0, $3)"
_LINK = "UPDATE stream SET state = jsonb_set(state, '{links}', $2) WHERE kind = 'person' AND key = $1"
_NOTED = "SELECT array_agg(person ORDER BY person) FROM ever_linked"


async def test_a_referral_about_linked_people_is_about_one_human(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    bare = party(addresses=[], phones=[], emails=[])
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[bare])))
    assert first[0] != second[0]
    assert await intake.pool.fetchval(_NOTED) is None
    hub = bearer("hub", "hub", "referrals.read", worker="h1")
    [review] = (await client.get("/v1/match-reviews", headers=hub)).json()["reviews"]
    body = {"answer": "same", "reason": "spoke_to_both"}
    path = f"/v1/match-reviews/{review['id']}/decision"
    answer = await client.post(path, json=body, headers={**hub, "If-Match": '"1"'})
    assert answer.status_code == 200, answer.text
    assert await intake.pool.fetchval(_NOTED) == sorted([first[0], second[0]])
    # The matcher makes sure that it has read everybody with whom the one it joins is linked: else it would try for ever.
    third = await harmed(intake, await posted(intake, client, care, referral("V-2", parties=[party()])))
    assert third[0] == min(first[0], second[0])


async def test_people_whom_an_older_release_links_are_noted_too(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    url = await new_database()
    await asyncio.to_thread(_as_of, url, "0006")
    older = await asyncpg.connect(url)
    try:
        for kind, key, links in (
            ("person", "linked-before", '{"links": ["x"]}'),
            ("person", "alone", '{"links": []}'),
            ("person", "linked-after", '{"links": []}'),
            ("person", "erased", "{}"),
            ("case_file", "no-person", '{"links": ["x"]}'),
        ):
            await older.execute(_PERSON, kind, key, links)
        await asyncio.to_thread(migrate, MIGRATIONS, url)
        assert await older.fetchval(_NOTED) == ["linked-before"]
        await older.execute(_LINK, "linked-after", '["alone"]')
        await older.execute(_LINK, "linked-after", '["alone", "x"]')
        await older.execute(_PERSON, "person", "came-linked", '{"links": ["alone"]}')
        assert await older.fetchval(_NOTED) == ["came-linked", "linked-after", "linked-before"]
    finally:
        await older.close()


def _as_of(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = make_url(url).set(drivername="postgresql+asyncpg")
    command.upgrade(config, revision)


MOVED: dict[str, Any] = {
    "addresses": [{"lines": ["9 Quay Street"], "postcode": "TS1 3QA"}],
    "phones": [{"number": "07700 900987"}],
    "emails": [{"address": "mary@example.net"}],
}


def _hub() -> Headers:
    return bearer("hub", "hub", "referrals.read", worker="h1")


async def _decide(
    client: httpx.AsyncClient, person: str, answer: str, chosen: str | None = None
) -> dict[str, Any]:
    """Answer the open review about a person."""
    waiting = (await client.get("/v1/match-reviews", headers=_hub())).json()["reviews"]
    review: dict[str, Any] = next(one for one in waiting if one["person"] == person)
    body = {"answer": answer, "reason": "spoke_to_both"} | ({"with": chosen} if chosen else {})
    path = f"/v1/match-reviews/{review['id']}/decision"
    decided = await client.post(path, json=body, headers={**_hub(), "If-Match": f'"{review["version"]}"'})
    assert decided.status_code == 200, decided.text
    return review


async def _reasons(client: httpx.AsyncClient, person: str) -> list[list[str]]:
    """Return why the person is in doubt, for each open review."""
    waiting = (await client.get("/v1/match-reviews", headers=_hub())).json()["reviews"]
    return [one["reasons"] for one in waiting if one["person"] == person]


async def test_a_later_version_does_not_make_one_group_of_two_that_contradict_each_other(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    """A = B by what both agencies say; the new version of B is C in all that it says, but A and C have two PNC numbers."""
    numbered = party(identifiers={"pnc": "79/163001B"})
    first = await harmed(intake, await posted(intake, client, police, referral(parties=[numbered])))
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[party()])))
    assert first[0] == second[0]
    other = party(date_of_birth=None, identifiers={"pnc": "02/73319Z"}, **MOVED)
    third = await harmed(intake, await posted(intake, client, police, referral("R-2", parties=[other])))
    assert third[0] != first[0]
    moved = referral("V-1", version=2, parties=[party(**MOVED)])
    assert (await harmed(intake, await posted(intake, client, care, moved)))[0] == first[0]
    assert await intake.pool.fetchval(_NOTED) is None, "nobody was linked"
    assert await _reasons(client, first[0]) == [["identifiers_differ"]]


async def test_what_contradicts_the_oldest_of_many_records_is_seen(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    """Her PNC number was said once, a score of different records ago: another one is another woman's, or mistyped."""
    numbered = referral(parties=[party(identifiers={"pnc": "79/163001B"})])
    first = await harmed(intake, await posted(intake, client, police, numbered))
    homes = [[{"lines": [f"{number} Mill Lane"], "postcode": "SG1 2AB"}] for number in range(10, 31)]
    several = [referral(f"V-{n}", parties=[party(addresses=home)]) for n, home in enumerate(homes)]
    for answer in await asyncio.gather(
        *(client.post("/v1/referrals", json=document, headers=care) for document in several)
    ):
        assert answer.status_code == 202
    await matched(intake, 1 + len(several))
    known = "SELECT person, count(*) FILTER (WHERE record IS NOT NULL) AS records FROM party GROUP BY person"
    assert [tuple(row) for row in await intake.pool.fetch(known)] == [(first[0], 1 + len(homes))]
    other = referral("R-2", parties=[party(identifiers={"pnc": "02/73319Z"})])
    last = await harmed(intake, await posted(intake, client, police, other))
    assert last[0] != first[0]
    assert await _reasons(client, last[0]) == [["identifiers_differ"]]


async def test_whom_a_referral_names_beside_each_other_no_machine_takes_for_one(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    """A father and a son of one name at one home, one harmed and one responsible; and a child's mother, harmed too."""
    home = {
        "addresses": [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB"}],
        "phones": [{"number": "01438 555 019"}],
    }
    john: dict[str, Any] = {"name": {"forenames": "John", "surname": "Quibell"}, **home}
    mother = {"name": {"forenames": "Ann", "surname": "Quibell"}, **home}
    child = party(name={"forenames": "Eva", "surname": "Quibell"}, date_of_birth="2014-05-01", emails=[])
    parties = [
        {"role": "harmed", **john},
        {"role": "responsible", **john},
        {"role": "harmed", **mother},
        {**child, **home, "contact_person": {"relation": "parent", **mother}},
        {**child, **home, "role": "responsible"},
    ]
    number = await posted(intake, client, police, referral(parties=parties))
    found = await intake.pool.fetch("SELECT person, contact FROM party ORDER BY position, contact")
    father, son, ann, eva, speaks, again = [row["person"] for row in found]
    assert len({father, son, ann, eva}) == 4
    assert speaks == ann, "who is spoken to for one party may be another"
    assert again == eva, "who was hit and hit back, and was born on one day"
    assert await _reasons(client, son) == [["named_beside"]], "asked once, though he is in three cases"
    # Nor does another agency's word of both.
    await posted(intake, client, care, referral("V-1", parties=parties[:2]))
    rows = await intake.pool.fetch(
        "SELECT person FROM party WHERE referral <> $1::uuid ORDER BY position", number
    )
    assert rows[0]["person"] != rows[1]["person"]


async def test_whom_a_person_told_apart_is_not_joined_over_somebody_linked_with_them(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    bare = party(addresses=[], phones=[], emails=[])
    second = await harmed(intake, await posted(intake, client, care, referral("V-1", parties=[bare])))
    await _decide(client, second[0], "different")
    third = await harmed(
        intake, await posted(intake, client, care, referral("V-2", parties=[party(**MOVED)]))
    )
    await _decide(client, third[0], "same", second[0])
    linked = await intake.pool.fetchval(_NOTED)
    assert linked == sorted([second[0], third[0]])
    await posted(intake, client, police, referral(version=2, parties=[party(**MOVED)]))
    assert await intake.pool.fetchval(_NOTED) == linked, "the machine linked what a person had told apart"
    assert await _reasons(client, first[0]) == [["told_apart_before"]]
