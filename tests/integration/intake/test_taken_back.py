"""Holds that people set, and what is left of a referral that was taken back."""

import json

import httpx
import pytest

from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, harmed, posted
from tests.support.referrals import referral
from tests.support.tokens import bearer

INCIDENT = {"offence_class": "sexual", "reference": "41/1234/26", "force": "41", "on": "2026-03-02"}


@pytest.fixture
def hub() -> Headers:
    return bearer("hub", "hub", "referrals.read", worker="h1")


def key(headers: Headers, value: str) -> Headers:
    return {**headers, "Idempotency-Key": f'"{value}"'}


async def test_a_hold_is_until_a_time_that_exists(
    intake: Intake, client: httpx.AsyncClient, police: Headers, hub: Headers
) -> None:
    number = await posted(intake, client, police, referral())
    said = set()
    for until_ in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2026-12-24T12:00:00"):
        body = {"reason": "safeguarding", "until": until_}
        made = await client.post(f"/v1/referrals/{number}/holds", json=body, headers=key(hub, until_))
        (error,) = made.json()["errors"]
        assert (made.status_code, error["field"]) == (422, "until"), made.text
        said.add((error["problem"], error["remedy"]))
    assert said == {
        ("not between 1900 and 2200", "Look at its year."),
        ("not a time with its zone", "send one that exists, like 2026-03-31T10:00:00Z"),
    }


async def test_what_a_retracted_referral_lacked_holds_up_nobody_any_more(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, hub: Headers
) -> None:
    number = await posted(intake, client, police, referral(incident=INCIDENT))
    agreed = {
        "scope": ["be_contacted", "share"], "wording": "w1", "means": "spoken", "on": "2026-03-03",
        "recorded_by": "A. Carer", "evidence": "file note 12",
    }  # fmt: skip
    other = await posted(intake, client, care, referral("V-1", incident=INCIDENT, agreement=agreed))
    _, case = await harmed(intake, number)
    assert (await harmed(intake, other))[1] == case
    query = "SELECT (state -> 'holds')::text FROM stream WHERE kind = 'case_file' AND key = $1"
    assert "agreement_to_share_missing" in await intake.pool.fetchval(query, case)
    await client.post(f"/v1/referrals/{number}/retraction", headers=key(police, "1"))
    assert json.loads(await intake.pool.fetchval(query, case) or "{}") == {}
    assert (await client.get(f"/v1/referrals/{number}/holds", headers=hub)).json()["holds"] == []
