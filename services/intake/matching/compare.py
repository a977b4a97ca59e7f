"""Two records, field by field: each comparison is one line of evidence, a level and its weight in bits.

A line never carries a value: the table can be shown to whoever sent either record. Weights add up (Fellegi and Sunter);
agreement on a rare name weighs more than on a common one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.intake.matching import identifiers
from services.intake.matching.model import Line, Model
from services.intake.matching.names import edits, sound
from services.intake.matching.record import Record

ABSENT = "absent"
FIELDS = (
    "forename",
    "other_forenames",
    "surname",
    "date_of_birth",
    "sex",
    "postcode",
    "address",
    "telephone",
    "email",
    "identifier",
)
_NOTHING = {field: Line(field, ABSENT, 0.0) for field in FIELDS}
_SHORT = 4  # letters: below, one slip makes another name (ann, jan)
_LONG = 6
_FAR_APART = 10  # years: no slip of one digit, and too many for a child and its parent to be one human


@dataclass(frozen=True, slots=True)
class Evidence:
    """The table: one line for each of FIELDS, in that order, and the sum of their weights in bits."""

    lines: tuple[Line, ...]
    bits: float

    def level(self, field: str) -> str:
        """How the two agree in one field; "absent" when either does not have it."""
        return self.lines[FIELDS.index(field)].level


def compare(a: Record, b: Record, model: Model) -> Evidence:
    """The evidence that two records are one human. Symmetric; pure; some ten microseconds."""
    forename, others, surname = _names(a, b, model)
    lines = (
        forename,
        others,
        surname,
        _birth(a.date_of_birth, b.date_of_birth, model),
        model.lines["sex"]["same" if a.sex == b.sex else "different"] if a.sex and b.sex else _NOTHING["sex"],
        _best("postcode", a.postcodes, b.postcodes, _postcode, model),
        _best("address", a.homes, b.homes, _home, model),
        _best("telephone", a.phones, b.phones, _phone, model),
        _best("email", a.emails, b.emails, _email, model),
        _identifier(a, b, model),
    )
    return Evidence(lines, sum([line.bits for line in lines]))


def _names(a: Record, b: Record, model: Model) -> tuple[Line, Line, Line]:
    """Forename, further forenames and surname; the fields may have been swapped, or only one name been written down."""
    given_a, family_a, given_b, family_b = a.forenames, a.surnames, b.forenames, b.surnames
    if given_a and given_b and family_a and family_b:
        if given_a[0] in family_b and given_b[0] in family_a and given_a[0] != given_b[0]:
            given_b, family_b = family_b, given_b
            swapped = model.lines["forename"]["swapped"].bits
            forename = _forename(given_a, given_b, (), (), model)
            return (
                Line("forename", "swapped", forename.bits + swapped),
                _NOTHING["other_forenames"],
                _surname(a, b, family_a, family_b, model),
            )
    elif not family_a and family_b:
        given_a, family_a = _alone(given_a, given_b, family_b)
    elif not family_b and family_a:
        given_b, family_b = _alone(given_b, given_a, family_a)
    return (
        _forename(given_a, given_b, a.also_called, b.also_called, model),
        _further(given_a, given_b, model),
        _surname(a, b, family_a, family_b, model),
    )


def _alone(
    single: tuple[str, ...], given: tuple[str, ...], family: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A record with one name: the surname if it looks like the other's surname and not like a forename."""
    if any(name in given for name in single):
        return single, ()
    if any(
        name == other or (len(name) >= _SHORT and edits(name, other) == 1)
        for name in single
        for other in family
    ):
        return (), single
    return single, ()


def _forename(
    a: tuple[str, ...], b: tuple[str, ...], called_a: tuple[str, ...], called_b: tuple[str, ...], model: Model
) -> Line:
    if not a or not b:
        return _NOTHING["forename"]
    one, other = a[0], b[0]
    levels = model.lines["forename"]
    rarity = model.rarity_of_forename
    if one == other:
        return Line("forename", "same", levels["same"].bits + rarity(one))
    shared = one if one in b or one in called_b else other if other in a or other in called_a else ""
    if shared:
        return Line("forename", "another_of_theirs", levels["another_of_theirs"].bits + rarity(shared))
    if other in model.related.get(one, ()):
        return Line("forename", "nickname", levels["nickname"].bits + max(rarity(one), rarity(other)))
    if len(one) == 1 or len(other) == 1:
        return levels["initial" if one[0] == other[0] else "different"]
    slips = edits(one, other)
    common = min(rarity(one), rarity(other))
    if slips == 1 and min(len(one), len(other)) >= _SHORT:
        return Line("forename", "one_slip", levels["one_slip"].bits + common)
    if (slips == 2 and min(len(one), len(other)) >= _LONG) or sound(one) == sound(other):  # noqa: PLR2004
        return Line("forename", "similar", levels["similar"].bits + common)
    if one[:3] == other[:3]:
        return levels["same_beginning"]
    return levels["different"]


def _further(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Line:
    """Second and later forenames: they part fathers from sons, and make a common name rare."""
    if len(a) < 2 or len(b) < 2:  # noqa: PLR2004 - no second forename
        return _NOTHING["other_forenames"]
    levels = model.lines["other_forenames"]
    shared = [name for name in a[1:] if name in b[1:]]
    if shared:
        return Line("other_forenames", "same", levels["same"].bits + model.rarity_of_forename(shared[0]))
    for one in a[1:]:
        for other in b[1:]:
            if one[0] == other[0] and (len(one) == 1 or len(other) == 1):
                return levels["initial"]
            if other in model.related.get(one, ()) or (len(one) >= _SHORT and edits(one, other) == 1):
                return levels["similar"]
    return levels["different"]


def _surname(a: Record, b: Record, mine: tuple[str, ...], theirs: tuple[str, ...], model: Model) -> Line:
    if not mine or not theirs:
        return _NOTHING["surname"]
    levels = model.lines["surname"]
    rarity = model.rarity_of_surname
    if mine == theirs:
        return Line("surname", "same", levels["same"].bits + rarity(mine[-1]))
    shared = [name for name in mine if name in theirs]
    if shared or "".join(mine) == "".join(theirs):
        return Line("surname", "part_of_it", levels["part_of_it"].bits + rarity((shared or mine)[0]))
    before = [name for name in (*mine, *a.former) if name in theirs or name in b.former]
    if before:
        return Line("surname", "former_name", levels["former_name"].bits + rarity(before[0]))
    one, other = mine[-1], theirs[-1]
    common = min(rarity(one), rarity(other))
    slips = edits(one, other)
    if slips == 1 and min(len(one), len(other)) >= _SHORT:
        return Line("surname", "one_slip", levels["one_slip"].bits + common)
    if sound(one) == sound(other):
        return Line("surname", "sounds_alike", levels["sounds_alike"].bits + common)
    if (slips == 2 and min(len(one), len(other)) >= _LONG) or one.startswith(other) or other.startswith(one):  # noqa: PLR2004
        return Line("surname", "similar", levels["similar"].bits + common)
    # A woman's surname may have changed by marriage: less of a contradiction than a man's.
    return levels["different_woman" if "f" in (a.sex, b.sex) and "m" not in (a.sex, b.sex) else "different"]


def _birth(a: str, b: str, model: Model) -> Line:
    if not a or not b:
        return _NOTHING["date_of_birth"]
    levels = model.lines["date_of_birth"]
    if a == b:
        # The first of January is what clerks enter for "some day of that year".
        return levels["same_first_of_january" if a.endswith("0101") else "same"]
    if a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return levels["day_and_month_swapped"]
    differing = sum([x != y for x, y in zip(a, b, strict=True)])
    if differing == 1 or (differing == 2 and edits(a, b) == 1):  # noqa: PLR2004 - two neighbours swapped
        vague = a.endswith("0101") and b.endswith("0101")
        return levels["one_digit_first_of_january" if vague else "one_digit"]
    if differing == 2:  # noqa: PLR2004
        return levels["two_digits"]
    if a[:4] == b[:4]:
        return levels["same_year"]
    return levels["far_apart" if abs(int(a[:4]) - int(b[:4])) >= _FAR_APART else "different"]


def _best(
    field: str, a: tuple[str, ...], b: tuple[str, ...], level: Callable[[str, str], str], model: Model
) -> Line:
    """Of several values (people move, and have two telephones) the pair that agrees best counts."""
    if not a or not b:
        return _NOTHING[field]
    levels = model.lines[field]
    if len(a) == 1 and len(b) == 1:
        return levels[level(a[0], b[0])]
    return max((levels[level(one, other)] for one in a for other in b), key=lambda line: line.bits)


def _postcode(a: str, b: str) -> str:
    if a == b:
        return "same"
    if edits(a, b) == 1:
        return "one_slip"
    if a[:-2] == b[:-2]:
        return "same_sector"
    if a[:-3] == b[:-3]:
        return "same_district"
    area_a, area_b = (text[:2] if text[1].isalpha() else text[:1] for text in (a, b))
    return "same_area" if area_a == area_b else "elsewhere"


def _home(a: str, b: str) -> str:
    if a == b:
        return "same"
    words, others = set(a.split()), set(b.split())
    return "similar" if len(words & others) * 3 >= len(words | others) * 2 or edits(a, b) < 3 else "different"  # noqa: PLR2004


def _phone(a: str, b: str) -> str:
    return "same" if a == b else "one_slip" if edits(a, b) == 1 else "different"


def _email(a: str, b: str) -> str:
    if a == b:
        return "same"
    if edits(a, b) == 1:
        return "one_slip"
    mine, theirs = a.partition("@")[0], b.partition("@")[0]
    return "same_mailbox" if mine == theirs and len(mine) >= _LONG else "different"


def _identifier(a: Record, b: Record, model: Model) -> Line:
    """Equal numbers, unless another number that a person has for life differs; an absent one says nothing."""
    if not a.identifiers or not b.identifiers:
        return _NOTHING["identifier"]
    theirs: dict[str, set[str]] = {}
    for kind, number in b.identifiers:
        theirs.setdefault(kind, set()).add(number)
    mine = [(kind, number) for kind, number in a.identifiers if kind in theirs]
    if not mine:
        return _NOTHING["identifier"]
    levels = model.lines["identifier"]
    same = {kind for kind, number in mine if number in theirs[kind]}
    unique = {kind for kind, _ in mine if kind in identifiers.UNIQUE} - same
    if unique:
        slip = all(any(edits(n, other) == 1 for other in theirs[k]) for k, n in mine if k in unique)
        return levels["one_slip" if slip and not same else "same_and_different" if same else "different"]
    return levels["same" if same else "another_number"]
