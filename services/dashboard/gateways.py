"""Calls to the services, with the token of whoever is signed in: their scopes and their agency decide what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final

import httpx

from shared.runtime.errors import Unavailable
from shared.runtime.telemetry import current_traceparent

_CREATED: Final = 201
_OK: Final = 200
_TRIES: Final = 10  # while the first of two clicks is being answered
_PAUSE_SECONDS: Final = 0.3


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
class Gateway:
    """A service that is called."""

    name: ClassVar[str]
    url: str
    http: httpx.AsyncClient

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
            raise Unavailable(f"{self.name} does not answer") from error
        if answer.is_server_error:
            raise Unavailable(f"{self.name} cannot answer now")
        if answer.is_client_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {}
            raise Refused(answer.status_code, problem)
        return answer

    async def _once(self, token: str, path: str, key: str, body: Mapping[str, Any]) -> httpx.Response:
        """Post under a page's key: two clicks on one button are one request, two buttons of one page are two."""
        sent = repr(sorted(body.items()))
        headers = {"Idempotency-Key": f'"{sha256(f"{key} {path} {sent}".encode()).hexdigest()}"'}
        for _ in range(_TRIES):
            try:
                return await self._call(token, "POST", path, json=body, headers=headers)
            except Refused as refused:
                if refused.kind != "in-flight":
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Unavailable(f"{self.name} is still at it")


class Intake(Gateway):
    """Intake's review queue, why records are one person, and what waits for a second person."""

    name = "intake"

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

    async def split(self, token: str, person: str, key: str, body: Mapping[str, Any]) -> str | None:
        """Ask that a record be parted from its person, or confirm it; returns the new person's id, None while it waits."""
        answer = await self._once(token, f"/v1/people/{person}/splits", key, body)
        return str(answer.json()["person"]) if answer.status_code == _CREATED else None

    async def unlink(self, token: str, person: str, other: str, version: int, reason: str) -> bool:
        """Ask that a link of two ids be undone, or confirm it; returns whether it is undone."""
        path = f"/v1/people/{person}/links/{other}"
        answer = await self._call(token, "DELETE", path, params={"reason": reason}, headers=_match(version))
        return answer.status_code == _OK

    async def erase(self, token: str, person: str, key: str, reason: str) -> bool:
        """Ask that everything held about a person be destroyed, or confirm it; returns whether it is."""
        answer = await self._once(token, f"/v1/people/{person}/erasure", key, {"reason": reason})
        return bool(answer.json()["state"] == "erased")

    async def second_person(self, token: str, **query: str | int) -> dict[str, Any]:
        """Return a page of what waits for a second person, or of what became of it: {"requests": [...], "next": ...}."""
        return await self._get(token, "/v1/second-person", query)

    async def refuse(self, token: str, person: str, what: str, detail: str) -> bool:
        """Refuse what waits for a second person; returns whether it was one's own, and is taken back."""
        query = {"person": person, "what": what, "detail": detail}
        answer = await self._call(token, "DELETE", "/v1/second-person", params=query)
        return bool(answer.json()["state"] == "taken_back")


class Allocation(Gateway):
    """The registry of agencies, and the commissioner's figures."""

    name = "allocation"

    async def measures(self, token: str, query: Mapping[str, str]) -> httpx.Response:
        """Return the figures, as JSON or CSV."""
        return await self._call(token, "GET", "/v1/measures", params=query)

    async def agencies(self, token: str) -> dict[str, str]:
        """Return the name of each agency by its id."""
        found = await self._get(token, "/v1/agencies")
        return {one["agency"]: one["name"] for one in found["agencies"]}


class Notifications(Gateway):
    """What agencies could not be told."""

    name = "notifications"

    async def deliveries(self, token: str, **query: str | int) -> dict[str, Any]:
        """Return a page of deliveries, the last changed first: {"deliveries": [...], "next": cursor or None}."""
        return await self._get(token, "/v1/deliveries", query)

    async def redrive(self, token: str, delivery: str, key: str) -> None:
        """Try a failed delivery again."""
        await self._once(token, f"/v1/deliveries/{delivery}/redrive", key, {})
