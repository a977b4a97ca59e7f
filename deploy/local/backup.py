"""All databases at one instant, and the keys, in one archive; and back.

How the instant is one for all databases: in each, every table is locked against writing; when all are locked nothing moves
anywhere; then each database's snapshot is exported and the locks are let go. Writers wait for some milliseconds, readers
for nothing, and no service stops. The dumps are made from those snapshots: together they are a state that really was.

The broker is not in it: the journal in the databases has every event. After a restore each service compares its journal with
the topics, stays closed until it has reconciled, and tells a broker that lost them (or is new) everything again. What
was committed after the backup and lost with the database is gone, except what the topics still have.

The master key opens the personal data in intake's database. Without it that data is lost for ever; whoever has both this
archive and the key can read it. `keys` apart from the archive keeps the two in different hands.
"""

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias, TypedDict
from urllib.parse import unquote, urlsplit

import asyncpg

from deploy.local.place import Place
from deploy.local.postgres import Postgres, on_same_server
from deploy.local.processes import DidNotStart, Tell
from deploy.local.services import KEY_RECORD, key_fingerprint
from deploy.local.stack import SERVICES, Stack

FORMAT = 1
MASTER_KEY = "keys/master.key"
WEIGHTS = "identity/weights.json"
KEYS = (
    "keys/*",
    "issuer/*",
    "*.key",
    WEIGHTS,  # what intake decides with, and has made its look-up keys with
)  # every file of the place without which the databases are not what they were
LOCK_WAIT = "3s"  # a writer that takes longer goes first, and we try again
ATTEMPTS = 5


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Manifest(TypedDict):
    """What an archive says of itself."""

    format: int
    taken_at: str
    databases: dict[str, str]  # SHA-256 of each dump
    keys: bool  # whether they are in the same archive


class BackupFailed(Exception):
    """An archive cannot be made or brought back; the message says why and what to do."""


# ------------------------------------------------------------------------------------------------- backup
def back_up(place: Place, stack: Stack, archive: Path, keys: Path | None, tell: Tell) -> None:
    """Write the archive (0600). `keys` is a second file for the keys, which are then not in the first."""
    urls = _admin_urls(stack)
    with tempfile.TemporaryDirectory(dir=place.home) as folder:
        taken = asyncio.run(_dump(place, urls, Path(folder), tell))
        dumps = sorted(Path(folder).glob("*.dump"))
        manifest: Manifest = {
            "format": FORMAT,
            "taken_at": taken.isoformat(),
            "databases": {path.stem: _sha256(path) for path in dumps},
            "keys": keys is None,
        }
        # First, so that there is never an archive without its keys.
        if keys is not None:
            with _written(keys) as tar:
                _add_keys(tar, place)
        with _written(archive) as tar:
            _add_text(tar, "manifest.json", json.dumps(manifest, indent=2))
            for path in dumps:
                tar.add(path, path.name)
            if keys is None:
                _add_keys(tar, place)


def _admin_urls(stack: Stack) -> dict[str, str]:
    """URL of each service's database for the administrator, who may lock and read everything."""
    admin = stack.postgres.url() if stack.postgres else stack.admin_url
    parts = urlsplit(admin)
    return {name: on_same_server(admin, name, parts.username or "", _password(admin)) for name in SERVICES}


def _password(url: str) -> str:
    return unquote(urlsplit(url).password or "")


async def _dump(place: Place, urls: dict[str, str], folder: Path, tell: Tell) -> datetime:
    """Dump every database from snapshots of one instant into the folder; the instant."""
    async with AsyncExitStack() as held:
        readers = {name: await _connected(held, url) for name, url in urls.items()}
        snapshots, taken = await _still_instant(urls, readers, tell)
        for name, snapshot in snapshots.items():
            tell("backup", f"dumping {name}")
            await asyncio.to_thread(_pg_dump, place, urls[name], snapshot, folder / f"{name}.dump")
    return taken


async def _still_instant(
    urls: dict[str, str], readers: dict[str, Connection], tell: Tell
) -> tuple[dict[str, str], datetime]:
    """Exported snapshot by database, and the instant; tried again while writers hold on for longer than we wait."""
    for attempt in range(1, ATTEMPTS + 1):
        tell("backup", "waiting for one still instant" if attempt == 1 else f"busy, trying again ({attempt})")
        with suppress(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            return await _snapshots(urls, readers)
        await asyncio.sleep(attempt)
    raise BackupFailed("the databases are too busy for a backup now: try again later")


async def _connected(held: AsyncExitStack, url: str) -> Connection:
    connection = await asyncpg.connect(url)
    held.push_async_callback(connection.close)
    return connection


async def _snapshots(urls: dict[str, str], readers: dict[str, Connection]) -> tuple[dict[str, str], datetime]:
    snapshots: dict[str, str] = {}
    async with AsyncExitStack() as held:
        for url in urls.values():
            locker = await _connected(held, url)
            await locker.execute(f"BEGIN; SET LOCAL lock_timeout = '{LOCK_WAIT}'")
            tables = await locker.fetch(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
            )
            if tables:
                # SHARE lets everybody read, and waits for every transaction that has written and has not ended.
                await locker.execute(f"LOCK TABLE {', '.join(row[0] for row in tables)} IN SHARE MODE")
        taken = datetime.now(UTC)
        for name, reader in readers.items():
            if reader.is_in_transaction():
                await reader.execute("ROLLBACK")
            await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshots[name] = await reader.fetchval("SELECT pg_export_snapshot()")
    return snapshots, taken  # the locks ended with their connections, the snapshots live with the readers


def _pg_dump(place: Place, url: str, snapshot: str, target: Path) -> None:
    _tool(
        place,
        "pg_dump",
        url,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
        f"--file={target}",
    )


def _tool(place: Place, name: str, url: str, *options: str) -> None:
    """Run one of PostgreSQL's programs against a URL; the password goes by the environment, which others cannot read."""
    parts = urlsplit(url)
    # The wheel's programs speak no TLS: a server that somebody else runs is asked by an installed client, if there is one.
    elsewhere = shutil.which(name) if os.environ.get("ONEFRIEND_POSTGRES") else None
    bare = url.replace(f":{parts.password}@", "@", 1)
    ran = subprocess.run(
        [elsewhere or Postgres(place).installed / "bin" / name, f"--dbname={bare}", *options],
        env=os.environ | {"PGPASSWORD": _password(url), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise BackupFailed(f"{name} failed: {ran.stderr.strip()}")


@contextmanager
def _written(archive: Path) -> Iterator[tarfile.TarFile]:
    """A tar file that is there whole or not at all, readable by its owner only."""
    draft = archive.with_name(f"{archive.name}.new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with tarfile.open(draft, "w") as tar:
            yield tar
        draft.replace(archive)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise BackupFailed(f"{archive} cannot be written: {error.strerror or error}") from None


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(text.encode()), 0o600, int(time.time())
    tar.addfile(entry, io.BytesIO(text.encode()))


def _add_keys(tar: tarfile.TarFile, place: Place) -> None:
    for pattern in KEYS:
        for path in sorted(place.home.glob(pattern)):
            tar.add(path, path.relative_to(place.home))


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------------ restore
def restore(
    place: Place,
    stack: Stack,
    archive: Path,
    keys: Path | None,
    tell: Tell,
    only: Collection[str] = (),
) -> datetime:
    """Replace all databases and keys by those of the archive. Services must be down, the database server up.

    `only`: the databases of these services. The keys then stay: those of today open what was written since, too; but the
    weights come back with intake's look-up keys.

    Returns:
        the instant that the archive was taken at.

    Raises:
        BackupFailed: before anything has been touched, if the archive is not whole; or with what failed.
    """
    with tempfile.TemporaryDirectory(dir=place.home) as folder:
        inside = Path(folder)
        manifest = _unpacked(archive, inside)
        if not manifest["keys"]:
            if keys is None:
                raise BackupFailed("the keys of this archive are in a file of their own: name it with --keys")
            _extract(keys, inside)
        if not (inside / MASTER_KEY).exists():
            raise BackupFailed("there is no master key in it: the personal data could not be read by anybody")
        # The topics are not replaced: a service would put back what they have, and two histories would be one.
        if place.recorded(KEY_RECORD) not in {None, key_fingerprint(inside / MASTER_KEY)}:
            raise BackupFailed(
                "it was made elsewhere, with another master key, and this place has topics of its own, which would be "
                "mixed with it: `onefriend reset` first, which deletes them (of a named broker: name another)"
            )
        for name in manifest["databases"]:
            if not only or name in only:
                tell("restore", name)
                asyncio.run(_restore_database(place, stack, name, inside / f"{name}.dump"))
        if not only or "intake" in only:
            # How far look-up keys were made for other weights is no longer true, whether the archive has weights or not.
            shutil.rmtree(place.home / "identity", ignore_errors=True)
        wanted = KEYS if not only else (WEIGHTS,) if "intake" in only else ()
        for path in [path for pattern in wanted for path in inside.glob(pattern)]:
            target = place.home / path.relative_to(inside)
            target.parent.mkdir(exist_ok=True, mode=0o700)
            path.replace(target)
            target.chmod(0o600)
        place.record(KEY_RECORD, key_fingerprint(place.home / MASTER_KEY))
    return datetime.fromisoformat(manifest["taken_at"])


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _take_out(tar, member, folder.resolve())
    except (OSError, tarfile.TarError) as error:
        raise BackupFailed(f"{archive} is no backup, or is damaged: {error}") from None


def _take_out(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file. `extractall(filter="data")` would do; Python before 3.11.4 (Debian 12 has 3.11.2) does not know it."""
    if member.isdir():
        return
    target = (folder / member.name).resolve()
    content = tar.extractfile(member) if member.isfile() else None
    if content is None or not target.is_relative_to(folder):
        raise tarfile.TarError(f"{member.name} is nothing that a backup has")
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _unpacked(archive: Path, folder: Path) -> Manifest:
    _extract(archive, folder)
    try:
        manifest: Manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BackupFailed(f"{archive} is no backup, or is damaged: {error}") from None
    if manifest.get("format") != FORMAT:
        raise BackupFailed(f"{archive} has the format {manifest.get('format')}; this version reads {FORMAT}")
    for name, expected in manifest["databases"].items():
        if not (folder / f"{name}.dump").exists() or _sha256(folder / f"{name}.dump") != expected:
            raise BackupFailed(f"{archive}: the dump of {name} is damaged; nothing was changed")
    return manifest


async def _restore_database(place: Place, stack: Stack, name: str, dump: Path) -> None:
    """Into a new database beside the old one, which it then replaces: a failure leaves the old one."""
    admin = await asyncpg.connect(stack.admin_url)
    draft = f"{name}_restored"
    parts = urlsplit(stack.admin_url)
    target = on_same_server(stack.admin_url, draft, parts.username or "", _password(stack.admin_url))
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{draft}" OWNER "{name}"')
        await asyncio.to_thread(
            _tool, place, "pg_restore", target, f"--role={name}", "--no-owner", "--exit-on-error", str(dump)
        )
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
        await admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    except asyncpg.PostgresError as error:
        raise BackupFailed(f"{name} could not be restored: {error}") from error
    finally:
        await admin.close()


def need_servers(stack: Stack) -> None:
    """Raises DidNotStart: if there is no database to save."""
    if stack.postgres and not stack.postgres.process():
        raise DidNotStart("PostgreSQL does not run: `onefriend up` first")
