"""A lead agency at work: it follows its feed and approaches everyone it leads. And the witness of whom it rang."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.local.demo.client import Client, kind, title

OK, CREATED = 200, 201
# Reasons that pass by themselves, and soon: consent has not yet heard what the others know.
PASSING = {"unknown", "behind", "unavailable", "parked"}
# One that passes when somebody has answered a check: the feed says when.
UNCLEARED = "not-cleared"
ASKED = 40  # times, half a second apart


@dataclass(frozen=True)
class Contact:
    """One attempt that an agency made, by its own record: outside Onefriend, and what the end is checked against."""

    agency: str
    case: str
    person: str
    details: str


@dataclass(frozen=True)
class Refusal:
    """Why a person led was not contacted: which step was refused, its typed reason, and the answer's own words."""

    step: str
    reason: str
    words: str

    @classmethod
    def of(cls, step: str, answer: httpx.Response) -> Refusal:
        """Return what an answer says."""
        return cls(step, kind(answer), title(answer))


@dataclass
class Witness:
    """Every attempt made, in order; and of who was not contacted, by agency and party, the last refusal met."""

    contacts: list[Contact] = field(default_factory=list)
    refusals: dict[tuple[str, str], Refusal] = field(default_factory=dict)

    @property
    def refused(self) -> Counter[str]:
        """How many were refused, by step and reason."""
        return Counter(f"{refusal.step}: {refusal.reason}" for refusal in self.refusals.values())


class Lead:
    """One agency that follows its feed."""

    def __init__(self, client: Client, witness: Witness, moved: Callable[[], None]) -> None:
        self.client = client
        self.witness = witness
        self.moved = moved
        self.cases: dict[str, dict[str, Any]] = {}
        self._after = 0
        self._cleared: set[str] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(8)

    async def skip(self) -> None:
        """Pass over what the feed has already: it is somebody else's to see to."""
        while await self._read(0):
            pass

    async def follow(self) -> None:
        """Read the feed for ever; approach each person led, as soon as the case is cleared."""
        try:
            while True:
                for entry in await self._read(5):
                    self._told(entry)
                    self.moved()
        finally:
            for task in self._busy:
                task.cancel()

    async def _read(self, wait: int) -> list[dict[str, Any]]:
        """Return what is new in the feed."""
        path = f"/v1/feed?after={self._after}&wait={wait}&limit=500"
        try:
            answer = await self.client.call("notifications", "GET", path)
        except httpx.TransportError:
            return []
        if answer.status_code != OK:
            await asyncio.sleep(1)
            return []
        page = answer.json()
        self._after = page["next"]
        return list(page["entries"])

    def _told(self, entry: dict[str, Any]) -> None:
        party, known = entry["party"], self.cases.get(entry["party"])
        if entry["kind"] == "case.allocated" and known is None and entry["data"].get("role") == "harmed":
            self.cases[party] = entry
            self._begin(entry)
        elif entry["kind"] == "case.cleared" and known is not None and known["case"] == entry["case"]:
            self._cleared.add(party)
            refusal = self.witness.refusals.get((self.client.id, party))
            if refusal is not None and refusal.reason == UNCLEARED:
                self._begin(known)

    def _begin(self, entry: dict[str, Any]) -> None:
        self.witness.refusals.pop((self.client.id, entry["party"]), None)
        task = asyncio.create_task(self._approach(entry))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    @property
    def idle(self) -> bool:
        """Whether everyone led has been approached, or could not be."""
        return not self._busy

    async def _approach(self, entry: dict[str, Any]) -> None:
        async with self._at_once:
            try:
                refusal = await self._contact(entry)
            except httpx.TransportError as error:
                refusal = Refusal("call", type(error).__name__, "A service did not answer.")
            # Nothing is waited for since the last look at what is cleared: no news of it is missed.
            if refusal is not None:
                self.witness.refusals[self.client.id, entry["party"]] = refusal

    async def _contact(self, entry: dict[str, Any]) -> Refusal | None:
        permit = await self._permit(entry)
        if isinstance(permit, Refusal):
            return permit
        body = {"permit": permit["permit"], "fence": permit["fence"]}
        release = await self.client.call("intake", "POST", "/v1/releases", json=body)
        if release.status_code != OK:
            return Refusal.of("release", release)
        # From here on a human being has been rung: the agency writes it down before anything else.
        self.witness.contacts.append(
            Contact(self.client.id, entry["case"], entry["data"]["person"], release.text)
        )
        outcome = {"fence": permit["fence"], "outcome": "no_answer"}
        with contextlib.suppress(httpx.TransportError):  # it happened, whoever hears of it
            await self.client.call("consent", "PUT", f"/v1/attempts/{permit['permit']}/outcome", json=outcome)
        self.moved()
        return None

    async def _permit(self, entry: dict[str, Any]) -> dict[str, Any] | Refusal:
        """Ask for a permit to telephone, else to send an e-mail, else a letter."""
        for channel in ("phone", "email"):
            found = await self._ask(entry, channel)
            if not (isinstance(found, Refusal) and found.reason == "channel-unsafe"):
                return found
        return await self._ask(entry, "letter")

    async def _ask(self, entry: dict[str, Any], channel: str) -> dict[str, Any] | Refusal:
        """Ask until it is granted or refused for good."""
        body = {
            "case": entry["case"],
            "person": entry["data"]["person"],
            "purpose": "approach",
            "channel": channel,
        }
        asked = 0
        while True:
            answer = await self.client.call("consent", "POST", "/v1/permits", json=body)
            if answer.status_code == CREATED:
                return dict(answer.json())
            refusal, asked = Refusal.of("permit", answer), asked + 1
            if asked == ASKED or not self._passes(refusal.reason, entry["party"]):
                return refusal
            await asyncio.sleep(0.5)

    def _passes(self, reason: str, party: str) -> bool:
        """Say whether a refusal passes by itself. The feed can be ahead of consent in what is cleared."""
        return reason in PASSING or (reason == UNCLEARED and party in self._cleared)
