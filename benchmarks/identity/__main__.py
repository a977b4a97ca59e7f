"""Who is who, measured: `make bench-identity` (ARGS="--only a,c", "--nation 1000000", "--historical other.csv").

Every figure of setting (a), (b) and (d) is about people whom the model that scored them had never seen.
"""

import argparse
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.identity import data, models, own_model, settings, stream
from benchmarks.identity.setting import Measured, Progress, Setting
from services.intake.matching import KINDS, blocking_keys, compare, kind_of, load, normalise
from services.intake.matching.record import Record
from services.intake.suppressions import suppression_texts

STREAMS = 5


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
        found: dict[str, float] = defaultdict(float)
        alone: dict[str, float] = defaultdict(float)
        per_person: dict[int, list[Record]] = defaultdict(list)
        for record, person in zip(self.records, self.people, strict=True):
            per_person[person].append(record)
        total = 0.0
        for of_one in per_person.values():
            pairs = list(combinations([set(blocking_keys(record)) for record in of_one[:8]], 2))
            for a, b in pairs:
                kinds = {kind_of(key) for key in a & b}
                total += 1 / len(pairs)
                for kind in [*kinds, *(["any"] if kinds else [])]:
                    found[kind] += 1 / len(pairs)
                if len(kinds) == 1:
                    alone[kinds.pop()] += 1 / len(pairs)
        brought: Counter[str] = Counter()
        index = Counter(key for number in self.orders[0] for key in blocking_keys(self.records[number]))
        for number in self.orders[0]:
            for key in blocking_keys(self.records[number]):
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
        self._historical("a", "(a) hard: names, sex, birth date, postcode")

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
            self._historical(f"b {name}", title, records, among=reached)

    def setting_c(self) -> None:
        """Febrl and the fake set, scored by the packaged model, which was trained on other people."""
        for name, labelled, design in (
            ("Febrl", data.febrl(), own_model.FEBRL),
            ("fake", data.fake(), own_model.FAKE),
        ):
            people = models.numbered(labelled)
            records = [one.record for one in labelled]
            Measured(
                Setting(
                    key=f"c {name}",
                    title=f"(c) {name}",
                    records=records,
                    rows=[one.raw for one in labelled],
                    people=people,
                    names=models.names(labelled),
                    orders=list(stream.streams(people, self.streams, singles=True)),
                    folds=packaged(records),
                    splink=design,
                ),
                self.results,
            ).run()

    def setting_d(self) -> None:
        """Nation: the labelled people among invented ones."""
        wanted = {key for record in self.records for key in blocking_keys(record)}
        with Progress(f"inventing {self.nation:,} people", self.nation // 10_000) as step:
            crowd = settings.Nation(self.nation, self.records, wanted, load(), step)
        title = f"(d) nation: the labelled people among {self.nation:,} invented ones"
        self._historical("d", title, orders=self.orders[:1], crowd=crowd)

    def _historical(
        self,
        key: str,
        title: str,
        records: Sequence[Record] | None = None,
        *,
        among: Collection[tuple[int, int]] | None = None,
        orders: Sequence[list[int]] | None = None,
        crowd: settings.Nation | None = None,
    ) -> None:
        """A setting of the labelled people; with `records` that have contact details, these count."""
        rows: list[dict[str, str]] = [one.raw for one in self.labelled]
        if records:
            rows = [row | settings.contact_columns(record) for row, record in zip(rows, records, strict=True)]
        Measured(
            Setting(
                key=key,
                title=title,
                records=records or self.records,
                rows=rows,
                people=self.people,
                names=models.names(self.labelled),
                orders=orders or self.orders,
                folds=self.folds,
                splink=own_model.REFERRAL if records else own_model.HISTORICAL,
                crowd=crowd,
                among=among,
            ),
            self.results,
        ).run()


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


if __name__ == "__main__":
    main()
