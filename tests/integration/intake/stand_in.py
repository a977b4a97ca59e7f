"""A stand-in for consent at the edge, so that a test can say what it answers, and when."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.intake.core import Intake
from shared.runtime.errors import Unavailable
from shared.runtime.peers import Reply


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
        self.answered: dict[str, Reply] = {}
        self.in_flight: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.before_redemption: asyncio.Event | None = None
        self.reached_redemption = asyncio.Event()
        service.peers = self  # type: ignore[assignment]

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

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], json: object = None
    ) -> Reply:
        """Answer one call."""
        path = urlsplit(url).path
        self.asked.append((method, path, msgspec.to_builtins(json)))
        if self.away:
            raise Unavailable("away", nothing_done=True)
        parts = path.strip("/").split("/")
        if parts[1] == "people":
            return _reply(201, {"in_flight": self.in_flight})
        if parts[1] == "attempts":
            return _reply(200, {})
        permit = self.permits.get(parts[2])
        if permit is None:
            return self._problem(404, "not-found")
        if method == "GET":
            return _reply(200, permit)
        if self.unreached:
            raise Unavailable("refused", nothing_done=True)
        if self.unable is not None:
            return _reply(503, self.unable)
        key = headers["Idempotency-Key"]
        if key not in self.answered:
            self.answered[key] = await self._redeem(permit)
        if self.lost:
            self.lost -= 1
            raise Unavailable("lost")
        return self.answered[key]

    async def _redeem(self, permit: dict[str, Any]) -> Reply:
        if self.refuse:
            return self._problem(409, self.refuse)
        if permit["permit"] in self.redeemed:
            return self._problem(409, "already-redeemed")
        self.redeemed.add(permit["permit"])
        self.reached_redemption.set()
        if self.before_redemption is not None:
            await self.before_redemption.wait()
        times = {"use_by": self.use_by, "outcome_due": "2030-01-02T12:00:00Z"}
        return _reply(200, {**permit, **times})

    @staticmethod
    def _problem(status: int, kind: str) -> Reply:
        problem = {
            "type": f"https://onefriend.example/problems/{kind}",
            "title": f"{kind}, in a sentence.",
            "status": status,
        }
        return _reply(status, problem)

    async def aclose(self) -> None:
        """Close nothing."""


def _reply(status: int, body: dict[str, Any]) -> Reply:
    return Reply(status, msgspec.json.encode(body))
