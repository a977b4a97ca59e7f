"""A body that FastAPI reads by itself, and that it cannot read: a problem that names the body and the remedy."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from shared.runtime.http import application

LIMIT = 200_000


class _Body(BaseModel):
    reason: str


@pytest.fixture
def app() -> FastAPI:
    """Return an application with one route."""
    app = application("test", "1", None, limit=LIMIT)

    @app.post("/taken")
    async def taken(body: _Body) -> dict[str, str]:
        return {"reason": body.reason}

    return app


async def post(app: FastAPI, body: bytes | AsyncIterator[bytes]) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/taken", content=body, headers={"Content-Type": "application/json"})
    return answer.status_code, answer.json()


async def of_no_declared_size() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b" " * (LIMIT // 2)


@pytest.mark.parametrize("declared", [True, False])
async def test_too_large_a_body_is_413_whether_its_size_was_declared_or_not(
    app: FastAPI, *, declared: bool
) -> None:
    status, problem = await post(app, b" " * (LIMIT + 1) if declared else of_no_declared_size())
    assert (status, problem["errors"][0]["field"]) == (413, "body")
    assert str(LIMIT) in problem["errors"][0]["remedy"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"reason": "\xff"}', 400), (b"[" * 50_000 + b"]" * 50_000, 400), (b'{"reason": ', 422)],
)
async def test_a_body_that_cannot_be_read_is_named_with_a_remedy(
    app: FastAPI, body: bytes, status: int
) -> None:
    answered, problem = await post(app, body)
    assert answered == status
    assert [error["field"] for error in problem["errors"]] == ["body"]
    assert "JSON" in problem["errors"][0]["remedy"]


@pytest.mark.parametrize("coding", ["gzip", "deflate, gzip", "GZIP"])
async def test_a_compressed_body_is_refused_by_its_header(app: FastAPI, coding: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        answer = await client.post("/taken", content=gzip.compress(b'{"reason": "x"}'), headers=headers)
        plain = await client.post("/taken", json={"reason": "x"}, headers={"Content-Encoding": "identity"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (415, "Content-Encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert plain.status_code == 200


async def test_nobody_is_sent_elsewhere_with_what_they_posted(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/taken/", json={"reason": "x"})
    assert answer.status_code == 404
    assert "Location" not in answer.headers


async def test_what_does_not_exist_is_a_problem_too(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
