"""Breadth first over all short histories, each distinct state once, the promise checked at each state and each step.

python -m tests.exploration            everything: at least a million distinct states, then every wrong variant
python -m tests.exploration --small    what the tests run
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.intake.domain.people import PersonState
from tests.exploration import promises
from tests.exploration.alphabets import TWO_DAYS, Alphabet, steps_of
from tests.exploration.consent import Deciding
from tests.exploration.promises import Broken
from tests.exploration.rules import Rules, real
from tests.exploration.steps import Engine, Step
from tests.exploration.world import Clock, Intake, Row, Witness, World
from tests.support.promise import Violation

Ids = tuple[int, int, int, int, int]
PARTS = "kircw"
BITS = 26
# What goes on by itself, once people and faults do nothing more.
BY_ITSELF = ("apply", "park", "withdraw", "crash", "release", "overdue", "expiry")


BEFORE_IT = (
    "A referral names record a",
    "A referral names record b",
    "Consent applies the next event about a",
    "Consent applies the next event about b",
    "Allocation claims a for agency X",
    "Allocation claims b for agency Y",
)


@dataclass
class Found:
    """What one exploration came to. `seconds` are those of one core, whatever else it had to do."""

    alphabet: str
    states: int = 0
    steps: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = False
    happened: set[str] = field(default_factory=set)
    violation: Violation | None = None


class Parts:
    """Each value of one part of a world, kept once and numbered."""

    def __init__(self, key: Callable[[Any], Any]) -> None:
        self._key = key
        self._numbers: dict[Any, int] = {}
        self.values: list[Any] = []

    def number(self, value: Any) -> int:
        key = self._key(value)
        found = self._numbers.setdefault(key, len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


def _intake_key(i: Intake) -> bytes:
    return (
        msgspec.json.encode((i.people, i.log, i.withdrawals), order="sorted")
        + repr([[type(event).__name__ for event in log] for log in i.log]).encode()
    )


class Exploration:
    """One alphabet, explored with one set of rules."""

    def __init__(self, alphabet: Alphabet, rules: Rules | None = None) -> None:
        rules = rules or real()
        incidents = ("incident", "incident" if alphabet.one_incident else "another incident")
        self.alphabet = alphabet
        deciding = Deciding(rules, incidents, alphabet.attempts)
        self.engine = Engine(rules, deciding, incidents, alphabet.links, alphabet.ticks, alphabet.attempts)
        self.steps = steps_of(alphabet)
        self._parts = [Parts(lambda v: v) for _ in PARTS]
        self._parts[1] = Parts(_intake_key)
        self._reads = [tuple(PARTS.index(letter) for letter in step.reads) for step in self.steps]
        self._memo: list[dict[tuple[int, ...], tuple[tuple[int, int], ...] | None]] = [{} for _ in self.steps]
        self._consents: dict[int, tuple[Broken, ...]] = {}
        self._mays: dict[tuple[int, int], tuple[Broken, ...]] = {}
        self._witnessed: dict[tuple[int, int], tuple[Broken, ...]] = {}
        self._rests: dict[Ids, tuple[Broken, ...]] = {}
        kinds = frozenset(BY_ITSELF)
        self._settling = steps_of(Alphabet("rest", kinds, alphabet.permits, alphabet.links, alphabet.ticks))

    # --- worlds and numbers

    def ids(self, w: World) -> Ids:
        numbers = [parts.number(value) for parts, value in zip(self._parts, w, strict=True)]
        return tuple(numbers)  # type: ignore[return-value]

    def world(self, ids: Ids) -> World:
        return World(*(parts.values[n] for parts, n in zip(self._parts, ids, strict=True)))

    def begin(self) -> World:
        """Return the world before anything happens."""
        count = self.alphabet.permits
        e = self.engine
        w = World(
            Clock(),
            Intake((PersonState(), PersonState()), ((), ()), (None, None)),
            (Row(),) * count,
            e.deciding.begin(count),
            Witness((None,) * count, (None, None)),
        )
        for says in BEFORE_IT if self.alphabet.begun else ():
            w = _named(says).run(e, w) or w
        return w

    def take(self, n: int, ids: Ids) -> Ids | None:
        """Return the world after a step, or None. Worked out once for the parts that the step reads."""
        key = tuple([ids[j] for j in self._reads[n]])
        memo = self._memo[n]
        if key in memo:
            changes = memo[key]
        else:
            changes = memo[key] = self._work_out(self.steps[n], ids)
        if changes is None:
            return None
        after = list(ids)
        for part, value in changes:
            after[part] = value
        return tuple(after)  # type: ignore[return-value]

    def _work_out(self, step: Step, ids: Ids) -> tuple[tuple[int, int], ...] | None:
        before = self.world(ids)
        after = step.run(self.engine, before)
        if after is None:
            return None
        changes = [
            (n, parts.number(new))
            for n, (parts, old, new) in enumerate(zip(self._parts, before, after, strict=True))
            if new is not old
        ]
        changed = tuple((n, value) for n, value in changes if value != ids[n])
        return changed or None

    # --- the promise

    def _broken(self, ids: Ids) -> Iterator[Broken]:
        clock, _, _, consent, witness = ids
        c = self._parts[3].values[consent]
        if consent not in self._consents:
            self._consents[consent] = tuple(promises.of_consent(self.engine, c))
        yield from self._consents[consent]
        if (clock, consent) not in self._mays:
            now = self._parts[0].values[clock]
            self._mays[clock, consent] = tuple(promises.may_i(self.engine, c, now))
        yield from self._mays[clock, consent]
        if (consent, witness) not in self._witnessed:
            w = self._parts[4].values[witness]
            self._witnessed[consent, witness] = tuple(promises.of_witness(w, c))
        yield from self._witnessed[consent, witness]

    def _at_rest(self, ids: Ids) -> tuple[Broken, ...]:
        """Return what is not agreed on when everything that goes on by itself has gone on."""
        w = self.world(ids)
        later = w.clock._replace(ticks=w.clock.ticks + 1, minutes=w.clock.minutes + TWO_DAYS)
        w = w._replace(clock=later, rows=tuple(row._replace(trying=None) for row in w.rows))
        again = True
        while again:
            again = False
            for step in self._settling:
                if "cannot handle" in step.says or "presents" in step.says or "withdraws;" in step.says:
                    continue
                after = step.run(self.engine, w)
                if after is not None and after != w:
                    w, again = after, True
        return tuple(promises.of_rest(w))

    # --- the search

    def run(  # noqa: C901 - the innermost loop of a search
        self, *, depth: int | None = None, states: int = 10**9, rest_every: int = 50
    ) -> Found:
        """Explore to a depth or a number of states; stop at the first violation. Every n-th state is brought to rest."""
        began, found = time.process_time(), Found(self.alphabet.name)
        limit = depth if depth is not None else self.alphabet.depth
        first = self.ids(self.begin())
        seen = {_pack(first)}
        order = [_pack(first)]
        parents, taken = array("i", [-1]), array("h", [-1])
        at, level_end = 0, 1
        while at < len(order):
            if at == level_end:
                found.depth += 1
                level_end = len(order)
                if found.depth >= limit:
                    break
            ids = _unpack(order[at])
            for n in range(len(self.steps)):
                after = self.take(n, ids)
                if after is None:
                    continue
                found.steps += 1
                broken = None
                if ids[3] != after[3] or ids[4] != after[4]:
                    broken = next(promises.of_step(self.engine, self.world(ids), self.world(after)), None)
                packed = _pack(after)
                if packed not in seen:
                    seen.add(packed)
                    order.append(packed)
                    parents.append(at)
                    taken.append(n)
                    found.happened.add(self.steps[n].says)
                    broken = broken or next(self._broken(after), None)
                    if broken is None and len(order) % rest_every == 0:
                        broken = next(iter(self._at_rest(after)), None)
                if broken is not None:
                    found.violation = Violation(*broken, self._story(parents, taken, at, n))
                    return self._end(found, order, began)
            at += 1
            if len(order) >= states:
                return self._end(found, order, began)
        found.complete = at >= len(order)
        return self._end(found, order, began)

    def _end(self, found: Found, order: list[int], began: float) -> Found:
        found.states, found.seconds = len(order), time.process_time() - began
        return found

    def _story(self, parents: array[int], taken: array[int], at: int, last: int) -> list[str]:
        said = [self.steps[last].says]
        while at > 0:
            said.append(self.steps[taken[at]].says)
            at = parents[at]
        numbered = [f"{n:2}. {line}" for n, line in enumerate(reversed(said), 1)]
        begun = "(both records are known; X leads a, Y leads b)"
        return [begun if self.alphabet.begun else "(nobody is known)", *numbered]


def _named(says: str) -> Step:
    every = steps_of(Alphabet("", frozenset({"refer", "apply", "claim"})))
    return next(step for step in every if step.says == says)


def _pack(ids: Ids) -> int:
    packed = 0
    for n in ids:
        packed = packed << BITS | n
    return packed


def _unpack(packed: int) -> Ids:
    mask = (1 << BITS) - 1
    return tuple((packed >> (BITS * n)) & mask for n in (4, 3, 2, 1, 0))  # type: ignore[return-value]
