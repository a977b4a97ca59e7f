"""From labelled people to a model: name tables, and the shares of each level among pairs of one human and of two.

The counts are those of Splink's supervised estimators (m from the label column, u from random pairs); `train.py` runs
Splink itself on the same levels and prints both. Here they are counted directly, so that the benchmark can train many
times without the people it measures.
"""

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import combinations
from math import log2
from typing import Any

from services.intake.matching.evidence import compare
from services.intake.matching.levels import BY_RARITY, LEVELS, Line
from services.intake.matching.model import Model, build
from services.intake.matching.names import edits
from services.intake.matching.record import Record

People = Mapping[str, Sequence[Record]]

PAIRS_OF_STRANGERS = 600_000
PAIRS_OF_NAMESAKES = 200  # of each surname
PAIRS_OF_ONE = 25  # of each person, so that one with many records does not outweigh the others
OWN = 0.5  # how much the trained-on people's own name frequencies count beside the public lists
LIFT = 5.0
UNSEEN_FORM = 0.003  # of the people of a name, who are written in a form that only the public list knows
# The rarest that a name counts for: beyond, strangers who share it are mostly kin, and kin are not so rare.
UNSEEN_FORENAME, UNSEEN_SURNAME = 1 / 4_000, 1 / 4_000
LISTED = 3e-6  # the share of a name that is no slip of another: one in 100,000 of either public list, as they round
MOVED_FAR = -5.0
HOUSEHOLD = -6.0
ENOUGH = 10  # strangers seen at a level, to count how often it comes by chance; below, rarity alone says it
# A father's, a brother's and a son's second forenames are often one: how often strangers share one is counted where it
# matters, among those of one surname.
AMONG_NAMESAKES = frozenset({"other_forenames"})
# Contact details and numbers are not in the labelled data: stated weights (docs/identity.md), until there are real ones.
STATED = {
    "address": {"same": 5.0, "similar": 3.0, "different": -1.0},
    "telephone": {"same": 14.0, "one_slip": 8.0, "different": -1.5},
    "email": {"same": 15.0, "one_slip": 10.0, "same_mailbox": 7.0, "another_number": 0.0, "different": -1.0},
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


def public_names() -> tuple[dict[str, float], dict[str, float], dict[str, set[str]]]:
    """Forename and surname frequencies (US census, British lists of Faker) and nicknames, from their packages."""
    from faker.providers.person.en_GB import Provider  # noqa: PLC0415 - only where a model is trained

    folder = resources.files("names")
    census = {}
    for file in ("dist.male.first", "dist.female.first", "dist.all.last"):
        rows = [line.split() for line in (folder / file).read_text().splitlines()]
        census[file] = shares({row[0].lower(): float(row[1]) + 0.0003 for row in rows if len(row) > 1})
    forenames: Counter[str] = Counter()
    for file, names in (
        ("dist.male.first", Provider.first_names_male),
        ("dist.female.first", Provider.first_names_female),
    ):
        for name, share in census[file].items():
            forenames[name] += share / 4
        for name in names:
            forenames[name.lower()] += 1 / len(names) / 4
    british = shares({name.lower().replace("'", ""): weight for name, weight in Provider.last_names.items()})
    surnames: Counter[str] = Counter({name: share / 2 for name, share in census["dist.all.last"].items()})
    for name, share in british.items():
        surnames[name] += share / 2
    forms: dict[str, set[str]] = defaultdict(set)
    with (resources.files("nicknames") / "names.csv").open(encoding="utf-8") as file_:
        for row in csv.DictReader(file_):
            forms[row["name1"]].add(row["name2"])
    return dict(forenames), dict(surnames), forms


def _of_people(
    people: People, field: str
) -> tuple[dict[str, float], Counter[tuple[str, str]], Counter[str], Counter[tuple[str, str]]]:
    """Shares of people who bear each name, and in how many people a commonest name also occurs in another form."""
    bearers: Counter[str] = Counter()
    variants: Counter[tuple[str, str]] = Counter()
    written: Counter[tuple[str, str]] = Counter()
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
    forenames, surnames, forms = public_names()
    tables: dict[str, Any] = {}
    for field, public, unseen in (
        ("forenames", forenames, UNSEEN_FORENAME),
        ("surnames", surnames, UNSEEN_SURNAME),
    ):
        own, variants, bearers, written = _of_people(people, field)
        mixed = {
            name: OWN * own.get(name, 0.0) + (1 - OWN) * public.get(name, 0.0) for name in {*own, *public}
        }
        known: dict[str, dict[str, float]] = {}
        if field == "forenames":
            known = {
                name: dict.fromkeys(sorted(others), UNSEEN_FORM) for name, others in sorted(forms.items())
            }
        for (name, form), times in sorted(variants.items()):
            # Also a second forename used as the first is seen "in another form": a form must be far commoner than chance.
            by_chance = mixed.get(form, unseen) * bearers[name]
            if form in known.get(name, ()) or (times >= seen and times > LIFT * by_chance):
                share = written[name, form] / (bearers[name] + 1)
                known.setdefault(name, {})[form] = round(max(share, UNSEEN_FORM), 4)
        tables[field] = {
            "unseen": unseen,
            "shares": {name: round(share, 7) for name, share in sorted(mixed.items()) if share > unseen},
            "forms": known,
        }
    tables["surnames"]["listed"] = " ".join(
        sorted(name for name, share in surnames.items() if share > LISTED and mixed[name] <= UNSEEN_SURNAME)
    )
    return tables


def estimate(people: People, *, version: str, seed: int = 1) -> dict[str, Any]:
    """A whole model from labelled people, thresholds left to be set by measured error."""
    raw: dict[str, Any] = {
        "version": version,
        "thresholds": {"join": 99.0, "hold": 99.0},
        **name_tables(people),
    }
    same, strangers, namesakes = tallies(people, raw, seed)
    raw["bits"] = {
        field: STATED.get(field) or _bits(field, same, namesakes if field in AMONG_NAMESAKES else strangers)
        for field in LEVELS
        if field != "household"
    }
    raw["bits"]["household"] = {"one_surname_at_home": HOUSEHOLD}
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
        self.times: dict[str, Counter[str]] = {field: Counter() for field in LEVELS}
        self.rarity: dict[str, Counter[str]] = {field: Counter() for field in LEVELS}

    def add(self, lines: Sequence[Line], weight: float) -> None:
        """One pair, compared by a model whose own weights are nought."""
        for field, level, bits in lines:
            self.times[field][level] += weight
            self.rarity[field][level] += weight * bits

    def mean_rarity(self, field: str) -> Counter[str]:
        """Bits, of the names on which pairs agreed, for each level."""
        times = self.times[field]
        return Counter({level: bits / times[level] for level, bits in self.rarity[field].items()})


def _bits(field: str, same: Tally, strangers: Tally) -> dict[str, float]:
    """log2(m/u) for each level; less the mean rarity of the names where the rarity is added to each pair's weight."""
    levels = LEVELS[field]
    ours, theirs = (
        sum(tally.times[field][level] for level in levels) + len(levels) * 0.5 for tally in (same, strangers)
    )
    bits = {}
    for level in levels:
        m, seen = (same.times[field][level] + 0.5) / ours, strangers.times[field][level]
        by_rarity = level in BY_RARITY.get(field, ())
        bits[level] = log2(m * theirs / (seen + 0.5))
        if by_rarity:
            alone = seen < ENOUGH or (level == "same" and field not in AMONG_NAMESAKES)
            bits[level] = log2(m) if alone else bits[level] - same.mean_rarity(field)[level]
    return {level: round(weight, 2) for level, weight in bits.items()}
