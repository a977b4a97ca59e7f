"""Forenames and surnames of two records: slips, forms of a name, initials, swapped fields, a single name, former names."""

from functools import lru_cache

from rapidfuzz.distance import OSA

from services.intake.matching.levels import NOTHING, Line
from services.intake.matching.model import Model, Names
from services.intake.matching.names import edits, neighbours, sound
from services.intake.matching.record import Record

_SHORT = 4  # letters: below, one slip makes another name (ann, jan)
_LONG = 6
_MANY_SLIPS = 3  # what `edits` says of names that are further apart than two slips
_UNLIKE = frozenset({"odd", "different"})
_NO_FORM = -99.0  # bits
_FORMS = frozenset({"form_of_it", "forms_of_one", "typing_slip", "one_letter"})
_GENERATIONS = frozenset({("elder", "younger"), ("younger", "elder")})  # see record.py: "Snr" and "Jnr"
_NO_VOWELS = str.maketrans("", "", "aeiouyhw")


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
        _surname(a, b, family_a, family_b, model, given_a, given_b),
    )


def _crossed(given_a: str, given_b: str, family_a: str, family_b: str) -> bool:
    """Whether one record has the other's forename as its surname and the other way round, but for one slip."""
    if given_a == given_b or family_a == family_b:
        return False
    slips = OSA.distance(given_a, family_b, score_cutoff=1)
    if slips > 1 or slips + OSA.distance(given_b, family_a, score_cutoff=1) > 1:
        return False
    return min(len(given_a), len(given_b)) > 1


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
        # Who is Willie in one place is more often William in another than the other way round.
        level = "same" if names.root(one) == one else "same_short_form"
        return weighed("forename", level, names.rarity(one), model)
    several = called_a or called_b or len(a) > 1 or len(b) > 1
    return _of_several(a, b, called_a, called_b, model) if several else _two_forenames(one, other, model)


def _of_several(
    a: tuple[str, ...], b: tuple[str, ...], called_a: tuple[str, ...], called_b: tuple[str, ...], model: Model
) -> Line:
    names, one, other = model.forenames, a[0], b[0]
    # Of two that both have, one is taken, whichever record comes first.
    shared = max(one if one in b or one in called_b else "", other if other in a or other in called_a else "")
    if shared:
        return weighed("forename", "another_of_theirs", names.rarity(shared), model)
    line = _two_forenames(one, other, model)
    if line.level in _UNLIKE:
        # A second forename that is the one in use, in another form: "Arthur Dalrymple" and "Art".
        forms = [_form(one, name, model) for name in (*b[1:4], *called_b)]
        forms += [_form(other, name, model) for name in (*a[1:4], *called_a)]
        best = max(forms)
        return line if best == _NO_FORM else weighed("forename", "form_of_another", best, model)
    return line


@lru_cache(maxsize=65_536)
def _form(one: str, other: str, model: Model) -> float:
    """Bits for two forenames being forms or slips of one; _NO_FORM if they are not."""
    level, rarity = ("", 0.0) if _letter(one) or _letter(other) else _alike(one, other, model.forenames)
    return rarity if level in _FORMS else _NO_FORM


# Half of all people share a few hundred names: most pairs of names have been compared before.
@lru_cache(maxsize=65_536)
def _two_forenames(one: str, other: str, model: Model) -> Line:
    names = model.forenames
    if len(one) == 1 or len(other) == 1:
        return model.lines["forename"]["initial" if one[0] == other[0] else "odd"]
    level, rarity = _alike(one, other, names)
    if level:
        return weighed("forename", level, rarity, model)
    if one[:3] == other[:3] or _shortened(one, other) or _shortened(other, one):
        return model.lines["forename"]["same_beginning"]
    # A word that no list knows as a forename may be a title, or a misspelling beyond repair.
    return model.lines["forename"]["different" if names.known(one) and names.known(other) else "odd"]


def _alike(one: str, other: str, names: Names) -> tuple[str, float]:
    """How two forenames can be one, and how rare that one is; "" if they cannot."""
    slips = edits(one, other)
    if names.akin(one, other):
        form = names.form(one, other)
        if form is not None:
            return "form_of_it", form
        siblings = names.forms_of_one(one, other) if slips > 1 else None
        if siblings is not None:
            return "forms_of_one", siblings
    level = _spelling(one, other) if slips < _MANY_SLIPS else ""
    if not level:
        meant = names.meant(one, other)
        if meant is not None:
            return "misspelt_form", meant
        level = "similar" if sound(one) == sound(other) else ""
    return level, _rarity(one, other, names) if level else 0.0


def _shortened(one: str, other: str) -> bool:
    """Cy for Cyril, Mo for Moses, Ally for Alice: what is left of a short name without its ending begins the other."""
    if len(one) > _SHORT:
        return False
    stem = one.removesuffix("ie").removesuffix("y").removesuffix("i")
    if stem[-1:] == stem[-2:-1]:
        stem = stem[:-1]
    return other.startswith(stem if len(stem) > 1 else one)


def _rarity(one: str, other: str, names: Names) -> float:
    """How rare the name is that both were meant for. A slip is rarer than the name, and no evidence for it."""
    rarest = min(names.rarity(one), names.rarity(other))
    meant = names.corrected(one)
    return (
        min(rarest, names.rarity(meant))
        if meant == names.corrected(other) and edits(one, other) > 1
        else rarest
    )


def _letter(name: str) -> bool:
    """An initial: twice it says no more than once. 李 is a name."""
    return len(name) == 1 and name.isascii()


def _spelling(one: str, other: str) -> str:
    """Slips between two names: a key beside the right one, another letter, two letters of a long name; "" for more."""
    shorter = min(len(one), len(other))
    slips = edits(one, other) if shorter >= _SHORT else 3
    if slips == 1:
        return "typing_slip" if neighbours(one, other) else "one_letter"
    return "similar" if slips == 2 and shorter >= _LONG else ""  # noqa: PLR2004 - two slips


def _others(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The forenames of both beside the one that both have, or else beside the first."""
    both = max(a[0] if a[0] in b else "", b[0] if b[0] in a else "")
    if both:
        return tuple(name for name in a if name != both), tuple(name for name in b if name != both)
    return a[1:], b[1:]


def _further(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Line:
    """Second and later forenames: they part fathers from sons, and make a common name rare."""
    if len(a) < 2 or len(b) < 2:  # noqa: PLR2004 - no second forename
        return NOTHING["other_forenames"]
    a, b = _others(a, b)
    if not a or not b:
        return NOTHING["other_forenames"]
    names, levels = model.forenames, model.lines["other_forenames"]
    if (a[-1], b[-1]) in _GENERATIONS:
        a, b = a[-1:], b[-1:]
    shared = [name for name in a if name in b and not _letter(name)]
    if shared:
        return weighed("other_forenames", "same", names.rarity(shared[0]), model)
    for one in a:
        for other in b:
            if one[0] == other[0] and (len(one) == 1 or len(other) == 1):
                return levels["initial"]
            if names.akin(one, other) or _spelling(one, other):
                return levels["similar"]
    return levels["different"]


def _surname(
    a: Record,
    b: Record,
    mine: tuple[str, ...],
    theirs: tuple[str, ...],
    model: Model,
    given_a: tuple[str, ...] = (),
    given_b: tuple[str, ...] = (),
) -> Line:
    if not mine or not theirs:
        return NOTHING["surname"]
    names = model.surnames
    if mine == theirs:
        return weighed("surname", "same", names.rarity(mine[-1]), model)
    if len(mine) > 1 or len(theirs) > 1:
        shared = [name for name in mine if name in theirs]
        if shared or "".join(mine) == "".join(theirs):
            return weighed("surname", "part_of_it", names.rarity((shared or mine)[0]), model)
    if a.former or b.former:
        before = [name for name in (*mine, *a.former) if name in theirs or name in b.former]
        if before:
            return weighed("surname", "former_name", names.rarity(before[0]), model)
    near = _two_surnames(mine[-1], theirs[-1], model) or _swallowed(mine, theirs, given_a, given_b, model)
    # A woman's surname may have changed by marriage: less of a contradiction than a man's.
    woman = "f" in (a.sex, b.sex) and "m" not in (a.sex, b.sex)
    return near or model.lines["surname"]["different_woman" if woman else "different"]


def _swallowed(
    mine: tuple[str, ...],
    theirs: tuple[str, ...],
    given_a: tuple[str, ...],
    given_b: tuple[str, ...],
    model: Model,
) -> Line | None:
    """The surname of one is a forename of the other alone: Edward Thomas, and Edward Thomas Dyer."""
    found = [name for name in mine if name in given_b and name not in given_a]
    found += [name for name in theirs if name in given_a and name not in given_b]
    if not found:
        return None
    rarity = max(min(model.forenames.rarity(name), model.surnames.rarity(name)) for name in found)
    return weighed("surname", "among_forenames", rarity, model)


def _spelt_alike(one: str, other: str) -> bool:
    """Whether the letter that differs is one that spelling leaves open: greene, lindsey, stephens; not bright."""
    return (
        sound(one) == sound(other)
        or one.translate(_NO_VOWELS) == other.translate(_NO_VOWELS)
        or one.startswith(other)
        or other.startswith(one)
    )


def _two_surnames(one: str, other: str, model: Model) -> Line | None:
    """Two surnames that can be one, by a slip or by another form; None if not.

    There are so many surnames that hardly a pair comes twice: only those that are alike are worth remembering.
    """
    alike = (
        edits(one, other) < _MANY_SLIPS
        or sound(one) == sound(other)
        or one.startswith(other)
        or other.startswith(one)
        or model.surnames.akin(one, other)
    )
    return _two_alike(one, other, model) if alike else None


@lru_cache(maxsize=65_536)
def _two_alike(one: str, other: str, model: Model) -> Line | None:
    names = model.surnames
    level = _spelling(one, other)
    if level == "typing_slip" and names.exists(one) and names.exists(other):
        level = "one_letter"  # barton, burton: two names, and no slip
    if level == "one_letter" and not _spelt_alike(one, other):
        level = "another_letter"  # wright, bright
    elif level == "similar" and (sound(one) == sound(other) or neighbours(one, other, 2)):
        level = "two_slips"
    form = names.form(one, other)
    if form is not None and level in {"", "one_letter", "another_letter"}:
        return weighed("surname", "form_of_it", form, model)
    if not level and sound(one) == sound(other):
        level = "sounds_alike"
    if not level and (one.startswith(other) or other.startswith(one)):
        level = "similar"
    return weighed("surname", level, _rarity(one, other, names), model) if level else None
