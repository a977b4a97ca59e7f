"""A later version of a referral: each harmed party keeps the case that is theirs, wherever in the list they stand now."""

import json
from datetime import date
from typing import Any

import httpx
import pytest

from services.intake import erasing, holding
from services.intake.core import Intake
from services.intake.store.arrivals import Arrival, arrive
from shared.runtime.work import Work
from tests.integration.intake.helpers import Headers, events, harmed, posted
from tests.support.referrals import offender, party, referral
from tests.support.tokens import bearer

ANN = party()
CAT = party(
    name={"forenames": "Gwendolyn", "surname": "Thackeray"}, date_of_birth="1950-07-01", emails=[],
    addresses=[{"lines": ["31 High Street"], "postcode": "AL1 3TG"}], phones=[{"number": "07700 900876"}],
)  # fmt: skip


async def told(intake: Intake) -> tuple[dict[str, str], set[str]]:
    """Return (the harmed person of each case that goes on, as last published; the cases that were taken back)."""
    rows = await intake.pool.fetch(
        "SELECT key, type, data FROM journal WHERE topic = 'referrals' ORDER BY position"
    )
    of: dict[str, str] = {}
    for row in rows:
        if row["type"].startswith("referral.retracted"):
            of.pop(row["key"], None)
        elif facts := json.loads(row["data"]).get("facts"):
            of[row["key"]] = facts["parties"][0]["person"]
    gone = {row["key"] for row in rows if row["type"].startswith("referral.retracted")}
    return of, gone


async def versions(
    intake: Intake, client: httpx.AsyncClient, police: Headers, *lists: list[dict[str, Any]]
) -> list[tuple[dict[str, str], set[str]]]:
    """Post these versions one after the other; return what was told after each."""
    found = []
    for number, parties in enumerate(lists, start=1):
        await posted(intake, client, police, referral(version=number, parties=parties))
        found.append(await told(intake))
    return found


async def test_the_order_of_the_parties_says_nothing(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    lists = [ANN, offender()], [offender(), ANN], [ANN, offender()]
    first, second, third = await versions(intake, client, police, *lists)
    assert first == second == third
    found = (await client.get("/v1/referrals?reference=R-1", headers=police)).json()["referrals"]
    assert len(found[0]["cases"]) == 1


async def test_two_who_were_harmed_keep_their_own_cases(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    lists = [ANN, CAT, offender()], [CAT, ANN, offender()], [CAT, offender()]
    first, second, third = await versions(intake, client, police, *lists)
    assert len(first[0]) == 2
    assert second == first
    ((case, person),) = third[0].items()
    assert first[0][case] == person
    assert third[1] == set(first[0]) - {case}


async def test_who_was_left_out_and_is_named_again_has_their_case_again(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    lists = [ANN, CAT, offender()], [ANN, offender()], [ANN, CAT, offender()]
    first, second, third = await versions(intake, client, police, *lists)
    assert len(second[0]) == 1
    assert third[0] == first[0], "told again, though the version says of it what was said before"


async def test_another_human_in_the_same_place_has_a_case_of_their_own(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    first, second = await versions(intake, client, police, [ANN, offender()], [CAT, offender()])
    ((wrong, ann),) = first[0].items()
    ((right, cat),) = second[0].items()
    assert wrong != right
    assert ann != cat
    assert second[1] == {wrong}


async def test_what_was_missing_is_answered_from_another_place(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    agreed = {
        "scope": ["be_contacted", "share"], "wording": "w1", "means": "spoken", "on": "2026-03-03",
        "recorded_by": "PC 1", "evidence": "pocket book 12",
    }  # fmt: skip
    incident = {**referral()["incident"], "offence_class": "sexual"}
    first = referral(incident=incident)
    number = await posted(intake, client, police, first)
    assert (await client.get(f"/v1/referrals/{number}", headers=police)).json()["status"] == "on_hold"
    second = referral(version=2, incident=incident, parties=[offender(), ANN], agreement=agreed)
    await posted(intake, client, police, second)
    assert (await client.get(f"/v1/referrals/{number}", headers=police)).json()["holds"] == []
    assert [name for _, name in await events(intake, "referrals")][-1] == "referral.hold_lifted"


@pytest.mark.parametrize("role", ["harmed", "responsible"])
async def test_a_later_version_of_somebody_erased_is_worked_out_and_held(
    intake: Intake, client: httpx.AsyncClient, police: Headers, role: str
) -> None:
    known = [ANN, offender(addresses=CAT["addresses"])]
    await posted(intake, client, police, referral(parties=known))
    person = await intake.pool.fetchval("SELECT person FROM party WHERE role = $1", role)

    async def erase(work: Work) -> list[str]:
        return await erasing.erase(work, intake, person, "asked")

    await intake.transact(erase)
    await posted(intake, client, police, referral(version=2, parties=known, stage="post_sentence"))
    again = await intake.pool.fetchval("SELECT person FROM party WHERE role = $1 AND current", role)
    assert again != person
    rows = await intake.pool.fetch("SELECT person, reason FROM hold WHERE lifted_at IS NULL")
    assert [(row["person"], row["reason"]) for row in rows] == [(again, "suppressed")]
    await harmed(intake, await posted(intake, client, police, referral("R-2", parties=[CAT])))


async def test_the_export_has_what_was_superseded_and_taken_back(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    number = await posted(
        intake, client, police, referral(parties=[party(phones=[{"number": "07700 900222"}])])
    )
    await posted(intake, client, police, referral(version=2, parties=[ANN]))
    person, _ = await harmed(intake, number)
    retraction = f"/v1/referrals/{number}/retraction"
    await client.post(retraction, headers={**police, "Idempotency-Key": '"r1"'})
    found = (
        await client.get(f"/v1/people/{person}/export", headers=bearer("hub", "hub", worker="h1"))
    ).json()
    sent = [one["sent"]["phones"][0]["number"] for one in found["as_sent"]]
    assert sent == ["07700 900222", "07700 900123"]
    assert [one["version"] for one in found["referrals"]] == [1, 2]
    await _what_nobody_was_matched_to_is_kept_of_nobody(intake)


async def _what_nobody_was_matched_to_is_kept_of_nobody(intake: Intake) -> None:
    """A version that was overtaken or taken back before it was matched: no export would have it, no erasure destroy it."""

    def arrival(reference: str, version: int) -> Arrival:
        raw = json.dumps(referral(reference, version=version, notes="Mary is afraid")).encode()
        return intake.doorstep.prepare("police", raw, date(2026, 11, 21))[0]

    versions = [arrival("R-3", version) for version in (1, 2, 3)]
    await intake.transact(arrive, versions)
    kept = "SELECT array_agg(DISTINCT version) FROM party WHERE referral = $1"
    assert await intake.pool.fetchval(kept, versions[0].id) == [3]

    async def posted_in_error(work: Work) -> None:
        await arrive(work, [one := arrival("R-4", 1)])
        await holding.retract(work, one.id, "police")

    await intake.transact(posted_in_error)
    taken_back = """SELECT coalesce(v.key, v.notes_key), v.notes, count(p.id) FROM referral AS r
                    JOIN referral_version AS v ON v.referral = r.id LEFT JOIN party AS p ON p.referral = r.id
                    WHERE r.reference_tag = $1 GROUP BY v.key, v.notes_key, v.notes"""
    (row,) = await intake.pool.fetch(taken_back, arrival("R-4", 1).reference_tag)
    assert tuple(row) == (None, None, 0)
