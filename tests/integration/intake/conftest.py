"""A running intake on the real database and broker, and referrals to post to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from services.intake.core import Intake
from services.intake.crypto import make_master_key
from services.intake.service import build
from services.intake.settings import Settings
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


@pytest.fixture
async def client(intake: Intake) -> AsyncIterator[httpx.AsyncClient]:
    """Give an HTTP client of intake without a token."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{intake.settings.port}", timeout=120) as http:
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
