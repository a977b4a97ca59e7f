"""Whatever is sent to whichever route: never a 5xx, and every refusal is a problem that quotes nothing."""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.runtime.service import Service
from tests.e2e.conftest import PARTS, Onefriend
from tests.support.referrals import referral
from tests.support.running import until
from tests.support.tokens import bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPES = (
    "referrals.write", "referrals.read", "contact", "withdrawals.write", "cases.read", "cases.write", "subscribe", "hub",
    "operator", "people.write", "commissioner", "internal",
)  # fmt: skip
# Told to every route as its whole body.
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not UTF-8": b'{"reference": "\xff\xfe"}',
    "UTF-16": '{"reference": "x"}'.encode("utf-16"),
    "half": b'{"reference": ',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1e999",
    "NaN": b'{"fence": NaN, "seconds": NaN}',
    "deep lists": b"[" * 100_000,
    "deep lists, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep inside": b'{"parties":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a thousand unknown fields": json.dumps({f"f{n}": n for n in range(1000)}).encode(),
    "a huge number": b'{"fence": ' + b"9" * 5_000 + b"}",
    "too large": b'{"reference": "' + b"x" * 1_100_000 + b'"}',
    "NUL": b'{"reference": "a\\u0000b", "reason": "a\\u0000b"}',
    "a raw NUL": b'{"reference": "a\x00b"}',
    "a lone surrogate": b'{"reference": "\\ud800", "reason": "\\udfff"}',
    "a surrogate in a name of a field": b'{"\\ud800": 1}',
}
# Told to every field that a route knows.
VALUES: tuple[object, ...] = (
    None, True, -1, 0, 10**30, 1e308, "", "a\0b", "\ud800", "x" * 5_000, "\u202e\U0001f600\U000e0001", "9999-12-31",
    "0000-00-00", "2026-02-30", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59", [], {},
    [None], [[[[]]]], {"a": {"b": "c"}}, ["x"] * 500, "../../etc/passwd", "'; DROP TABLE referral; --", "1e5",
)  # fmt: skip
PLACES = (
    "x",
    "%00",
    "..%2F..",
    "%ED%A0%80",
    "x" * 500,
    "0",
    "-1",
    "9" * 40,
    "01890000-0000-7000-8000-000000000000",
)


def fields_of(document: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return the names of the fields that a schema knows."""
    if "$ref" in schema:
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/")]
        return fields_of(document, node)
    return list(schema.get("properties", {}))


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Return the path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from leaves(one, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], by: object) -> Any:
    """Return a copy of a JSON value with something else at a path."""
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return changed


class Sender:
    """Sends, and notes what was answered wrongly."""

    def __init__(self, onefriend: Onefriend, service: str) -> None:
        self.onefriend = onefriend
        self.base = onefriend.urls[service]
        self.sent = self.accepted = 0
        self.wrong: list[str] = []

    async def send(
        self, method: str, path: str, body: bytes | None, what: str, kind: str = "application/json"
    ) -> None:
        headers = {
            **bearer("a-stranger", *SCOPES, worker="worker-1"), "Content-Type": kind, "If-Match": '"1"',
            "Idempotency-Key": f'"{secrets.token_hex(8)}"',
        }  # fmt: skip
        self.sent += 1
        try:
            answer = await self.onefriend.http.request(
                method, self.base + path, content=body, headers=headers
            )
        except httpx.HTTPError as error:
            self.wrong.append(f"{method} {path} {what}: {type(error).__name__}")
            return
        self.accepted += answer.status_code in {200, 201, 202}
        problem = answer.headers.get("content-type", "").startswith(("application/problem+json", "text/html"))
        if answer.status_code >= 500 or (answer.status_code >= 400 and not problem):
            self.wrong.append(f"{method} {path[:80]} {what}: {answer.status_code} {answer.text[:80]}")

    async def operations(self) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        document = (await self.onefriend.http.get(self.base + "/openapi.json")).json()
        return [
            (method.upper(), path, operation, document)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            # The clock is a development stack's own, and every test of the module lives by it.
            if path != "/v1/clock"
        ]


def filled(path: str, by: str) -> str:
    """Return a route's path with its parameters filled in."""
    return "/".join(by if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("service", PARTS)
async def test_no_body_is_answered_by_a_fault(onefriend: Onefriend, service: str) -> None:
    sender = Sender(onefriend, service)
    for method, path, operation, document in await sender.operations():
        if method not in {"POST", "PUT", "PATCH"}:
            continue
        for place in ("01890000-0000-7000-8000-000000000000", "1"):
            for what, body in BODIES.items():
                await sender.send(method, filled(path, place), body, what)
        await sender.send(method, filled(path, "x"), b"a=1", "a form", "application/x-www-form-urlencoded")
        await sender.send(
            method, filled(path, "x"), b"{}", "a strange charset", "application/json; charset=utf-99"
        )
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        fields = fields_of(document, content.get("schema", {}))
        for value in VALUES:
            body = json.dumps(dict.fromkeys(fields, value)).encode()
            await sender.send(
                method, filled(path, "01890000-0000-7000-8000-000000000000"), body, f"{value!r:.40}"
            )
    assert sender.sent > 100
    assert not sender.wrong, "\n".join(sender.wrong[:40])


@pytest.mark.parametrize("service", PARTS)
async def test_no_path_or_query_is_answered_by_a_fault(onefriend: Onefriend, service: str) -> None:
    sender = Sender(onefriend, service)
    for method, path, operation, _ in await sender.operations():
        for place in PLACES:
            await sender.send(method, filled(path, place), b"{}", f"in the path: {place:.20}")
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query" and method == "GET":
                for place in (*PLACES, "", "1&" + parameter["name"] + "=2"):
                    query = f"?{parameter['name']}={place}"
                    if parameter["name"] != "wait":
                        await sender.send(method, filled(path, "1") + query, None, "in the query")
    assert sender.sent > 50
    assert not sender.wrong, "\n".join(sender.wrong[:40])


async def test_no_field_of_a_referral_is_answered_by_a_fault(onefriend: Onefriend) -> None:
    """Everything in a referral replaced by everything that could be wrong; what was accepted is matched."""
    sender = Sender(onefriend, "intake")
    whole = referral("H-1")
    contact = {"relation": "parent", "name": {"forenames": "Ann", "surname": "Wells"}}
    whole["parties"][0]["contact_person"] = contact
    for path in leaves(whole):
        for value in VALUES:
            # A reference of its own each: under one that was seen before, nothing else would be looked at.
            named = whole | {"reference": f"H-{sender.sent}"}
            body = json.dumps(replaced(named, path, value)).encode()
            await sender.send("POST", "/v1/referrals", body, f"{path} = {value!r:.40}")
    for lines in (
        b"\xff\n{}\n",
        b"{}\n" * 50,
        b"[" * 50_000 + b"\n{}",
        b"\x00\n",
        b'{"reference": "\\ud800"}\n',
    ):
        for kind in ("application/x-ndjson", "text/csv"):
            for route in ("/v1/referral-batches", "/v1/register-imports"):
                await sender.send("POST", route, lines, f"{lines[:20]!r} as {kind}", kind)
    assert sender.sent > 500
    assert sender.accepted > 100
    assert not sender.wrong, "\n".join(sender.wrong[:40])

    # Nothing that was accepted is poison for what comes after it.
    pool = onefriend.services["intake"].pool

    async def matched() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM to_match") == 0)

    await until(matched, seconds=30, every=0.2)
    for name, service in onefriend.services.items():

        async def caught_up(of: Service = service) -> bool:
            return not any(of.consumer.lag.values()) if of.consumer and of.consumer.lag else False

        await until(caught_up, seconds=30, every=0.2)
        parked = await service.pool.fetch("SELECT topic, key, reason FROM quarantine")
        assert not parked, f"{name}: {[tuple(row) for row in parked[:5]]}"
