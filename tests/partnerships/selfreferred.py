"""Somebody who asks for themselves: public, unverified, and nothing before the reply."""

from __future__ import annotations

import re
from typing import Any

from shared.runtime.identifiers import new_id
from tests.e2e.conftest import Onefriend
from tests.support.running import until

SECONDS = 60


async def self_referred(onefriend: Onefriend, referral: dict[str, Any]) -> str:
    """Post what the harmed person of this referral would say, reply to the message that comes; return the referral's id."""
    person = referral["parties"][0]
    address = f"{person['name']['surname']}@example.org".lower()
    person["emails"] = [{"address": address}]
    said = {name: person[name] for name in ("name", "date_of_birth", "addresses", "emails")}
    body = {
        **said,
        "offence_class": referral["incident"]["offence_class"],
        "area": referral["incident"]["area"],
    }
    headers = {"Idempotency-Key": f'"{new_id()}"'}
    posted = await onefriend.http.post(
        onefriend.urls["intake"] + "/v1/self-referrals", json=body, headers=headers
    )
    assert posted.status_code == 202, posted.text
    await until(lambda: bool(onefriend.mailbox.to(address)), seconds=SECONDS)
    link = re.search(r"http\S+/v1/self-referrals/\S+", onefriend.mailbox.to(address)[0])
    assert link is not None
    assert await _known(onefriend, posted.json()["self_referral"]) is None, "a referral before the reply"
    assert (await onefriend.http.post(link[0])).status_code == 200
    found: list[str] = []

    async def referred() -> bool:
        known = await _known(onefriend, posted.json()["self_referral"])
        found[:] = [known] if known else []
        return bool(found)

    await until(referred, seconds=SECONDS, every=0.2)
    return found[0]


async def _known(onefriend: Onefriend, reference: str) -> str | None:
    answer = await onefriend.call("intake", "GET", f"/v1/referrals?reference={reference}", "self")
    assert answer.status_code in {200, 404}, answer.text
    if answer.status_code == 404:
        return None
    return str(answer.json()["referrals"][0]["referral"])
