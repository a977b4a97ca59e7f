"""The human beings of a history, and what agencies know of them. Who is who is known here, and nowhere in the services."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.referrals import party, referral

MONTHS = 12
# Where an agency has what concerns it sent by mail: no contact with anybody.
DESK = "desk@beacon.example"
VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"


@dataclass(frozen=True)
class Place:
    """An area: who refers there."""

    area: str
    force: str
    referrers: tuple[str, ...]
    more: Mapping[str, str]


# Two partnerships with different leads: a human who is harmed in both is claimed by two agencies.
HERTFORDSHIRE = Place(
    "E23000027", "41", ("hertfordshire-constabulary", "victim-support-hertfordshire"), {"stage": "custody"}
)
NORTHUMBRIA = Place(
    "E23000007",
    "10",
    ("northumbria-police", "witness-service-northumbria"),
    {"stage": "pre_sentence", "sharing_agreement": "northumbria-2026"},
)
# Where nobody is at work but whom a test sends there: see days.py.
DURHAM = Place("E23000008", "11", ("durham-constabulary",), {"stage": "custody"})
LEADS = ("beacon", "victims-first-northumbria")


@dataclass(frozen=True)
class Human:
    """One human being. Nobody shares a number or an address with another."""

    number: int
    forename: str
    surname: str
    born: str
    phone: str
    email: str

    def as_party(self, role: str, **more: Any) -> dict[str, Any]:
        """Return what an agency says of this human, always the same."""
        return party(
            role,
            name={"forenames": self.forename, "surname": self.surname},
            date_of_birth=self.born,
            sex=None,
            addresses=[],
            phones=[{"number": self.phone}],
            emails=[{"address": self.email}],
            **more,
        )

    def identifiers(self) -> dict[str, Any]:
        """Return what a withdrawal by identifiers names."""
        return {
            "name": {"forenames": self.forename, "surname": self.surname},
            "date_of_birth": self.born,
            "phones": [{"number": self.phone}],
        }


class Population:
    """Makes humans and referrals, no two alike, for as long as a run goes on. `begin`: the number of the first."""

    def __init__(self, seed: int, begin: int = 1) -> None:
        """Draw by a seed."""
        self._draw = random.Random(seed)
        self._numbers: Iterator[int] = itertools.count(begin)
        self._references: Iterator[int] = itertools.count(begin * 10)

    def human(self) -> Human:
        """Return somebody new."""
        number = next(self._numbers)
        born = f"{self._draw.randint(1940, 1999)}-{self._draw.randint(1, 12):02d}-{self._draw.randint(1, 28):02d}"
        silent = "silent" if self._draw.random() < 0.2 else "person"
        return Human(
            number,
            self._name(4),
            self._name(5),
            born,
            f"07{700_000_000 + number:09d}",
            f"{silent}{number}@example.org",
        )

    def with_errors(self, document: dict[str, Any]) -> dict[str, Any]:
        """Write the harmed party down as another agency might: with a slip of the pen or two, but the right telephone."""
        party = document["parties"][0]
        name, born, (phone, *_) = party["name"], party["date_of_birth"], party["phones"]
        slips: list[dict[str, Any]] = [
            {"name": name | {"surname": self._swapped(name["surname"])}},
            {"name": name | {"forenames": self._swapped(name["forenames"])}},
            {"name": name | {"surname": name["surname"].upper() + " "}},
            {"date_of_birth": f"{born[:5]}{born[8:]}-{born[5:7]}" if int(born[8:]) <= MONTHS else born},
            {"emails": []},
            {"phones": [{"number": f"+44 {phone['number'][1:5]} {phone['number'][5:]}"}]},
        ]
        for slip in self._draw.sample(slips, self._draw.choice((1, 1, 2))):
            party |= slip
        return document

    def _swapped(self, name: str) -> str:
        at = self._draw.randrange(1, len(name) - 1)
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]

    def _name(self, syllables: int) -> str:
        drawn = (self._draw.choice(CONSONANTS) + self._draw.choice(VOWELS) for _ in range(syllables))
        return "".join(drawn).title()

    def referral(
        self, place: Place, harmed: Human, responsible: Human, incident: str | None = None
    ) -> dict[str, Any]:
        """Return a referral of one harmed and one responsible human, about an incident of its own or a named one."""
        number = next(self._references)
        document = referral(
            f"F-{number}",
            parties=[harmed.as_party("harmed"), responsible.as_party("responsible", admitted=True)],
            **place.more,
        )
        document["incident"] |= {
            "reference": incident or f"{place.force}/{100_000 + number}/26",
            "force": place.force,
            "area": place.area,
        }
        return document
