"""Finding candidates among many: facilitators by agency and by place, so that a case costs the same among 100 and 5,000.

Places are cells of the National Grid, searched ring by ring around those whom the case is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from datetime import date
from functools import partial
from typing import Final, NamedTuple

import msgspec

from services.allocation.workforce.needs import CaseNeed, unfit_for
from services.allocation.workforce.people import Facilitator, place_of, travel_km

CELL_M: Final = 20_000
FARTHEST_RINGS: Final = 45
"""900 km: farther than Great Britain is long on one side of any case."""
NEAREST: Final = 16
OF_EACH_KIND: Final = 3
UNKNOWN_KM: Final = 60.0
"""Where a district is not known nobody is taken to live next door."""
WISHED_AT_MOST: Final = 400
"""How many of the partnership's people are looked through for a rare language or specialism."""


class Candidate(NamedTuple):
    """Somebody who could be in a case's team, with the kilometres of one meeting with each party."""

    facilitator: Facilitator
    km: float


class Roster:
    """Everybody who could deliver, found by agency and by place. Only `take` changes it, one case at a time."""

    def __init__(self, facilitators: Iterable[Facilitator]) -> None:
        self._people = {facilitator.id: facilitator for facilitator in facilitators}
        self._of_agency: dict[str, list[str]] = defaultdict(list)
        self._of_cell: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._nowhere: list[str] = []
        for facilitator in self._people.values():
            self._of_agency[facilitator.agency].append(facilitator.id)
            place = place_of(facilitator.district)
            if place is None:
                self._nowhere.append(facilitator.id)
            else:
                self._of_cell[place[0] // CELL_M, place[1] // CELL_M].append(facilitator.id)

    @property
    def all(self) -> tuple[Facilitator, ...]:
        """Everybody, as they are now."""
        return tuple(self._people.values())

    def of(self, agency: str) -> tuple[Facilitator, ...]:
        """Those who work in an agency."""
        return tuple(self._people[member] for member in self._of_agency.get(agency, ()))

    def person(self, facilitator: str) -> Facilitator:
        """Somebody, as they are now."""
        return self._people[facilitator]

    def take(self, facilitator: str, hours: int) -> None:
        """These hours are no longer free."""
        person = self._people[facilitator]
        self._people[facilitator] = msgspec.structs.replace(person, used=person.used + hours)

    def candidates(self, case: CaseNeed, on: date, nearest: int = NEAREST) -> list[Candidate]:
        """Who comes into question, pruned: the nearest, and the nearest few of each kind that a wish could need.

        The kinds: each agency of a group that the policy pairs, other agencies than the nearest one's, experienced, new to
        the work, speakers of each language, holders of each specialism. Whom a co-ordinator pinned is always in.
        """
        kept: dict[str, Candidate] = {}
        needed = _kinds(case)
        found = dict.fromkeys(range(len(needed)), 0)
        looked = 0
        for facilitator in self._outwards(case):
            looked += 1
            if looked > WISHED_AT_MOST and len(kept) >= nearest:
                break
            wanted = [
                kind for kind, fits in enumerate(needed) if found[kind] < OF_EACH_KIND and fits(facilitator)
            ]
            if (len(kept) >= nearest and not wanted) or unfit_for(facilitator, case, on) is not None:
                continue
            kept[facilitator.id] = candidate(facilitator, case)
            for kind in wanted:
                found[kind] += 1
            if len(kept) >= nearest and all(count >= OF_EACH_KIND for count in found.values()):
                break
        for facilitator in self._pinned(case):
            if unfit_for(facilitator, case, on) is None:
                kept[facilitator.id] = candidate(facilitator, case)
        return list(kept.values())

    def _pinned(self, case: CaseNeed) -> Iterator[Facilitator]:
        yield from (self._people[pinned] for pinned in case.pinned if pinned in self._people)

    def _outwards(self, case: CaseNeed) -> Iterator[Facilitator]:
        """Everybody of the case's agencies, cell by cell from the case outwards; those whose place is unknown last."""
        of = frozenset(case.agencies)
        if of and sum(len(self._of_agency.get(agency, ())) for agency in of) <= WISHED_AT_MOST:
            members = [member for agency in case.agencies for member in self.of(agency)]
            yield from sorted(members, key=lambda member: (km_for(member, case), member.load, member.id))
            return
        place = next(
            (place for district in case.districts if (place := place_of(district)) is not None), None
        )
        if place is None:
            yield from self._some(self._people, of)
            return
        for ring in range(FARTHEST_RINGS):
            cells = _ring(place[0] // CELL_M, place[1] // CELL_M, ring)
            near = self._some((member for cell in cells for member in self._of_cell.get(cell, ())), of)
            yield from sorted(near, key=lambda member: (km_for(member, case), member.load, member.id))
        yield from self._some(self._nowhere, of)

    def _some(self, members: Iterable[str], of: frozenset[str]) -> Iterator[Facilitator]:
        people = (self._people[member] for member in members)
        return (person for person in people if not of or person.agency in of)


def candidate(facilitator: Facilitator, case: CaseNeed) -> Candidate:
    """A facilitator with the way to this case."""
    return Candidate(facilitator, km_for(facilitator, case))


def km_for(facilitator: Facilitator, case: CaseNeed) -> float:
    """Kilometres of one meeting with each party, there and back."""
    if not case.districts:
        return 0.0
    km = travel_km(facilitator, case.districts)
    return UNKNOWN_KM if km is None else km


def _is_of(agencies: Container[str], facilitator: Facilitator) -> bool:
    return facilitator.agency in agencies


def _speaks(language: str, facilitator: Facilitator) -> bool:
    return language in facilitator.languages


def _knows(specialism: str, facilitator: Facilitator) -> bool:
    return specialism in facilitator.specialisms


def _kinds(case: CaseNeed) -> list[Callable[[Facilitator], bool]]:
    """What a wish of the case could need somebody to be."""
    need = case.team
    kinds: list[Callable[[Facilitator], bool]] = [lambda f: f.experienced]
    if need.experience == "one_experienced" and need.facilitators > 1:
        kinds.append(lambda f: not f.experienced)
    kinds += [partial(_is_of, frozenset(group)) for group in need.one_from_each if group]
    kinds += [partial(_speaks, language) for language in need.languages]
    kinds += [partial(_knows, specialism) for specialism in need.specialism]
    if need.different_agencies:
        first: list[str] = []

        def of_another_agency(facilitator: Facilitator) -> bool:
            first.append(facilitator.agency)
            return facilitator.agency != first[0]

        kinds.append(of_another_agency)
    return kinds


def _ring(x: int, y: int, ring: int) -> Iterator[tuple[int, int]]:
    if ring == 0:
        yield x, y
        return
    for step in range(-ring, ring + 1):
        yield x + step, y - ring
        yield x + step, y + ring
        if abs(step) < ring:
            yield x - ring, y + step
            yield x + ring, y + step
