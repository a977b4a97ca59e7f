"""A running intake on the real database and broker, and referrals to post to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.intake import api
from services.intake.core import Intake
from services.intake.crypto import make_master_key
from services.intake.service import build
from services.intake.settings import Settings
from shared.runtime.http import application
from tests.support.documented import Documented
from tests.support.running import running, settings
from tests.support.tokens import bearer


@pytest.fixture
async def intake(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Intake]:
    """Give the running service."""
    key = tmp_path / "master.key"
    make_master_key(key)
    # Which reviews get a second opinion is drawn by their ids: none, unless a test asks for it.
    more = {"master_key_file": key, "consent_url": "http://consent.test", "second_reviews": 0.0}
    service = build(settings(Settings, await new_database(), bootstrap_servers, topic_prefix, **more))
    async with running(service):
        yield service


@cache
def documented() -> dict[str, Any]:
    """Return intake's OpenAPI document. Making it takes most of a second: once for all tests."""
    app = application("intake", "test", None, limit=1, direct=api.DIRECT)
    for router in api.routers:
        app.include_router(router)
    return app.openapi()


@pytest.fixture
async def client(intake: Intake) -> AsyncIterator[httpx.AsyncClient]:
    """Give an HTTP client of intake without a token. Every answer must be as the OpenAPI document says."""
    url = f"http://127.0.0.1:{intake.settings.port}"
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        http.event_hooks = {"response": [Documented(documented())]}
        yield http


@pytest.fixture
def police() -> dict[str, str]:
    return bearer(
        "police", "referrals.write", "referrals.read", "people.write", "withdrawals.write", "contact"
    )


@pytest.fixture
def care() -> dict[str, str]:
    return bearer(
        "victim-care", "referrals.write", "referrals.read", "people.write", "withdrawals.write", "contact"
    )
