"""Where one stack keeps everything: its folder, the ports it chose, its secrets, its locks.

Layout of the folder (`.onefriend` in the checkout, or the one that ONEFRIEND_HOME names):

    ports.json     chosen once, so that two stacks on a machine do not collide and URLs stay the same
    secrets.json   0600: passwords of the databases, client secrets that services use
    locks/         flock files: the kernel frees them when a process dies, so nothing stale can be left behind
    logs/          one file for each server and service
    jars/          the broker's class path, shared with the stacks inside this folder (tests have their own in
    test/) postgres/ kafka/ issuer/ mail/ keys/
"""

import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import DidNotStart

CHECKOUT = Path(__file__).resolve().parents[2]

# What people see keeps its number wherever it is free; what only programs talk to is drawn below the range
# from which the kernel takes ports for outgoing connections, so that none of those can sit on ours while a
# server is down.
PREFERRED_PORTS = {
    "dashboard": 8100,
    "intake": 8101,
    "consent": 8102,
    "allocation": 8103,
    "notifications": 8104,
    "issuer": 8105,
}
DRAWN_PORTS = ("postgres", "kafka", "kafka-controller", "kafka-agencies", "smtp")
DRAWN_RANGE = (20_000, 32_000)


class Busy(Exception):
    """Another process holds the lock; the message says what that means for the reader."""


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read; a crash leaves the old one or the new."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # a password that a power cut loses locks us out of our own database
    draft.replace(path)


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 and this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Place:
    """The folder of one stack. `shared` has the jars: the same folder, or the one that this one is in."""

    home: Path
    shared: Path

    @classmethod
    def default(cls) -> "Place":
        """The checkout's own, or the one that ONEFRIEND_HOME names."""
        home = Path(os.environ.get("ONEFRIEND_HOME") or CHECKOUT / ".onefriend").expanduser().resolve()
        return cls(home, home).made()

    def inner(self, name: str) -> "Place":
        """A stack of its own inside this one, sharing its jars: for tests."""
        return Place(self.home / name, self.shared).made()

    def made(self) -> "Place":
        """Create the folder. Others may pass through it (the database's user must) but not list it.

        Raises:
            DidNotStart: if nothing can be written there.
        """
        try:
            with suppress(FileExistsError):
                self.home.mkdir(parents=True)
                self.home.chmod(
                    0o711
                )  # whatever the umask; a folder that was there keeps what its owner chose
            for name in ("locks", "logs"):
                (self.home / name).mkdir(exist_ok=True)
        except OSError as error:
            raise DidNotStart(
                f"{self.home} cannot be written to ({error.strerror}): name another folder by ONEFRIEND_HOME, or "
                "have this one given to you"
            ) from None
        return self

    def log(self, name: str) -> Path:
        """The log file of a server or a service."""
        return self.home / "logs" / f"{name}.log"

    # -------------------------------------------------------------------------------------------- locks
    @contextmanager
    def lock(self, name: str, *, shared: bool = False, wait: bool = True, busy: str = "") -> Iterator[int]:
        """Hold a lock for the block; its descriptor is inherited by nobody.

        Raises:
            Busy: with the text `busy`, if it is taken and `wait` is false.
        """
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        handle = os.open(self.home / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(busy or f"{self.home / 'locks' / name} is held by another process") from None
            yield handle
        finally:
            os.close(handle)

    # -------------------------------------------------------------------------------------------- ports
    def ports(self) -> dict[str, int]:
        """The port of each part, chosen at the first call and kept."""
        path = self.home / "ports.json"
        with self.lock("ports"):
            known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
            missing = [name for name in (*PREFERRED_PORTS, *DRAWN_PORTS) if name not in known]
            for name in missing:
                known[name] = _choose(PREFERRED_PORTS.get(name), taken=set(known.values()))
            if missing:
                write_private(path, json.dumps(known, indent=2))
        return known

    def move_port(self, name: str) -> int:
        """Choose another port for a part, because somebody else listens on the one it had."""
        path = self.home / "ports.json"
        known = self.ports()
        with self.lock("ports"):
            known[name] = _choose(None, taken=set(known.values()))
            write_private(path, json.dumps(known, indent=2))
        return known[name]

    # ------------------------------------------------------------------------------------------ secrets
    def secret(self, name: str) -> str:
        """The secret of that name, made at the first call and kept in a file that only the owner can read."""
        found = self.recorded(name)
        if found is None:
            found = self.record(name, secrets.token_urlsafe(32), replace=False)
        return found

    def recorded(self, name: str) -> str | None:
        """What is kept under a name in that file."""
        path = self.home / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return known.get(name)

    def record(self, name: str, value: str, *, replace: bool = True) -> str:
        """Keep a value in that file.

        Returns:
            what is there afterwards: without `replace`, what somebody else had put there first.
        """
        path = self.home / "secrets.json"
        with self.lock("secrets"):
            known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
            if replace or name not in known:
                known[name] = value
                write_private(path, json.dumps(known, indent=2))
        return known[name]


def _choose(preferred: int | None, taken: set[int]) -> int:
    if preferred is not None and preferred not in taken and is_free(preferred):
        return preferred
    draw = random.SystemRandom()
    for _ in range(1000):
        port = draw.randrange(*DRAWN_RANGE)
        if port not in taken and is_free(port):
            return port
    raise Busy(
        f"no free port between {DRAWN_RANGE[0]} and {DRAWN_RANGE[1]}: stop some programs and try again"
    )
