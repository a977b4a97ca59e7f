"""What a service is told, and the key that must not change."""

from pathlib import Path

import pytest

from deploy.local import services
from deploy.local.place import Place
from deploy.local.postgres import on_same_server
from deploy.local.processes import DidNotStart
from shared.runtime.settings import RuntimeSettings


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path).made()


def test_the_runtime_reads_what_a_service_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services.environment(
        place, "intake", "postgresql://intake:x@127.0.0.1:1/intake", "b:1"
    ).items():
        monkeypatch.setenv(name, value)
    settings = RuntimeSettings()
    assert settings.database_url.get_secret_value() == "postgresql://intake:x@127.0.0.1:1/intake"
    assert settings.kafka == "b:1"
    assert settings.port == place.ports()["intake"]
    assert settings.url_of("consent") == f"http://127.0.0.1:{place.ports()['consent']}"
    assert settings.client_id == "intake"
    assert settings.development


def test_a_service_does_not_get_the_administrators_password(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEFRIEND_POSTGRES", "postgresql://admin:secret@host/postgres")
    told = services.environment(place, "consent", "postgresql://consent:x@h/consent", "b:1")
    assert "ONEFRIEND_POSTGRES" not in told
    assert place.secret("postgres") not in told.values()
    assert "ONEFRIEND_MASTER_KEY_FILE" not in told  # intake's alone


def test_the_master_key_is_made_once_and_private(place: Place) -> None:
    key = services.master_key(place)
    before = key.read_bytes()
    assert services.master_key(place).read_bytes() == before
    assert key.stat().st_mode & 0o077 == 0


def test_a_lost_master_key_is_not_replaced_by_a_new_one(place: Place) -> None:
    services.master_key(place).unlink()
    with pytest.raises(DidNotStart, match="onefriend restore"):
        services.master_key(place)


def test_another_master_key_is_refused(place: Place) -> None:
    key = services.master_key(place)
    key.write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    with pytest.raises(DidNotStart, match="is not the master key"):
        services.master_key(place)


def test_a_key_that_was_added_is_welcome(place: Place) -> None:
    key = services.master_key(place)
    key.write_text(key.read_text() + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    assert services.master_key(place) == key


def test_a_services_url_keeps_the_servers_tls_settings() -> None:
    made = on_same_server(
        "postgresql://a:b@db.example:6432/postgres?sslmode=verify-full", "intake", "intake", "p@:/"
    )
    assert made == "postgresql://intake:p%40%3A%2F@db.example:6432/intake?sslmode=verify-full"


@pytest.mark.parametrize("wrong", ["mysql://a@b/c", "db.example:5432", ""])
def test_what_is_no_postgresql_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(DidNotStart, match="write postgresql://"):
        on_same_server(wrong, "intake", "intake", "x")
