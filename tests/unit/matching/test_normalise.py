"""What people type, made comparable; and what says nothing, thrown away."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.matching import (
    KINDS,
    Address,
    Candidate,
    Person,
    Record,
    blocking_keys,
    compare,
    decide,
    kind_of,
    load,
    normalise,
)
from services.intake.matching.identifiers import canonical
from services.intake.matching.names import edits, sound, tokens
from services.intake.matching.record import postcode


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Dr. Mary-Ann", ("mary", "ann")),
        ("O'Brien", ("obrien",)),
        ("O\u2019BRIEN", ("obrien",)),
        ("MacDonald", ("mcdonald",)),
        ("McDonald", ("mcdonald",)),
        ("Smith-Jones", ("smith", "jones")),
        ("van der Berg", ("berg",)),
        ("Zoë", ("zoe",)),
        ("E. B.", ("e", "b")),
        ("Major", ("major",)),
        ("Major Tom", ("tom",)),
        ("NOT KNOWN", ()),
        ("Not Entered", ()),
        ("DUPLICATE_Smith", ("smith",)),
        ("NO_SHOW_Jones", ("jones",)),
        ("DUPLICATE_DUPLICATE_Smith", ("smith",)),
        ("NOT_KNOWN_NOT_KNOWN", ()),
        ("Unknown Male", ()),
        ("Jean Male", ("jean", "male")),
        ("Victim 1", ()),
        ("Victoria", ("victoria",)),
        ("See notes", ()),
        ("unknown", ()),
        ("N/K", ()),
        ("🙂", ()),
        ("", ()),
        ("محمد", ("محمد",)),
        ("李", ("李",)),
    ],
)
def test_names_as_tokens(typed: str, meant: tuple[str, ...]) -> None:
    assert tokens(typed) == meant


@pytest.mark.parametrize(
    ("one", "other"), [("smith", "smyth"), ("thompson", "thomson"), ("philip", "filip"), ("clark", "clarke")]
)
def test_names_that_sound_alike(one: str, other: str) -> None:
    assert sound(one) == sound(other)


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("anna", "anna", 0),
        ("anna", "ana", 1),
        ("anna", "nana", 1),
        ("skelton", "zkelton", 1),
        ("murray", "morrow", 3),
        ("hargreaves", "hargraves", 1),
        ("hargreaves", "hergraves", 2),
        ("a", "abcd", 3),
        ("abcdef", "badcfe", 3),
    ],
)
def test_slips_of_the_keyboard(one: str, other: str, slips: int) -> None:
    assert edits(one, other) == edits(other, one) == slips


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("pnc", "79/163001B", "79/0163001B"),
        ("pnc", "1979/163001b", "79/0163001B"),
        ("pnc", "02/73319Z", "02/0073319Z"),
        ("pnc", "67/9893091D", "67/9893091D"),
        ("pnc", "81/34U", "81/0000034U"),
        ("pnc", "2001/0171310S", ""),
        ("pnc", "20030011985Z", ""),
        ("cro", "65656/91H", "065656/91H"),
        ("cro", "85227/65G", ""),
        ("cro", "SF83/50058Z", "SF83/50058Z"),
        ("cro", "SF05/482703J", "SF05/482703J"),
        ("noms", "a1234bc", "A1234BC"),
        ("crn", "X777958", "X777958"),
        ("crn", "X77", ""),
        ("crn", "0000000", ""),
        ("agency number", " 12 34 ", "1234"),
    ],
)
def test_identifiers(kind: str, typed: str, meant: str) -> None:
    assert canonical(kind, typed) == meant


@pytest.mark.parametrize(
    ("field", "junk"),
    [
        ("date_of_birth", "0000-00-00"),
        ("phones", ["01234567890"]),
        ("phones", ["07987654321"]),
        ("addresses", [{"lines": ["N/A"]}]),
        ("identifiers", {"pnc": "00/0000000Z"}),
        ("identifiers", {"crn": "X000000"}),
        ("identifiers", {"noms": "A0000AA"}),
        ("identifiers", {"own-kent": "Unknown"}),
        ("identifiers", {"own-kent": "n/a"}),
    ],
)
def test_what_is_typed_where_nothing_is_known_makes_nobody_one_human(field: str, junk: object) -> None:
    """Each of them made one human of two people called David Smith, or gave them one birth date, or one number."""
    record = normalise({"forenames": "David", "surname": "Smith", field: junk})  # type: ignore[misc]
    assert record == normalise({"forenames": "David", "surname": "Smith"})


def test_one_person_as_agencies_write_her() -> None:
    forms: list[Person] = [
        {"forenames": ["Mary", "Ann"], "surname": "O'Brien", "sex": "f", "date_of_birth": "1984-03-17"},
        {"forenames": "mary ann", "surname": "OBRIEN", "title": "Miss", "date_of_birth": date(1984, 3, 17)},
        {"full_name": "Ms Mary Ann O'Brien", "date_of_birth": "17/03/1984"},
        {"full_name": "O'Brien, Mrs Mary Ann", "date_of_birth": "17.3.1984"},
    ]
    assert {normalise(form) for form in forms} == {
        Record(forenames=("mary", "ann"), surnames=("obrien",), date_of_birth="19840317", sex="f")
    }


def test_the_name_before_marriage_is_kept() -> None:
    assert normalise({"forenames": "Constance", "surname": "Smith (née Herbert)"}).former == ("herbert",)


def test_contact_details() -> None:
    record = normalise(
        {
            "phones": ["07700 900123", "+44 7700 900123", "00000000000", "ask mother"],
            "emails": ["Anna@Example.org", "none@none.com", "anna"],
            "addresses": [
                {"lines": ["12 Mill Lane", "Leeds"], "postcode": "ls62ab"},
                {"lines": ["Unknown"], "postcode": "?"},
            ],
            "sex": "Female",
        }
    )
    assert record == Record(
        sex="f",
        postcodes=("LS62AB",),
        homes=("12 mill lane",),
        phones=("+447700900123",),
        emails=("anna@example.org",),
    )


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        *(("eh3 oex", "EH3OEX"), ("TNT 3SU", "TNT3SU"), ("swqv1dl", "SWQV1DL"), ("CV11 5RZ", "CV115RZ")),
        *(("unknown", ""), ("75001", ""), ("FLAT 1", ""), ("NF1 1NF", ""), ("12 MILL LANE", "")),
    ],
)
def test_a_postcode_with_a_letter_for_a_digit_is_a_slip_of_it(typed: str, kept: str) -> None:
    assert postcode(typed) == kept


def test_a_rank_is_no_name() -> None:
    for written in ("Countess Maria Smith", "Bishop Maria Smith", "Maria Smith II"):
        record = normalise({"full_name": written})
        assert (record.forenames, record.surnames) == (("maria",), ("smith",))
    assert normalise({"forenames": "Desmond", "surname": "Bishop"}).surnames == ("bishop",)


_TEXT = st.text(max_size=200) | st.sampled_from(
    ["NOT KNOWN", "DUPLICATE_", "x", "\u202e\u0645", "🙂", "A" * 200, "'", "-", "none"]
)
_PERSON = st.fixed_dictionaries(
    {},
    optional={
        "forenames": _TEXT | st.lists(_TEXT, max_size=3),
        "surname": _TEXT,
        "full_name": _TEXT,
        "aliases": st.lists(_TEXT, max_size=3),
        "date_of_birth": _TEXT | st.none() | st.sampled_from(["1900-01-01", "1984-03-17"]),
        "sex": _TEXT | st.none(),
        "addresses": st.lists(
            st.fixed_dictionaries({}, optional={"lines": st.lists(_TEXT, max_size=2), "postcode": _TEXT}),
            max_size=2,
        ),
        "phones": st.lists(_TEXT, max_size=2),
        "emails": st.lists(_TEXT, max_size=2),
        "identifiers": st.dictionaries(
            st.sampled_from(["pnc", "cro", "noms", "crn", "other"]), _TEXT, max_size=2
        ),
    },
)


@given(one=_PERSON, other=_PERSON)
@settings(max_examples=150, deadline=None)
def test_anything_can_be_normalised_keyed_and_compared(one: Person, other: Person) -> None:
    a, b = normalise(one), normalise(other)
    assert all(kind_of(key) in KINDS for key in blocking_keys(a))
    decision = decide(a, [Candidate("p0", b)], people_in_store=1_000)
    assert decision.answer in {"join", "hold", "different"}


@given(
    field=st.sampled_from(["forenames", "surname", "date_of_birth", "sex", "phones", "emails", "addresses"])
)
def test_one_field_alone_never_joins(field: str) -> None:
    whole: Person = {
        "forenames": "Anna",
        "surname": "Hargreaves",
        "date_of_birth": "1984-03-17",
        "sex": "f",
        "phones": ["07700 900123"],
        "emails": ["anna@example.org"],
        "addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}],
    }
    alone = normalise({field: whole[field]})  # type: ignore[misc]
    for known in (alone, normalise(whole)):
        assert decide(alone, [Candidate("p0", known)], people_in_store=2).answer != "join"


@pytest.mark.parametrize("name", ["J", "A" * 200, "NOT KNOWN", "DUPLICATE_", "🙂", "\u202eأحمد", "???", "李"])
def test_odd_names_never_join_two_people(name: str) -> None:
    one: Person = {"forenames": name, "surname": name, "phones": ["07700 900123"]}
    other: Person = {
        "forenames": name,
        "surname": name,
        "date_of_birth": "1984-03-17",
        "addresses": [{"postcode": "LS6 2AB"}],
    }
    assert decide(normalise(one), [Candidate("p0", normalise(other))], people_in_store=1_000).answer != "join"


def test_swapped_fields_with_a_slip_still_meet() -> None:
    one = normalise({"forenames": "Anna", "surname": "Hargreaves", "addresses": [{"postcode": "LS6 2AB"}]})
    swapped = normalise({"forenames": "Hargreves", "surname": "Anna", "addresses": [{"postcode": "LS6 2AB"}]})
    assert set(blocking_keys(one)) & set(blocking_keys(swapped))
    assert compare(one, swapped, load()).level("forename") == "swapped"
    assert compare(one, swapped, load()) == compare(swapped, one, load())


def test_swapped_fields_still_meet_and_join() -> None:
    home: list[Address] = [{"postcode": "LS6 2AB"}]
    one = normalise(
        {"forenames": "Anna", "surname": "Hargreaves", "date_of_birth": "1984-03-17", "addresses": home}
    )
    swapped = normalise(
        {"forenames": "Hargreaves", "surname": "Anna", "date_of_birth": "1984-03-17", "addresses": home}
    )
    assert set(blocking_keys(one)) & set(blocking_keys(swapped))
    assert decide(swapped, [Candidate("p0", one)], people_in_store=1_000).answer == "join"
