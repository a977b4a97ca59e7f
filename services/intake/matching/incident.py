"""Whether two referrals about one person are about one incident: then they are one case, else two cases of one person."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

Relation = Literal["same", "different", "hold"]

DAYS_APART = 1  # an offence at midnight is recorded under either day
DAYS_DOUBTFUL = 14  # beyond, one person's two reports are two incidents: repeat victims report within weeks
_REFERENCE = re.compile(r"[^A-Z0-9]")
_NO_REFERENCE = frozenset({"", "NOTKNOWN", "UNKNOWN", "NONE", "NA", "TBC", "TBA", "NOTENTERED"})


@dataclass(frozen=True, slots=True)
class Incident:
    """What is comparable of one incident. Empty or None: not known.

    `force` is the two-digit police force code; `reference` is that force's crime reference (unique only with the force);
    `offence` the offence code or kind of conflict; `start` and `end` the days it may have happened on (inclusive);
    `place` an area code or outward postcode.
    """

    force: str = ""
    reference: str = ""
    offence: str = ""
    start: date | None = None
    end: date | None = None
    place: str = ""


def same_incident(a: Incident, b: Incident) -> tuple[Relation, str]:
    """One incident or two, with the code of the reason. Never "same" without a reference, or offence, day and place."""
    mine, theirs = reference(a.reference), reference(b.reference)
    if mine and theirs and a.force and b.force:
        if a.force == b.force:
            return ("same", "crime_reference") if mine == theirs else _other_reference(a, b)
        # Two forces number for themselves; one incident may have a number in each.
    elif mine and mine == theirs:
        return "hold", "force_unknown"
    return _by_circumstances(a, b)


def reference(text: str) -> str:
    """A crime reference without case, spaces and punctuation; leading zeros of its parts are kept as typed."""
    text = _REFERENCE.sub("", text.upper())
    return "" if text in _NO_REFERENCE or not text.strip("0") else text


def _other_reference(a: Incident, b: Incident) -> tuple[Relation, str]:
    """Two references of one force are two crimes, unless all else agrees: one incident can be recorded as two."""
    relation, _ = _by_circumstances(a, b)
    return ("hold", "references_differ") if relation == "same" else ("different", "references_differ")


def _by_circumstances(a: Incident, b: Incident) -> tuple[Relation, str]:
    apart = _days_apart(a, b)
    if apart is not None and apart > DAYS_DOUBTFUL:
        return "different", "dates_differ"
    offence = _agree(a.offence, b.offence)
    place = _agree(a.place, b.place)
    if offence is False and place is False:
        return "different", "offence_and_place_differ"
    if apart is None:
        return ("different", "offence_differs") if offence is False else ("hold", "date_unknown")
    if apart > DAYS_APART:
        return (
            ("different", "circumstances_differ")
            if offence is False or place is False
            else ("hold", "dates_near")
        )
    if offence and place:
        return "same", "offence_date_place"
    return (
        "hold",
        "circumstances_incomplete" if offence is not False and place is not False else "circumstances_differ",
    )


def _agree(a: str, b: str) -> bool | None:
    """None when either is not known."""
    mine, theirs = "".join(a.casefold().split()), "".join(b.casefold().split())
    return mine == theirs if mine and theirs else None


def _days_apart(a: Incident, b: Incident) -> int | None:
    """Days between two spans, 0 when they overlap; None when either is not known."""
    first, second = _span(a), _span(b)
    if first is None or second is None:
        return None
    return max(0, (max(first[0], second[0]) - min(first[1], second[1])).days)


def _span(incident: Incident) -> tuple[date, date] | None:
    start, end = incident.start or incident.end, incident.end or incident.start
    return (start, end) if start and end else None
