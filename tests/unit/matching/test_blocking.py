"""Keys that two records of one human share in spite of errors."""

from itertools import combinations

import pytest

from services.intake.matching import KINDS, Person, blocking_keys, kind_of, normalise

WHOLE: Person = {
    "forenames": "Katherine",
    "surname": "Hargreaves",
    "date_of_birth": "1984-03-17",
    "addresses": [{"postcode": "LS6 2AB"}],
}
DAMAGED: dict[str, object] = {
    "forenames": "Xanthe",
    "surname": "Quillfeather",
    "date_of_birth": "1951-12-30",
    "addresses": [{"postcode": "TR19 7AA"}],
}


def keys(person: Person) -> set[str]:
    return set(blocking_keys(normalise(person)))


@pytest.mark.parametrize("wrong", list(combinations(WHOLE, 2)))
@pytest.mark.parametrize("absent", [False, True])
def test_any_two_errors_leave_a_key_that_meets(wrong: tuple[str, str], absent: bool) -> None:
    damaged = {field: DAMAGED[field] if field in wrong else value for field, value in WHOLE.items()}
    if absent:
        damaged = {field: value for field, value in damaged.items() if field not in wrong}
    assert keys(WHOLE) & keys(damaged)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"forenames": "Kate", "surname": "Hargraves"},
        {"forenames": "Katharine", "surname": "Hargreeves"},
        {"forenames": "Hargreaves", "surname": "Katherine"},
        {"surname": "Hargreaves-Cole", "addresses": []},
        {"date_of_birth": "1984-17-03", "addresses": [{"postcode": "LS7 4XX"}]},
        {"surname": "Cole (née Hargreaves)", "date_of_birth": None, "addresses": []},
    ],
)
def test_errors_that_people_make_still_meet(changes: Person) -> None:
    assert keys(WHOLE) & keys({**WHOLE, **changes})


def test_each_key_has_a_kind_with_a_bound() -> None:
    person: Person = {
        **WHOLE,
        "phones": ["07700 900123"],
        "emails": ["kate@example.org"],
        "identifiers": {"pnc": "79/163001B"},
    }
    found = blocking_keys(normalise(person))
    assert {kind_of(key) for key in found} == set(KINDS)
    assert len(found) == len(set(found)) <= 24


def test_the_order_of_keys_does_not_change() -> None:
    assert blocking_keys(normalise(WHOLE)) == blocking_keys(normalise(WHOLE))


def test_nothing_known_has_no_key() -> None:
    assert blocking_keys(normalise({"forenames": "NOT KNOWN", "date_of_birth": "1900-01-01"})) == []


def test_a_record_of_many_names_and_homes_has_a_bounded_number_of_keys() -> None:
    crowd: Person = {
        "forenames": [f"Name{n}" for n in range(50)],
        "surname": "-".join(f"Family{n}" for n in range(50)),
        "aliases": [f"Alias{n} Other{n}" for n in range(50)],
        "date_of_birth": "1984-03-17",
        "addresses": [{"postcode": f"LS{n} 2AB"} for n in range(50)],
        "phones": [f"07700 9{n:05d}" for n in range(50)],
    }
    assert len(blocking_keys(normalise(crowd))) <= 120


@pytest.mark.parametrize("surname", ["née Jones", "formerly Jones"])
def test_a_former_name_and_nothing_else_still_has_keys(surname: str) -> None:
    found = keys({"forenames": "NOT KNOWN", "surname": surname, "date_of_birth": "1984-03-17"})
    assert "birth:19840317" in found
    assert any(key.startswith("surname:") for key in found)
