"""`onefriend` as its users have it: real servers, the real services, processes killed underneath."""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import jars, liveness, services
from deploy.local.clients import Clients
from deploy.local.example_workers import EXAMPLES
from deploy.local.hours import until_tuesday
from deploy.local.kafka import Kafka
from deploy.local.place import CHECKOUT, Place
from deploy.local.postgres import Postgres, on_same_server
from deploy.local.processes import alive
from deploy.local.supervisor import supervisor_of
from shared.runtime.identifiers import new_id
from shared.runtime.journal import of_key
from shared.runtime.wire import headers_of
from tests.support.running import slack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("command line")]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A place of its own; the jars are the checkout's, so that nothing is fetched twice."""
    shared = Place.default().shared / "jars"
    jars.ensure(shared, lambda _done, _of: None)
    with tempfile.TemporaryDirectory(prefix="onefriend-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "a home, of its own"
        home.mkdir()
        (home / "jars").symlink_to(shared)
        made = Place(home, home).made()
        yield made
        _onefriend(made, "down")


def _onefriend(place: Place, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [CHECKOUT / "bin" / "onefriend", *arguments],
        env=os.environ | {"ONEFRIEND_HOME": str(place.home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert status in {None, ran.returncode}, ran.stdout + ran.stderr
    return ran


@pytest.fixture
def up(place: Place) -> Place:
    if not supervisor_of(place):
        _onefriend(place, "up", "--detach")
    return place


def _one(place: Place, service: str) -> psutil.Process:
    (found,) = services.running(place, service)
    return found


def _ready_again(place: Place, service: str, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{services.url(place, service)}/readyz", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"{service} did not come back within {patience} s")


def test_a_token_opens_a_service_and_its_absence_does_not(up: Place) -> None:
    token = _onefriend(up, "token", "beacon", "--worker", "ada").stdout.strip()
    url = f"{services.url(up, 'intake')}/v1/referrals?reference=none"
    assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code not in {
        401,
        403,
    }
    assert httpx.get(url, timeout=60).status_code == 401


def test_an_agency_that_is_added_can_sign_in_until_it_is_revoked(up: Place) -> None:
    shown = _onefriend(
        up, "agency", "add", "new-provider", "--name", "New", "--kind", "provider", "--area", "sussex"
    )
    credentials = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert "Not registered" not in shown.stderr
    auth = (credentials["client_id"], credentials["client_secret"])
    endpoint = f"{services.url(up, 'issuer')}/token"
    grant = {"grant_type": "client_credentials"}
    assert httpx.post(endpoint, auth=auth, data=grant, timeout=60).status_code == 200
    rotated = _onefriend(up, "agency", "rotate", "new-provider").stdout
    assert httpx.post(endpoint, auth=auth, data=grant, timeout=60).status_code == 401
    another = rotated.split("client_secret=")[1].strip()
    assert httpx.post(endpoint, auth=("new-provider", another), data=grant, timeout=60).status_code == 200
    _onefriend(up, "agency", "revoke", "new-provider")
    assert httpx.post(endpoint, auth=("new-provider", another), data=grant, timeout=60).status_code == 401


def test_a_revoked_agency_is_sent_nothing_and_resumes_by_itself(up: Place) -> None:
    add = ("agency", "add", "leaver", "--name", "Leaver", "--kind", "provider")
    _onefriend(up, *add)
    url = f"{services.url(up, 'notifications')}/v1/subscriptions"

    def headers(**more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {_onefriend(up, 'token', 'leaver').stdout.strip()}", **more}

    def subscription() -> httpx.Response:
        return httpx.get(f"{url}/{made['id']}", headers=headers(), timeout=60)

    wanted = {"url": "http://127.0.0.1:9/hook"}
    made = httpx.post(url, json=wanted, headers=headers(**{"Idempotency-Key": '"one"'}), timeout=60).json()
    assert made["active"]
    assert (
        "1 of its webhooks and e-mail subscriptions are paused"
        in _onefriend(up, "agency", "revoke", "leaver").stderr
    )
    again = _onefriend(up, *add).stderr
    assert "1 of its webhooks and e-mail subscriptions stay paused" in again
    there = subscription()
    assert (there.json()["active"], there.json()["reason"]) == (False, "revoked")
    resumed = httpx.patch(
        f"{url}/{made['id']}",
        json={"active": True},
        headers=headers(**{"If-Match": there.headers["etag"]}),
        timeout=60,
    ).json()
    assert (resumed["active"], resumed["reason"]) == (True, None)
    # Revoked while nothing runs: the next `up` does it.
    Clients(up).revoke("leaver")
    _onefriend(up, "down")
    assert "1 webhooks and e-mail subscriptions" in _onefriend(up, "up", "--detach").stderr
    _onefriend(up, *add)
    assert subscription().json()["reason"] == "revoked"


class _Gone(BaseHTTPRequestHandler):
    """An endpoint that has gone for good, and then has not."""

    gone = True
    taken = threading.Event()

    def do_POST(self) -> None:
        self.send_response(410 if self.gone else 204)
        self.end_headers()
        if not self.gone:
            self.taken.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_delivery_that_was_given_up_is_listed_and_redriven(up: Place) -> None:
    url = f"{services.url(up, 'notifications')}/v1/subscriptions"

    def headers(**more: str) -> dict[str, str]:
        token = _onefriend(up, "token", "beacon").stdout.strip()
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": '"given-up"', **more}

    def failed() -> list[dict[str, str]]:
        rows = json.loads(_onefriend(up, "stuck", "--json").stdout)
        return [row for row in rows if row["kind"] == "failed delivery"]

    with ThreadingHTTPServer(("127.0.0.1", 0), _Gone) as endpoint:
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        wanted = {"url": f"http://127.0.0.1:{endpoint.server_port}/hook"}
        made = httpx.post(url, json=wanted, headers=headers(), timeout=60).json()
        assert httpx.post(f"{url}/{made['id']}/test", headers=headers(), timeout=60).status_code == 202
        deadline = time.monotonic() + 60
        while not failed():
            assert time.monotonic() < deadline
        (row,) = failed()
        assert (row["id"], row["whose"]) == (f"delivery/{made['id']}.0", "agency beacon")
        there = httpx.get(f"{url}/{made['id']}", headers=headers(), timeout=60)
        match = {"If-Match": there.headers["etag"]}
        resumed = httpx.patch(
            f"{url}/{made['id']}", json={"active": True}, headers=headers(**match), timeout=60
        )
        assert resumed.json()["active"], resumed.text
        _Gone.gone = False
        assert f"redrive {row['id']}" in _onefriend(up, "stuck", "show", row["id"]).stdout
        assert "sent again" in _onefriend(up, "stuck", "redrive", row["id"]).stderr
        assert _Gone.taken.wait(60)
        assert failed() == []
        assert "has not failed" in _onefriend(up, "stuck", "redrive", row["id"], status=1).stderr
        httpx.delete(f"{url}/{made['id']}", headers=headers(), timeout=60)
        endpoint.shutdown()


def test_the_shipped_agencies_are_known_to_allocation(up: Place) -> None:
    operator = _onefriend(up, "token", "operator").stdout.strip()
    url = f"{services.url(up, 'allocation')}/v1/agencies/beacon"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {operator}"}, timeout=60)
    assert answer.is_success
    assert answer.json()["kind"] == "victim_care"


def test_a_few_agencies_have_workers_to_begin_with_and_none_is_assigned_by_rule(up: Place) -> None:
    operator = _onefriend(up, "token", "operator").stdout.strip()
    headers = {"Authorization": f"Bearer {operator}"}
    for worker, wanted in EXAMPLES.items():
        found = httpx.get(
            f"{services.url(up, 'allocation')}/v1/workers/{worker}", headers=headers, timeout=60
        )
        assert found.is_success, found.text
        assert (found.json()["agency"], found.json()["capacity"]) == (wanted["agency"], 0)


def test_the_doctor_finds_everything_well(up: Place) -> None:
    said = _onefriend(up, "doctor").stdout
    assert "XX" not in said
    assert re.search(r"ok\s+PostgreSQL", said)
    assert re.search(r"ok\s+intake: flow", said)


def test_a_second_up_says_that_it_runs(up: Place) -> None:
    refused = _onefriend(up, "up", status=1)
    assert "already runs here" in refused.stderr


def test_a_service_and_the_servers_that_are_killed_are_started_again(up: Place) -> None:
    """All at once: neither the database nor the broker may wait for whoever types a command in the morning."""
    before = _one(up, "intake"), Postgres(up).process(), Kafka(up).process()
    for process in before:
        assert process is not None
        process.kill()
    deadline = time.monotonic() + 60 * slack()
    while "XX" in (said := _onefriend(up, "doctor", status=None).stdout) or "stopped" in said:
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    after = _one(up, "intake"), Postgres(up).process(), Kafka(up).process()
    assert not set(before) & {None, *after}


def test_a_service_that_hangs_is_ended_and_started_again(up: Place) -> None:
    before, others = _one(up, "intake"), {_one(up, name) for name in ("consent", "allocation")}
    time.sleep(2 * liveness.ASKED_EVERY)  # a service that has not answered yet is taken for starting
    before.suspend()
    try:
        _, alive_still = psutil.wait_procs(
            [before], timeout=slack() * 3 * liveness.ASKED_EVERY * liveness.SILENT
        )
    finally:
        if before.is_running():
            before.resume()
    assert not alive_still
    _ready_again(up, "intake")
    assert _one(up, "intake") != before
    assert {_one(up, name) for name in ("consent", "allocation")} == others
    said = f"runs as {before.pid} and has answered nothing"
    assert said in up.log("intake").read_text()
    assert said in up.log("supervisor").read_text()


async def _damaged(place: Place, *keys: str) -> None:
    """Tell the first event of each key, damaged on the way: allocation's journal has it, the topic has not."""
    url = on_same_server(
        Postgres(place).url(), "allocation", "allocation", place.secret("database/allocation")
    )
    producer = AIOKafkaProducer(bootstrap_servers=Kafka(place).bootstrap_servers)
    await producer.start()
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        for key in keys:
            await pool.execute(
                """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
                VALUES (nextval('journal_position'), $1, 'agencies', $2, 1, 'agency.changed.v1',
                        '{"name":"Lost","kind":"provider"}', 'x', clock_timestamp())""",
                new_id(),
                key,
            )
            (told,) = await of_key(pool, "/onefriend/allocation", "agencies", key, 0)
            await producer.send_and_wait(
                "agencies", b"\xff no json", key=key.encode(), headers=headers_of(told.envelope)
            )
    await producer.stop()


def _stuck(place: Place, key: str) -> dict[str, dict[str, str]]:
    """What is stuck of a key, by service."""
    rows = json.loads(_onefriend(place, "stuck", "--json").stdout)
    return {row["id"].split("/")[0]: row for row in rows if f" {key}," in row["whose"]}


def test_what_is_stuck_is_listed_redriven_and_passed_over_by_two_people(up: Place) -> None:
    assert "Nothing waits for a person" in _onefriend(up, "stuck").stderr
    asyncio.run(_damaged(up, "mended", "passed"))
    readers = {"consent", "notifications"}
    deadline = time.monotonic() + 60
    while not (set(_stuck(up, "mended")) == set(_stuck(up, "passed")) == readers):
        assert time.monotonic() < deadline, _onefriend(up, "stuck").stdout
        time.sleep(0.5)
    shown = _onefriend(up, "stuck").stdout
    assert re.search(
        r"parked key .* agencies mended, event 1 .* onefriend stuck redrive consent/\d+ --original", shown
    )
    assert "`onefriend stuck`" in _onefriend(up, "doctor", status=1).stdout

    # As it arrived it fails still; a dry run of the original changes nothing; for real it is applied.
    for row in _stuck(up, "mended").values():
        refused = _onefriend(up, "stuck", "redrive", row["id"], "--for-real", status=1)
        assert "still cannot be handled" in refused.stderr
        assert "Nothing has changed" in _onefriend(up, "stuck", "redrive", row["id"], "--original").stderr
    assert set(_stuck(up, "mended")) == readers
    for row in _stuck(up, "mended").values():
        done = _onefriend(up, "stuck", "redrive", row["id"], "--original", "--for-real", "--json")
        assert json.loads(done.stdout)["applied"] == 1
    assert _stuck(up, "mended") == {}

    name = _stuck(up, "passed").pop("consent")["id"]
    assert f"skip {name} --worker YOU" in _onefriend(up, "stuck", "show", name).stdout
    skip = ("stuck", "skip", name, "--for-real", "--worker")
    assert "is no operator here" in _onefriend(up, *skip, "anna.hill", status=1).stderr
    for _ in range(2):
        assert "once another operator says the same" in _onefriend(up, *skip, "olive.grant").stderr
    assert "to be skipped, says operator/olive.grant" in _onefriend(up, "stuck", "show", name).stdout
    _onefriend(up, "worker", "add", "osman.reed", "--agency", "operator", "--role", "operator")
    assert "Passed over" in _onefriend(up, *skip, "osman.reed").stderr
    assert "does not wait any more" in _onefriend(up, "stuck", "show", name, status=1).stderr
    for row in _stuck(up, "passed").values():
        _onefriend(up, "stuck", "redrive", row["id"], "--original", "--for-real")
    assert "Nothing waits for a person" in _onefriend(up, "stuck").stderr


def test_a_killed_supervisor_leaves_nothing_in_the_way(up: Place) -> None:
    supervisor = supervisor_of(up)
    assert supervisor is not None
    database, broker, orphan = Postgres(up).process(), Kafka(up).process(), _one(up, "consent")
    supervisor.kill()
    supervisor.wait(10)
    assert alive(orphan)
    assert supervisor_of(up) is None
    assert "left running" in _onefriend(up, "doctor", status=0).stdout
    _onefriend(up, "up", "--detach")
    assert not alive(orphan)
    assert Postgres(up).process() == database  # adopted, not started anew
    assert Kafka(up).process() == broker


def test_everything_killed_at_once_comes_back(up: Place) -> None:
    supervisor = supervisor_of(up)
    assert supervisor is not None
    supervisor.kill()
    for name in services.existing():
        for process in services.running(up, name):
            process.kill()
    Postgres(up).kill()
    Kafka(up).kill()
    _onefriend(up, "up", "--detach")
    assert "XX" not in _onefriend(up, "doctor").stdout


def test_backup_down_restore_up(up: Place) -> None:
    archive = up.home / "saved.tar"
    assert _onefriend(up, "backup", str(archive)).stdout.strip() == str(archive)
    assert "there is no folder" in _onefriend(up, "backup", "/nowhere/a.tar", status=1).stderr
    assert "does not exist" in _onefriend(up, "restore", "/nowhere/a.tar", "--yes", status=2).stderr
    assert "down` first" in _onefriend(up, "restore", str(archive), "--yes", status=1).stderr
    _onefriend(up, "down")
    for name in services.existing():
        assert services.running(up, name) == []
    assert Postgres(up).process() is None
    assert Kafka(up).process() is None
    said = _onefriend(up, "restore", str(archive), "--yes", "--only", "nobody", status=1).stderr
    assert "there is no service nobody" in said
    _onefriend(up, "restore", str(archive), "--yes")
    # One alone, while the others have what came since: none here, but it opens.
    said = _onefriend(up, "restore", str(archive), "--yes", "--only", "consent").stderr
    assert "The database of consent is as it was" in said
    _onefriend(up, "up", "--detach")
    assert "XX" not in _onefriend(up, "doctor").stdout


def test_a_simulation_in_the_night_ends_soon_and_says_what_waits_and_why(up: Place) -> None:
    """Nobody may be rung, and some cases wait for somebody's answer: neither passes while one waits for it."""
    midnight_on_a_sunday = until_tuesday(weeks=1) - timedelta(days=2, hours=10)
    headers = {"Authorization": f"Bearer {_onefriend(up, 'token', 'operator').stdout.strip()}"}
    for service in ("intake", "consent", "allocation", "notifications"):
        url, body = f"{services.url(up, service)}/v1/clock", {"seconds": midnight_on_a_sunday.total_seconds()}
        assert httpx.put(url, json=body, headers=headers, timeout=60).is_success
    began = time.monotonic()
    said = _onefriend(up, "simulate", "--agencies", "3", "--rate", "5", "--seconds", "5").stdout
    assert time.monotonic() - began < 5 + 25 * slack()
    assert re.search(r"\d+  This is not an hour at which .* \(hours-unsafe\)", said), said
    assert re.search(r"\d+  The checks that policy asks for .* \(not-cleared\)", said), said
    # Whoever is refused is not asked about again and again.
    counted = {name: int(n) for name, n in re.findall(r"│ (\w[\w ]+?) +│ +(\d+) │", said)}
    assert 0 < counted["permits refused"] <= counted["referrals posted"], said
    assert counted["referrals lost"] == 0


def test_logs_name_what_there_is(up: Place) -> None:
    assert "ready" in _onefriend(up, "logs", "intake", "-n", "400").stdout
    assert "there are: " in _onefriend(up, "logs", "nothing", status=1).stderr


def test_reset_takes_everything_of_ours_and_nothing_else(up: Place) -> None:
    (up.home / "somebody's own").write_text("stays")
    _onefriend(up, "reset", "--yes")
    assert {path.name for path in up.home.iterdir()} - {"saved.tar"} == {"jars", "locks", "somebody's own"}
