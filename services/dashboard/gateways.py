"""Calls to the services, with the token of whoever is signed in: their scopes and their agency decide what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shared.runtime.errors import Unavailable
from shared.runtime.telemetry import current_traceparent

_CREATED: Final = 201


class Refused(Exception):
    """A service said no: its problem, in words that it made for people."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("type", status)))
        self.status = status
        self.kind = str(problem.get("type", "")).rsplit("/", 1)[-1]
        remedies = [str(error.get("remedy", "")) for error in problem.get("errors", ())]
        self.title = str(problem.get("title", "This could not be done."))
        self.detail = " ".join([str(problem.get("detail", "")), *remedies]).strip()


def _match(version: int) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


@dataclass
class Intake:
    """Intake's review queue, and why records are one person."""

    url: str
    http: httpx.AsyncClient

    async def reviews(self, token: str, **query: str | int) -> dict[str, Any]:
        """Return a page of the queue: {"reviews": [...], "next": cursor or None}."""
        return await self._get(token, "/v1/match-reviews", query)

    async def summary(self, token: str) -> dict[str, Any]:
        """Return how many wait for what, and the measured agreement of reviewers."""
        return await self._get(token, "/v1/match-reviews/summary")

    async def incomplete(self, token: str, **query: str | int) -> dict[str, Any]:
        """Return a page of the referrals that wait for their agency: {"holds": [...], "next": ...}."""
        return await self._get(token, "/v1/match-reviews/incomplete", query)

    async def review(self, token: str, review: str) -> dict[str, Any]:
        """Return one review with both sides; `version` is what a decision must name."""
        return await self._get(token, f"/v1/match-reviews/{review}")

    async def decide(self, token: str, review: str, version: int, decision: Mapping[str, Any]) -> int:
        """Decide a review; returns its new version."""
        return await self._post(token, f"/v1/match-reviews/{review}/decision", version, decision)

    async def second(self, token: str, review: str, version: int, decision: Mapping[str, Any]) -> bool:
        """Give a second opinion; returns whether it is the first one's."""
        path = f"/v1/match-reviews/{review}/second"
        answer = await self._call(token, "POST", path, json=decision, headers=_match(version))
        return bool(answer.json()["agree"])

    async def undo(self, token: str, review: str, version: int, reason: str) -> int:
        """Undo a decision; returns the review's new version."""
        return await self._post(token, f"/v1/match-reviews/{review}/undo", version, {"reason": reason})

    async def joins(self, token: str, person: str, **query: str | int) -> dict[str, Any]:
        """Return why each record is this person's: {"joins": [...], "links": [...], "next": cursor or None}."""
        return await self._get(token, f"/v1/people/{person}/joins", query)

    async def splits(self, token: str, **query: str | int) -> dict[str, Any]:
        """Return a page of what waits for a second person: {"splits": [...], "next": ...}."""
        return await self._get(token, "/v1/splits", query)

    async def split(self, token: str, person: str, key: str, body: Mapping[str, Any]) -> str | None:
        """Ask that a record be parted from its person, or confirm it; returns the new person's id, None while it waits."""
        headers = {"Idempotency-Key": f'"{key}"'}
        path = f"/v1/people/{person}/splits"
        answer = await self._call(token, "POST", path, json=body, headers=headers)
        return str(answer.json()["person"]) if answer.status_code == _CREATED else None

    async def _get(
        self, token: str, path: str, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any]:
        body: dict[str, Any] = (await self._call(token, "GET", path, params=query)).json()
        return body

    async def _post(self, token: str, path: str, version: int, body: Mapping[str, Any]) -> int:
        answer = await self._call(token, "POST", path, json=body, headers=_match(version))
        return int(answer.headers["etag"].strip('"'))

    async def _call(self, token: str, method: str, path: str, **arguments: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        headers = {"Authorization": f"Bearer {token}", **arguments.pop("headers", {})}
        traceparent = current_traceparent()
        if traceparent:
            headers["traceparent"] = traceparent
        try:
            address = self.url.rstrip("/") + path
            answer = await self.http.request(method, address, headers=headers, **arguments)
        except httpx.HTTPError as error:
            raise Unavailable("intake does not answer") from error
        if answer.is_server_error:
            raise Unavailable("intake cannot answer now")
        if answer.is_client_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {}
            raise Refused(answer.status_code, problem)
        return answer
