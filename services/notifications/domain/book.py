"""Who has a part in which case: what the feed needs to know to address an entry. No personal data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.contracts.envelope import Payload, datetime
from shared.contracts.sharing import ANY_REFERRER
from shared.contracts.states import State, replace

PartRole = Literal["lead", "hub", "referrer", "asked"]
PartKey = tuple[str, str, str, str]


class Part(State, frozen=True):
    """An agency's part in a case.

    `about` is what the part is about: the party led, the referral sent, the check asked, "" for the hub. `person` is
    who a lead speaks to. `since` and `ended` are times of events: a part is over when it ended after it last began.
    `sharing` is the agreement that a referral was sent under.
    """

    case: str
    role: PartRole
    agency: str
    about: str = ""
    person: str | None = None
    worker: str | None = None
    checks: tuple[str, ...] = ()
    sharing: str | None = None
    since: datetime | None = None
    ended: datetime | None = None

    @property
    def key(self) -> PartKey:
        """What makes the part one of its kind."""
        return (self.case, self.role, self.agency, self.about)

    @property
    def live(self) -> bool:
        """Whether the agency still has this part."""
        return self.ended is None or (self.since is not None and self.since > self.ended)


@dataclass(frozen=True)
class Notice:
    """An event that agencies may have to know of. `told`: the agencies whose feeds got an entry, once it is written.

    `at` is when it happened, `now` the time of the transaction that tells of it.
    """

    event: str
    kind: str
    subject: str
    at: datetime
    now: datetime
    payload: Payload
    trace: str | None = None
    told: set[str] = field(default_factory=set, compare=False)


@dataclass(frozen=True)
class Entry:
    """One entry of an agency's feed, not yet numbered. `data` holds codes and ids only."""

    agency: str
    kind: str
    event: str
    at: datetime
    case: str | None = None
    party: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    trace: str | None = None


@dataclass(frozen=True)
class Restriction:
    """Bad news about a person that whoever leads later must be told too. `case` None: it covers every case."""

    person: str
    event: str
    kind: str
    at: datetime
    case: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)


RestrictionKey = tuple[str, str | None]


@dataclass
class Book:
    """The parts and restrictions that one batch touches: read before it, changed in order, saved after it.

    `agreements` names each agency's own sharing agreement, `shared` the kinds of entry that an agreement allows a
    referrer, with the agencies that are party to it, `heirs` the agencies that have been succeeded by now, and by whom.
    Indexed by case and by person, because a batch asks once for each of its events.
    """

    agreements: Mapping[str, str | None] = field(default_factory=dict)
    shared: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    heirs: Mapping[str, str] = field(default_factory=dict)
    changed: dict[PartKey, Part] = field(default_factory=dict)
    lifted: set[tuple[str, str, str | None]] = field(default_factory=set)
    added: dict[tuple[str, str, str | None], Restriction] = field(default_factory=dict)
    _cases: dict[str, dict[PartKey, Part]] = field(default_factory=dict)
    _people: dict[str, dict[PartKey, None]] = field(default_factory=dict)
    _restrictions: dict[str, dict[RestrictionKey, Restriction]] = field(default_factory=dict)

    def know(self, part: Part) -> None:
        """Enter a part that is stored already."""
        self._cases.setdefault(part.case, {})[part.key] = part
        if part.role == "lead":
            for person in (part.person, part.about):
                if person:
                    self._people.setdefault(person, {})[part.key] = None

    def know_restriction(self, restriction: Restriction) -> None:
        """Enter a restriction that is stored already."""
        self._restrictions.setdefault(restriction.person, {})[restriction.event, restriction.case] = (
            restriction
        )

    def get(self, key: PartKey) -> Part | None:
        """Return the part, live or not."""
        return self._cases.get(key[0], {}).get(key)

    def put(self, part: Part) -> None:
        """Write a part."""
        if self.get(part.key) != part:
            self.know(part)
            self.changed[part.key] = part

    def begin(self, part: Part) -> tuple[Part, bool]:
        """Write a part that begins at its `since`; return it as it now is, and whether it is new or has changed.

        One that is live already keeps its beginning; one that has ended keeps the end, which the later of the two wins.
        """
        known = self.get(part.key)
        if known is not None:
            part = replace(part, since=known.since if known.live else part.since, ended=known.ended)
        self.put(part)
        return part, known != part

    def end(self, part: Part, at: datetime) -> None:
        """End a part; monotone: a later end stays, so that an event applied twice changes nothing."""
        if part.ended is None or part.ended < at:
            self.put(replace(part, ended=at))

    def of(self, case: str, *roles: PartRole) -> list[Part]:
        """Return the live parts of a case in these roles."""
        return [part for part in self._cases.get(case, {}).values() if part.role in roles and part.live]

    def ever_led(self, person: str) -> list[Part]:
        """Return the leads for a person, or for a party that has that id, with those that have ended."""
        found = (self.get(key) for key in self._people.get(person, ()))
        return [part for part in found if part and person in (part.person, part.about)]

    def led(self, person: str) -> list[Part]:
        """Return the live leads for a person, or for a party that has that id."""
        return [part for part in self.ever_led(person) if part.live]

    def last_to_lead(self, case: str, party: str) -> set[str]:
        """Return who leads a party of a case, or nobody doing so, who led it last."""
        parts = [p for p in self._cases.get(case, {}).values() if p.role == "lead" and p.about == party]
        live = {part.agency for part in parts if part.live}
        newest = max((part.since for part in parts if part.since), default=None)
        return live or {part.agency for part in parts if part.since == newest}

    def cases_of(self, person: str) -> list[str]:
        """Return the cases in which somebody leads for the person."""
        return list(dict.fromkeys(part.case for part in self.led(person)))

    def allows(self, part: Part, kind: str) -> bool:
        """Say whether a referrer's sharing agreement lets it know of this kind of entry. No agreement: no."""
        agreement = part.sharing or self.agreements.get(part.agency)
        kinds, parties = self.shared.get(agreement or "", (frozenset[str](), frozenset[str]()))
        # Whoever names an agreement has to be party to it: else a referrer could choose what it gets to know.
        return kind in kinds and not {part.agency, ANY_REFERRER}.isdisjoint(parties)

    def heir(self, agency: str) -> str:
        """Return who reads what is addressed to an agency: itself, or whoever succeeded it in the end."""
        seen = {agency}
        while agency in self.heirs and self.heirs[agency] not in seen:
            agency = self.heirs[agency]
            seen.add(agency)
        return agency

    def restrict(self, restriction: Restriction) -> None:
        """Remember bad news for later leads."""
        if (restriction.event, restriction.case) not in self._restrictions.get(restriction.person, {}):
            self.know_restriction(restriction)
            key = (restriction.person, restriction.event, restriction.case)
            self.added[key] = restriction
            self.lifted.discard(key)

    def lift(self, person: str, cases: Iterable[str | None]) -> None:
        """Forget a person's restrictions that concern one of these cases (None: the person as a whole)."""
        wanted, known = set(cases), self._restrictions.get(person, {})
        for event, case in [key for key in known if key[1] in wanted]:
            del known[event, case]
            self.added.pop((person, event, case), None)
            self.lifted.add((person, event, case))

    def restricting(self, person: str, case: str) -> list[Restriction]:
        """Return what restricts contact with a person in a case, oldest first."""
        found = [r for r in self._restrictions.get(person, {}).values() if r.case in (None, case)]
        return sorted(found, key=lambda r: (r.at, r.event))
