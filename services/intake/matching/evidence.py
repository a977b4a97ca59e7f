"""Two records, field by field: each comparison is one line of evidence, a level and its weight in bits.

A line never carries a value: the table can be shown to whoever sent either record. Weights add up (Fellegi and
Sunter); agreement on a rare name weighs more than on a common one.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from math import log2
from typing import NamedTuple

from rapidfuzz.distance import OSA, Hamming

from services.intake.matching import identifiers
from services.intake.matching.geography import area, kilometres
from services.intake.matching.levels import BY_RARITY, FIELDS, NOTHING, Line
from services.intake.matching.model import Model
from services.intake.matching.names import edits
from services.intake.matching.naming import compare_names, weighed
from services.intake.matching.record import Record

_SURNAME_AGREES = BY_RARITY["surname"]
_NAMED = BY_RARITY["forename"] - {"swapped"}
_BORN_BY_RARITY = BY_RARITY["date_of_birth"]
_AT_HOME = frozenset({"same", "one_slip"})
_LONG = 6  # letters of a mailbox, digits of a number: shorter ones (info, anna) are anybody's
# Whoever opens these is at work there: the address says where somebody can be written to, and not who it is.
_ANYBODYS = frozenset((
    "info", "mail", "hello", "contact", "contactus", "enquiry", "enquiries", "reception", "office", "admin",
    "manager", "staff", "team", "security", "support", "sales", "accounts", "hr",
))  # fmt: skip
_DISTANCES = ((45, "next_area"), (75, "near"), (120, "elsewhere"))  # kilometres
# Digits that are taken for each other: beside one another on a number pad, or alike to the eye.
_TAKEN_FOR = frozenset(
    digits[::way]
    for digits in (
        *("78", "89", "45", "56", "12", "23", "47", "58", "69", "14", "25", "36", "01", "02"),
        *("08", "17", "38", "68"),
    )
    for way in (1, -1)
)
_NUMBER = re.compile(r"\d+")
_NO_DIGITS = str.maketrans("", "", "0123456789")
_FAR_APART = 10  # years: no slip of one digit, and too many for a child and its parent to be one human


class Evidence(NamedTuple):
    """The table: one line for each of FIELDS, in that order, and the sum of their weights in bits."""

    lines: tuple[Line, ...]
    bits: float

    def level(self, field: str) -> str:
        """How the two agree in one field; "absent" when either does not have it."""
        return self.lines[FIELDS.index(field)].level


def compare(a: Record, b: Record, model: Model) -> Evidence:
    """The evidence that two records are one human. Symmetric; pure; some ten microseconds."""
    forename, others, surname = compare_names(a, b, model)
    home = _best("postcode", a.postcodes, b.postcodes, _postcode, model)
    # A family shares its surname and its home: the two are less than the sum of their weights.
    household = NOTHING["household"]
    if home.level in _AT_HOME and surname.level in _SURNAME_AGREES:
        level = "one_name_at_home" if forename.level in _NAMED else "one_surname_at_home"
        household = model.lines["household"][level]
    born = _birth(a.date_of_birth, b.date_of_birth, model)
    sex = _sex(a.sex, b.sex, forename, model)
    address = _best("address", a.homes, b.homes, _home, model)
    if a.shared or b.shared:
        telephone = _shared("telephone", a, b, model)
        email = _shared("email", a, b, model)
    else:
        telephone = _best("telephone", a.phones, b.phones, _phone, model)
        email = _best("email", a.emails, b.emails, _email, model)
    number = _identifier(a, b, model) if a.identifiers and b.identifiers else NOTHING["identifier"]
    # Added one by one, in the order of the table: a list and a loop over it cost as much as comparing a telephone.
    bits = forename.bits + others.bits + surname.bits + born.bits + sex.bits + home.bits
    bits += address.bits
    bits += household.bits
    bits += telephone.bits
    bits += email.bits
    bits += number.bits
    return Evidence(
        (forename, others, surname, born, sex, home, address, household, telephone, email, number), bits
    )


def _sex(a: str, b: str, forename: Line, model: Model) -> Line:
    """Two strangers of one forename are of one sex too: there it tells hardly anything more."""
    if not a or not b:
        return NOTHING["sex"]
    if forename.level in {"same", "same_short_form"}:
        return model.lines["sex"]["same_as_forename" if a == b else "different_despite_forename"]
    return model.lines["sex"]["same" if a == b else "different"]


def _birth(a: str, b: str, model: Model) -> Line:
    if not a or not b:
        return NOTHING["date_of_birth"]
    level, rarity = _dates(a, b), model.births.rarity
    if level not in _BORN_BY_RARITY:
        return model.lines["date_of_birth"][level]
    if a == b:
        return weighed("date_of_birth", level, rarity(a), model)
    # Either may be the slip of the other: how often strangers were born on the two days by chance goes by the rarer.
    return weighed("date_of_birth", level, log2((2.0 ** rarity(a) + 2.0 ** rarity(b)) / 2.0), model)


def _dates(a: str, b: str) -> str:  # noqa: PLR0911 - a ladder of levels, best first
    if a == b:
        return "same_first_of_january" if _vague(a, b) else "same"
    one_year = a[:4] == b[:4]
    if one_year and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return "day_and_month_swapped"
    differing = Hamming.distance(a, b)
    if differing == 1 or (differing == 2 and edits(a, b) == 1):  # noqa: PLR2004 - two neighbours swapped
        if differing == 1 and not _slips(a, b):
            return "another_digit"
        if _vague(a, b):
            return "one_digit_first_of_january"
        return "one_digit" if _possible(a) and _possible(b) else "impossible_digit"
    if a[4:] == b[4:] and not _vague(a, b):
        return "other_year"  # one birthday in 365 by chance: a year that was mistyped or guessed
    if differing == 2:  # noqa: PLR2004 - two slips
        if not _vague(a, b) and _slips(a, b):
            return "two_slips_first_of_january" if "0101" in (a[4:], b[4:]) else "two_slips"
        return "two_digits"
    if one_year:
        return "same_year"
    return "far_apart" if abs(int(a[:4]) - int(b[:4])) >= _FAR_APART else "different"


def _vague(a: str, b: str) -> bool:
    """The first of January is what clerks enter for "some day of that year"."""
    return a.endswith("0101") and b.endswith("0101")


def _slips(a: str, b: str) -> bool:
    """Whether each digit that differs is one that is taken for the other."""
    return all(one + other in _TAKEN_FOR for one, other in zip(a, b, strict=True) if one != other)


def _possible(day: str) -> bool:
    """Not 1858-10-81: a date that no calendar has was mistyped, not another person's."""
    return "01" <= day[4:6] <= "12" and "01" <= day[6:] <= "31"


def _best(
    field: str, a: tuple[str, ...], b: tuple[str, ...], level: Callable[[str, str], str], model: Model
) -> Line:
    """Of several values (people move, and have two telephones) the pair that agrees best counts."""
    if not a or not b:
        return NOTHING[field]
    levels = model.lines[field]
    if len(a) == len(b) == 1:
        return levels[level(a[0], b[0])]
    return max((levels[level(one, other)] for one in a for other in b), key=lambda line: line.bits)


def _shared(field: str, a: Record, b: Record, model: Model) -> Line:
    """As `_best`, where either record says of a number that it is not theirs alone: the other need not have been told.

    One in common then tells hardly more than where they live. One that is not in common tells nothing.
    """
    mine, theirs = (a.phones, b.phones) if field == "telephone" else (a.emails, b.emails)
    shared = {*a.shared, *b.shared}
    level = _phone if field == "telephone" else _email
    own = _best(
        field,
        tuple(value for value in mine if value not in shared),
        tuple(value for value in theirs if value not in shared),
        level,
        model,
    )
    if shared.isdisjoint(set(mine).intersection(theirs)):
        return own
    return max(own, model.lines[field]["same_shared"], key=lambda line: line.bits)


def _postcode(a: str, b: str) -> str:
    if a == b:
        return "same"
    if OSA.distance(a, b, score_cutoff=1) == 1:
        return "one_slip"
    if a[:-3] == b[:-3]:
        return "same_sector" if a[:-2] == b[:-2] else "same_district"
    return _areas(a[:2], b[:2])


@lru_cache(maxsize=65_536)
def _areas(a: str, b: str) -> str:
    """Most people who move stay near: a home in the next area says little, one across the country much.

    Of two postcodes the first two marks, which are all that an area can be told by.
    """
    a, b = area(a), area(b)
    if a == b:
        return "same_area"
    apart = kilometres(a, b)
    if apart is None:
        return "elsewhere"
    return next((level for most, level in _DISTANCES if apart <= most), "far")


def _home(a: str, b: str) -> str:
    if a == b:
        return "same"
    words, theirs = set(a.split()), b.split()
    common = len(words.intersection(theirs))
    # Two thirds of all words. Asked of those in common first: mostly there are none, and the rest need not be counted.
    close = common * 3 >= len(words) * 2 and common * 3 >= (len(words) + len(set(theirs)) - common) * 2
    if not close and OSA.distance(a, b, score_cutoff=2) > 2:  # noqa: PLR2004 - two slips
        return "different"
    mine, their = set(_NUMBER.findall(a)), set(_NUMBER.findall(b))
    return "different" if mine and their and mine.isdisjoint(their) else "similar"  # 3 and 12 Mill Lane


def _phone(a: str, b: str) -> str:
    return "same" if a == b else "one_slip" if OSA.distance(a, b, score_cutoff=1) == 1 else "different"


def _email(a: str, b: str) -> str:
    mine, theirs = a.partition("@")[0], b.partition("@")[0]
    if mine in _ANYBODYS or theirs in _ANYBODYS:
        return "same_shared" if a == b else "different"
    if a == b:
        return "same"
    if OSA.distance(a, b, score_cutoff=1) == 1:
        # jo.hill1@ and jo.hill2@ are how a provider tells two namesakes apart, not how one of them mistypes.
        return "another_number" if a.translate(_NO_DIGITS) == b.translate(_NO_DIGITS) else "one_slip"
    return "same_mailbox" if len(mine) >= _LONG and mine == theirs else "different"


def _identifier(a: Record, b: Record, model: Model) -> Line:
    """Equal numbers, unless another number that a person has for life differs; an absent one says nothing."""
    theirs: dict[str, set[str]] = {}
    for kind, number in b.identifiers:
        theirs.setdefault(kind, set()).add(number)
    mine = [(kind, number) for kind, number in a.identifiers if kind in theirs]
    if not mine:
        return NOTHING["identifier"]
    levels = model.lines["identifier"]
    same = {kind for kind, number in mine if number in theirs[kind]}
    unique = {kind for kind, _ in mine if kind in identifiers.UNIQUE} - same
    if unique:
        slip = all(any(edits(n, other) == 1 for other in theirs[k]) for k, n in mine if k in unique)
        return levels["same_and_different" if same else "one_slip" if slip else "different"]
    swapped = not same and any(_swapped(n, other) for k, n in mine for other in theirs[k])
    return levels["same" if same else "one_slip" if swapped else "another_number"]


def _swapped(a: str, b: str) -> bool:
    """Two neighbours swapped in a long number; not another digit, which is how the number given next differs."""
    return len(a) >= _LONG and sorted(a) == sorted(b) and edits(a, b) == 1
