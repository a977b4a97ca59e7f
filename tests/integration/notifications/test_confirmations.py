"""A mailbox is asked before it is told anything: by a real mail server, a real link and a real button."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from services.notifications.domain import lane
from services.notifications.webhooks import confirmations, rows
from shared.contracts import agencies, cases
from shared.runtime.work import Work
from tests.integration.notifications.conftest import World, allocated
from tests.integration.notifications.desk import Desk, agree, link_in, opened, serving, subscribe
from tests.support.running import until
from tests.support.tokens import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("quick")]
DESK, OTHER = "desk@beacon.example", "other@beacon.example"


def beacon() -> dict[str, str]:
    """Return its headers: a token lives five minutes, and the file is read when the first test of all begins."""
    return bearer("beacon", "subscribe")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Desk]:
    async with serving() as found:
        yield found


@pytest.fixture
def desk(server: Desk) -> Desk:
    return server.cleared()


@pytest.fixture(scope="module")
def more_settings(server: Desk) -> dict[str, object]:
    return {"smtp_port": server.port, "delivery_attempts": 3}


async def made(world: World, mailbox: str = DESK, *, agency: str = "beacon", key: str = "") -> str:
    return str(json.loads(await subscribe(world, f"mailto:{mailbox}", agency=agency, key=key))["id"])


async def shown(world: World, subscription: str) -> httpx.Response:
    answer = await world.http.get(f"/v1/subscriptions/{subscription}", headers=beacon())
    assert answer.status_code == 200, answer.text
    return answer


async def change(world: World, subscription: str, **wanted: Any) -> httpx.Response:
    etag = (await shown(world, subscription)).headers["etag"]
    path, headers = f"/v1/subscriptions/{subscription}", beacon() | {"If-Match": etag}
    return await world.http.patch(path, json=wanted, headers=headers)


async def again(
    world: World, subscription: str, key: str = "again", agency: str = "beacon"
) -> httpx.Response:
    headers = bearer(agency, "subscribe") | {"Idempotency-Key": f'"{key}"'}
    return await world.http.post(f"/v1/subscriptions/{subscription}/confirmation", headers=headers)


async def later(world: World, span: timedelta) -> None:
    await world.service.pool.execute("UPDATE clock SET shift = shift + $1", span)


async def quiet(world: World) -> None:
    """Wait until both loops have had time to send what they would send."""
    looks = "SELECT count(*) = 0 FROM delivery WHERE state = 'pending' AND due_at <= clock_timestamp()"
    await world.settled()
    await until(lambda: world.service.pool.fetchval(looks))


async def test_nothing_but_the_question_is_sent_before_somebody_agrees(world: World, desk: Desk) -> None:
    await world.teller.tell("beacon", agencies.AgencyChanged(kind="provider", name="Beacon & <Friends>"))
    await world.settled()
    subscription = await made(world)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await world.entries("beacon", 1)
    await until(lambda: len(desk.asked) == 1)
    state = (await shown(world, subscription)).json()
    assert (state["active"], state["reason"], state["taken"]) == (False, "unconfirmed", 0)
    await until(lambda: world.service.pool.fetchval("SELECT state = 'delivered' FROM delivery"))
    confirmation = (await shown(world, subscription)).json()["confirmation"]
    assert (confirmation["state"], confirmation["message"]) == ("unconfirmed", "delivered")
    assert confirmation["expires_at"] > confirmation["asked_at"]
    message = opened(desk.asked[0])
    assert desk.asked[0].rcpt_tos == [DESK]
    text = str(message.get_content())
    assert "Beacon & <Friends>" in text
    assert "mary" not in text
    assert "case-1" not in text
    await quiet(world)
    assert desk.mails == []

    path = link_in(desk.asked[0])
    # A scanner opens the link, as often as it likes.
    for _ in range(2):
        page = await world.http.get(path)
        assert page.status_code == 200
        assert '<form method="post">' in page.text
        assert "Beacon &amp; &lt;Friends&gt;" in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]
    await quiet(world)
    assert desk.mails == []
    assert not (await shown(world, subscription)).json()["active"]

    await agree(world, desk)
    # What came meanwhile is not lost.
    await until(lambda: len(desk.mails) == 1)
    assert "case-1" in str(opened(desk.mails[0]).get_content())
    state = (await shown(world, subscription)).json()
    assert (state["active"], state["reason"]) == (True, None)
    assert state["confirmation"] == {"state": "confirmed"}


async def test_confirming_twice_is_harmless_and_a_page_says_so(world: World, desk: Desk) -> None:
    subscription = await made(world)
    path = await agree(world, desk)
    etag = (await shown(world, subscription)).headers["etag"]
    second = await world.http.post(path)
    assert (second.status_code, "is confirmed" in second.text) == (200, True)
    assert (await shown(world, subscription)).headers["etag"] == etag
    assert "is confirmed" in (await world.http.get(path)).text
    refused = await again(world, subscription)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "confirmed")
    assert len(desk.asked) == 1


async def test_an_expired_link_says_what_to_do_and_a_new_one_works(world: World, desk: Desk) -> None:
    subscription = await made(world)
    await until(lambda: len(desk.asked) == 1)
    old = link_in(desk.asked[0])
    await later(world, timedelta(days=7, seconds=1))
    for answer in (await world.http.get(old), await world.http.post(old)):
        assert answer.status_code == 410
        assert "have a new message sent" in answer.text
        assert "<form" not in answer.text
    assert not (await shown(world, subscription)).json()["active"]
    sent = await again(world, subscription)
    assert (sent.status_code, sent.json()) == (202, {"delivery": f"{subscription}.-2"})
    await agree(world, desk, 2)
    assert (await shown(world, subscription)).json()["active"]
    # A mail program drops a message whose Message-ID it has seen.
    assert opened(desk.asked[0])["Message-ID"] != opened(desk.asked[1])["Message-ID"]


async def test_a_confirmation_is_asked_for_again_only_so_often(world: World, desk: Desk) -> None:
    subscription = await made(world)
    soon = await again(world, subscription)
    assert soon.status_code == 429
    assert 290 < int(soon.headers["retry-after"]) <= 300
    assert DESK not in soon.text
    for n in range(4):
        await later(world, timedelta(minutes=6))
        assert (await again(world, subscription, f"later-{n}")).status_code == 202
    await later(world, timedelta(minutes=6))
    assert (await again(world, subscription, "too-often")).status_code == 429
    # Nor by a new subscription, of this agency or of another, whatever the case of its letters.
    deleted = await world.http.delete(f"/v1/subscriptions/{subscription}", headers=beacon())
    assert deleted.status_code == 204
    await subscribe(world, f"mailto:{DESK.upper()}", 429)
    await subscribe(world, f"mailto:{DESK}", 429, agency="mediation")
    assert (await world.http.get("/v1/subscriptions", headers=beacon())).json() == {"subscriptions": []}
    await until(lambda: len(desk.asked) >= 1)
    await later(world, timedelta(days=1))
    await made(world, key="the day after")
    assert await world.service.pool.fetchval("SELECT count(*) FROM confirmation_asked") == 1


async def test_an_agency_cannot_ask_one_stranger_after_the_other(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.service.settings, "confirmations_of_an_agency", 3)
    subscription = await made(world)
    for n in range(2):
        assert (
            await change(world, subscription, url=f"mailto:stranger{n}@elsewhere.example")
        ).status_code == 200
    assert (await change(world, subscription, url=f"mailto:{OTHER}")).status_code == 429
    assert (await shown(world, subscription)).json()["url"] == "mailto:stranger1@elsewhere.example"
    await made(world, OTHER, agency="mediation")


async def test_another_mailbox_has_to_agree_and_the_first_ones_link_does_not_do(
    world: World, desk: Desk
) -> None:
    subscription = await made(world)
    first = await agree(world, desk)
    changed = (await change(world, subscription, url=f"mailto:{OTHER}")).json()
    assert (changed["active"], changed["confirmation"]["state"]) == (False, "unconfirmed")
    await until(lambda: len(desk.asked) == 2)
    assert desk.asked[1].rcpt_tos == [OTHER]
    await world.teller.tell("case-9", allocated(("mary", "beacon"), case="case-9"))
    await world.entries("beacon", 1)
    answer = await world.http.post(first)
    assert (answer.status_code, "does not work" in answer.text) == (404, True)
    # Wanting it active does not make it so.
    assert (await change(world, subscription, active=True)).json()["reason"] == "unconfirmed"
    await quiet(world)
    assert desk.mails == []
    await agree(world, desk, 2)
    await until(lambda: len(desk.mails) == 1)
    assert desk.mails[0].rcpt_tos == [OTHER]


async def test_what_was_claimed_for_the_first_mailbox_does_not_go_to_the_second(
    world: World, desk: Desk
) -> None:
    """The address changes between the claim of a delivery and the look at where it goes."""
    subscription = await made(world)
    await agree(world, desk)
    await world.service.pool.execute("UPDATE subscription SET active = false")  # the loops keep off
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await world.entries("beacon", 1)
    row = (subscription, 1, f"{subscription}.case-1", "case-1", "case.allocated")

    async def claimed_meanwhile(work: Work) -> list[object]:
        await work.lock()
        await rows.add(work.connection, [(*row, work.now)])
        await work.execute("UPDATE subscription SET confirmed = false, url = $1", f"mailto:{OTHER}")
        found = await work.fetch(rows._CLAIMED, [subscription], [1], [], work.now)
        # Nor is it claimed later, until the second has agreed.
        later_on = await rows.claim(work, 10)
        assert await work.fetchval("SELECT attempts FROM delivery WHERE number = 1") == 0
        return [*(found_row["url"] for found_row in found), *later_on]

    assert await world.service.transact(claimed_meanwhile) == []


async def test_a_mailbox_that_does_not_exist_is_seen_by_the_agency_and_not_asked_for_ever(
    world: World, desk: Desk
) -> None:
    desk.answer = "550 no such mailbox"
    subscription = await made(world)
    failed = "SELECT state = 'failed' FROM delivery WHERE number = -1"
    await until(lambda: world.service.pool.fetchval(failed))
    assert len(desk.asked) == 1
    state = (await shown(world, subscription)).json()["confirmation"]
    assert (state["message"], state["problem"]) == ("failed", "smtp-550")
    desk.answer = "250 taken"
    await later(world, timedelta(minutes=6))
    assert (await again(world, subscription)).status_code == 202
    await agree(world, desk, 2)


async def test_a_server_that_is_busy_is_asked_again_and_an_operator_can_have_it_tried_anew(
    world: World, desk: Desk
) -> None:
    desk.answer = "451 later"
    subscription = await made(world)
    failed = "SELECT state = 'failed' FROM delivery WHERE number = -1"
    await until(lambda: world.service.pool.fetchval(failed))
    assert len(desk.asked) == 3
    assert len({opened(mail)["Message-ID"] for mail in desk.asked}) == 1
    desk.answer = "250 taken"
    headers = bearer("ops", "operator") | {"Idempotency-Key": '"redrive"'}
    answer = await world.http.post(f"/v1/deliveries/{subscription}.-1/redrive", headers=headers)
    assert answer.status_code == 202, answer.text
    await agree(world, desk, 4)


async def test_a_test_or_an_entry_cannot_be_had_before_but_stopping_and_moving_can(
    world: World, desk: Desk
) -> None:
    subscription = await made(world)
    headers = beacon() | {"Idempotency-Key": '"test"'}
    refused = await world.http.post(f"/v1/subscriptions/{subscription}/test", headers=headers)
    assert refused.status_code == 409
    assert "/confirmation" in refused.json()["detail"]
    assert (await change(world, subscription, active=False)).json()["reason"] is None
    await agree(world, desk)
    state = (await shown(world, subscription)).json()
    assert (state["active"], state["confirmation"]["state"]) == (False, "confirmed")
    assert (await change(world, subscription, active=True)).json()["active"]
    sent = await world.http.post(f"/v1/subscriptions/{subscription}/test", headers=headers)
    assert sent.status_code == 202
    await until(lambda: len(desk.mails) == 1)
    assert "the test that you asked for" in str(opened(desk.mails[0]).get_content())


async def test_a_second_message_that_is_no_longer_wanted_is_not_sent(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "wait", lambda _attempts, _jitter: timedelta(seconds=1))
    subscription = await made(world)
    await until(lambda: len(desk.asked) == 1)
    path = link_in(desk.asked[0])
    await later(world, timedelta(minutes=6))
    desk.answer = "451 later"
    await again(world, subscription)
    await until(lambda: len(desk.asked) == 2)
    assert (await world.http.post(path)).status_code == 200
    ended = "SELECT state = 'withheld' FROM delivery WHERE number = -2"
    await until(lambda: world.service.pool.fetchval(ended))
    assert len(desk.asked) == 2
    desk.answer = "250 taken"
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CasePaused(reason="risk"))
    await until(lambda: len(desk.mails) == 2)


async def test_an_older_message_that_an_operator_has_tried_again_is_not_sent(
    world: World, desk: Desk
) -> None:
    desk.answer = "550 no such mailbox"
    subscription = await made(world)
    failed = "SELECT state = 'failed' FROM delivery WHERE number = -1"
    await until(lambda: world.service.pool.fetchval(failed))
    desk.answer = "250 taken"
    assert (await change(world, subscription, url=f"mailto:{OTHER}")).status_code == 200
    await until(lambda: len(desk.asked) == 2)
    headers = bearer("ops", "operator") | {"Idempotency-Key": '"redrive"'}
    answer = await world.http.post(f"/v1/deliveries/{subscription}.-1/redrive", headers=headers)
    assert answer.status_code == 202, answer.text
    withheld = "SELECT state = 'withheld' FROM delivery WHERE number = -1"
    await until(lambda: world.service.pool.fetchval(withheld))
    assert len(desk.asked) == 2


@pytest.mark.parametrize(
    "token", ["x", "x.y", "WzEsMl0.AAAA", "%00", "é.é", "WyJcdWQ4MDAiLDFd.AAAA", "a" * 401]
)
async def test_what_is_no_link_of_ours_is_a_page_and_no_fault(world: World, token: str) -> None:
    for answer in (
        await world.http.get(f"/v1/subscriptions/link/{token}"),
        await world.http.post(f"/v1/subscriptions/link/{token}"),
    ):
        assert answer.status_code in {400, 404, 422}, answer.text


async def test_a_link_is_forged_by_nobody(world: World, desk: Desk) -> None:
    """Not by the agency either, which knows the subscription's id and its secret."""
    subscription = await made(world)
    await until(lambda: len(desk.asked) == 1)
    start, _, token = link_in(desk.asked[0]).rpartition("/")
    payload, _, signature = token.partition(".")
    other = confirmations._b64(json.dumps([subscription, 99999999999]).encode())
    for forged in (f"{other}.{signature}", f"{payload}.{signature[:-3]}AAA", f"{payload}."):
        assert (await world.http.post(f"{start}/{forged}")).status_code == 404
    assert not (await shown(world, subscription)).json()["active"]


async def test_only_its_own_agency_has_a_mailbox_asked(world: World, desk: Desk) -> None:
    subscription = await made(world)
    await later(world, timedelta(minutes=6))
    assert (await again(world, subscription, agency="mediation")).status_code == 404
    with_none = await world.http.post(f"/v1/subscriptions/{subscription}/confirmation", headers=beacon())
    assert with_none.status_code == 400


async def test_no_log_holds_the_address_and_no_table_but_the_subscription_does(
    world: World, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.answer = "550 no such mailbox"
    subscription = await made(world, key="one")
    await until(lambda: world.service.pool.fetchval("SELECT bool_or(state = 'failed') FROM delivery"))
    ours = [
        record for record in caplog.records if not record.name.startswith(("mail.log", "aiosmtp", "asyncio"))
    ]
    assert any(getattr(record, "reason", "") == "smtp-550" for record in ours)
    assert DESK not in " ".join(str(vars(record)) for record in ours)
    for table in ("journal", "stream", "delivery", "confirmation_asked", "command", "outbox"):
        found = await world.service.pool.fetch(f"SELECT * FROM {table}")  # noqa: S608 - constants
        assert DESK not in str(found), table
    assert (await shown(world, subscription)).json()["url"] == f"mailto:{DESK}"


async def test_subscriptions_of_the_version_before_are_confirmed_and_it_cannot_send_what_is_not(
    world: World, desk: Desk
) -> None:
    """The version before writes rows without the new columns, and sends whatever is active."""
    pool = world.service.pool
    subscription = await made(world)
    await pool.execute(
        """INSERT INTO subscription (subscription_id, agency, url, kinds, secret, taken, created_at)
        SELECT 'old', 'beacon', $1, '{}', secret, 0, created_at FROM subscription""",
        f"mailto:{OTHER}",
    )
    listed = (await world.http.get("/v1/subscriptions", headers=beacon())).json()["subscriptions"]
    states = {one["id"]: (one["active"], one["confirmation"]["state"]) for one in listed}
    assert states == {"old": (True, "confirmed"), subscription: (False, "unconfirmed")}
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute("UPDATE subscription SET active = true WHERE subscription_id = $1", subscription)
