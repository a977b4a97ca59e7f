"""Invented people in any number: names as common as in the packaged model, British postcodes, telephones, numbers."""

import random
from collections.abc import Iterator
from typing import Any

from services.intake.matching import Person
from services.intake.matching.geography import AREAS

_SYLLABLES = (
    "ba",
    "den",
    "for",
    "gil",
    "har",
    "kes",
    "lan",
    "mor",
    "nor",
    "pel",
    "ros",
    "sta",
    "ter",
    "wick",
    "yar",
)
_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"


class Inventor:
    """People one after the other, the same for the same seed."""

    def __init__(self, tables: dict[str, Any], seed: int = 17) -> None:
        """`tables` are those of the packaged model: `forenames` and `surnames` with their `shares`."""
        self.rng = random.Random(seed)
        self._forenames = _weighted(tables["forenames"]["shares"])
        self._surnames = _weighted(tables["surnames"]["shares"])

    def people(self, count: int) -> Iterator[Person]:
        """`count` of them: 97 % with a birth date, 90 % with a telephone, 60 % with an e-mail, 10 % with a PNC number."""
        for start in range(0, count, 10_000):
            size = min(10_000, count - start)
            given, middle = self._names(self._forenames, size), self._names(self._forenames, size)
            family = self._names(self._surnames, size)
            for name, second, surname in zip(given, middle, family, strict=True):
                yield self._person(name, second, surname)

    def _names(self, table: tuple[list[str], list[float]], size: int) -> list[str]:
        """Names by their share; the rest of the people have names that no list has."""
        found = self.rng.choices(table[0], table[1], k=size)
        return [name or "".join(self.rng.choices(_SYLLABLES, k=3)) for name in found]

    def _person(self, name: str, second: str, surname: str) -> Person:
        rng = self.rng
        street = f"{rng.randrange(1, 200)} {rng.choice(_SYLLABLES)} road"
        person: Person = {
            "forenames": f"{name} {second}" if rng.random() < 0.5 else name,
            "surname": surname,
            "sex": rng.choice("fm"),
            "addresses": [{"lines": [street], "postcode": self.postcode()}],
        }
        if rng.random() < 0.97:
            person["date_of_birth"] = self.birth()
        if rng.random() < 0.9:
            person["phones"] = [self.phone()]
        if rng.random() < 0.6:
            person["emails"] = [f"{name}.{surname}{rng.randrange(10_000)}@example.org"]
        if rng.random() < 0.1:
            person["identifiers"] = {"noms": f"{rng.choice(_LETTERS)}{rng.randrange(10_000):04d}AB"}
        return person

    def postcode(self) -> str:
        """One of some three million; a country has fewer, so that fewer strangers share one here than there."""
        rng = self.rng
        inward = f"{rng.randrange(10)}{rng.choice(_LETTERS[:10])}{rng.choice(_LETTERS[:10])}"
        return f"{rng.choice(AREAS)}{rng.randrange(1, 25)} {inward}"

    def birth(self) -> str:
        """Between 1940 and 2008."""
        return f"{self.rng.randrange(1940, 2009)}-{self.rng.randrange(1, 13):02d}-{self.rng.randrange(1, 29):02d}"

    def phone(self) -> str:
        """A mobile telephone."""
        return f"+447{self.rng.randrange(10**9):09d}"

    def again(self, person: Person) -> Person:
        """The same human through another agency: up to two of the things that change or are mistyped."""
        rng, other = self.rng, dict(person)
        for _ in range(rng.randrange(3)):
            change = rng.randrange(6)
            if change == 0:
                surname = str(person["surname"])
                place = rng.randrange(len(surname))
                other["surname"] = surname[:place] + rng.choice("abcdefghijklmnop") + surname[place + 1 :]
            elif change == 1:
                other["addresses"] = [{"postcode": self.postcode()}]
            elif change == 2:
                other.pop("date_of_birth", None)
            elif change == 3:
                other["phones"] = [self.phone()]
            elif change == 4:
                other.pop("emails", None)
            else:
                other["forenames"] = str(person["forenames"]).split()[0]
        return other  # type: ignore[return-value]


def _weighted(shares: dict[str, float]) -> tuple[list[str], list[float]]:
    return ["", *shares], [max(0.0, 1.0 - sum(shares.values())), *shares.values()]
