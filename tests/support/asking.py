"""What the agencies of a test do: refer, and ask consent for a permit."""

import secrets
from collections.abc import Awaitable
from typing import Any, Protocol

import httpx

from tests.support.running import until


class Calls(Protocol):
    """Whoever can call a service as an agency."""

    def call(
        self,
        service: str,
        method: str,
        path: str,
        agency: str,
        **more: Any,
    ) -> Awaitable[httpx.Response]: ...


def key(name: str | None = None) -> dict[str, str]:
    """Return the header of an Idempotency-Key, a new one unless it is named."""
    return {"Idempotency-Key": f'"{name or secrets.token_hex(8)}"'}


async def ask(calls: Calls, agency: str, entry: dict[str, Any]) -> httpx.Response:
    """Ask for a permit to ring the person of a feed entry."""
    body = {
        "case": entry["case"],
        "person": entry["data"]["person"],
        "purpose": "approach",
        "channel": "phone",
    }
    return await calls.call("consent", "POST", "/v1/permits", agency, json=body, headers=key())


async def a_permit(calls: Calls, agency: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Ask until it is granted: what clears the case may still be on its way."""
    answers: list[httpx.Response] = []

    async def granted() -> bool:
        answers[:] = [await ask(calls, agency, entry)]
        return answers[0].status_code == 201

    try:
        await until(granted, seconds=20, every=0.2)
    except AssertionError:
        raise AssertionError(answers[0].text) from None
    return dict(answers[0].json())


async def referred(calls: Calls, agency: str, document: dict[str, Any], **more: Any) -> str:
    """Post a referral; return its case as soon as it has one."""
    answer = await calls.call("intake", "POST", "/v1/referrals", agency, json=document, **more)
    assert answer.status_code == 202, answer.text
    path = f"/v1/referrals/{answer.json()['referral']}"
    cases: list[dict[str, Any]] = []

    async def matched() -> bool:
        cases[:] = (await calls.call("intake", "GET", path, agency)).json().get("cases", [])
        return bool(cases)

    await until(matched, seconds=20, every=0.1)
    return str(cases[0]["case"])
