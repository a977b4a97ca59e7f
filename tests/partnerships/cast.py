"""The people of a scenario and the referral about them, as an agency posts it.

`given` names the referring agency (`by`), the offence, the stage, who began (`begun_by`), and its parties: `harmed` and
`responsible` (unless told otherwise one adult each, the responsible one of low risk and admitting it) or `both`, one or a
list. What else it says goes into the referral as it stands. Of a party: `age`, or `eighteen_in_days`;
`spoken_to`, a label of whoever is spoken to
(a child has a parent anyhow, unless `nobody`); `home`, an area; `prior`, an earlier answer; the rest is the referral's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tests.partnerships.scenario import Scenario, areas, policy

CONSONANTS, VOWELS = "bcdfghjklmnprstvwyz", "aeiou"
LETTERS: Final = "ABDEFGHJLNPQRSTUWXYZ"
MOST: Final = 40  # people in one scenario
GROWN_UP: Final = 18
AGREED_TO_SHARE: Final[Mapping[str, Any]] = {
    "scope": ["share", "be_contacted"], "wording": "v1", "means": "written", "on": "2026-03-01",
    "recorded_by": "PC 1234", "evidence": "MG11-77",
}  # fmt: skip
ROLES: Final = ("harmed", "responsible", "both")
USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "harmed": {},
    "responsible": {"admitted": True, "risk": "low"},
    "both": {"admitted": True},
}
ANSWERS: Final = {True: "yes", False: "no"}  # YAML's own words


def _word(draw: random.Random, syllables: int) -> str:
    """A name that resembles no other: two strangers who do are rightly looked at by a person, and nothing is granted."""
    parts = (
        draw.choice(CONSONANTS) + draw.choice(VOWELS) + draw.choice(CONSONANTS) for _ in range(syllables)
    )
    return "".join(parts).title()


class Cast:
    """The people of one scenario: nobody in any other has a name, a number or a day of birth near theirs."""

    def __init__(self, scenario: Scenario) -> None:
        """Nobody is on stage yet."""
        self._scenario = scenario
        self._count = 0
        self._labelled: dict[str, dict[str, Any]] = {}
        self.parties: dict[str, dict[str, Any]] = {}

    def human(self, age: int | None = None) -> dict[str, Any]:
        """Somebody new."""
        self._count += 1
        assert self._count <= MOST, f"more than {MOST} people in one scenario"
        number = self._scenario.number * MOST + self._count
        draw = random.Random(number)
        surname = _word(draw, 4)
        if age is None:
            born = date(1950, 1, 1) + timedelta(days=draw.randrange(16_000))
        else:
            born = datetime.now(UTC).date() - timedelta(days=age * 366 + 60 + draw.randrange(120))
        code = "".join(draw.choice(LETTERS) for _ in range(2))
        area = draw.choice(("SG", "AL", "WD", "EN", "CM", "LU", "HP", "BN", "NE", "TS"))
        return {
            "name": {"forenames": _word(draw, 2), "surname": surname},
            "date_of_birth": born.isoformat(),
            "addresses": [{"lines": [f"{draw.randrange(1, 300)} {surname} Road"],
                           "postcode": f"{area}{draw.randrange(1, 30)} {draw.randrange(1, 10)}{code}"}],
            # No two alike, and no two near each other: 48,271 and the modulus have no common divisor.
            "phones": [{"number": f"077{number * 48_271 % 99_999_989:08d}"}],
        }  # fmt: skip

    def party(self, key: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """A party: `key` is its role, numbered from the second on."""
        fields = dict(told)
        role = key.partition("-")[0]
        age, days_left = fields.pop("age", None), fields.pop("eighteen_in_days", None)
        if fields.get("identified") is False:
            made: dict[str, Any] = {"role": role, **fields}
        else:
            before = {
                k: v for k, v in self.parties.get(key, {}).items() if k not in ("role", "contact_person")
            }
            made = {"role": role, **(before if "name" in before else {**self.human(age), **USUAL[role]})}
        if days_left is not None:
            coming = datetime.now(UTC).date() + timedelta(days=days_left)
            # No birthday on the last days of a month: not every year has them all.
            made["date_of_birth"] = date(
                coming.year - GROWN_UP, coming.month, min(coming.day, 28)
            ).isoformat()
        child = days_left is not None or (age is not None and age < GROWN_UP)
        label = fields.pop("spoken_to", f"parent of {key}" if child else None)
        if label and label != "nobody":
            who = self._labelled.get(label) or self.human()
            self._labelled[label] = who
            made |= {
                "contact_person": {**who, "relation": "parent" if child else "spokesperson"},
                "phones": [],
            }
        if "home" in fields:
            home = fields.pop("home")
            police_area = areas()[areas()[home].get("within", home)]["ons"]
            made["addresses"] = [{**made["addresses"][0], "area": police_area}]
        if "prior" in fields:
            answer = fields.pop("prior")
            made["prior_contact"] = {
                "by": self._scenario.given["by"],
                "answer": ANSWERS.get(answer, answer),
                "on": "2026-03-02",
            }
        made |= fields
        self.parties[key] = made
        return made

    def referral(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """The referral. `told` is the scenario's `given`, or that with what has changed since."""
        fields = {k: v for k, v in told.items() if k != "by"}
        roles = ("both",) if "both" in fields else ("harmed", "responsible")
        parties: list[dict[str, Any]] = []
        for role in roles:
            given = fields.pop(role, {})
            several = given if isinstance(given, list) else [] if given is None else [given]
            for place, one in enumerate(several, start=1):
                parties.append(self.party(role if place == 1 else f"{role}-{place}", one))
        if fields.get("agreement") == "to share":
            fields["agreement"] = dict(AGREED_TO_SHARE)
        number = self._scenario.number
        return {
            "reference": f"R-{number}",
            "version": 1,
            "incident": {**self._incident(fields), **fields.pop("incident", {})},
            "parties": parties,
            "stage": fields.pop("stage", "post_sentence"),
            "initiated_by": fields.pop("begun_by", "agency"),
            "prior_contact": "none",
            "lawful_basis": "public_task",
            **fields,
        }

    def _incident(self, fields: dict[str, Any]) -> dict[str, Any]:
        number = self._scenario.number
        place = fields.pop("area", policy(self._scenario.partnership)["areas"][0])
        found: dict[str, Any] = {
            "offence_class": fields.pop("offence", "burglary"),
            "on": f"2026-02-{1 + number % 28:02d}",
        }
        if found["offence_class"] == "domestic_burglary":
            found |= {"offence_class": "burglary", "domestic_burglary": True}
        if place is None:
            return found
        area = areas()[place]
        force = areas()[area.get("within", place)]["force"]
        return {**found, "area": area["ons"], "force": force, "reference": f"{force}/{5000 + number}/26"}
