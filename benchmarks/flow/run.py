"""The flow under load: cost per referral, latency at a low rate, throughput at saturation; counted at each stage."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.flow.load import Outcome, post
from benchmarks.flow.stack import Measured
from deploy.local.invented import referral

PATIENCE = 30  # seconds without any progress after which a phase is given up
# What each stage must have, for the counts to be equal.
STAGES = {
    "accepted": ("intake", "SELECT count(*) FROM referral"),
    "matched": ("intake", "SELECT count(*) FROM journal WHERE type = 'referral.received.v1'"),
    "proposed": ("allocation", "SELECT count(*) FROM journal WHERE type = 'case.proposed.v1'"),
    "leads decided": (
        "consent",
        "SELECT count(DISTINCT data->>'case') FROM journal WHERE type IN ('lead.assigned.v1', 'lead.refused.v1')",
    ),
    "allocated": (
        "allocation",
        "SELECT count(DISTINCT key) FROM journal WHERE type IN ('case.allocated.v1', 'case.paused.v1')",
    ),
    "in the feed": (
        "notifications",
        "SELECT count(DISTINCT case_id) FROM feed WHERE kind IN ('case.allocated', 'referral.held')",
    ),
}
# Each of these referrals has one harmed party, whose lead is told so. Among tens of thousands of invented people two are
# taken for one now and then; then whoever leads that human already, through the other case, is told. And one or two have too
# little to be told from somebody else: then the sender is asked for more, which is as far as such a referral goes.
_LEADS = ("beacon", "mediation-hertfordshire")
# LATERAL, so that it is a look-up in the index of each feed: as a join it came to be a scan of all that was ever fed, in
# parallel, ten times a second, and cost more than what it measured.
_NEWLY_FED = """
SELECT w.agency, f.last, f.fed FROM unnest($1::text[], $2::bigint[]) AS w(agency, after) CROSS JOIN LATERAL (
  SELECT max(number) AS last,
         count(*) FILTER (WHERE CASE WHEN w.agency = $3 THEN kind = 'referral.held'
                                     ELSE kind = 'case.allocated' AND data->>'role' = 'harmed' END) AS fed
  FROM (SELECT number, kind, data FROM feed WHERE agency = w.agency AND number > w.after ORDER BY number) AS newly
) AS f WHERE f.last IS NOT NULL
"""
# What a referral that has not arrived may be waiting in.
_WAITING = {
    "to be matched": ("intake", "SELECT count(*) FROM to_match"),
    "put off": ("intake", "SELECT count(*) FROM to_match WHERE attempts > 0"),
    **{
        f"{table} of {service}": (service, f"SELECT count(*) FROM {table}")  # noqa: S608 - names of our own
        for service in ("intake", "allocation", "consent", "notifications")
        for table in ("outbox", "waiting", "quarantine")
    },
}
# Nothing is wrong with these, and they are no strangers' referrals any more: how many people were found to be known already,
# and how many were held for a person to decide.
_ALIKE = """
SELECT (SELECT count(*) FROM party AS p WHERE p.current AND NOT p.contact)
         - (SELECT count(*) FROM stream WHERE kind = 'person'),
       (SELECT count(DISTINCT key) FROM journal WHERE type = 'person.held.v1')
"""


@dataclass
class Figures:
    """What one phase showed.

    Attributes:
        seconds: from the first POST to the last entry in a feed.
        cpu: CPU seconds by process; PostgreSQL's apart for each service.
        stages: how many referrals each stage has done in this phase.
        settled: whether all of them reached a feed.
        load: the machine's load average, of which this run is a part.
    """

    name: str
    referrals: int
    seconds: float
    cpu: dict[str, float]
    outcome: Outcome
    stages: dict[str, int]
    settled: bool
    load: float

    @property
    def microseconds(self) -> float:
        """CPU time per referral over all processes."""
        return 1e6 * sum(self.cpu.values()) / self.referrals

    @property
    def by_part(self) -> dict[str, float]:
        """CPU microseconds per referral, the dearest first."""
        parts = sorted(self.cpu.items(), key=lambda item: -item[1])
        return {part: 1e6 * spent / self.referrals for part, spent in parts}

    @property
    def rate(self) -> float:
        """Referrals a second that went all the way."""
        return self.referrals / self.seconds

    @property
    def equal(self) -> bool:
        """Whether every stage has done every referral, each party led once."""
        return self.settled and all(done == self.referrals for done in self.stages.values())

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "referrals": self.referrals,
            "seconds": self.seconds,
            "rate": self.rate,
            "microseconds": self.microseconds,
            "by_part": self.by_part,
            "answers": dict(self.outcome.statuses),
            "problems": self.outcome.problems,
            "stages": self.stages,
            "equal": self.equal,
            "load": self.load,
        }


class Run:
    """One run against a stack; referral numbers go on from phase to phase."""

    def __init__(self, stack: Measured, agency: str = "hertfordshire-constabulary") -> None:
        self.stack = stack
        self.agency = agency
        self.number = 0
        self.draw = random.Random(20260101)
        self._token, self._until = "", 0.0
        self._read = dict.fromkeys((*_LEADS, agency), 0)
        self._fed = 0

    def headers(self, media: str = "application/json") -> str:
        """Return request headers with a token that is still good."""
        if time.monotonic() > self._until:
            self._token, self._until = self.stack.token(self.agency), time.monotonic() + 200
        return f"Authorization: Bearer {self._token}\r\nContent-Type: {media}\r\n"

    def bodies(self, count: int, lines: int = 0) -> list[bytes]:
        """Return referrals to post, each alone, or `lines` of them in a body."""
        found = []
        for _ in range(count):
            found.append(json.dumps(referral(self.draw, self.number)).encode())
            self.number += 1
        if not lines:
            return found
        return [b"\n".join(found[n : n + lines]) + b"\n" for n in range(0, count, lines)]

    async def counts(self) -> dict[str, int]:
        """Return how many each stage has done so far."""
        return {
            stage: await self.stack.pools[service].fetchval(sql) for stage, (service, sql) in STAGES.items()
        }

    async def fed(self) -> int:
        """Return how many referrals have reached a feed. Cheap: only what has come since it was asked before is read."""
        pool = self.stack.pools["notifications"]
        for row in await pool.fetch(_NEWLY_FED, list(self._read), list(self._read.values()), self.agency):
            self._read[row["agency"]] = row["last"]
            self._fed += row["fed"]
        return self._fed

    async def left(self) -> dict[str, int]:
        """Return what still waits somewhere: the first thing to look at when counts differ."""
        found = {
            what: await self.stack.pools[service].fetchval(sql) for what, (service, sql) in _WAITING.items()
        }
        return {what: count for what, count in found.items() if count}

    async def alike(self) -> tuple[int, int]:
        """Return how many of the invented people were taken for others, and how many were held for a person to decide."""
        row = await self.stack.pools["intake"].fetchrow(_ALIKE)
        return (row[0], row[1]) if row else (0, 0)

    async def settled(self, wanted: int) -> bool:
        """Wait until so many referrals are in a feed; False if nothing has moved for a while."""
        last, moved = await self.fed(), time.monotonic()
        while last < wanted:
            await asyncio.sleep(0.1)
            now = await self.fed()
            if now != last:
                last, moved = now, time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                return False
        return True

    async def phase(
        self, name: str, count: int, *, rate: float | None, connections: int = 32, lines: int = 0
    ) -> Figures:
        """Post referrals and wait for the last to reach its feed."""
        bodies = self.bodies(count, lines)
        stages = await self.counts()
        before, fed, load = self.stack.cpu_seconds(), await self.fed(), os.getloadavg()[0]
        began = time.perf_counter()
        outcome = await post(
            self.stack.port("intake"),
            "/v1/referral-batches" if lines else "/v1/referrals",
            lambda: self.headers("application/x-ndjson" if lines else "application/json"),
            bodies,
            rate=rate,
            connections=connections,
            lines=bool(lines),
        )
        settled = await self.settled(fed + count)
        seconds = time.perf_counter() - began
        await asyncio.sleep(1)  # what runs after the last event (acknowledgements, deletions) belongs to it
        after = self.stack.cpu_seconds()
        done = {stage: now - stages[stage] for stage, now in (await self.counts()).items()}
        return Figures(
            name=name,
            referrals=count,
            seconds=seconds,
            cpu={part: max(0.0, spent - before.get(part, 0.0)) for part, spent in after.items()},
            outcome=outcome,
            stages=done,
            settled=settled,
            load=(load + os.getloadavg()[0]) / 2,
        )


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")
