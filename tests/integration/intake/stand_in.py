"""A stand-in for consent at the edge, so that a test can say what it answers, and when."""

import asyncio
import json
from typing import Any

import httpx

from services.intake.core import Intake


class StandIn:
    """Answers intake's calls to consent; `away` makes it not answer. Keeps what it was asked.

    `lost` answers to redemptions are lost on their way back; the same Idempotency-Key gets the same answer.
    `unable`: what it answers 503 to redemptions with; `unreached`: redemptions never connect.
    """

    def __init__(self, service: Intake) -> None:
        self.permits: dict[str, dict[str, Any]] = {}
        self.redeemed: set[str] = set()
        self.refuse: str | None = None
        self.away = False
        self.lost = 0
        self.unable: dict[str, Any] | None = None
        self.unreached = False
        self.use_by = "2030-01-01T12:00:00Z"
        self.answered: dict[str, httpx.Response] = {}
        self.in_flight: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.before_redemption: asyncio.Event | None = None
        self.reached_redemption = asyncio.Event()
        service.http = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def permit(self, number: str, person: str, case: str, agency: str, channel: str = "phone") -> str:
        """Have a permit."""
        fact = {
            "permit": number,
            "person": person,
            "party": person,
            "case": case,
            "agency": agency,
            "channel": channel,
        }
        self.permits[number] = {**fact, "state": "granted", "purpose": "approach", "worker": "w1"}
        return number

    def called(self, method: str, part: str) -> list[Any]:
        """Return the bodies of the calls whose path has `part`."""
        return [body for m, path, body in self.asked if m == method and part in path]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one call."""
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body))
        if self.away:
            raise httpx.ConnectError("away", request=request)
        parts = request.url.path.strip("/").split("/")
        if parts[1] == "people":
            return httpx.Response(201, json={"in_flight": self.in_flight})
        if parts[1] == "attempts":
            return httpx.Response(200, json={})
        permit = self.permits.get(parts[2])
        if permit is None:
            return self._problem(404, "not-found")
        if request.method == "GET":
            return httpx.Response(200, json=permit)
        if self.unreached:
            raise httpx.ConnectError("refused", request=request)
        if self.unable is not None:
            return httpx.Response(503, json=self.unable)
        key = request.headers["idempotency-key"]
        if key not in self.answered:
            self.answered[key] = await self._redeem(permit)
        if self.lost:
            self.lost -= 1
            raise httpx.ReadTimeout("lost", request=request)
        return self.answered[key]

    async def _redeem(self, permit: dict[str, Any]) -> httpx.Response:
        if self.refuse:
            return self._problem(409, self.refuse)
        if permit["permit"] in self.redeemed:
            return self._problem(409, "already-redeemed")
        self.redeemed.add(permit["permit"])
        self.reached_redemption.set()
        if self.before_redemption is not None:
            await self.before_redemption.wait()
        times = {"use_by": self.use_by, "outcome_due": "2030-01-02T12:00:00Z"}
        return httpx.Response(200, json={**permit, **times})

    @staticmethod
    def _problem(status: int, kind: str) -> httpx.Response:
        return httpx.Response(
            status, json={"type": f"https://onefriend.example/problems/{kind}", "status": status}
        )
