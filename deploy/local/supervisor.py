"""Keeps the servers and services of one place running, with the token issuer and the mail sink in the same process.

One supervisor for a place: it holds the lock `supervisor`, and its pid is in that file. Killed, it leaves services that
go on without it; the next one ends them and starts its own.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import httpx
import psutil
import uvicorn

from deploy.local import agencies, issuer, liveness, mail, processes, services
from deploy.local.place import CHECKOUT, Busy, Place, is_free
from deploy.local.processes import DidNotStart, Tell
from deploy.local.stack import SERVICES, Stack
from deploy.local.workers import Workers

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds before a service that died is started again
STEADY = 30.0  # a service that ran so long had started well: the next pause is the first one again
PATIENCE = 90.0  # seconds until every service must have answered something; ready it may be much later
WATCHED_EVERY = 1.0  # seconds between two looks at the servers
LOGS_EVERY = 60  # of these looks, between two at the length of the logs
STARTING = "starting"  # what is said of a service that has not answered
GRACE = 15.0  # seconds to stop in good order
GRACE_OF_HUNG = 5.0  # the same, of a service that answers nothing any more


@dataclass
class Service:
    """One supervised service."""

    name: str
    environment: dict[str, str]
    restarts: int = 0
    child: asyncio.subprocess.Process | None = None
    last_exit: str = ""
    began: float = field(default_factory=monotonic)


class Supervisor:
    """Started by `onefriend up`; `tell(part, what)` reports progress; `only` these services, if they are named."""

    def __init__(self, place: Place, stack: Stack, tell: Tell, only: Sequence[str] | None = None) -> None:
        self.place = place
        self.stack = stack
        self._tell = tell
        self.only = only
        self.services: list[Service] = []
        self._keepers: list[asyncio.Task[None]] = []

    def tell(self, part: str, doing: str) -> None:
        """Report progress, if anybody can be told: a closed terminal or a full disk is no reason to leave something down."""
        with suppress(OSError):
            self._tell(part, doing)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[Service]]:
        """Servers, issuer, mail sink and services up and ready inside the block; the services, then all else, stopped after.

        Raises:
            DidNotStart: with the reason and the remedy.
        """
        with self.place.lock(
            "supervisor", wait=False, busy="Onefriend already runs here: see `onefriend status`"
        ) as lock:
            os.truncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            await asyncio.to_thread(self._end_orphans)
            self._own_ports()
            async with self._beside():
                try:
                    await self._start_all()
                    # Before: to be ready may take long, and needs them.
                    self._keepers.append(asyncio.create_task(self._keep_servers()))
                    await self._all_ready()
                    yield self.services
                finally:
                    # First, or a keeper would start again what is being stopped.
                    for keeper in self._keepers:
                        keeper.cancel()
                    await asyncio.gather(*self._keepers, return_exceptions=True)
                    await self._stop_services()
                    self.tell("servers", "stopping")
                    await asyncio.to_thread(self.stack.stop)

    # ------------------------------------------------------------------------------------------- before
    def _end_orphans(self) -> None:
        orphans = [process for name in SERVICES for process in services.running(self.place, name)]
        processes.stop(orphans, grace=GRACE)

    def _own_ports(self) -> None:
        for name in (*services.existing(), "issuer", "smtp"):
            if not is_free(self.place.ports()[name]):
                self.place.move_port(name)

    async def _start_all(self) -> None:
        """The database, then the services, and the broker while they load: they wait for it as after any outage.

        At the first start of all the broker comes before them: its port is not fixed, and its jars take their time.
        """
        services.master_key(self.place)
        known = await asyncio.to_thread(self.stack.settle_broker)
        broker = asyncio.create_task(asyncio.to_thread(self.stack.start_broker, self.tell))
        try:
            await asyncio.to_thread(self.stack.start_database, self.tell)
            databases = await asyncio.to_thread(self.stack.ensure_databases)
            if not known:
                await broker
            self.services = [
                Service(name, self._environment(name, databases))
                for name in services.existing()
                if self.only is None or name in self.only
            ]
            self._keepers = [asyncio.create_task(self._keep(each)) for each in self.services]
        finally:
            await broker

    def _environment(self, name: str, databases: dict[str, str]) -> dict[str, str]:
        return services.environment(self.place, name, databases[name], self.stack.broker)

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        """The issuer and the mail sink, in this process."""
        services.register_clients(self.place)
        agencies.ensure_clients(self.place)
        Workers(self.place).ensure_examples()
        ports = self.place.ports()
        config = uvicorn.Config(
            issuer.application(self.place),
            host="127.0.0.1",
            port=ports["issuer"],
            log_level="warning",
            lifespan="off",
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())  # noqa: SLF001 -- serve() takes Ctrl-C for itself
        post = await mail.sink(self.place.home / "mail", ports["smtp"])
        try:
            yield
        finally:
            post.close()
            server.should_exit = True
            await serving

    # ------------------------------------------------------------------------------------------ running
    async def _keep_servers(self) -> None:
        """Start the database or the broker again when it has ended: the services wait for either, and go on."""
        missed: set[str] = set()
        while True:
            for _ in range(LOGS_EVERY):
                await asyncio.sleep(WATCHED_EVERY)
                ended = set(await asyncio.to_thread(self.stack.ended))
                # Twice in a row: to take one that runs for ended would give its port away.
                for name in sorted(ended & missed):
                    await self._start_again(name)
                missed = ended
            for log in (self.place.home / "logs").glob("*.log"):
                with suppress(OSError):
                    await asyncio.to_thread(processes.cut, log)

    async def _start_again(self, server: str) -> None:
        """What fails is tried again later; it has said why, and a full disk may be emptied meanwhile."""
        self.tell(server, "has ended; starting again")
        try:
            await asyncio.to_thread(self.stack.start, self.tell)
            databases = await asyncio.to_thread(self.stack.ensure_databases)
            told = {service.name: self._environment(service.name, databases) for service in self.services}
        except (DidNotStart, OSError) as error:
            self.tell(server, str(error))
            await asyncio.sleep(LONGEST_PAUSE)
            return
        for service in self.services:
            # Somebody may have taken its port meanwhile: then it has another, and the services must be told.
            if told[service.name] != service.environment:
                service.environment = told[service.name]
                if service.child is not None and service.child.returncode is None:
                    service.child.terminate()

    async def _keep(self, service: Service) -> None:
        """Start a service, wait until it ends, start it again, after a pause that grows while it keeps dying."""
        pause = FIRST_PAUSE
        while True:
            service.began = monotonic()
            try:
                service.last_exit = await self._run(service)
            except OSError as error:
                # No memory, no more processes or files, no room for its log: that may pass.
                service.last_exit = f"could not be started: {error}"
            service.restarts += 1
            if monotonic() - service.began > STEADY:
                pause = FIRST_PAUSE
            self.tell(service.name, f"{service.last_exit}; starting again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, service: Service) -> str:
        """Start a service and wait until it ends; how it did, in words. Raises OSError if it cannot be started."""
        with processes.opened(self.place.log(service.name)) as log:
            service.child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"services.{service.name}"),
                cwd=CHECKOUT,
                env=service.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        watched = asyncio.create_task(self._end_if_it_hangs(service.name, service.child))
        try:
            status = await service.child.wait()
        finally:
            watched.cancel()
        return f"ended by signal {-status}" if status < 0 else f"ended with status {status}"

    async def _end_if_it_hangs(self, name: str, child: asyncio.subprocess.Process) -> None:
        await liveness.hangs(services.url(self.place, name))
        words = f"runs as {child.pid} and has answered nothing for half a minute: it is ended"
        self.tell(name, words)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "error",
            "service": name,
            "logger": "supervisor",
            "message": words,
        }
        with suppress(OSError), processes.opened(self.place.log(name)) as log:
            log.write(json.dumps(line).encode() + b"\n")
        with suppress(ProcessLookupError):
            child.terminate()
            await asyncio.sleep(GRACE_OF_HUNG)
            child.kill()

    async def _all_ready(self) -> None:
        """Wait until every service is ready.

        One that answers is waited for as long as it takes: it migrates its database or, restored, reads whole topics again,
        and ended before that it would begin anew.
        """
        waiting = {service.name: STARTING for service in self.services}
        answered: set[str] = set()
        self.tell("services", f"starting {', '.join(waiting)}")
        began = reminded = monotonic()
        async with httpx.AsyncClient(timeout=5) as http:
            while waiting:
                for service in [each for each in self.services if each.name in waiting]:
                    ready, state = await self._readiness(http, service)
                    if state != waiting[service.name]:
                        self.tell(service.name, state)
                        waiting[service.name] = state
                        answered.add(service.name)
                    hopeless = service.name not in answered and monotonic() - began > PATIENCE
                    if ready:
                        del waiting[service.name]
                    elif hopeless or service.restarts > 3:  # noqa: PLR2004 -- it will not get better
                        log = self.place.log(service.name)
                        raise DidNotStart(
                            f"{service.name} is not ready ({state}). {log} ends:\n{processes.tail(log)}"
                        )
                if monotonic() - reminded > PATIENCE:
                    reminded = monotonic()
                    names = " ".join(waiting)
                    self.tell(
                        "services", f"still not ready: {names}. `onefriend logs {names}` says what they do"
                    )
                await asyncio.sleep(0.1)

    async def _readiness(self, http: httpx.AsyncClient, service: Service) -> tuple[bool, str]:
        """Whether it is ready: it, and not the service of another place that was quicker to take the port.

        Raises:
            DidNotStart: if that has happened.
        """
        port = self.place.ports()[service.name]
        if service.child is not None and _listens(service.child.pid, port):
            return await readiness(http, services.url(self.place, service.name))
        if service.restarts and not is_free(port):
            raise DidNotStart(
                f"another program has taken port {port} of {service.name} meanwhile: "
                "`onefriend up` again chooses others"
            )
        return False, STARTING

    async def _stop_services(self) -> None:
        children = [
            service.child for service in self.services if service.child and service.child.returncode is None
        ]
        for child in children:
            with suppress(ProcessLookupError):
                child.terminate()
        if children:
            self.tell("services", "stopping")
            _, late = await asyncio.wait(
                [asyncio.create_task(child.wait()) for child in children], timeout=GRACE
            )
            if late:
                for child in children:
                    with suppress(ProcessLookupError):
                        child.kill()


def _listens(pid: int, port: int) -> bool:
    with suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


async def readiness(http: httpx.AsyncClient, base: str) -> tuple[bool, str]:
    """Whether a service is ready, and in words what it lacks."""
    try:
        answer = await http.get(f"{base}/readyz")
    except httpx.HTTPError:
        return False, STARTING
    if answer.is_success:
        return True, "ready"
    with suppress(ValueError):
        report = answer.json()
        lacking = [
            str(name) for name, good in report.items() if name != "ready" and good in (False, None, "down")
        ]
        return False, "waiting for " + ", ".join(lacking) if lacking else f"not ready: {report}"
    return False, f"not ready: {answer.status_code}"


def supervisor_of(place: Place) -> psutil.Process | None:
    """The running supervisor of a place: the pid in the lock file counts only while somebody holds the lock."""
    try:
        with place.lock("supervisor", wait=False):
            return None
    except Busy:
        with suppress(ValueError, psutil.NoSuchProcess):
            return psutil.Process(int((place.home / "locks" / "supervisor").read_text()))
    return None
