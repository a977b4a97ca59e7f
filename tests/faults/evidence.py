"""What was left behind, arranged by human being: the provider's log, each agency's own record, all journals.

Nothing that a service counts or claims of itself is believed. Who is one human is known from `people.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.arena import Arena, Event
from tests.faults.people import Human
from tests.faults.record import Told


@dataclass(frozen=True, slots=True)
class Contact:
    """A call or an e-mail that the provider carried, with the permit that its sender went by."""

    at: float
    human: Human
    means: str
    by: str
    permit: str


class Evidence:
    """All of it, arranged by human being."""

    def __init__(self, arena: Arena) -> None:
        """Arrange what the arena has read."""
        self.arena = arena
        self.shift = arena.onefriend.shift
        self.events = sorted(arena.journal.values(), key=lambda e: (e.service, e.topic, e.key, e.sequence))
        self.human_of: dict[str, Human] = {}
        for event in self.events:
            if event.type.startswith("person.referred") and event.data["case"] in arena.pairs:
                harmed, responsible = arena.pairs[event.data["case"]]
                self.human_of[event.key] = harmed if event.data["role"] == "harmed" else responsible
        # Ids that intake has found to be one human with another, and has not taken apart again.
        self.linked: set[str] = set()
        for event in sorted(self.of("person.linked", "person.unlinked"), key=lambda e: e.at):
            (self.linked.add if ".linked" in event.type else self.linked.discard)(event.key)
        self.granted = {e.data["permit"]: e for e in self.of("permit.granted")}
        # Every case that a human has ever been in: one that was joined or taken apart is no referral's any more.
        self.cases: dict[str, set[Human]] = defaultdict(set)
        for event in self.of("person.referred"):
            if event.key in self.human_of:
                self.cases[event.data["case"]].add(self.human_of[event.key])
        # Open cases as allocation last told of them. Of a closed one nobody leads any more, and the person may be led anew;
        # likewise where the hub was asked what is to become of it, because the person turned out to be led elsewhere.
        self.allocated: dict[str, Event] = {}
        for event in self.of("case.allocated", "case.needs_decision", "case.closed"):
            if ".allocated" in event.type:
                self.allocated[event.key] = event
            elif ".closed" in event.type or event.data["reason"] == "linked":
                self.allocated.pop(event.key, None)
        self.redeemed: dict[str, list[Event]] = defaultdict(list)
        for event in self.of("permit.redeemed"):
            self.redeemed[event.data["permit"]].append(event)
        self.permit_of_message = {
            t.body["message"]: t.body["permit"]
            for t in arena.records.of("message")
            if "message" in t.body and "permit" in t.body
        }
        self.contacts = [self._contact(line) for line in arena.contacts()]

    def of(self, *names: str) -> Iterator[Event]:
        """Return the journals' events of some types, each key's in order."""
        return (e for e in self.events if e.type.rpartition(".v")[0] in names)

    def _contact(self, line: dict[str, Any]) -> Contact:
        human = self.arena.humans[digits(line["to"])]
        permit = line.get("permit") or self.permit_of_message.get(line.get("message", ""), "")
        by = self.granted[permit].data["agency"] if permit in self.granted else line["by"]
        return Contact(line["at"], human, line["means"], by, permit)

    def person_of(self, permit: str) -> Human | None:
        """Return whom a permit is for."""
        granted = self.granted.get(permit)
        return self.human_of.get(granted.key) if granted else None

    def story(self, human: Human) -> list[str]:
        """Tell all that happened to one human, in order: who was contacted, when and why."""
        lines: list[tuple[float, str]] = [
            (c.at, f"CONTACT by {c.means} on behalf of {c.by}, permit {c.permit or '?'}")
            for c in self.contacts
            if c.human == human
        ]
        for event in self.events:
            if self.human_of.get(event.key) == human and event.service in {"consent", "intake"}:
                told = {k: v for k, v in event.data.items() if k not in {"safety", "limits"} and v}
                lines.append(
                    (
                        event.at - self.shift,
                        f"{event.service} {event.key[-8:]}#{event.sequence} {event.type} {told}",
                    )
                )
        lines += [(t.answered_at, t.line()) for t in self.arena.records.told if self._is_about(t, human)]
        return [f"{at:.3f} {text}"[:300] for at, text in sorted(lines)][-60:]

    def heard_of_lead(self, agency: str, person: str) -> bool:
        """Whether an agency was told that it leads this person."""
        return any(told.agency == agency and told.about == person for told in self.arena.records.of("led"))

    def heard_of_no(self, agency: str, human: Human) -> bool:
        """Whether an agency's feed told it that this human takes part no longer."""
        for told in self.arena.records.of("feed"):
            entry = told.body
            if told.agency == agency and human in self.cases.get(entry.get("case", ""), ()):
                reason = (entry.get("data") or {}).get("reason")
                if entry["kind"] == "consent.withdrawn" or reason == "withdrawn":
                    return True
        return False

    def is_no_of(self, told: Told, human: Human) -> bool:
        """Whether a withdrawal was this human's: by what is known of them, by their link, or by an id."""
        return human.phone in told.about or any(
            key in told.about for key, other in self.human_of.items() if other == human
        )

    def _is_about(self, told: Told, human: Human) -> bool:
        if told.what in {"withdrawal", "link"}:
            return self.is_no_of(told, human)
        if told.what == "led":
            return self.human_of.get(told.about) == human
        return told.what in {"release", "outcome", "message"} and self.person_of(told.about) == human


def digits(to: str) -> str:
    """Return an address as the population wrote it: a number in its national form."""
    return to if "@" in to else "0" + "".join(c for c in to if c.isdigit())[-10:]
