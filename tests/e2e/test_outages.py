"""Consent is away: referrals are taken, contact is refused, a no is recorded; and all of it catches up by itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Onefriend
from tests.support.asking import a_permit, ask, key, referred
from tests.support.referrals import referral
from tests.support.running import until

POLICE = "hertfordshire-constabulary"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def means_do_not_contact(answer: httpx.Response) -> bool:
    kind = answer.headers["content-type"]
    return (
        answer.status_code == 503 and "retry-after" in answer.headers and kind == "application/problem+json"
    )


async def withdraw(onefriend: Onefriend, person: str) -> httpx.Response:
    body = {"person": person, "scope": "everything", "by": "person"}
    return await onefriend.call("intake", "POST", "/v1/withdrawals", "beacon", json=body, headers=key())


async def test_without_consent_nobody_is_contacted_nothing_is_lost_and_all_catches_up(
    onefriend: Onefriend,
) -> None:
    case = await referred(onefriend, POLICE, _referral(onefriend, 1))
    entry = await onefriend.wait_for("beacon", "case.allocated", case)
    person = entry["data"]["person"]
    permit = await a_permit(onefriend, "beacon", entry)
    await onefriend.stop("consent")

    # A referral is taken all the same, and matched; only its claim stays unanswered.
    later = await onefriend.post_referral(POLICE, _referral(onefriend, 2))
    await _stands(onefriend, later, "proposed")

    # No details without consent, and the answer says what that means.
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert means_do_not_contact(release), release.text
    assert "phones" not in release.text

    # Her no is recorded, and its state can be read.
    answer = await withdraw(onefriend, person)
    assert answer.status_code == 202, answer.text
    path = f"/v1/withdrawals/{answer.json()['withdrawal']}"
    known = await onefriend.call("intake", "GET", path, "beacon")
    assert known.json()["state"] == "recorded", known.text

    await onefriend.start("consent")

    async def in_force() -> bool:
        now = await onefriend.call("intake", "GET", path, "beacon")
        return bool(now.json()["state"] != "recorded")

    await until(in_force, seconds=30, every=0.2)
    await _told_of_the_no(onefriend, case)
    last = await ask(onefriend, "beacon", entry)
    assert last.status_code == 409, last.text
    again = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert again.status_code == 409, again.text
    await _stands(onefriend, later, "allocated")


async def test_a_withdrawal_that_consent_has_not_heard_of_stops_a_release_at_once(
    onefriend: Onefriend,
) -> None:
    """Nobody else is needed for that: the permit was granted before, and consent itself would still redeem it."""
    case = await referred(onefriend, POLICE, _referral(onefriend, 3))
    entry = await onefriend.wait_for("beacon", "case.allocated", case)
    permit = await a_permit(onefriend, "beacon", entry)
    await onefriend.stop("allocation", "notifications")

    answer = await withdraw(onefriend, entry["data"]["person"])
    assert answer.status_code == 201, answer.text
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert (release.status_code, release.json()["type"].rsplit("/", 1)[1]) == (409, "withdrawn")

    # Allocation comes back and closes the case; what notifications missed arrives too.
    await onefriend.start("allocation")
    await onefriend.start("notifications")
    await _told_of_the_no(onefriend, case)


def _referral(onefriend: Onefriend, number: int) -> dict[str, Any]:
    parties = [onefriend.stranger(), onefriend.stranger("responsible")]
    document = referral(f"O-{number}", parties=parties)
    document["incident"] |= {"reference": f"41/800{number}/26"}
    return document


async def _told_of_the_no(onefriend: Onefriend, case: str) -> None:
    """Two topics tell of it, in any order: that she withdrew, and that the case is closed because of it."""

    async def told() -> bool:
        entries = await onefriend.feed("beacon", case=case)
        return any(
            e["kind"] == "consent.withdrawn" or e["data"].get("reason") == "withdrawn" for e in entries
        )

    await until(told, seconds=30, every=0.2)


async def _stands(onefriend: Onefriend, posted: dict[str, Any], status: str) -> None:
    seen: list[str] = []

    async def reached() -> bool:
        path = f"/v1/referrals/{posted['referral']}"
        answer = await onefriend.call("intake", "GET", path, POLICE)
        seen[:] = [answer.text]
        return f'"{status}"' in answer.text

    try:
        await until(reached, seconds=30, every=0.2)
    except AssertionError:
        raise AssertionError(seen) from None
