"""A lead agency at work through the public API: its feed, permits, releases, outcomes, withdrawals; each call timed."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.flow.load import Connection
from benchmarks.flow.stack import Measured

LEAD = "beacon"  # of every harmed person of the shipped policy for Hertfordshire
WORKER = "benchmark-worker"
STEPS = {"permit": 201, "release": 200, "outcome": 200, "withdrawal": 201}
# The case is not cleared yet, or a service has not yet heard: asked again, and not counted among the latencies.
PASSING = {"not-cleared", "unknown", "behind", "parked", "unavailable"}
TRIES = 40


@dataclass
class Timed:
    """Seconds of each step's calls that were answered as wanted, and every other answer."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    others: Counter[str] = field(default_factory=Counter)


class Lead:
    """The lead agency: follows its feed by long poll, and makes contact if it is told to."""

    def __init__(self, stack: Measured) -> None:
        self.stack = stack
        self.arrived: dict[str, float] = {}  # time.time() at which a case was read in the feed
        self.timed = Timed()
        self._entries: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._token, self._until = "", 0.0
        self._connections: dict[tuple[int, str], Connection] = {}

    def _headers(self, *, key: bool = False) -> str:
        if time.monotonic() > self._until:
            self._token, self._until = self.stack.token(LEAD, WORKER), time.monotonic() + 200
        once = f'Idempotency-Key: "{uuid.uuid4()}"\r\n' if key else ""
        return f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n{once}"

    async def follow(self) -> None:
        """Read the feed from its present end on, for ever."""
        after = await self.stack.pools["notifications"].fetchval(
            "SELECT coalesce(max(number), 0) FROM feed WHERE agency = $1", LEAD
        )
        connection = Connection("127.0.0.1", self.stack.port("notifications"))
        with suppress(asyncio.CancelledError):
            while True:
                path = f"/v1/feed?after={after}&wait=5&limit=500"
                status, answer = await connection.request("GET", path, self._headers())
                assert status == 200, answer
                now, body = time.time(), json.loads(answer)
                after = body["next"]
                for entry in body["entries"]:
                    if entry["kind"] == "case.allocated" and entry["data"].get("role") == "harmed":
                        self.arrived.setdefault(entry["case"], now)
                        self._entries.put_nowait(entry)
        connection.close()

    async def contacts(self, count: int, *, workers: int = 4, rate: float = 10.0) -> None:
        """Make contact with so many people of the feed, `rate` a second: permit, release, outcome, then she withdraws."""
        began, numbers = time.perf_counter(), iter(range(count))

        async def work(worker: int) -> None:
            for number in numbers:
                entry = await self._entries.get()
                await asyncio.sleep(began + number / rate - time.perf_counter())
                await self._contact(worker, entry)

        await asyncio.gather(*(work(worker) for worker in range(workers)))

    async def _contact(self, worker: int, entry: dict[str, Any]) -> None:
        person = entry["data"]["person"]
        ask = {"case": entry["case"], "person": person, "purpose": "approach", "channel": "phone"}
        permit = await self._step(worker, "permit", "consent", "POST", "/v1/permits", ask)
        if permit is None:
            return
        held = {"permit": permit["permit"], "fence": permit["fence"]}
        if await self._step(worker, "release", "intake", "POST", "/v1/releases", held) is None:
            return
        path = f"/v1/attempts/{permit['permit']}/outcome"
        outcome = {"fence": permit["fence"], "outcome": "no_answer"}
        await self._step(worker, "outcome", "consent", "PUT", path, outcome)
        leaving = {"person": person, "scope": "everything", "by": "person"}
        await self._step(worker, "withdrawal", "intake", "POST", "/v1/withdrawals", leaving)

    async def _step(
        self, worker: int, step: str, service: str, method: str, path: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Call until it is answered as wanted or refused for good; time the call that was answered as wanted."""
        connection = self._connections.setdefault(
            (worker, service), Connection("127.0.0.1", self.stack.port(service))
        )
        status, why = 0, ""
        for _ in range(TRIES):
            at = time.perf_counter()
            headers = self._headers(key=method == "POST")
            status, answer = await connection.request(method, path, headers, json.dumps(body).encode())
            took = time.perf_counter() - at
            found: dict[str, Any] = json.loads(answer)
            if status == STEPS[step]:
                self.timed.seconds[step].append(took)
                return found
            why = str(found.get("type", status)).rsplit("/", 1)[-1]
            if why not in PASSING:
                break
            self.timed.others[f"{step}: {why}, asked again"] += 1
            await asyncio.sleep(0.1)
        self.timed.others[f"{step}: {status} {why}"] += 1
        return None


async def cases_of(stack: Measured, sent: dict[str, float]) -> dict[str, float]:
    """Return when the referral of each case was posted."""
    rows = await stack.pools["intake"].fetch(
        "SELECT referral::text AS referral, case_id::text AS case_id FROM referral_case WHERE referral::text = ANY($1)",
        list(sent),
    )
    return {row["case_id"]: sent[row["referral"]] for row in rows}
