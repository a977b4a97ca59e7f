"""The services, started as they are on the simulated machine, and the network between them.

Replaced, at the narrowest place there is: asyncpg's pool (database.py), aiokafka's consumer and producer and the topics' ids
(broker.py), the client between services (here: a request runs the route's own function in the process that it reaches),
clocks, and ids.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import re
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import msgspec
from starlette.responses import Response

import services.allocation.service
import services.consent.service
from services.allocation import policy
from services.allocation.api import holding, moving
from services.allocation.settings import Settings as AllocationSettings
from services.allocation.store.policies import FOLDER, Policies
from services.allocation.store.registry import Memory
from services.consent.api import choices, hub, internal, permits
from services.consent.api import shapes as consent_shapes
from services.consent.settings import Settings as ConsentSettings
from services.intake import releasing, withdrawing
from services.intake.api import releases
from services.intake.core import CASE_FILE, PERSON, Intake
from services.intake.crypto import Keyring
from services.intake.handlers import handlers as intake_handlers
from services.intake.releasing import Holder, tell_loop
from services.intake.settings import Settings as IntakeSettings
from services.intake.withdrawing import Named, withdraw_loop
from shared.runtime import consumer as runtime_consumer
from shared.runtime import identifiers, operations, outbox, repair, restoration
from shared.runtime import service as runtime_service
from shared.runtime.auth import Caller, TokenSource
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.peers import Reply
from shared.runtime.problems import Problem, unavailable
from shared.runtime.service import Service
from shared.runtime.stream import Stream
from tests.simulation import broker, statements_of_allocation, statements_of_services
from tests.simulation.database import BEGIN, Database, Pool, here
from tests.simulation.loop import Chance, Process

LATENCY = 0.003
PATIENCE = 10.0
SERVICES = ("consent", "intake", "allocation")
AGENCIES = ("x", "y")
HUB = "hub"
"""Who co-ordinates every case, by the policy of the simulation (policies/simulated.yaml)."""
POLICIES = Path(__file__).parent / "policies"
INTAKE_KEY = base64.b64encode(bytes(range(32)))


def service_caller(name: str) -> Caller:
    """Return a service's own token, read."""
    return Caller(name, None, frozenset({"internal"}), "service", 0.0)


def agency_caller(name: str, worker: str = "worker") -> Caller:
    """Return an agency's token, read."""
    return Caller(name, worker, frozenset({"contact", "hub"}), "agency", 0.0)


class Asked:
    """A request, as far as the routes read it."""

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = {name.lower(): value for name, value in headers.items()}
        self._body = body

    async def body(self) -> bytes:
        """Return the bytes."""
        return self._body


Route = Callable[[Any, Asked, Caller, dict[str, str], dict[str, Any]], Awaitable[Any]]


class Cluster:
    """The machine: databases that last, a broker, processes that come and go."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed)
        self.kafka = broker.Kafka(self.chance)
        s, a = statements_of_services, statements_of_allocation
        self.consent = Database("consent", s.consent_tables(), s.of_consent(), self.chance)
        self.intake = Database("intake", s.intake_tables(), s.of_intake(), self.chance)
        agencies = a.tables((*AGENCIES, HUB))
        self.allocation = Database("allocation", agencies, a.of_allocation(), self.chance)
        self.databases = {d.name: d for d in (self.consent, self.intake, self.allocation)}
        self.running: dict[str, list[tuple[Process, Service]]] = {name: [] for name in SERVICES}
        self.poisoned: set[str] = set()
        self.unexpected: list[str] = []
        self.adopted: set[str] = set()
        """Permits that were known before a restore: rows of them may be put back."""
        self.answered: dict[str, int] = {}
        """Key -> up to which of its events a repair was told by consent: the answer may still be on its way."""
        self._incarnations = 0

    @property
    def now(self) -> datetime:
        """The time that everybody goes by."""
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time()) + self.consent.shift

    def pass_time(self, by: timedelta) -> None:
        """Let the clocks jump ahead."""
        for database in self.databases.values():
            database.shift += by

    # --- processes

    def start(self, name: str) -> Process:
        """Start a process of a service."""
        self._incarnations += 1
        process = Process(name)
        process.start(self._serve(name, process))
        return process

    async def _serve(self, name: str, process: Process) -> None:
        service = BUILD[name]()
        service.peers = service.http = Network(self, name)  # type: ignore[assignment]
        self.running[name].append((process, service))
        try:
            async with service.running():
                while service.failure is None:  # noqa: ASYNC110 - as `serve` does
                    await asyncio.sleep(1)
            # As `serve` and `main`: a process that cannot start ends, and is begun again.
            self.chance.kill(process)
        finally:
            self.running[name] = [(p, s) for p, s in self.running[name] if p is not process]

    def living(self, name: str) -> list[tuple[Process, Service]]:
        """Return the processes of a service that can answer."""
        return [(p, s) for p, s in self.running[name] if p.alive and s.started]

    # --- requests

    async def ask(
        self,
        name: str,
        method: str,
        path: str,
        *,
        caller: Caller,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Reply:
        """Send a request and wait for the answer. Raises Unavailable as Peers does."""
        chance = self.chance
        await self._on_the_way()
        content = msgspec.json.encode(more.get("json")) if "json" in more else b""
        living = self.living(name)
        if not living:
            raise Unavailable("connection refused", nothing_done=True)
        process, service = living[chance.random.randrange(len(living))]
        if chance.happens("a request lost", 0.01):
            raise Unavailable("the request was lost")
        work = _answer(service, method, path, Asked(headers or {}, content), caller, more.get("params") or {})
        task = process.start(work)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE)
        if not done:
            raise Unavailable("no answer yet")
        if task.cancelled() or not process.alive:
            raise Unavailable("connection reset")
        if path.startswith("/v1/journal/consent/") and task.exception() is None and task.result().is_success:
            told = [dict(event["headers"])["ce_sequence"] for event in task.result().json()["events"]]
            key = path.rpartition("/")[2]
            self.answered[key] = max(self.answered.get(key, 0), *map(int, told), 0)
        await self._on_the_way()
        if chance.happens("an answer lost", 0.02):
            raise Unavailable("the answer was lost")
        answer: Reply = task.result()
        return answer

    async def _on_the_way(self) -> None:
        """Let a message travel: now and then so slowly that much else happens meanwhile."""
        await self.chance.wait(0.5 if self.chance.happens("a slow message", 0.06) else LATENCY)


class Network:
    """A process's connections to the other services."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], **more: Any) -> Reply:
        """Send a request to another service."""
        _, _, rest = url.partition("://")
        target, _, path = rest.partition("/")
        here().must_live()
        answer = await self._cluster.ask(
            target, method, f"/{path}", caller=service_caller(self._name), headers=headers, **more
        )
        here().must_live()
        return answer

    async def aclose(self) -> None:
        """Close nothing."""


async def _answer(
    service: Service, method: str, path: str, asked: Asked, caller: Caller, params: Mapping[str, Any]
) -> Reply:
    for wanted, pattern, route in ROUTES[service.name]:
        match = re.fullmatch(pattern, path)
        if wanted == method and match:
            return await _run(route, service, asked, caller, {**match.groupdict(), **params})
    return Reply(404)


async def _run(route: Route, service: Service, asked: Asked, caller: Caller, names: dict[str, Any]) -> Reply:
    body = await asked.body()
    try:
        found = await route(service, asked, caller, names, msgspec.json.decode(body) if body else {})
    except Problem as problem:
        found = problem.response()
    except Unavailable as error:
        found = unavailable(str(error), nothing_done=error.nothing_done).response()
    except INFRASTRUCTURE:
        # As `on_away`: what a route reads without the unit of work, and the database is away.
        found = unavailable("the database does not answer").response()
    if not isinstance(found, Response):
        return Reply(200, msgspec.json.encode(found))
    return Reply(found.status_code, bytes(found.body), dict(found.headers))


def _key(asked: Asked) -> str:
    return asked.headers.get("idempotency-key", "").strip('"')


async def _permit(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    shape = consent_shapes.PermitRequest(**body)
    return await permits.request_permit(asked, s, shape, _key(asked), caller)  # type: ignore[arg-type]


async def _redeem(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await permits.redeem(asked, s, n["permit"], consent_shapes.Redemption(**body), caller)  # type: ignore[arg-type]


async def _report(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await permits.report(asked, s, n["permit"], consent_shapes.Report(**body), caller)  # type: ignore[arg-type]


async def _show(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await permits.show(s, n["permit"], caller)


async def _withdraw(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    shape = consent_shapes.Withdrawal(**body)
    return await choices.withdraw(asked, s, n["person"], shape, _key(asked), caller)  # type: ignore[arg-type]


async def _hand_over(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    shape = consent_shapes.HandOver(**body)
    return await internal.hand_over(asked, s, n["person"], shape, _key(asked), caller)  # type: ignore[arg-type]


async def _resolve(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    shape = consent_shapes.Resolution(outcome=body["outcome"])
    return await s.transact(hub._resolve, n["permit"], shape, body["version"], caller)


async def _journal(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await operations.read_journal(s, n["topic"], n["key"], int(n.get("after", 0)), caller)


async def _retell(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await operations.tell_again(s, n["topic"], float(n["age"]), caller)


async def _release(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await releasing.release(s, Holder(caller.agency, caller.worker), n["permit"], body["fence"])


async def _record(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    named = Named(person=body["person"], scope="everything")
    number = await s.transact(withdrawing.record, s, caller.agency, caller.worker, named)
    stored = await withdrawing.put_in_force(s, number)
    return stored.body() if stored else {}


async def _list_releases(
    s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]
) -> Any:
    return await releases.list_releases(s, int(n.get("after", 0)), 500, caller)


async def _give_back(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await holding.give_back(s, asked, n["case"], holding.Reason(**body), caller)  # type: ignore[arg-type]


async def _decide(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await holding.decide_case(s, asked, n["case"], holding.Decision(**body), caller)  # type: ignore[arg-type]


async def _reallocate(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await holding.reallocate(s, asked, n["case"], holding.Reallocation(**body), caller)  # type: ignore[arg-type]


async def _close(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await holding.close(s, asked, n["case"], holding.Reason(**body), caller)  # type: ignore[arg-type]


async def _move(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    return await moving.hand_over(s, asked, n["case"], moving.HandOver(**body), caller)  # type: ignore[arg-type]


async def _restrict(s: Any, asked: Asked, caller: Caller, n: dict[str, str], body: dict[str, Any]) -> Any:
    shape = consent_shapes.Restriction(**body)
    return await internal.restrict(asked, s, n["case"], shape, _key(asked), caller)  # type: ignore[arg-type]


_JOURNAL = ("GET", r"/v1/journal/(?P<topic>\w+)/(?P<key>[\w.:-]+)", _journal)
_RETELLING = ("POST", r"/v1/outbox/(?P<topic>\w+)/retelling", _retell)
ROUTES: dict[str, list[tuple[str, str, Route]]] = {
    "consent": [
        ("POST", r"/v1/permits", _permit),
        ("GET", r"/v1/permits/(?P<permit>[^/]+)", _show),
        ("POST", r"/v1/permits/(?P<permit>[^/]+)/redemption", _redeem),
        ("PUT", r"/v1/attempts/(?P<permit>[^/]+)/outcome", _report),
        ("POST", r"/v1/people/(?P<person>[^/]+)/withdrawals", _withdraw),
        ("POST", r"/v1/people/(?P<person>[^/]+)/handovers", _hand_over),
        ("POST", r"/v1/cases/(?P<case>[^/]+)/restrictions", _restrict),
        ("POST", r"/v1/unresolved-attempts/(?P<permit>[^/]+)/resolution", _resolve),
        _JOURNAL,
        _RETELLING,
    ],
    "intake": [
        ("POST", r"/v1/permits/(?P<permit>[^/]+)/release", _release),
        ("POST", r"/v1/withdrawals", _record),
        ("GET", r"/v1/releases", _list_releases),
        _JOURNAL,
        _RETELLING,
    ],
    "allocation": [
        ("POST", r"/v1/cases/(?P<case>[^/]+)/return", _give_back),
        ("POST", r"/v1/cases/(?P<case>[^/]+)/decision", _decide),
        ("POST", r"/v1/cases/(?P<case>[^/]+)/reallocation", _reallocate),
        ("POST", r"/v1/cases/(?P<case>[^/]+)/closure", _close),
        ("POST", r"/v1/cases/(?P<case>[^/]+)/hand-over", _move),
        _JOURNAL,
        _RETELLING,
    ],
}


# --- what the services are given instead of the world

_URLS = {
    "intake_url": "http://intake",
    "consent_url": "http://consent",
    "allocation_url": "http://allocation",
}


# Settings are read once: nothing changes them, and reading them anew at each start cost more than the start.


@cache
def _consent_settings() -> ConsentSettings:
    return ConsentSettings(database_url="postgresql://simulated", **_URLS)  # type: ignore[arg-type]


@cache
def _intake_settings() -> IntakeSettings:
    return IntakeSettings(database_url="postgresql://simulated", master_key_file=_master_key(), **_URLS)  # type: ignore[arg-type]


@cache
def _allocation_settings() -> AllocationSettings:
    return AllocationSettings(database_url="postgresql://simulated", **_URLS)  # type: ignore[arg-type]


def _build_allocation() -> Service:
    return services.allocation.service.build(_allocation_settings())


def _build_consent() -> Service:
    return services.consent.service.build(_consent_settings())


def _build_intake() -> Intake:
    """Intake without its matcher and its pages: who is who is decided by the simulation."""
    return Intake(
        name="intake", settings=_intake_settings(), master_key_file=_master_key(), streams=[PERSON, CASE_FILE],
        consumes=["consent", "cases", "agencies"], handlers=intake_handlers, loops=[tell_loop, withdraw_loop],
    )  # fmt: skip


BUILD: Mapping[str, Callable[[], Service]] = {
    "consent": _build_consent,
    "intake": _build_intake,
    "allocation": _build_allocation,
}


@cache
def _policies() -> Policies:
    """Return the policies of the simulation, over the real vocabulary and areas; read once."""
    files = [*(FOLDER / name for name in ("vocabulary.yaml", "areas.yaml")), *sorted(POLICIES.glob("*.yaml"))]
    texts = {file.name: file.read_text() for file in files}
    return Policies(policy.parse(texts), texts)


class _OfProcess:
    """What allocation keeps in a variable of its module belongs to a process: here each simulated one has its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, _: object, __: object = None) -> Any:
        return here().memory.get(self._name)

    def __set__(self, _: object, value: object) -> None:
        here().memory[self._name] = value


@cache
def _master_key() -> Path:
    file = Path(tempfile.mkdtemp(prefix="onefriend-simulation-")) / "master.key"
    file.write_bytes(INTAKE_KEY)
    file.chmod(0o600)
    return file


# Read and decoded once: what a text says does not change, and states are frozen.
_keyring = cache(Keyring.read)
_decoded = lru_cache(10_000)(Stream.decode)


class _Ids:
    """UUIDv7 from the seed and the simulated clock, as text."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._count = 0

    def uuid7(self) -> str:
        self._count += 1
        milliseconds = int(BEGIN.timestamp() * 1000 + asyncio.get_running_loop().time() * 1000)
        number = milliseconds << 80 | 7 << 76 | (self._count & 0xFFF) << 64 | 2 << 62 | self._count
        t = f"{number:032x}"
        return f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}"


class _Clock:
    """`datetime`, for a module that asks the machine for the time."""

    @staticmethod
    def now(_: object) -> datetime:
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())


class _Monotonic:
    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time() + 1000


class _Unexpected(logging.Handler):
    """Keeps the errors that no fault explains: a mistake in the code, or in the simulation."""

    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (AttributeError, TypeError, NameError, AssertionError, LookupError)):
            self._into.append("".join(traceback.format_exception(error)))


@contextmanager
def instead_of_the_world(cluster: Cluster) -> Iterator[None]:
    """Put the simulated parts in the place of the real ones while a history runs."""

    async def pool(*_: object, **__: object) -> Pool:
        await cluster.chance.wait(LATENCY)
        return Pool(cluster.databases[here().name], here())

    async def nothing(*_: object) -> None:
        return None

    async def token(_: object) -> str:
        return "token"

    async def details(
        _work: object, _keys: object, own: list[str], _case: str, channel: str
    ) -> dict[str, Any]:
        # The details themselves are not simulated: they lie encrypted in tables that no step of the protocol changes.
        return {"phones": [f"the {channel} of {' and '.join(own)}"]}

    loop = asyncio.get_event_loop_policy().get_event_loop()

    def running() -> asyncio.AbstractEventLoop:
        # asyncio's own asks the operating system each time whether this is still the process that it began in.
        return loop

    def policies(_: object = None) -> Policies:
        return _policies()

    def decoded(stream: Stream[Any], text: str) -> Any:
        return _decoded(stream, text)

    broker.Consumer.kafka = broker.Producer.kafka = broker.Topics.kafka = cluster.kafka
    random.seed(cluster.chance.random.random())
    unexpected = _Unexpected(cluster.unexpected)
    log = logging.getLogger()
    before, log.handlers, level = log.handlers, [unexpected], log.level
    log.setLevel(logging.WARNING)
    patches: list[Any] = [
        mock.patch.object(runtime_consumer, "AIOKafkaConsumer", broker.Consumer),
        mock.patch.object(restoration, "AIOKafkaConsumer", broker.Consumer),
        mock.patch.object(outbox, "AIOKafkaProducer", broker.Producer),
        mock.patch.object(outbox, "time", _Monotonic),
        mock.patch.object(repair, "datetime", _Clock),
        mock.patch.object(runtime_service, "Topics", broker.Topics),
        mock.patch.object(runtime_service, "connect_pool", pool),
        mock.patch.object(runtime_service, "bring_up_to_date", nothing),
        mock.patch.object(TokenSource, "token", token),
        mock.patch.object(identifiers, "uuid_utils", _Ids(cluster.chance)),
        mock.patch.object(releasing, "details_for", details),
        mock.patch.object(asyncio, "get_running_loop", running),
        mock.patch.object(asyncio.events, "get_running_loop", running),
        mock.patch.object(Keyring, "read", _keyring),
        mock.patch.object(Stream, "decode", decoded),
        mock.patch.object(Policies, "of_process", policies),
        mock.patch.object(Memory, "known", _OfProcess("known"), create=True),
        mock.patch.object(Memory, "_compared", _OfProcess("_compared"), create=True),
        # A real client loads certificates: most of the time of a history.
        mock.patch.object(httpx, "AsyncClient", mock.Mock),
    ]
    try:
        for patch in patches:
            patch.start()
        yield
    finally:
        mock.patch.stopall()
        log.handlers = before
        log.setLevel(level)
