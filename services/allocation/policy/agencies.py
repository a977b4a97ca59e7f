"""The agencies as they are today, as far as a decision needs them: kind, successor, how busy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Self

import msgspec

from services.allocation.policy.model import Partnership
from services.allocation.policy.problems import FactsError


class Agency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`load` is open cases per facilitator (any measure that compares). An agency that ceased has a successor or none."""

    id: str
    kind: str
    name: str = ""
    areas: tuple[str, ...] = ()
    successor: str | None = None
    active: bool = True
    load: float = 0.0


class Agencies:
    """The register. Policies name agencies by the ids of their day; `current` follows succession.

    `delivering` is who delivers the case in question already: whoever is less busy by now does not take it over.
    """

    delivering: str | None = None

    def __init__(self, agencies: Iterable[Agency] = ()) -> None:
        self._by_id: Mapping[str, Agency] = {agency.id: agency for agency in agencies}

    @classmethod
    def of(cls, partnership: Partnership) -> Agencies:
        """The agencies that the policy itself lists, all active and idle."""
        return cls(
            Agency(id=p.id, kind=p.kind, name=p.name, areas=tuple(sorted(p.areas)))
            for p in partnership.partners.values()
        )

    def going_on(self, deliverer: str | None) -> Self:
        """The same register for a case that this agency delivers already (None: nobody does)."""
        register = copy(self)
        register.delivering = deliverer
        return register

    def all(self) -> tuple[Agency, ...]:
        """Every agency of the register."""
        return tuple(self._by_id.values())

    def find(self, agency_id: str | None) -> Agency | None:
        """The agency of this id, as registered."""
        return None if agency_id is None else self._by_id.get(agency_id)

    def current(self, agency_id: str) -> str:
        """The agency that now stands in for this one: itself, or the last of its successors."""
        seen = {agency_id}
        agency = self._by_id.get(agency_id)
        while agency is not None and agency.successor is not None:
            agency_id = agency.successor
            if agency_id in seen:
                raise FactsError(
                    f"succession goes round in a circle at '{agency_id}': end it with an agency that exists"
                )
            seen.add(agency_id)
            agency = self._by_id.get(agency_id)
        return agency_id

    def open(self, agency_id: str) -> bool:
        """Whether the agency, or its successor, takes cases. One that nobody registered is taken to."""
        agency = self._by_id.get(self.current(agency_id))
        return agency is None or agency.active

    def load(self, agency_id: str) -> float:
        """How busy the agency, or its successor, is."""
        agency = self._by_id.get(self.current(agency_id))
        return agency.load if agency is not None else 0.0
