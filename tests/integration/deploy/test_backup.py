"""A backup is one instant of all databases, taken while they are written to."""

import asyncio
import io
import shutil
import tarfile
from pathlib import Path

import asyncpg
import pytest

from deploy.local import backup, services
from deploy.local.backup import BackupFailed
from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack


def _tell(_part: str, _doing: str) -> None:
    pass


@pytest.fixture
def databases(own_stack: Stack) -> dict[str, str]:
    services.master_key(own_stack.place)
    return own_stack.ensure_databases()


async def _prepare(databases: dict[str, str]) -> None:
    for url in databases.values():
        connection = await asyncpg.connect(url)
        await connection.execute("DROP TABLE IF EXISTS told; CREATE TABLE told (n int PRIMARY KEY)")
        await connection.close()


async def _write_in_turn(databases: dict[str, str], until: asyncio.Event) -> int:
    """Each number goes to intake, once committed there to consent, then to allocation: cause before effect."""
    order = [await asyncpg.connect(databases[name]) for name in ("intake", "consent", "allocation")]
    n = 0
    while not until.is_set():
        n += 1
        for connection in order:
            await connection.execute("INSERT INTO told VALUES ($1)", n)
    for connection in order:
        await connection.close()
    return n


async def _highest(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT coalesce(max(n), 0) FROM told"))
    finally:
        await connection.close()


async def test_every_database_is_at_the_same_instant(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    await _prepare(databases)
    done = asyncio.Event()
    writing = asyncio.create_task(_write_in_turn(databases, done))
    archives = [tmp_path / f"{turn}.tar" for turn in range(3)]
    for archive in archives:
        await asyncio.sleep(0.1)
        await asyncio.to_thread(backup.back_up, own_stack.place, own_stack, archive, None, _tell)
    done.set()
    last = await writing
    for archive in archives:
        await asyncio.to_thread(backup.restore, own_stack.place, own_stack, archive, None, _tell)
        intake, consent, allocation = [
            await _highest(databases[name]) for name in ("intake", "consent", "allocation")
        ]
        # Were the databases dumped one after another, the later ones would be ahead by hundreds.
        assert intake >= consent >= allocation >= intake - 1 > 0
        assert intake < last


async def test_a_service_enters_its_restored_database_and_no_other(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    await _prepare(databases)
    archive = tmp_path / "a.tar"
    await asyncio.to_thread(backup.back_up, own_stack.place, own_stack, archive, None, _tell)
    await asyncio.to_thread(backup.restore, own_stack.place, own_stack, archive, None, _tell)
    connection = await asyncpg.connect(databases["intake"])
    await connection.execute("INSERT INTO told VALUES (1); ALTER TABLE told ADD COLUMN more text")
    await connection.close()
    elsewhere = on_same_server(
        own_stack.admin_url, "consent", "intake", own_stack.place.secret("database/intake")
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(elsewhere)


def test_the_keys_come_back_with_it(own_stack: Stack, databases: dict[str, str], tmp_path: Path) -> None:
    key = own_stack.place.home / "keys" / "master.key"
    before = key.read_bytes()
    archive = tmp_path / "a.tar"
    backup.back_up(own_stack.place, own_stack, archive, None, _tell)
    assert archive.stat().st_mode & 0o077 == 0
    shutil.rmtree(key.parent)
    backup.restore(own_stack.place, own_stack, archive, None, _tell)
    assert services.master_key(own_stack.place).read_bytes() == before


def test_intake_goes_on_with_the_weights_that_it_had_then(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    """And with no note of look-up keys made since: they are made again, or somebody would not be recognised."""
    weights = services.weights(own_stack.place)
    weights.parent.mkdir()
    without, with_ = tmp_path / "without.tar", tmp_path / "with.tar"
    backup.back_up(own_stack.place, own_stack, without, None, _tell)
    weights.write_text("{}")
    backup.back_up(own_stack.place, own_stack, with_, None, _tell)
    (weights.parent / "keys-1").write_text("made up to here")
    backup.restore(own_stack.place, own_stack, with_, None, _tell)
    assert [path.name for path in weights.parent.iterdir()] == ["weights.json"]
    backup.restore(own_stack.place, own_stack, without, None, _tell, ("consent",))
    assert weights.exists()
    client = own_stack.place.home / "issuer" / "since"
    client.parent.mkdir(exist_ok=True)
    client.write_text("a credential that was given since")
    backup.restore(own_stack.place, own_stack, without, None, _tell, ("intake",))
    assert not weights.exists()
    assert client.exists()


def test_where_nothing_can_be_written_is_said(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere" / "a.tar"
    with pytest.raises(BackupFailed, match="cannot be written: No such file or directory"):
        backup.back_up(own_stack.place, own_stack, nowhere, None, _tell)
    with pytest.raises(BackupFailed, match="cannot be written"):
        backup.back_up(own_stack.place, own_stack, tmp_path / "a.tar", nowhere, _tell)
    assert list(tmp_path.iterdir()) == [], "no archive without its keys"


def test_keys_can_be_in_other_hands(own_stack: Stack, databases: dict[str, str], tmp_path: Path) -> None:
    archive, keys = tmp_path / "a.tar", tmp_path / "keys.tar"
    backup.back_up(own_stack.place, own_stack, archive, keys, _tell)
    with tarfile.open(archive) as tar:
        assert not [name for name in tar.getnames() if "key" in name]
    with pytest.raises(BackupFailed, match="--keys"):
        backup.restore(own_stack.place, own_stack, archive, None, _tell)
    backup.restore(own_stack.place, own_stack, archive, keys, _tell)


async def test_an_archive_of_another_place_waits_until_there_is_nothing_here_to_be_mixed_with_it(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    await _prepare(databases)
    place, archive = own_stack.place, tmp_path / "a.tar"
    await asyncio.to_thread(backup.back_up, place, own_stack, archive, None, _tell)
    own = place.recorded(services.KEY_RECORD)
    place.record(services.KEY_RECORD, "of the key that was made by the first `up` here")
    connection = await asyncpg.connect(databases["intake"])
    await connection.execute("INSERT INTO told VALUES (7)")
    await connection.close()
    with pytest.raises(BackupFailed, match="onefriend reset"):
        await asyncio.to_thread(backup.restore, place, own_stack, archive, None, _tell)
    assert await _highest(databases["intake"]) == 7
    assert own is not None
    place.record(services.KEY_RECORD, own)
    await asyncio.to_thread(backup.restore, place, own_stack, archive, None, _tell)
    assert await _highest(databases["intake"]) == 0


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
@pytest.mark.parametrize("name", ["../outside", "/outside", "inside"])
def test_an_archive_is_unpacked_into_its_folder_and_nowhere_else(
    tmp_path: Path, name: str, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python 3.11.2 does it, which knows no filters."""
    monkeypatch.delattr(tarfile.TarFile, "extractall")
    archive, folder = tmp_path / "a.tar", tmp_path / "folder"
    folder.mkdir()
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(b"content") * (kind == tarfile.REGTYPE), kind, "/etc/passwd"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(entry, io.BytesIO(b"content"))
    if (name, kind) == ("inside", tarfile.REGTYPE):
        backup._extract(archive, folder)
        assert (folder / "inside").read_bytes() == b"content"
        return
    with pytest.raises(BackupFailed, match="nothing that a backup has"):
        backup._extract(archive, folder)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "folder"}
    assert list(folder.iterdir()) == []


async def test_a_damaged_archive_changes_nothing(
    own_stack: Stack, databases: dict[str, str], tmp_path: Path
) -> None:
    await _prepare(databases)
    archive = tmp_path / "a.tar"
    await asyncio.to_thread(backup.back_up, own_stack.place, own_stack, archive, None, _tell)
    connection = await asyncpg.connect(databases["intake"])
    await connection.execute("INSERT INTO told VALUES (7)")
    await connection.close()
    content = bytearray(archive.read_bytes())
    content[content.index(b"PGDMP") + 20] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(BackupFailed, match="damaged"):
        await asyncio.to_thread(backup.restore, own_stack.place, own_stack, archive, None, _tell)
    assert await _highest(databases["intake"]) == 7
