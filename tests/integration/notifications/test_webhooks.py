"""Webhooks to a real HTTP receiver that checks signatures with the library that receivers use."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.notifications.domain import cursor, lane
from services.notifications.webhooks import loops, send
from shared.contracts import agencies, cases
from tests.integration.notifications.conftest import World, allocated
from tests.support.running import free_port, until
from tests.support.tokens import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("quick")]


@dataclass
class Receiver:
    """An agency's endpoint. `answer(body)` decides the status; what was taken is kept in order."""

    url: str
    answer: Callable[[dict[str, Any]], int] = lambda _: 204
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    delay: float = 0.0

    def numbers(self) -> list[int]:
        return [body["data"]["number"] for body in self.taken]


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    port = free_port()
    state = Receiver(f"http://127.0.0.1:{port}/hook")

    async def hook(request: Request) -> Response:
        content = await request.body()
        state.seen.append((dict(request.headers), content))
        if state.delay:
            await asyncio.sleep(state.delay)
        body = json.loads(content)
        status = state.answer(body)
        if status == 302:
            return RedirectResponse(state.url + "/elsewhere", 302)
        if status < 300:
            state.taken.append(body)
        return Response(status_code=status)

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"]), Route("/hook/elsewhere", hook)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    serving = asyncio.create_task(server._serve() if server.config.loaded else _serve(server))
    await until(lambda: server.started)
    yield state
    server.should_exit = server.force_exit = True  # a test may have left a request hanging
    await serving


async def _serve(server: uvicorn.Server) -> None:
    server.config.load()
    await server._serve()


@pytest.fixture(scope="module")
def more_settings() -> dict[str, object]:
    return {"delivery_attempts": 5}


async def subscribe(world: World, url: str, agency: str = "beacon", **more: list[str]) -> dict[str, Any]:
    headers = bearer(agency, "subscribe") | {"Idempotency-Key": f'"{url}"'}
    answer = await world.http.post("/v1/subscriptions", json={"url": url, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body | {"etag": answer.headers["etag"]}


async def deliveries(world: World, **parameters: str) -> list[dict[str, Any]]:
    answer = await world.http.get("/v1/deliveries", params=parameters, headers=bearer("ops", "operator"))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


def _mark(entry: dict[str, Any], agency: str = "beacon") -> int:
    return cursor.mark(entry["event"], agency, entry["kind"], entry["case"], entry["party"])


async def test_a_delivery_is_thin_and_signed(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: bool(receiver.taken))
    headers, content = receiver.seen[0]
    verified = Webhook(made["secret"]).verify(content, headers)
    assert verified["type"] == "case.changed"
    [entry] = await world.entries("beacon", 1)
    assert verified["data"] == {"number": 1, "case": "case-1", "event": entry["event"]}
    assert b"mary" not in content
    # The entry's own, and not its number's: after a restore the number may stand for another entry.
    assert headers["webhook-id"] == f"{made['id']}-{_mark(entry):016x}"
    await until(lambda: world.service.pool.fetchval("SELECT state = 'delivered' FROM delivery"))
    events = await world.service.pool.fetch(
        "SELECT type, key FROM journal WHERE key LIKE $1", f"{made['id']}%"
    )
    assert [tuple(row) for row in events] == [("delivery.succeeded.v1", f"{made['id']}.case-1")]


async def test_what_is_stored_of_the_secret_is_not_the_secret(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    dumped = str(await world.service.pool.fetch("SELECT * FROM subscription"))
    dumped += str(await world.service.pool.fetch("SELECT * FROM command"))
    assert made["secret"] not in dumped
    again = await subscribe(world, receiver.url)
    assert (again["id"], again["secret"]) == (made["id"], made["secret"])


async def test_a_case_is_told_in_order_and_another_case_does_not_wait_for_it(
    world: World, receiver: Receiver
) -> None:
    failures: dict[str, int] = defaultdict(int)

    def answer(body: dict[str, Any]) -> int:
        if body["data"]["case"] == "case-1" and failures["case-1"] < 3:
            failures["case-1"] += 1
            return 500
        return 204

    receiver.answer = answer
    await subscribe(world, receiver.url)
    await world.teller.tell(
        "case-1",
        allocated(("mary", "beacon")),
        *(event for _ in range(4) for event in (cases.CasePaused(reason="r"), cases.CaseResumed(reason="r"))),
    )
    await world.teller.tell("case-2", allocated(("joan", "beacon"), case="case-2"))
    await until(lambda: len(receiver.taken) == 10)
    by_case = defaultdict(list)
    for body in receiver.taken:
        by_case[body["data"]["case"]].append(body["data"]["number"])
    assert by_case["case-1"] == sorted(by_case["case-1"])
    assert len(by_case["case-1"]) == 9
    tries = [json.loads(content)["data"] for _, content in receiver.seen]
    assert [data["number"] for data in tries if data["case"] == "case-1"][:4] == [1, 1, 1, 1]
    assert await world.service.pool.fetchval("SELECT attempts FROM delivery WHERE number = 1") == 4


async def test_after_enough_tries_the_lane_waits_until_it_is_redriven(
    world: World, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 500
    await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CasePaused(reason="r"))

    async def failed() -> bool:
        return bool(await deliveries(world, state="failed"))

    await until(failed, seconds=40)
    [stuck] = await deliveries(world, state="failed")
    assert (stuck["number"], stuck["attempts"], stuck["reason"]) == (1, 5, "status-500")
    assert (stuck["agency"], stuck["case_id"]) == ("beacon", "case-1")
    tries = len(receiver.seen)
    receiver.answer = lambda _: 204
    await asyncio.sleep(1.2)
    assert len(receiver.seen) == tries
    assert {json.loads(content)["data"]["number"] for _, content in receiver.seen} == {1}

    headers = bearer("ops", "operator") | {"Idempotency-Key": "r1"}
    answer = await world.http.post(f"/v1/deliveries/{stuck['id']}/redrive", headers=headers)
    assert answer.status_code == 202, answer.text
    await until(lambda: receiver.numbers() == [1, 2])
    again = f"/v1/deliveries/{stuck['id']}/redrive"
    answer = await world.http.post(again, headers=headers | {"Idempotency-Key": "r2"})
    assert answer.status_code == 409

    # After a restore the row is as it was, and the lane has heard from the topic what became of it: the row can be redriven,
    await world.service.pool.execute("UPDATE delivery SET state = 'failed' WHERE number = 1")
    answer = await world.http.post(again, headers=headers | {"Idempotency-Key": "r3"})
    assert answer.status_code == 202, answer.text
    await until(lambda: receiver.numbers() == [1, 2, 1])
    # and one that the lane has given up, and the row not, comes to an end.
    await until(lambda: world.service.pool.fetchval("SELECT every(state = 'delivered') FROM delivery"))
    lane_key = await world.service.pool.fetchval("SELECT lane FROM delivery LIMIT 1")
    given_up = """UPDATE stream SET state = jsonb_set(state, '{failed}', '1') WHERE key = $1"""
    await world.service.pool.execute(given_up, lane_key)
    await world.service.pool.execute("UPDATE delivery SET state = 'pending', due_at = now() WHERE number = 1")
    await until(lambda: receiver.numbers() == [1, 2, 1, 1])
    await until(lambda: world.service.pool.fetchval("SELECT every(state = 'delivered') FROM delivery"))


async def test_an_agency_sees_what_it_was_not_told_and_why_and_has_it_sent_again(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = lambda body: 404 if body["data"].get("case") == "case-1" else 503
    made = await subscribe(world, receiver.url)
    await subscribe(world, receiver.url + "?other", agency="lamp")
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CasePaused(reason="r"))
    path, headers = f"/v1/subscriptions/{made['id']}", bearer("beacon", "subscribe")

    async def listed(**query: str | int) -> dict[str, Any]:
        answer = await world.http.get(f"{path}/deliveries", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def ask(key: str, status: int = 202, agency: str = "beacon", **body: int) -> dict[str, Any]:
        asked = bearer(agency, "subscribe") | {"Idempotency-Key": key}
        answer = await world.http.post(f"{path}/redelivery", json=body, headers=asked)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    async def failed() -> bool:
        return bool((await listed(state="failed"))["deliveries"])

    await until(failed, seconds=40)
    # So long that nobody waits for it: the agency has its endpoint back before.
    monkeypatch.setattr(lane, "wait", lambda _attempts, _jitter: timedelta(minutes=50))
    await world.teller.tell("case-2", allocated(("joan", "beacon"), case="case-2"))

    async def tried() -> bool:
        return bool((await listed(limit=1))["deliveries"][0]["reason"])

    await until(tried)
    third, second, first = (await listed())["deliveries"]
    seen = {name: first[name] for name in ("id", "case", "kind", "state", "attempts", "reason", "next_try")}
    assert seen == {
        "id": f"{made['id']}.1",
        "case": "case-1",
        "kind": "case.allocated",
        "state": "failed",
        "attempts": 5,
        "reason": "status-404",
        "next_try": None,
    }
    assert (second["state"], second["behind"], second["next_try"]) == ("pending", 1, None)
    assert (third["state"], third["behind"], third["reason"]) == ("pending", None, "status-503")
    assert datetime.fromisoformat(third["next_try"]) > datetime.now(UTC) + timedelta(minutes=40)
    page = await listed(limit=2)
    assert [row["number"] for row in (await listed(cursor=page["next"]))["deliveries"]] == [1]
    assert (await world.http.get(path, headers=headers)).json()["failed"] == 1
    # It is the agency's own, and there is nothing else for it to send again.
    for method, url in (("GET", f"{path}/deliveries"), ("GET", "/v1/deliveries")):
        other = await world.http.request(method, url, headers=bearer("lamp", "subscribe"))
        assert other.status_code in {403, 404}
    await ask("a1", 404, agency="lamp")
    await ask("a2", 409, number=2)
    receiver.answer = lambda _: 204
    assert await ask("a3", number=3) == {"sent_again": 1, "more": False}
    await until(lambda: receiver.numbers() == [3])
    assert await ask("a4") == {"sent_again": 1, "more": False}
    await until(lambda: receiver.numbers() == [3, 1, 2])
    await until(lambda: world.service.pool.fetchval("SELECT every(state = 'delivered') FROM delivery"))
    assert await ask("a5") == {"sent_again": 0, "more": False}
    there = await world.http.get(path, headers=headers)
    match = headers | {"If-Match": there.headers["etag"]}
    await world.http.patch(path, json={"active": False}, headers=match)
    assert (await ask("a6", 409))["type"].endswith("/inactive")


async def test_gone_ends_the_subscription_and_says_why(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    made = await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))

    async def stopped() -> bool:
        answer = await world.http.get(
            f"/v1/subscriptions/{made['id']}", headers=bearer("beacon", "subscribe")
        )
        body = answer.json()
        return body["active"] is False and body["reason"] == "gone"

    await until(stopped)
    assert len(receiver.seen) == 1


async def test_a_revoked_agency_is_sent_nothing_until_it_resumes(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    other = await subscribe(world, receiver.url + "?another", agency="lamp")
    await subscribe(world, "mailto:desk@beacon.example")
    headers = bearer("beacon", "subscribe")
    refused = await world.http.post("/v1/agencies/beacon/revocation", headers=headers)
    assert refused.status_code == 403
    for paused in (2, 0):
        answer = await world.http.post("/v1/agencies/beacon/revocation", headers=bearer("ops", "operator"))
        assert answer.json() == {"paused": paused}, answer.text
    found = (await world.http.get("/v1/subscriptions", headers=headers)).json()["subscriptions"]
    assert [(row["active"], row["reason"]) for row in found] == [(False, "revoked")] * 2
    kept = await world.http.get(f"/v1/subscriptions/{other['id']}", headers=bearer("lamp", "subscribe"))
    assert kept.json()["active"] is True

    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await world.entries("beacon", 1)
    await asyncio.sleep(0.5)
    assert not receiver.taken
    there = await world.http.get(f"/v1/subscriptions/{made['id']}", headers=headers)
    answer = await world.http.patch(
        f"/v1/subscriptions/{made['id']}",
        json={"active": True},
        headers=headers | {"If-Match": there.headers["etag"]},
    )
    assert answer.json()["active"] is True, answer.text
    await until(lambda: receiver.numbers() == [1])


async def test_a_redirect_is_not_followed(world: World, receiver: Receiver) -> None:
    receiver.answer = lambda _: 302
    await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))

    async def noted() -> bool:
        return bool(await world.service.pool.fetchval("SELECT reason = 'redirect' FROM delivery"))

    await until(noted)
    assert not receiver.taken


async def test_what_the_agency_may_no_longer_see_is_withheld_and_its_last_word_is_not(
    world: World, receiver: Receiver
) -> None:
    made = await subscribe(world, receiver.url)
    headers = bearer("beacon", "subscribe")
    paused = await world.http.patch(
        f"/v1/subscriptions/{made['id']}",
        json={"active": False},
        headers=headers | {"If-Match": made["etag"]},
    )
    assert paused.status_code == 200, paused.text
    closed = cases.CaseClosed(reason="done")
    await world.teller.tell(
        "case-1", allocated(("mary", "beacon"), hub=None), cases.CasePaused(reason="r"), closed
    )
    await world.entries("beacon", 3)
    await world.http.patch(
        f"/v1/subscriptions/{made['id']}",
        json={"active": True},
        headers=headers | {"If-Match": paused.headers["etag"]},
    )
    await until(lambda: receiver.numbers() == [3])

    async def settled() -> bool:
        rows = await world.service.pool.fetch("SELECT number, state FROM delivery ORDER BY number")
        return [tuple(row) for row in rows] == [(1, "withheld"), (2, "withheld"), (3, "delivered")]

    await until(settled)


async def test_a_replay_delivers_again_in_order_under_the_same_ids(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CasePaused(reason="r"))
    await until(lambda: receiver.numbers() == [1, 2])
    headers = bearer("beacon", "subscribe") | {"Idempotency-Key": "replay-1"}
    url = f"/v1/subscriptions/{made['id']}/replay"
    assert (await world.http.post(url, json={"after": 0}, headers=headers)).status_code == 202
    await until(lambda: receiver.numbers() == [1, 2, 1, 2])
    ids = [headers["webhook-id"] for headers, _ in receiver.seen]
    assert ids[:2] == ids[2:]
    # The same request again does not replay a second time.
    assert (await world.http.post(url, json={"after": 0}, headers=headers)).status_code == 202
    await asyncio.sleep(1)
    assert len(receiver.taken) == 4


async def test_a_test_delivery(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    headers = bearer("beacon", "subscribe")

    def taken(count: int) -> bool:
        return len(receiver.taken) == count

    for key in ("t1", "t2"):
        url = f"/v1/subscriptions/{made['id']}/test"
        answer = await world.http.post(url, headers=headers | {"Idempotency-Key": key})
        assert answer.status_code == 202
        await until(partial(taken, int(key[1])))
    assert {body["type"] for body in receiver.taken} == {"subscription.test"}


async def test_only_the_kinds_that_were_asked_for(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver.url, kinds=["case.paused"])
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CasePaused(reason="r"))
    await until(lambda: bool(receiver.taken))
    assert receiver.numbers() == [2]


async def test_a_sender_that_died_is_made_up_for_when_its_lease_ends(
    world: World, receiver: Receiver
) -> None:
    receiver.delay = 30
    await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: len(receiver.seen) == 1)
    # As if the process that sends had gone: its answer never comes, and the lease runs out.
    receiver.delay = 0
    await world.service.pool.execute("UPDATE clock SET shift = shift + interval '46 seconds'")
    await until(lambda: receiver.numbers() == [1])
    assert len({headers["webhook-id"] for headers, _ in receiver.seen}) == 1


async def test_a_subscription_is_its_agencys_own(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    other = bearer("police", "subscribe")
    path = f"/v1/subscriptions/{made['id']}"
    assert (await world.http.get(path, headers=other)).status_code == 404
    assert (await world.http.delete(path, headers=other)).status_code == 404
    change = other | {"If-Match": made["etag"]}
    assert (await world.http.patch(path, json={"active": False}, headers=change)).status_code == 404
    for action in ("test", "replay"):
        answer = await world.http.post(
            f"{path}/{action}", json={"after": 0}, headers=other | {"Idempotency-Key": action}
        )
        assert answer.status_code == 404
    assert (await world.http.get("/v1/subscriptions", headers=other)).json() == {"subscriptions": []}


async def test_bad_input_names_every_field_and_its_remedy(world: World) -> None:
    headers = bearer("beacon", "subscribe") | {"Idempotency-Key": "x"}
    wrong = {"url": "ftp://example.org", "kinds": ["case.exploded"]}
    answer = await world.http.post("/v1/subscriptions", json=wrong, headers=headers)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"url", "kinds[0]"}
    assert all(error["remedy"] for error in answer.json()["errors"])
    assert (
        await world.http.post("/v1/subscriptions", json=wrong, headers=bearer("beacon", "subscribe"))
    ).status_code == 400


async def test_changing_needs_the_version_that_was_read(world: World, receiver: Receiver) -> None:
    made = await subscribe(world, receiver.url)
    path, headers = f"/v1/subscriptions/{made['id']}", bearer("beacon", "subscribe")
    assert (await world.http.patch(path, json={}, headers=headers)).status_code == 428
    rotated = await world.http.patch(
        path, json={"rotate_secret": True}, headers=headers | {"If-Match": made["etag"]}
    )
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != made["secret"]
    stale = await world.http.patch(path, json={"active": False}, headers=headers | {"If-Match": made["etag"]})
    assert stale.status_code == 412
    assert (await world.http.delete(path, headers=headers)).status_code == 204
    assert (await world.http.get(path, headers=headers)).status_code == 404


@asynccontextmanager
async def dripping() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """Serve answers that never end: a byte of a header each tenth of a second. Gives the address, and who came."""
    came: list[asyncio.StreamWriter] = []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
            while not writer.is_closing():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.1)

    server = await asyncio.start_server(drip, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", came
    finally:
        server.close()
        for writer in came:
            writer.close()


async def test_an_answer_that_never_ends_is_a_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "MOST_SECONDS", 1.0)
    async with dripping() as (url, _):
        await subscribe(world, url)
        await world.teller.tell("case-1", allocated(("mary", "beacon")))

        async def noted() -> bool:
            return [one["reason"] for one in await deliveries(world)] == ["timeout"]

        await until(noted)


async def test_an_endpoint_that_hangs_delays_nobody_elses_deliveries(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "MOST_SECONDS", 300.0)
    async with dripping() as (url, came):
        await subscribe(world, url)
        await subscribe(world, receiver.url, agency="police")
        for number in range(loops.SENT_AT_ONCE + 10):
            await world.teller.tell(f"case-{number}", allocated(("mary", "beacon"), hub=None))
        await world.settled()
        await until(lambda: bool(came))
        await world.teller.tell("case-p", allocated(("john", "police"), hub=None))
        await until(lambda: receiver.numbers() == [1])
        assert len(came) < 2 * loops.OF_ONE_AGENCY


async def test_a_replay_keeps_the_order_though_a_later_delivery_was_about_to_be_tried_again(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await subscribe(world, receiver.url)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: receiver.numbers() == [1])
    monkeypatch.setattr(lane, "wait", lambda _attempts, _jitter: timedelta(seconds=1))
    receiver.answer = lambda _: 500
    await world.teller.tell("case-1", cases.CasePaused(reason="r"))
    await until(lambda: len(receiver.seen) == 2)
    # The first of the replay is slower than the second, which is due in a second, waits.
    receiver.answer, receiver.delay = (lambda _: 204), 2.5
    headers = bearer("beacon", "subscribe") | {"Idempotency-Key": "replay-order"}
    url = f"/v1/subscriptions/{made['id']}/replay"
    assert (await world.http.post(url, json={"after": 0}, headers=headers)).status_code == 202
    await until(lambda: len(receiver.taken) >= 3)
    assert receiver.numbers() == [1, 1, 2]
    begun = [json.loads(content)["data"]["number"] for _, content in receiver.seen]
    assert begun == [1, 2, 1, 2]


async def test_the_successor_of_a_successor_is_told_too(world: World, receiver: Receiver) -> None:
    await world.teller.tell("case-1", allocated(("mary", "crc-1"), hub=None))
    await world.entries("crc-1", 1)
    since = datetime.now(UTC) - timedelta(hours=1)
    await world.teller.tell("crc-1", agencies.AgencySucceeded(successor="crc-2", since=since))
    await world.teller.tell("crc-2", agencies.AgencySucceeded(successor="nps-2", since=since))
    await world.settled()
    [told] = await world.entries("nps-2", 1)
    await subscribe(world, receiver.url, agency="nps-2")
    await world.teller.tell("case-1", cases.CasePaused(reason="risk"))
    [paused] = await world.entries("nps-2", 1, after=told["number"])
    await until(lambda: receiver.numbers() == [paused["number"]])


async def test_beginning_after_an_entry_that_is_not_there_yet_passes_over_nothing(
    world: World, receiver: Receiver
) -> None:
    headers = bearer("beacon", "subscribe") | {"Idempotency-Key": "ahead"}
    made = await world.http.post("/v1/subscriptions", json={"url": receiver.url, "after": 7}, headers=headers)
    assert made.json()["taken"] == 0
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await until(lambda: receiver.numbers() == [1])
