"""Steps that several tests of intake take."""

from typing import Any

import httpx

from services.intake.core import Intake
from tests.support.running import until
from tests.support.tokens import bearer

Headers = dict[str, str]


async def matched(intake: Intake, count: int) -> None:
    """Wait until this many referrals are matched."""

    async def done() -> bool:
        known = await intake.pool.fetchval("SELECT count(*) FROM referral WHERE status <> 'received'")
        return bool(known >= count)

    await until(done, seconds=30)


async def posted(
    intake: Intake, client: httpx.AsyncClient, headers: dict[str, str], document: dict[str, Any]
) -> str:
    """Post a referral, wait until it is matched, and return its id."""
    answer = await client.post("/v1/referrals", json=document, headers=headers)
    assert answer.status_code == 202, answer.text

    async def done() -> bool:
        waiting = await intake.pool.fetchval(
            "SELECT count(*) FROM to_match WHERE referral = $1", answer.json()["referral"]
        )
        return bool(waiting == 0)

    await until(done, seconds=30)
    return str(answer.json()["referral"])


async def harmed(intake: Intake, referral: str) -> tuple[str, str]:
    """Return (person, case) of a referral's first harmed party."""
    row = await intake.pool.fetchrow(
        "SELECT harmed, case_id FROM referral_case WHERE referral = $1 ORDER BY position LIMIT 1", referral
    )
    assert row is not None
    return row["harmed"], row["case_id"]


async def events(intake: Intake, topic: str) -> list[tuple[str, str]]:
    """Return (key, type without version) of everything recorded for a topic."""
    rows = await intake.pool.fetch("SELECT key, type FROM journal WHERE topic = $1 ORDER BY position", topic)
    return [(row["key"], row["type"].rpartition(".v")[0]) for row in rows]


async def by_two(
    client: httpx.AsyncClient, method: str, path: str, match: str | None = None, **more: Any
) -> httpx.Response:
    """Have two workers of the hub ask for the same; return what the second is answered."""
    answers = []
    for worker in ("h1", "h2"):
        headers = {**bearer("hub", "hub", worker=worker), "Idempotency-Key": f'"{worker}"'}
        headers |= {"If-Match": match} if match else {}
        answers.append(await client.request(method, path, headers=headers, **more))
    first, second = answers
    assert (first.status_code, first.json().get("state")) == (202, "awaiting_second_person"), first.text
    return second


def kind(answer: httpx.Response) -> str:
    """Return the last part of a problem's type."""
    return str(answer.json()["type"].rpartition("/")[2])
