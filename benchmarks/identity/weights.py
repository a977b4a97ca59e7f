"""From labelled people to a model: name tables, and the shares of each level among pairs of one human and of two.

The counts are those of Splink's supervised estimators (m from the label column, u from random pairs); `train.py` runs
Splink itself on the same levels and prints both. Here they are counted directly, so that the benchmark can train many
times without the people it measures.
"""

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from importlib import resources
from itertools import combinations
from math import log2
from typing import Any, TypeVar

from services.intake.matching.evidence import compare
from services.intake.matching.levels import BY_RARITY, LEVELS, Line
from services.intake.matching.model import Model, build
from services.intake.matching.names import edits
from services.intake.matching.record import Record

People = Mapping[str, Sequence[Record]]
Named = TypeVar("Named")


class Sums(defaultdict[Named, float]):
    """Counts in parts: of people, or of pairs."""

    def __init__(self) -> None:
        super().__init__(float)


PAIRS_OF_STRANGERS = 600_000
PAIRS_OF_NAMESAKES = 200  # of each surname
PAIRS_OF_ONE = 25  # of each person, so that one with many records does not outweigh the others
# What a name's share is made of: the trained-on people's own, the British list's, the US census's. Fitted by expectation
# maximisation to the names of people left out.
MIXED = {"forenames": (0.86, 0.01, 0.04), "surnames": (0.12, 0.27, 0.0)}
LIFT = 5.0
# Of the people of a name, who are written in one form that the public list knows, where nobody labelled bears the name; and
# how many labelled bearers outweigh that. Counted on people left out.
USUAL_FORM, ODD_SPELLING, LIKE_OTHERS = 0.03, 0.005, 6.0
UNSEEN_FORM = 0.003  # of the people of a name, who are written in a form that only the public list knows
# How often strangers share a name that no table has, and one that only a list has: counted among people left out, kin
# included, who are the likelier strangers to share a rare name.
UNSEEN = {"forenames": 1 / 5_600, "surnames": 1 / 14_000}
SELDOM = {"forenames": 1 / 4_000, "surnames": 1 / 6_200}
# A name has a share of its own when what it has beyond the least is so many times that.
KNOWN = {"forenames": 1.0, "surnames": 0.3}
# The part of the public lists' shares below which a name never falls: names of the living, which the labelled do not have.
LIVING = {"forenames": 0.5, "surnames": 0.0}
# The last decade whose rarity counts: hardly anybody labelled was born later, and everybody in a store was.
LAST_DECADE = 186
LISTED = 3e-6  # the share of a name that is no slip of another: one in 100,000 of either public list, as they round
MOVED_FAR = -5.0
# A family shares its surname and its home, and less often a forename as well: stated, like contact details below.
HOUSEHOLD = {"one_surname_at_home": -6.0, "one_name_at_home": -3.0}
# Levels of two kinds of pairs: what the kind itself is worth is another field's weight, here the forename's.
APART = {"sex": (("same", "different"), ("same_as_forename", "different_despite_forename"))}
# How often these come by chance, rarity alone says: every stranger has a surname and a date that can be the same.
BY_CHANCE = {("surname", "same"), ("date_of_birth", "same"), ("date_of_birth", "same_first_of_january")}
ENOUGH = 5  # strangers seen at a level, to count how often it comes by chance; below, rarity alone says it
# A father's, a brother's and a son's second forenames are often one: how often strangers share one is counted where it
# matters, among those of one surname.
AMONG_NAMESAKES = frozenset({"other_forenames"})
# Contact details and numbers are not in the labelled data: stated weights (docs/identity.md), until there are real ones.
STATED = {
    "address": {"same": 5.0, "similar": 3.0, "different": -1.0},
    "telephone": {"same": 14.0, "same_shared": 6.0, "one_slip": 8.0, "different": -1.5},
    "email": {
        "same": 15.0,
        "same_shared": 6.0,
        "one_slip": 10.0,
        "same_mailbox": 7.0,
        "another_number": 0.0,
        "different": -1.0,
    },
    "identifier": {
        "same": 20.0,
        "one_slip": 6.0,
        "same_and_different": 2.0,
        "another_number": -2.0,
        "different": -8.0,
    },
}


def shares(counts: Mapping[str, float]) -> dict[str, float]:
    """Counts as shares of one."""
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def listed_names() -> tuple[dict[str, tuple[dict[str, float], dict[str, float]]], dict[str, set[str]]]:
    """For each field the shares of the British list (Faker's) and of the US census; and nicknames: all from packages."""
    from faker.providers.person.en_GB import Provider  # noqa: PLC0415 - only where a model is trained

    folder = resources.files("names")
    census: dict[str, Sums[str]] = {"forenames": Sums(), "surnames": Sums()}
    for file, field, weight in (
        ("dist.male.first", "forenames", 0.5),
        ("dist.female.first", "forenames", 0.5),
        ("dist.all.last", "surnames", 1.0),
    ):
        rows = [line.split() for line in (folder / file).read_text().splitlines()]
        for name, share in shares(
            {row[0].lower(): float(row[1]) + 0.0003 for row in rows if len(row) > 1}
        ).items():
            census[field][name] += share * weight
    given: Sums[str] = Sums()
    for names in (Provider.first_names_male, Provider.first_names_female):
        for name in names:
            given[name.lower()] += 1 / len(names) / 2
    british = shares({name.lower().replace("'", ""): weight for name, weight in Provider.last_names.items()})
    forms: dict[str, set[str]] = defaultdict(set)
    with (resources.files("nicknames") / "names.csv").open(encoding="utf-8") as file_:
        for row in csv.DictReader(file_):
            forms[row["name1"]].add(row["name2"])
    return {
        "forenames": (dict(given), dict(census["forenames"])),
        "surnames": (british, dict(census["surnames"])),
    }, forms


def public_names() -> tuple[dict[str, float], dict[str, float]]:
    """Forename and surname frequencies of the two lists, half each: what invented people are called."""
    lists, _ = listed_names()
    mixed = []
    for british, census in lists.values():
        mixed.append(
            {
                name: (british.get(name, 0.0) + census.get(name, 0.0)) / 2
                for name in sorted({*british, *census})
            }
        )
    forenames, surnames = mixed
    return forenames, surnames


def _of_people(
    people: People, field: str
) -> tuple[dict[str, float], Counter[tuple[str, str]], Counter[str], Sums[tuple[str, str]]]:
    """Shares of people who bear each name, and in how many people a commonest name also occurs in another form."""
    bearers: Sums[str] = Sums()
    variants: Counter[tuple[str, str]] = Counter()
    written: Sums[tuple[str, str]] = Sums()
    mains: Counter[str] = Counter()
    for records in people.values():
        names = Counter(
            getattr(r, field)[0 if field == "forenames" else -1]
            for r in records
            if r.forenames and r.surnames
        )
        if not names:
            continue
        total, (commonest, _) = names.total(), names.most_common(1)[0]
        mains[commonest] += 1
        for name, count in names.items():
            bearers[name] += count / total
            if name != commonest and len(name) > 1 and len(commonest) > 1 and edits(name, commonest) > 1:
                variants[commonest, name] += 1
                written[commonest, name] += count / total
    discounted = {name: count - 0.5 for name, count in bearers.items() if count > 1}
    return {name: count / max(len(people), 1) for name, count in discounted.items()}, variants, mains, written


def name_tables(people: People, *, seen: int = 2) -> dict[str, Any]:
    """The two name tables of a model: shares, and the forms that a name takes in `seen` people or in the public list."""
    lists, forms = listed_names()
    tables: dict[str, Any] = {}
    for field, (british, census) in lists.items():
        own, variants, bearers, written = _of_people(people, field)
        mine, theirs, others = MIXED[field]
        unseen, seldom = UNSEEN[field], SELDOM[field]
        least = {
            name: seldom if name in british or census.get(name, 0.0) > LISTED else unseen
            for name in {*own, *british, *census}
        }
        mixed = {
            # Jessica and Mohammed, whom the labelled people do not have, are as common as the lists have them.
            name: max(
                mine * own.get(name, 0.0) + theirs * british.get(name, 0.0) + others * census.get(name, 0.0),
                LIVING[field] * (british.get(name, 0.0) + census.get(name, 0.0)) / 2,
            )
            for name in least
        }
        known: dict[str, dict[str, float]] = {}
        if field == "forenames":
            known = {
                name: {
                    form: (written[name, form] + LIKE_OTHERS * share) / (bearers[name] + LIKE_OTHERS)
                    for form, share in _spelt(others).items()
                }
                for name, others in sorted(forms.items())
            }
        for (name, form), times in sorted(variants.items()):
            # Also a second forename used as the first is seen "in another form": a form must be far commoner than chance.
            by_chance = (mixed.get(form, 0.0) + unseen) * bearers[name]
            if form in known.get(name, ()) or (times >= seen and times > LIFT * by_chance):
                share = written[name, form] / (bearers[name] + 1)
                known.setdefault(name, {}).setdefault(form, share)
        tables[field] = {
            "unseen": unseen,
            "seldom": seldom,
            "shares": {
                name: round(share + least[name], 7)
                for name, share in sorted(mixed.items())
                if share > KNOWN[field] * least[name]
            },
            "forms": {
                name: {form: round(max(share, UNSEEN_FORM), 4) for form, share in others.items()}
                for name, others in known.items()
            },
            "listed": " ".join(
                sorted(
                    name
                    for name, share in mixed.items()
                    if field == "surnames" and least[name] == seldom and share <= KNOWN[field] * seldom
                )
            ),
        }
    return tables


def _spelt(forms: Iterable[str]) -> dict[str, float]:
    """The forms of a name, and the other ways to spell their endings: lennie, lenny, lenney, lenni."""
    shares_ = {
        form[: -len(ending)] + other: ODD_SPELLING
        for form in forms
        for ending in ("ie", "ey", "y")
        if form.endswith(ending)
        for other in ("ie", "ey", "y", "i")
    }
    return dict(sorted({**shares_, **dict.fromkeys(forms, USUAL_FORM)}.items()))


def births(people: People) -> dict[str, Any]:
    """Shares of people born in one year of each decade, and on the days that clerks and slips make common."""
    decades: Sums[str] = Sums()
    days: Sums[str] = Sums()
    for records in people.values():
        dates = [record.date_of_birth for record in records if record.date_of_birth]
        for date in dates:
            decades[date[:3]] += 1 / len(dates)
            days[date[4:]] += 1 / len(dates)
    born = sum(days.values())
    usual = (born - sum(nlargest(10, days.values()))) / born / 366
    return {
        "decades": {
            decade: round((count + 1) / (born + len(decades)) / 10, 7)
            for decade, count in sorted(decades.items())
            if int(decade) <= LAST_DECADE
        },
        "days": {
            day: round(count / born, 5) for day, count in sorted(days.items()) if count / born > 1.3 * usual
        },
        "day": round(usual, 6),
    }


def estimate(people: People, *, version: str, seed: int = 1) -> dict[str, Any]:
    """A whole model from labelled people, thresholds left to be set by measured error."""
    raw: dict[str, Any] = {
        "version": version,
        "thresholds": {"join": 99.0, "hold": 99.0},
        **name_tables(people),
        "births": births(people),
    }
    same, strangers, namesakes = tallies(people, raw, seed)
    raw["bits"] = {
        field: STATED.get(field) or _bits(field, same, namesakes if field in AMONG_NAMESAKES else strangers)
        for field in LEVELS
        if field != "household"
    }
    raw["bits"]["household"] = HOUSEHOLD
    careful(raw["bits"])
    return raw


def careful(bits: dict[str, dict[str, float]]) -> None:
    """Not less than MOVED_FAR for a move across the country: the labelled people's postcodes are made up near each other."""
    bits["postcode"]["far"] = max(bits["postcode"]["far"], MOVED_FAR)


def tallies(people: People, raw: Mapping[str, Any], seed: int = 1) -> "tuple[Tally, Tally, Tally]":
    """How often each level occurs among pairs of one human (each weighs the same), strangers, strangers of one surname."""
    bare = {field: dict.fromkeys(levels, 0.0) for field, levels in LEVELS.items()}
    model = build({**raw, "bits": bare})
    rng = random.Random(seed)
    same, strangers = Tally(), Tally()
    for records in people.values():
        pairs = list(combinations(records, 2))
        pairs = rng.sample(pairs, min(len(pairs), PAIRS_OF_ONE))
        for a, b in pairs:
            same.add(compare(a, b, model).lines, 1 / len(pairs))
    every = [(person, record) for person, records in people.items() for record in records]
    for _ in range(PAIRS_OF_STRANGERS):
        (one, a), (other, b) = rng.choice(every), rng.choice(every)
        if one != other:
            strangers.add(compare(a, b, model).lines, 1.0)
    return same, strangers, _namesakes(every, model, rng)


def _namesakes(every: Sequence[tuple[str, Record]], model: Model, rng: random.Random) -> "Tally":
    bearers: dict[str, list[tuple[str, Record]]] = defaultdict(list)
    for person, record in every:
        if record.surnames:
            bearers[record.surnames[-1]].append((person, record))
    tally = Tally()
    for family in bearers.values():
        for _ in range(min(len(family) ** 2, PAIRS_OF_NAMESAKES)):
            (one, a), (other, b) = rng.choice(family), rng.choice(family)
            if one != other:
                tally.add(compare(a, b, model).lines, 1.0)
    return tally


class Tally:
    """How often each level occurred, and with how many bits of rarity."""

    def __init__(self) -> None:
        self.times = {field: Sums[str]() for field in LEVELS}
        self.rarity = {field: Sums[str]() for field in LEVELS}
        self.odds = {field: Sums[str]() for field in LEVELS}

    def add(self, lines: Sequence[Line], weight: float) -> None:
        """One pair, compared by a model whose own weights are nought."""
        for field, level, bits in lines:
            self.times[field][level] += weight
            self.rarity[field][level] += weight * bits
            self.odds[field][level] += weight * 2.0**bits


def weight(field: str, level: str, m: float, strangers: Tally, u: float | None = None) -> float:
    """Bits of a level that a share m of pairs of one human has, and u (counted, if not given) of the strangers' pairs.

    Where the rarity of the name or date is added to each pair's weight, the odds that strangers get for it must come to m
    together: that is what the mean over them of two to the rarity stands for.
    """
    levels = beside(field, level)
    seen, compared = strangers.times[field][level], sum(strangers.times[field][one] for one in levels)
    if level not in BY_RARITY.get(field, ()):
        return log2(m / (u or (seen + 0.5) / (compared + len(levels) * 0.5)))
    if seen < ENOUGH or (field, level) in BY_CHANCE:
        return log2(m)  # rarity alone says how often it comes by chance
    return log2(m * compared / strangers.odds[field][level])


def _bits(field: str, same: Tally, strangers: Tally) -> dict[str, float]:
    levels = LEVELS[field]
    ours = sum(same.times[field][level] for level in levels) + len(levels) * 0.5
    shares_ = {level: (same.times[field][level] + 0.5) / ours for level in levels}
    return {
        level: round(weight(field, level, m, strangers), 2) for level, m in pooled(field, shares_).items()
    }


def pooled(field: str, m: Mapping[str, float]) -> dict[str, float]:
    """A date that agrees is right as often when it is the first of January: how common that day is, its rarity says."""
    found = dict(m)
    if field == "date_of_birth":
        found["same"] = found["same_first_of_january"] = m["same"] + m["same_first_of_january"]
    for level, share in m.items():
        levels = beside(field, level)
        if levels != LEVELS[field]:
            found[level] = share / sum(m[one] for one in levels)
    return found


def beside(field: str, level: str) -> tuple[str, ...]:
    """The levels that a level's share is a share of: all of the field, but where two kinds of pairs are told apart."""
    return next((levels for levels in APART.get(field, ()) if level in levels), LEVELS[field])
