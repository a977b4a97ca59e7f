"""Identifiers: one normal form each, and a wrong check letter is refused with what would be right."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake import identifiers


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        ("79/163001B", "1979/0163001B"),
        ("02/73319Z", "2002/0073319Z"),
        ("67/9893091D", "1967/9893091D"),
        ("81/34U", "1981/0000034U"),
        (" 02/73319z ", "2002/0073319Z"),
        ("2002/0073319Z", "2002/0073319Z"),
        ("20020073319Z", "2002/0073319Z"),
    ],
)
def test_a_pnc_number_is_normalised(sent: str, normal: str) -> None:
    assert identifiers.pnc(sent, this_year=2026) == normal


def test_a_two_digit_year_up_to_the_current_one_is_of_this_century() -> None:
    assert identifiers.pnc("02/73319Z", this_year=2001).startswith("1902/")


@pytest.mark.parametrize(
    "sent",
    [
        "2001/0171310S",
        "20030011985Z",
        "79/163001C",
        "1/1A",
        "79/16300112B",
        "",
        "x79/163001B",
        "79/163001B\n9",
    ],
)
def test_what_is_no_pnc_number_is_refused_without_repeating_it(sent: str) -> None:
    with pytest.raises(ValueError, match=r";") as wrong:
        identifiers.pnc(sent)
    assert not sent or sent not in str(wrong.value)


@pytest.mark.parametrize(
    ("sent", "normal"),
    [("65656/91H", "065656/91H"), ("SF83/50058Z", "SF83/50058Z"), ("sf05/482703j", "SF05/482703J")],
)
def test_a_cro_number_is_normalised(sent: str, normal: str) -> None:
    assert identifiers.cro(sent) == normal


@pytest.mark.parametrize("sent", ["85227/65G", "SF83/50058A", "SF83/050058Z", "1234567/91H", "65656/91"])
def test_what_is_no_cro_number_is_refused(sent: str) -> None:
    # The serial of the SF form is checked as written: SF83/050058Z is not SF83/50058Z padded.
    with pytest.raises(ValueError, match="CRO"):
        identifiers.cro(sent)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (identifiers.noms, ["A1234BC", "a1234bc"], ["A123BC", "A1234BCD", "11234BC"]),
        (identifiers.crn, ["X777958"], ["X77795", "XX77958", "X7779581"]),
        (
            identifiers.pti_urn,
            ["01TX1234567", "01TX/123", "41AB 12345"],
            ["01TX12", "01TX12345678", "01-X1234567"],
        ),
        (
            identifiers.court_case,
            ["01/2345/678901A"],
            ["01/2345/678901I", "01/2345/678901O", "01/2345/678901S", "1/2345/678901A"],
        ),
        (identifiers.force, ["41", "93"], ["4", "411", "AB"]),
        (
            identifiers.local_area,
            ["E23000033", "E10000032", "W06000001"],
            ["E1000003", "S12000033", "E20000001"],
        ),
        (identifiers.police_area, ["E23000001", "W15000003"], ["E2300001", "S23000001", "E230000011"]),
        (
            identifiers.postcode,
            ["SG1 2AB", "sg12ab", "GIR 0AA", "NF1 1NF", "W1A 0AX"],
            ["SG1 2A", "1SG 2AB", "SG1  ", "QQQ"],
        ),
        (
            identifiers.telephone,
            ["01632 960001", "+44 7700 900001", "07700900001"],
            ["07700", "abc", "+999123", ""],
        ),
        (
            identifiers.email,
            ["A@b.org", "a.b+c@d-e.co.uk"],
            ["a@b", "a b@c.org", "@c.org", "a@c.org,b@c.org", "a@" + "b" * 300 + ".org"],
        ),
    ],
)
def test_every_identifier_knows_right_from_wrong(
    check: Callable[[str], str], right: list[str], wrong: list[str]
) -> None:
    for text in right:
        assert check(text)
    for text in wrong:
        with pytest.raises(ValueError, match=r";"):
            check(text)


def test_postcodes_have_one_form_and_no_fixed_abode_no_district() -> None:
    assert identifiers.postcode("sg12ab") == "SG1 2AB"
    assert identifiers.district("SG1 2AB") == "SG1"
    assert [identifiers.district(code) for code in ("NF1 1NF", "NF1 1FA")] == [None, None]


def test_texts_reach_mobiles_only() -> None:
    numbers = ["+447700900123", "+441632960001", "+447012345678", "+12025550101"]
    assert [identifiers.is_mobile(number) for number in numbers] == [True, False, False, True]


@given(year=st.integers(0, 99), serial=st.integers(0, 9_999_999))
def test_exactly_one_letter_fits_the_digits_of_a_pnc_number(year: int, serial: int) -> None:
    fitting = 0
    for letter in identifiers.CHECK_LETTERS:
        try:
            identifiers.pnc(f"{year:02}/{serial}{letter}")
        except ValueError:
            continue
        fitting += 1
    assert fitting == 1


@given(st.text())
def test_no_text_whatever_breaks_a_check(text: str) -> None:
    for check in (
        identifiers.pnc,
        identifiers.cro,
        identifiers.postcode,
        identifiers.telephone,
        identifiers.email,
        identifiers.pti_urn,
    ):
        try:
            check(text)
        except ValueError:
            continue
