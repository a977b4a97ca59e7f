"""Run a real service inside a test: its HTTP server on a free port, consumer, relay and timers, on the real servers.

    async with running(build(settings(Settings, database, bootstrap_servers, topic_prefix))) as url: ...

Services trust `tests.support.tokens`, and their own calls to each other carry such tokens.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import uvicorn

from shared.runtime.service import PARTS, Part, Service
from shared.runtime.settings import RuntimeSettings
from tests.support import tokens

S = TypeVar("S", bound=RuntimeSettings)


# Ports that were given away, as descriptors: so many are kept, well within what a process may open.
_RESERVED: deque[int] = deque()
RESERVED = 200


def free_port() -> int:
    """Return a port that nobody else is given while this process lives.

    One that merely was free a moment ago goes to the next who asks before it is used. It stays bound without listening: the
    kernel gives it to nobody who asks for any port, and a server may listen there by its number, with SO_REUSEADDR as
    servers do.
    """
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    # Not before: it would be given what another process has reserved in this way.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = int(probe.getsockname()[1])
    _RESERVED.append(probe.detach())
    if len(_RESERVED) > RESERVED:
        os.close(_RESERVED.popleft())
    return port


def settings(kind: type[S], database: str, kafka: str, prefix: str, **more: object) -> S:
    """Return a service's settings for these servers; `more` are further fields (other services' URLs, a port)."""
    fields: dict[str, object] = {
        "database_url": database,
        "kafka": kafka,
        "topic_prefix": prefix,
        "development": True,
        "port": free_port(),
    }
    return kind(**{**fields, **more})  # type: ignore[arg-type]


def trust_test_tokens(service: Service) -> None:
    """Make a service accept test tokens, and use one for its own calls."""
    service.verifier._keys = {tokens.KEY_ID: tokens.KEY.public_key()}

    async def own() -> str:
        return tokens.token(service.name, "internal", kind="service")

    service.tokens.token = own  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def running(
    service: Service, parts: Sequence[Part] = PARTS, *, ready: bool = True
) -> AsyncIterator[str]:
    """Run a service until the block ends; gives its base URL. `ready`: wait until it is."""
    trust_test_tokens(service)
    config = uvicorn.Config(
        service.application(), host="127.0.0.1", port=service.settings.port, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    server.config.load()
    async with service.running(parts):
        # `_serve` and not `serve`: a test keeps its own signal handlers.
        serving = asyncio.create_task(server._serve())
        try:
            await until(lambda: server.started)
            if ready:
                await until(lambda: service.reconciled.is_set() or service.failure is not None, seconds=30)
                if service.failure is not None:
                    raise service.failure
            yield f"http://127.0.0.1:{service.settings.port}"
        finally:
            server.should_exit = True
            await serving


# A wait that ends too soon fails a test of what works; a long one costs time only where something is broken.
PATIENCE = 4
LONGEST = 240.0  # seconds: well within the time that a whole test may take


def slack() -> float:
    """Return how many times longer things may take, by how many programs wait for a core: at least 1."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 15, every: float = 0.02
) -> None:
    """Wait until a condition holds. `seconds`: what it takes at most on a quiet machine; it is given several times as long.

    Raises AssertionError when it does not hold in time.
    """
    seconds = min(LONGEST, seconds * PATIENCE * slack())
    deadline = time.monotonic() + seconds
    while True:
        outcome = condition()
        if isinstance(outcome, Awaitable):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            message = f"not within {seconds:.0f} s: {getattr(condition, '__name__', condition)}"
            raise AssertionError(message)
        await asyncio.sleep(every)
