"""The labelled people: records of settings (a) and (c), with the truth of who is whom."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

from services.intake.matching.record import Person, Record, normalise

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "identity"


# Two people of the 2,519 whom the source has twice, by all that it says of them: William Owen, a footballer born in Wales on
# 1860-11-20; Frederick Foottet, a painter born in 1850. Joining these is counted as wrong unless said otherwise.
TWICE = frozenset({frozenset({"Q17627000", "Q24845632"}), frozenset({"Q21461054", "Q50210878"})})


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record, the human it is about, and the fields as written (for the rivals, which clean for themselves).

    `raw` has `first_name`, `surname` and `dob` in every set, and what else the set has; what is absent is empty.
    """

    person: str
    record: Record
    raw: dict[str, str]


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(FOLDER / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, skipinitialspace=True))


def historical(other: Path | None = None) -> list[Labelled]:
    """24,620 records of 2,519 people who existed: names, sex, birth date, postcode. Or another file of that form."""
    rows = _rows("historical_people_dev")
    if other:
        with other.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    return [Labelled(row["person"], normalise(historical_person(row)), row) for row in rows]


def historical_person(row: dict[str, str]) -> Person:
    """The person as an agency would post it: forenames are the full name without its surname."""
    surname = row["surname"]
    given = row["full_name"].removesuffix(surname) if surname else row["full_name"]
    return {
        "forenames": given,
        "surname": surname,
        "date_of_birth": row["dob"],
        "sex": row["gender"],
        "addresses": [{"postcode": row["postcode"]}],
    }


def febrl() -> list[Labelled]:
    """5,000 invented Australian records of 2,000 people; their postcodes are put into the form of ours."""
    found = []
    for row in _rows("febrl_dataset3_dev"):
        person: Person = {
            "forenames": row["given_name"],
            "surname": row["surname"],
            "date_of_birth": row["date_of_birth"],
            "addresses": [
                {
                    "lines": [f"{row['street_number']} {row['address_1']}"],
                    "postcode": australian(row["postcode"]),
                }
            ],
            "identifiers": {"social_security": row["soc_sec_id"]},
        }
        raw = row | {"first_name": row["given_name"], "dob": row["date_of_birth"]}
        found.append(Labelled(row["rec_id"].split("-")[1], normalise(person), raw))
    return found


def australian(code: str) -> str:
    """Four digits in the form of a British postcode, one for one, so that the same comparisons apply: 2119 -> QB1 1AJ."""
    if len(code) != 4 or not code.isdigit():
        return ""
    letters = "ABDEFGHJLN"
    return f"Q{letters[int(code[0])]}{code[1]}{code[2]}{letters[int(code[3])]}A"


def fake() -> list[Labelled]:
    """1,000 invented records of 251 people with e-mail addresses."""
    return [
        Labelled(
            row["cluster"],
            normalise(
                {
                    "forenames": row["first_name"],
                    "surname": row["surname"],
                    "date_of_birth": row["dob"],
                    "emails": [row["email"]],
                    "addresses": [{"lines": [row["city"]]}] if row["city"] else [],
                }
            ),
            row,
        )
        for row in _rows("fake_1000")
    ]
