"""Run services as processes of their own, to be killed and started again."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import httpx

from deploy.local.processes import tail
from tests.support.nursery import Child, Nursery
from tests.support.running import free_port, slack, until

ROOT = Path(__file__).parents[2]


class Process:
    """One service as a process; `environment` is what it gets besides ours. A nursery starts it sooner."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        nursery: Nursery | None = None,
    ) -> None:
        self.arguments = list(arguments)
        self.port = free_port()
        self.environment = {**environment, "ONEFRIEND_PORT": str(self.port)}
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.nursery = nursery
        self.wanted = False
        self._process: subprocess.Popen[bytes] | Child | None = None

    def start(self, **more: str) -> None:
        """Start it; `more` are further environment variables, for this start only."""
        self.wanted = True
        self.reap()
        environment = {**os.environ, **self.environment, **more}
        if self.nursery is not None:
            self._process = self.nursery.start(self.arguments, environment, self.log)
            return
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    async def ready(self, seconds: float = 90, *, revived: bool = False) -> None:
        """Wait until it says that it is ready. `revived`: should it end, somebody starts it again.

        Raises AssertionError that says what it lacks, with the end of its log.
        """
        said = "nothing"

        async def answers() -> bool:
            nonlocal said
            try:
                answer = await client.get(f"{self.url}/readyz", timeout=2)
            except httpx.HTTPError as error:
                said = type(error).__name__
                return not (revived or self.running)
            said = f"{answer.status_code} {answer.text}"
            return answer.is_success

        async with httpx.AsyncClient() as client:
            why = "it has ended"
            try:
                await until(answers, seconds=seconds, every=0.1)
            except AssertionError as late:
                why = str(late)
            else:
                if revived or self.running:
                    return
        process = "runs" if self.running else "has ended"
        raise AssertionError(
            f"{self.arguments[-1]} is not ready ({why}): its process {process}, /readyz says {said}; {self.log} ends:\n"
            + tail(self.log)
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def ended(self, seconds: float = 30) -> int:
        """Wait for its end; return its status (negative: the signal)."""
        await until(lambda: not self.running, seconds=seconds)
        assert self._process is not None
        status = self._process.poll()
        assert status is not None
        return status

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def stop_asking(self) -> None:
        """Ask it to end, without waiting."""
        self.wanted = False
        self.kill(signal.SIGCONT)
        self.kill(signal.SIGTERM)

    def stop(self) -> None:
        """End it, politely and then not."""
        self.stop_asking()
        self.reap()

    def reap(self) -> None:
        """Wait for its end, a while; then make an end of it."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout=15 * slack())
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.asynccontextmanager
async def started(*processes: Process) -> AsyncIterator[None]:
    """Run processes until the block ends."""
    try:
        for process in processes:
            process.start()
        await asyncio.gather(*(process.ready() for process in processes))
        yield
    finally:
        for process in processes:
            process.stop()
