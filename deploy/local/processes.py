"""Starting, finding and stopping processes that outlive the one that started them.

A process is found again by its own command line or working folder, never by a pid file of ours: between a
start and the writing of a pid file the starter can be killed, and a pid can be given to somebody else.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypedDict

import psutil

Tell = Callable[[str, str], None]  # (part, what it is doing): how progress is reported

LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside as .1, in the place of the one before


class DidNotStart(Exception):
    """A server or service did not come up; the message gives the reason and the remedy."""


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    user: pwd.struct_passwd | None = None,
    gently: bool = False,
) -> psutil.Process:
    """Start a process that outlives us: in a session of its own, where Ctrl-C does not reach it.

    Its output goes to the log file. `user` is who it runs as, without the groups of the caller.
    """
    with opened(log) as output:
        child = subprocess.Popen(
            [*(("nice", "-n", "19") if gently else ()), *(str(argument) for argument in arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            start_new_session=True,
            **run_as(user),
        )
    found = psutil.Process(child.pid)
    child.returncode = 0  # let go of it: what outlives us is no leak to warn of; `alive` reaps it
    return found


def opened(log: Path) -> BinaryIO:
    """A log to append to; a long one is set aside first."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    return log.open("ab")


def cut(log: Path) -> None:
    """Set a long log aside while its process goes on: it appends, and so begins anew.

    Raises:
        OSError: if there is no room to set it aside. It has been emptied all the same: a full disk stops everything.
    """
    if log.stat().st_size > LOG_LIMIT:
        try:
            shutil.copyfile(log, log.with_suffix(".log.1"))
        finally:
            os.truncate(log, 0)


class RunAs(TypedDict, total=False):
    """Arguments of subprocess."""

    user: int
    group: int
    extra_groups: list[int]


def run_as(user: pwd.struct_passwd | None) -> RunAs:
    """The arguments that run a command as another user, without the groups of the caller."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def alive(process: psutil.Process | None) -> bool:
    """Whether it runs. A zombie does not: where nobody reaps orphans, one can stay for ever."""
    if process is None:
        return False
    with suppress(psutil.NoSuchProcess):
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return True
        with suppress(psutil.TimeoutExpired):
            process.wait(0)  # reaps it if it is a child of ours
    return False


def find(matches: Callable[[list[str]], bool]) -> list[psutil.Process]:
    """Running processes whose command line matches."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if matches(process.cmdline()) and alive(process):
                found.append(process)
    return found


def stop(
    processes: Iterable[psutil.Process], *, grace: float, first: signal.Signals = signal.SIGTERM
) -> None:
    """Ask to end, wait `grace` seconds, then kill what is still there."""
    waiting = list(processes)
    for process in waiting:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(first)
    deadline = time.monotonic() + grace
    while waiting and time.monotonic() < deadline:
        waiting = [process for process in waiting if alive(process)]
        time.sleep(0.02)
    for process in waiting:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    while any(alive(process) for process in waiting):
        time.sleep(0.02)


def memory(processes: Iterable[psutil.Process], *, children: bool = True) -> int:
    """Bytes that these (and their children) hold; shared pages are split among their holders (PSS)."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            for each in (process, *(process.children(recursive=True) if children else ())):
                with suppress(psutil.Error):
                    full = each.memory_full_info()
                    total += getattr(full, "pss", None) or full.rss
    return total


def tail(log: Path, lines: int = 15, since: int = 0) -> str:
    """The end of a log, for a message: of what was written since it had so many bytes."""
    if not log.exists():
        return "(no log)"
    said = log.read_bytes()
    # It may have been set aside meanwhile.
    said = said[since:] if since <= len(said) else said
    return "\n".join(said.decode(errors="replace").splitlines()[-lines:])
