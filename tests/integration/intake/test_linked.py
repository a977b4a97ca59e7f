"""The matcher reads the streams only of people who were ever linked: the database itself keeps who that is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from services.intake.core import Intake
from shared.runtime.migrations import migrate
from tests.integration.intake.helpers import Headers, harmed, posted
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
