"""Agencies that behave as real ones do: they retry, click twice, lose patience, and keep two workers.

Each writes down what it was told. It rings only on the strength of details that it holds in its hand, and within `use_by`;
what it does not know to have happened it reports as unknown. It never rings twice on one permit: nothing of ours stops a
person from doing so, and the promise does not cover it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tests.faults.record import Records, Told, What
from tests.support.fleet import Fleet

OK, CREATED, ACCEPTED = 200, 201, 202
PATIENCE = 45.0
# What passes by itself: not cleared yet, not heard of yet, consent away.
PASSING = {
    "not-cleared",
    "unknown",
    "behind",
    "unavailable",
    "parked",
    "503",
    "permit-live",
    "no-lead",
    "restored",
}
OUTCOMES = ("no_answer", "no_answer", "voicemail", "declined", "agreed", "unknown")


def kind(status: int, body: dict[str, Any]) -> str:
    """Return why not: the last part of a problem's type, or the status."""
    return str(body.get("type", status)).rsplit("/", 1)[-1]


@dataclass
class Agency:
    """One agency, and its record of this history."""

    name: str
    onefriend: Fleet
    calls: int
    records: Records
    draw: random.Random
    begun: set[str] = field(default_factory=set)
    busy: set[asyncio.Task[None]] = field(default_factory=set)
    after: int = 0
    # Others who hear of our cases, and try too.
    rivals: list[Agency] = field(default_factory=list)

    # --- asking

    async def once(
        self, what: What, about: str, service: str, method: str, path: str, **more: Any
    ) -> Told | None:
        """Ask once; None if no answer came, which is written down nowhere because nothing was learnt."""
        asked = time.time()
        try:
            answer = await self.onefriend.call(service, method, path, self.name, timeout=4, **more)
        except httpx.HTTPError:
            return None
        try:
            body = answer.json()
        except ValueError:
            body = {}
        told = Told(
            self.name,
            what,
            about,
            asked,
            time.time(),
            answer.status_code,
            body if isinstance(body, dict) else {},
        )
        self.records.told.append(told)
        return told

    async def patiently(
        self, what: What, about: str, service: str, method: str, path: str, **more: Any
    ) -> Told | None:
        """Ask under one key until something other than "not now" is answered; sometimes click twice."""
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            asking = [self.once(what, about, service, method, path, headers=headers, **more)]
            if self.draw.random() < 0.2:
                asking.append(self.once(what, about, service, method, path, headers=headers, **more))
            for told in await asyncio.gather(*asking):
                if told is not None and told.status != 503 and kind(told.status, told.body) != "in-flight":
                    return told
            await asyncio.sleep(self.draw.uniform(0.2, 0.8))
        return None

    async def refer(self, document: dict[str, Any]) -> str | None:
        """Post a referral until it is acknowledged; return its id. Its own reference makes repeating harmless."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            told = await self.once(
                "referral", document["reference"], "intake", "POST", "/v1/referrals", json=document
            )
            if told is not None and told.status in {OK, ACCEPTED}:
                return str(told.body["referral"])
            await asyncio.sleep(self.draw.uniform(0.1, 0.5))
        return None

    # --- following its feed

    async def follow(self) -> None:
        """Read the feed for ever, and approach everyone that it says we lead."""
        while True:
            await self.read()
            await asyncio.sleep(0.15)

    async def read(self) -> None:
        """Read what is new in the feed, and begin what it asks for."""
        try:
            entries = await self.onefriend.feed(self.name, self.after)
        except (httpx.HTTPError, AssertionError, ValueError):
            return
        for entry in entries:
            self.after = max(self.after, entry["number"])
            led, now = entry["kind"] == "case.allocated", time.time()
            told = Told(self.name, "led" if led else "feed", str(entry.get("party")), now, now, OK, entry)
            self.records.told.append(told)
            if led and entry["party"] not in self.begun:
                self.begun.add(entry["party"])
                self.start(self.approach(entry))
                if self.rivals and self.draw.random() < 0.4:  # a share
                    rival = self.draw.choice(self.rivals)
                    rival.start(rival.approach(entry))

    def start(self, work: Any) -> None:
        """Do something beside the rest; the history waits for it."""
        task = asyncio.create_task(work)
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)

    # --- contact

    async def approach(self, entry: dict[str, Any]) -> None:
        """Ask for a permit until it is granted or refused for good; then make the attempt, by telephone or by e-mail."""
        channel = self.draw.choice(("phone", "phone", "email"))
        workers = self.draw.sample(("worker-1", "worker-2"), self.draw.choice((1, 1, 2)))
        # Two workers who do not know of each other ask at once.
        permits = await asyncio.gather(*(self.permit(entry, channel, worker) for worker in workers))
        attempts = []
        for worker, told in zip(workers, permits, strict=True):
            if told is not None and told.status == CREATED:
                attempt = self.ring if channel == "phone" else self.write
                attempts.append(attempt(told.body["permit"], told.body["fence"], worker))
        if attempts and self.draw.random() < 0.25:  # a share: says no at this very moment, to somebody else
            attempts.append(self.draw.choice(self.rivals or [self]).no_from(entry))
        await asyncio.gather(*attempts)
        if attempts and self.draw.random() < 0.15:  # a share
            await self.hand_over(entry)

    async def no_from(self, entry: dict[str, Any]) -> None:
        """Take a no from somebody whom another agency is about to contact."""
        await asyncio.sleep(self.draw.uniform(0, 1.2))
        await self.withdraw({"person": entry["party"]})

    async def hand_over(self, entry: dict[str, Any]) -> None:
        """Ask that whoever policy names take over: whether that may be is for others to say."""
        path = f"/v1/cases/{entry['case']}"
        read = await self.once("hand-over", entry["party"], "allocation", "GET", path)
        if read is not None and read.status == OK:
            body = {"party": entry["party"], "reason": "interested"}
            headers = {"If-Match": read.etag, "Idempotency-Key": f'"{uuid.uuid4()}"'}
            path += "/hand-over"
            await self.once(
                "hand-over", entry["party"], "allocation", "POST", path, json=body, headers=headers
            )

    async def permit(self, entry: dict[str, Any], channel: str, worker: str = "worker-1") -> Told | None:
        """Ask until granted or refused for good."""
        body = {"case": entry["case"], "person": entry["party"], "purpose": "approach", "channel": channel}
        told: Told | None = None
        for _ in range(20):
            told = await self.patiently(
                "permit", entry["case"], "consent", "POST", "/v1/permits", json=body, worker=worker
            )
            if told is None or told.status == CREATED or kind(told.status, told.body) not in PASSING:
                return told
            await asyncio.sleep(self.draw.uniform(0.2, 0.6))
        return told

    async def ring(self, permit: str, fence: int, worker: str) -> None:
        """Release, dial, speak, and write down what came of it."""
        body = {"permit": permit, "fence": fence}
        details: Told | None = None
        for _ in range(30):
            # Sometimes clicked twice, or given up on too early and asked again: one answer at most has the details.
            asking = [
                self.once("release", permit, "intake", "POST", "/v1/releases", json=body, worker=worker)
                for _ in range(self.draw.choice((1, 1, 2)))
            ]
            answers = [told for told in await asyncio.gather(*asking) if told is not None]
            details = next((told for told in answers if told.status == OK), None)
            if details is not None or any(kind(t.status, t.body) not in PASSING for t in answers):
                break
            await asyncio.sleep(self.draw.uniform(0.2, 0.6))
        if details is None:
            return
        await asyncio.sleep(self.draw.uniform(0, 1.0))
        phones = details.body.get("phones") or []
        late = self.now() >= datetime.fromisoformat(details.body["use_by"]).timestamp()
        outcome = "not_made"
        if phones and not late:
            await self.dial(str(phones[0]), permit)
            outcome = self.draw.choice(OUTCOMES)
        await asyncio.sleep(self.draw.uniform(0, 0.5))
        more = {"agreement": {"scope": ["be_contacted"]}} if outcome == "agreed" else {}
        await self.patiently(
            "outcome", permit, "consent", "PUT", f"/v1/attempts/{permit}/outcome",
            json={"fence": fence, "outcome": outcome, **more}, worker=worker,
        )  # fmt: skip

    def now(self) -> float:
        """Return the time of the services' shifted clock."""
        return time.time() + self.onefriend.shift

    async def dial(self, number: str, permit: str) -> None:
        """Ring somebody: from the moment at which the exchange has it, it has happened."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.calls)
        writer.write((json.dumps({"by": self.name, "to": number, "permit": permit}) + "\n").encode())
        await reader.readline()
        writer.close()

    async def write(self, permit: str, fence: int, worker: str) -> None:
        """Have an e-mail sent."""
        body = {"permit": permit, "fence": fence, "template": "approach"}
        for _ in range(20):
            told = await self.patiently(
                "message", permit, "notifications", "POST", "/v1/messages", json=body, worker=worker
            )
            if told is None or kind(told.status, told.body) not in PASSING:
                return
            await asyncio.sleep(0.3)

    # --- a person says no

    async def withdraw(self, whom: dict[str, Any]) -> Told | None:
        """Take a no: by the person's id or by what is known of them, until it is acknowledged."""
        body = {"scope": "everything", "by": "person", **whom}
        return await self.patiently(
            "withdrawal", json.dumps(whom), "intake", "POST", "/v1/withdrawals", json=body
        )
