"""The packaged weights: read once, never written. `make train-identity` makes the file."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import log2
from typing import NamedTuple


class Line(NamedTuple):
    """One row of the table of evidence. `bits` is its weight: +1 doubles the odds that the two are one human."""

    field: str
    level: str
    bits: float


@dataclass(frozen=True, slots=True)
class Model:
    """Weights in bits (log2 of likelihood ratios), name frequencies (share of people), nicknames, and the thresholds."""

    version: str
    lines: dict[str, dict[str, Line]]
    forenames: dict[str, float]
    surnames: dict[str, float]
    unseen_forename: float
    unseen_surname: float
    related: dict[str, frozenset[str]]
    roots: dict[str, str]
    join_at: float
    hold_at: float

    def root(self, forename: str) -> str:
        """The formal name of a nickname ("bill" -> "william"); the name itself where none is known."""
        return self.roots.get(forename, forename)

    def rarity_of_forename(self, token: str) -> float:
        """Bits: how much less often than one in two a stranger is called this."""
        return self.forenames.get(token, self.unseen_forename)

    def rarity_of_surname(self, token: str) -> float:
        """The same for surnames."""
        return self.surnames.get(token, self.unseen_surname)


@cache
def load(name: str = "weights.json") -> Model:
    """The packaged model. The only I/O of this package, done once for each process."""
    return parse(
        (resources.files(__package__ or "services.intake.matching") / "data" / name).read_text("utf-8")
    )


def parse(text: str) -> Model:
    """A model from its JSON; KeyError names what the file lacks."""
    raw = json.loads(text)
    frequency = raw["frequency"]
    related: dict[str, set[str]] = {}
    roots: dict[str, str] = {}
    for formal, nicknames in raw["nicknames"].items():
        for nickname in nicknames.split():
            related.setdefault(formal, set()).add(nickname)
            related.setdefault(nickname, set()).add(formal)
    roots.update(raw["roots"])
    return Model(
        version=raw["version"],
        lines={
            field: {level: Line(field, level, bits) for level, bits in levels.items()}
            for field, levels in raw["bits"].items()
        },
        forenames={name: -log2(share) for name, share in frequency["forenames"].items()},
        surnames={name: -log2(share) for name, share in frequency["surnames"].items()},
        unseen_forename=-log2(frequency["unseen_forename"]),
        unseen_surname=-log2(frequency["unseen_surname"]),
        related={name: frozenset(others) for name, others in related.items()},
        roots=roots,
        join_at=raw["thresholds"]["join"],
        hold_at=raw["thresholds"]["hold"],
    )
