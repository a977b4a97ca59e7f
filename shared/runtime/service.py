"""A service: its streams, handlers, routes and loops, and everything that runs them in one process or in several."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import asyncpg
import httpx
import uvicorn
import uvloop
from confluent_kafka import KafkaException
from fastapi import APIRouter, FastAPI, Request

from shared.contracts.envelope import Actor, Payload, Topic
from shared.runtime import crash, telemetry
from shared.runtime.auth import Caller, TokenSource, Verifier
from shared.runtime.consumer import Consumer
from shared.runtime.database import INFRASTRUCTURE, connect_pool
from shared.runtime.errors import Unavailable
from shared.runtime.handlers import Handlers
from shared.runtime.http import Endpoint, application
from shared.runtime.idempotency import Answer, once
from shared.runtime.outbox import Outbox
from shared.runtime.peers import Peers, Reply
from shared.runtime.quarantine import Exits
from shared.runtime.repair import repair_held_keys, source_of
from shared.runtime.restoration import reconcile
from shared.runtime.retelling import Retelling, Sources
from shared.runtime.schema import bring_up_to_date, folder_of
from shared.runtime.settings import OWNERS, RuntimeSettings, from_environment
from shared.runtime.stream import Stream
from shared.runtime.tasks import end, end_if_cancelled
from shared.runtime.telemetry import current_traceparent
from shared.runtime.timers import Timers
from shared.runtime.topics import Broker, Topics
from shared.runtime.unit_of_work import NoRelay, UnitOfWork
from shared.runtime.unreadable import Unreadable
from shared.runtime.work import Work

log = logging.getLogger(__name__)
T = TypeVar("T")
Part = Literal["api", "consumer", "relay"]
PARTS: tuple[Part, ...] = ("api", "consumer", "relay")
WATCH_SECONDS = 2.0
Loop = Callable[["Service"], Awaitable[None]]


@dataclass
class Service:
    """One service.

    `consumes` are topics; `direct` are routes that are answered without FastAPI (see http.Application); `loops` run as long
    as it does; `restored` runs once its database is known to have been restored, before its journal is completed from the
    topics, and again after it, before anything is recorded; `rehearsal` runs the statements for which somebody waits, about
    nobody (see UnitOfWork.rehearse).
    """

    name: str
    settings: RuntimeSettings
    streams: Sequence[Stream[Any]]
    handlers: Handlers
    consumes: Sequence[Topic] = ()
    routers: Sequence[APIRouter] = ()
    loops: Sequence[Loop] = ()
    streaming: Sequence[str] = ()
    direct: Mapping[tuple[str, str], Endpoint] = field(default_factory=dict)
    restored: Loop | None = None
    rehearsal: Callable[[Service, Work], Awaitable[None]] | None = None
    version: str = "0.1.0"
    migrations: Path | None = None

    pool: asyncpg.Pool[asyncpg.Record] = field(init=False)
    unit: UnitOfWork = field(init=False)
    exits: Exits = field(init=False)
    unreadable: Unreadable = field(init=False)
    retelling: Retelling = field(init=False)
    consumer: Consumer | None = field(init=False, default=None)
    outbox: Outbox | None = field(init=False, default=None)
    reconciled: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    failure: BaseException | None = field(init=False, default=None)
    # Set when the service is told to stop: whoever waits for news answers then with what there is.
    stopping: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Prepare what needs no connection."""
        s = self.settings
        self.broker = Broker.parse(
            s.kafka, prefix=s.topic_prefix, partitions=s.partitions, replication=s.replication
        )
        self.source = f"/onefriend/{self.name}"
        self.actor = Actor(self.name)
        self.topics = Topics(self.broker)
        self.topic_ids: dict[str, str] = {}
        self.started = False
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(10, connect=3), follow_redirects=False)
        self.verifier = Verifier(s.jwks_url, s.issuer, s.audience, self.http)
        self.peers = Peers()
        self.tokens = TokenSource(s.token_url, s.client_id, s.client_secret.get_secret_value(), self.http)

    @property
    def own_topics(self) -> list[Topic]:
        """The topics that this service publishes to."""
        return sorted({stream.topic for stream in self.streams})

    def stream_of(self, payload: Payload, topic: str) -> Stream[Any]:
        """Return the stream that an own event belongs to."""
        fitting = [
            s for s in self.streams if s.topic == topic and (not s.payloads or type(payload) in s.payloads)
        ]
        return fitting[0]

    # --- what handlers and routes use

    async def transact(
        self,
        function: Callable[..., Awaitable[T]],
        *args: Any,  # noqa: ANN401 - passed through
        actor: Actor | None = None,
        command_id: str | None = None,
    ) -> T:
        """Run `function(work, *args)` in a transaction, as often as it takes. See UnitOfWork.run."""

        async def body(work: Work) -> T:
            return await function(work, *args)

        return await self.unit.run(
            body, actor=actor or self.actor, command_id=command_id, label=function.__qualname__
        )

    async def once(
        self,
        caller: Caller,
        key: str,
        payload: bytes,
        function: Callable[..., Awaitable[Answer]],
        *args: Any,  # noqa: ANN401 - passed through
        route: str,
    ) -> Answer:
        """Run `function(work, *args)` at most once for this caller, route and Idempotency-Key. See idempotency.once."""

        async def body(work: Work) -> Answer:
            return await function(work, *args)

        return await once(self.unit, caller, key, payload, body, route=route)

    async def call(self, other: str, method: str, path: str, **arguments: Any) -> Reply:  # noqa: ANN401 - of Peers.request
        """Call another service with our own token. Raises Unavailable if it does not answer, or answers 5xx.

        The error says `nothing_done` only where that is certain: never connected, or the other says so itself.
        """
        headers = {"Authorization": f"Bearer {await self.tokens.token()}", **arguments.pop("headers", {})}
        traceparent = current_traceparent()
        if traceparent:
            headers["traceparent"] = traceparent
        if not self.settings.url_of(other):
            raise Unavailable(f"nobody has said where {other} is: set ONEFRIEND_{other.upper()}_URL")
        point = f"{other} {method} {path.split('/', maxsplit=3)[2]}"
        if crash.ARMED:
            crash.reach("before_call", point)
        try:
            answer = await self.peers.request(
                method, self.settings.url_of(other) + path, headers=headers, **arguments
            )
        except Unavailable as error:
            raise Unavailable(f"{other} does not answer", nothing_done=error.nothing_done) from error
        if crash.ARMED:
            crash.reach("after_call", point)
        if answer.status_code >= 500:  # noqa: PLR2004 - HTTP
            raise Unavailable(f"{other} cannot answer now", nothing_done=answer.nothing_done)
        return answer

    # --- running

    def application(self) -> FastAPI:
        """Return the HTTP application: the service's routes and the runtime's own."""
        from shared.runtime.operations import router as operations  # noqa: PLC0415 - its routes name this module's Service

        app = application(
            self.name,
            self.version,
            self,
            limit=self.settings.body_limit,
            streaming=self.streaming,
            direct=self.direct,
        )
        for router in (*self.routers, operations):
            app.include_router(router)
        return app

    @contextlib.asynccontextmanager
    async def running(self, parts: Sequence[Part] = PARTS) -> AsyncIterator[Service]:
        """Run the parts in the background; on leaving, stop them and finish what is at hand."""
        tasks: list[asyncio.Task[None]] = []
        starting = asyncio.create_task(self._start(parts, tasks))
        starting.add_done_callback(self._started)
        try:
            yield self
        finally:
            # First the start: it is what adds to the tasks.
            await end(starting)
            await end(*tasks)
            self.started = False
            await self.http.aclose()
            await self.peers.aclose()
            if hasattr(self, "pool"):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        await self.pool.close()

    async def rehearse(self) -> None:
        """Make every connection ready for what people wait for, once we are. That it failed is no reason not to serve."""
        await self.reconciled.wait()
        try:
            if self.rehearsal is not None:
                await self.unit.rehearse(partial(self.rehearsal, self), self.actor)
        except Exception as error:
            log.exception("connections could not be made ready", extra={"error": type(error).__name__})

    def _started(self, starting: asyncio.Task[None]) -> None:
        """Note a start that failed for good (a migration that cannot run): waiting would not help."""
        if not starting.cancelled() and starting.exception() is not None:
            self.failure = starting.exception()
            log.critical("cannot start", exc_info=self.failure, extra={"error": type(self.failure).__name__})

    async def _start(self, parts: Sequence[Part], tasks: list[asyncio.Task[None]]) -> None:
        """Connect, migrate, compare with the topics; then begin the loops. Waits for whatever is away."""
        url = self.settings.database_url.get_secret_value()
        while True:
            try:
                await bring_up_to_date(self.migrations or folder_of(self.name), url)
                self.pool = await connect_pool(url, name=self.name, size=self.settings.database_pool)
                break
            except INFRASTRUCTURE as error:
                log.warning("waiting for the database", extra={"error": type(error).__name__})
                await asyncio.sleep(0.5)
        self.outbox = Outbox(self.pool, self.broker, self.source) if "relay" in parts else None
        self.unit = UnitOfWork(self.pool, self.source, self.outbox or NoRelay(), self.reconciled.is_set)
        self.exits = Exits(self.unit, self.handlers, self.actor, source_of(self))
        self.unreadable = Unreadable(self.pool, Sources(self), self.exits.unreadable)
        self.retelling = Retelling(self.pool)
        self.started = True
        await self._until_compared()
        tasks.append(self._supervise("topics", self._watch_topics))
        if self.outbox is not None:
            tasks.append(self._supervise("relay", self.outbox.run))
        if "consumer" in parts:
            if self.consumes:
                tasks.append(self._supervise("consumer", self._consume))
                tasks.append(self._supervise("repair", partial(repair_held_keys, self.exits)))
                tasks.append(self._supervise("unreadable", self.unreadable.run))
            timers = Timers(self.unit, self.handlers, self.name)
            self.unit.timer_set = timers.wake
            tasks.append(self._supervise("timers", timers.run))
            tasks.extend(self._supervise(loop.__name__, partial(loop, self)) for loop in self.loops)

    async def _until_compared(self) -> None:
        """Compare the journal with the topics before anything is recorded: see restoration."""
        while not self.reconciled.is_set():
            try:
                self.topic_ids = await self._topic_ids()
                if self.own_topics:
                    await reconcile(self)
                await self._show_topics()
                self.reconciled.set()
                log.info("ready", extra={"port": self.settings.port})
            except (KafkaException, Unavailable, *INFRASTRUCTURE) as error:
                log.warning("waiting for the broker", extra={"error": type(error).__name__})
                await asyncio.sleep(0.5)

    async def _topic_ids(self) -> dict[str, str]:
        names = sorted({*self.own_topics, *self.consumes})
        return await self.topics.ids(names, create=names)

    def _supervise(self, name: str, function: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a loop for as long as the service runs: begun again, later and later, whenever it fails."""

        async def supervised() -> None:
            delay = 0.2
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    await function()
                except Exception as error:
                    end_if_cancelled()
                    expected = isinstance(error, (Unavailable, *INFRASTRUCTURE))
                    # What Unavailable says is in our own words; others may quote what they met.
                    why = f": {error}" if isinstance(error, Unavailable) else ""
                    extra = {"error": type(error).__name__}
                    log.warning("%s begins again%s", name, why, extra=extra, exc_info=not expected)
                healthy = asyncio.get_running_loop().time() - began > 30  # noqa: PLR2004 - seconds
                delay = 0.2 if healthy else min(5.0, delay * 2)
                await asyncio.sleep(delay)

        return asyncio.create_task(supervised(), name=f"{self.name}-{name}")

    async def _consume(self) -> None:
        """Consume until a topic is made again, or something fails."""
        ids = {str(topic): self.topic_ids[topic] for topic in self.consumes}
        self.consumer = Consumer(
            name=self.name,
            instance=f"{socket.gethostname()}-{self.settings.port}",
            topics=self.consumes,
            broker=self.broker,
            unit=self.unit,
            handlers=self.handlers,
            exits=self.exits,
            covered=self.topics.covered,
        )
        consuming = asyncio.create_task(self.consumer.run(ids))
        try:
            while not consuming.done() and all(self.topic_ids.get(topic) == ids[topic] for topic in ids):
                await asyncio.wait({consuming}, timeout=1)
        finally:
            await end(consuming)
        if not consuming.cancelled():
            consuming.result()

    async def _watch_topics(self) -> None:
        """Notice topics that were lost: create them, and tell ours again from the journal."""
        while True:
            with contextlib.suppress(KafkaException, Unavailable):
                self.topic_ids = await self._topic_ids()
                await self._show_topics()
            await asyncio.sleep(WATCH_SECONDS)

    async def _show_topics(self) -> None:
        if self.outbox is not None:
            await self.outbox.watch({topic: self.topic_ids[topic] for topic in self.own_topics})


async def current_service(request: Request) -> Any:  # noqa: ANN401 - FastAPI runs what is not async in a thread
    """Return the service that answers this request. Raises Unavailable until it is connected."""
    service: Service = request.app.state.service
    if not service.started:
        message = f"{service.name} is starting"
        raise Unavailable(message, nothing_done=True)
    return service


class _Server(uvicorn.Server):
    """Uvicorn's server, which otherwise looks ten times a second whether it is to stop."""

    async def main_loop(self) -> None:
        """Wait until it is to stop."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - the flag is set by a signal handler of uvicorn
            await asyncio.sleep(0.25)


async def serve(service: Service, parts: Sequence[Part] = PARTS) -> None:
    """Run a service until it is told to stop; then finish requests and batches at hand."""
    async with service.running(parts):
        config = uvicorn.Config(
            service.application(),
            host=service.settings.host,
            port=service.settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve())
        rehearsing = asyncio.create_task(service.rehearse())
        while not serving.done():
            if service.failure is not None:
                server.should_exit = True
            if server.should_exit:
                service.stopping.set()
            await asyncio.wait({serving}, timeout=0.5)
        await serving
        await end(rehearsing)


def main(
    build: Callable[[Any], Service], settings: type[RuntimeSettings], argv: Sequence[str] | None = None
) -> None:
    """Run a service from the command line: all of it in one process, or the parts named by `--only`."""
    # A crash leaves no copy of this memory on disk: intake's has names in it, and the master key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parser = argparse.ArgumentParser(prog=f"python -m {settings.__module__.rpartition('.')[0]}")
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="run this part only (may be given several times)"
    )
    parts = parser.parse_args(argv).only or list(PARTS)
    try:
        service = build(from_environment(settings))
    except ValueError as error:
        parser.error(str(error))
    telemetry.configure(
        service.name,
        sample=service.settings.trace_sample,
        otlp_endpoint=service.settings.otlp_endpoint,
        level=service.settings.log_level,
    )
    # What is loaded now lives as long as the process: the collector need not walk it again and again under load.
    gc.collect()
    gc.freeze()
    # A batch at work is some 20,000 objects, freed at its end without the collector: it begins well above that.
    gc.set_threshold(100_000, 20, 50)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(service, parts))
    # Threads of client libraries may still wait for a broker that is away; everything of ours has been finished.
    logging.shutdown()
    os._exit(1 if service.failure else 0)


__all__ = ["OWNERS", "Part", "Service", "current_service", "main", "serve"]
