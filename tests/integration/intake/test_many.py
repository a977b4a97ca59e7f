"""Many at once: batches, registers, self-referrals, several matchers on one database."""

import asyncio
import itertools
import json
from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from services.intake.matcher import Matcher
from services.intake.selfreferring import MESSAGES_A_DAY, SELF
from tests.integration.intake.helpers import Headers, harmed, matched, posted
from tests.support.referrals import party, referral, strangers
from tests.support.running import until
from tests.support.tokens import bearer

NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_batch_is_answered_line_by_line(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    good, bad = referral("B-1"), referral("B-2", stage="nowhere")
    body = "\n".join(
        [json.dumps(good), "{", json.dumps(bad), json.dumps(good), "", json.dumps(referral("B-3"))]
    )
    answer = await client.post("/v1/referral-batches", content=body, headers={**police, **NDJSON})
    assert answer.status_code == 200
    found = lines(answer)
    assert [(entry["line"], entry["status"]) for entry in found] == [
        (1, 202),
        (2, 422),
        (3, 422),
        (4, 200),
        (6, 202),
    ]
    assert found[2]["errors"][0]["field"] == "stage"
    await matched(intake, 2)


async def test_a_table_is_a_batch(intake: Intake, client: httpx.AsyncClient, police: Headers) -> None:
    table = (
        "reference,version,stage,initiated_by,prior_contact,lawful_basis,incident.offence_class,incident.on,"
        "parties.0.role,parties.0.name.full,parties.0.date_of_birth,parties.0.phones.0.number,parties.0.vulnerable\r\n"
        "C-1,1,custody,agency,none,public_task,burglary,2026-03-02,harmed,Mary Wells,1971-03-09,07700 900123,true\r\n"
        "C-2,1,custody,agency,none,public_task,burglary,2026-13-02,harmed,John Doe,,,\r\n"
        "too,few\r\n"
    )
    answer = await client.post(
        "/v1/referral-batches", content=table.encode(), headers={**police, "Content-Type": "text/csv"}
    )
    found = lines(answer)
    assert [(entry["line"], entry["status"]) for entry in found] == [(2, 202), (3, 422), (4, 422)]
    assert found[1]["errors"][0]["field"] == "incident.on"
    await matched(intake, 1)
    sealed = await client.post(
        "/v1/referral-batches", content=table.encode(), headers={**police, "Content-Type": "text/csv"}
    )
    assert lines(sealed)[0]["status"] == 200


async def test_no_batch_whatever_is_an_error_of_ours(client: httpx.AsyncClient, police: Headers) -> None:
    contents = [b"", b"\xff\xff\n", b"[1]\n", b"x" * 300_000, b"null\n" * 3]
    for content, media in itertools.product(contents, ("application/x-ndjson", "text/csv")):
        answer = await client.post(
            "/v1/referral-batches", content=content, headers={**police, "Content-Type": media}
        )
        assert answer.status_code == 200
        assert {entry["status"] for entry in lines(answer)} <= {413, 422}


async def test_a_register_says_who_leads_and_who_said_no(intake: Intake, client: httpx.AsyncClient) -> None:
    operator = bearer("onefriend", "operator")
    person = {key: value for key, value in party().items() if key != "role"}
    other = {key: value for key, value in strangers(1)[0].items() if key not in ("role", "sex")}
    entry = {
        "register": "old-system", "record": "4711", "agency": "beacon", "person": person, "lead": "beacon", "worker": "w7",
        "incident": {"offence_class": "burglary", "on": "2026-03-02"},
        "approached": {"by": "beacon", "answer": "no", "on": "2026-04-01", "means": "phone"},
    }  # fmt: skip
    waiting = {
        **entry,
        "record": "4712",
        "approached": {"by": "beacon", "answer": "no_answer"},
        "person": other,
    }
    bad = {**entry, "record": "4713", "person": {}}
    body = "\n".join(json.dumps(line) for line in (entry, waiting, bad, entry))
    answer = await client.post("/v1/register-imports", content=body, headers={**operator, **NDJSON})
    assert [found["status"] for found in lines(answer)] == [202, 202, 422, 200], answer.text
    assert lines(answer)[2]["errors"][0]["problem"] == "nothing says who this is"
    await matched(intake, 2)
    data = [
        row["data"]
        for row in await intake.pool.fetch("SELECT data::text AS data FROM journal ORDER BY position")
    ]
    assert any('"answer":"no"' in text.replace(" ", "") for text in data)
    assert any('"register_lead":"beacon"' in text.replace(" ", "") for text in data)
    assert any("approached_before" in text for text in data)


async def test_what_changed_in_a_register_since_it_was_imported_is_imported_too(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    operator = bearer("onefriend", "operator")
    person = {key: value for key, value in party().items() if key != "role"}
    entry = {
        "register": "old-system", "record": "4711", "agency": "beacon", "person": person,
        "incident": {"offence_class": "burglary", "on": "2026-03-02"},
    }  # fmt: skip
    said_no = {**entry, "approached": {"by": "beacon", "answer": "no"}}
    undated = {**entry, "record": "4712", "approached": {"by": "beacon", "answer": "not_now"}}
    long = {**entry, "register": "r" * 60, "record": "4" * 60}
    sent = (entry, said_no, {**said_no, "version": 2}, undated, long)
    body = "\n".join(json.dumps(line) for line in sent)
    answer = await client.post("/v1/register-imports", content=body, headers={**operator, **NDJSON})
    found = lines(answer)
    assert [line["status"] for line in found] == [202, 409, 202, 422, 422], answer.text
    assert found[1]["errors"][0]["remedy"] == "Send the change as version 2."
    assert found[3]["errors"][0]["field"] == "approached.not_before"
    assert "too long" in found[4]["errors"][0]["problem"]


async def test_only_a_register_may_say_who_leads_and_a_wording_is_no_text(
    client: httpx.AsyncClient, police: Headers
) -> None:
    """Which wording somebody agreed to is published: Mrs Wells must not be in it."""
    said = {
        "scope": ["share"],
        "wording": "Mrs Wells rang",
        "means": "spoken",
        "on": "2026-03-03",
        "recorded_by": "A",
    }
    document = referral(
        register_lead={"agency": "police"},
        agreement=said,
        parties=[party(agreement=said | {"wording": "2026-1.b"})],
    )
    answer = await client.post("/v1/referrals", json=document, headers=police)
    fields = [error["field"] for error in answer.json()["errors"]]
    assert (answer.status_code, fields) == (422, ["register_lead", "agreement.wording"])


async def test_a_self_referral_waits_for_the_persons_own_reply(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    body = {
        "name": {"full": "Mary Wells"},
        "emails": [{"address": "mary@example.org"}],
        "message": "please call",
    }
    headers = {"Idempotency-Key": '"s1"'}
    answer = await client.post("/v1/self-referrals", json=body, headers=headers)
    again = await client.post("/v1/self-referrals", json=body, headers=headers)
    assert (answer.status_code, again.json()) == (202, answer.json())
    number = answer.json()["self_referral"]
    assert await intake.pool.fetchval("SELECT count(*) FROM referral") == 0
    wrong = await client.post(f"/v1/self-referrals/{number}/guessed")
    assert wrong.status_code == 404
    row = await intake.pool.fetchrow("SELECT key, sealed FROM self_referral WHERE id = $1", number)
    assert row is not None
    owner = f"self:{number}"
    code = json.loads(intake.keyring.unwrap(row["key"], owner).open(row["sealed"], owner))[0]
    shown = await client.get(f"/v1/self-referrals/{number}/{code}")
    assert "Yes, it was me" in shown.text
    assert await intake.pool.fetchval("SELECT state FROM self_referral") != "confirmed"
    assert (await client.post(f"/v1/self-referrals/{number}/{code}")).status_code == 200
    await matched(intake, 1)
    assert await intake.pool.fetchval("SELECT agency FROM referral") == SELF
    assert await intake.pool.fetchval("SELECT sealed IS NULL FROM self_referral")


async def test_a_self_referral_is_taken_only_if_it_can_become_a_referral(client: httpx.AsyncClient) -> None:
    for fields in (
        {"date_of_birth": "the ninth of March, nineteen hundred and seventy-one"},
        {"crime_reference": "4" * 150, "force": "41"},
        {"crime_reference": "41/1", "force": "\u0664\u0661"},
    ):
        body = {"name": {"full": "Mary Wells"}, "emails": [{"address": "mary@example.org"}], **fields}
        answer = await client.post("/v1/self-referrals", json=body, headers={"Idempotency-Key": '"s2"'})
        assert answer.status_code == 422, answer.text


async def test_a_self_referral_that_cannot_be_worked_off_stops_no_other(
    intake: Intake, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    intake.own.smtp_host, intake.own.smtp_port = "127.0.0.1", 9  # nobody listens there
    # No SMTP command carries this address; and what was stored of the second can no longer be read as it was meant.
    for number, address in enumerate(("m\u00e4ry@example.org", "broken@example.org", "mary@example.org")):
        body = {"name": {"full": "Mary Wells"}, "emails": [{"address": address}]}
        headers = {"Idempotency-Key": f'"m{number}"'}
        assert (await client.post("/v1/self-referrals", json=body, headers=headers)).status_code == 202
        if address.startswith("broken"):
            await intake.pool.execute(
                "UPDATE self_referral SET sealed = '\\x00' WHERE id = (SELECT max(id::text)::uuid FROM self_referral)"
            )

    async def tried() -> bool:
        rows = await intake.pool.fetch("SELECT tries FROM self_referral ORDER BY id")
        return bool(rows[0]["tries"] and rows[2]["tries"])

    await until(tried, seconds=20)
    assert "m\u00e4ry" not in caplog.text
    await _is_plagued_no_further(intake, client)


async def _is_plagued_no_further(intake: Intake, client: httpx.AsyncClient) -> None:
    """Whoever asks again and again in somebody's name has only a few messages sent to them."""
    body = {"name": {"full": "Mary Wells"}, "emails": [{"address": "plagued@example.org"}]}
    for number in range(MESSAGES_A_DAY + 1):
        headers = {"Idempotency-Key": f'"p{number}"'}
        asked = await client.post("/v1/self-referrals", json=body, headers=headers)
        assert asked.status_code == 202, "answered alike"
        if number < MESSAGES_A_DAY:
            await intake.pool.execute(
                "UPDATE self_referral SET state = 'written' WHERE id = $1", asked.json()["self_referral"]
            )

    async def waits() -> bool:
        query = "SELECT state FROM self_referral WHERE id = $1"
        return bool(await intake.pool.fetchval(query, asked.json()["self_referral"]) == "waits")

    await until(waits, seconds=20)


async def test_two_matchers_at_once_still_make_one_person(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    # The service's own matcher runs beside; four more on the same database are what several processes would be.
    more = [asyncio.create_task(Matcher(intake).run()) for _ in range(4)]
    try:
        people = strangers(100, seed=7)
        documents = [
            (
                headers,
                referral(
                    f"M-{n}",
                    parties=[someone],
                    incident={"offence_class": "theft", "on": "2026-03-02", "area": "E23000027"},
                ),
            )
            for n, someone in enumerate(people)
            for headers in (police, care)
        ]
        answers = await asyncio.gather(
            *(client.post("/v1/referrals", json=document, headers=headers) for headers, document in documents)
        )
        assert {answer.status_code for answer in answers} == {202}
        await matched(intake, 200)
    finally:
        for task in more:
            task.cancel()
    found = await intake.pool.fetchrow(
        "SELECT count(DISTINCT harmed) AS people, count(DISTINCT case_id) AS cases FROM referral_case"
    )
    assert found is not None
    assert dict(found) == {"people": 100, "cases": 100}


async def test_one_that_cannot_be_matched_holds_up_no_other(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    first = await client.post("/v1/referrals", json=referral("X-1"), headers=police)
    await posted(intake, client, police, referral("X-2"))
    # As a damaged row would be: it cannot be opened.
    await intake.pool.execute("UPDATE party SET sealed = 'x' WHERE referral = $1", first.json()["referral"])
    await intake.pool.execute(
        "UPDATE referral SET status = 'received' WHERE id = $1", first.json()["referral"]
    )
    await intake.pool.execute(
        "INSERT INTO to_match (referral) VALUES ($1) ON CONFLICT DO NOTHING", first.json()["referral"]
    )
    await posted(intake, client, police, referral("X-3"))

    async def put_off() -> bool:
        attempts = await intake.pool.fetchval("SELECT attempts FROM to_match")
        return bool(attempts and attempts > 1)

    await until(put_off)
    assert await harmed(
        intake,
        (await client.get("/v1/referrals", params={"reference": "X-3"}, headers=police)).json()["referrals"][
            0
        ]["referral"],
    )
