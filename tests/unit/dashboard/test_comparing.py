"""Two records side by side: what is marked, and what is said of each field."""

from typing import Any

import pytest

from services.dashboard.comparing import Row, incident_rows, rows


def by_label(found: list[Row]) -> dict[str, Row]:
    return {row.label: row for row in found}


def marked(row: Row, side: str = "mine") -> list[str]:
    """Return the text of a side, with what is marked in brackets."""
    segments = row.mine if side == "mine" else row.theirs
    return ["".join(f"[{text}]" if differs else text for text, differs in value) for value in segments]


def sent(forenames: str, surname: str, **more: Any) -> dict[str, Any]:
    return {"name": {"forenames": forenames, "surname": surname}, **more}


def test_only_the_letters_that_differ_are_marked() -> None:
    found = by_label(rows([sent("Mary", "Smyth")], [sent("Mary", "Smith")]))
    assert marked(found["Name"]) == ["Mary Sm[y]th"]
    assert marked(found["Name"], "theirs") == ["Mary Sm[i]th"]


def test_what_has_nothing_in_common_is_marked_whole_and_what_is_missing_marks_nothing() -> None:
    found = by_label(
        rows([sent("Mary", "Wells", sex="female")], [sent("Boris", "Kuznetsov", date_of_birth="1971-03-09")])
    )
    assert marked(found["Name"]) == ["[Mary Wells]"]
    assert found["Name"].kind == "differs"
    assert (marked(found["Sex"]), found["Sex"].kind) == (["Female"], "unknown")
    assert marked(found["Date of birth"], "theirs") == ["9 March 1971"]


def test_capitals_are_no_difference() -> None:
    found = by_label(rows([sent("MARY", "WELLS")], [sent("Mary", "Wells")]))
    assert (marked(found["Name"]), found["Name"].kind) == (["MARY WELLS"], "agrees")


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ({"forename": "same", "surname": "same"}, "agrees"),
        ({"forename": "same", "surname": "typing_slip"}, "nearly"),
        ({"forename": "different", "surname": "same"}, "differs"),
        ({"forename": "absent", "surname": "absent"}, "agrees"),
    ],
)
def test_what_the_matcher_found_counts_and_the_worst_of_several_levels_is_told(
    levels: dict[str, str], kind: str
) -> None:
    evidence = [{"field": field, "level": level, "bits": 1.0} for field, level in levels.items()]
    found = by_label(rows([sent("Mary", "Wells")], [sent("Mary", "Wells")], evidence))
    assert found["Name"].kind == kind


def test_a_record_that_is_not_shown_leaves_how_it_compares() -> None:
    evidence = [{"field": "date_of_birth", "level": "one_digit", "bits": 3.0}]
    found = by_label(rows([], [sent("Mary", "Wells", date_of_birth="1971-03-09")], evidence))
    assert (found["Date of birth"].mine, found["Date of birth"].kind) == ((), "nearly")
    assert found["Date of birth"].said == "one digit differs"


def test_several_records_of_one_person_are_told_once() -> None:
    phone = {"phones": [{"number": "07700 900123"}]}
    found = by_label(
        rows([sent("Mary", "Wells", **phone), sent("Mary", "WELLS", **phone)], [sent("Mary", "Wells")])
    )
    assert len(found["Telephone"].mine) == len(found["Name"].mine) == 1


def test_markup_in_a_name_stays_text() -> None:
    """The page escapes; here it must not be cut in a way that makes markup of it."""
    found = by_label(rows([sent("<b>Mary</b>", "Wells")], [sent("Mary", "Wells")]))
    assert "".join(text for text, _ in found["Name"].mine[0]) == "<b>Mary</b> Wells"


def test_incidents_are_compared_by_what_is_known_of_both() -> None:
    mine = [{"agency": "a", "incident": {"offence": "burglary", "reference": "41/1/26", "place": "SG1"}}]
    theirs: list[dict[str, Any]] = [
        {"agency": "b", "incident": {"offence": "burglary", "reference": "41/7/26"}},
        {"agency": None, "incident": None},
    ]
    found = by_label(incident_rows(mine, theirs))
    assert {label: row.kind for label, row in found.items()} == {
        "Offence": "agrees",
        "Crime reference": "differs",
        "Place": "unknown",
    }
