"""Forenames and surnames of two records: slips, forms of a name, initials, swapped fields, a single name, former names."""

from functools import lru_cache

from services.intake.matching.levels import NOTHING, Line
from services.intake.matching.model import Model
from services.intake.matching.names import edits, neighbours, sound
from services.intake.matching.record import Record

_SHORT = 4  # letters: below, one slip makes another name (ann, jan)
_LONG = 6


def compare_names(a: Record, b: Record, model: Model) -> tuple[Line, Line, Line]:
    """Forename, further forenames and surname; fields may be swapped, or only one name have been written down."""
    given_a, family_a, given_b, family_b = a.forenames, a.surnames, b.forenames, b.surnames
    if given_a and given_b and family_a and family_b:
        if _crossed(given_a[0], given_b[0], family_a[-1], family_b[-1]):
            # Which of the two is the forename is not written anywhere: the one that more people are called.
            spelt = sorted((given_a[0], family_b[-1])), sorted((given_b[0], family_a[-1]))
            common = model.forenames.rarity
            given, family = sorted(spelt, key=lambda pair: (min(common(pair[0]), common(pair[1])), pair))
            forename = weighed("forename", "swapped", min(common(given[0]), common(given[1])), model)
            return forename, NOTHING["other_forenames"], _surname(a, b, (family[0],), (family[1],), model)
    elif not family_a and family_b:
        given_a, family_a = _alone(given_a, given_b, family_b)
    elif not family_b and family_a:
        given_b, family_b = _alone(given_b, given_a, family_a)
    elif not (family_a or family_b) and _surnames_alone(given_a, given_b, model):
        given_a, family_a, given_b, family_b = (), given_a, (), given_b
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


def _surnames_alone(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> bool:
    """Of names that stand alone: morgan and m0rgan, rather than john and jhon."""
    family, given = model.surnames, model.forenames
    return len(a) == len(b) == 1 and all(
        family.rarity(family.corrected(name)) < given.rarity(given.corrected(name)) for name in (a[0], b[0])
    )


@lru_cache(maxsize=65_536)
def weighed(field: str, level: str, rarity: float, model: Model) -> Line:
    """The line of a level that weighs more the rarer the name or date is."""
    return Line(field, level, model.lines[field][level].bits + rarity)


def _forename(
    a: tuple[str, ...], b: tuple[str, ...], called_a: tuple[str, ...], called_b: tuple[str, ...], model: Model
) -> Line:
    if not a or not b:
        return NOTHING["forename"]
    names = model.forenames
    one, other = a[0], b[0]
    if one == other:
        if _letter(one):
            return model.lines["forename"]["initial"]
        return weighed("forename", "same", names.rarity(one), model)
    shared = one if one in b or one in called_b else other if other in a or other in called_a else ""
    if shared:
        return weighed("forename", "another_of_theirs", names.rarity(shared), model)
    return _two_forenames(one, other, model)


# Half of all people share a few hundred names: most pairs of names have been compared before.
@lru_cache(maxsize=65_536)
def _two_forenames(one: str, other: str, model: Model) -> Line:
    names = model.forenames
    if len(one) == 1 or len(other) == 1:
        return model.lines["forename"]["initial" if one[0] == other[0] else "odd"]
    form = names.form(one, other)
    if form is not None:
        return weighed("forename", "form_of_it", form, model)
    level = _spelling(one, other)
    if not level and names.akin(one, other):
        level = "forms_of_one"
    if not level and (names.akin(names.corrected(one), names.corrected(other)) or sound(one) == sound(other)):
        level = "similar"
    if level:
        return weighed("forename", level, min(names.rarity(one), names.rarity(other)), model)
    if one[:3] == other[:3]:
        return model.lines["forename"]["same_beginning"]
    # A word that no list knows as a forename may be a title, or a misspelling beyond repair.
    return model.lines["forename"]["different" if names.known(one) and names.known(other) else "odd"]


def _letter(name: str) -> bool:
    """An initial: twice it says no more than once. 李 is a name."""
    return len(name) == 1 and name.isascii()


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
        return NOTHING["other_forenames"]
    names, levels = model.forenames, model.lines["other_forenames"]
    shared = [name for name in a[1:] if name in b[1:] and not _letter(name)]
    if shared:
        return weighed("other_forenames", "same", names.rarity(shared[0]), model)
    for one in a[1:]:
        for other in b[1:]:
            if one[0] == other[0] and (len(one) == 1 or len(other) == 1):
                return levels["initial"]
            if names.akin(one, other) or _spelling(one, other):
                return levels["similar"]
    return levels["different"]


def _surname(a: Record, b: Record, mine: tuple[str, ...], theirs: tuple[str, ...], model: Model) -> Line:
    if not mine or not theirs:
        return NOTHING["surname"]
    names = model.surnames
    if mine == theirs:
        return weighed("surname", "same", names.rarity(mine[-1]), model)
    shared = [name for name in mine if name in theirs]
    if shared or "".join(mine) == "".join(theirs):
        return weighed("surname", "part_of_it", names.rarity((shared or mine)[0]), model)
    before = [name for name in (*mine, *a.former) if name in theirs or name in b.former]
    if before:
        return weighed("surname", "former_name", names.rarity(before[0]), model)
    # A woman's surname may have changed by marriage: less of a contradiction than a man's.
    woman = "f" in (a.sex, b.sex) and "m" not in (a.sex, b.sex)
    return (
        _two_surnames(mine[-1], theirs[-1], model)
        or model.lines["surname"]["different_woman" if woman else "different"]
    )


@lru_cache(maxsize=65_536)
def _two_surnames(one: str, other: str, model: Model) -> Line | None:
    """Two surnames that can be one, by a slip or by another form; None if not."""
    names = model.surnames
    level = _spelling(one, other)
    if level == "typing_slip" and names.exists(one) and names.exists(other):
        level = "one_letter"  # barton, burton: two names, and no slip
    form = names.form(one, other)
    if form is not None and level in {"", "one_letter"}:
        return weighed("surname", "form_of_it", form, model)
    if not level and sound(one) == sound(other):
        level = "sounds_alike"
    if not level and (one.startswith(other) or other.startswith(one)):
        level = "similar"
    return weighed("surname", level, min(names.rarity(one), names.rarity(other)), model) if level else None
