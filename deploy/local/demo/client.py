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

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() > self._until:
            self._token = Issuer(self.place).token(Clients(self.place).get(self.id), worker=self.worker)
            self._until = time.monotonic() + RENEW
        return {"Authorization": f"Bearer {self._token}"}

    async def call(
        self, service: str, method: str, path: str, *, once: bool = False, **more: Any
    ) -> httpx.Response:
        """Call a service; repeat while it does not answer, unless `once` (a release is never repeated).

        A POST gets an Idempotency-Key, the same for each repetition: it happens once.
        """
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'} if method in {"POST", "DELETE"} else {}
        until = time.monotonic() + (0 if once else PATIENCE)
        while True:
            try:
                url = services.url(self.place, service) + path
                answer = await self.http.request(
                    method, url, headers={**headers, **self._authorization()}, **more
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
