"""Given two records, when they are matched, then the answer and the rule that gave it. All people here are invented."""

import pytest

from services.intake.matching import (
    Address,
    Candidate,
    Decision,
    Person,
    compare,
    contradictions,
    decide,
    identity_incomplete,
    load,
    normalise,
)

ANNA: Person = {
    "forenames": "Anna Louise",
    "surname": "Hargreaves",
    "date_of_birth": "1984-03-17",
    "sex": "female",
    "addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}],
    "phones": ["07700 900123"],
    "emails": ["anna.hargreaves@example.org"],
    "identifiers": {"pnc": "79/163001B"},
}


def person(**changes: object) -> Person:
    """Anna, with some fields changed; None takes one away."""
    merged = {**ANNA, **changes}
    return {key: value for key, value in merged.items() if value is not None}  # type: ignore[return-value]


def met(new: Person, *known: Person, people_in_store: int = 2_000, hot: tuple[str, ...] = ()) -> Decision:
    """The decision about a new record, each known one being a person of its own: p0, p1 and so on."""
    candidates = [Candidate(f"p{index}", normalise(one)) for index, one in enumerate(known)]
    return decide(normalise(new), candidates, people_in_store=people_in_store, hot=hot)


def test_the_same_human_through_two_agencies_is_joined() -> None:
    decision = met(ANNA, ANNA)
    assert (decision.answer, decision.people, decision.reasons) == ("join", ("p0",), ("enough_evidence",))
    assert decision.model == load().version


def test_errors_in_two_fields_still_join() -> None:
    other = person(
        forenames="Ann", surname="Hargreves", date_of_birth="1984-03-17", phones=None, identifiers=None
    )
    assert met(other, ANNA).answer == "join"


def test_nobody_known_is_nobody() -> None:
    assert (met(ANNA).answer, met(ANNA).reasons) == ("different", ("nobody_similar",))


@pytest.mark.parametrize("people_in_store", [1, 100, 10_000, 1_000_000, 60_000_000])
def test_a_name_and_a_date_of_birth_alone_never_join(people_in_store: int) -> None:
    bare = person(addresses=None, phones=None, emails=None, identifiers=None)
    rare: Person = {**bare, "forenames": "Zebedee Crispin", "surname": "Quillfeather"}
    for one in (bare, rare):
        assert met(one, one, people_in_store=people_in_store).answer != "join"
    assert "name_and_birth_date_alone" in met(rare, rare).reasons


def test_a_name_alone_never_joins_and_the_agency_is_asked() -> None:
    bare: Person = {"forenames": "Zebedee", "surname": "Quillfeather", "sex": "m"}
    decision = met(bare, {**bare, "date_of_birth": "1960-05-04"}, people_in_store=2)
    assert (decision.answer, decision.reasons, decision.ask) == (
        "hold",
        ("identity_incomplete",),
        "date_of_birth",
    )
    assert identity_incomplete(normalise(bare))
    assert met(bare).reasons == ("identity_incomplete",)


def test_a_name_and_a_postal_district_alone_never_join() -> None:
    one: Person = {"forenames": "Mohammed", "surname": "Abdullahi", "addresses": [{"postcode": "LS6 2AB"}]}
    other: Person = {**one, "addresses": [{"postcode": "LS6 4XY"}]}
    for people_in_store in (1_000, 100_000, 1_000_000):
        decision = met(one, other, people_in_store=people_in_store)
        assert (decision.answer, decision.reasons) == ("hold", ("name_alone",))
    born = {"date_of_birth": "1984-03-17"}
    assert met({**one, **born}, {**other, **born}).answer == "join"  # type: ignore[typeddict-item]


def test_twins_are_two_people() -> None:
    twin = person(forenames="Beatrice", phones=None, emails=None, identifiers=None)
    decision = met(twin, ANNA)
    assert (decision.answer, decision.reasons) == ("different", ("twins_or_siblings",))


def test_twins_with_one_telephone_may_be_one_human_by_two_forenames_and_are_never_joined() -> None:
    twin = person(forenames="Beatrice", identifiers=None)
    decision = met(twin, ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("one_contact_two_forenames",))


def test_a_twin_brother_with_one_telephone_is_another_person() -> None:
    brother = person(forenames="Mark", sex="male", identifiers=None)
    decision = met(brother, ANNA)
    assert (decision.answer, decision.reasons) == ("different", ("twins_or_siblings",))


def test_a_telephone_without_a_name_is_nobody() -> None:
    decision = met({"phones": ["07700 900123"], "addresses": [{"postcode": "LS6 2AB"}]}, ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("no_name_in_common",))


def test_siblings_are_two_people() -> None:
    brother = person(forenames="Mark", date_of_birth="1987-11-02", sex="male", emails=None, identifiers=None)
    assert met(brother, ANNA).answer == "different"


def test_a_twin_with_the_others_police_number_is_for_a_person_to_look_at() -> None:
    decision = met(person(forenames="Beatrice"), ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("forenames_differ",))


def test_a_title_or_a_word_beyond_repair_in_the_forenames_place_is_no_twin() -> None:
    odd = person(forenames="Xqz", phones=None, emails=None, identifiers=None)
    decision = met(odd, ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("odd_forename",))


def test_father_and_son_of_one_name_are_two_people() -> None:
    father = person(forenames="John", date_of_birth="1951-07-30", sex="male", identifiers=None, emails=None)
    son = person(forenames="John", date_of_birth="1979-01-12", sex="male", identifiers=None, emails=None)
    decision = met(son, father)
    assert (decision.answer, decision.reasons) == ("different", ("parent_and_child",))


def test_two_neighbours_swapped_in_a_number_are_a_slip_and_a_number_after_the_other_is_not() -> None:
    def level(number: str) -> str:
        table = compare(
            normalise({"identifiers": {"own-care": "70011319"}}),
            normalise({"identifiers": {"own-care": number}}),
            load(),
        )
        return table.level("identifier")

    assert [level(number) for number in ("70011319", "70013119", "70011318", "70013118")] == [
        *("same", "one_slip", "another_number", "another_number")
    ]


def test_namesakes_whose_mailboxes_differ_in_a_number_are_not_joined() -> None:
    """How a provider tells two namesakes apart. `make together` took the first pair for one human."""

    def one(forenames: str, mailbox: str, phone: str) -> Person:
        return {
            "forenames": forenames,
            "surname": "Kilsottav",
            "phones": [phone],
            "emails": [f"{mailbox}@example.org"],
        }

    pairs = [
        (
            one("Beatrice", "kilsottav.18", "07700 900123"),
            one("Oluwaseun", "kilsottav.180", "07700 900987"),
        ),
        (one("Joyce", "kilsottav.5470", "07700 900123"), one("Joyce", "kilsottav.5476", "07700 900987")),
        (one("Joyce", "kilsottav.5470", "07700 900123"), one("J", "kilsottav.5476", "07700 900987")),
    ]
    for new, known in pairs:
        for people in (20, 300, 1_000):
            candidates = [Candidate("p0", normalise(known))]
            decision = decide(
                normalise(new), candidates, people_in_store=people, referrals_in_store=people * 8
            )
            assert decision.answer != "join", decision.sentence


@pytest.mark.parametrize(
    ("mailbox", "level"),
    [
        ("anna.hargreaves84", "same"),
        ("anna.hargreaves85", "another_number"),
        ("anna.hargreaves8", "another_number"),
        ("anna.hargreaves48", "another_number"),
        ("ana.hargreaves84", "one_slip"),
        ("anna.hargreves84", "one_slip"),
    ],
)
def test_a_slip_in_a_mailbox_is_one_in_its_letters(mailbox: str, level: str) -> None:
    table = compare(
        normalise({"emails": ["anna.hargreaves84@example.org"]}),
        normalise({"emails": [f"{mailbox}@example.org"]}),
        load(),
    )
    assert table.level("email") == level


def test_brothers_with_telephone_numbers_one_after_the_other_are_not_joined() -> None:
    def brother(forenames: str, number: str) -> Person:
        return {"forenames": forenames, "surname": "Hargreaves", "sex": "male", "phones": [number]}

    decision = met(brother("Mark", "07700 900124"), brother("Peter", "07700 900123"), people_in_store=20)
    assert (decision.answer, decision.reasons) == ("hold", ("two_forenames",))


def test_a_twin_who_moved_round_the_corner_is_not_joined() -> None:
    moved = person(
        forenames="Beatrice",
        addresses=[{"lines": ["3 Park Row"], "postcode": "LS6 2DQ"}],
        phones=None,
        emails=None,
        identifiers=None,
    )
    decision = met(moved, ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("two_forenames",))


def test_another_surname_wants_a_contact_or_a_home_in_common() -> None:
    moved: Person = {
        "forenames": "Anna Louise",
        "surname": "Quillfeather",
        "sex": "female",
        "date_of_birth": "1984-03-17",
        "addresses": [{"postcode": "LS6 3XY"}],
    }
    decision = met(moved, ANNA, people_in_store=200)
    assert (decision.answer, decision.reasons) == ("hold", ("two_surnames",))
    for confirmed in (
        {**moved, "phones": ANNA["phones"]},
        {**moved, "emails": ANNA["emails"]},
        {**moved, "addresses": ANNA["addresses"]},
    ):
        assert met(confirmed, ANNA, people_in_store=200).answer == "join"  # type: ignore[arg-type]


def test_an_initial_at_one_home_may_be_husband_or_wife() -> None:
    initial: Person = {"forenames": "A", "surname": "Hargreaves", "addresses": ANNA["addresses"]}
    decision = met(initial, ANNA, people_in_store=200)
    assert (decision.answer, decision.reasons) == ("hold", ("initial_alone",))
    assert met({**initial, "date_of_birth": "1984-03-17"}, ANNA).answer == "join"
    assert met({**initial, "emails": ANNA["emails"]}, ANNA).answer == "join"
    assert "initial_alone" not in met({**initial, "forenames": "A. L."}, ANNA, people_in_store=200).reasons


def test_one_name_at_one_home_is_less_of_a_family_than_one_surname() -> None:
    bare: Person = {"surname": "Hargreaves", "addresses": [{"postcode": "LS6 2AB"}]}

    def household(one: str, other: str) -> str:
        a, b = (normalise({**bare, "forenames": name}) for name in (one, other))
        return compare(a, b, load()).level("household")

    assert household("Anna", "Ann") == household("Anna", "Anna") == "one_name_at_home"
    assert (
        household("Anna", "Peter") == household("Anna", "") == household("Anna", "A") == "one_surname_at_home"
    )


def test_a_name_that_stands_alone_is_read_as_what_more_people_have_it_for() -> None:
    def agrees(one: str, other: str) -> tuple[str, str]:
        table = compare(normalise({"forenames": one}), normalise({"forenames": other}), load())
        return table.level("forename"), table.level("surname")

    assert agrees("Hargreaves", "Hargreaves") == agrees("Smith", "Smith") == ("absent", "same")
    assert agrees("Hargreaves", "Hargreves") == ("absent", "one_letter")
    assert agrees("John", "John") == ("same", "absent")
    assert agrees("John", "Hargreaves")[0] != "absent"


def test_dates_years_apart_and_one_number_but_for_a_slip_are_no_father_and_son() -> None:
    one = person(identifiers={"own-care": "70011319"})
    other = person(identifiers={"own-care": "70013119"}, date_of_birth="1951-12-25")
    decision = met(other, one)
    assert (decision.answer, decision.reasons) == ("hold", ("birth_dates_far_apart",))


def test_a_couple_on_one_telephone_are_two_people() -> None:
    husband = person(forenames="Peter", date_of_birth="1981-09-09", sex="m", emails=None, identifiers=None)
    partner = person(
        forenames="Peter",
        surname="Okafor",
        date_of_birth="1981-09-09",
        sex="m",
        addresses=None,
        identifiers=None,
    )
    assert met(husband, ANNA).answer == "different"
    decision = met(partner, ANNA)
    assert decision.answer == "different"
    assert "shared_contact" in decision.reasons


def test_a_hostel_does_not_make_two_people_one() -> None:
    hostel: list[Address] = [{"lines": ["St Mungo House"], "postcode": "LS1 4AX"}]
    one: Person = {
        "forenames": "David",
        "surname": "Smith",
        "date_of_birth": "1990-02-02",
        "addresses": hostel,
    }
    other: Person = {"forenames": "David", "surname": "Smyth", "addresses": hostel}
    assert met(other, one, hot=("home:LS14AX",)).answer != "join"
    neighbour: Person = {"forenames": "Gareth", "surname": "Pugh", "addresses": hostel}
    assert met(neighbour, one, hot=("home:LS14AX",)).answer == "different"


@pytest.mark.parametrize("postcode", ["NF1 1NF", "nf1 1fa"])
def test_no_fixed_abode_is_nobodys_home(postcode: str) -> None:
    homeless = person(
        addresses=[{"lines": ["No fixed abode"], "postcode": postcode}],
        phones=None,
        emails=None,
        identifiers=None,
    )
    assert normalise(homeless).postcodes == ()
    assert normalise(homeless).homes == ()
    assert met(homeless, homeless).answer != "join"


@pytest.mark.parametrize("placeholder", ["1900-01-01", "1970-01-01", "01/01/1970", "", None, "unknown"])
def test_placeholder_dates_count_for_nothing(placeholder: str | None) -> None:
    assert normalise(person(date_of_birth=placeholder)).date_of_birth == ""


def test_two_police_numbers_are_two_people_or_a_doubt_but_never_a_join() -> None:
    other = person(identifiers={"pnc": "02/73319Z"})
    decision = met(other, ANNA)
    assert (decision.answer, decision.reasons) == ("hold", ("identifiers_differ",))


def test_a_group_with_two_police_numbers_is_held() -> None:
    known = [
        Candidate("p0", normalise(person(identifiers={"pnc": "02/73319Z"}))),
        Candidate("p0", normalise(person(identifiers=None))),
    ]
    decision = decide(normalise(ANNA), known, people_in_store=2_000)
    assert (decision.answer, decision.reasons) == ("hold", ("identifiers_differ",))
    assert contradictions([normalise(ANNA), *(one.record for one in known)])
    assert not contradictions([normalise(ANNA), normalise(person(identifiers=None))])


def test_a_group_with_birth_dates_far_apart_is_not_joined() -> None:
    known = [
        Candidate("p0", normalise(person(date_of_birth="1951-12-25", identifiers=None))),
        Candidate("p0", normalise(person(date_of_birth=None, identifiers=None))),
    ]
    assert decide(normalise(person(identifiers=None)), known, people_in_store=2_000).answer != "join"


def test_two_good_candidates_are_a_doubt() -> None:
    known = [person(identifiers=None, emails=None), person(identifiers=None, phones=None)]
    decision = met(person(identifiers=None, phones=None, emails=None), *known)
    assert (decision.answer, decision.reasons, set(decision.people)) == (
        "hold",
        ("several_candidates",),
        {"p0", "p1"},
    )


def test_what_a_person_told_apart_is_never_joined_by_machine() -> None:
    known = normalise(ANNA)
    first = decide(normalise(ANNA), [Candidate("p0", known)], people_in_store=2_000)
    assert first.evidence
    again = decide(
        normalise(ANNA), [Candidate("p0", known, told_apart=first.evidence.bits)], people_in_store=2_000
    )
    assert again.answer == "different"
    new_evidence = decide(normalise(ANNA), [Candidate("p0", known, told_apart=5.0)], people_in_store=2_000)
    assert (new_evidence.answer, new_evidence.reasons) == ("hold", ("told_apart_before",))


def test_a_hot_key_holds_instead_of_answering_different() -> None:
    smith: Person = {
        "forenames": "John",
        "surname": "Smith",
        "date_of_birth": "1980-01-01",
        "phones": ["+447700900111"],
    }
    decision = met(smith, hot=("surname+birth:3546|19800101",))
    assert (decision.answer, decision.reasons) == ("hold", ("hot_key",))
    assert met(smith, hot=("name:254|john",)).answer == "different"


def test_the_prior_follows_the_size_of_the_store() -> None:
    new = person(
        addresses=[{"postcode": "LS6 3XY"}], date_of_birth=None, phones=None, emails=None, identifiers=None
    )
    small, large = met(new, ANNA, people_in_store=10), met(new, ANNA, people_in_store=1_000_000)
    assert small.score - large.score == pytest.approx(16.5, abs=0.1)


def test_the_prior_follows_how_often_people_were_known_before() -> None:
    def score(referrals: int | None) -> float:
        known = [Candidate("p0", normalise(ANNA))]
        decision = decide(
            normalise(person(identifiers=None, phones=None, emails=None)),
            known,
            people_in_store=10_000,
            referrals_in_store=referrals,
        )
        return decision.score

    assert score(10_000) < score(12_000) < score(15_000) < score(20_000)
    assert score(20_000) == pytest.approx(score(None), abs=0.01)  # every other one, as is supposed at first
    assert score(None) - score(10_000) < 6  # a store of strangers raises the bar, and no more than that
    # Nor does a store where nearly everybody is known lower it: nobody has measured how often that would be wrong.
    assert score(10**9) == score(80_000) == score(20_000)


def test_one_missing_field_would_settle_it_and_the_agency_is_asked() -> None:
    moved: Person = {
        "forenames": "Ann",
        "surname": "Hargreaves",
        "sex": "f",
        "addresses": [{"postcode": "LS6 2XY"}],
    }
    decision = met(moved, ANNA, people_in_store=150_000)
    assert (decision.answer, decision.reasons) == ("hold", ("one_field_would_settle",))
    assert decision.ask == "date_of_birth"
    assert met({**moved, "date_of_birth": "1984-03-17"}, ANNA, people_in_store=150_000).answer == "join"
    assert met({**moved, "date_of_birth": "1962-10-08"}, ANNA, people_in_store=150_000).answer == "different"


def test_neither_the_sentence_nor_the_table_reveals_a_value() -> None:
    decision = met(ANNA, person(forenames="Ann", phones=["07700 900124"]))
    text = (decision.sentence + repr(decision.evidence)).casefold()
    for secret in ("anna", "louise", "hargreaves", "1984", "ls6", "900123", "example", "163001"):
        assert secret not in text


def test_the_comparison_does_not_depend_on_who_came_first() -> None:
    other = person(
        forenames="Anya", surname="Hargreaves-Cole", date_of_birth="1984-07-13", phones=["07700 900132"]
    )
    forwards, backwards = met(other, ANNA), met(ANNA, other)
    assert forwards.evidence == backwards.evidence


HOME: list[Address] = [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}]


def one_of_home(forenames: str, surname: str = "Hill", born: str | None = None, **more: object) -> Person:
    """Somebody at one home and on one telephone with whoever else there is."""
    person = {
        "forenames": forenames,
        "surname": surname,
        "addresses": HOME,
        "phones": ["0113 496 0123"],
        **more,
    }
    return {**person, "date_of_birth": born}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("sexes_differ", one_of_home("J", sex="m"), one_of_home("Jane", sex="f")),
        ("sexes_differ", one_of_home("Pat", sex="m"), one_of_home("Patricia", sex="f")),
        ("sexes_differ", one_of_home("", sex="m"), one_of_home("", sex="f")),
        ("sexes_differ", one_of_home("Gurpreet", "Singh", sex="m"), one_of_home("Gurpreet", "Kaur", sex="f")),
        (
            "birth_dates_differ",
            one_of_home("Sam", born="1980-01-05"),
            one_of_home("Samantha", born="1983-06-17"),
        ),
        (
            "birth_dates_differ",
            one_of_home("Gurpreet", "Singh", "1998-03-17"),
            one_of_home("Gurpreet", "Kaur", "1999-05-21"),
        ),
        (
            "second_forenames_differ",
            one_of_home("Mohammed Imran", "Khan"),
            one_of_home("Mohammed Rizwan", "Khan"),
        ),
        (
            "second_forenames_differ",
            one_of_home("Thi Hoa", "Nguyen", "1995-01-01"),
            one_of_home("Thi Mai", "Nguyen", "1995-01-01"),
        ),
        ("names_passed_on", one_of_home("Abdi", "Hassan"), one_of_home("Mohamed Abdi", "Hassan")),
        ("names_passed_on", one_of_home("Ali", "Hassan"), one_of_home("Hassan", "Ali")),
        ("names_passed_on", one_of_home("John Paul"), one_of_home("Paul")),
        (
            "forenames_begin_alike",
            one_of_home("Marcus", born="1998-03-17"),
            one_of_home("Martin", born="1998-03-17"),
        ),
        (
            "forenames_begin_alike",
            one_of_home("Jasdeep", "Singh", "1998-03-17"),
            one_of_home("Jaspreet", "Singh", "1998-03-17"),
        ),
    ],
)
def test_two_of_one_household_are_not_joined(rule: str, one: Person, other: Person) -> None:
    for people_in_store in (20, 2_000, 200_000):
        for new, known in ((one, other), (other, one)):
            decision = met(new, known, people_in_store=people_in_store)
            assert decision.answer == "hold"
            assert rule in decision.reasons


def test_a_first_line_without_a_postcode_is_no_home_in_common() -> None:
    flat: Person = {
        "forenames": "David",
        "surname": "Smith",
        "date_of_birth": "1990-02-12",
        "addresses": [{"lines": ["Flat 1"]}],
    }
    assert met(flat, flat).reasons == ("name_and_birth_date_alone",)
