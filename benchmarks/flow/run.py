"""The flow under load: cost per referral, latency at a low rate, throughput at saturation; everything counted at each stage."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass

from benchmarks.flow.load import Outcome, post
from benchmarks.flow.people import referral
from benchmarks.flow.stack import Measured

# What each stage must have, for the counts to be equal.
STAGES = {
    "accepted": ("intake", "SELECT count(*) FROM referral"),
    "matched": ("intake", "SELECT count(*) FROM journal WHERE type = 'referral.received.v1'"),
    "proposed": ("allocation", "SELECT count(*) FROM journal WHERE type = 'case.proposed.v1'"),
    "led": ("consent", "SELECT count(*) FROM journal WHERE type IN ('lead.assigned.v1', 'lead.refused.v1')"),
    "allocated": ("allocation", "SELECT count(*) FROM journal WHERE type = 'case.allocated.v1'"),
    "in the feed": (
        "notifications",
        "SELECT count(DISTINCT case_id) FROM feed WHERE kind = 'case.allocated'",
    ),
}


@dataclass
class Figures:
    """What one phase showed: referrals, seconds from the first POST to the last feed entry, CPU seconds by process."""

    name: str
    referrals: int
    seconds: float
    cpu: dict[str, float]
    outcome: Outcome
    stages: dict[str, int]

    @property
    def microseconds(self) -> float:
        """CPU time per referral over all processes."""
        return 1e6 * sum(self.cpu.values()) / self.referrals


class Run:
    """One run against a stack; referral numbers go on from phase to phase."""

    def __init__(self, stack: Measured, agency: str = "hertfordshire-constabulary") -> None:
        self.stack = stack
        self.agency = agency
        self.number = 0
        self.draw = random.Random(20260101)
        self._token, self._until = "", 0.0

    def headers(self, media: str = "application/json") -> str:
        """Return request headers with a token that is still good."""
        if time.monotonic() > self._until:
            self._token, self._until = self.stack.token(self.agency), time.monotonic() + 200
        return f"Authorization: Bearer {self._token}\r\nContent-Type: {media}\r\n"

    def bodies(self, count: int) -> list[tuple[str, bytes]]:
        """Return referrals to post."""
        found = []
        for _ in range(count):
            document = referral(self.draw, self.number)
            found.append((document["reference"], json.dumps(document).encode()))
            self.number += 1
        return found

    async def counts(self) -> dict[str, int]:
        """Return how many each stage has done so far."""
        return {
            stage: await self.stack.pools[service].fetchval(sql) for stage, (service, sql) in STAGES.items()
        }

    async def settled(self, wanted: int, seconds: float = 120) -> None:
        """Wait until every referral is in a feed, or on hold."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            fed = await self.stack.pools["notifications"].fetchval(STAGES["in the feed"][1])
            if fed >= wanted:
                return
            await asyncio.sleep(0.1)
        print(f"    only {fed} of {wanted} in the feed after {seconds:.0f} s: {await self.counts()}")

    async def phase(
        self,
        name: str,
        count: int,
        *,
        rate: float | None,
        connections: int = 32,
        lines: int = 0,
        media: str = "application/json",
    ) -> Figures:
        """Post referrals and wait for the last to reach its feed."""
        bodies = self.bodies(count)
        if lines:
            media = "application/x-ndjson"
            bodies = [
                (bodies[n][0], b"\n".join(body for _, body in bodies[n : n + lines]) + b"\n")
                for n in range(0, count, lines)
            ]
        before, fed = (
            self.stack.cpu_seconds(),
            await self.stack.pools["notifications"].fetchval(STAGES["in the feed"][1]),
        )
        began = time.perf_counter()
        path = "/v1/referral-batches" if lines else "/v1/referrals"
        outcome = await post(
            self.stack.port("intake"),
            path,
            lambda: self.headers(media),
            bodies,
            rate=rate,
            connections=connections,
        )
        await self.settled(fed + count)
        seconds = time.perf_counter() - began
        await asyncio.sleep(1)  # what runs after the last event (acknowledgements, deletions) belongs to it
        after = self.stack.cpu_seconds()
        cpu = {process: after[process] - before.get(process, 0.0) for process in after}
        return Figures(name, count, seconds, cpu, outcome, await self.counts())

    async def latencies(self, outcome: Outcome) -> list[float]:
        """Return seconds from each POST to its entry in the lead agency's feed."""
        rows = await self.stack.pools["notifications"].fetch(
            "SELECT case_id, min(at) AS at FROM feed WHERE kind = 'case.allocated' GROUP BY case_id"
        )
        fed = {str(row["case_id"]): row["at"].timestamp() for row in rows}
        answers = await self.stack.pools["intake"].fetch(
            "SELECT r.received_at, c.case_id FROM referral AS r JOIN referral_case AS c ON c.referral = r.id"
        )
        del outcome
        return sorted(
            fed[str(row["case_id"])] - row["received_at"].timestamp()
            for row in answers
            if str(row["case_id"]) in fed
        )


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")
