"""All four services in one process, on the real database and the real broker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.allocation import service as allocation
from services.allocation.settings import Settings as AllocationSettings
from services.consent import service as consent
from services.consent.settings import Settings as ConsentSettings
from services.intake import service as intake
from services.intake.crypto import make_master_key
from services.intake.settings import Settings as IntakeSettings
from services.notifications import service as notifications
from services.notifications.settings import Settings as NotificationsSettings
from shared.runtime.service import Service
from tests.support.running import free_port, running, settings, until
from tests.support.tokens import bearer

PARTS = {
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
class Onefriend:
    """The running services, and what an agency does with them."""

    services: dict[str, Service]
    urls: dict[str, str]
    http: httpx.AsyncClient

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

    async def at_ten_on_a_tuesday(self) -> None:
        """Move every service's clock forward to the next Tuesday, 10:00 in London."""
        now = datetime.now(ZoneInfo("Europe/London"))
        tuesday = now.replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(
            days=(1 - now.weekday()) % 7 or 7
        )
        seconds = (tuesday - now).total_seconds()
        for service in self.services:
            answer = await self.call(
                service, "PUT", "/v1/clock", "onefriend", "operator", json={"seconds": seconds}
            )
            assert answer.status_code == 200, answer.text

    async def post_referral(self, agency: str, referral: dict[str, Any]) -> dict[str, Any]:
        """Post a referral; return the answer."""
        answer = await self.call("intake", "POST", "/v1/referrals", agency, json=referral)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def feed(self, agency: str, kind: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        """Return an agency's feed entries, of one kind or of all."""
        answer = await self.call("notifications", "GET", f"/v1/feed?after={after}", agency)
        assert answer.status_code == 200, answer.text
        return [entry for entry in answer.json()["entries"] if kind in {None, entry["kind"]}]

    async def wait_for(self, agency: str, kind: str, seconds: float = 20) -> dict[str, Any]:
        """Wait for an entry of a kind in an agency's feed; return the first."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = await self.feed(agency, kind)
            return bool(found)

        await until(there, seconds=seconds, every=0.1)
        return found[0]


@pytest.fixture
async def onefriend(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Onefriend]:
    """The four services, ready."""
    ports = {name: free_port() for name in PARTS}
    urls = {f"{name}_url": f"http://127.0.0.1:{port}" for name, port in ports.items()}
    more: dict[str, dict[str, object]] = {
        "intake": {"master_key_file": tmp_path / "master.key"},
        "notifications": {"secrets_key_file": tmp_path / "secrets.key", "sink_folder": tmp_path / "sink"},
    }
    make_master_key(tmp_path / "master.key")
    services = {}
    for name, (build, kind) in PARTS.items():
        fields = {**urls, "port": ports[name], **more.get(name, {})}
        services[name] = build(
            settings(kind, await new_database(), bootstrap_servers, topic_prefix, **fields)
        )  # type: ignore[operator]
    async with contextlib.AsyncExitStack() as stack:
        for service in services.values():
            await stack.enter_async_context(running(service))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
        yield Onefriend(services, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}, http)
