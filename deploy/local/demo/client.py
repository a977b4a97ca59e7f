"""How an agency talks to Onefriend: its public API, with a token of its own."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.local import services
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import Place

RENEW = 200  # seconds after which a token is replaced; it is good for 300
PATIENCE = 60  # seconds for which a request is repeated while a service does not answer
UNAVAILABLE = 503


@dataclass
class Client:
    """One agency (or the operator), as `worker` of it."""

    place: Place
    http: httpx.AsyncClient
    id: str
    worker: str | None = None
    _token: str = field(default="", repr=False)
    _until: float = 0.0

    async def _new_token(self) -> str:
        return Issuer(self.place).token(Clients(self.place).get(self.id), worker=self.worker)

    async def token(self) -> str:
        """Return a token that is good for a while yet."""
        if time.monotonic() > self._until:
            self._token = await self._new_token()
            self._until = time.monotonic() + RENEW
        return self._token

    def url(self, service: str) -> str:
        """Return where a service answers."""
        return services.url(self.place, service)

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        **more: Any,  # noqa: ANN401 - httpx's arguments
    ) -> httpx.Response:
        """Call a service; repeat while it does not answer. A release that is repeated is refused, never handed out again.

        A POST gets an Idempotency-Key, the same for each repetition: it happens once.
        """
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'} if method in {"POST", "DELETE"} else {}
        until = time.monotonic() + PATIENCE
        while True:
            try:
                url = self.url(service) + path
                answer = await self.http.request(
                    method, url, headers={**headers, "Authorization": f"Bearer {await self.token()}"}, **more
                )
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
            else:
                if answer.status_code != UNAVAILABLE or time.monotonic() > until:
                    return answer
            await asyncio.sleep(0.3)


def kind(answer: httpx.Response) -> str:
    """Return the last part of a problem's type: why not."""
    try:
        return str(answer.json()["type"]).rsplit("/", 1)[1]
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def title(answer: httpx.Response) -> str:
    """Return a problem's own words."""
    try:
        return str(answer.json()["title"])
    except (ValueError, KeyError, TypeError):
        return f"The answer was {answer.status_code}."
