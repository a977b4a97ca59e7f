"""Two records, field by field: each comparison is one line of evidence, a level and its weight in bits.

A line never carries a value: the table can be shown to whoever sent either record. Weights add up (Fellegi and
Sunter); agreement on a rare name weighs more than on a common one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from services.intake.matching import identifiers
from services.intake.matching.model import Line, Model
from services.intake.matching.names import edits, neighbours, sound
from services.intake.matching.record import Record

ABSENT = "absent"
# Every level that a field can have, beside "absent"; those in NAMED_BY_RARITY weigh more the rarer the name is.
LEVELS: dict[str, tuple[str, ...]] = {
    "forename": (
        *(
            "same",
            "another_of_theirs",
            "form_of_it",
            "forms_of_one",
            "initial",
            "typing_slip",
            "one_letter",
            "similar",
        ),
        *("same_beginning", "swapped", "odd", "different"),
    ),
    "other_forenames": ("same", "similar", "initial", "different"),
    "surname": (
        *(
            "same",
            "part_of_it",
            "former_name",
            "typing_slip",
            "one_letter",
            "form_of_it",
            "sounds_alike",
            "similar",
        ),
        *("different_woman", "different"),
    ),
    "date_of_birth": (
        *("same", "same_first_of_january", "day_and_month_swapped", "impossible_digit", "one_digit"),
        *("one_digit_first_of_january", "two_digits", "same_year", "different", "far_apart"),
    ),
    "sex": ("same", "different"),
    "postcode": ("same", "one_slip", "same_sector", "same_district", "same_area", "elsewhere"),
    "address": ("same", "similar", "different"),
    "household": ("one_surname_at_home",),
    "telephone": ("same", "one_slip", "different"),
    "email": ("same", "one_slip", "same_mailbox", "different"),
    "identifier": ("same", "one_slip", "same_and_different", "another_number", "different"),
}
FIELDS = tuple(LEVELS)
BY_RARITY = {
    "forename": frozenset(LEVELS["forename"]) - {"initial", "same_beginning", "odd", "different"},
    "other_forenames": frozenset({"same"}),
    "surname": frozenset(LEVELS["surname"]) - {"different_woman", "different"},
}
_NOTHING = {field: Line(field, ABSENT, 0.0) for field in FIELDS}
_SURNAME_AGREES = BY_RARITY["surname"]
_AT_HOME = frozenset({"same", "one_slip"})
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
    home = _best("postcode", a.postcodes, b.postcodes, _postcode, model)
    # A family shares its surname and its home: the two are less than the sum of their weights.
    family = surname.level in _SURNAME_AGREES and home.level in _AT_HOME
    lines = (
        forename,
        others,
        surname,
        _birth(a.date_of_birth, b.date_of_birth, model),
        model.lines["sex"]["same" if a.sex == b.sex else "different"] if a.sex and b.sex else _NOTHING["sex"],
        home,
        _best("address", a.homes, b.homes, _home, model),
        model.lines["household"]["one_surname_at_home"] if family else _NOTHING["household"],
        _best("telephone", a.phones, b.phones, _phone, model),
        _best("email", a.emails, b.emails, _email, model),
        _identifier(a, b, model),
    )
    return Evidence(lines, sum([line.bits for line in lines]))


def _names(a: Record, b: Record, model: Model) -> tuple[Line, Line, Line]:
    """Forename, further forenames and surname; fields may be swapped, or only one name have been written down."""
    given_a, family_a, given_b, family_b = a.forenames, a.surnames, b.forenames, b.surnames
    if given_a and given_b and family_a and family_b:
        if _crossed(given_a[0], given_b[0], family_a[-1], family_b[-1]):
            # Which of the two is the forename is not written anywhere: the one that more people are called.
            spelt = sorted((given_a[0], family_b[-1])), sorted((given_b[0], family_a[-1]))
            common = model.forenames.rarity
            given, family = sorted(spelt, key=lambda pair: (min(common(pair[0]), common(pair[1])), pair))
            forename = _weighed("forename", "swapped", min(common(given[0]), common(given[1])), model)
            return forename, _NOTHING["other_forenames"], _surname(a, b, (family[0],), (family[1],), model)
    elif not family_a and family_b:
        given_a, family_a = _alone(given_a, given_b, family_b)
    elif not family_b and family_a:
        given_b, family_b = _alone(given_b, given_a, family_a)
    return (
        _forename(given_a, given_b, a.also_called, b.also_called, model),
        _further(given_a, given_b, model),
        _surname(a, b, family_a, family_b, model),
    )


def _crossed(given_a: str, given_b: str, family_a: str, family_b: str) -> bool:
    """Whether one record has the other's forename as its surname and the other way round, but for one slip."""
    if given_a == given_b or family_a == family_b:
        return False
    slips = (edits(given_a, family_b), edits(given_b, family_a))
    return sum(slips) <= 1 and min(len(given_a), len(given_b)) > 1


def _alone(
    single: tuple[str, ...], given: tuple[str, ...], family: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Names without a surname: one that looks like the other's surname and not like a forename is taken for one."""
    if any(name in given for name in single):
        return single, ()
    for name in single:
        if any(name == other or (len(name) >= _SHORT and edits(name, other) == 1) for other in family):
            return tuple(other for other in single if other != name), (name,)
    return single, ()


def _weighed(field: str, level: str, rarity: float, model: Model) -> Line:
    return Line(field, level, model.lines[field][level].bits + rarity)


def _forename(  # noqa: PLR0911 - a ladder of levels, best first
    a: tuple[str, ...], b: tuple[str, ...], called_a: tuple[str, ...], called_b: tuple[str, ...], model: Model
) -> Line:
    if not a or not b:
        return _NOTHING["forename"]
    names = model.forenames
    one, other = a[0], b[0]
    if one == other:
        return _weighed("forename", "same", names.rarity(one), model)
    shared = one if one in b or one in called_b else other if other in a or other in called_a else ""
    if shared:
        return _weighed("forename", "another_of_theirs", names.rarity(shared), model)
    if len(one) == 1 or len(other) == 1:
        return model.lines["forename"]["initial" if one[0] == other[0] else "odd"]
    form = names.form(one, other)
    if form is not None:
        return _weighed("forename", "form_of_it", form, model)
    level = _spelling(one, other)
    if not level and names.akin(one, other):
        level = "forms_of_one"
    if not level and (names.akin(names.corrected(one), names.corrected(other)) or sound(one) == sound(other)):
        level = "similar"
    if level:
        return _weighed("forename", level, min(names.rarity(one), names.rarity(other)), model)
    if one[:3] == other[:3]:
        return model.lines["forename"]["same_beginning"]
    # A word that no list knows as a forename may be a title, or a misspelling beyond repair.
    return model.lines["forename"]["different" if names.known(one) and names.known(other) else "odd"]


def _spelling(one: str, other: str) -> str:
    """Slips between two names: a key beside the right one, another letter, two letters of a long name; "" for more."""
    shorter = min(len(one), len(other))
    slips = edits(one, other) if shorter >= _SHORT else 3
    if slips == 1:
        return "typing_slip" if neighbours(one, other) else "one_letter"
    return "similar" if slips == 2 and shorter >= _LONG else ""  # noqa: PLR2004


def _further(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Line:
    """Second and later forenames: they part fathers from sons, and make a common name rare."""
    if len(a) < 2 or len(b) < 2:  # noqa: PLR2004 - no second forename
        return _NOTHING["other_forenames"]
    names, levels = model.forenames, model.lines["other_forenames"]
    shared = [name for name in a[1:] if name in b[1:]]
    if shared:
        return _weighed("other_forenames", "same", names.rarity(shared[0]), model)
    for one in a[1:]:
        for other in b[1:]:
            if one[0] == other[0] and (len(one) == 1 or len(other) == 1):
                return levels["initial"]
            if names.akin(one, other) or _spelling(one, other):
                return levels["similar"]
    return levels["different"]


def _surname(  # noqa: PLR0911 - a ladder of levels, best first
    a: Record, b: Record, mine: tuple[str, ...], theirs: tuple[str, ...], model: Model
) -> Line:
    if not mine or not theirs:
        return _NOTHING["surname"]
    names = model.surnames
    if mine == theirs:
        return _weighed("surname", "same", names.rarity(mine[-1]), model)
    shared = [name for name in mine if name in theirs]
    if shared or "".join(mine) == "".join(theirs):
        return _weighed("surname", "part_of_it", names.rarity((shared or mine)[0]), model)
    before = [name for name in (*mine, *a.former) if name in theirs or name in b.former]
    if before:
        return _weighed("surname", "former_name", names.rarity(before[0]), model)
    one, other = mine[-1], theirs[-1]
    level = _spelling(one, other)
    form = names.form(one, other)
    if form is not None and level in {"", "one_letter"}:
        return _weighed("surname", "form_of_it", form, model)
    if not level and sound(one) == sound(other):
        level = "sounds_alike"
    if not level and (one.startswith(other) or other.startswith(one)):
        level = "similar"
    if level:
        return _weighed("surname", level, min(names.rarity(one), names.rarity(other)), model)
    # A woman's surname may have changed by marriage: less of a contradiction than a man's.
    woman = "f" in (a.sex, b.sex) and "m" not in (a.sex, b.sex)
    return model.lines["surname"]["different_woman" if woman else "different"]


def _birth(a: str, b: str, model: Model) -> Line:
    if not a or not b:
        return _NOTHING["date_of_birth"]
    return model.lines["date_of_birth"][_dates(a, b)]


def _dates(a: str, b: str) -> str:  # noqa: PLR0911 - a ladder of levels, best first
    # The first of January is what clerks enter for "some day of that year".
    vague = a.endswith("0101") and b.endswith("0101")
    if a == b:
        return "same_first_of_january" if vague else "same"
    if a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return "day_and_month_swapped"
    differing = sum([x != y for x, y in zip(a, b, strict=True)])
    if differing == 1 or (differing == 2 and edits(a, b) == 1):  # noqa: PLR2004 - two neighbours swapped
        if vague:
            return "one_digit_first_of_january"
        return "one_digit" if _possible(a) and _possible(b) else "impossible_digit"
    if differing == 2:  # noqa: PLR2004
        return "two_digits"
    if a[:4] == b[:4]:
        return "same_year"
    return "far_apart" if abs(int(a[:4]) - int(b[:4])) >= _FAR_APART else "different"


def _possible(day: str) -> bool:
    """Not 1858-10-81: a date that no calendar has was mistyped, not another person's."""
    return "01" <= day[4:6] <= "12" and "01" <= day[6:] <= "31"


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
    close = len(words & others) * 3 >= len(words | others) * 2 or edits(a, b) <= 2  # noqa: PLR2004
    return "similar" if close else "different"


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
        return levels["same_and_different" if same else "one_slip" if slip else "different"]
    return levels["same" if same else "another_number"]
