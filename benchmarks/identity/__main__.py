"""Who is who, measured: `make bench-identity` (ARGS="--only a,c", "--nation 1000000", "--historical other.csv").

Every figure of setting (a), (b) and (d) is about people whom the model that scored them had never seen.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.identity import data, measure, models, rivals, settings, stream
from services.intake.matching import KINDS, blocking_keys, compare, kind_of, load, normalise
from services.intake.matching.record import Record
from services.intake.suppressions import suppression_texts

STREAMS = 5
WRONG = 5.0  # of 10,000 people taken for somebody else: the most that the issue allows


def main() -> None:
    """Run the settings asked for and print their tables; the same as JSON in --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="speed,keys,suppression,a,b,c,d", help="settings, by comma")
    parser.add_argument(
        "--streams", type=int, default=STREAMS, help="how many times the two referrals are drawn anew"
    )
    parser.add_argument("--nation", type=int, default=300_000, help="invented people in setting (d)")
    parser.add_argument(
        "--historical",
        type=Path,
        help="another file of that form, scored by the packaged model",
    )
    parser.add_argument("--out", type=Path, default=Path(".onefriend/bench-identity.json"))
    args = parser.parse_args()
    bench = Bench(args.streams, args.nation, args.historical)
    for name in args.only.split(","):
        getattr(bench, f"setting_{name}")()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(bench.results, indent=1))


class Bench:
    """The labelled people, the models that have not seen them, and the results so far."""

    def __init__(self, streams: int, nation: int, other: Path | None) -> None:
        self.streams, self.nation = streams, nation
        self.results: dict[str, object] = {}
        self.labelled = data.historical(other)
        self.people = models.numbered(self.labelled)
        self.records = [one.record for one in self.labelled]
        self.unseen = other is not None
        self._folds: stream.Folds | None = None
        self.orders = list(stream.streams(self.people, streams))

    @property
    def folds(self) -> stream.Folds:
        """The packaged model for people that it has not seen; else models that leave them out."""
        if self._folds is None:
            if self.unseen:
                self._folds = packaged(self.records)
            else:
                with Progress("training without the people measured", 10) as step:
                    self._folds = models.cross_fitted(self.labelled, step)
        return self._folds

    def setting_speed(self) -> None:
        """What one record and one comparison cost, in CPU microseconds."""
        model, sample = load(), self.labelled[:4000]
        people = [data.historical_person(one.raw) for one in sample]
        pairs = list(zip(self.records[:4000], self.records[1:4001], strict=True)) + list(
            zip(self.records[:4000], self.records[4000:8000], strict=True)
        )
        costs = {
            "normalise": cost(lambda: [normalise(person) for person in people], len(people)),
            "blocking keys": cost(lambda: [blocking_keys(one.record) for one in sample], len(sample)),
            "compare": cost(lambda: [compare(a, b, model) for a, b in pairs], len(pairs)),
        }
        print(
            "\nCost, CPU microseconds each: "
            + ", ".join(f"{name} {value:.1f}" for name, value in costs.items())
        )
        self.results["speed"] = costs

    def setting_keys(self) -> None:
        """Each kind of key: true pairs that it finds (each person weighs the same), and candidates that it brings."""
        found: Counter[str] = Counter()
        alone: Counter[str] = Counter()
        per_person: dict[int, list[Record]] = defaultdict(list)
        for record, person in zip(self.records, self.people, strict=True):
            per_person[person].append(record)
        total = 0.0
        for of_one in per_person.values():
            pairs = list(combinations([set(blocking_keys(record)) for record in of_one[:8]], 2))
            for a, b in pairs:
                kinds = {kind_of(key) for key in a & b}
                total += 1 / len(pairs)
                found.update(dict.fromkeys([*kinds, *(["any"] if kinds else [])], 1 / len(pairs)))
                if len(kinds) == 1:
                    alone[kinds.pop()] += 1 / len(pairs)
        brought: Counter[str] = Counter()
        index: dict[str, int] = Counter(
            key for record in self.orders[0] for key in blocking_keys(self.records[record])
        )
        for record in self.orders[0]:
            for key in blocking_keys(self.records[record]):
                brought[kind_of(key)] += index[key] - 1
        print(f"\nBlocking keys, {len(per_person):,} people, store of {len(self.orders[0]):,} records")
        print(
            f"{'kind':24}{'true pairs found':>18}{'found by it alone':>19}{'candidates brought':>20}{'bound':>7}"
        )
        table = {}
        for kind in [*KINDS, "any"]:
            row = (found[kind] / total, alone[kind] / total, brought[kind] / len(self.orders[0]))
            table[kind] = row
            bound = KINDS[kind].bound if kind in KINDS else ""
            print(f"{kind:24}{row[0]:>18.1%}{row[1]:>19.2%}{row[2]:>20.2f}{bound:>7}")
        self.results["keys"] = table

    def setting_suppression(self) -> None:
        """Whether a later referral meets the "no" that was kept as keyed hashes; and how often a stranger's does."""
        for title, records in (
            ("names, birth date, postcode", self.records),
            ("with contact details", settings.with_contacts(self.records, self.people, settings.Rates())),
        ):
            texts = [set(suppression_texts(record)) for record in records]
            met = strangers = asked = 0
            for order in self.orders:
                kept: dict[str, int] = {}
                for record in order:
                    hits = {self.people[kept[text]] for text in texts[record] if text in kept}
                    met += self.people[record] in hits
                    strangers += bool(hits - {self.people[record]})
                    kept.update(dict.fromkeys(texts[record], record))
                asked += len(order) // 2
            print(
                f"\nSuppressed people ({title}): {met / asked:.1%} of second referrals meet the kept 'no';",
                end=" ",
            )
            print(f"{strangers / asked / 2 * 1e4:.0f} of 10,000 referrals meet a stranger's and are held")
            self.results[f"suppression {title}"] = [met / asked, strangers / asked / 2]

    def setting_a(self) -> None:
        """Hard: names, sex, birth date and postcode only."""
        ours = self._stream("a", "(a) hard: names, sex, birth date, postcode", self.records)
        for name, matcher in (
            ("exact", rivals.exact(self.labelled)),
            ("police-style", rivals.police_style(self.labelled)),
        ):
            arrivals = stream.run(matcher, self.records, self.people, self.orders)
            self._print("a", measure.curve(name, arrivals, -1.0), held=False)
        pairs = rivals.splink(self.labelled)
        arrivals = stream.run(rivals.Pairs(pairs), self.records, self.people, self.orders)
        wrong = next(curve.wrong.value for curve in ours if "packaged" in curve.name)
        for allowed in (WRONG, wrong):
            threshold = measure.join_at(arrivals, allowed)
            self._print("a", measure.curve(f"Splink, at most {allowed:.0f} wrong", arrivals, threshold))
        self._clusters()

    def setting_b(self) -> None:
        """Referral: the same people with contact details at stated rates."""
        for name, rates in settings.RATES.items():
            records = settings.with_contacts(self.records, self.people, rates)
            of_one: dict[tuple[int, int], list[int]] = defaultdict(list)
            for number, order in enumerate(self.orders):
                for record in order:
                    of_one[number, self.people[record]].append(record)
            reached = {
                of for of, pair in of_one.items() if settings.in_common(*(records[one] for one in pair))
            }
            print(f"\n{name}: {rates}")
            print(f"{len(reached) / len(of_one):.1%} of people have a contact detail in both referrals")
            title = f"(b) referral, contact details {name}"
            self._stream(f"b {name}", title, records, among=reached)

    def setting_c(self) -> None:
        """Febrl and the fake set, scored by the packaged model, which was trained on other people."""
        for name, labelled in (("Febrl", data.febrl()), ("fake", data.fake())):
            people = models.numbered(labelled)
            records = [one.record for one in labelled]
            orders = list(stream.streams(people, self.streams, singles=True))
            with Progress(f"(c) {name}", len(orders)) as step:
                arrivals = stream.run(
                    stream.Ours(records, people, packaged(records)), records, people, orders, step
                )
            print(f"\n(c) {name}: {len(records):,} records of {len(set(people)):,} people")
            self._curves("c " + name, arrivals)

    def setting_d(self) -> None:
        """Nation: the labelled people among invented ones."""
        folds = self.folds
        wanted = {
            key
            for record in {r for order in self.orders for r in order}
            for key in blocking_keys(self.records[record])
        }
        with Progress(f"inventing {self.nation:,} people", self.nation // 10_000 + 1) as step:
            crowd = settings.Nation(self.nation, self.records, wanted, load(), step)
        orders = self.orders[:1]
        with Progress("(d) nation", len(orders)) as step:
            matcher = stream.Ours(self.records, self.people, folds, crowd)
            arrivals = stream.run(matcher, self.records, self.people, orders, step)
        print(f"\n(d) nation: the labelled people among {self.nation:,} invented ones")
        self._curves("d", arrivals)

    def _stream(
        self,
        key: str,
        title: str,
        records: Sequence[Record],
        *,
        among: Collection[tuple[int, int]] | None = None,
    ) -> list[measure.Curve]:
        with Progress(title, len(self.orders)) as step:
            arrivals = stream.run(
                stream.Ours(records, self.people, self.folds), records, self.people, self.orders, step
            )
        people = len(set(self.people))
        print(
            f"\n{title}\n{people:,} people, {len(self.orders)} streams of two referrals each; per 10,000 people"
        )
        return self._curves(key, arrivals, among)

    def _curves(
        self,
        key: str,
        arrivals: Sequence[stream.Arrival],
        among: Collection[tuple[int, int]] | None = None,
    ) -> list[measure.Curve]:
        print(f"{'':34}{'taken for':>18}{'approached twice, with a share of referrals held of':>64}")
        print(f"{'':34}{'somebody else':>18}" + "".join(f"{share:>24.0%}" for share in measure.HELD))
        packaged_at = load().join_at
        curves = [
            measure.curve(f"score, at most {WRONG:.0f} wrong", arrivals, measure.join_at(arrivals, WRONG)),
            measure.curve(f"score, packaged {packaged_at:.1f}", arrivals, packaged_at),
            measure.curve(f"service rules, packaged {packaged_at:.1f}", arrivals, packaged_at, rule=True),
        ]
        if not self.unseen and key[0] in "abd":
            once = self._once(arrivals)
            at = measure.join_at(once, WRONG)
            curves.append(measure.curve(f"score, at most {WRONG:.0f} wrong, each human once", once, at))
        free = [a._replace(stopped=False) for a in arrivals]
        curves.append(measure.curve(f"no rule, packaged {packaged_at:.1f}", free, packaged_at))
        if among is not None:
            name = f"score, packaged {packaged_at:.1f}, of these"
            curves.append(measure.curve(name, arrivals, packaged_at, among=among))
            name = f"service rules, packaged {packaged_at:.1f}, of these"
            curves.append(measure.curve(name, arrivals, packaged_at, rule=True, among=among))
        for curve in curves:
            self._print(key, curve)
        print(f"held by the service's rules alone: {curves[2].held_by_rule:.1%} of referrals")
        self._concentration(arrivals, packaged_at)
        shipped = measure.as_shipped(arrivals, packaged_at, load().hold_at)
        review, asked, twice, wrong = shipped.values()
        print(
            f"as shipped (all rules, held from {load().hold_at:.1f}): {review:.1%} of referrals for a reviewer, {asked:.1%}"
            f" asked of the agency; {twice:,.0f} approached twice, {wrong:.0f} taken for somebody else"
        )
        self.results[f"{key}: as shipped"] = shipped
        return curves

    def _once(self, arrivals: Sequence[stream.Arrival]) -> list[stream.Arrival]:
        """The same, where joining two people whom the source has twice is right."""
        names = dict(zip(self.people, (one.person for one in self.labelled), strict=True))
        return [
            a._replace(right=a.right or (a.whom >= 0 and {names[a.person], names[a.whom]} in data.TWICE))
            for a in arrivals
        ]

    @staticmethod
    def _concentration(arrivals: Sequence[stream.Arrival], threshold: float) -> None:
        """How few pairs of people the wrong joins are about: namesakes that no field of the setting tells apart."""
        wrong = Counter(
            tuple(sorted((a.person, a.whom)))
            for a in arrivals
            if a.score >= threshold and not a.right and not a.stopped
        )
        if wrong:
            five = sum(count for _, count in wrong.most_common(5)) / wrong.total()
            print(f"wrong joins are about {len(wrong)} pairs of people; five of them make {five:.0%}")

    def _print(self, key: str, curve: measure.Curve, *, held: bool = True) -> None:
        shown = [str(figure) for figure in curve.twice.values()] if held else [str(curve.twice[0.0])]
        print(f"{curve.name:34}{curve.wrong!s:>18}" + "".join(f"{text:>24}" for text in shown))
        self.results[f"{key}: {curve.name}"] = {
            "join_at": curve.join_at,
            "wrong": [curve.wrong.value, curve.wrong.low, curve.wrong.high],
            "twice": {
                share: [figure.value, figure.low, figure.high] for share, figure in curve.twice.items()
            },
        }

    def _clusters(self) -> None:
        """All records one after the other, each joined to the best group: pairwise and B-cubed."""
        with Progress("(a) all records, for pairwise and B-cubed", len(self.records) // 1000 + 1) as step:
            groups, seen = stream.clusters(self.records, self.folds, load().join_at, step)
        figures = measure.clustering(groups, self.people)
        print(
            "all records joined at the packaged threshold: "
            + ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        )
        self.results["a: clusters"] = figures
        pairs = sum(count * (count - 1) // 2 for count in Counter(self.people).values())
        for precision in (0.9995, 0.999, 0.998):
            for once in (False, True):
                scored = (
                    (bits, self.people[one] == self.people[other])
                    for (one, other), (bits, rules) in seen.items()
                    if not any(rule.parts for rule in rules)
                    and not (once and self._names(one, other) in data.TWICE)
                )
                recall = measure.recall_at_precision(scored, pairs, precision)
                title = f"recall at precision {precision}" + (", each human once" if once else "")
                print(f"pair by pair: {title}: {recall:.3f}")
                self.results[f"a: pairwise {title}"] = recall

    def _names(self, one: int, other: int) -> set[str]:
        return {self.labelled[one].person, self.labelled[other].person}


def packaged(records: Sequence[Record]) -> stream.Folds:
    """The packaged model for everybody: for people that it was not trained on."""
    return stream.Folds([0] * len(records), {(0, 0): load()})


def cost(work: Callable[[], object], times: int) -> float:
    """CPU microseconds for one of `times`: the median of five runs."""
    runs = []
    for _ in range(5):
        start = time.process_time()
        work()
        runs.append((time.process_time() - start) / times * 1e6)
    return statistics.median(runs)


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


if __name__ == "__main__":
    main()
