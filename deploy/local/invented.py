"""Invented people for load: names in realistic frequencies, everybody different, deterministic by seed."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

# Two people share a forename about once in 125, a surname once in about 900: a rough likeness of England, where the
# commonest surnames are a sixth of all. How many names collide decides how many people a new one is compared with.
COMMON_SURNAME = 0.18
HAS_EMAIL = 0.7


def _words(text: str) -> list[str]:
    return text.split()


FORENAMES = _words("""
    Margaret Susan Patricia Christine Linda Jean Sheila Barbara Maureen Janet Carol Pauline Sandra Julie Karen
    Jacqueline Deborah Tracey Sharon Alison Helen Joanne Claire Nicola Sarah Emma Lisa Michelle Rebecca Samantha
    Laura Gemma Kelly Stacey Danielle Jessica Lauren Charlotte Hannah Chloe Bethany Megan Fatima Aisha Priya
    David John Peter Michael Alan Robert Brian Roger Keith Derek Paul Mark Andrew Stephen Ian Kevin Gary Steven
    Martin Simon Darren Lee Jason Craig Stuart Wayne Christopher Matthew Daniel Adam Ryan Liam Ashley Kieran
    Connor Jordan Callum Imran Tariq Raj Pawel Kwame
    Olivia Amelia Isla Ava Ivy Freya Lily Florence Mia Willow Rosie Sophia Isabella Grace Daisy
    Sienna Poppy Elsie Emily Ella Noah Oliver George Arthur Muhammad Leo Harry Oscar Archie Henry
    Theo Freddie Jack Charlie Theodore Alfie Jacob Thomas Finley
""")
SURNAMES = _words("""
    Smith Jones Williams Taylor Brown Davies Evans Wilson Thomas Roberts Johnson Lewis Walker
    Robinson Wood Thompson White Watson Jackson Wright Green Harris Cooper King Lee Martin Clarke
    James Morgan Hughes Edwards Hill Moore Clark Harrison Scott Young Morris Hall Ward Turner Carter
    Phillips Mitchell Patel Adams Campbell Anderson Allen Cook Bailey Parker Miller Davis Murphy
""")
STEMS = _words("""
    Ash Black Brad Brom Burn Cart Chad Cress Dal Dun East Farn Garl Hal Hart Hether Kel Lang Led Mar
    Nor Old Pen Pick Rad Red Rush Sel Sher Stan Sut Thorn Tun Under Wal Wex Whit Win Wool York
""")
ENDS = _words("""
    bank bourne bridge brook bury by combe cote croft dale den don field ford gate grave ham hurst
    land ley low man mere mond more ness ridge shaw stead stone thorpe ton wall well wick wood worth
""")
STREETS = [
    "High Street",
    "Station Road",
    "Church Lane",
    "Mill Lane",
    "Park Road",
    "Victoria Road",
    "Green Lane",
    "Manor Road",
    "Kings Road",
]
OFFENCES = ("burglary", "theft", "assault", "criminal_damage", "robbery", "fraud")


def person(draw: random.Random, number: int) -> dict[str, Any]:
    """Return an invented person with a home, a telephone and mostly an e-mail address."""
    forename = draw.choice(FORENAMES)
    surname = (
        draw.choice(SURNAMES) if draw.random() < COMMON_SURNAME else draw.choice(STEMS) + draw.choice(ENDS)
    )
    born = date(1945, 1, 1) + timedelta(days=draw.randrange(60 * 365))
    inward = f"{draw.randint(0, 9)}{draw.choice('ABDEFGHJLN')}{draw.choice('PQRSTUWXYZ')}"
    postcode = f"{draw.choice(['SG', 'AL', 'WD'])}{draw.randint(1, 19)} {inward}"
    found: dict[str, Any] = {
        "name": {"forenames": forename, "surname": surname},
        "date_of_birth": born.isoformat(),
        "sex": draw.choice(["female", "male"]),
        "addresses": [{"lines": [f"{draw.randint(1, 200)} {draw.choice(STREETS)}"], "postcode": postcode}],
        # Ofcom's range for numbers in fiction is far too small: numbers of the form 07xxx xxxxxx that count up.
        "phones": [{"number": f"0740{number % 10_000_000:07d}"}],
    }
    if draw.random() < HAS_EMAIL:
        found["emails"] = [{"address": f"{forename}.{surname}.{number}@example.org".lower()}]
    return found


def referral(draw: random.Random, number: int) -> dict[str, Any]:
    """Return a referral with one harmed and one responsible party, of an incident of its own."""
    responsible = person(draw, 2 * number + 1) | {"role": "responsible", "admitted": True}
    return {
        "reference": f"L{number}",
        "version": 1,
        "incident": {
            "offence_class": draw.choice(OFFENCES),
            "reference": f"41/{number}/26",
            "force": "41",
            "on": (date(2026, 1, 1) + timedelta(days=draw.randrange(300))).isoformat(),
            "area": "E23000027",
        },
        "parties": [person(draw, 2 * number) | {"role": "harmed"}, responsible],
        "stage": "custody",
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
