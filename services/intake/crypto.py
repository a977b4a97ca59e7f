"""Personal data at rest: one data key for each human of a referral, wrapped by a master key; keyed hashes to look up by.

A database dump without the master key identifies nobody. Erasing one human is destroying their wrapped keys: what they
sealed is noise from then on, in every backup that is younger than the master key's custody as well.

The master key's file has one key a line, `base64` of 32 bytes. The last line wraps new keys, every line unwraps, and the
first line is for ever the root of the keyed hashes, which cannot be made anew without the plain text.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, Protocol
from weakref import WeakSet

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
_NONCE: Final = 12
_WRAPPED: Final = 1 + _NONCE  # where the wrapped key begins, after its master key's number and the nonce
_REMEMBERED: Final = 20_000  # opened keys
TAG_BYTES: Final = 16  # of a keyed hash: no two of a billion keys meet by chance, and the index stays small
HashUse = Literal["blocking", "contact-point", "suppression", "reference", "content", "link", "incident"]
_USES: Final[tuple[HashUse, ...]] = (
    "blocking", "contact-point", "suppression", "reference", "content", "link", "incident"
)  # fmt: skip


class Unreadable(Exception):
    """Sealed bytes that this key, or this row, never sealed: tampered with, moved to another row, or another master key."""


class BadMasterKey(Exception):
    """The file of the master key is missing or malformed; says how to mend it."""


def _aad(bind: tuple[str, ...]) -> bytes:
    # Length before each part, so that ("ab", "c") and ("a", "bc") are different rows.
    parts = [text.encode() for text in bind]
    return b"".join([len(part).to_bytes(2) + part for part in parts])


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """Seals the details of one human of one referral. `bind` names the row: sealed bytes moved elsewhere do not open."""

    _cipher: AESGCM

    def seal(self, plain: bytes, *bind: str) -> bytes:
        """Encrypt and authenticate. A random nonce is safe here: a key seals a handful of values in its life."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, _aad(bind))

    def open(self, sealed: bytes, *bind: str) -> bytes:
        """Decrypt. Raises Unreadable."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _aad(bind))
        except (InvalidTag, ValueError):
            raise Unreadable("these bytes were not sealed for this row by this key") from None


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) of a key of at most 64 bytes, its two halves begun once.

    The standard library takes almost twice as long for each, and every referral needs some forty.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, plain: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(plain)
        outer.update(inner.digest())
        return outer.digest()


class Forgetful(Protocol):
    """Who keeps in memory what keys have opened."""

    def forget(self) -> None:
        """Drop all of it."""


class Keyring:
    """The master keys, what they wrap, and the keyed hashes derived from the first of them."""

    def __init__(self, masters: list[bytes]) -> None:
        if not masters or any(len(key) != KEY_BYTES for key in masters):
            raise BadMasterKey(f"a master key has {KEY_BYTES} bytes")
        self._wraps = [AESGCM(_derive(key, "wrap")) for key in masters]
        self._hashes = {use: _Hmac(_derive(masters[0], use)) for use in _USES}
        self._opened: dict[tuple[bytes, str], DataKey] = {}
        self._keepers: WeakSet[Forgetful] = WeakSet()

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """Read the file of the master key. Raises BadMasterKey."""
        try:
            lines = path.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise BadMasterKey(
                f"the master key cannot be read from {path}: {type(error).__name__}. "
                "Without it nothing that is stored can be read: restore it from its own backup"
            ) from None
        try:
            return cls([base64.b64decode(line, validate=True) for line in lines])
        except binascii.Error:
            raise BadMasterKey(
                f"{path} is no file of master keys: each line is base64 of {KEY_BYTES} bytes"
            ) from None

    def new_key(self, owner: str) -> tuple[DataKey, bytes]:
        """Make a data key for a row. Returns it with its wrapped form, which is what is stored."""
        plain = os.urandom(KEY_BYTES)
        nonce = os.urandom(_NONCE)
        version = len(self._wraps) - 1
        wrapped = bytes([version]) + nonce + self._wraps[version].encrypt(nonce, plain, _aad((owner,)))
        # Who stores a row is soon the one to match it: the key need not be unwrapped for that.
        return self._remember(DataKey(AESGCM(plain)), wrapped, owner), wrapped

    def unwrap(self, wrapped: bytes, owner: str) -> DataKey:
        """Return the data key of a row. Raises Unreadable. Opened keys are remembered, a bounded number of them."""
        opened = self._opened.get((wrapped, owner))
        return opened or self._remember(self._unwrap_once(wrapped, owner), wrapped, owner)

    def open(self, wrapped: bytes, owner: str, sealed: bytes, bind: str) -> bytes:
        """Unwrap a row's data key, open one value with it, and keep nothing: most rows are opened but once.

        `sealed` is bound to the owner and to `bind`. Raises Unreadable.
        """
        of = _aad((owner,))
        try:
            cipher = AESGCM(self._wraps[wrapped[0]].decrypt(wrapped[1:_WRAPPED], wrapped[_WRAPPED:], of))
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], of + _aad((bind,)))
        except (InvalidTag, ValueError, IndexError):
            raise Unreadable("this value was not sealed for this row by any of these master keys") from None

    def forget(self) -> None:
        """Drop every opened key from memory, and what was kept of what they opened: some have just been destroyed."""
        self._opened.clear()
        for keeper in self._keepers:
            keeper.forget()

    def keeps(self, keeper: Forgetful) -> None:
        """`keeper` keeps what it opened for as long as it lives, and forgets it whenever keys are destroyed."""
        self._keepers.add(keeper)

    def _remember(self, key: DataKey, wrapped: bytes, owner: str) -> DataKey:
        if len(self._opened) >= _REMEMBERED:
            self._opened.clear()
        self._opened[wrapped, owner] = key
        return key

    def _unwrap_once(self, wrapped: bytes, owner: str) -> DataKey:
        try:
            cipher = self._wraps[wrapped[0]]
            nonce, sealed = wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :]
            return DataKey(AESGCM(cipher.decrypt(nonce, sealed, _aad((owner,)))))
        except (InvalidTag, ValueError, IndexError):
            raise Unreadable(
                "this data key was not wrapped for this row by any of these master keys"
            ) from None

    def tag(self, use: HashUse, text: str | bytes) -> bytes:
        """Return the keyed hash of a text for one use: equal texts meet within a use, never across uses."""
        plain = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return self._hashes[use].digest(plain)[:TAG_BYTES]


def _derive(master: bytes, purpose: str) -> bytes:
    return HKDF(
        algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"onefriend/intake/" + purpose.encode()
    ).derive(master)


def make_master_key(path: Path) -> None:
    """Write a new master key, readable by its owner only. Raises FileExistsError: a key is never overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        file.flush()
        # What it wraps is worthless without it: it must be on disk before the first referral is.
        os.fsync(file.fileno())
