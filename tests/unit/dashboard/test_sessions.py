"""Who is signed in: sealed cookies, PKCE, renewed tokens; and words for ages and codes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from services.dashboard import words
from services.dashboard.board import Board
from services.dashboard.sessions import Over, Session, Sessions, Ticket
from services.dashboard.settings import Settings
from shared.runtime.errors import Unavailable


def sessions(answer: httpx.Response | Replacing | None = None, secret: str = "s") -> Sessions:
    def respond(request: httpx.Request) -> httpx.Response:
        if answer is None:
            raise httpx.ConnectError("away")
        return answer if isinstance(answer, httpx.Response) else answer(request)

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
    assert await one.token(opened) == ("a", opened)
    assert opened.wrote(opened.csrf)
    assert not opened.wrote("")


async def test_a_session_that_the_issuer_ended_is_over_and_one_that_cannot_be_asked_is_not() -> None:
    kept = Session("r", "c")
    with pytest.raises(Over):
        await sessions(httpx.Response(400, json={"error": "invalid_grant"})).token(kept)
    for away in (None, httpx.Response(503, json={})):
        with pytest.raises(Unavailable):
            await sessions(away).token(kept)


class Replacing:
    """An issuer that gives another refresh token each time one is used, and ends a session whose old one comes back."""

    def __init__(self) -> None:
        self.newest, self.over = 0, False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer like a token endpoint."""
        used = dict(parse_qsl(request.content.decode())).get("refresh_token", "r0")
        self.over = self.over or used != f"r{self.newest}"
        if self.over:
            return httpx.Response(400, json={"error": "invalid_grant"})
        self.newest += 1
        # Over at once: every token that is asked for is renewed.
        tokens = {"access_token": f"a{self.newest}", "refresh_token": f"r{self.newest}", "expires_in": 1}
        return httpx.Response(200, json=tokens)


async def test_a_refresh_token_that_is_replaced_is_never_used_twice() -> None:
    issuer = Replacing()
    one = sessions(issuer)
    ticket, _ = one.begin("/")
    first = await one.complete(ticket, ticket.state, "code")
    several = await asyncio.gather(*(one.token(first) for _ in range(5)))
    assert [token for token, _ in several] == ["a2", "a3", "a4", "a5", "a6"], "one after the other"
    latest = several[-1][1]
    assert latest == Session("r6", first.csrf)
    assert (await one.token(first))[0] == "a7", "a browser that has not been given its cookie yet"
    other = sessions(issuer)
    _, kept = await other.token(Session("r7", first.csrf))
    assert kept.refresh == "r8", "after a restart the browser's is the newest"
    _, kept = await one.token(kept)
    assert kept.refresh == "r9", "another process has renewed it meanwhile"
    with pytest.raises(Over):
        await other.token(first)


def test_a_cookie_that_is_replaced_ends_when_the_first_would_have() -> None:
    one = sessions()
    began = int(time.time()) - 7 * 3600
    first = one._seal.encrypt_at_time(msgspec.json.encode(Session("r", "c")), began).decode()
    cookie, seconds = one.renewed(first, Session("r2", "c"))
    assert 3590 <= seconds <= 3600
    assert one.session(cookie) == Session("r2", "c")
    again, _ = one.renewed(cookie, Session("r3", "c"))
    assert one._seal.extract_timestamp(again.encode()) == began


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
    watching = board.watch("reviews", board.number("reviews"))
    first = anext(watching)
    task = asyncio.ensure_future(first)
    await asyncio.sleep(0.01)
    board.changed("other")
    board.changed("reviews")
    board.changed("reviews")
    assert await asyncio.wait_for(task, 5) == 2, "two at once are one"
    assert await asyncio.wait_for(anext(watching), 5) is None, "and nothing has come since"


async def test_what_changed_before_anybody_watched_is_news_to_a_page_that_was_made_before() -> None:
    board = Board()
    seen = board.number("reviews")
    board.changed("reviews")
    assert await asyncio.wait_for(anext(board.watch("reviews", seen)), 5) == 1
