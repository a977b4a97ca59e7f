"""Which records are compared at all: keys that two records of one human share in spite of errors.

Every key joins two or three things that are rarely wrong together, and the kinds overlap so that any two errors leave one
kind that still meets. Keys are plain canonical text: intake stores and looks up their HMACs, never the text.
"""

from dataclasses import dataclass

from services.intake.matching import model
from services.intake.matching.names import sound
from services.intake.matching.record import Record


@dataclass(frozen=True, slots=True)
class Kind:
    """`bound`: people under one key beyond which it is hot and not followed. `doubt`: a hot key puts the record on hold.

    Where `doubt` is false the kind alone can neither join nor hold at a bound so large: narrower kinds cover what counts.
    """

    bound: int
    doubt: bool


KINDS: dict[str, Kind] = {
    "name": Kind(
        60, doubt=False
    ),  # forename and surname as heard; a name that 60 people bear says nothing alone
    "forename+birth": Kind(60, doubt=True),
    "surname+birth": Kind(60, doubt=True),
    "birth+district": Kind(60, doubt=True),  # both names changed or mistyped
    "forename+home": Kind(60, doubt=True),
    "surname+home": Kind(60, doubt=True),
    "home": Kind(40, doubt=False),  # a hostel: the two kinds above still find whoever has a name in common
    "name+district": Kind(60, doubt=True),
    "initial+surname+year": Kind(60, doubt=False),
    "forename+letters+year": Kind(60, doubt=False),
    "phone": Kind(20, doubt=True),
    "email": Kind(20, doubt=True),
    "identifier": Kind(20, doubt=True),
}


def blocking_keys(record: Record) -> list[str]:
    """The record's keys, each `kind:values`, without repeats and in a fixed order. About ten; at most a few dozen."""
    root = model.load().root
    given = [root(name) for name in (*record.forenames[:3], *record.also_called[:2])]
    family = [sound(name) for name in (*record.surnames[:3], *record.former[:2])]
    if not family:  # one name only: it may be either
        given, family = given[:1], [sound(name) for name in record.forenames[:1]]
    elif not given:
        given = [root(name) for name in record.surnames[:1]]
    keys = _of_names(record, given, family)
    born, homes = record.date_of_birth, record.postcodes[:4]
    keys += [f"home:{home}" for home in homes]
    keys += [f"birth+district:{born}|{home[:-3]}" for home in homes if born]
    keys += [f"phone:{number}" for number in record.phones]
    keys += [f"email:{address}" for address in record.emails]
    keys += [f"identifier:{kind}|{number}" for kind, number in record.identifiers]
    return list(dict.fromkeys(keys))


def _of_names(record: Record, given: list[str], family: list[str]) -> list[str]:
    born, homes = record.date_of_birth, record.postcodes[:4]
    first, last = given[:1], family[-1:]
    keys = ["name:" + "|".join(sorted((sound(one), other))) for one in given[:2] for other in family[-2:]]
    if born:
        keys += [f"forename+birth:{name}|{born}" for name in given[:2]]
        # Swapped fields: a surname in the forename's place still meets its own kind.
        keys += [f"surname+birth:{name}|{born}" for name in family]
        keys += [f"surname+birth:{sound(name)}|{born}" for name in first if name not in family]
        keys += [f"initial+surname+year:{one[:1]}|{other}|{born[:4]}" for one in first for other in last]
        keys += [f"forename+letters+year:{one}|{other[:2]}|{born[:4]}" for one in first for other in last]
    for home in homes:
        keys += [f"forename+home:{name}|{home}" for name in given[:2]]
        keys += [f"surname+home:{name}|{home}" for name in family]
        keys += [f"name+district:{one}|{other}|{home[:-3]}" for one in first for other in last]
    return keys


def kind_of(key: str) -> str:
    """The kind of a plain key, as in KINDS."""
    return key.partition(":")[0]


__all__ = ["KINDS", "Kind", "blocking_keys", "kind_of"]
