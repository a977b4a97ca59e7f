"""Scenarios of the sixteen partnerships, as their own people would tell them: given a referral, then what comes of it.

They stand in `scenarios/<partnership>.yaml` and go through the public API of all four services. `sentence` is quoted from
the source; `given` is the referral (`cast.py`), `then` a list of steps in order, each one word with what belongs to it
(`allocated.py`, `spoken.py`, `changed.py`); `before`, steps that come before the referral.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "scenarios"
POLICIES: Final = Path(__file__).parents[2] / "services" / "allocation" / "policies"
FIELDS: Final = {"scenario", "kind", "sentence", "source", "before", "given", "then", "alone"}
# What each partnership must show at least once; other kinds are the rows and traps that are its own.
KINDS: Final = ("victim-led", "offender-led", "young offender", "sensitive", "refusal", "withdrawal", "move")
OWN: Final = "its own rule"
# The sources, as their files are called, and what they call themselves. RJC: the Restorative Justice Council.
SOURCES: Final[Mapping[str, str]] = {
    "rjc-multi-agency-partnerships": "RJC, Delivering restorative justice: making multiagency partnerships work",
    "rjc-crc-nps-information-pack": "RJC, Restorative justice in CRCs and the NPS: information pack",
    "rjc-pcc-workshops-2018": "RJC, report of the regional workshops for police and crime commissioners, 2018",
    "national-guidance-local-needs": "Restorative justice: Helping to meet local needs (web-based guidance)",
    "why-me-barriers-and-solutions-2015": "Why me?, Barriers and Solutions to Restorative Justice delivery, 2015",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `number` tells its people from all others. `alone`: it moves the clock or ends an agency."""

    number: int
    partnership: str
    name: str
    kind: str
    sentence: str
    source: str
    before: Sequence[Mapping[str, Any]]
    given: Mapping[str, Any]
    then: Sequence[Mapping[str, Any]]
    alone: bool

    @property
    def id(self) -> str:
        """Its name among all tests."""
        return f"{self.partnership}-{self.name.replace(' ', '-')}"


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Every scenario, in the order of files and lines."""
    found: list[Scenario] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for entry in _as_json(yaml.safe_load(path.read_text(encoding="utf-8"))):
            where = f"{path.name}: {entry.get('scenario')}"
            assert set(entry) <= FIELDS, f"{where}: {set(entry) - FIELDS} unknown"
            assert entry["kind"] in (*KINDS, OWN), (
                f"{where}: kind {entry['kind']!r}: use one of {KINDS} or {OWN!r}"
            )
            assert entry["source"] in SOURCES, f"{where}: source {entry['source']!r} unknown"
            steps = [*entry.get("before", ()), *entry["then"]]
            assert all(len(step) == 1 for step in steps), (
                f"{where}: a step is one word with what belongs to it"
            )
            found.append(
                Scenario(
                    number=len(found),
                    partnership=path.stem,
                    name=entry["scenario"],
                    kind=entry["kind"],
                    sentence=entry["sentence"],
                    source=entry["source"],
                    before=entry.get("before", ()),
                    given=entry["given"],
                    then=entry["then"],
                    alone=entry.get("alone", False),
                )
            )
    return tuple(found)


def _as_json(value: Any) -> Any:
    """Dates as JSON has them."""
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


@cache
def policy(partnership: str) -> dict[str, Any]:
    """A partnership's policy file, as it is written."""
    return dict(yaml.safe_load((POLICIES / f"{partnership}.yaml").read_text(encoding="utf-8")))


@cache
def areas() -> dict[str, dict[str, Any]]:
    """The areas that policies tell apart."""
    return dict(yaml.safe_load((POLICIES / "areas.yaml").read_text(encoding="utf-8")))
