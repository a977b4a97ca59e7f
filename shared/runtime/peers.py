"""How a service asks another: by aiohttp, which spends a seventh of the CPU that httpx does on a call.

A release asks twice while somebody waits with a telephone in hand. Whatever leaves the installation (webhooks, the token
issuer) goes by httpx.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import aiohttp
import msgspec

from shared.runtime.errors import Unavailable

# Seconds. An idle connection is given up before uvicorn does (after five), so that no request meets one that is closing.
_PATIENCE: Final = aiohttp.ClientTimeout(total=10, sock_connect=3)
_IDLE: Final = 4
# No connection was made, so nothing was asked.
_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class Reply:
    """What another service answered, personal data perhaps. The names of `headers` may be asked for in any case."""

    status_code: int
    content: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Say whether it is one of 2xx."""
        return 200 <= self.status_code < 300  # noqa: PLR2004 - HTTP

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the body. Raises ValueError if it is no JSON."""
        return msgspec.json.decode(self.content)

    @property
    def nothing_done(self) -> bool:
        """Say whether it says of itself that nothing has happened; what came from elsewhere says no such thing."""
        try:
            return self.json().get("nothing_done") is True
        except (ValueError, AttributeError):
            return False


class Peers:
    """Connections to the other services, made when first needed and kept."""

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_PATIENCE,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str | int | float] | None = None,
        json: object = None,
    ) -> Reply:
        """Send a request and read the whole answer, whatever its status.

        Raises Unavailable if none comes; it says `nothing_done` where no connection was made. Of what may be done twice
        (GET, PUT, DELETE) it never does: aiohttp has perhaps sent that before, on a connection that was cut.
        """
        body = None
        if json is not None:
            body = msgspec.json.encode(json)
            headers = {**headers, "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, url, headers=headers, params=params, data=body, allow_redirects=False
            ) as answer:
                return Reply(answer.status, await answer.read(), answer.headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            unsent = method == "POST" and isinstance(error, _UNSENT)
            raise Unavailable("no answer", nothing_done=unsent) from error

    async def aclose(self) -> None:
        """Close the connections."""
        if "_session" in vars(self):
            await self._session.close()
