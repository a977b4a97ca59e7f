"""Which records are compared at all: keys that two records of one human share in spite of errors.

The narrow kinds join two of forename, surname, birth date and home. The weak kinds hold one of them, or a part of two: in a
small store they find what is left of a badly damaged record; in a large one they find only whom two of them meet, or are
hot, and cost one bounded look-up. So any two errors leave a narrow kind that still meets, or two weak ones. Keys are plain
canonical text: intake stores and looks up their HMACs, never the text.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from services.intake.matching import model
from services.intake.matching.model import Model
from services.intake.matching.names import sound
from services.intake.matching.record import Record


@dataclass(frozen=True, slots=True)
class Kind:
    """`bound`: people under one key beyond which it is hot and not followed. `doubt`: a hot one puts the record on hold.

    Without `doubt` the kind alone could neither join nor hold anybody in a store where it is hot: so many people share it
    that it says nothing, and a narrower kind finds whoever has more in common. `alone`: people under one key beyond which
    it is followed only to those whom another key meets too. A name, a birth date or a part of one that a dozen people share,
    and nothing else in common, is not worth a comparison: the store would grow and every referral with it.
    """

    bound: int
    doubt: bool
    alone: int


T = TypeVar("T", bound=Hashable)
# Raised when records get keys that they did not have: `reweighing keys` then goes through the whole store once more.
EDITION = 2
_NARROW, _WEAK = Kind(60, doubt=True, alone=60), Kind(40, doubt=False, alone=8)
_CONTACT = Kind(20, doubt=True, alone=20)
KINDS: dict[str, Kind] = {
    "surname+birth": _NARROW,  # and forename+birth: a forename may stand in the surname's place, so it is there by its sound
    "forename+home": _NARROW,
    "birth+district": _NARROW,
    # A common name beside a birth date with a slip.
    "name+year": Kind(40, doubt=False, alone=40),
    "forename+district": _WEAK,
    "surname+district": _WEAK,
    "name": _WEAK,
    "home": _WEAK,  # a hostel; whoever has a forename in common there is found by the kind above
    "birth": _WEAK,
    "surname": _WEAK,
    "opening": _WEAK,  # the first half of a surname, for a slip in the second
    "initial+ending": _WEAK,
    "forename+year": _WEAK,
    "forename+birthday": _WEAK,  # another year
    "phone": _CONTACT,
    "email": _CONTACT,
    "identifier": _CONTACT,
}


def blocking_keys(record: Record, weights: Model | None = None) -> list[str]:
    """The record's keys, each `kind:values`, without repeats, in a fixed order: about fifteen, at most a few dozen."""
    weights = weights or model.load()
    root, corrected = weights.forenames.root, weights.surnames.corrected
    given = [root(name) for name in (*record.forenames[:2], *record.also_called[:2])]
    written = [*record.surnames[-2:], *record.former[:2]]
    if not written:  # one name only: it may be either
        written = list(record.forenames[:1])
    elif not given:
        given = [root((record.surnames or record.former)[0])]
    family = list(dict.fromkeys(sound(corrected(name)) for name in written))
    called = [*given[:1], *given[len(record.forenames[:2]) :]]  # without the second forename
    keys = _of_names(record, given, called, family, written)
    born, homes = record.date_of_birth, record.postcodes[:4]
    if born:
        keys.append(f"birth:{born}")
        keys += _of_names_and_birth(born, given, called, family)
    for home in homes:
        keys.append(f"home:{home}")
        if born:
            keys.append(f"birth+district:{born}|{home[:-3]}")
    keys += [f"phone:{number}" for number in record.phones]
    keys += [f"email:{address}" for address in record.emails]
    keys += [f"identifier:{kind}|{number}" for kind, number in record.identifiers]
    return list(dict.fromkeys(keys))


def _of_names(
    record: Record, given: list[str], called: list[str], family: list[str], written: list[str]
) -> list[str]:
    keys = [f"surname:{name}" for name in family]
    keys += [f"name:{_both(one, other)}" for one in given for other in family]
    for name in written[:2]:
        half = (len(name) + 1) // 2
        keys.append(f"opening:{name[:half]}")
        keys += [f"initial+ending:{first[:1]}|{name[-half:]}" for first in record.forenames[:1]]
    for home in record.postcodes[:4]:
        keys += [f"forename+home:{name}|{home}" for name in called]
        keys += [f"forename+district:{name}|{home[:-3]}" for name in given[:2]]
        keys += [f"surname+district:{name}|{home[:-3]}" for name in family]
    return keys


def _of_names_and_birth(born: str, given: list[str], called: list[str], family: list[str]) -> list[str]:
    year, day = born[:4], born[4:]
    keys = [f"surname+birth:{name}|{born}" for name in (*family, *(sound(name) for name in called))]
    keys += [f"forename+year:{name}|{year}" for name in given[:2]]
    keys += [f"forename+birthday:{name}|{day}" for name in called]
    keys += [f"name+year:{_both(one, other)}|{year}" for one in called for other in family]
    return keys


def _both(one: str, other: str) -> str:
    """A forename's root and a surname's sound, as they are stored."""
    return "|".join(sorted((one, other)))


def kind_of(key: str) -> str:
    """The kind of a plain key, as in KINDS."""
    return key.partition(":")[0]


def worth_comparing(under: Iterable[tuple[str, Sequence[T]]]) -> tuple[list[T], list[str]]:
    """Whom a record is compared with, and which of its keys are hot. `under`: each plain key with the people there."""
    alone: list[Sequence[T]] = []
    together: list[Sequence[T]] = []
    hot = []
    for key, people in under:
        if not people:
            continue
        kind, count = KINDS[kind_of(key)], len(people)
        if count > kind.bound:
            hot.append(key)
        elif count > kind.alone:
            together.append(people)
        else:
            alone.append(people)
    near = set(chain.from_iterable(alone))
    seen: set[T] = set()
    for people in together:
        near |= seen.intersection(people)
        seen.update(people)
    # In the order in which they were met: of two that fit alike the first is named, in every process.
    met = dict.fromkeys(chain.from_iterable(chain(alone, together)))
    return [person for person in met if person in near], hot
