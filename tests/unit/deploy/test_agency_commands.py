"""`onefriend agency`: nothing that it does locks out somebody who was not meant."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local import services
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
