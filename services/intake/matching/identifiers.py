"""Identifiers that agencies give to people: one canonical form each, and "" for what is not a possible number.

A number that fails its check letter was typed wrong: it says nothing about who somebody is, so it counts as absent.
"""

import re
from collections.abc import Callable

_CHECK = "ZABCDEFGHJKLMNPQRTUVWXY"
_PNC = re.compile(r"(\d{2}|\d{4})/(\d{1,7})([A-Z])")
_PNC_RUN = re.compile(r"(\d{4})(\d{7})([A-Z])")
_CRO = re.compile(r"(\d{1,6})/(\d{2})([A-Z])")
_CRO_SF = re.compile(r"SF(\d{2})/(\d{1,6})([A-Z])")
_NOMS = re.compile(r"[A-Z]\d{4}[A-Z]{2}")
_CRN = re.compile(r"[A-Z]\d{6}")
_PLACEHOLDER = re.compile(r"(.)\1*")
_ZEROS = re.compile(r"[A-Z/0]*")
# What clerks type into a field that wants a number.
_NOTHING = frozenset(
    ("NA", "N/A", "NIL", "NK", "N/K", "NONE", "NOTKNOWN", "NULL", "PENDING", "TBA", "TBC", "UNKNOWN")
)


def _checked(year: str, serial: str, letter: str) -> bool:
    return _CHECK[int(year + serial) % len(_CHECK)] == letter


def pnc(text: str) -> str:
    """Police National Computer: "79/163001B", "1979/163001B" and "19790163001B" are one number, "79/0163001B".

    The century is left out: the check letter does not know it, agencies write it or not, and reading it needs a clock.
    """
    found = _PNC.fullmatch(text) or _PNC_RUN.fullmatch(text)
    if not found:
        return ""
    year, serial, letter = found[1][-2:], found[2].zfill(7), found[3]
    return f"{year}/{serial}{letter}" if _checked(year, serial, letter) else ""


def cro(text: str) -> str:
    """Criminal Records Office: "65656/91H" -> "065656/91H"; the SF form keeps its serial as written."""
    if found := _CRO_SF.fullmatch(text):
        return text if _checked(found[1], found[2], found[3]) else ""
    if found := _CRO.fullmatch(text):
        serial = found[1].zfill(6)
        return f"{serial}/{found[2]}{found[3]}" if _checked(found[2], serial, found[3]) else ""
    return ""


def noms(text: str) -> str:
    """Prison number: "A1234BC"."""
    return text if _NOMS.fullmatch(text) else ""


def crn(text: str) -> str:
    """Probation's case reference number: "X777958"."""
    return text if _CRN.fullmatch(text) else ""


_KINDS: dict[str, Callable[[str], str]] = {"pnc": pnc, "cro": cro, "noms": noms, "crn": crn}
# A person has one of each for life; a CRN can be given anew, and an agency's own number can be given twice by mistake.
UNIQUE = frozenset({"pnc", "cro", "noms"})


def canonical(kind: str, text: str) -> str:
    """The canonical form of one identifier; "" for an empty, placeholder or impossible one. Unknown kinds are kept."""
    text = "".join(text.upper().split())
    if not text or _PLACEHOLDER.fullmatch(text) or text in _NOTHING:
        return ""
    rule = _KINDS.get(kind)
    if not rule:
        return text[:64]
    found = rule(text)
    return "" if _ZEROS.fullmatch(found) else found
