"""A route that reads without a transaction, when the database is gone: to be tried again, and nobody's mistake."""

from __future__ import annotations

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from shared.runtime.http import application


async def _reads(_: Request) -> Response:
    raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


@pytest.fixture
def app() -> FastAPI:
    """Return an application with that route twice, the second time without FastAPI around it."""
    app = application("test", "1", None, limit=1000, direct={("GET", "/direct"): _reads})
    app.add_api_route("/framed", _reads, response_model=None)
    return app


@pytest.mark.parametrize("path", ["/framed", "/direct"])
async def test_what_cannot_be_read_now_is_503_with_a_time_to_try_again(app: FastAPI, path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get(path)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "connection was closed" not in answer.text
