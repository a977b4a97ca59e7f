"""Referrals of several agencies about the same people, made from records of people who really lived.

The records (`tests/data/identity/`) have real-life errors: misspellings, missing birth dates, moved postcodes, nicknames,
impossible dates. Several records of one person become several agencies' referrals of one victim. People are drawn by a seed,
never by outcome, and nothing is filtered. Years are shifted by a constant for each person, in the text itself, so that the
person was born between 1930 and 2005; whatever else is wrong with a date stays wrong. The data know no telephones and
e-mail addresses: those are generated, at the rates below.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from deploy.local.place import CHECKOUT

DATA: Final = CHECKOUT / "tests" / "data" / "identity" / "historical_people_dev.csv.gz"
SEED: Final = 1876
PEOPLE: Final = 320
REFERRALS: Final = (2, 4)  # of one person, at least and at most

# How often an agency holds a telephone number or an e-mail address of the person at all; how often it is the one that the
# other agencies have too (else an old one, or a work one, of its own); how often it is mistyped by one character.
PHONE_HELD, PHONE_SHARED, PHONE_MISTYPED = 0.75, 0.85, 0.02
EMAIL_HELD, EMAIL_SHARED, EMAIL_MISTYPED = 0.45, 0.85, 0.03
CRIME_REFERENCE_HELD: Final = 0.7  # how often an agency other than the police knows the crime reference

AGENCIES: Final = (
    "northumbria-police",
    "victims-first-northumbria",
    "witness-service-northumbria",
    "hmp-northumberland",
    "yot-newcastle",
    "yot-gateshead",
)
OFFENCES: Final = ("burglary", "theft", "assault", "criminal_damage", "robbery", "fraud")


@dataclass(frozen=True)
class Posting:
    """One referral to post: by whom, about which human (the truth), and the document."""

    agency: str
    human: str
    document: dict[str, Any]
    exact: tuple[
        str, str, str
    ]  # first name, surname and birth date as sent: what exact matching would compare


@dataclass
class Human:
    """What is true of one person: who it is, the incident, the telephone and e-mail address that agencies share."""

    id: str
    records: list[dict[str, str]]
    phone: str
    email: str
    shift: int
    incident: dict[str, Any] = field(default_factory=dict)


def postings(people: int = PEOPLE, seed: int = SEED) -> list[Posting]:
    """Return the referrals in the order of posting: everybody's interleaved."""
    draw = random.Random(seed)  # noqa: S311 -- reproducible, not secret
    found = []
    for number, human in enumerate(_humans(draw, people)):
        count = min(len(human.records), draw.randint(*REFERRALS))
        agencies = draw.sample(AGENCIES, count)
        for agency, record in zip(agencies, draw.sample(human.records, count), strict=True):
            found.append(_posting(draw, human, record, agency, number))
    draw.shuffle(found)
    return found


def _humans(draw: random.Random, people: int) -> list[Human]:
    by_person: dict[str, list[dict[str, str]]] = {}
    with gzip.open(DATA, "rt", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            by_person.setdefault(row["person"], []).append(row)
    chosen = draw.sample(sorted(by_person), people)
    return [_human(draw, number, person, by_person[person]) for number, person in enumerate(chosen)]


def _human(draw: random.Random, number: int, person: str, records: list[dict[str, str]]) -> Human:
    years = sorted(int(r["dob"][:4]) for r in records if r["dob"][:4].isdigit())
    born = years[len(years) // 2] if years else 1800
    return Human(
        id=person,
        records=records,
        phone=f"07{draw.randint(300_000_000, 999_999_999):09d}",
        email=f"person{number}.{draw.randint(10, 99)}@example.org",
        shift=draw.randint(1930, 2005) - born,
        incident={
            "offence_class": draw.choice(OFFENCES),
            "on": (date(2026, 3, 1) + timedelta(days=draw.randrange(240))).isoformat(),
            "area": "E23000007",
        },
    )


def shifted(text: str, years: int) -> str:
    """Return a date with its year moved, in the text itself: what is no date stays no date."""
    return f"{int(text[:4]) + years:04d}{text[4:]}" if text[:4].isdigit() else text


def _posting(draw: random.Random, human: Human, record: dict[str, str], agency: str, number: int) -> Posting:
    party = _party(draw, human, record)
    knows = agency == "northumbria-police" or draw.random() < CRIME_REFERENCE_HELD
    incident = human.incident | ({"reference": f"NP-{number:05d}-26", "force": "10"} if knows else {})
    document = {
        "reference": f"{agency.upper()[:3]}-{record['record_id']}",
        "version": 1,
        "incident": incident,
        "parties": [party],
        "stage": "post_sentence",
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
    exact = (record["first_name"], record["surname"], record["dob"])
    return Posting(agency, human.id, document, exact)


def _party(draw: random.Random, human: Human, record: dict[str, str]) -> dict[str, Any]:
    party: dict[str, Any] = {"role": "harmed"}
    surname = record["surname"].strip()
    forenames = record["full_name"].strip().removesuffix(surname).strip() or record["first_name"].strip()
    name = {"forenames": forenames.title(), "surname": surname.title()}
    party["name"] = {part: text for part, text in name.items() if text} or {"surname": "NOT ENTERED"}
    if record["dob"]:
        party["date_of_birth"] = shifted(record["dob"], human.shift)
    if record["gender"] in {"male", "female"}:
        party["sex"] = record["gender"]
    if record["postcode"]:
        party["addresses"] = [{"postcode": record["postcode"].upper()}]
    if draw.random() < PHONE_HELD:
        own = (
            human.phone if draw.random() < PHONE_SHARED else f"07{draw.randint(300_000_000, 999_999_999):09d}"
        )
        party["phones"] = [{"number": _mistyped(draw, own, "0123456789", PHONE_MISTYPED, keep=3)}]
    if draw.random() < EMAIL_HELD:
        own = (
            human.email if draw.random() < EMAIL_SHARED else f"work{draw.randint(10_000, 99_999)}@example.net"
        )
        party["emails"] = [{"address": _mistyped(draw, own, "aeiou0123456789", EMAIL_MISTYPED, until="@")}]
    return party


def _mistyped(
    draw: random.Random, text: str, alphabet: Sequence[str], rate: float, *, keep: int = 0, until: str = ""
) -> str:
    if draw.random() >= rate:
        return text
    end = text.index(until) if until else len(text)
    place = draw.randrange(keep, end)
    return text[:place] + draw.choice(alphabet) + text[place + 1 :]
