"""Where `MIXED`, `UNSEEN` and `SELDOM` of `weights.py` come from: `.venv-identity/bin/python -m benchmarks.identity.rarity`.

What a name's share is made of is fitted by expectation maximisation to the names of people left out, a quarter at a
time; how often strangers share a rare name is counted among people left out. Both are printed beside what is in use.
"""

from collections import Counter, defaultdict

from benchmarks.identity import data
from benchmarks.identity.weights import LISTED, MIXED, SELDOM, UNSEEN, listed_names
from services.intake.matching.record import Record

FOLDS, ROUNDS = 4, 40
Shares = dict[str, float]


def main() -> None:
    """Print the fit and the count of each field, beside what is in use."""
    lists, _ = listed_names()
    for field, (british, census) in lists.items():
        folds = borne(field)
        fitted = mixture(folds, british, census, UNSEEN[field])
        print(f"{field}: own, British list, US census: {', '.join(f'{share:.2f}' for share in fitted)}")
        print(f"  in use: {MIXED[field]}")
        for title, (people, shared) in coincidences(folds, british, census).items():
            once = f"one in {people / shared:,.0f}" if shared else "nobody"
            print(f"  {title}: {people:,} people, and a stranger has the same name as {once}")
        print(f"  in use: one in {1 / SELDOM[field]:,.0f} and {1 / UNSEEN[field]:,.0f}")


def borne(field: str) -> list[list[Counter[str]]]:
    """For each fold its people: how often each of them is written with which forename or surname."""
    records: dict[str, list[Record]] = defaultdict(list)
    for one in data.historical():
        records[one.person].append(one.record)
    folds: list[list[Counter[str]]] = [[] for _ in range(FOLDS)]
    place = 0 if field == "forenames" else -1
    for number, person in enumerate(sorted(records)):
        whole = [one for one in records[person] if one.forenames and one.surnames]
        names = Counter(getattr(one, field)[place] for one in whole)
        if names:
            folds[number % FOLDS].append(names)
    return folds


def mixture(folds: list[list[Counter[str]]], british: Shares, census: Shares, unseen: float) -> list[float]:
    """The parts that the three sources have in the names of people left out; the rest are names in none of them."""
    parts = [0.4, 0.25, 0.25, 0.1]
    for _ in range(ROUNDS):
        total = [0.0] * len(parts)
        for left_out, fold in enumerate(folds):
            others = [one for number, people in enumerate(folds) if number != left_out for one in people]
            own: Counter[str] = Counter()
            for names in others:
                own.update({name: count / names.total() for name, count in names.items()})
            for names in fold:
                name = _main(names)
                known = (own[name] / len(others), british.get(name, 0.0), census.get(name, 0.0), unseen)
                odds = [part * share for part, share in zip(parts, known, strict=True)]
                total = [before + one / sum(odds) for before, one in zip(total, odds, strict=True)]
        parts = [one / sum(total) for one in total]
    return parts[:3]


def coincidences(
    folds: list[list[Counter[str]]], british: Shares, census: Shares
) -> dict[str, tuple[int, float]]:
    """Of names that the people trained on do not have: how many bear them, and how many in one stranger share theirs."""
    found = {"only in the census": (0, 0.0), "in no list": (0, 0.0)}
    for one, fold in enumerate(folds):
        for other in range(FOLDS):
            if other == one:
                continue
            trained = {_main(names) for number in {*range(FOLDS)} - {one, other} for names in folds[number]}
            strangers = Counter(_main(names) for names in folds[other])
            for name in map(_main, fold):
                if name in trained or name in british:
                    continue
                title = "only in the census" if census.get(name, 0.0) > LISTED else "in no list"
                people, shared = found[title]
                found[title] = people + 1, shared + strangers[name] / strangers.total()
    return found


def _main(names: Counter[str]) -> str:
    return names.most_common(1)[0][0]


if __name__ == "__main__":
    main()
