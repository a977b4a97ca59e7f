"""Seeded facilitators and cases that look like a county's: several agencies, few specialists, homes in real districts."""

from __future__ import annotations

import csv
import re
from random import Random

from services.allocation.policy import TeamNeed
from services.allocation.workforce import CaseNeed, Facilitator
from services.allocation.workforce.people import DISTRICTS

ORDINARY = TeamNeed(
    facilitators=2, different_agencies=True, training="core", experience="one_experienced", travel_km=200
)
COMPLEX = TeamNeed(
    facilitators=2,
    different_agencies=True,
    training="complex",
    experience="all_experienced",
    supervision="specialist",
)


def districts(*areas: str) -> list[str]:
    """The districts of some postcode areas (all of them without), as BN1 is of BN."""
    with DISTRICTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))[1:]
    of_area = re.compile(r"[A-Z]+")
    return [row[0] for row in rows if not areas or of_area.match(row[0]).group() in areas]  # type: ignore[union-attr]


def facilitators(
    random: Random, count: int, agencies: int, places: list[str], capacity: int = 60
) -> list[Facilitator]:
    """Three in ten are new to the work, four in ten may take complex cases, one in twenty speaks Polish."""
    people = []
    for number in range(count):
        experienced = random.random() < 0.7
        complex_cases = experienced and random.random() < 0.6
        people.append(
            Facilitator(
                id=f"f{number:04}",
                agency=f"agency-{number % agencies}",
                training="complex" if complex_cases else "core",
                supervision="specialist" if complex_cases else "line",
                experienced=experienced,
                languages=("en", "pl") if random.random() < 0.05 else ("en",),
                specialisms=("sexual",) if complex_cases and random.random() < 0.4 else (),
                district=random.choice(places),
                capacity=random.choice([capacity // 2, capacity, capacity * 3 // 2]),
                used=random.randrange(0, capacity // 4),
            )
        )
    return people


def cases(random: Random, count: int, places: list[str], hours: int = 6) -> list[CaseNeed]:
    """One in five is complex, one in thirty needs Polish; each has two parties, who rarely live in one district."""
    found = []
    for number in range(count):
        need = COMPLEX if random.random() < 0.2 else ORDINARY
        languages = ("pl",) if random.random() < 1 / 30 else ()
        home = random.choice(places)
        found.append(
            CaseNeed(
                id=f"c{number:04}",
                team=TeamNeed(
                    **{name: getattr(need, name) for name in need.__struct_fields__ if name != "languages"},
                    languages=languages,
                ),
                districts=(home, home if random.random() < 0.3 else random.choice(places)),
                hours=hours,
            )
        )
    return found
