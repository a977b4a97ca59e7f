"""One referral, all the way; and no second approach."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Onefriend
from tests.support.referrals import referral
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": f'"{name}"'}


async def ask(
    onefriend: Onefriend, agency: str, entry: dict[str, Any], name: str, channel: str = "phone"
) -> httpx.Response:
    body = {
        "case": entry["case"],
        "person": entry["data"]["person"],
        "purpose": "approach",
        "channel": channel,
        "worker": "worker-1",
    }
    return await onefriend.call("consent", "POST", "/v1/permits", agency, json=body, headers=key(name))


async def a_permit(onefriend: Onefriend, agency: str, entry: dict[str, Any], name: str) -> dict[str, Any]:
    granted: list[httpx.Response] = []

    async def got() -> bool:
        granted[:] = [
            await ask(onefriend, agency, entry, f"{name}-{len(granted)}-{asyncio.get_running_loop().time()}")
        ]
        return granted[0].status_code == 201

    try:
        await until(got, seconds=20, every=0.2)
    except AssertionError:
        raise AssertionError(granted[0].text) from None
    return dict(granted[0].json())


async def test_one_referral_all_the_way_and_no_second_approach(onefriend: Onefriend) -> None:
    await onefriend.post_referral("hertfordshire-constabulary", referral())
    entry = await onefriend.wait_for("beacon", "case.allocated")
    others = await onefriend.feed("mediation-hertfordshire", "case.allocated")
    assert all(other["data"].get("role") == "responsible" for other in others)

    permit = await a_permit(onefriend, "beacon", entry, "first")
    refused = await ask(onefriend, "mediation-hertfordshire", entry, "other")
    assert refused.status_code in {404, 409}, refused.text

    body = {"permit": permit["permit"], "fence": permit["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert release.status_code == 200, release.text
    assert "+447700900123" in release.text
    again = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert (again.status_code, again.json()["type"].rsplit("/", 1)[1]) == (409, "already-redeemed")

    outcome = {"fence": permit["fence"], "outcome": "no_answer"}
    path = f"/v1/attempts/{permit['permit']}/outcome"
    answer = await onefriend.call("consent", "PUT", path, "beacon", json=outcome)
    assert answer.status_code == 200, answer.text

    withdrawal = {"person": entry["data"]["person"], "scope": "everything", "by": "person"}
    answer = await onefriend.call(
        "intake", "POST", "/v1/withdrawals", "hertfordshire-constabulary", json=withdrawal, headers=key("w1")
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "clean" or answer.json(), answer.text
    last = await ask(onefriend, "beacon", entry, "after the withdrawal")
    assert last.status_code == 409, last.text
    assert last.json()["type"].rsplit("/", 1)[1] == "withdrawn"
    await onefriend.wait_for("beacon", "consent.withdrawn")


async def test_two_agencies_refer_one_victim_and_one_leads(onefriend: Onefriend) -> None:
    parties = [onefriend.stranger(), onefriend.stranger("responsible")]

    def told(reference: str) -> dict[str, Any]:
        document = referral(reference, parties=parties)
        return document | {"incident": document["incident"] | {"reference": "41/5555/26"}}

    first = await onefriend.post_referral("hertfordshire-constabulary", told("S-2"))
    second = await onefriend.post_referral("beacon", told("B-77"))

    async def status(agency: str, answer: dict[str, Any]) -> dict[str, Any]:
        found = await onefriend.call("intake", "GET", f"/v1/referrals/{answer['referral']}", agency)
        assert found.status_code == 200, found.text
        return dict(found.json())

    seen: list[list[str]] = []

    async def one_case() -> bool:
        one = await status("hertfordshire-constabulary", first)
        two = await status("beacon", second)
        cases = [[case["case"] for case in status["cases"]] for status in (one, two)]
        seen[:] = cases
        return len(cases[0]) == 1 and cases[0] == cases[1]

    await until(one_case)
    case = seen[0][0]
    await onefriend.wait_for("beacon", "case.allocated", case)
    assert len(await onefriend.feed("beacon", "case.allocated", case)) == 1
