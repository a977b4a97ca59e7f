"""Two people side by side: what each record says, field by field, with what differs marked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from services.dashboard.words import FIELDS, LEVELS, day, plain

Kind = Literal["agrees", "nearly", "differs", "unknown"]
Segments = tuple[tuple[str, bool], ...]  # text, and whether it differs
Sent = Mapping[str, Any]
_CLOSE: Final = 0.6  # of two texts: nearer ones have their differing letters marked, others are marked whole
_NEARLY: Final = frozenset(
    {"initial", "typing_slip", "one_letter", "similar", "same_beginning", "swapped", "sounds_alike"}
    | {"day_and_month_swapped", "impossible_digit", "one_digit", "one_digit_first_of_january", "two_digits"}
    | {"form_of_another", "misspelt_form", "among_forenames", "two_slips", "two_slips_first_of_january"}
    | {
        "another_letter",
        "another_digit",
        "one_slip",
        "same_sector",
        "same_district",
        "same_mailbox",
        "odd",
        "same_shared",
    }
    | {"different_woman", "another_number", "other_year", "next_area", "near"}
)
_DIFFERS: Final = frozenset(
    {"different", "different_despite_forename", "far_apart", "elsewhere", "same_year", "same_area"}
    | {"same_and_different", "far"}
)
_WORST: Final[tuple[Kind, ...]] = ("differs", "nearly", "agrees", "unknown")
WORDS: Final[Mapping[Kind, str]] = {
    "agrees": "Agrees",
    "nearly": "Nearly",
    "differs": "Differs",
    "unknown": "Not known",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One field of both. `said`: the levels in words, as the evidence has them."""

    label: str
    mine: tuple[Segments, ...]
    theirs: tuple[Segments, ...]
    kind: Kind
    said: str

    @property
    def verdict(self) -> str:
        """How the two compare, in a word."""
        return WORDS[self.kind]


def _name(name: Mapping[str, Any]) -> str:
    return str(name.get("full") or " ".join(filter(None, (name.get("forenames"), name.get("surname")))))


def _names(sent: Sent) -> list[str]:
    return [_name(sent["name"])] if sent.get("name") else []


def _address(address: Mapping[str, Any]) -> str:
    return ", ".join(address.get("lines") or ())


def _numbers(sent: Sent) -> list[str]:
    return [f"{kind.upper()} {number}" for kind, number in (sent.get("identifiers") or {}).items() if number]


# Label, the fields of the evidence that speak of it, and where its values are.
_ROWS: Final[tuple[tuple[str, tuple[str, ...], Callable[[Sent], Iterable[str]]], ...]] = (
    ("Name", ("forename", "other_forenames", "surname"), _names),
    ("Also known as", (), lambda sent: [_name(name) for name in sent.get("aliases") or ()]),
    ("Date of birth", ("date_of_birth",), lambda sent: [day(sent.get("date_of_birth"))]),
    ("Sex", ("sex",), lambda sent: [plain(sent.get("sex") or "")]),
    ("Address", ("address", "household"), lambda sent: map(_address, sent.get("addresses") or ())),
    ("Postcode", ("postcode",), lambda sent: [a.get("postcode") or "" for a in sent.get("addresses") or ()]),
    ("Telephone", ("telephone",), lambda sent: [phone["number"] for phone in sent.get("phones") or ()]),
    ("E-mail", ("email",), lambda sent: [email["address"] for email in sent.get("emails") or ()]),
    ("Numbers", ("identifier",), _numbers),
)


def rows(
    mine: Sequence[Sent], theirs: Sequence[Sent], evidence: Sequence[Mapping[str, Any]] = ()
) -> list[Row]:
    """Compare what is said of two people. `evidence` is what the matcher found, where it looked at these two."""
    level = {line["field"]: line["level"] for line in evidence}
    found = []
    for label, fields, values in _ROWS:
        one, other = _distinct(values, mine), _distinct(values, theirs)
        known = {field: level[field] for field in fields if level.get(field, "absent") != "absent"}
        if not (one or other or known):
            continue
        kind = _kind(known.values()) if known else _by_value(one, other)
        said = "; ".join(
            f"{plain(field).lower()}: {LEVELS.get(of, plain(of))}"
            if len(fields) > 1
            else LEVELS.get(of, plain(of))
            for field, of in known.items()
        )
        found.append(Row(label, _marked(one, other), _marked(other, one), kind, said))
    return found


def levels(evidence: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return how two records agree, field by field, without what either says."""
    return [
        Row(
            FIELDS.get(line["field"], plain(line["field"])), (), (), _kind([line["level"]]),
            LEVELS.get(line["level"], plain(line["level"])),
        )
        for line in evidence if line["level"] != "absent"
    ]  # fmt: skip


def _distinct(values: Callable[[Sent], Iterable[str]], records: Sequence[Sent]) -> list[str]:
    texts = [text.strip() for sent in records for text in values(sent)]
    return list({text.casefold(): text for text in texts if text}.values())


def _kind(levels: Iterable[str]) -> Kind:
    kinds: set[Kind] = {
        "differs" if level in _DIFFERS else "nearly" if level in _NEARLY else "agrees" for level in levels
    }
    return next(kind for kind in _WORST if kind in kinds)


def _by_value(one: Sequence[str], other: Sequence[str]) -> Kind:
    if not one or not other:
        return "unknown"
    mine, theirs = ({text.casefold() for text in side} for side in (one, other))
    return "agrees" if mine & theirs else "differs"


def _marked(texts: Sequence[str], others: Sequence[str]) -> tuple[Segments, ...]:
    return tuple(_mark(text, others) for text in texts)


def _mark(text: str, others: Sequence[str]) -> Segments:
    """Mark what the nearest text of the other side does not have; nothing if that side says nothing."""
    if not others or text.casefold() in {other.casefold() for other in others}:
        return ((text, False),)
    near = max(others, key=lambda other: _match(text, other).ratio())
    match = _match(text, near)
    if match.ratio() < _CLOSE:
        return ((text, True),)
    return tuple(
        (text[begin:end], tag != "equal") for tag, begin, end, _, _ in match.get_opcodes() if end > begin
    )


def _match(text: str, other: str) -> SequenceMatcher[str]:
    return SequenceMatcher(None, text.casefold(), other.casefold(), autojunk=False)


# --------------------------------------------------------------------------------------------------------------- incidents

_INCIDENT_ROWS: Final[tuple[tuple[str, Callable[[Sent], str]], ...]] = (
    ("Offence", lambda incident: plain(incident.get("offence") or "")),
    ("Crime reference", lambda incident: incident.get("reference") or ""),
    ("Police force", lambda incident: incident.get("force") or ""),
    ("From", lambda incident: day(incident.get("start"))),
    ("To", lambda incident: day(incident.get("end"))),
    ("Place", lambda incident: incident.get("place") or ""),
)


def incident_rows(mine: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Compare what referrals say of two incidents."""
    found = []
    for label, value in _INCIDENT_ROWS:
        one, other = (
            list(dict.fromkeys(filter(None, (value(r["incident"]) for r in side if r["incident"]))))
            for side in (mine, theirs)
        )
        if one or other:
            found.append(Row(label, _marked(one, other), _marked(other, one), _by_value(one, other), ""))
    return found
