"""Start services from a process that has imported them all already: to start again takes the service's time, not Python's.

    nursery = Nursery(("intake", "consent"))
    child = nursery.start(["tests.support.serve", "intake"], environment, log)

The nursery is a process of its own that imports the modules of services, and then forks for each start that it is asked
for: what runs in the child is what `python -m` would run, in a process of its own, with an environment of its own. Nothing
but the imports is shared: the nursery has no thread, no connection and no event loop. Only where the system has pidfds
(Linux); elsewhere `Nursery.make` gives None, and processes start in the ordinary way.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What a service imports only when it runs.
LATE = (
    "tests.support.running",
    "shared.runtime.operations",
    "shared.runtime.migrations",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
)


class Child:
    """A process that the nursery forked; it is asked and signalled as a `subprocess.Popen` is."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        """`pid` is not reaped before we ask for it, so that it is nobody else's meanwhile."""
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._lock = threading.Lock()
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        with self._lock:
            if self.returncode is None and self._over(0):
                self.returncode = int(self._nursery.ask({"reap": self.pid}))
                os.close(self._handle)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        if self.returncode is None and not self._over(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _over(self, seconds: float | None) -> bool:
        ready = select.poll()
        ready.register(self._handle, select.POLLIN)
        return bool(ready.poll(None if seconds is None else seconds * 1000))


class Nursery:
    """The process that forks."""

    def __init__(self, services: Iterable[str]) -> None:
        """Begin to import; the first `start` waits for it."""
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", *services],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @classmethod
    def make(cls, services: Iterable[str]) -> Nursery | None:
        """Return one where the system can have one."""
        return cls(services) if hasattr(os, "pidfd_open") else None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """Run `python -m` of the arguments in a child."""
        asked = {"start": list(arguments), "environment": dict(environment), "log": str(log)}
        return Child(self, int(self.ask(asked)))

    def ask(self, asked: dict[str, Any]) -> str:
        """Ask for one thing; return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write((json.dumps(asked) + "\n").encode())
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the nursery has ended"
        return answer.decode().strip()

    def end(self) -> None:
        """End it; its children are for others to end."""
        self._process.kill()
        self._process.communicate()  # waits for it, and closes both pipes


def _fork(asked: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        # Whoever runs here must neither read what the nursery is asked nor write where it answers.
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(asked["environment"])
        _become(asked["start"])
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:  # noqa: BLE001 - it is printed, and the process ends
        import traceback  # noqa: PLC0415 - only where everything else has failed

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _become(arguments: Sequence[str]) -> None:
    import runpy  # noqa: PLC0415 - in the child

    from shared.runtime import crash  # noqa: PLC0415 - it has been imported, under the nursery's own environment

    crash.arm()
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def main(services: Sequence[str]) -> None:
    """Import everything, and then do as asked until nobody asks any more."""
    import gc  # noqa: PLC0415 - of use here only
    import importlib  # noqa: PLC0415 - of use here only

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for name in services:
        importlib.import_module(f"services.{name}.service")
        importlib.import_module(f"services.{name}.settings")
    for module in LATE:
        importlib.import_module(module)
    assert threading.active_count() == 1, "what has threads must not fork"
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "reap" in asked:
            _, status = os.waitpid(asked["reap"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = _fork(asked)
        answers.write(f"{answer}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
