"""Messages to people through a real SMTP server and real files.

Consent and intake are played by one small server that keeps their promises (a permit is redeemed once, a release is never
repeated) and remembers what it was told: the witness.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.local.stack import Stack
from services.notifications.messages import post
from services.notifications.service import build
from services.notifications.settings import Settings
from shared.contracts.agencies import AgencyChanged, AgencySucceeded, Desk
from shared.runtime.service import Service
from tests.integration.notifications.conftest import World, a_database, allocated
from tests.support.running import free_port, running, settings, until
from tests.support.tokens import bearer

LINK = "https://onefriend.example/v1/withdrawals/link/token"
DETAILS = {
    "name": {"forenames": "Mary", "surname": "Wells"},
    "phones": ["+447700900123"],
    "emails": ["mary.wells@example.org"],
    "addresses": [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB", "kind": "home"}],
    "safe_contact": {"flags": [], "hours": None, "language": None},
}
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS1wcm92aWRlci0xMjM0NTY3OA=="

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Neighbours:
    """Consent and intake, as far as notifications sees them."""

    url: str
    channel: str = "email"
    purpose: str = "approach"
    use_by: timedelta = timedelta(minutes=5)
    refuse: str | None = None
    details: dict[str, Any] = field(default_factory=lambda: dict(DETAILS))
    consent_status: int = 200
    redeemed: list[str] = field(default_factory=list)
    presented: list[tuple[str, str]] = field(default_factory=list)
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)

    def problem(self, kind: str, status: int = 409) -> Response:
        body = {"type": f"https://onefriend.example/problems/{kind}", "title": kind, "status": status}
        return JSONResponse(body, status, {"Retry-After": "1"} if kind == "behind" else {})

    async def permit(self, request: Request) -> Response:
        permit = request.path_params["permit"]
        if not permit.startswith("permit"):
            return self.problem("not-found", 404)
        fact = {"person": "person-1", "case": "case-1", "agency": "beacon", "channel": self.channel}
        return JSONResponse(fact | {"purpose": self.purpose})

    async def link(self, request: Request) -> Response:
        assert request.query_params["case"] == "case-1"
        return JSONResponse({"url": LINK}, 201)

    async def release(self, request: Request) -> Response:
        body = await request.json()
        self.presented.append((body["permit"], request.headers["onefriend-on-behalf-of"]))
        if self.refuse:
            return self.problem(self.refuse, 503 if self.refuse == "unavailable" else 409)
        if body["permit"] in self.redeemed:
            return self.problem("already-redeemed")
        self.redeemed.append(body["permit"])
        answer = {"permit": body["permit"], "channel": self.channel, **self.details}
        return JSONResponse(answer | {"use_by": (datetime.now(UTC) + self.use_by).isoformat()})

    async def outcome(self, request: Request) -> Response:
        body = await request.json()
        if self.consent_status in {200, 409}:
            told = (request.path_params["permit"], body["outcome"], request.headers["onefriend-on-behalf-of"])
            self.outcomes.append(told)
        if self.consent_status != 200:
            return self.problem("too-late", self.consent_status)
        return JSONResponse({})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_neighbours() -> AsyncIterator[Neighbours]:
    port = free_port()
    played = Neighbours(f"http://127.0.0.1:{port}")
    routes = [
        Route("/v1/permits/{permit}", played.permit),
        Route("/v1/people/{person}/withdrawal-link", played.link, methods=["POST"]),
        Route("/v1/releases", played.release, methods=["POST"]),
        Route("/v1/attempts/{permit}/outcome", played.outcome, methods=["PUT"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None))
    server.config.load()
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    yield played
    server.should_exit = True
    await serving


@dataclass
class Mailbox:
    """A real SMTP server. `answer` is what it says after the last dot; None: nothing, the message being taken."""

    port: int = 0
    answer: str | None = "250 taken"
    recipients: str = "250 OK"
    mails: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipients.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipients

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope)
        if self.answer is None:
            await asyncio.sleep(5)  # longer than the sender waits
        return self.answer or "250 taken"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox(port=free_port())
    controller = UnthreadedController(
        box, hostname="127.0.0.1", port=box.port, loop=asyncio.get_running_loop()
    )
    controller.server = await controller._create_server()
    yield box
    controller.server.close()
    await controller.server.wait_closed()


@pytest.fixture(autouse=True)
def neighbours(running_neighbours: Neighbours) -> Neighbours:
    vars(running_neighbours).update(vars(Neighbours(running_neighbours.url)))
    return running_neighbours


@pytest.fixture(autouse=True)
def mailbox(running_mailbox: Mailbox) -> Mailbox:
    vars(running_mailbox).update(vars(Mailbox(running_mailbox.port)))
    return running_mailbox


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sink")


@pytest.fixture(scope="module")
def more_settings(running_neighbours: Neighbours, running_mailbox: Mailbox, sink: Path) -> dict[str, object]:
    return {
        "consent_url": running_neighbours.url,
        "intake_url": running_neighbours.url,
        "smtp_port": running_mailbox.port,
        "smtp_seconds": 1.5,
        "sink_folder": sink,
        "provider_secrets": {"smtp": SECRET},
    }


async def ask(
    world: World, permit: str = "permit-1", *, key: str = "k", agency: str = "beacon", **more: str | int
) -> httpx.Response:
    headers = bearer(agency, "contact", worker="ann") | {"Idempotency-Key": key}
    wanted = {"permit": permit, "fence": 7, "template": "approach", **more}
    return await world.http.post("/v1/messages", json=wanted, headers=headers)


async def ended(world: World, answer: httpx.Response, *steps: str) -> dict[str, Any]:
    """Wait until the message has come to one of these ends, and consent has been told."""
    assert answer.status_code == 202, answer.text
    message = answer.json()["message"]
    shown: dict[str, Any] = {}

    async def there() -> bool:
        read = await world.http.get(f"/v1/messages/{message}", headers=bearer("beacon", "contact"))
        shown.update(read.json())
        return shown["state"] in steps and shown["outcome_state"] != "owed"

    await until(there, seconds=25)
    return shown


async def everything_stored(world: World) -> str:
    """All rows of all tables, as text."""
    tables = await world.service.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [await world.service.pool.fetch(f'SELECT * FROM "{row[0]}"') for row in tables]  # noqa: S608 - names of our own tables
    return str([[dict(row) for row in found] for found in rows])


async def events(world: World, message: str) -> list[str]:
    sql = "SELECT type FROM journal WHERE key = $1 ORDER BY position"
    return [row["type"] for row in await world.service.pool.fetch(sql, message)]


async def test_an_email_is_sent_with_the_link_and_consent_is_told(
    world: World, neighbours: Neighbours, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    shown = await ended(world, await ask(world), "sent")
    [mail] = mailbox.mails
    assert mail.rcpt_tos == ["mary.wells@example.org"]
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)  # type: ignore[arg-type]
    text = parsed.get_content()
    assert LINK in text
    assert "Dear Mary Wells" in text
    assert neighbours.presented == [("permit-1", "beacon/ann")]
    assert neighbours.outcomes == [("permit-1", "delivered", "beacon/ann")]
    assert (shown["outcome"], shown["outcome_state"], shown["channel"]) == ("delivered", "told", "email")
    assert await events(world, shown["message"]) == [
        "message.accepted.v1",
        "message.sending.v1",
        "message.sent.v1",
    ]
    # The details are nowhere but in the mail.
    stored = await everything_stored(world)
    logged = caplog.text
    assert not any(part in stored + logged for part in ("Wells", "mary", "Mill Lane", "7700900123", LINK))


async def test_whoever_gets_a_message_can_answer_the_agency_and_failing_that_the_hub_of_the_case(
    world: World, mailbox: Mailbox
) -> None:
    beacon = AgencyChanged(name="Beacon", kind="victim_care", desk=Desk(email="desk@beacon.example"))
    gone = AgencyChanged(name="Old Hub", kind="hub", desk=Desk(phone="01632 960009"))
    hub = AgencyChanged(name="The Hub", kind="hub", desk=Desk(phone="01632 960001"))
    await world.teller.tell("case-1", allocated(("person-1", "beacon"), hub="old-hub"))
    await world.teller.tell("old-hub", gone, AgencySucceeded(successor="hub", since=datetime.now(UTC)))
    await world.teller.tell("hub", hub)
    await world.settled()
    await ended(world, await ask(world), "sent")
    await world.teller.tell("beacon", beacon)
    await world.settled()
    await ended(world, await ask(world, "permit-2", key="k2"), "sent")
    parsed = [email.message_from_bytes(mail.content, policy=email.policy.default) for mail in mailbox.mails]  # type: ignore[arg-type] # aiosmtpd gives bytes
    through, own = (str(mail.get_content()) for mail in parsed)
    assert "through The Hub: ring 01632 960001" in through
    assert "Nobody reads replies" in through
    assert "write to us at desk@beacon.example" in own
    assert "Hub" not in own
    assert [mail["Reply-To"] for mail in parsed] == [None, "desk@beacon.example"]


@pytest.mark.parametrize(("channel", "expected"), [("letter", "4 Mill Lane"), ("text", "+447700900123")])
async def test_letters_and_texts_become_files(
    world: World, neighbours: Neighbours, sink: Path, channel: str, expected: str
) -> None:
    neighbours.channel = channel
    shown = await ended(world, await ask(world, language="cy"), "sent")
    [file] = (sink / channel).iterdir()
    assert file.name == f"{shown['message']}.txt"
    content = file.read_text()
    assert expected in content
    assert LINK in content
    assert "siarad" in content


async def test_the_same_request_again_sends_nothing_again(world: World, mailbox: Mailbox) -> None:
    first = await ended(world, await ask(world), "sent")
    again = await ask(world)
    assert again.status_code == 202
    assert again.json()["message"] == first["message"]
    other_key = await ask(world, key="other")
    assert other_key.json()["message"] == first["message"]
    other_words = await ask(world, key="another", template="feedback")
    assert other_words.status_code == 409
    assert other_words.json()["type"].endswith("/permit-used")
    assert len(mailbox.mails) == 1


async def test_many_at_the_same_instant_send_one(
    world: World, mailbox: Mailbox, neighbours: Neighbours
) -> None:
    answers = await asyncio.gather(*(ask(world, key=f"k{n}") for n in range(20)))
    assert {answer.status_code for answer in answers} <= {202, 409, 500}
    assert not [answer.text for answer in answers if answer.status_code == 500]
    await ended(world, next(answer for answer in answers if answer.status_code == 202), "sent")
    assert len(mailbox.mails) == 1
    assert neighbours.redeemed == ["permit-1"]


async def test_another_agencys_permit_is_not_there_and_its_place_is_not_taken(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    answer = await ask(world, agency="police")
    assert answer.status_code == 404
    assert neighbours.presented == []
    await ended(world, await ask(world), "sent")
    assert len(mailbox.mails) == 1
    unknown = await ask(world, "nothing-1", key="n")
    assert unknown.status_code == 404


async def test_behind_redeems_nothing_and_may_be_asked_again_with_the_same_key(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.refuse = "behind"
    refused = await ask(world)
    assert (refused.status_code, refused.headers["retry-after"]) == (409, "1")
    neighbours.refuse = None
    await ended(world, await ask(world), "sent")
    assert len(mailbox.mails) == 1


async def test_intake_away_means_503_and_the_same_again_when_it_is_back(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.refuse = "unavailable"
    refused = await ask(world)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    neighbours.refuse = None
    await ended(world, await ask(world), "sent")
    assert len(mailbox.mails) == 1


async def test_a_refused_release_is_final_and_consent_is_told_nothing_by_us(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.refuse = "withdrawn"
    refused = await ask(world)
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/withdrawn")
    again = await ask(world)
    assert (again.status_code, again.json()["state"], again.json()["reason"]) == (
        202,
        "not_made",
        "withdrawn",
    )
    assert mailbox.mails == []
    assert neighbours.outcomes == []


async def test_a_channel_that_no_message_goes_by_is_refused_before_anything_is_redeemed(
    world: World, neighbours: Neighbours
) -> None:
    neighbours.channel = "phone"
    refused = await ask(world)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "no-such-channel")
    assert neighbours.presented == []


async def test_an_invitation_is_not_sent_under_a_permit_for_something_else(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.purpose = "feedback"
    refused = await ask(world)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (
        409,
        "template-not-for-purpose",
    )
    assert neighbours.presented == []
    await ended(world, await ask(world, key="again", template="feedback"), "sent")
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"whose": {"mary.wells@example.org": "partner"}}, "no-own-point"),
        ({"safe_contact": {"language": "ur"}}, "no-such-language"),
        ({"emails": []}, "no-such-channel"),
    ],
)
async def test_what_the_wrong_one_would_read_is_not_sent_and_the_permit_is_given_back(
    world: World, neighbours: Neighbours, mailbox: Mailbox, details: dict[str, Any], reason: str
) -> None:
    neighbours.details |= {"phones": []} | details
    shown = await ended(world, await ask(world), "not_made")
    assert shown["reason"] == reason
    assert neighbours.outcomes == [("permit-1", "not_made", "beacon/ann")]
    assert not mailbox.mails


async def test_the_successor_of_an_agency_sees_what_became_of_its_messages(
    world: World, neighbours: Neighbours, mailbox: Mailbox, sink: Path
) -> None:
    neighbours.channel = "letter"
    neighbours.details["safe_contact"] = {"accessible_format": "large print"}
    (sink / "letter").mkdir(exist_ok=True)
    before = set((sink / "letter").iterdir())
    await ended(world, await ask(world), "sent")
    [letter] = set((sink / "letter").iterdir()) - before
    assert letter.read_text().startswith("Format: large print\nTo: Mary Wells\n")
    neighbours.channel, mailbox.answer = "email", None
    shown = await ended(world, await ask(world, "permit-2", key="k2"), "unknown")
    lantern = bearer("lantern", "contact")
    path = f"/v1/messages/{shown['message']}"
    assert (await world.http.get(path, headers=lantern)).status_code == 404
    await world.teller.tell("beacon", AgencySucceeded(successor="lantern", since=datetime.now(UTC)))
    await world.settled()
    assert (await world.http.get(path, headers=lantern)).json()["state"] == "unknown"
    listed = (await world.http.get("/v1/messages", headers=lantern)).json()["messages"]
    assert [each["message"] for each in listed] == [shown["message"]]
    # A permit from before is the successor's now: nobody is written to in the name of an agency that has ended.
    mailbox.answer, mailbox.mails = "250 taken", []
    ended_agency = await ask(world, "permit-3", key="k3")
    assert (ended_agency.status_code, ended_agency.json()["type"].rpartition("/")[2]) == (409, "agency-ended")
    assert "permit-3" not in neighbours.redeemed
    answer = await ask(world, "permit-3", key="k4", agency="lantern")
    assert answer.status_code == 202, answer.text
    await until(lambda: bool(mailbox.mails))
    [mail] = mailbox.mails
    text = email.message_from_bytes(mail.content, policy=email.policy.default).get_content()  # type: ignore[arg-type] # aiosmtpd gives bytes
    assert "We are lantern." in text
    assert "beacon" not in text
    await until(lambda: ("permit-3", "delivered", "lantern/ann") in neighbours.outcomes)


async def test_no_answer_after_the_content_is_unknown_and_never_sent_again(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    mailbox.answer = None
    shown = await ended(world, await ask(world), "unknown")
    assert shown["reason"] == "smtp-timeout"
    assert neighbours.outcomes == [("permit-1", "unknown", "beacon/ann")]
    mailbox.answer = "250 taken"
    again = await ask(world)
    assert again.json()["state"] == "unknown"
    await asyncio.sleep(1)
    assert len(mailbox.mails) == 1
    listed = await world.http.get("/v1/messages", headers=bearer("beacon", "contact"))
    assert [message["message"] for message in listed.json()["messages"]] == [shown["message"]]
    elsewhere = await world.http.get("/v1/messages", headers=bearer("police", "contact"))
    assert elsewhere.json()["messages"] == []


@pytest.mark.parametrize(("stage", "reason"), [("recipient", "smtp-550"), ("content", "smtp-554")])
async def test_a_definite_refusal_by_the_server_is_not_made(
    world: World, neighbours: Neighbours, mailbox: Mailbox, stage: str, reason: str
) -> None:
    if stage == "recipient":
        mailbox.recipients = "550 no such box"
    else:
        mailbox.answer = "554 no"
    shown = await ended(world, await ask(world), "not_made")
    assert shown["reason"] == reason
    assert neighbours.outcomes == [("permit-1", "not_made", "beacon/ann")]


async def test_an_address_that_no_command_can_carry_is_certainly_not_written_to(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.details["emails"] = ["märy@example.org"]
    shown = await ended(world, await ask(world), "not_made")
    assert shown["reason"] == "address-malformed"
    assert neighbours.outcomes == [("permit-1", "not_made", "beacon/ann")]
    assert not mailbox.mails


async def test_after_use_by_nothing_is_written(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.use_by = timedelta(seconds=1)  # less than the margin
    shown = await ended(world, await ask(world), "not_made")
    assert shown["reason"] == "use-by-passed"
    assert mailbox.mails == []


async def test_a_permit_that_can_no_longer_be_given_back_becomes_an_unknown_attempt(
    world: World, neighbours: Neighbours, mailbox: Mailbox
) -> None:
    neighbours.consent_status = 409
    mailbox.recipients = "550 no such box"
    shown = await ended(world, await ask(world), "not_made")
    assert [outcome for _, outcome, _ in neighbours.outcomes] == ["not_made", "unknown"]
    assert shown["outcome_state"] == "refused"
    listed = await world.http.get("/v1/messages", headers=bearer("ops", "operator"))
    assert [message["message"] for message in listed.json()["messages"]] == [shown["message"]]


async def test_consent_is_told_until_it_answers(world: World, neighbours: Neighbours) -> None:
    neighbours.consent_status = 503
    answer = await ask(world)
    soon = "UPDATE message SET outcome_due = now() WHERE outcome_step = 'owed'"
    for tries in (1, 2):
        sql = f"SELECT outcome_tries >= {tries} AND outcome_due < now() + interval '25 seconds' FROM message"  # noqa: S608 - a number
        await until(partial(world.service.pool.fetchval, sql))
        await world.service.pool.execute(soon)  # it waits longer each time
    neighbours.consent_status = 200
    await world.service.pool.execute(soon)
    shown = await ended(world, answer, "sent")
    assert shown["outcome_state"] == "told"
    assert neighbours.outcomes == [("permit-1", "delivered", "beacon/ann")]


def _like(world: World, database: str) -> Service:
    """Return the same service again, on this database."""
    names = ("consent_url", "intake_url", "smtp_port", "state_folder", "topic_prefix", "sink_folder")
    fields = {name: getattr(world.service.settings, name) for name in names}
    kafka, prefix = world.service.settings.kafka, str(fields.pop("topic_prefix"))
    return build(settings(Settings, database, kafka, prefix, **fields))


async def test_after_a_restore_what_was_sent_is_known_and_not_sent_again(
    world: World, neighbours: Neighbours, mailbox: Mailbox, stack: Stack
) -> None:
    """The copy is as old as can be: an empty database. Even intake has forgotten, and would hand out a second time."""
    first, second = "permit-of-a-restore", "permit-of-a-restore-2"  # no other test's: the topic has them all
    sent = await ended(world, await ask(world, first), "sent")
    mailbox.answer = None
    unknown = await ended(world, await ask(world, second, key="k2"), "unknown")
    mailbox.answer, neighbours.redeemed = "250 taken", []
    await until(lambda: world.service.pool.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"))
    async with a_database(stack) as empty:
        restored = _like(world, empty)
        async with running(restored, ["api"]) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
            again = World(restored, http, world.teller)
            for known, permit in ((sent, first), (unknown, second)):
                answer = await ask(again, permit, key=f"again-{permit}")
                assert (answer.status_code, answer.json()["message"]) == (202, known["message"])
                assert answer.json()["state"] == known["state"]
    assert neighbours.redeemed == []
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize(("died", "step"), [("sending", "unknown"), ("releasing", "not_made")])
async def test_a_sender_that_died_is_concluded_by_whoever_comes_after_and_nothing_is_sent(
    world: World,
    neighbours: Neighbours,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    died: str,
    step: str,
) -> None:
    mailbox.answer = None
    monkeypatch.setattr(post, "ABANDONED_POLL", 0.2)
    if died == "releasing":
        # Between the release and the commit that the write begins: the details are in memory, and then gone.
        async def dies(*_args: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(post, "_begin", dies)
    answer = await ask(world)
    sent = 1 if died == "sending" else 0
    await until(lambda: len(mailbox.mails) == sent)
    await until(lambda: world.service.pool.fetchval("SELECT step = $1 FROM message", died))
    for task in list(post._SENDING):
        task.cancel()
    monkeypatch.undo()
    monkeypatch.setattr(post, "ABANDONED_POLL", 0.2)

    successor = _like(world, world.service.settings.database_url.get_secret_value())
    async with running(successor, ["consumer"]):
        await asyncio.sleep(1)
        assert await world.service.pool.fetchval("SELECT step FROM message") == died
        await world.service.pool.execute("UPDATE clock SET shift = interval '4 minutes'")
        shown = await ended(world, answer, step)
    assert shown["reason"] == "interrupted"
    assert [outcome for _, outcome, _ in neighbours.outcomes] == ["unknown"]
    assert len(mailbox.mails) == sent
    assert len(neighbours.redeemed) == 1


async def test_what_a_provider_reports_later_is_signed_and_a_returned_message_is_told_to_consent(
    world: World, neighbours: Neighbours
) -> None:
    shown = await ended(world, await ask(world), "sent")
    body = f'{{"message": "{shown["message"]}", "status": "returned"}}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "r-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("r-1", now, body),
    }
    forged = await world.http.post(
        "/v1/provider-callbacks/smtp", content=body.replace("returned", "delivered"), headers=headers
    )
    assert forged.status_code == 401
    assert (
        await world.http.post("/v1/provider-callbacks/nobody", content=body, headers=headers)
    ).status_code == 404
    earlier = body.replace("returned", "delivered")
    signed = headers | {"webhook-signature": Webhook(SECRET).sign("r-1", now, earlier)}
    # What was reported before comes after, or once more: a message that came back has come back.
    for content, sent in ((body, headers), (earlier, signed)):
        taken = await world.http.post("/v1/provider-callbacks/smtp", content=content, headers=sent)
        assert taken.status_code == 204
    await until(lambda: [outcome for _, outcome, _ in neighbours.outcomes] == ["delivered", "returned"])
    read = await world.http.get(f"/v1/messages/{shown['message']}", headers=bearer("beacon", "contact"))
    assert read.json()["provider_status"] == "returned"


async def test_bad_input_redeems_nothing_and_names_the_remedy(world: World, neighbours: Neighbours) -> None:
    for more, name in (
        ({"template": "nothing"}, "template"),
        ({"language": "tlh"}, "language"),
        ({"fence": -1}, "fence"),
    ):
        answer = await ask(world, key=name, **more)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["field"] == name
        assert error["remedy"]
    assert neighbours.presented == []
    someone = await world.http.get(
        "/v1/messages/0193a5f0-0000-7000-8000-000000000000", headers=bearer("beacon", "contact")
    )
    assert someone.status_code == 404
