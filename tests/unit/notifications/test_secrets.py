"""Webhook secrets at rest."""

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from services.notifications.webhooks.secrets import Vault, new_secret, open_vault


def test_what_is_stored_is_not_the_secret_and_comes_back_for_its_own_subscription_only() -> None:
    vault, secret = Vault(bytes(32)), new_secret()
    stored = vault.lock("s-1", secret)
    assert secret not in stored
    assert vault.unlock("s-1", stored) == secret
    with pytest.raises(InvalidTag):
        vault.unlock("s-2", stored)
    with pytest.raises(InvalidTag):
        Vault(b"x" * 32).unlock("s-1", stored)


def test_what_is_signed_is_another_for_each_use_and_each_key() -> None:
    vault = Vault(bytes(32))
    assert vault.tag("link", b"x") == vault.tag("link", b"x")
    others = [vault.tag("mailbox", b"x"), vault.tag("link", b"y"), Vault(b"x" * 32).tag("link", b"x")]
    assert len({vault.tag("link", b"x"), *others}) == 4


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "state" / "key"
    stored = open_vault(file, create=True).lock("s", b"secret")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [f.name for f in file.parent.iterdir()] == ["key"]
    open_vault.cache_clear()
    assert open_vault(file, create=True).unlock("s", stored) == b"secret"


def test_a_missing_key_is_not_made_in_production_and_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ONEFRIEND_SECRETS_KEY_FILE"):
        open_vault(tmp_path / "key", create=False)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Vault(b"short")
