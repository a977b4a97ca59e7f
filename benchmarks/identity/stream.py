"""The figure that matters: two referrals of each person, from two agencies, all people interleaved.

Each arrival is looked up among everything that came before. What it would have been answered depends on two thresholds
only, so one pass gives the whole curve: join at or above one score, hold above the other.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.intake.matching.blocking import KINDS, blocking_keys, kind_of, worth_comparing
from services.intake.matching.evidence import compare
from services.intake.matching.model import Model
from services.intake.matching.record import Record
from services.intake.matching.rules import Rule, standing_rules
from services.intake.matching.score import (
    Rival,
    identity_incomplete,
    normalised,
    prior_odds,
    settling,
    standing,
)

NOBODY = -99.0  # the score of no candidate at all


class Arrival(NamedTuple):
    """One referral of a stream: the best answer that it could get.

    `whom`: the person of the best candidate, -1 for nobody or an invented one; `right`: it is the same human; `second`: that
    human was known; `stopped`: a rule keeps it from being joined (never from being held); `alone`: the rule that a name, or
    a name and a birth date, alone never join would; `asked`: were it held, the agency would be asked, not a reviewer.
    """

    stream: int
    person: int
    score: float
    right: bool
    second: bool
    stopped: bool
    alone: bool
    whom: int
    asked: bool


class Best(NamedTuple):
    """The best candidate's record, its score, and whether a rule (or the rule about names alone) stops a join."""

    record: int
    score: float
    stopped: bool = False
    alone: bool = False
    ask: bool = False


class Matcher(Protocol):
    """Whatever answers "who is this?" for records named by their number."""

    def begin(self) -> None:
        """An empty store."""

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""

    def add(self, record: int) -> None:
        """Store it."""


@dataclass(frozen=True)
class Folds:
    """Models that have not seen the people they compare: `models[i, j]`, i <= j, is trained without folds i and j."""

    of: Sequence[int]
    models: dict[tuple[int, int], Model]

    def model(self, one: int, other: int) -> Model:
        """For a record of a person in fold `one` and one in fold `other`."""
        return self.models[min(one, other), max(one, other)]

    @property
    def count(self) -> int:
        """How many folds."""
        return max(other for _, other in self.models) + 1


Told = tuple[float, frozenset[Rule]]  # the bits of a pair, and the rules that stand above them
_ALONE = frozenset({Rule.NAME_AND_BIRTH_DATE, Rule.NAME_ALONE})


class Ours:
    """Onefriend's matcher: its keys, bounds, evidence, rules and score, each pair by a model that has seen neither."""

    def __init__(
        self,
        records: Sequence[Record],
        people: Sequence[int],
        folds: Folds,
        crowd: "Crowd | None" = None,
        seen: dict[tuple[int, int], Told] | None = None,
    ) -> None:
        self.records, self.people, self.folds, self.crowd = records, people, folds, crowd
        self._keys: dict[tuple[int, tuple[int, int]], list[str]] = {}
        self.seen: dict[tuple[int, int], Told] = {} if seen is None else seen
        self.compared = self.looked_up = 0

    def begin(self) -> None:
        """An empty store."""
        self._index: dict[tuple[int, int], dict[str, list[int]]] = {
            pair: defaultdict(list) for pair in self.folds.models
        }
        self._stored = self._joined = 0

    def add(self, record: int) -> None:
        """Store it."""
        for pair, index in self._index.items():
            for key in self.keys(record, pair):
                index[key].append(record)
        self._stored += 1

    def keys(self, record: int, pair: tuple[int, int]) -> list[str]:
        """The record's keys under one model, remembered."""
        found = self._keys.get((record, pair))
        if found is None:
            found = self._keys[record, pair] = blocking_keys(self.records[record], self.folds.models[pair])
        return found

    def candidates(self, record: int) -> set[int]:
        """Everybody stored who shares a key that is not hot, and enough."""
        mine, found = self.folds.of[record], set()
        for fold in range(self.folds.count):
            pair = (min(mine, fold), max(mine, fold))
            index = self._index[pair]
            under = {key: index.get(key, ()) for key in self.keys(record, pair)}
            near, _ = worth_comparing((key, self._people(key, records)) for key, records in under.items())
            chosen = set(near)
            for records in under.values():
                found.update([r for r in records if self.folds.of[r] == fold and self.people[r] in chosen])
        return found

    def _people(self, key: str, records: Sequence[int]) -> list[int]:
        """The people, not records, who share a key: those of the crowd are counted, and nobody's number."""
        found = list({self.people[record] for record in records})
        invented = self.crowd.under(key) if self.crowd else 0
        return found + [-1 - other for other in range(min(invented, KINDS[kind_of(key)].bound + 1))]

    def evidence(self, record: int, other: int) -> Told:
        """Bits and rules of one pair, remembered."""
        pair = (record, other) if record < other else (other, record)
        found = self.seen.get(pair)
        if found is None:
            model = self.folds.model(self.folds.of[record], self.folds.of[other])
            table = compare(self.records[record], self.records[other], model)
            found = self.seen[pair] = (table.bits, standing_rules(table))
            self.compared += 1
        return found

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""
        self.looked_up += 1
        prior = self._prior()
        best: dict[int, tuple[float, int, frozenset[Rule]]] = {}
        for other in self.candidates(record):
            bits, rules = self.evidence(record, other)
            person = self.people[other]
            if person not in best or bits > best[person][0]:
                best[person] = (bits, other, rules)
        found = list(best.values())
        if self.crowd:
            model = self.folds.model(self.folds.of[record], self.folds.of[record])
            found += self.crowd.rivals(
                self.records[record], self.keys(record, (self.folds.of[record],) * 2), model
            )
        rivals = [Rival(str(other), bits + prior, None, rules) for bits, other, rules in found]  # type: ignore[arg-type]
        rivals = sorted(standing(rivals), key=lambda rival: -rival.odds)
        if not rivals:
            return None
        stops = {rule for rule in rivals[0].rules if rule.stops}
        model = self.folds.model(self.folds.of[record], self.folds.of[record])
        ask = not stops and bool(settling(self.records[record], rivals[0].odds, model))
        score, stopped = normalised(rivals), bool(stops - _ALONE)
        # What the rule about names alone holds is taken to be joined by a person in the end.
        self._joined += score >= model.join_at and not stopped
        return Best(int(rivals[0].person), score, stopped, bool(stops & _ALONE), ask)

    def _prior(self) -> float:
        """As the service has it: from its own joins. Of invented people every other referral was about somebody known."""
        invented = self.crowd.people if self.crowd else 0
        return prior_odds(self._stored - self._joined + invented, self._stored + 2 * invented)


class Unstopped:
    """A matcher without its rules against joining: what the score alone would do."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def begin(self) -> None:
        """An empty store."""
        self._matcher.begin()

    def best(self, record: int) -> Best | None:
        """The best candidate, whatever rule would stop it; None for nobody."""
        found = self._matcher.best(record)
        return found and found._replace(stopped=False)

    def add(self, record: int) -> None:
        """Store it."""
        self._matcher.add(record)


class Crowd(Protocol):
    """Invented people among whom the labelled ones must be found."""

    people: int

    def under(self, key: str) -> int:
        """How many of them share a key."""

    def rivals(
        self, record: Record, keys: Sequence[str], model: Model
    ) -> list[tuple[float, int, frozenset[Rule]]]:
        """The evidence for those who share a key that is not hot: bits, number (-1, -2, …), rules."""


def streams(
    people: Sequence[int], count: int, seed: int = 7, *, singles: bool = False
) -> Iterator[list[int]]:
    """Orders of arrival: two records of each person (or the only one), drawn anew each time, all people interleaved."""
    records = defaultdict(list)
    for record, person in enumerate(people):
        records[person].append(record)
    rng = random.Random(seed)
    for _ in range(count):
        order = [
            record
            for of_one in records.values()
            if singles or len(of_one) > 1
            for record in rng.sample(of_one, min(len(of_one), 2))
        ]
        rng.shuffle(order)
        yield order


def run(
    matcher: Matcher,
    records: Sequence[Record],
    people: Sequence[int],
    orders: Sequence[list[int]],
    step: Callable[[], None] = lambda: None,
) -> list[Arrival]:
    """Every arrival of every stream."""
    arrivals = []
    for number, order in enumerate(orders):
        matcher.begin()
        known: Counter[int] = Counter()
        for record in order:
            person = people[record]
            found = matcher.best(record)
            found = found or Best(-1, NOBODY)
            whom = people[found.record] if found.record >= 0 else -1
            incomplete = identity_incomplete(records[record])
            alone, ask = found.alone or incomplete, found.ask or incomplete
            right, second = whom == person, known[person] > 0
            arrivals.append(
                Arrival(number, person, found.score, right, second, found.stopped, alone, whom, ask)
            )
            matcher.add(record)
            known[person] += 1
        step()
    return arrivals


def clusters(
    matcher: Matcher, groups: list[int], join_at: float, step: Callable[[], None] = lambda: None
) -> None:
    """All records one after the other, each joined to its best candidate's group.

    `groups`: of each record, at first its own number. An invented person's is the number of records and beyond.
    """
    matcher.begin()
    order = list(range(len(groups)))
    random.Random(13).shuffle(order)
    for number, record in enumerate(order):
        found = matcher.best(record)
        if found and found.score >= join_at and not found.stopped:
            whom = found.record
            groups[record] = groups[whom] if whom >= 0 else len(groups) - 1 - whom
        matcher.add(record)
        if number % 1000 == 0:
            step()
