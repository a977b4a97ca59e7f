"""Referrals to post in tests: valid as they are, changed by keyword."""

import random
from typing import Any

_FORENAMES = [
    "Ada",
    "Beryl",
    "Clive",
    "Dennis",
    "Edith",
    "Fatima",
    "Gareth",
    "Hilda",
    "Imran",
    "Joyce",
    "Kwame",
    "Lena",
    "Moses",
    "Nadia",
    "Owen",
    "Priya",
    "Ruth",
    "Stan",
    "Tariq",
    "Una",
]
_SURNAMES = [
    "Ackroyd",
    "Bhatt",
    "Crowther",
    "Dunmore",
    "Eccles",
    "Fairfax",
    "Gupta",
    "Hargreave",
    "Ivanov",
    "Jessop",
]
_SYLLABLES = [
    "bar",
    "cor",
    "dun",
    "fel",
    "gam",
    "hes",
    "kil",
    "lop",
    "mon",
    "nar",
    "pim",
    "rud",
    "sot",
    "tav",
    "wex",
]


def unusual_surname(draw: random.Random, syllables: int) -> str:
    """Return a surname that hardly anybody shares: two people of one surname and like birth dates are rightly a doubt."""
    return "".join(draw.choice(_SYLLABLES) for _ in range(syllables)).title()


def party(role: str = "harmed", **fields: Any) -> dict[str, Any]:
    """Return one party: Mary Wells, known by everything, unless told otherwise."""
    known: dict[str, Any] = {
        "name": {"forenames": "Mary Ann", "surname": "Wells"},
        "date_of_birth": "1971-03-09",
        "sex": "female",
        "addresses": [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB"}],
        "phones": [{"number": "07700 900123"}],
        "emails": [{"address": "mary.wells@example.org"}],
    }
    return {"role": role, **known, **fields}


def offender(**fields: Any) -> dict[str, Any]:
    """Return a responsible party: Frank Dole."""
    known: dict[str, Any] = {
        "name": {"forenames": "Frank", "surname": "Dole"},
        "date_of_birth": "1988-11-30",
        "identifiers": {"pnc": "79/163001B"},
        "admitted": True,
    }
    return {"role": "responsible", **known, **fields}


def referral(reference: str = "R-1", **fields: Any) -> dict[str, Any]:
    """Return a referral about a burglary of Mary Wells by Frank Dole."""
    document: dict[str, Any] = {
        "reference": reference,
        "version": 1,
        "incident": {
            "offence_class": "burglary",
            "reference": "41/1234/26",
            "force": "41",
            "on": "2026-03-02",
            "area": "E23000027",
        },
        "parties": [party(), offender()],
        "stage": "custody",
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
    return {**document, **fields}


def strangers(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return parties who have nothing in common: no two share a name, and all else is drawn at random. At most 200."""
    draw = random.Random(seed)
    names = [(forename, surname) for forename in _FORENAMES for surname in _SURNAMES]
    return [
        party(
            name={"forenames": forename, "surname": surname},
            sex=None,
            date_of_birth=f"{draw.randint(1935, 1999)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}",
            addresses=[{"lines": [f"{draw.randint(1, 200)} {surname} Road"], "postcode": _postcode(draw)}],
            phones=[{"number": f"077009{draw.randint(0, 99999):05d}"}],
            emails=[],
        )
        for forename, surname in draw.sample(names, count)
    ]


def _postcode(draw: random.Random) -> str:
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    area = draw.choice(["SG", "AL", "WD", "EN", "CM", "LU", "HP", "BN", "NE", "TS"])
    return f"{area}{draw.randint(1, 29)} {draw.randint(1, 9)}{draw.choice(letters)}{draw.choice(letters)}"
