"""Keys that two records of one human share in spite of errors."""

from itertools import combinations

import pytest

from services.intake.matching import KINDS, Person, blocking_keys, kind_of, normalise, worth_comparing

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


def found_among(crowd: int, one: Person, other: Person) -> bool:
    """Whether one is compared with the other where so many others share each key that the two share."""
    shared = sorted(keys(one) & keys(other))
    people, hot = worth_comparing(
        (key, [0, *range(1 + crowd * n, 1 + crowd * (n + 1))]) for n, key in enumerate(shared)
    )
    assert not hot
    return 0 in people


@pytest.mark.parametrize("wrong", list(combinations(WHOLE, 2)))
@pytest.mark.parametrize("absent", [False, True])
def test_any_two_errors_leave_a_key_that_meets(wrong: tuple[str, str], absent: bool) -> None:
    damaged = {field: DAMAGED[field] if field in wrong else value for field, value in WHOLE.items()}
    if absent:
        damaged = {field: value for field, value in damaged.items() if field not in wrong}
    assert found_among(20, WHOLE, damaged)  # type: ignore[arg-type]


@pytest.mark.parametrize("slip", ["1984-03-19", "1984-17-03", "1984-05-17", "1948-03-17", "1985-03-17"])
@pytest.mark.parametrize("surname", ["Hargreaves", "Hargreves"])
def test_a_common_name_is_found_by_what_a_slip_leaves_of_the_birth_date(slip: str, surname: str) -> None:
    assert found_among(20, WHOLE, {"forenames": "Kate", "surname": surname, "date_of_birth": slip})


def test_whose_fields_are_swapped_is_found_by_the_birth_date() -> None:
    swapped: Person = {"forenames": "Hargreaves", "surname": "Katherine", "date_of_birth": "1984-03-17"}
    assert found_among(20, WHOLE, swapped)


@pytest.mark.parametrize("kind", ["birth:19840317", "name:7624|katherine"])
def test_one_thing_that_many_share_brings_only_whom_another_key_meets(kind: str) -> None:
    few, some, crowd = list(range(8)), list(range(20)), list(range(41))
    assert worth_comparing([(kind, few)]) == (few, [])
    assert worth_comparing([(kind, some)]) == ([], [])
    assert worth_comparing([(kind, some), ("phone:+447700900123", [19, 99])]) == ([19, 99], [])
    assert worth_comparing([(kind, some), ("surname:7624", list(range(18, 40)))]) == ([18, 19], [])
    assert worth_comparing([(kind, crowd)]) == ([], [kind])


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
    assert len(found) == len(set(found)) <= 20


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
