"""Identifiers of people, cases and places: anchored patterns, check letters, one normal form each.

Every function takes what was sent and returns the normal form, or raises ValueError with what is wrong and what would be
right (never the value itself: error texts travel into answers and logs). What was sent is kept elsewhere, encrypted.
"""

from __future__ import annotations

import re
import time
from typing import Final

import phonenumbers

# I, O and S are left out: they are read as 1, 0 and 5.
CHECK_LETTERS: Final = "ZABCDEFGHJKLMNPQRTUVWXY"

_PNC = re.compile(r"(\d{2}|\d{4})/(\d{1,7})([A-Z])|(\d{4})(\d{7})([A-Z])", re.ASCII)
_CRO = re.compile(r"(\d{1,6})/(\d{2})([A-Z])", re.ASCII)
_CRO_SF = re.compile(r"SF(\d{2})/(\d{1,6})([A-Z])", re.ASCII)
_NOMS = re.compile(r"[A-Z]\d{4}[A-Z]{2}", re.ASCII)
_CRN = re.compile(r"[A-Z]\d{6}", re.ASCII)
_PTI_URN = re.compile(r"[A-Z0-9]{4}\d{3,7}", re.ASCII)
_COURT_CASE = re.compile(r"\d{2}/\d{4}/\d{6}[A-HJ-NP-RT-Z]", re.ASCII)
_POSTCODE = re.compile(r"([A-Z][A-HJ-Y]?\d[A-Z\d]? ?\d[A-Z]{2}|GIR ?0A{2})", re.ASCII)
_FORCE = re.compile(r"\d{2}", re.ASCII)
_POLICE_AREA = re.compile(r"(E23|W15)\d{6}", re.ASCII)
_LOCAL_AREA = re.compile(r"(E23|W15|E06|E08|E09|E10|W06)\d{6}", re.ASCII)
_EMAIL = re.compile(r"[^@\s\x00-\x1f\"<>()\[\],;:\\]{1,64}@([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}")

_MOBILE = re.compile(r"(?:\+44|0)(7[1-9]\d{8})", re.ASCII)

_LONGEST_EMAIL: Final = 254  # RFC 5321
_SHORT_YEAR: Final = 2

NO_FIXED_ABODE: Final = frozenset({"NF1 1NF", "NF1 1FA"})
PLACEHOLDER_BIRTH_DATES: Final = frozenset({"1900-01-01", "1970-01-01"})

# Home Office codes: 43 territorial forces and British Transport Police. Others exist; an unknown one is warned about.
FORCES: Final = frozenset(
    f"{code:02}"
    for first, last in (
        (1, 1),
        (3, 7),
        (10, 14),
        (16, 17),
        (20, 23),
        (30, 37),
        (40, 48),
        (50, 50),
        (52, 55),
        (60, 63),
        (93, 93),
    )
    for code in range(first, last + 1)
)


def _tidy(text: str) -> str:
    return text.strip().upper()


def _check(digits: str, letter: str, name: str) -> None:
    if CHECK_LETTERS[int(digits) % len(CHECK_LETTERS)] != letter:
        raise ValueError(
            f"the check letter of the {name} does not fit its digits; copy it again from its source"
        )


def pnc(text: str, *, this_year: int | None = None) -> str:
    """Return a Police National Computer number as YYYY/NNNNNNND.

    A two-digit year up to the current one is of this century. Only the year of the computer's clock is read here, and
    only to choose the century: the check letter does not depend on it.
    """
    match = _PNC.fullmatch(_tidy(text))
    if match is None:
        raise ValueError("not a PNC number; it looks like 79/163001B or 2002/0073319Z")
    year, serial, letter = (group for group in match.groups() if group is not None)
    _check(year[-2:] + serial.zfill(7), letter, "PNC number")
    if len(year) == _SHORT_YEAR:
        now = this_year or time.gmtime().tm_year
        year = f"{now // 100 if int(year) <= now % 100 else now // 100 - 1}{year}"
    return f"{year}/{serial.zfill(7)}{letter}"


def cro(text: str) -> str:
    """Return a Criminal Records Office number as NNNNNN/YYD, or in its SF form as SFYY/ND (serial as written)."""
    tidy = _tidy(text)
    if (match := _CRO_SF.fullmatch(tidy)) is not None:
        year, serial, letter = match.groups()
        _check(year + serial, letter, "CRO number")
        return tidy
    if (match := _CRO.fullmatch(tidy)) is None:
        raise ValueError("not a CRO number; it looks like 65656/91H or SF83/50058Z")
    serial, year, letter = match.groups()
    _check(year + serial.zfill(6), letter, "CRO number")
    return f"{serial.zfill(6)}/{year}{letter}"


def _whole(pattern: re.Pattern[str], text: str, wrong: str) -> str:
    tidy = _tidy(text)
    if pattern.fullmatch(tidy) is None:
        raise ValueError(wrong)
    return tidy


def noms(text: str) -> str:
    """Return a prison (NOMS) number: A1234BC."""
    return _whole(_NOMS, text, "not a NOMS number; it looks like A1234BC")


def crn(text: str) -> str:
    """Return a probation case reference number: X777958."""
    return _whole(_CRN, text, "not a CRN; it looks like X777958")


def pti_urn(text: str) -> str:
    """Return a police-to-CPS unique reference number without separators, at most 11 characters."""
    return _whole(
        _PTI_URN, text.replace("/", "").replace(" ", ""), "not a PTI-URN; it looks like 01TX1234567"
    )


def court_case(text: str) -> str:
    """Return a court case reference: 01/2345/678901A."""
    return _whole(_COURT_CASE, text, "not a court case reference; it looks like 01/2345/678901A")


def force(text: str) -> str:
    """Return a police force's two-digit code."""
    return _whole(_FORCE, text, "not a police force code; it has two digits, like 41 for Hertfordshire")


def police_area(text: str) -> str:
    """Return an ONS police area code: E23000001 (England) or W15000001 (Wales)."""
    return _whole(_POLICE_AREA, text, "not a police area code; it looks like E23000001 or W15000003")


def local_area(text: str) -> str:
    """Return an ONS code of a police area, or of the council's area within one, by which hubs and youth teams divide it."""
    return _whole(
        _LOCAL_AREA,
        text,
        "not an area code; it looks like E23000033 (police area) or E10000032 (county, borough or unitary authority)",
    )


def is_police_area(normal: str) -> bool:
    """Whether an area code is a police area's."""
    return _POLICE_AREA.fullmatch(normal) is not None


def postcode(text: str) -> str:
    """Return a postcode in capitals, with one space before its last three characters."""
    tidy = " ".join(_tidy(text).split())
    if _POSTCODE.fullmatch(tidy) is None:
        raise ValueError("not a postcode; it looks like SG1 2AB (no fixed abode: NF1 1NF)")
    bare = tidy.replace(" ", "")
    return f"{bare[:-3]} {bare[-3:]}"


def district(normal_postcode: str) -> str | None:
    """Return the outward half of a postcode (SG1), which routing may know; None for no fixed abode."""
    return None if normal_postcode in NO_FIXED_ABODE else normal_postcode.split(" ", maxsplit=1)[0]


def telephone(text: str) -> str:
    """Return a telephone number in E.164 (+441632960001); numbers without a country code are British."""
    mobile = _MOBILE.fullmatch(text.replace(" ", ""))
    if (
        mobile is not None
    ):  # most numbers; the library, which knows the whole world's, takes twenty times as long
        return "+44" + mobile[1]
    try:
        number = phonenumbers.parse(text.strip(), "GB")
    except phonenumbers.NumberParseException:
        number = None
    possible = phonenumbers.ValidationResult.IS_POSSIBLE  # with its area code, not only within a town
    if number is None or phonenumbers.is_possible_number_with_reason(number) != possible:
        raise ValueError("not a telephone number; write it like 01632 960001 or +44 7700 900001")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_mobile(e164: str) -> bool:
    """Whether a text can reach the number: British mobiles are +447, others are asked of the library."""
    if e164.startswith("+44"):
        return e164.startswith("+447") and not e164.startswith("+4470")
    kind = phonenumbers.number_type(phonenumbers.parse(e164))
    return kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


def email(text: str) -> str:
    """Return an e-mail address in lower case."""
    tidy = text.strip().lower()
    if len(tidy) > _LONGEST_EMAIL or _EMAIL.fullmatch(tidy) is None:
        raise ValueError("not an e-mail address; it looks like name@example.org")
    return tidy
