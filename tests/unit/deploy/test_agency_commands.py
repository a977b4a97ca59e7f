"""`onefriend agency`: nothing that it does locks out somebody who was not meant."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from deploy.local import desks, services
from deploy.local.clients import Clients, Unknown
from deploy.local.commands_agency import app
from deploy.local.place import Place

ADD = ["add", "new-one", "--name", "New One", "--kind", "provider"]


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clients:
    monkeypatch.setenv("ONEFRIEND_HOME", str(tmp_path))
    place = Place(tmp_path, tmp_path).made()
    services.register_clients(place)
    return Clients(place)


def _secret(said: str) -> str:
    return said.split("client_secret=")[1].split(maxsplit=1)[0]


def test_an_agency_that_has_access_keeps_its_secret_when_it_is_added_again(clients: Clients) -> None:
    secret = _secret(CliRunner().invoke(app, ADD).stdout)
    again = CliRunner().invoke(app, ADD)
    assert again.exit_code == 2
    assert "has access already" in again.output
    assert clients.authenticate("new-one", secret)


def test_a_revoked_agency_gets_access_again_by_being_added(clients: Clients) -> None:
    before = _secret(CliRunner().invoke(app, ADD).stdout)
    assert CliRunner().invoke(app, ["revoke", "new-one"]).exit_code == 0
    after = _secret(CliRunner().invoke(app, ADD).stdout)
    assert clients.authenticate("new-one", after)
    assert not clients.authenticate("new-one", before)


@pytest.mark.parametrize("client", ["intake", "operator"])
def test_who_is_no_agency_is_left_alone(clients: Clients, client: str) -> None:
    """A service whose secret is another gets no token, and the others hear no more of it."""
    before = clients.get(client)
    for arguments in (["rotate", client], ["revoke", client], ["kafka", client]):
        assert isinstance(CliRunner().invoke(app, arguments).exception, Unknown)
    assert CliRunner().invoke(app, ["add", client, "--name", "X", "--kind", "police"]).exit_code == 2
    assert Clients(clients.place).get(client) == before


def test_an_area_that_no_rule_knows_is_refused(clients: Clients) -> None:
    said = CliRunner().invoke(app, [*ADD, "--area", "sussecks"])
    assert said.exit_code == 2
    assert "area sussecks is not one of" in said.output
    assert "new-one" not in clients.all()


class Allocation:
    """What `agency desk` asks, and an allocation that remembers it."""

    def __init__(self) -> None:
        self.row: dict[str, Any] = {
            "agency": "new-one",
            "name": "New One",
            "kind": "provider",
            "areas": ["sussex"],
            "sharing_agreement": "isa-1",
            "active": True,
            "successor": None,
            "desk": None,
        }
        self.matched: list[str] = []

    def __call__(self, service: str, method: str, path: str, **more: Any) -> httpx.Response:
        assert (service, path) == ("allocation", "/v1/agencies/new-one")
        if method == "PUT":
            self.matched.append(more["headers"]["If-Match"])
            assert more["json"].keys() == self.row.keys() - {"agency", "successor"}
            self.row |= more["json"]
        return httpx.Response(200, json=self.row, headers={"ETag": '"7"'})


@pytest.mark.usefixtures("clients")
def test_how_people_reach_an_agency_is_entered_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    allocation = Allocation()
    monkeypatch.setattr(desks, "ask", allocation)

    def said(*options: str) -> str:
        return " ".join(CliRunner().invoke(app, ["desk", "new-one", *options]).output.split())

    assert "nobody has said" in said()
    options = ["--phone", "101", "--hours", "Mon-Fri 9:00-17:00", "--hours", "sat 10:00-12:00"]
    assert said(*options) == "new-one: 101, mon tue wed thu fri 09:00-17:00, sat 10:00-12:00"
    assert allocation.row["desk"]["hours"][1] == {"days": [6], "start": "10:00", "until": "12:00"}
    assert allocation.row["sharing_agreement"] == "isa-1"
    assert said() == said(*options)
    assert "nobody has said" in said("--none")
    assert allocation.matched == ['"7"'] * 3
    for wrong in ("always", "fri-mon 09:00-17:00", "mon 9-5"):
        assert CliRunner().invoke(app, ["desk", "new-one", "--hours", wrong]).exit_code == 2
    assert CliRunner().invoke(app, ["desk", "new-one", "--none", "--phone", "101"]).exit_code == 2
    assert len(allocation.matched) == 3
