"""A lead agency at work: it follows its feed and approaches everyone it leads. And the witness of whom it rang."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.local.demo.client import Client, kind

OK, CREATED = 200, 201
# Reasons that pass by themselves: the case is not cleared yet, or consent has not yet heard what intake knows.
PASSING = {"not-cleared", "unknown", "behind", "unavailable", "parked"}


@dataclass(frozen=True)
class Contact:
    """One attempt that an agency made, by its own record: outside Onefriend, and what the end is checked against."""

    agency: str
    case: str
    person: str
    details: str


@dataclass
class Witness:
    """Every attempt made, in order, and every refusal met."""

    contacts: list[Contact] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)


class Lead:
    """One agency that follows its feed."""

    def __init__(self, client: Client, witness: Witness, moved: Callable[[], None]) -> None:
        self.client = client
        self.witness = witness
        self.moved = moved
        self.cases: dict[str, dict[str, Any]] = {}
        self._after = 0
        self._busy: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(8)

    async def follow(self) -> None:
        """Read the feed for ever; approach each person led."""
        while True:
            try:
                answer = await self.client.call(
                    "notifications", "GET", f"/v1/feed?after={self._after}&wait=5&limit=200"
                )
            except httpx.TransportError:
                continue
            if answer.status_code != OK:
                await asyncio.sleep(1)
                continue
            for entry in answer.json()["entries"]:
                self._after = max(self._after, entry["number"])
                new = entry["kind"] == "case.allocated" and entry["party"] not in self.cases
                if new and entry["data"].get("role") == "harmed":
                    self.cases[entry["party"]] = entry
                    task = asyncio.create_task(self._approach(entry))
                    self._busy.add(task)
                    task.add_done_callback(self._busy.discard)
                self.moved()

    @property
    def idle(self) -> bool:
        """Whether everyone led has been approached, or could not be."""
        return not self._busy

    async def _approach(self, entry: dict[str, Any]) -> None:
        async with self._at_once:
            permit = await self._permit(entry)
            if permit is None:
                return
            body = {"permit": permit["permit"], "fence": permit["fence"]}
            release = await self.client.call("intake", "POST", "/v1/releases", json=body)
            if release.status_code != OK:
                self.witness.refusals[f"release: {kind(release)}"] += 1
                return
            # From here on a human being has been rung: the agency writes it down before anything else.
            self.witness.contacts.append(
                Contact(self.client.id, entry["case"], entry["data"]["person"], release.text)
            )
            outcome = {"fence": permit["fence"], "outcome": "no_answer"}
            await self.client.call("consent", "PUT", f"/v1/attempts/{permit['permit']}/outcome", json=outcome)
            self.moved()

    async def _permit(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Ask for a permit until it is granted or refused for good; by telephone, else by e-mail, else by letter."""
        reason = ""
        for channel in ("phone", "email", "letter"):
            for _ in range(40):
                body = {
                    "case": entry["case"],
                    "person": entry["data"]["person"],
                    "purpose": "approach",
                    "channel": channel,
                }
                answer = await self.client.call("consent", "POST", "/v1/permits", json=body)
                if answer.status_code == CREATED:
                    return dict(answer.json())
                reason = kind(answer)
                if reason not in PASSING:
                    break
                await asyncio.sleep(0.5)
            if reason != "channel-unsafe":
                break
        self.witness.refusals[f"permit: {reason}"] += 1
        return None
