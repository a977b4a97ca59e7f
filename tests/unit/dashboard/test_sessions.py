"""Who is signed in: sealed cookies, PKCE, renewed tokens; and words for ages and codes."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from services.dashboard import words
from services.dashboard.board import Board
from services.dashboard.sessions import Over, Session, Sessions, Ticket
from services.dashboard.settings import Settings
from shared.runtime.errors import Unavailable


def sessions(answer: httpx.Response | None = None, secret: str = "s") -> Sessions:
    def respond(_request: httpx.Request) -> httpx.Response:
        if answer is None:
            raise httpx.ConnectError("away")
        return answer

    settings = Settings(
        database_url=SecretStr("postgresql://x"), client_id="dashboard", client_secret=SecretStr(secret),
        token_url="http://issuer/token", authorize_url="http://issuer/authorize", public_url="https://desk.example",
    )  # fmt: skip
    return Sessions(settings, httpx.AsyncClient(transport=httpx.MockTransport(respond)))


def test_a_cookie_is_read_by_every_process_with_the_same_secret_and_by_no_other() -> None:
    cookie = sessions().seal(Session("refresh", "csrf"))
    assert sessions().session(cookie) == Session("refresh", "csrf")
    assert "refresh" not in cookie
    for wrong in (cookie[:-3] + "AAA", "", "no cookie", sessions(secret="other").seal(Session("r", "c"))):
        with pytest.raises(Over):
            sessions().session(wrong)


async def test_a_code_is_only_taken_by_the_browser_that_asked() -> None:
    tokens = httpx.Response(200, json={"access_token": "a", "refresh_token": "r", "expires_in": 300})
    one = sessions(tokens)
    ticket, address = one.begin("/reviews")
    assert ticket.verifier not in address
    with pytest.raises(Over):
        await one.complete(ticket, "another state", "code")
    opened = await one.complete(ticket, ticket.state, "code")
    assert await one.token(opened) == "a"
    assert opened.wrote(opened.csrf)
    assert not opened.wrote("")


async def test_a_session_that_the_issuer_ended_is_over_and_one_that_cannot_be_asked_is_not() -> None:
    kept = Session("r", "c")
    with pytest.raises(Over):
        await sessions(httpx.Response(400, json={"error": "invalid_grant"})).token(kept)
    for away in (None, httpx.Response(503, json={})):
        with pytest.raises(Unavailable):
            await sessions(away).token(kept)


def test_a_ticket_is_no_session() -> None:
    one = sessions()
    with pytest.raises(Over):
        one.session(one.seal(Ticket("state", "verifier", "/")))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "less than a minute"),
        (60, "1 minute"),
        (3 * 3600, "3 hours"),
        (26 * 3600, "26 hours"),
        (5 * 86_400, "5 days"),
    ],
)
def test_ages_are_told_in_the_unit_that_people_use(seconds: int, text: str) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert words.age((now - timedelta(seconds=seconds)).isoformat(), now) == text


async def test_a_change_wakes_whoever_watches() -> None:
    board = Board()
    watching = board.watch("reviews")
    first = anext(watching)
    task = asyncio.ensure_future(first)
    await asyncio.sleep(0.01)
    board.changed("other")
    board.changed("reviews")
    board.changed("reviews")
    assert await asyncio.wait_for(task, 5) == 2, "two at once are one"
    assert await asyncio.wait_for(anext(watching), 5) is None, "and nothing has come since"
