"""The packaged weights: read once, never written. `make train-identity` makes the file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from math import log2
from typing import Any

from services.intake.matching.levels import LEVELS, Line
from services.intake.matching.names import edits

_RAREST = 1e-9  # a share of people; keeps the logarithm finite
_NEVER = -99.0  # bits
_CORRECTABLE = 4  # letters: shorter names are too easily each other


class Names:
    """How rare each name is, which names are forms of one name, and which known name a misspelt one is."""

    def __init__(
        self,
        shares: Mapping[str, float],
        unseen: float,
        forms: Mapping[str, Mapping[str, float]],
        listed: str = "",
        seldom: float | None = None,
    ) -> None:
        """`listed`: rarer names that exist all the same, with spaces between; each is borne by a share of `seldom`."""
        self._rarity = {name: -log2(max(share, _RAREST)) for name, share in shares.items()}
        self._unseen = -log2(unseen)
        self._listed = frozenset(listed.split())
        self._seldom = -log2(seldom or unseen)
        self._forms = {
            (name, form): log2(share) for name, known in forms.items() for form, share in known.items()
        }
        formal: dict[str, set[str]] = {name: {name} for name in forms}
        for name, form in self._forms:
            formal.setdefault(form, {form}).add(name)
        self._formal = {name: frozenset(known) for name, known in formal.items()}
        self._near: dict[str, list[str]] = {}
        for name in self._rarity:
            if len(name) >= _CORRECTABLE:
                for shorter in _shortened(name):
                    self._near.setdefault(shorter, []).append(name)
        self.corrected = lru_cache(maxsize=65_536)(self._corrected)
        self.root = lru_cache(maxsize=65_536)(self._root)

    def rarity(self, name: str) -> float:
        """Bits: a stranger bears the name with odds of one in two to this power."""
        known = self._rarity.get(name)
        if known is not None:
            return known
        return self._seldom if name in self._listed else self._unseen

    def known(self, name: str) -> bool:
        """Whether the name is common enough to be in the table."""
        return name in self._rarity

    def exists(self, name: str) -> bool:
        """Whether any list has the name: what none has is a slip, or very rare."""
        return name in self._rarity or name in self._listed

    def formal(self, name: str) -> frozenset[str]:
        """The names that this one is a form of, itself included: bert -> bert, robert, albert, herbert."""
        return self._formal.get(name) or frozenset((name,))

    def form(self, a: str, b: str) -> float | None:
        """Bits for one name being written as the other, over a stranger's bearing it; None if neither is."""
        there, back = self._forms.get((a, b)), self._forms.get((b, a))
        if there is None and back is None:
            return None
        return max(
            _NEVER if there is None else there + self.rarity(b),
            _NEVER if back is None else back + self.rarity(a),
        )

    def forms_of_one(self, a: str, b: str) -> float | None:
        """Bits for two names being written for a third, of which both are forms, over strangers' bearing them."""
        # Sorted: a sum in the order of a set differs in its last digit from process to process.
        common = sorted(self.formal(a) & self.formal(b) - {a, b})
        odds = [
            self._forms[name, a] + self._forms[name, b] - self.rarity(name)
            for name in common
            if (name, a) in self._forms and (name, b) in self._forms
        ]
        return log2(sum(2.0**bits for bits in odds)) + self.rarity(a) + self.rarity(b) if odds else None

    def meant(self, a: str, b: str) -> float | None:
        """Bits for two misspelt names that were meant for one name, or for two forms of one; None if they were not."""
        one, other = self.corrected(a), self.corrected(b)
        if one == other:
            return self.rarity(one)
        if not self.akin(one, other):
            return None
        form = self.form(one, other)
        return self.forms_of_one(one, other) if form is None else form

    def akin(self, a: str, b: str) -> bool:
        """Whether the two can be forms of one name; if not, neither `form` nor `forms_of_one` has anything to say."""
        one, other = self._formal.get(a), self._formal.get(b)
        return a == b if one is None or other is None else not one.isdisjoint(other)

    def _corrected(self, name: str) -> str:
        """The commonest known name one slip away from an unknown one; else the name itself."""
        if name in self._rarity or len(name) < _CORRECTABLE:
            return name
        near = {
            other
            for shorter in _shortened(name)
            for other in self._near.get(shorter, ())
            if edits(name, other) == 1
        }
        return min(near, key=lambda other: (self._rarity[other], other), default=name)

    def _root(self, name: str) -> str:
        """The commonest name that this one, corrected, can be a form of: one key for tom, thomas and tgomas."""
        return min(self.formal(self.corrected(name)), key=lambda form: (self.rarity(form), form))


class Births:
    """How rare each date of birth is: more people were born in some decades, and most on the first of January."""

    def __init__(self, decades: Mapping[str, float], days: Mapping[str, float], day: float) -> None:
        """Shares of people: of one year of each decade ("185"), of each common day ("0101"), of any other day."""
        self._decades = {decade: -log2(share) for decade, share in decades.items()}
        # A decade that none of the trained-on people was born in: taken for the commonest, and never for a rarity.
        self._commonest = min(self._decades.values(), default=0.0)
        self._days = {common: -log2(share) for common, share in days.items()}
        self._day = -log2(day)
        self.usual = self._commonest + self._day  # bits, of most dates that are not known yet
        self.rarity = lru_cache(maxsize=65_536)(self._rarity)

    def _rarity(self, date: str) -> float:
        """Bits, for eight digits: a stranger was born on that day with odds of one in two to this power."""
        return self._decades.get(date[:3], self._commonest) + self._days.get(date[4:], self._day)


def _shortened(name: str) -> set[str]:
    """The name and all that is left of it when one letter is lost: two names one slip apart share one."""
    return {name, *(name[:i] + name[i + 1 :] for i in range(len(name)))}


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Weights in bits (log2 of likelihood ratios), names, and the thresholds that the measured error sets.

    Equal only to itself, so that what follows from it can be remembered under it.
    """

    version: str
    lines: dict[str, dict[str, Line]]
    forenames: Names
    surnames: Names
    births: Births
    join_at: float
    hold_at: float


_CHOSEN: list[Model] = []


def use(model: Model) -> None:
    """Let this model stand for the packaged one, in this process."""
    _CHOSEN[:] = [model]


def load() -> Model:
    """The model that this process uses: the packaged one, unless another was chosen at its start."""
    return _CHOSEN[0] if _CHOSEN else packaged()


@cache
def packaged(name: str = "weights.json") -> Model:
    """The packaged model. The only I/O of this package, done once for each process."""
    text = (resources.files(__package__ or "services.intake.matching") / "data" / name).read_text("utf-8")
    return build(json.loads(text))


def build(raw: Mapping[str, Any]) -> Model:
    """A model from its file's contents; KeyError names what they lack."""
    thresholds = raw["thresholds"]
    for field, levels in LEVELS.items():
        for level in levels:
            if level not in raw["bits"][field]:
                raise KeyError(f"{field} {level}")
    return Model(
        version=raw["version"],
        lines={
            field: {level: Line(field, level, bits) for level, bits in levels.items()}
            for field, levels in raw["bits"].items()
        },
        forenames=Names(**raw["forenames"]),
        surnames=Names(**raw["surnames"]),
        births=Births(**raw["births"]),
        join_at=thresholds["join"],
        hold_at=thresholds["hold"],
    )
