"""Which case each harmed party's incident is: one that is known, or a new one; doubtful ones are held, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from services.intake import matching
from services.intake.crypto import Keyring, Unreadable
from services.intake.doorstep import version_owner
from services.intake.facts import incident_of
from services.intake.matching import Incident
from services.intake.recognising.load import Pending, Someone
from services.intake.recognising.people import Crowd
from services.intake.store import matching as store
from shared.contracts.referrals import ReferralFacts
from shared.runtime.identifiers import new_id
from shared.runtime.work import Work

_INCIDENT = msgspec.json.Decoder(Incident)


@dataclass(frozen=True, slots=True)
class Place:
    """The case of one harmed party of a referral. `doubt`: cases that it may be the same as, and the reason."""

    case: str
    positions: tuple[int, ...]
    harmed: str
    known: bool
    doubt: tuple[str, ...] = ()
    reason: str = ""


class Cases:
    """The cases of the people that a batch is about. Grows with the batch."""

    def __init__(self, keyring: Keyring, crowd: Crowd) -> None:
        """`crowd` has recognised the people."""
        self._keyring = keyring
        self._crowd = crowd
        self._of: dict[str, list[tuple[str, Incident]]] = {}

    async def gather(self, work: Work, harmed: Iterable[Someone]) -> None:
        """Read the cases of everybody who was known before."""
        people: set[str] = set()
        for one in harmed:
            if one.known:
                people |= self._crowd.members(one.person)
                people |= self._crowd.members(one.link_to) if one.link_to else set()
        for row in await store.incidents(work, sorted(people)):
            owner = version_owner(row["agency"], row["reference_tag"], row["version"])
            try:
                opened = self._keyring.unwrap(row["key"], owner).open(row["incident"], owner, "incident")
            except Unreadable:
                continue
            self._of.setdefault(row["harmed"], []).append((row["case_id"], _INCIDENT.decode(opened)))

    def place(self, pending: Pending, positions: Sequence[int]) -> Place:
        """Say which case these parties (the harmed one first) belong to."""
        harmed = pending.party(positions[0])
        incident = incident_of(pending.referral)
        before = _before(pending, harmed)
        if before is not None:
            place = Place(before, tuple(positions), harmed.person, known=True)
        else:
            place = self._find(harmed, incident, positions)
        self._of.setdefault(harmed.person, []).append((place.case, incident))
        return place

    def _find(self, harmed: Someone, incident: Incident, positions: Sequence[int]) -> Place:
        doubt: dict[str, str] = {}
        for person in sorted(self._crowd.members(harmed.person)) if harmed.identified else ():
            for case, other in self._of.get(person, ()):
                relation, reason = matching.same_incident(incident, other)
                if relation == "same":
                    return Place(case, tuple(positions), harmed.person, known=True)
                if relation == "hold":
                    doubt.setdefault(case, reason)
        first = next(iter(doubt), "")
        return Place(
            new_id(),
            tuple(positions),
            harmed.person,
            known=False,
            doubt=tuple(doubt),
            reason=doubt.get(first, ""),
        )

    def incident_id(self, pending: Pending, known: str) -> str:
        """Return the incident's id: that of the case, else one that everybody who has the crime reference arrives at."""
        if known:
            return known
        incident = incident_of(pending.referral)
        number = matching.incident.reference(incident.reference)
        if incident.force and number:
            return self._keyring.tag("incident", f"{incident.force}|{number}").hex()
        return new_id()

    def seal_incident(self, pending: Pending) -> bytes:
        """Seal what is compared of the incident under the key of the referral's version."""
        due = pending.due
        owner = version_owner(due.agency, due.reference_tag, due.version)
        plain = msgspec.json.encode(incident_of(pending.referral))
        return self._keyring.unwrap(pending.version_key, owner).seal(plain, owner, "incident")


def _before(pending: Pending, harmed: Someone) -> str | None:
    """Return the case that an earlier version opened for this party, who may stand elsewhere in the list now.

    Another human in the same place is another case: what was said and agreed in the first one was said by somebody else.
    """
    here = pending.cases.get(harmed.position)
    if here is not None and harmed.previous == harmed.person:
        return here[0]
    for case, facts in pending.cases.values():
        if msgspec.json.decode(facts, type=ReferralFacts).parties[0].person == harmed.person:
            return case
    return here[0] if here is not None and harmed.previous is None else None
