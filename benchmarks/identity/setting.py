"""One setting, measured: Onefriend's matcher and its rivals on the same streams, and on all records one after the other."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.identity import measure, own_model, rivals, stream
from benchmarks.identity.data import TWICE
from benchmarks.identity.settings import Nation
from services.intake.matching import load
from services.intake.matching.record import Record

WRONG = 5.0  # of 10,000 people taken for somebody else: the most that the issue allows
PRECISIONS = (0.9995, 0.999, 0.998)
Scores = Iterable[tuple[float, int, int]]


@dataclass(frozen=True)
class Setting:
    """Records in two forms (ours, and as written, for rivals that clean for themselves), the truth, and the streams.

    `names`: what a person's number stands for in the source. `among`: who is shown apart, as (stream, person).
    """

    key: str
    title: str
    records: Sequence[Record]
    rows: Sequence[rivals.Row]
    people: Sequence[int]
    names: Sequence[str]
    orders: Sequence[list[int]]
    folds: stream.Folds
    splink: own_model.Design
    crowd: Nation | None = None
    among: Collection[tuple[int, int]] | None = None


class Measured:
    """The curves, clusters and pairs of one setting: printed as they come, and kept in `results` as JSON."""

    def __init__(self, setting: Setting, results: dict[str, object]) -> None:
        self.setting, self.results = setting, results
        self.join_at = load().join_at
        # Only the historical people have humans who are two in the source.
        self.twice = bool(set().union(*TWICE).intersection(setting.names))

    def run(self) -> None:
        """Our matcher, then its rivals on the same streams, then all of them on all records."""
        setting = self.setting
        print(
            f"\n{setting.title}\n{len(setting.records):,} records of {len(set(setting.people)):,} people;",
            end=" ",
        )
        print(f"{len(setting.orders)} streams of each person's first two referrals; per 10,000 people")
        print(f"{'':44}{'taken for':>18}{'approached twice, with a share of referrals held of':>64}")
        print(f"{'':44}{'somebody else':>18}" + "".join(f"{share:>24.0%}" for share in measure.HELD))
        arrivals = self._arrivals(
            stream.Ours(setting.records, setting.people, setting.folds, setting.crowd), "ours"
        )
        wrong = self._ours(arrivals)
        joined = self._rivals(wrong)
        self._as_shipped(arrivals)
        self._clusters(joined)

    def _arrivals(self, matcher: stream.Matcher, name: str) -> list[stream.Arrival]:
        setting = self.setting
        with Progress(f"{setting.key}: {name}", len(setting.orders)) as step:
            return stream.run(matcher, setting.records, setting.people, setting.orders, step)

    def _ours(self, arrivals: Sequence[stream.Arrival]) -> float:
        """Print our curves; and how many the score takes for somebody else at the shipped threshold."""
        at, among = self.join_at, self.setting.among
        free = [a._replace(stopped=False) for a in arrivals]
        shipped = measure.curve(f"score, packaged {at:.1f}", arrivals, at)
        curves = [
            self._at_most(WRONG, arrivals, "score"),
            *(
                [self._at_most(WRONG, self._once(arrivals), "score", ", each human once")]
                if self.twice
                else []
            ),
            shipped,
            measure.curve(f"service rules, packaged {at:.1f}", arrivals, at, rule=True),
            measure.curve(f"no rule, packaged {at:.1f}", free, at),
        ]
        if among is not None:
            name = f"score, packaged {at:.1f}, of these"
            curves.append(measure.curve(name, arrivals, at, among=among))
            name = f"service rules, packaged {at:.1f}, of these"
            curves.append(measure.curve(name, arrivals, at, rule=True, among=among))
        for curve in curves:
            self._print(curve)
        return shipped.wrong.value

    def _rivals(self, wrong: float) -> dict[str, tuple[stream.Matcher, float]]:
        """Print the rivals' curves; each matcher with the threshold that it joins all records at."""
        setting = self.setting
        found: dict[str, tuple[stream.Matcher, float]] = {}
        for name, keys in (("exact", rivals.exact), ("police-style", rivals.police_style)):
            rule = rivals.Rules(keys, setting.rows, self._invented())
            self._print(measure.curve(name, self._arrivals(rule, name), -1.0), held=False)
            found[name] = rule, -1.0
        with Progress(f"{setting.key}: Splink's own model", 1):
            self.scored = own_model.scored(setting.splink, setting.rows, self._invented())
        pairs = rivals.Pairs(self.scored.pairs, self.scored.invented)
        arrivals = self._arrivals(pairs, "Splink")
        equal = self._at_most(wrong, arrivals, "Splink")
        for curve in (
            measure.curve(f"Splink, {self.join_at:.1f} bits as ours", arrivals, self.join_at),
            equal,
            self._at_most(WRONG, arrivals, "Splink"),
            *(
                [self._at_most(WRONG, self._once(arrivals), "Splink", ", each human once")]
                if self.twice
                else []
            ),
        ):
            self._print(curve)
        return {f"Splink, at most {wrong:.0f} wrong": (pairs, equal.join_at), **found}

    def _invented(self) -> Iterable[rivals.Row]:
        return self.setting.crowd.rows() if self.setting.crowd else ()

    @staticmethod
    def _at_most(
        wrong: float, arrivals: Sequence[stream.Arrival], name: str, which: str = ""
    ) -> measure.Curve:
        at = measure.join_at(arrivals, wrong)
        return measure.curve(f"{name}, at most {wrong:.0f} wrong{which}", arrivals, at)

    def _once(self, arrivals: Sequence[stream.Arrival]) -> list[stream.Arrival]:
        """The same, where joining two people whom the source has twice is right."""
        names = self.setting.names
        return [
            a._replace(right=a.right or (a.whom >= 0 and {names[a.person], names[a.whom]} in TWICE))
            for a in arrivals
        ]

    def _as_shipped(self, arrivals: Sequence[stream.Arrival]) -> None:
        wrong = Counter(
            tuple(sorted((a.person, a.whom)))
            for a in arrivals
            if a.score >= self.join_at and not a.right and not a.stopped
        )
        if wrong:
            # Namesakes that no field of the setting tells apart: how few they are says how far chance decides.
            five = sum(count for _, count in wrong.most_common(5)) / wrong.total()
            print(f"wrong joins are about {len(wrong)} pairs of people; five of them make {five:.0%}")
        hold_at = load().hold_at
        shipped = measure.as_shipped(arrivals, self.join_at, hold_at)
        review, asked, twice, taken = shipped.values()
        print(
            f"as shipped (all rules, held from {hold_at:.1f}): {review:.1%} of referrals for a reviewer, {asked:.1%}"
            f" asked of the agency; {twice:,.0f} approached twice, {taken:.0f} taken for somebody else"
        )
        self.results[f"{self.setting.key}: as shipped"] = shipped

    def _print(self, curve: measure.Curve, *, held: bool = True) -> None:
        shown = [str(figure) for figure in curve.twice.values()] if held else [str(curve.twice[0.0])]
        print(f"{curve.name:44}{curve.wrong!s:>18}" + "".join(f"{text:>24}" for text in shown))
        self.results[f"{self.setting.key}: {curve.name}"] = {
            "join_at": curve.join_at,
            "wrong": [curve.wrong.value, curve.wrong.low, curve.wrong.high],
            "twice": {
                share: [figure.value, figure.low, figure.high] for share, figure in curve.twice.items()
            },
        }

    def _clusters(self, others: dict[str, tuple[stream.Matcher, float]]) -> None:
        """All records one after the other, each joined to the best one's group: pairwise and B-cubed."""
        setting, at = self.setting, self.join_at
        # Whose records are one, our matcher knows from what it has joined: it is given the groups as they come to be.
        groups, free = list(range(len(setting.records))), list(range(len(setting.records)))
        ours = stream.Ours(setting.records, groups, setting.folds, setting.crowd)
        unruled = stream.Ours(setting.records, free, setting.folds, setting.crowd, ours.seen)
        matchers: dict[str, tuple[stream.Matcher, float, list[int]]] = {
            f"score, packaged {at:.1f}": (ours, at, groups),
            f"no rule, packaged {at:.1f}": (stream.Unstopped(unruled), at, free),
            **{name: (matcher, at, list(range(len(groups)))) for name, (matcher, at) in others.items()},
        }
        print(
            f"{'all records, one after the other':44}" + "".join(f"{name:>24}" for name in measure.TOGETHER)
        )
        for name, (matcher, at, joined) in matchers.items():
            with Progress(f"{setting.key}: all records, {name}", len(joined) // 1000 + 1) as step:
                stream.clusters(matcher, joined, at, step)
            figures = measure.clustering(joined, setting.people)
            shown = "".join(f"{f'{f.value:.4f} ({f.low:.3f} to {f.high:.3f})':>24}" for f in figures.values())
            print(f"{name:44}{shown}")
            self.results[f"{setting.key}: clusters {name}"] = {
                title: [figure.value, figure.low, figure.high] for title, figure in figures.items()
            }
        if setting.crowd:
            return  # whom the invented are taken for is kept of the best only, so that their pairs cannot be counted
        kept = (
            (bits, one, other)
            for (one, other), (bits, rules) in ours.seen.items()
            if not any(rule.parts for rule in rules)
        )
        for name, scores in (("score", kept), ("Splink", self.scored.pairs)):
            self._pair_by_pair(name, scores)

    def _pair_by_pair(self, name: str, scores: Scores) -> None:
        """The share of true pairs found where so many of the pairs found are true: no store, no order of arrival."""
        people, names = self.setting.people, self.setting.names
        true_pairs = sum(count * (count - 1) // 2 for count in Counter(people).values())
        named = [(bits, people[one], people[other]) for bits, one, other in scores]
        found = self._recall(named, true_pairs)
        if self.twice:
            once = [pair for pair in named if {names[pair[1]], names[pair[2]]} not in TWICE]
            found |= {
                f"{title}, each human once": share for title, share in self._recall(once, true_pairs).items()
            }
        shown = ", ".join(f"{recall:.3f} at {title}" for title, recall in found.items())
        print(f"pair by pair, {name}: recall {shown}")
        self.results[f"{self.setting.key}: pair by pair, {name}"] = found

    @staticmethod
    def _recall(pairs: list[tuple[float, int, int]], true_pairs: int) -> dict[str, float]:
        scored = [(bits, one == other) for bits, one, other in pairs]
        return {str(share): measure.recall_at_precision(scored, true_pairs, share) for share in PRECISIONS}


class Progress:
    """A line on a terminal that says how far a long step is."""

    def __init__(self, title: str, steps: int) -> None:
        self.title, self.steps, self.done = title, steps, 0

    def __enter__(self) -> Callable[[], None]:
        self.started = time.monotonic()
        return self._step

    def _step(self) -> None:
        self.done += 1
        if sys.stderr.isatty():
            print(f"\r{self.title}: {self.done} of {self.steps}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        start = "\r" if sys.stderr.isatty() else ""
        print(f"{start}{self.title}: {time.monotonic() - self.started:.0f} s", file=sys.stderr, flush=True)
