"""People as registers really have them: one letter, 200 letters, other scripts, emoji, junk, one field alone.

Each shape is given to several humans of whom nothing else is alike. Never an error of ours, and never are two taken for one.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from tests.integration.intake.helpers import matched
from tests.support.referrals import referral
from tests.support.tokens import bearer

NAMES: dict[str, dict[str, str]] = {
    "one letter": {"full": "J"},
    "two letters": {"forenames": "A", "surname": "B"},
    "200 letters": {"full": "A" * 200},
    "200 letters of names": {"full": ("Anna " * 40).strip()},
    "Cyrillic": {"forenames": "Арсений", "surname": "Тарковский"},
    "Chinese": {"full": "李小龙"},
    "Arabic": {"forenames": "أحمد", "surname": "خالد"},
    "Devanagari": {"full": "अनिता शर्मा"},
    "emoji": {"full": "🙂🙂"},
    "emoji in a name": {"forenames": "Mary🙂", "surname": "Wells"},
    "right to left": {"full": "\u202eslleW yraM"},
    "invisible": {"forenames": "Ma\u200bry", "surname": "We\u200dlls"},
    "combining": {"full": "Z\u0335\u0321a\u0300\u0301\u0302lgo"},
    "not known": {"full": "NOT KNOWN"},
    "unknown twice": {"forenames": "Unknown", "surname": "UNKNOWN"},
    "duplicate": {"full": "DUPLICATE_"},
    "marked as a duplicate": {"forenames": "DUPLICATE_John", "surname": "DUPLICATE_Smith"},
    "a title": {"full": "Mr"},
    "punctuation": {"forenames": "-", "surname": "'"},
    "a word of code": {"full": "null"},
    "markup": {"full": "<script>alert(1)</script>"},
    "a quotation": {"full": "'); DROP TABLE party; --"},
    "swapped": {"forenames": "Wells", "surname": "Mary"},
    "not swapped": {"forenames": "Mary", "surname": "Wells"},
}
# What one human has, with the name left out; nothing of it is alike.
LIVES: tuple[dict[str, Any], ...] = (
    {"date_of_birth": "1950-01-05", "addresses": [{"lines": ["1 Elm Way"], "postcode": "SG1 1AA"}]},
    {"date_of_birth": "1974-07-19", "phones": [{"number": "07700 900001"}]},
    {"date_of_birth": "1999-12-30", "emails": [{"address": "one@example.org"}], "sex": "male"},
    {"date_of_birth": "1900-01-01", "phones": [{"number": "07700 900002"}], "sex": "female"},
    {},
)
ALONE: dict[str, dict[str, Any]] = {
    "a birth date and a junk name": {"name": {"full": "NOT KNOWN"}, "date_of_birth": "1961-02-03"},
    "a telephone": {"phones": [{"number": "07700 900003"}]},
    "an e-mail address": {"emails": [{"address": "info@example.org"}]},
    "a number": {"identifiers": {"pnc": "79/163001B"}},
    "the agency's own number": {"identifiers": {"own": "77"}},
    "a name": {"name": {"full": "Xanthe Quibell"}},
    "a surname": {"name": {"surname": "Quibell"}},
}


async def post_all(
    intake: Intake, client: httpx.AsyncClient, parties: dict[tuple[str, int], dict[str, Any]]
) -> dict[tuple[str, int], str | None]:
    """Refer each of these; return who each was taken for, None where nobody could be told."""
    posted: dict[tuple[str, int], str] = {}
    gate = asyncio.Semaphore(16)

    async def post(number: int, who: tuple[str, int], party: dict[str, Any]) -> None:
        incident = {**referral()["incident"], "reference": f"41/{number}/26"}
        document = referral(f"O-{number}", incident=incident, parties=[{"role": "harmed", **party}])
        async with gate:
            answer = await client.post(
                "/v1/referrals", json=document, headers=bearer(f"agency-{who[1]}", "referrals.write")
            )
        assert answer.status_code in {202, 422}, (who, answer.text)
        if answer.status_code == 202:
            posted[who] = answer.json()["referral"]

    await asyncio.gather(
        *(post(number, who, party) for number, (who, party) in enumerate(parties.items(), 1))
    )
    await matched(intake, len(posted))
    rows = await intake.pool.fetch("SELECT referral::text AS referral, person FROM party")
    person = {row["referral"]: row["person"] for row in rows}
    return {who: person[number] for who, number in posted.items()}


@pytest.mark.timeout(600)
async def test_odd_names_never_make_one_human_of_two(intake: Intake, client: httpx.AsyncClient) -> None:
    parties = {
        (shape, number): {"name": name, **_own(life, offset * len(LIVES) + number)}
        for offset, (shape, name) in enumerate(NAMES.items())
        for number, life in enumerate(LIVES)
    }
    found = await post_all(intake, client, parties)
    assert len(found) > len(parties) // 2, "most are accepted: an odd name is no reason to lose a referral"
    taken: dict[str, tuple[str, int]] = {}
    for who, person in found.items():
        if person is not None:
            assert taken.setdefault(person, who) == who, f"{who} was taken for {taken[person]}"
    assert await intake.pool.fetchval("SELECT max(attempts) FROM to_match") is None, "each could be matched"


def _own(life: dict[str, Any], human: int) -> dict[str, Any]:
    """Return a life with details that are nobody else's, nor near anybody else's."""
    draw = random.Random(human)
    own: dict[str, Any] = dict(life)
    if own.get("date_of_birth") not in (None, "1900-01-01"):
        own["date_of_birth"] = (
            f"{draw.randint(1930, 2005)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        )
    if "phones" in own:
        own["phones"] = [{"number": f"077{draw.randint(0, 99_999_999):08d}"}]
    if "emails" in own:
        own["emails"] = [{"address": f"{draw.randbytes(5).hex()}@example.org"}]
    if "addresses" in own:
        area, letters = draw.choice(("AL", "BN", "CM", "EN", "HP", "LU", "NE", "TS", "WD")), "ABDEFGHJLN"
        code = f"{area}{draw.randint(1, 29)} {draw.randint(1, 9)}{draw.choice(letters)}{draw.choice(letters)}"
        own["addresses"] = [
            {"lines": [f"{draw.randint(1, 300)} {draw.randbytes(4).hex()} Road"], "postcode": code}
        ]
    return own


async def test_one_field_alone_never_joins(intake: Intake, client: httpx.AsyncClient) -> None:
    parties = {(what, number): party for what, party in ALONE.items() for number in range(3)}
    found = await post_all(intake, client, parties)
    for what in ALONE:
        people = [found[what, number] for number in range(3) if found.get((what, number)) is not None]
        assert len(set(people)) == len(people), f"{what} alone joined two records"


async def test_the_same_human_with_swapped_names_is_still_found(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    known = {**LIVES[1], "emails": [{"address": "mary.w@example.org"}]}
    parties = {
        ("as it is", 0): {"name": NAMES["not swapped"], **known},
        ("swapped", 1): {"name": NAMES["swapped"], **known},
    }
    found = await post_all(intake, client, parties)
    assert len(set(found.values())) == 1
