"""A message of which nobody knows what became: whoever is on call finds it, and records what was found out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.local import asking, commands_stuck, services, stuck
from deploy.local.asking import NotDone
from deploy.local.place import Place
from deploy.local.workers import Workers
from tests.e2e.conftest import Onefriend
from tests.e2e.steps import HERTFORDSHIRE, refer, referral, why
from tests.support.running import until
from tests.support.tokens import bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICE, BEACON = "hertfordshire-constabulary", "beacon"


@pytest.fixture
def on_call(onefriend: Onefriend, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, asking these services: they run inside the test, so nobody supervises them, and tokens are the test's."""
    place = Place(tmp_path, tmp_path).made()
    services.register_clients(place)
    Workers(place).ensure_examples()

    def ask(
        service: str, method: str, path: str, *, worker: str | None = None, json: object = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        sent = bearer("operator", "operator", "hub", worker=worker, kind="operator") | (headers or {})
        address = onefriend.urls[service] + path
        answer = httpx.request(method, address, headers=sent, json=json, timeout=60)
        if not answer.is_success:
            raise asking.refusal(service, answer)
        return answer

    for module in (stuck, commands_stuck):
        monkeypatch.setattr(module, "ask", ask)
        monkeypatch.setattr(module, "running", lambda: place)
    monkeypatch.setattr(services, "existing", lambda: list(onefriend.urls))


async def run(*words: str) -> Any:
    """Run the command beside the services, which are in this loop; return what CliRunner does."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(commands_stuck.app, list(words)))


@pytest.mark.usefixtures("on_call")
async def test_what_became_of_a_message_is_found_out_and_recorded(onefriend: Onefriend) -> None:
    anna = onefriend.stranger(emails=[{"address": "anna.of.the.mail@example.org"}])
    (case,) = await refer(onefriend, POLICE, referral(HERTFORDSHIRE, anna, onefriend.stranger("responsible")))
    entry = await case.allocated(BEACON)
    permit = await case.permit(BEACON, entry["party"], channel="email")
    onefriend.mailbox.hangs_up = True
    wanted = {"permit": permit["permit"], "fence": permit["fence"], "template": "approach"}
    sent: list[Any] = []

    async def taken() -> bool:
        sent[:] = [await onefriend.post("notifications", "/v1/messages", BEACON, wanted)]
        return sent[0].status_code == 202 or why(sent[0]) != "behind"

    await until(taken, every=0.3)
    assert sent[0].status_code == 202, sent[0].text
    found: list[dict[str, str]] = []

    async def waits() -> bool:
        found[:] = json.loads((await run("--json")).stdout)
        return bool(found)

    await until(waits, every=0.3)
    onefriend.mailbox.hangs_up = False
    (row,) = found
    assert row["id"] == f"message/{sent[0].json()['message']}"
    assert (row["kind"], row["whose"]) == ("unknown message", f"person {entry['party']}, agency {BEACON}")
    shown = await run("show", row["id"])
    assert "smtp-disconnected" in shown.stdout
    assert f"onefriend stuck resolve {row['id']}" in shown.stdout

    resolve = ("resolve", row["id"], "--worker", "olive.grant", "--outcome")
    refused = (await run(*resolve, "unknown")).exception
    assert isinstance(refused, NotDone)
    done = await run(*resolve, "returned")
    assert (done.exit_code, done.stderr.strip()) == (0, "Recorded: returned.")
    assert json.loads((await run("--json")).stdout) == []
    assert isinstance((await run(*resolve, "returned")).exception, NotDone)
