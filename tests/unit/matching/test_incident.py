"""Two referrals about one victim: one case when they are one incident."""

from dataclasses import replace
from datetime import date

import pytest

from services.intake.matching import Incident, same_incident

BURGLARY = Incident(force="20", reference="20/123456/26", offence="28/3", start=date(2026, 3, 4), place="B14")


def test_one_reference_of_one_force_is_one_incident() -> None:
    assert same_incident(BURGLARY, Incident(force="20", reference="20 123456 26")) == (
        "same",
        "crime_reference",
    )


def test_one_reference_of_two_forces_is_a_coincidence() -> None:
    other = replace(BURGLARY, force="06", offence="8/6", start=date(2026, 9, 9))
    assert same_incident(BURGLARY, other)[0] == "different"


def test_a_reference_without_its_force_is_a_doubt() -> None:
    assert same_incident(replace(BURGLARY, force=""), BURGLARY) == ("hold", "force_unknown")


def test_two_references_of_one_force_are_two_incidents_or_a_doubt() -> None:
    other = replace(BURGLARY, reference="20/999999/26")
    assert same_incident(other, BURGLARY) == ("hold", "references_differ")
    assert same_incident(replace(other, offence="8/6"), BURGLARY) == ("different", "references_differ")


@pytest.mark.parametrize(
    ("changes", "relation"),
    [
        ({}, "same"),
        ({"start": date(2026, 3, 5)}, "same"),
        ({"start": date(2026, 3, 6)}, "hold"),
        ({"start": date(2026, 3, 18)}, "hold"),
        ({"start": date(2026, 3, 19)}, "different"),
        ({"start": date(2026, 2, 1), "end": date(2026, 3, 4)}, "same"),
        ({"start": None}, "hold"),
        ({"offence": "8/6"}, "hold"),
        ({"place": "LS6"}, "hold"),
        ({"place": ""}, "hold"),
        ({"offence": "8/6", "place": "LS6"}, "different"),
        ({"offence": "8/6", "start": date(2026, 3, 10)}, "different"),
        ({"offence": "8/6", "start": None}, "different"),
    ],
)
def test_without_a_reference_offence_day_and_place_decide(changes: dict[str, object], relation: str) -> None:
    other = replace(BURGLARY, reference="", **changes)  # type: ignore[arg-type]
    assert same_incident(other, BURGLARY)[0] == relation
    assert same_incident(BURGLARY, other) == same_incident(other, BURGLARY)


@pytest.mark.parametrize("junk", ["", "N/A", "not known", "000000", "TBC"])
def test_junk_is_no_reference(junk: str) -> None:
    assert (
        same_incident(replace(BURGLARY, reference=junk), replace(BURGLARY, reference=junk))[1]
        == "offence_date_place"
    )
