"""A stack that may be another than this checkout's: where it answers, and an agency's client of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.demo.agency import OK
from deploy.local.demo.client import Client
from deploy.local.processes import DidNotStart

SERVICES = ("intake", "consent", "allocation", "notifications")


@dataclass(frozen=True)
class Where:
    """Where a stack answers; without credentials its tokens come from this checkout's own issuer."""

    urls: dict[str, str]
    credentials: dict[str, str]

    @classmethod
    def from_environment(cls) -> Where:
        """Return what the environment names.

        Raises:
            DidNotStart: if the file of credentials is not there or is none.
        """
        named = {name: os.environ.get(f"ONEFRIEND_{name.upper()}_URL", "") for name in (*SERVICES, "token")}
        path = os.environ.get("ONEFRIEND_CREDENTIALS")
        try:
            credentials = json.loads(Path(path).read_text()) if path else {}
        except (OSError, ValueError) as error:
            raise DidNotStart(
                f'ONEFRIEND_CREDENTIALS: {error}; it names a file like {{"beacon": "its secret"}}'
            ) from None
        return cls({name: url.rstrip("/") for name, url in named.items() if url}, credentials)


@dataclass
class Elsewhere(Client):
    """An agency's client of a stack that may be another than this checkout's."""

    where: Where = field(default_factory=lambda: Where({}, {}))

    def url(self, service: str) -> str:
        """Return where a service answers."""
        return self.where.urls.get(service) or super().url(service)

    async def _new_token(self) -> str:
        if not self.where.credentials:
            return await super()._new_token()
        form = {"grant_type": "client_credentials", "worker": self.worker or ""}
        answer = await self.http.post(
            self.where.urls.get("token") or super().url("issuer") + "/token",
            data=form,
            auth=(self.id, self.where.credentials.get(self.id, "")),
        )
        if answer.status_code != OK:
            raise DidNotStart(f"{self.id} gets no token ({answer.status_code}): see ONEFRIEND_CREDENTIALS")
        return str(answer.json()["access_token"])
