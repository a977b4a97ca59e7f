"""What happens around a case: an old register, batches, erasure, letters, succession, hand-over; through the public API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Onefriend
from tests.e2e.steps import HERTFORDSHIRE, Case, refer, referral, register, status, why
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICE, BEACON, MEDIATION = "hertfordshire-constabulary", "beacon", "mediation-hertfordshire"


async def lines(
    onefriend: Onefriend, path: str, agency: str, rows: list[bytes], *scopes: str
) -> list[dict[str, Any]]:
    """Post NDJSON; return the answer of each line."""
    answer = await onefriend.call(
        "intake", "POST", path, agency, *scopes,
        headers={"Content-Type": "application/x-ndjson"}, content=b"\n".join(rows) + b"\n",
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_who_led_and_who_said_no_in_the_old_register_holds_from_the_first_day(
    onefriend: Onefriend,
) -> None:
    """Given an imported register; when others refer the same people; then who led goes on, and who said no is left alone."""
    led, refused = ({k: v for k, v in onefriend.stranger().items() if k != "role"} for _ in range(2))
    incidents = [
        {"offence_class": "burglary", "reference": f"41/{n}/25", "force": "41", "area": HERTFORDSHIRE[0]}
        for n in (9001, 9002)
    ]
    rows = [
        {
            "register": "casebook", "record": "1", "agency": MEDIATION, "person": led, "incident": incidents[0],
            "lead": MEDIATION,
            "approached": {"by": MEDIATION, "answer": "yes", "on": "2026-01-10", "means": "phone"},
        },
        {
            "register": "casebook", "record": "2", "agency": MEDIATION, "person": refused,
            "incident": incidents[1], "approached": {"by": MEDIATION, "answer": "no", "on": "2026-01-10"},
        },
    ]  # fmt: skip
    told = await lines(
        onefriend, "/v1/register-imports", "onefriend", [json.dumps(row).encode() for row in rows], "operator"
    )
    assert [line["status"] for line in told] == [202, 202], told
    entry = await onefriend.wait_for(MEDIATION, "case.allocated", role="harmed", seconds=5)

    (same,) = await refer(
        onefriend, POLICE,
        referral(HERTFORDSHIRE, {**led, "role": "harmed"}, onefriend.stranger("responsible"), incident=incidents[0]),
    )  # fmt: skip
    assert same.id == entry["case"]
    await same.refused(POLICE, entry["party"], "not-lead")
    await same.refused(BEACON, entry["party"], "not-lead", "not-found")
    await same.permit(MEDIATION, entry["party"], purpose="conversation")

    # The one who said no: a new incident, another agency; nobody is given a permit.
    (other,) = await refer(
        onefriend, POLICE,
        referral(HERTFORDSHIRE, {**refused, "role": "harmed"}, onefriend.stranger("responsible"), incident=incidents[1]),
    )  # fmt: skip
    seen: list[dict[str, Any]] = []

    async def known() -> bool:
        answer = await other.read("onefriend", "cases.read", "operator")
        seen[:] = [answer.json()] if answer.status_code == 200 else []
        return bool(seen and seen[0].get("parties"))

    await until(known, every=0.1)
    party = next(p["party"] for p in seen[0]["parties"] if p["role"] == "harmed")
    for agency in (POLICE, BEACON, MEDIATION):
        answer = await other.ask(agency, party)
        assert answer.status_code in {404, 409}, answer.text


async def test_three_bad_lines_of_a_batch_lose_no_other(onefriend: Onefriend) -> None:
    """Fifty referrals, three of them bad: 47 are accepted and allocated, the three are told what is wrong, by line."""
    documents = [
        referral(HERTFORDSHIRE, onefriend.stranger(), onefriend.stranger("responsible")) for _ in range(50)
    ]
    rows = [json.dumps(document).encode() for document in documents]
    rows[7] = b'{"reference": "cut off'
    rows[21] = json.dumps({**documents[21], "stage": "nowhere"}).encode()
    rows[33] = json.dumps({**documents[33], "parties": []}).encode()
    told = await lines(onefriend, "/v1/referral-batches", POLICE, rows)
    bad = [line for line in told if line["status"] != 202]
    assert [(line["line"], line["status"]) for line in bad] == [(8, 422), (22, 422), (34, 422)], bad
    assert all(line["errors"] for line in bad)
    accepted = [line["referral"] for line in told if line["status"] == 202]
    assert len(accepted) == 47

    states: list[dict[str, Any]] = []

    async def all_allocated() -> bool:
        states[:] = [await status(onefriend, POLICE, known) for known in accepted]
        return all(state["status"] == "allocated" for state in states)

    try:
        await until(all_allocated, seconds=45, every=0.5)
    except AssertionError:
        raise AssertionError([state for state in states if state["status"] != "allocated"]) from None
    again = await lines(onefriend, "/v1/referral-batches", POLICE, rows)
    assert [line["status"] for line in again if line["status"] != 422] == [200] * 47


async def test_erasure_leaves_a_suppression_that_a_later_referral_meets(onefriend: Onefriend) -> None:
    """She said no, and wants everything destroyed: it is; who refers her again is held, and nobody may approach."""
    anna = onefriend.stranger()
    document = referral(HERTFORDSHIRE, anna, onefriend.stranger("responsible"))
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(BEACON)
    await case.contact(BEACON, entry["party"], "declined")
    erasure = f"/v1/people/{entry['party']}/erasure"
    # Every hub decides who is who; what is held about her is for the hub of her own case to give or destroy.
    export = f"/v1/people/{entry['party']}/export"
    for agency, status_ in (("hub-brighton", 404), ("herts-rj-coordinator", 200)):
        assert (await onefriend.call("intake", "GET", export, agency, "hub")).status_code == status_
    assert (
        await onefriend.post("intake", erasure, "hub-brighton", {"reason": "x"}, "hub")
    ).status_code == 404
    for worker, state in (("worker-1", "awaiting_second_person"), ("worker-2", "erased")):
        done = await onefriend.post(
            "intake", erasure, "herts-rj-coordinator", {"reason": "person_asked"}, "hub", worker=worker
        )
        assert (done.status_code, done.json().get("state")) == (202, state), done.text

    again = await onefriend.post_referral(
        "victim-support-hertfordshire", referral(HERTFORDSHIRE, anna, onefriend.stranger("responsible"))
    )
    found: list[dict[str, Any]] = []

    async def on_hold() -> bool:
        found[:] = [await status(onefriend, "victim-support-hertfordshire", again["referral"])]
        return bool(found[0]["status"] == "on_hold")

    await until(on_hold, every=0.1)
    # Whoever leads by rule is told of the case, and gets no permit.
    for told in found[0]["cases"]:
        later = Case(onefriend, told["case"])
        for lead in await onefriend.feed(BEACON, "case.allocated", later.id):
            await later.refused(BEACON, lead["party"], "on-hold")


async def test_a_letter_goes_out_once_against_a_permit(onefriend: Onefriend) -> None:
    """Notifications redeems the permit for Beacon at the real intake and consent: one file, its outcome recorded."""
    anna = onefriend.stranger()
    (case,) = await refer(onefriend, POLICE, referral(HERTFORDSHIRE, anna, onefriend.stranger("responsible")))
    entry = await case.allocated(BEACON)
    permit = await case.permit(BEACON, entry["party"], channel="letter")
    wanted = {"permit": permit["permit"], "fence": permit["fence"], "template": "approach"}
    headers = {"Idempotency-Key": '"letter-1"'}
    sent: list[Any] = []

    async def taken() -> bool:
        sent[:] = [
            await onefriend.call(
                "notifications", "POST", "/v1/messages", BEACON, headers=headers, json=wanted
            )
        ]
        return sent[0].status_code == 202 or why(sent[0]) != "behind"

    await until(taken, every=0.3)
    assert sent[0].status_code == 202, sent[0].text
    message = sent[0].json()["message"]
    known: dict[str, Any] = {}

    async def told() -> bool:
        known.update((await onefriend.call("notifications", "GET", f"/v1/messages/{message}", BEACON)).json())
        return bool(known["outcome"])

    await until(told, every=0.1)
    assert (known["state"], known["outcome"]) == ("sent", "delivered"), known
    (letter,) = letters(onefriend.sink, anna["name"]["surname"])
    assert anna["addresses"][0]["postcode"] in letter
    link = next(word for word in letter.split() if "/v1/withdrawals/link/" in word)

    # The same again, another key, the agency itself: nothing of it is a second letter.
    replay = await onefriend.call(
        "notifications", "POST", "/v1/messages", BEACON, headers=headers, json=wanted
    )
    assert replay.json()["message"] == message
    other = await onefriend.post("notifications", "/v1/messages", BEACON, wanted)
    assert other.json()["message"] == message, other.text
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", BEACON, json=body)
    assert release.status_code == 409, release.text
    assert len(letters(onefriend.sink, anna["name"]["surname"])) == 1
    await case.refused(BEACON, entry["party"], "attempt-gap")

    # The link in the letter: opening it does nothing, the button withdraws.
    assert (await onefriend.http.get(link)).status_code == 200
    await case.refused(BEACON, entry["party"], "attempt-gap")
    assert (await onefriend.http.post(link)).status_code == 200
    await onefriend.wait_for(BEACON, "consent.withdrawn", case.id)


def letters(sink: Path, name: str) -> list[str]:
    """The letters that name somebody."""
    texts = [path.read_text(encoding="utf-8") for path in (sink / "letter").glob("*.txt")]
    return [text for text in texts if name in text]


async def test_a_successor_sees_the_feed_and_goes_on(onefriend: Onefriend) -> None:
    """BeNCH CRC ends; its successor inherits its leads and its feed, and goes on with the same approach."""
    old, new = "bench-crc", "probation-service-east"
    ben = onefriend.stranger("responsible", supervising_agency=old)
    document = referral(HERTFORDSHIRE, onefriend.stranger(), ben, initiated_by="responsible", stage="licence")
    (case,) = await refer(onefriend, old, document)
    entry = await case.allocated(old, "responsible")
    await case.contact(old, entry["party"], "no_answer")
    await register(onefriend, old, "crc")
    await register(onefriend, new, "nps")
    assert (await case.ask(new, entry["party"])).status_code == 404
    done = await onefriend.post(
        "allocation", f"/v1/agencies/{old}/succession", "onefriend", {"successor": new}, "operator"
    )
    assert done.status_code == 201, done.text
    await onefriend.wait_for(new, "agency.succeeded")
    inherited = await onefriend.call("notifications", "GET", f"/v1/feed?of={old}", new)
    assert entry["number"] in [e["number"] for e in inherited.json()["entries"]], inherited.text
    # The gap between two attempts is kept, whoever has the lead: what the predecessor did is the successor's too.
    await case.refused(new, entry["party"], "attempt-gap")
    await case.refused(old, entry["party"], "not-lead", "not-found")
    stranger = await onefriend.call("notifications", "GET", f"/v1/feed?of={old}", MEDIATION)
    assert stranger.status_code == 404
    await onefriend.at_ten_on_a_tuesday(weeks=1)
    await case.permit(new, entry["party"])


async def test_a_hand_over_before_anybody_has_called_carries_the_attempts_over(onefriend: Onefriend) -> None:
    """Beacon tried once and reached nobody: Mediation takes over, and does not begin anew."""
    document = referral(
        HERTFORDSHIRE, onefriend.stranger(), onefriend.stranger("responsible"), initiated_by="harmed"
    )
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(BEACON)
    await case.contact(BEACON, entry["party"], "no_answer")
    stranger = await case.hand_over(BEACON, entry["party"], "durham-restorative-hub")
    assert stranger.status_code == 422, stranger.text
    done = await case.hand_over(BEACON, entry["party"], MEDIATION)
    assert done.status_code == 200, done.text
    await case.allocated(MEDIATION, "harmed")
    await case.refused(BEACON, entry["party"], "not-lead")
    answer = await case.ask(MEDIATION, entry["party"])
    assert answer.status_code == 409, answer.text
