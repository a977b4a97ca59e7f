"""What `onefriend stuck` makes of what the services answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.local import asking, commands_stuck, services, stuck
from deploy.local.asking import NotDone, refusal
from deploy.local.processes import DidNotStart
from deploy.local.stuck import of_deliveries, of_messages, of_outbox, of_quarantine

WHEN = "2026-11-21T14:03:00+00:00"


def entry(number: int, **more: Any) -> dict[str, Any]:
    said = {
        "id": number, "topic": "people", "key": "p1", "sequence": 4, "reason": "Poison", "how": None, "since": WHEN,
        "waiting": 0, "type": "person.referred.v1", "restrictive": False,
    }  # fmt: skip
    return said | more


def test_a_parked_key_is_one_line_by_its_first_event() -> None:
    parked = [entry(9, sequence=5), entry(7, waiting=2), entry(8, key="p2", reason="UnknownEvent:payload")]
    one, other = of_quarantine("consent", parked)
    assert (one.id, one.whose, one.next) == (
        "consent/7", "people p1, event 4", "onefriend stuck redrive consent/7",
    )  # fmt: skip
    assert one.why == "person.referred.v1: its handler fails (Poison); 3 wait behind it"
    assert other.next == "onefriend stuck redrive consent/8 --original"
    (forked,) = of_quarantine("consent", [entry(9, reason="Fork")])
    assert forked.next == "onefriend stuck show consent/9", "tried again it fails again"


def test_records_that_nobody_can_read_are_one_line_a_topic() -> None:
    unread = [entry(n, key=None, sequence=None, type=None, how="told again") for n in (3, 4, 5)]
    asked, new = of_quarantine("intake", [*unread, {**unread[0], "id": 6, "topic": "cases", "how": None}])
    assert asked.next == "onefriend stuck acknowledge intake/5 --earlier"
    assert asked.why.startswith("3 records")
    assert new.next == "onefriend stuck retell intake/6"


def test_what_the_broker_refused_is_one_line_a_service() -> None:
    refused = {
        "topic": "cases",
        "key": "c1",
        "sequence": 2,
        "type": "case.allocated.v1",
        "reason": "too_large",
        "since": WHEN,
    }
    (one,) = of_outbox("allocation", [refused, {**refused, "key": "c2"}])
    assert (one.whose, one.next) == (
        "cases c1, event 2 and 1 more", "onefriend stuck redrive outbox/allocation",
    )  # fmt: skip
    assert "(too_large)" in one.why
    assert list(of_outbox("allocation", [])) == []


def test_a_failed_delivery_names_its_agency_and_its_case() -> None:
    row = {
        "id": "s.3",
        "agency": "beacon",
        "case_id": "c1",
        "updated_at": WHEN,
        "reason": "status-500",
        "attempts": 5,
    }
    (one,) = of_deliveries([row])
    assert (one.whose, one.next) == ("agency beacon, case c1", "onefriend stuck redrive delivery/s.3")


def test_a_message_waits_until_consent_has_heard() -> None:
    message = {"message": "m1", "permit": "x", "updated_at": WHEN, "channel": "letter", "reason": "timeout"}
    waits = [{"permit": "x", "person": "p1", "agency": "beacon"}]
    (one,) = of_messages([message], waits)
    assert (one.whose, one.next) == ("person p1, agency beacon", "onefriend stuck show message/m1")
    assert list(of_messages([message], [])) == []


def test_a_flood_does_not_hide_what_came_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [entry(n) for n in range(1, 451)]

    def answered(_service: str, _method: str, path: str) -> httpx.Response:
        after = int(path.rpartition("=")[2])
        return httpx.Response(200, json=[row for row in rows if row["id"] > after][:200])

    monkeypatch.setattr(stuck, "ask", answered)
    assert [row["id"] for row in stuck.quarantine("consent")] == list(range(1, 451))


def test_a_service_that_cannot_be_asked_is_told_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def quarantine(name: str) -> list[dict[str, Any]]:
        if name == "consent":
            raise DidNotStart("consent does not answer (ConnectError): `onefriend doctor` says why")
        return [entry(1)]

    monkeypatch.setattr(stuck, "running", lambda: None)
    monkeypatch.setattr(services, "existing", lambda: ["intake", "consent"])
    monkeypatch.setattr(stuck, "quarantine", quarantine)
    monkeypatch.setattr(stuck, "untold_events", lambda _name: [])
    said = CliRunner().invoke(commands_stuck.app, [])
    assert said.exit_code == 1
    assert "onefriend stuck redrive intake/1" in said.output
    assert "consent does not answer" in said.output


@pytest.mark.parametrize(
    "words",
    [
        ["redrive", "nowhere/1"],
        ["redrive", "outbox/nowhere"],
        ["skip", "outbox/consent", "--worker", "a"],
        ["skip", "delivery/1", "--worker", "a"],
        ["resolve", "consent/1", "--outcome", "delivered", "--worker", "a"],
        [],
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEFRIEND_HOME", str(tmp_path))
    error = CliRunner().invoke(commands_stuck.app, words).exception
    assert isinstance(error, DidNotStart)
    assert "onefriend " in str(error)


def test_a_refusal_is_the_services_own_words_with_every_remedy() -> None:
    errors = [{"field": "reason", "problem": "too short", "remedy": "At least 3 characters."}]
    problem = {"type": "https://x/problems/invalid", "title": "Not so.", "errors": errors}
    error = refusal("consent", httpx.Response(422, json=problem))
    assert isinstance(error, NotDone)
    assert (str(error), error.kind) == ("Not so.\nreason: too short. At least 3 characters.", "invalid")
    assert "onefriend logs consent" in str(refusal("consent", httpx.Response(502, text="<html>")))


def test_nothing_is_asked_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFRIEND_HOME", str(tmp_path))
    with pytest.raises(DidNotStart, match="onefriend up"):
        asking.ask("consent", "GET", "/v1/quarantine")
