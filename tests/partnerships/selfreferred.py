"""Somebody who asks for themselves: public, unverified, and nothing before the reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.runtime.identifiers import new_id
from tests.e2e.conftest import Onefriend
from tests.support.running import until

SECONDS = 60
LINK = re.compile(r"http\S+/v1/self-referrals/\S+")


@dataclass(frozen=True)
class Seen:
    """What somebody who asks sees: the answer, the message, the page behind its link, the page after the reply."""

    number: str
    answer: tuple[int, tuple[str, ...]]
    message: str
    pages: tuple[str, str]

    @property
    def text(self) -> tuple[object, ...]:
        """All of it, but for what is different each time."""
        return (self.answer, LINK.sub("", self.message), self.pages)


async def asks(onefriend: Onefriend, person: Mapping[str, Any], incident: Mapping[str, Any]) -> Seen:
    """Ask as this person would, and reply to the message that comes."""
    address = f"{person['name']['surname']}.{new_id()[-6:]}@example.org".lower()
    said = {name: person[name] for name in ("name", "date_of_birth", "addresses")}
    body = {
        **said,
        "emails": [{"address": address}],
        "offence_class": incident["offence_class"],
        "area": incident["area"],
    }
    headers = {"Idempotency-Key": f'"{new_id()}"'}
    posted = await onefriend.http.post(
        onefriend.urls["intake"] + "/v1/self-referrals", json=body, headers=headers
    )
    assert posted.status_code == 202, posted.text
    number = posted.json()["self_referral"]
    await until(lambda: bool(onefriend.mailbox.to(address)), seconds=SECONDS)
    message = onefriend.mailbox.to(address)[0]
    link = LINK.search(message)
    assert link is not None
    page = await onefriend.http.get(link[0])
    assert await _known(onefriend, number) is None, "a referral before the reply"
    replied = await onefriend.http.post(link[0])
    assert (page.status_code, replied.status_code) == (200, 200)
    return Seen(
        number, (posted.status_code, tuple(sorted(posted.json()))), message, (page.text, replied.text)
    )


async def referral_of(onefriend: Onefriend, number: str) -> str:
    """Wait until a self-referral that was replied to has become a referral; return its id."""
    found: list[str] = []

    async def referred() -> bool:
        known = await _known(onefriend, number)
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
