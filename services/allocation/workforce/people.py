"""Those who do the work, and how far they are from those they meet.

Distances are straight lines between centroids of postcode districts (`districts.csv`), in kilometres: what a meeting's place
costs is compared, not promised.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from math import hypot
from pathlib import Path
from typing import Final

import msgspec

TRAINING: Final = ("none", "core", "complex")
SUPERVISION: Final = ("none", "line", "specialist", "clinical")
DISTRICTS: Final = Path(__file__).parent / "districts.csv"
HOME_AND_AWAY: Final = 2


class Facilitator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker or volunteer. `agency` is the team that it works in; `employer` who pays it, where seconded.

    `capacity` and `used` are hours of one planning period; `absences` first and last days, both away. `district` is an
    outward postcode. `supervision` is the highest kind that the worker has.
    """

    id: str
    agency: str
    employer: str | None = None
    roles: tuple[str, ...] = ("facilitator",)
    training: str = "core"
    experienced: bool = False
    specialisms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
    supervision: str = "line"
    areas: tuple[str, ...] = ()
    district: str | None = None
    capacity: int = 20
    used: int = 0
    absences: tuple[tuple[date, date], ...] = ()
    deputy: str | None = None
    active: bool = True

    @property
    def free(self) -> int:
        """Hours left."""
        return self.capacity - self.used

    @property
    def load(self) -> float:
        """Share of the hours that is taken; someone without hours is full."""
        return self.used / self.capacity if self.capacity else 1.0

    def away(self, day: date) -> bool:
        """Whether it is absent on the day."""
        return any(first <= day <= last for first, last in self.absences)

    def trained(self, level: str) -> bool:
        """Whether it is trained at least so far."""
        return TRAINING.index(self.training) >= TRAINING.index(level)

    def supervised(self, level: str) -> bool:
        """Whether it has at least this supervision."""
        return SUPERVISION.index(self.supervision) >= SUPERVISION.index(level)


def place_of(district: str | None) -> tuple[int, int] | None:
    """Easting and northing in metres of a postcode district; None where it is not known."""
    return _districts().get(district.upper()) if district else None


def distance_km(one: str | None, other: str | None) -> float | None:
    """Kilometres between two postcode districts; None where one is not known."""
    here, there = place_of(one), place_of(other)
    if here is None or there is None:
        return None
    return hypot(here[0] - there[0], here[1] - there[1]) / 1000


def travel_km(facilitator: Facilitator, districts: Iterable[str]) -> float | None:
    """Kilometres to each district and home again; None where nothing is known of either end."""
    legs = [distance_km(facilitator.district, district) for district in districts]
    known = [leg for leg in legs if leg is not None]
    return HOME_AND_AWAY * sum(known) if known else None


@lru_cache(maxsize=1)
def _districts() -> dict[str, tuple[int, int]]:
    with DISTRICTS.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(line for line in file if not line.startswith("#"))
        next(rows)  # the header
        return {district: (int(easting), int(northing)) for district, easting, northing in rows}
