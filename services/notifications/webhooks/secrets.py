"""Webhook secrets at rest: AES-GCM under a key file, bound to the subscription that they belong to; and keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
SECRET_BYTES = 32
NONCE_BYTES = 12


class Vault:
    """Encrypts and decrypts the secrets of subscriptions, and signs what only we may have made."""

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes. Raises ValueError for any other."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of the webhook secrets has {len(key)} bytes; it must have {KEY_BYTES}")
        self._cipher = AESGCM(key)
        # A key of their own: what signs links never encrypts.
        self._tags = hmac.digest(key, b"onefriend subscriptions", hashlib.sha256)

    def lock(self, subscription: str, secret: bytes) -> bytes:
        """Return what to store."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, subscription.encode())

    def unlock(self, subscription: str, stored: bytes) -> bytes:
        """Return the secret. Raises cryptography.exceptions.InvalidTag if it was another's, or under another key."""
        return self._cipher.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], subscription.encode())

    def tag(self, use: str, content: bytes) -> bytes:
        """Return a keyed hash; of the same content another one for each use."""
        return hmac.digest(self._tags, use.encode() + b"\0" + content, hashlib.sha256)


def new_secret() -> bytes:
    """Return a new secret."""
    return secrets.token_bytes(SECRET_BYTES)


@cache
def open_vault(file: Path, *, create: bool) -> Vault:
    """Return the vault of a key file; made with mode 0600 if it may be. Raises FileNotFoundError with the remedy."""
    if create and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and linked into place: two processes that start at once agree on one key, and never read half of it.
        own = file.with_name(f"{file.name}.{os.getpid()}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(own, file)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    if not file.exists():
        raise FileNotFoundError(
            f"{file} is missing: it holds the key of the webhook secrets. Put it back, or name it in "
            "ONEFRIEND_SECRETS_KEY_FILE"
        )
    return Vault(file.read_bytes())
