"""The four real services as processes of their own, on servers of their own, with a proxy on every way between them.

    async with fleet(folder) as onefriend:
        onefriend.processes["consent"].kill()
        onefriend.ways["consent-database"].cut()

Whoever dies is started again after half a second, as a supervisor does, while `revive` is true.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy.local.hours import until_tuesday
from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.stack import Stack
from services.intake.crypto import make_master_key
from tests.support.nursery import Nursery
from tests.support.processes import Process
from tests.support.proxy import Proxy
from tests.support.tokens import bearer

SERVICES = ("intake", "consent", "allocation", "notifications")
AGENCY_SCOPES = (
    "referrals.write",
    "referrals.read",
    "contact",
    "withdrawals.write",
    "cases.read",
    "cases.write",
    "subscribe",
)


@dataclass
class Fleet:
    """Running services and servers, and what an agency does with them."""

    servers: Stack
    processes: dict[str, Process]
    ways: dict[str, Proxy]
    databases: dict[str, str]
    http: httpx.AsyncClient
    revive: bool = True
    shift: float = 0.0
    deaths: dict[str, int] = field(default_factory=dict)
    # What whoever has died is told besides when it is started again.
    arm: Callable[[str], Mapping[str, str]] = field(default=lambda _name: {})

    def url(self, service: str) -> str:
        """Where a service answers, past the proxies."""
        return self.processes[service].url

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
        headers = {**bearer(agency, *(scopes or AGENCY_SCOPES), worker=worker), **more.pop("headers", {})}
        return await self.http.request(method, self.url(service) + path, headers=headers, **more)

    async def at_ten_on_a_tuesday(self, later: float = 0.0) -> None:
        """Move every service's clock to the next Tuesday, 10:00 in London, and `later` seconds more."""
        self.shift = until_tuesday().total_seconds() + later
        for service in SERVICES:
            await self.set_clock(service, self.shift)

    async def set_clock(self, service: str, shift: float) -> None:
        """Set how far a service's clock is ahead, in seconds."""
        body = {"seconds": shift}
        answer = await self.call(service, "PUT", "/v1/clock", "onefriend", "operator", json=body)
        assert answer.status_code == 200, answer.text

    async def feed(self, agency: str, after: int = 0) -> list[dict[str, Any]]:
        """Return an agency's feed entries after a number."""
        found: list[dict[str, Any]] = []
        while True:
            answer = await self.call("notifications", "GET", f"/v1/feed?after={after}&limit=500", agency)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["entries"]
            after = page["next"]
            if not page["more"]:
                return found

    async def keep_alive(self) -> None:
        """Start again, for ever, whoever has died."""
        await asyncio.gather(*(self._keep_alive(name) for name in self.processes))

    async def _keep_alive(self, name: str) -> None:
        while True:
            process = self.processes[name]
            if self.revive and process.wanted and not process.running:
                self.deaths[name] = self.deaths.get(name, 0) + 1
                await asyncio.sleep(0.5)
                self._again(name, process)
            await asyncio.sleep(0.2)

    def _again(self, name: str, process: Process) -> None:
        """Start a process again, unless it was stopped meanwhile."""
        if self.revive and process.wanted:
            process.start(**self.arm(name))

    async def ready(self, seconds: float = 240, *, revived: bool = True) -> None:
        """Wait until every service says that it is ready. `revived`: whoever ends is started again."""
        await asyncio.gather(
            *(process.ready(seconds, revived=revived) for process in self.processes.values())
        )

    async def not_ready(self) -> list[str]:
        """Say which services are not ready, and what they say of it."""
        found = []
        for name, process in self.processes.items():
            try:
                answer = await self.http.get(f"{process.url}/readyz", timeout=5)
                found += [] if answer.is_success else [f"{name}: {answer.text}"]
            except httpx.HTTPError as error:
                found.append(
                    f"{name}: {type(error).__name__}, process {'runs' if process.running else 'has ended'}"
                )
        return found

    def mend(self) -> None:
        """End every fault of the ways."""
        for way in self.ways.values():
            way.mend()


def with_port(url: str, port: int) -> str:
    """Return a URL with another port."""
    parts = urlsplit(url)
    return url.replace(f":{parts.port}", f":{port}", 1)


@contextlib.asynccontextmanager
async def fleet(
    place: Place,
    *,
    smtp_port: int,
    more: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Fleet]:
    """Start servers and services in a place; stop them at the end.

    `more` is environment for every service; `settings` are the database server's own.
    """
    servers = Stack(place)
    assert servers.postgres is not None
    servers.postgres.settings |= dict(settings or {})
    async with contextlib.AsyncExitStack() as opened:
        # The broker tells its clients where it is: so the way through the proxy has to be known before it starts.
        broker = Proxy(place.ports()["kafka"])
        listener = {"advertised.listeners": f"INTERNAL://127.0.0.1:{broker.port}"}
        servers.kafka = Kafka(place, settings=listener)
        servers.kafka.settle_ports()
        broker.target = place.ports()["kafka"]
        await opened.enter_async_context(broker.running())
        opened.callback(servers.postgres.kill)
        opened.callback(servers.kafka.kill)
        await asyncio.to_thread(servers.start)
        databases = await asyncio.to_thread(servers.ensure_databases)
        ways = {"broker": broker}
        processes: dict[str, Process] = {}
        nursery = Nursery.make(SERVICES)
        if nursery is not None:
            opened.callback(nursery.end)
        for name in SERVICES:
            ways[f"{name}-database"] = Proxy(servers.postgres.port)
            processes[name] = Process(["tests.support.serve", name], {}, place.log(name), nursery)
            ways[name] = Proxy(processes[name].port)
        for way in list(ways.values())[1:]:
            await opened.enter_async_context(way.running())
        for name, process in processes.items():
            process.environment |= _environment(place, name, ways, databases[name], smtp_port) | dict(
                more or {}
            )
            opened.callback(process.stop)
            process.start()
        http = await opened.enter_async_context(httpx.AsyncClient(timeout=60))
        one = Fleet(servers, processes, ways, {name: databases[name] for name in SERVICES}, http)
        await one.ready(revived=False)
        await one.at_ten_on_a_tuesday()
        keeping = asyncio.create_task(one.keep_alive())
        try:
            yield one
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            one.mend()
            for process in processes.values():
                process.stop_asking()
            for process in processes.values():
                await asyncio.to_thread(process.stop)


def _environment(
    place: Place, name: str, ways: Mapping[str, Proxy], database: str, smtp_port: int
) -> dict[str, str]:
    key = place.home / "master.key"
    if not key.exists():
        make_master_key(key)
    told = {
        "ONEFRIEND_KAFKA": f"127.0.0.1:{ways['broker'].port}",
        "ONEFRIEND_DATABASE_URL": with_port(database, ways[f"{name}-database"].port),
        "ONEFRIEND_DEVELOPMENT": "1",
        "ONEFRIEND_STATE_FOLDER": str(place.home),
        "ONEFRIEND_SINK_FOLDER": str(place.home / "sink"),
        "ONEFRIEND_SECRETS_KEY_FILE": str(place.home / "secrets.key"),
        "ONEFRIEND_MASTER_KEY_FILE": str(key),
        "ONEFRIEND_SMTP_HOST": "127.0.0.1",
        "ONEFRIEND_SMTP_PORT": str(smtp_port),
        "ONEFRIEND_SMTP_TLS": "false",
        "ONEFRIEND_TRACE_SAMPLE": "0",
    }
    return told | {
        f"ONEFRIEND_{other.upper()}_URL": f"http://127.0.0.1:{ways[other].port}" for other in SERVICES
    }
