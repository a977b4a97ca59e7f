"""What a decision is: the changes that follow from it, or a refusal with a typed reason.

A rule reads a situation (the ledgers that are locked) and returns a Decision. It is pure: the situation is never touched;
the Decision keeps its own view of it, evolved change by change, so that later steps of one rule see what earlier ones did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

from services.consent.domain.evolve import evolve
from services.consent.domain.facts import CaseFact
from services.consent.domain.state import CaseState, PersonState
from services.consent.domain.taking_in import evolve_case
from shared.contracts.consent import PermitEnded
from shared.contracts.envelope import Payload, datetime

Reason = Literal[
    "agreement_elsewhere", "agreement_expired", "already_approached", "already_asked", "already_redeemed", "approach_gap",
    "attempt_gap", "attempted", "attempts_spent", "behind", "carried_over", "case_closed", "channel_unsafe", "closed",
    "contact_person_conflict", "counterpart_withdrawn", "declined", "erased", "expired", "fence", "hours_unsafe",
    "in_flight", "led_elsewhere", "needs_contact_person", "needs_date", "no_agreement", "no_lead", "not_before",
    "not_cleared", "not_contact_person", "not_found", "not_lead", "not_live", "not_named_worker", "not_sender", "on_hold",
    "parked", "paused", "permit_live", "prior_no", "prior_not_now_undated", "reached", "restored", "same_lead",
    "second_person", "too_early", "too_late", "unknown", "unresolved", "unsafe", "withdrawn",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """No, and why. `second_approach`: a near miss. `not_before`: when asking again makes sense, if that is known."""

    reason: Reason
    second_approach: bool = False
    not_before: datetime | None = None


class Change(NamedTuple):
    """One change. "tell": an event about a person; "note": a fact that only its ledger takes in; "case": one of a case."""

    how: Literal["tell", "note", "case"]
    key: str
    what: object


S = TypeVar("S", covariant=True)
P = TypeVar("P", bound=Payload)


class Locked(Protocol[S]):
    """What is locked, by key. Raises KeyError for a key that is not: a rule may not decide about what can still change."""

    def __getitem__(self, key: str, /) -> S:
        """Return the state of a key."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Ledgers and cases as they are locked."""

    people: Locked[PersonState]
    cases: Locked[CaseState] = field(default_factory=dict)


class Decision:
    """The changes that follow, in order, with the situation as they make it."""

    __slots__ = ("_base", "_cases", "_people", "changes", "refusal")

    def __init__(self, situation: Situation) -> None:
        """Begin with none."""
        self._base = situation
        self._people: dict[str, PersonState] = {}
        self._cases: dict[str, CaseState] = {}
        self.changes: list[Change] = []
        self.refusal: Refusal | None = None

    def person(self, key: str) -> PersonState:
        """Return the ledger of this id as this decision has it so far."""
        changed = self._people.get(key)
        return self._base.people[key] if changed is None else changed

    def case(self, key: str) -> CaseState:
        """Return the case as this decision has it so far."""
        changed = self._cases.get(key)
        return self._base.cases[key] if changed is None else changed

    def tell(self, key: str, *events: Payload) -> None:
        """Record events of a person."""
        for event in events:
            self._people[key] = evolve(self.person(key), event)
            self.changes.append(Change("tell", key, event))

    def note(self, key: str, fact: object) -> None:
        """Let a ledger take in a fact, unless it knows it already."""
        before = self.person(key)
        after = evolve(before, fact)
        if after != before:
            self._people[key] = after
            self.changes.append(Change("note", key, fact))

    def note_case(self, key: str, fact: CaseFact) -> None:
        """Let a case take in a fact, unless it knows it already."""
        before = self.case(key)
        after = evolve_case(before, fact)
        if after != before:
            self._cases[key] = after
            self.changes.append(Change("case", key, fact))

    def refuse(
        self, reason: Reason, *, second_approach: bool = False, not_before: datetime | None = None
    ) -> Decision:
        """Make it a refusal."""
        self.refusal = Refusal(reason, second_approach, not_before)
        return self

    def told(self, kind: type[P]) -> list[tuple[str, P]]:
        """Return the events of one kind that follow, with their keys."""
        return [(c.key, c.what) for c in self.changes if c.how == "tell" and isinstance(c.what, kind)]

    def people(self) -> dict[str, PersonState]:
        """Return the ledgers that the decision changes, as they become."""
        return self._people

    def cases(self) -> dict[str, CaseState]:
        """Return the cases that the decision changes, as they become."""
        return self._cases

    # --- what several rules do

    def group(self, key: str) -> tuple[str, ...]:
        """Return all ids of the human known as `key`, itself among them, sorted."""
        links = self.person(key).links
        if not links:
            return (key,)
        found, todo = {key}, [link.id for link in links if link.holds]
        while todo:
            other = todo.pop()
            if other not in found:
                found.add(other)
                todo += [link.id for link in self.person(other).links if link.holds]
        return tuple(sorted(found))

    def groups(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return all ids of several humans."""
        return tuple(sorted({member for key in keys for member in self.group(key)}))

    def revoke(self, keys: Iterable[str], reason: str, *, case: str | None = None) -> None:
        """End the unredeemed permits of these ids (with `case`, those for it). A redeemed one ends by its outcome alone."""
        for key in keys:
            permit = self.person(key).permit
            if permit is not None and not permit.redeemed and (case is None or permit.case == case):
                self.tell(key, PermitEnded(permit=permit.id, how="revoked", reason=reason))


def circle(state: PersonState) -> set[str]:
    """Return whom a person's own answer concerns besides: those spoken to for it, and those it speaks for."""
    return {other for part in state.parts for other in (*part.contact_persons, *part.speaks_for)}
