"""The dashboard beside the four services, people who sign in at the local issuer, and a real browser: `desk` and `eyes`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, Page

from deploy.local import issuer
from deploy.local.clients import HUB_SCOPES, OPERATOR_SCOPES, Clients
from deploy.local.place import Place
from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack
from deploy.local.workers import Workers
from services.dashboard.core import Dashboard
from services.dashboard.service import build
from services.dashboard.settings import Settings
from tests.e2e.conftest import Onefriend
from tests.e2e.steps import HERTFORDSHIRE, referral
from tests.support.browser import a_browser
from tests.support.running import running, settings, until
from tests.support.stack import ROLE

POLICE, CARE, HUB, ELSEWHERE = (
    "hertfordshire-constabulary",
    "beacon",
    "herts-rj-coordinator",
    "sussex-hub-east",
)
PEOPLE = {"anna": HUB, "ben": HUB, "cleo": HUB, "sue": ELSEWHERE}


@dataclass
class Desk:
    """The dashboard, and who can sign in at it."""

    onefriend: Onefriend
    url: str
    passwords: dict[str, str]
    service: Dashboard
    browser: Browser | None = None
    complaints: list[str] = field(default_factory=list)

    async def doubt(self, sender: str = CARE) -> tuple[str, str, dict[str, Any]]:
        """Let two agencies refer one person so that the machine cannot tell; returns older and newer id, and who it is."""
        known = self.onefriend.stranger()
        little = {"role": "harmed", "name": known["name"], "date_of_birth": known["date_of_birth"]}
        incident = {"reference": f"41/{secrets.randbelow(90_000) + 10_000}/26"}
        ids = []
        for agency, person in ((POLICE, known), (sender, little)):
            document = referral(HERTFORDSHIRE, person, incident=incident)
            posted = await self.onefriend.post_referral(agency, document)
            ids.append(await self._harmed(posted["referral"]))
        await until(lambda: self.in_doubt(ids[1]), seconds=30)
        return ids[0], ids[1], known

    async def joined(self) -> tuple[str, dict[str, Any]]:
        """Let two agencies refer one person so that the machine joins them; returns the id, and who it is."""
        known, ids = self.onefriend.stranger(), []
        for agency in (POLICE, CARE):
            posted = await self.onefriend.post_referral(agency, referral(HERTFORDSHIRE, known))
            ids.append(await self._harmed(posted["referral"]))
        assert ids[0] == ids[1]
        return ids[0], known

    async def linked_by_machine(self) -> tuple[str, str]:
        """Let a later version of a referral show the machine that two ids are one human; returns both."""
        known = self.onefriend.stranger()
        little = {"role": "harmed", "name": known["name"], "date_of_birth": known["date_of_birth"]}
        first = await self.onefriend.post_referral(POLICE, referral(HERTFORDSHIRE, known))
        document = referral(HERTFORDSHIRE, little)
        second = await self.onefriend.post_referral(CARE, document)
        older, newer = [await self._harmed(one["referral"]) for one in (first, second)]
        await until(lambda: self.in_doubt(newer), seconds=30)
        await self.onefriend.post_referral(CARE, {**document, "version": 2, "parties": [known]})
        await until(lambda: self.linked("intake", newer, older), seconds=30)
        return older, newer

    async def _harmed(self, posted: str) -> str:
        pool = self.onefriend.services["intake"].pool
        query = "SELECT harmed FROM referral_case WHERE referral = $1"
        await until(lambda: _value(pool, query, posted), seconds=30, every=0.05)
        return str(await pool.fetchval(query, posted))

    async def review_of(self, person: str) -> str | None:
        """The review about a person that is open."""
        pool = self.onefriend.services["intake"].pool
        query = "SELECT id::text FROM match_review WHERE person = $1 AND answer IS NULL"
        found: str | None = await pool.fetchval(query, person)
        return found

    async def in_doubt(self, person: str) -> bool:
        """Whether there is such a review."""
        return await self.review_of(person) is not None

    async def linked(self, service: str, person: str, other: str) -> bool:
        """Whether a service takes two ids for one human."""
        query = "SELECT state FROM stream WHERE kind = 'person' AND key = $1"
        state = await self.onefriend.services[service].pool.fetchval(query, person)
        links = json.loads(state or "{}").get("links", [])
        return any(
            other == link or (isinstance(link, dict) and link["id"] == other and link.get("holds", True))
            for link in links
        )

    async def page(self, worker: str | None = "anna", first: str = "/reviews", **context: Any) -> Page:
        """A page of a browser in which somebody has signed in; `first`: where their role begins."""
        assert self.browser is not None
        opened = await (await self.browser.new_context(**context)).new_page()
        opened.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: self.complaints.append(str(error)))
        await opened.goto(self.url)
        if worker:
            await opened.get_by_label("Name").fill(worker)
            await opened.get_by_label("Password").fill(self.passwords[worker])
            await opened.get_by_role("button", name="Sign in").click()
            await opened.wait_for_url(f"{self.url}{first}")
        return opened


async def _value(pool: Any, query: str, *args: object) -> bool:
    return bool(await pool.fetchval(query, *args))


@contextlib.asynccontextmanager
async def serving_issuer(place: Place) -> AsyncIterator[str]:
    """The local issuer on its own port."""
    port = place.ports()["issuer"]
    server = uvicorn.Server(
        uvicorn.Config(
            issuer.application(place), host="127.0.0.1", port=port, log_config=None, lifespan="off"
        )
    )
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@contextlib.asynccontextmanager
async def a_database(stack: Stack, name: str) -> AsyncIterator[str]:
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f'CREATE DATABASE "{name}" OWNER "{ROLE}"')
    yield on_same_server(stack.admin_url, name, ROLE, stack.place.secret(f"database/{ROLE}"))
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


def _people(place: Place) -> dict[str, str]:
    clients, workers = Clients(place), Workers(place)
    clients.put("dashboard", "service", ["internal"], "dashboard-secret")
    for agency in {*PEOPLE.values()}:
        clients.put(agency, "agency", HUB_SCOPES)
    clients.put("operator", "operator", OPERATOR_SCOPES)
    for name, agency in PEOPLE.items():
        workers.put(name, agency, "co-ordinator")
    workers.put("olive", "operator", "operator")
    return {name: workers.new_password(name) for name in (*PEOPLE, "olive")}


@pytest_asyncio.fixture(name="desk", scope="module", loop_scope="module")
async def a_desk(
    stack: Stack, onefriend: Onefriend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """The dashboard beside the four services, and the issuer that people sign in at."""
    folder = tmp_path_factory.mktemp("place")
    place = Place(folder, folder).made()
    passwords = _people(place)
    port = (
        place.ports()["dashboard"]
        if await _free(place.ports()["dashboard"])
        else place.move_port("dashboard")
    )
    async with contextlib.AsyncExitStack() as opened:
        address = await opened.enter_async_context(serving_issuer(place))
        database = await opened.enter_async_context(
            a_database(stack, f"t{int(time.time())}_{secrets.token_hex(4)}")
        )
        prefix = onefriend.services["intake"].settings.topic_prefix
        service = build(
            settings(
                Settings, database, stack.broker, prefix, port=port, intake_url=onefriend.urls["intake"],
                notifications_url=onefriend.urls["notifications"], allocation_url=onefriend.urls["allocation"],
                token_url=f"{address}/token", authorize_url=f"{address}/authorize", client_id="dashboard",
                client_secret="dashboard-secret",
            )
        )  # fmt: skip
        url = await opened.enter_async_context(running(service))
        signer = issuer.Issuer(place)
        for one in (service, *onefriend.services.values()):
            one.verifier._keys = {**one.verifier._keys, signer._kid: signer._key.public_key()}
        onefriend.services["intake"].settings.second_reviews = 0.0  # type: ignore[attr-defined]
        yield Desk(onefriend, url, passwords, service)


async def _free(port: int) -> bool:
    try:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", port)
    except OSError:
        return False
    server.close()
    await server.wait_closed()
    return True


@pytest_asyncio.fixture(name="eyes", scope="module", loop_scope="module")
async def a_desk_and_a_browser(desk: Desk) -> AsyncIterator[Desk]:
    """The same, with a real browser."""
    async with a_browser() as browser:
        desk.browser = browser
        yield desk
        desk.browser = None


async def sign_in(desk: Desk, http: httpx.AsyncClient, worker: str) -> None:
    """Do what a browser does."""
    begun = await http.get(f"{desk.url}/sign-in")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    authorize = begun.headers["location"].partition("?")[0]
    given = await http.post(authorize, data={**asked, "name": worker, "password": desk.passwords[worker]})
    assert given.status_code == 303, given.text
    opened = await http.get(given.headers["location"])
    assert opened.status_code == 303, opened.text


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


async def give_answer(page: Page, address: str, answer: str) -> None:
    """Answer a review."""
    await page.goto(address)
    await page.get_by_label(answer).check()
    await page.get_by_label("Your reason").select_option("details_agree")
    await page.get_by_role("button", name="Save the answer").click()
    await page.get_by_role("alert").wait_for()
