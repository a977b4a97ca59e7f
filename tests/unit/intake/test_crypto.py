"""Sealed details open for their own row with their own key, and for nothing else; keyed hashes meet within one use."""

import base64
import gc
import os
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.intake.crypto import BadMasterKey, Keyring, Unreadable, make_master_key
from services.intake.doorstep import party_owner
from services.intake.matching import Record
from services.intake.recognising.people import RecordCache


@pytest.fixture
def keyring() -> Keyring:
    return Keyring([os.urandom(32)])


def test_what_was_sealed_for_a_row_opens_for_that_row(keyring: Keyring) -> None:
    key, wrapped = keyring.new_key("party:1")
    sealed = key.seal(b"Mary Wells", "party:1")
    assert keyring.unwrap(wrapped, "party:1").open(sealed, "party:1") == b"Mary Wells"
    assert b"Mary" not in sealed


def test_moved_to_another_row_it_does_not_open(keyring: Keyring) -> None:
    key, wrapped = keyring.new_key("party:1")
    sealed = key.seal(b"Mary Wells", "party:1")
    with pytest.raises(Unreadable):
        key.open(sealed, "party:2")
    with pytest.raises(Unreadable):
        keyring.unwrap(wrapped, "party:2")


def test_parts_of_a_row_are_not_run_together(keyring: Keyring) -> None:
    key, _ = keyring.new_key("x")
    with pytest.raises(Unreadable):
        key.open(key.seal(b"a", "ab", "c"), "a", "bc")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:5], lambda _: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])]
)
def test_damaged_bytes_do_not_open(keyring: Keyring, damage: Callable[[bytes], bytes]) -> None:
    key, wrapped = keyring.new_key("x")
    with pytest.raises(Unreadable):
        key.open(damage(key.seal(b"Mary Wells", "x")), "x")
    with pytest.raises(Unreadable):
        keyring.unwrap(damage(wrapped), "x")


def test_without_its_wrapped_key_nothing_opens(keyring: Keyring) -> None:
    # Erasure destroys the wrapped key: the master key alone is no use.
    key, _ = keyring.new_key("x")
    other, _ = keyring.new_key("x")
    with pytest.raises(Unreadable):
        other.open(key.seal(b"Mary Wells", "x"), "x")


def test_keyed_hashes_meet_within_one_use_and_one_master_key(keyring: Keyring) -> None:
    assert keyring.tag("blocking", "smith") == keyring.tag("blocking", "smith")
    assert keyring.tag("blocking", "smith") != keyring.tag("suppression", "smith")
    assert keyring.tag("blocking", "smith") != Keyring([os.urandom(32)]).tag("blocking", "smith")


def test_a_new_master_key_wraps_the_new_and_still_opens_the_old() -> None:
    old, new = os.urandom(32), os.urandom(32)
    before = Keyring([old])
    key, wrapped = before.new_key("x")
    sealed = key.seal(b"Mary Wells", "x")
    after = Keyring([old, new])
    assert after.unwrap(wrapped, "x").open(sealed, "x") == b"Mary Wells"
    assert after.tag("blocking", "smith") == before.tag("blocking", "smith")
    _, later = after.new_key("x")
    with pytest.raises(Unreadable):
        before.unwrap(later, "x")


def test_the_master_keys_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    make_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Keyring.read(path)
    with pytest.raises(FileExistsError):
        make_master_key(path)


@pytest.mark.parametrize("content", [None, b"", b"not base64!", base64.b64encode(b"short"), b"\xff\xfe"])
def test_a_missing_or_malformed_master_key_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "master.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadMasterKey, match="key"):
        Keyring.read(path)


def test_a_value_opened_at_once_is_bound_to_its_row_and_its_use(keyring: Keyring) -> None:
    key, wrapped = keyring.new_key("party:1")
    sealed = key.seal(b"Mary Wells", "party:1", "record")
    assert keyring.open(wrapped, "party:1", sealed, "record") == b"Mary Wells"
    for owner, bind in (("party:2", "record"), ("party:1", "incident")):
        with pytest.raises(Unreadable):
            keyring.open(wrapped, owner, sealed, bind)
    for broken in (b"", wrapped[:5], b"\x07" + wrapped[1:]):
        with pytest.raises(Unreadable):
            keyring.open(broken, "party:1", sealed, "record")


def test_what_was_opened_is_forgotten_with_the_keys(keyring: Keyring) -> None:
    key, wrapped = keyring.new_key(party_owner("1"))
    sealed = key.seal(msgspec.json.encode(Record(surnames=("wells",))), party_owner("1"), "record")
    cache = RecordCache(keyring)
    assert cache.open("1", wrapped, sealed).surnames == ("wells",)
    assert cache.open("1", b"", b"").surnames == ("wells",)  # from memory
    keyring.forget()
    with pytest.raises(Unreadable):
        cache.open("1", b"", b"")


def test_whoever_keeps_what_was_opened_is_not_kept_alive_for_it(keyring: Keyring) -> None:
    cache = RecordCache(keyring)
    gone = weakref.ref(cache)
    del cache
    gc.collect()
    assert gone() is None
