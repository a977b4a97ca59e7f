"""All four services in one process, on the real database and the real broker, started once for each module.

The tests of a module share the services, so each uses people of its own (`Onefriend.stranger`), and asks for feed entries
of its own case.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.hours import until_tuesday
from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack
from deploy.local.topics import delete_topics, topics_with
from services.allocation import service as allocation
from services.allocation.settings import Settings as AllocationSettings
from services.consent import service as consent
from services.consent.settings import Settings as ConsentSettings
from services.intake import service as intake
from services.intake.crypto import make_master_key
from services.intake.settings import Settings as IntakeSettings
from services.notifications import service as notifications
from services.notifications.settings import Settings as NotificationsSettings
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from tests.support.referrals import strangers, unusual_surname
from tests.support.running import free_port, running, settings, until
from tests.support.stack import ROLE
from tests.support.tokens import bearer

PARTS: dict[str, tuple[Any, Any]] = {
    "intake": (intake.build, IntakeSettings),
    "consent": (consent.build, ConsentSettings),
    "allocation": (allocation.build, AllocationSettings),
    "notifications": (notifications.build, NotificationsSettings),
}
ALL = (
    "referrals.write",
    "referrals.read",
    "contact",
    "withdrawals.write",
    "cases.read",
    "cases.write",
    "subscribe",
)


@dataclass
class Mailbox:
    """What the mail server was given. `hangs_up`: it takes a message and ends without a word."""

    messages: list[EmailMessage] = field(default_factory=list)
    hangs_up: bool = False

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        if self.hangs_up:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return ""
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=default))
        return "250 OK"

    def to(self, address: str) -> list[str]:
        """The texts that were sent to an address."""
        return [str(m.get_content()) for m in self.messages if m["To"] == address]


@dataclass
class Onefriend:
    """The running services, and what an agency does with them."""

    services: dict[str, Service]
    urls: dict[str, str]
    http: httpx.AsyncClient
    mailbox: Mailbox
    sink: Path
    build: dict[str, Callable[[], Service]]
    _people: Iterator[dict[str, Any]] = field(default_factory=lambda: iter(strangers(200)))
    _draw: random.Random = field(default_factory=lambda: random.Random(7))
    _stops: dict[str, contextlib.AsyncExitStack] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        """Start a service: new in all but its database and its port."""
        self.services[name] = self.build[name]()
        self._stops[name] = contextlib.AsyncExitStack()
        await self._stops[name].enter_async_context(running(self.services[name]))

    async def stop(self, *names: str) -> None:
        """Stop services; without names, all that run."""
        for name in names or tuple(self._stops):
            await self._stops.pop(name).aclose()

    def stranger(self, role: str = "harmed", **fields: Any) -> dict[str, Any]:
        """Return a party whom no other test of the module has used. Who is responsible has admitted it."""
        more = {"admitted": True} if role == "responsible" else {}
        person = next(self._people)
        # Surnames of their own: two strangers with one surname and like birth dates are rightly looked at by a person.
        name = {**person["name"], "surname": unusual_surname(self._draw, 4)}
        return {**person, "name": name, "role": role, **more, **fields}

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        agency: str,
        *scopes: str,
        worker: str | None = "worker-1",
        **more: Any,
    ) -> httpx.Response:
        """Call a service as an agency, with every scope of an agency unless told otherwise."""
        headers = {**bearer(agency, *(scopes or ALL), worker=worker), **more.pop("headers", {})}
        return await self.http.request(method, self.urls[service] + path, headers=headers, **more)

    async def post(
        self,
        service: str,
        path: str,
        agency: str,
        json: object,
        *scopes: str,
        worker: str | None = "worker-1",
    ) -> httpx.Response:
        """Create something, under an idempotency key of its own."""
        headers = {"Idempotency-Key": f'"{new_id()}"'}
        return await self.call(
            service, "POST", path, agency, *scopes, worker=worker, headers=headers, json=json
        )

    async def at_ten_on_a_tuesday(self, weeks: int = 0) -> None:
        """Move every service's clock to the next Tuesday (or so many weeks after it), 10:00 in London."""
        seconds = until_tuesday(weeks).total_seconds()
        for service in self.services:
            answer = await self.call(
                service, "PUT", "/v1/clock", "onefriend", "operator", json={"seconds": seconds}
            )
            assert answer.status_code == 200, answer.text

    async def consent_hears(self) -> bool:
        """Say whether consent has heard the broker."""
        heard = await self.services["consent"].pool.fetchval("SELECT heard_at IS NOT NULL FROM door")
        return bool(heard)

    async def post_referral(self, agency: str, referral: dict[str, Any]) -> dict[str, Any]:
        """Post a referral; return the answer."""
        answer = await self.call("intake", "POST", "/v1/referrals", agency, json=referral)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def feed(
        self, agency: str, kind: str | None = None, case: str | None = None
    ) -> list[dict[str, Any]]:
        """Return an agency's feed entries: of one kind or of all, of one case or of all."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            answer = await self.call("notifications", "GET", f"/v1/feed?after={after}&limit=500", agency)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["entries"]
            after = page["next"]
            if not page["more"]:
                break
        return [e for e in found if kind in {None, e["kind"]} and case in {None, e["case"]}]

    async def wait_for(
        self, agency: str, kind: str, case: str | None = None, *, seconds: float = 20, **data: object
    ) -> dict[str, Any]:
        """Wait for an entry of a kind (of a case, with these data) in an agency's feed; return the first."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            entries = await self.feed(agency, kind, case)
            found[:] = [e for e in entries if all(e["data"].get(k) == v for k, v in data.items())]
            return bool(found)

        try:
            await until(there, seconds=seconds, every=0.1)
        except AssertionError:
            seen = [(e["kind"], e["data"]) for e in await self.feed(agency, case=case)]
            message = f"{agency} was not told {kind} {data} within {seconds} s, but {seen}"
            raise AssertionError(message) from None
        return found[0]


@contextlib.asynccontextmanager
async def databases(stack: Stack) -> AsyncIterator[dict[str, str]]:
    """A fresh database for each service; dropped afterwards."""
    stamp = f"t{int(time.time())}_{secrets.token_hex(4)}"
    password = stack.place.secret(f"database/{ROLE}")
    admin = await asyncpg.connect(stack.admin_url)
    try:
        for name in PARTS:
            await admin.execute(f'CREATE DATABASE "{stamp}_{name}" OWNER "{ROLE}"')
        yield {name: on_same_server(stack.admin_url, f"{stamp}_{name}", ROLE, password) for name in PARTS}
        for name in PARTS:
            await admin.execute(f'DROP DATABASE "{stamp}_{name}" WITH (FORCE)')
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def mail_server(mailbox: Mailbox) -> AsyncIterator[int]:
    """An SMTP server that keeps what it is given; gives its port."""
    port = free_port()
    controller = UnthreadedController(
        mailbox, hostname="127.0.0.1", port=port, loop=asyncio.get_running_loop()
    )
    controller.server = await controller._create_server()
    yield port
    controller.server.close()
    await controller.server.wait_closed()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def onefriend(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Onefriend]:
    """The four services, ready, at ten on a Tuesday."""
    prefix = f"t{secrets.token_hex(6)}."
    folder = tmp_path_factory.mktemp("onefriend")
    make_master_key(folder / "master.key")
    ports = {name: free_port() for name in PARTS}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    mailbox = Mailbox()
    async with contextlib.AsyncExitStack() as opened:
        own = await opened.enter_async_context(databases(stack))
        smtp = {
            "smtp_host": "127.0.0.1",
            "smtp_port": await opened.enter_async_context(mail_server(mailbox)),
        }
        more: dict[str, dict[str, object]] = {
            # Which reviews get a second opinion is drawn by their ids: none here.
            "intake": {"master_key_file": folder / "master.key", "second_reviews": 0.0, **smtp},
            "notifications": {
                "secrets_key_file": folder / "secrets.key",
                "sink_folder": folder / "sink",
                "smtp_tls": False,
                **smtp,
            },
        }
        build: dict[str, Callable[[], Service]] = {}
        for name, (make, kind) in PARTS.items():
            fields: dict[str, object] = {f"{other}_url": url for other, url in urls.items()}
            fields |= {"port": ports[name], **more.get(name, {})}
            build[name] = partial(make, settings(kind, own[name], stack.broker, prefix, **fields))
        http = await opened.enter_async_context(
            httpx.AsyncClient(timeout=60, limits=httpx.Limits(keepalive_expiry=2))
        )
        one = Onefriend({}, urls, http, mailbox, folder / "sink", build)
        opened.push_async_callback(one.stop)
        for name in PARTS:
            await one.start(name)
        await one.at_ten_on_a_tuesday()
        # Until then every question about contact is answered by 503.
        await until(one.consent_hears)
        yield one
    delete_topics(stack.client_settings(), topics_with(stack.client_settings(), prefix))
