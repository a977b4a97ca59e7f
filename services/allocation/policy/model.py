"""A policy once it is read: rules of conditions over finite lists, each with one effect.

A rule's effect is one of the structs below, a type for each section; `shapes` says which section has which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

import msgspec

from services.allocation.policy.clocks import Due
from shared.contracts.envelope import Channel, Hours

REMEMBERED: Final = 10_000
About = Literal["case", "harmed", "responsible", "party", "decision"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something a condition can ask about. `says` begins its sentence; `values` is the whole domain."""

    name: str
    about: About
    says: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Condition:
    """`attribute` must have one of `allowed`.

    `written` are the values that the author listed, in that order; with `excepting` they are those that are not allowed.
    """

    attribute: Attribute
    allowed: frozenset[str]
    written: tuple[str, ...]
    line: int
    excepting: bool = False


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule decides."""


class Word(Effect, frozen=True, kw_only=True):
    """One word: a sensitive class that applies, who supervises by statute, or the duty towards a victim."""

    word: str


class Choice(Effect, frozen=True, kw_only=True):
    """The first agency of `agency` that can take it, or the least loaded of them. Symbols stand for agencies of the case."""

    agency: tuple[str, ...]
    choose: Literal["in_order", "least_loaded"] = "in_order"
    team: str | None = None


class Path(Effect, frozen=True, kw_only=True):
    """Agencies to which a lead may be handed over, with the person's agreement, in order."""

    to: tuple[str, ...]


class Team(Effect, frozen=True, kw_only=True):
    """Who is needed to deliver. None and empty ask for nothing; the stricter of partnership and nation counts."""

    facilitators: int | None = None
    different_agencies: bool | None = None
    one_from_each: tuple[tuple[str, ...], ...] = ()
    training: str | None = None
    experience: str | None = None
    supervision: str | None = None
    specialism: tuple[str, ...] = ()
    neutral_to: tuple[str, ...] = ()
    travel_km: int | None = None


class Worker(Effect, frozen=True, kw_only=True):
    """Who may be the named worker that makes the first contact, and the hours that it must have free for the case."""

    roles: tuple[str, ...] = ()
    training: str | None = None
    neutral_to: tuple[str, ...] = ()
    work_hours: int | None = None


class Fund(Effect, frozen=True, kw_only=True):
    """Who pays: a fund that the policy names, or an agency from its own budget; and who pays costs beside delivery."""

    payer: tuple[str, ...]
    extras: str | None = None
    basis: str | None = None


class Ask(Effect, frozen=True, kw_only=True):
    """A check: the question, about whom, and whose approach (or the delivery, or the closing of the case) waits.

    One check is asked for each entry of `asks`; an entry is candidates in order.
    """

    check: str
    about: Literal["harmed", "responsible", "case"]
    gates: tuple[Literal["harmed", "responsible", "delivery", "closing"], ...]
    asks: tuple[tuple[str, ...], ...]
    due: Due
    question: str
    after: tuple[str, ...] = ()
    remind: Due | None = None


class Hold(Effect, frozen=True, kw_only=True):
    """Nobody of `of` is approached, for a reason (a code), until facts change; looked at again at `review`."""

    reason: str
    of: tuple[Literal["harmed", "responsible"], ...]
    review: Due
    missing: tuple[str, ...] = ()


class LimitRule(Effect, frozen=True, kw_only=True):
    """Limits on the approach of one person. `sessions` are those of a programme, under a conversation lease."""

    attempts: int | None = None
    gap_days: int | None = None
    approach_gap_days: int | None = None
    hours: Hours | None = None
    channels: tuple[Channel, ...] | None = None
    outcome_due_hours: int | None = None
    sessions: int | None = None


class ClockRule(Effect, frozen=True, kw_only=True):
    """Something that must be done by a moment."""

    clock: str
    due: Due
    duty: str


class Forms(Effect, frozen=True, kw_only=True):
    """What can be offered, and how many people may take part."""

    forms: tuple[str, ...]
    participants: int | None = None


class Told(Effect, frozen=True, kw_only=True):
    """What somebody is told."""

    to: tuple[Literal["harmed", "responsible", "referrer"], ...]
    say: str


class Queue(Effect, frozen=True, kw_only=True):
    """Cases that wait for capacity, and in what order they leave the queue."""

    queue: str
    order: str


class Meeting(Effect, frozen=True, kw_only=True):
    """A meeting whose agenda the case is put on, and how often it meets."""

    meeting: str
    every: str
    why: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one section. `policy` is the id of the file it stands in."""

    id: str
    section: str
    policy: str
    file: str
    line: int
    conditions: tuple[Condition, ...]
    because: str
    effect: Effect


class Rules(tuple[Rule, ...]):  # noqa: SLOT001  a tuple can have no slots of its own
    """Rules in the order of evaluation, with what is remembered of it.

    A rule sees only the values of the conditions that its list names, so the outcome for one set of values is always the
    same: `remembered` keeps it, and `together` the stricter of two effects. Both are bounded and only save work.
    """

    names: tuple[str, ...]
    remembered: dict[object, object]
    together: dict[tuple[str, str], Effect]

    def __new__(cls, rules: Iterable[Rule] = ()) -> Self:
        """Make the list and note which conditions it asks about."""
        made = super().__new__(cls, rules)
        made.names = tuple(dict.fromkeys(c.attribute.name for rule in made for c in rule.conditions))
        made.remembered = {}
        made.together = {}
        return made

    def remember(self, values: object, outcome: object) -> None:
        """Keep an outcome; forget all when there are too many."""
        if len(self.remembered) >= REMEMBERED:
            self.remembered.clear()
        self.remembered[values] = outcome


@dataclass(frozen=True, slots=True)
class Partner:
    """An agency of a partnership. `excludes`: cases it does not take (each a list of conditions, all of which must hold)."""

    id: str
    kind: str
    name: str
    line: int
    areas: frozenset[str] = frozenset()
    facilitators: int | None = None
    excludes: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Area:
    """A police area or a part of one. `within` is itself and everything that contains it."""

    id: str
    name: str
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Partnership:
    """One policy file with the national rules that it inherits.

    `version` is what the author declared, `digest` the hash of this file and of everything that it inherits: together they
    name the policy under which a case was decided. `rules` and `national` hold each section's rules in the file's order,
    `plan` the partnership's and the nation's together in the order of evaluation (in strictest sections its own only);
    `places` every name (case-folded) of an area that the partnership covers; `domains` the values of every condition;
    `scales` the words that are ordered, from the least to the most demanding.
    """

    id: str
    name: str
    version: str
    digest: str
    source: str
    file: str
    areas: tuple[str, ...]
    partners: Mapping[str, Partner]
    funds: Mapping[str, str]
    programmes: Mapping[str, str]
    rules: Mapping[str, Rules]
    national: Mapping[str, Rules]
    plan: Mapping[str, Rules]
    places: Mapping[str, Area]
    domains: Mapping[str, frozenset[str]]
    scales: Mapping[str, tuple[str, ...]]

    @property
    def reference(self) -> str:
        """`hertfordshire 1 (3f0c9a12b7de)`: what a case keeps of the policy that decided it."""
        return f"{self.id} {self.version} ({self.digest})"
