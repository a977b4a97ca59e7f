"""Referrals as they arrive in life: at random moments, several agencies about one incident, errors in typing."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy.local.invented import referral

# Shares of referrals; stated here because nobody publishes them. They are load, not evidence about recognition.
SAME_INCIDENT = 0.20  # another agency's referral of an incident that is known
NEW_VERSION = 0.05  # the same agency sends its referral again, changed
NO_OFFENDER = 0.30  # nobody has been identified
DECLINED_BEFORE = 0.03  # the person has already said no to the referrer
NO_DETAILS = 0.10  # neither telephone nor e-mail
MISTYPED = 0.25  # of second referrals: a name, a birth date or a number is not as the first agency had it
BAD = 0.01  # an impossible postcode: refused with the remedy
REMEMBERED = 2000


class Area(NamedTuple):
    """Where an agency works: the area's ONS code and the police force's code."""

    code: str
    force: str


@dataclass(frozen=True)
class Arrival:
    """One referral, `after` so many seconds since the one before."""

    after: float
    agency: str
    document: dict[str, Any]


class Referrals:
    """An endless stream of them, decided by a seed."""

    def __init__(self, draw: random.Random, areas: Mapping[str, Area], rate: float, prefix: str) -> None:
        """`areas` has the area of each agency; `rate` is in referrals a second; references begin with `prefix`."""
        self._draw, self._areas, self._rate, self._prefix = draw, dict(areas), rate, prefix
        self._number = 0
        # Another run's people are other people: their telephone numbers must not be the same.
        self._base = draw.randrange(1_000_000)
        self._recent: deque[tuple[str, dict[str, Any]]] = deque(maxlen=REMEMBERED)

    def next(self) -> Arrival:
        """Return the next referral."""
        draw = self._draw
        self._number += 1
        kind = draw.random()
        if self._recent and kind < NEW_VERSION:
            agency, document = self._again()
        elif self._recent and kind < NEW_VERSION + SAME_INCIDENT:
            agency, document = self._another()
        else:
            agency, document = self._new()
        if draw.random() < BAD:
            document = document | {"parties": copy.deepcopy(document["parties"])}
            document["parties"][0]["addresses"] = [{"lines": ["1 High Street"], "postcode": "NONE"}]
        return Arrival(draw.expovariate(self._rate), agency, document)

    def _new(self) -> tuple[str, dict[str, Any]]:
        draw = self._draw
        agency = draw.choice(list(self._areas))
        document = referral(draw, self._base + self._number)
        document["reference"] = f"{self._prefix}-{self._number}"
        document["incident"]["reference"] = f"{self._prefix}/{self._number}"
        document["incident"] |= {"area": self._areas[agency].code, "force": self._areas[agency].force}
        if draw.random() < NO_OFFENDER:
            del document["parties"][1:]
        if draw.random() < NO_DETAILS:
            for name in ("phones", "emails"):
                document["parties"][0].pop(name, None)
        if draw.random() < DECLINED_BEFORE:
            document["prior_contact"] = {
                "by": agency,
                "on": "2026-09-01",
                "means": "phone",
                "answer": "no",
            }
        self._recent.append((agency, document))
        return agency, document

    def _again(self) -> tuple[str, dict[str, Any]]:
        place = self._draw.randrange(len(self._recent))
        agency, before = self._recent[place]
        document = copy.deepcopy(before)
        document["version"] += 1
        document["stage"] = "post_sentence"
        self._recent[place] = (agency, document)
        return agency, document

    def _another(self) -> tuple[str, dict[str, Any]]:
        first, before = self._draw.choice(self._recent)
        others = [agency for agency in self._areas if agency != first] or [first]
        document = copy.deepcopy(before) | {"reference": f"{self._prefix}-{self._number}", "version": 1}
        if self._draw.random() < MISTYPED:
            self._mistype(document["parties"][0])
        return self._draw.choice(others), document

    def _mistype(self, party: dict[str, Any]) -> None:
        what = self._draw.choice(["surname", "forenames", "date_of_birth", "phones"])
        if what == "phones":
            party.pop("phones", None)
        elif what == "date_of_birth":
            year, month, day = party["date_of_birth"].split("-")
            party["date_of_birth"] = (
                f"{int(year) + self._draw.choice([-1, 1])}-{month}-{min(int(day), 28):02d}"
            )
        else:
            name = party["name"][what]
            at = self._draw.randrange(len(name) - 1)
            party["name"] = party["name"] | {what: name[:at] + name[at + 1] + name[at] + name[at + 2 :]}
