"""The settings that the labelled people are measured in: with contact details (b), and among invented people (d)."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.identity.data import historical_person
from benchmarks.identity.weights import public_names
from services.intake.matching.blocking import blocking_keys, worth_comparing
from services.intake.matching.evidence import compare
from services.intake.matching.model import Model
from services.intake.matching.record import Record, normalise
from services.intake.matching.rules import Rule, standing_rules


@dataclass(frozen=True)
class Rates:
    """How contact details reach agencies. Nobody publishes such rates: these are stated, so that they can be disputed."""

    has_phone: float = 0.97
    has_email: float = 0.80
    has_number: float = 0.35  # a PNC number: suspects, and victims who were once
    given_phone: float = 0.92  # an agency that could have it does: few referrals can be worked without one
    given_email: float = 0.60
    given_number: float = 0.50
    current: float = 0.85  # ...and it is the one that other agencies have, not an older one
    partners: float = 0.06  # ...or it is the partner's, who is in the store too
    mistyped: float = 0.03


# How much of it depends on the rates can be seen only side by side.
RATES = {
    "scarce": Rates(),
    # Victim care gets its referrals from the police by transfer, and so the same telephone; probation asks again.
    "usual": Rates(
        has_email=0.9,
        given_phone=0.97,
        given_email=0.75,
        given_number=0.7,
        current=0.93,
        partners=0.03,
        mistyped=0.02,
    ),
    # As good as records get where agencies check a telephone by calling it.
    "well kept": Rates(
        has_phone=0.99,
        has_email=0.9,
        given_phone=0.99,
        given_email=0.85,
        given_number=0.8,
        current=0.96,
        partners=0.02,
        mistyped=0.01,
    ),
}


def with_contacts(
    records: Sequence[Record], people: Sequence[int], rates: Rates, seed: int = 11
) -> list[Record]:
    """Setting (b): each person has telephones, e-mail addresses, a number; each record what that agency was given."""
    rng = random.Random(seed)
    everybody = sorted(set(people))
    partner = dict(zip(everybody, everybody[1::2] + everybody[::2], strict=False))
    phones = {
        person: [f"+447{rng.randrange(10**9):09d}" for _ in range(2)]
        for person in everybody
        if rng.random() < rates.has_phone
    }
    emails = {
        person: [f"{rng.getrandbits(40):x}@example.org" for _ in range(2)]
        for person in everybody
        if rng.random() < rates.has_email
    }
    numbers = {
        person: f"{rng.randrange(100):02d}/{rng.randrange(10**7):07d}X"
        for person in everybody
        if rng.random() < rates.has_number
    }
    found = []
    for record, person in zip(records, people, strict=True):
        phones_ = _given(phones, rates.given_phone, person, partner, rates, rng)
        emails_ = _given(emails, rates.given_email, person, partner, rates, rng)
        number = numbers.get(person) if rng.random() < rates.given_number else None
        identifiers = (("pnc", number),) if number else ()
        found.append(replace(record, phones=phones_, emails=emails_, identifiers=identifiers))
    return found


def _given(
    values: dict[int, list[str]],
    given: float,
    person: int,
    partner: dict[int, int],
    rates: Rates,
    rng: random.Random,
) -> tuple[str, ...]:
    if person not in values or rng.random() >= given:
        return ()
    draw = rng.random()
    if draw < rates.partners:
        value = values.get(partner.get(person, person), values[person])[0]
    else:
        value = values[person][0 if draw < rates.partners + rates.current else 1]
    if rng.random() < rates.mistyped:
        place = rng.randrange(4, len(value) - 1) if value[0] == "+" else rng.randrange(1, 5)
        value = value[:place] + rng.choice("0123456789") + value[place + 1 :]
    return (value,)


def contact_columns(record: Record) -> dict[str, str]:
    """A record's contact details for rivals that know columns."""
    number = record.identifiers[0][1] if record.identifiers else ""
    return {"phone": "".join(record.phones[:1]), "email": "".join(record.emails[:1]), "pnc": number}


def in_common(a: Record, b: Record) -> bool:
    """Whether two records have a telephone, an e-mail address or a number in common."""
    return any(
        not set(one).isdisjoint(other)
        for one, other in ((a.phones, b.phones), (a.emails, b.emails), (a.identifiers, b.identifiers))
    )


def invented(count: int, like: Sequence[Record], seed: int = 5) -> Iterator[dict[str, str]]:
    """People of public name frequencies, born and living like the labelled ones (`like`), and written as those are."""
    rng = random.Random(seed)
    forenames, surnames = public_names()
    born = [record.date_of_birth for record in like if record.date_of_birth]
    homes = [record.postcodes[0] for record in like if record.postcodes]
    for start in range(0, count, 10_000):
        given = rng.choices(list(forenames), list(forenames.values()), k=20_000)
        family = rng.choices(list(surnames), list(surnames.values()), k=10_000)
        for number in range(min(10_000, count - start)):
            year, day = rng.choice(born)[:4], rng.choice(born)[4:]
            district = rng.choice(homes)[:-3].lower()
            inward = f"{rng.randrange(10)}{rng.choice('abdefghjln')}{rng.choice('abdefghjln')}"
            names = [given[number], *([given[number + 10_000]] if rng.random() < 0.3 else []), family[number]]
            yield {
                "first_name": names[0],
                "surname": names[-1],
                "full_name": " ".join(names),
                "dob": f"{year}-{day[:2]}-{day[2:]}" if rng.random() < 0.77 else "",
                "postcode": f"{district} {inward}" if rng.random() < 0.77 else "",
                "gender": "",
            }


class Nation:
    """Setting (d): invented people, of whom a store holds one record each; a record is known as -1, -2, …."""

    def __init__(
        self,
        people: int,
        like: Sequence[Record],
        wanted: Iterable[str],
        model: Model,
        step: Callable[[], None],
    ) -> None:
        self.people, self._like = people, like
        wanted_keys = set(wanted)
        self._index: dict[str, list[int]] = defaultdict(list)
        self._records: dict[int, Record] = {}
        for number, row in enumerate(self.rows()):
            record = normalise(historical_person(row))
            for key in blocking_keys(record, model):
                if key in wanted_keys:  # nobody will ask for the others
                    self._index[key].append(number)
                    self._records[number] = record
            if number % 10_000 == 0:
                step()

    def rows(self) -> Iterator[dict[str, str]]:
        """Everybody's fields, in the order of their numbers."""
        return invented(self.people, self._like)

    def under(self, key: str) -> int:
        """How many invented people share a key."""
        return len(self._index.get(key, ()))

    def rivals(
        self, record: Record, keys: Sequence[str], model: Model
    ) -> list[tuple[float, int, frozenset[Rule]]]:
        """The evidence for the invented people whom the keys find, but for hot ones."""
        near, _ = worth_comparing((key, self._index.get(key, ())) for key in keys)
        rivals = []
        for number in near:
            table = compare(record, self._records[number], model)
            rivals.append((table.bits, -1 - number, standing_rules(table)))
        return rivals
