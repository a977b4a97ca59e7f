"""The explicit rules: what no score may overrule. Each looks at a table of evidence, and makes the answer more careful."""

from collections.abc import Sequence
from enum import Enum
from functools import total_ordering

from services.intake.matching.evidence import Evidence
from services.intake.matching.levels import ABSENT, BY_RARITY

_NAME_AGREES = BY_RARITY["forename"] | {"initial", "same_beginning"}
_SURNAME_AGREES = BY_RARITY["surname"]
_BORN_ALIKE = frozenset(
    {"same", "same_first_of_january", "day_and_month_swapped", "one_digit", "impossible_digit"}
)
_BORN_UNLIKE = frozenset({"two_digits", "other_year", "same_year", "different"})
_ONE_FORENAME = frozenset({"same", "same_short_form"})
_BARELY = frozenset({"one_letter", "similar", "same_beginning"})
_PASSED_ON = frozenset({"swapped", "another_of_theirs", "form_of_another"})
_NEIGHBOURS = frozenset({"same", "one_slip", "same_sector"})
_NEARBY = _NEIGHBOURS | {"same_district"}


@total_ordering
class Rule(Enum):
    """Why an answer is what it is: a stable code, whether it stops a join, whether it says "two people", and its words."""

    ENOUGH = ("enough_evidence", "", "the evidence is strong and nobody else is as close")
    TOO_LITTLE = ("too_little_evidence", "", "too little agrees")
    NOBODY = ("nobody_similar", "", "nobody similar is known")
    DOUBTFUL = ("doubtful", "", "the evidence is neither enough to join nor to tell apart")
    SEVERAL = ("several_candidates", "", "more than one person fits")
    ONE_FIELD = ("one_field_would_settle", "", "one missing field would settle it")
    INCOMPLETE = ("identity_incomplete", "", "there is no more than a name")
    HOT_KEY = ("hot_key", "", "too many people share what it could be found by")
    NAME_AND_BIRTH_DATE = (
        "name_and_birth_date_alone",
        "stops",
        "a name and a date of birth alone never join",
    )
    NAME_ALONE = ("name_alone", "stops", "a name alone never joins")
    NO_NAME = ("no_name_in_common", "stops", "no name confirms what else agrees")
    FORENAMES_DIFFER = ("forenames_differ", "stops", "one number, but two forenames")
    IDENTIFIERS_DIFFER = ("identifiers_differ", "stops", "a number that a person has for life differs")
    BIRTH_DATES_FAR_APART = ("birth_dates_far_apart", "stops", "the dates of birth are years apart")
    TOLD_APART = (
        "told_apart_before",
        "stops",
        "a person has decided that these are two, and there is new evidence",
    )
    BESIDE = ("named_beside", "stops", "one referral names both beside each other")
    TWINS = ("twins_or_siblings", "parts", "one surname and home, but two forenames")
    SHARED_CONTACT = ("shared_contact", "parts", "one telephone, e-mail address or home, but two forenames")
    ODD_FORENAME = (
        "odd_forename",
        "stops",
        "one telephone, e-mail address or home, and a forename that no list knows",
    )
    TWO_FORENAMES = (
        "one_contact_two_forenames",
        "stops",
        "one telephone or e-mail address and birth date, but two forenames",
    )
    FORENAMES_UNLIKE = (
        "two_forenames",
        "stops",
        "two forenames, and no number that confirms that it is one human",
    )
    SURNAMES_UNLIKE = (
        "two_surnames",
        "stops",
        "two surnames, and no telephone, e-mail address or home in common",
    )
    INITIAL = (
        "initial_alone",
        "stops",
        "an initial that neither a second one nor a birth date, telephone or e-mail address confirms",
    )
    BIRTH_DATES = ("birth_dates_differ", "stops", "two birth dates, and a name that differs")
    SEXES = ("sexes_differ", "stops", "one telephone, e-mail address or home, but two sexes")
    SECOND_FORENAMES = (
        "second_forenames_differ",
        "stops",
        "one telephone, e-mail address or home, but two second forenames",
    )
    PASSED_ON = (
        "names_passed_on",
        "stops",
        "one telephone, e-mail address or home, no birth date, and a forename that may be a parent's",
    )
    BEGIN_ALIKE = (
        "forenames_begin_alike",
        "stops",
        "one telephone, e-mail address or home, and two forenames that only begin alike",
    )
    PARENT_AND_CHILD = ("parent_and_child", "parts", "one name and home, but birth dates a generation apart")

    def __init__(self, code: str, effect: str, words: str) -> None:
        self.code = code
        self.stops = effect == "stops"
        self.parts = effect == "parts"
        self.words = words

    def __lt__(self, other: "Rule") -> bool:
        return self.code < other.code


def standing_rules(evidence: Evidence) -> frozenset[Rule]:
    """The rules that one table of evidence calls up."""
    level = {line.field: line.level for line in evidence.lines}
    found: set[Rule] = set()
    identified = level["identifier"] == "same"
    if level["identifier"] in {"different", "same_and_different"}:
        found.add(Rule.IDENTIFIERS_DIFFER)
    forename_agrees = level["forename"] in _NAME_AGREES
    surname_agrees = level["surname"] in _SURNAME_AGREES
    if level["date_of_birth"] == "far_apart":
        # With a number in common it is a contradiction for a person to look at; without one, a parent and a child.
        numbered = level["identifier"] in {"same", "one_slip"}
        generation = not numbered and forename_agrees and surname_agrees
        found.add(Rule.PARENT_AND_CHILD if generation else Rule.BIRTH_DATES_FAR_APART)
    if level["forename"] in {"different", "odd"}:
        found |= {Rule.FORENAMES_DIFFER} if identified and level["forename"] == "different" else set()
        found |= set() if identified else _two_forenames(level)
    if not identified:
        found |= _half_named(level) | _of_one_household(level)
        found |= _alone(level, named=forename_agrees or surname_agrees)
    elif not forename_agrees and not surname_agrees and level["date_of_birth"] not in _BORN_ALIKE:
        found.add(Rule.NO_NAME)
    return frozenset(found)


def _two_forenames(level: dict[str, str]) -> set[Rule]:
    contact, home = _one_line(level), _home(level)
    if not (contact or home):
        # Brothers with telephone numbers one after the other, a twin who moved round the corner: much agrees by kinship.
        return {Rule.FORENAMES_UNLIKE}
    if level["forename"] == "odd":
        # "Rev", "Wm", a misspelling beyond repair: not the name of a twin, so a person looks.
        return {Rule.ODD_FORENAME}
    surname, born = level["surname"] in _SURNAME_AGREES, level["date_of_birth"]
    one_birthday = born in _BORN_ALIKE if surname else born in {"same", "day_and_month_swapped", "one_digit"}
    if contact and one_birthday and level["sex"] != "different":
        # Twins on one telephone, or one human by two names: only a person can see which. Couples are seldom born on one day.
        return {Rule.TWO_FORENAMES}
    return {Rule.TWINS if level["surname"] in _SURNAME_AGREES and home else Rule.SHARED_CONTACT}


def _of_one_household(level: dict[str, str]) -> set[Rule]:
    """One home or telephone, and something that speaks for two of its people: brothers who are both Mohammed, a couple J."""
    found: set[Rule] = set()
    born = level["date_of_birth"] in _BORN_ALIKE
    two_surnames = level["surname"] in {"different", "different_woman"}
    second = level["other_forenames"] == "different"
    if level["date_of_birth"] in _BORN_UNLIKE and (
        second or two_surnames or level["forename"] not in _ONE_FORENAME
    ):
        found.add(Rule.BIRTH_DATES)
    if level["sex"] in {"different", "different_despite_forename"} and two_surnames:
        found.add(Rule.SEXES)  # Gurpreet Singh and Gurpreet Kaur
    if not (_one_line(level) or _home(level)):
        return found
    if level["sex"] == "different" and (not born or level["forename"] in _BARELY):
        found.add(Rule.SEXES)  # Paul and his twin Paula
    if second:
        found.add(Rule.SECOND_FORENAMES)
    if level["forename"] == "same_beginning" and level["surname"] in _SURNAME_AGREES:
        found.add(Rule.BEGIN_ALIKE)  # Marcus and Martin
    # Abdi Hassan and his son Mohamed Abdi Hassan; Ali Hassan and his son Hassan Ali.
    if not born and (level["forename"] in _PASSED_ON or level["surname"] == "among_forenames"):
        found.add(Rule.PASSED_ON)
    return found


def _half_named(level: dict[str, str]) -> set[Rule]:
    """One half of the name differs, or is a letter: what agrees then must be the person's own, and agree exactly."""
    found: set[Rule] = set()
    if level["surname"] in {"different", "different_woman"} and not (_contact(level) or _home(level)):
        found.add(Rule.SURNAMES_UNLIKE)
    confirmed = _contact(level) or level["date_of_birth"] in _BORN_ALIKE
    if level["forename"] == "initial" and not (confirmed or level["other_forenames"] in {"same", "initial"}):
        found.add(Rule.INITIAL)  # John and Jane at one home
    return found


def _contact(level: dict[str, str]) -> bool:
    """One telephone or e-mail address that, as far as anybody said, is the person's own."""
    return "same" in (level["telephone"], level["email"])


def _one_line(level: dict[str, str]) -> bool:
    """One telephone or e-mail address, whosever it is: enough to suspect two of one household, not to confirm one human."""
    return _contact(level) or "same_shared" in (level["telephone"], level["email"])


def _home(level: dict[str, str]) -> bool:
    return "same" in (level["postcode"], level["address"])


def _alone(level: dict[str, str], *, named: bool) -> set[Rule]:
    """What agrees is not enough by its kind, whatever it weighs."""
    born = level["date_of_birth"] not in {ABSENT, "different", "far_apart", "same_year"}
    # A postal district has some ten thousand homes, and in some of them many people of one name, however rare elsewhere.
    # A first line ("Flat 1", "12 High Street") without a postcode is in every town.
    # A postcode has fifteen homes: with two house numbers only a birth date shows that it is one who moved next door.
    near = level["postcode"] in (_NEARBY if born else _NEIGHBOURS) and (
        born or level["address"] != "different"
    )
    near = near or (level["address"] in {"same", "similar"} and level["postcode"] != ABSENT)
    reached = level["telephone"] in {"same", "one_slip"} or level["email"] in {
        "same",
        "one_slip",
        "same_mailbox",
    }
    # A partner's or a parent's telephone is that of a household, and so of a father and a son of one name.
    reached = reached or (
        level["date_of_birth"] in _BORN_ALIKE and "same_shared" in (level["telephone"], level["email"])
    )
    unnamed = level["forename"] == level["surname"] == ABSENT
    if not named and not (unnamed and level["date_of_birth"] in _BORN_ALIKE):
        return {Rule.NO_NAME}
    if near or reached:
        return set()
    return {Rule.NAME_AND_BIRTH_DATE if born else Rule.NAME_ALONE}


_ANSWERS = {"join": "One human", "hold": "In doubt", "different": "Nobody known"}


# Levels whose names say more than a sentence has room for.
_SAID = {
    "different_woman": "different",
    "same_as_forename": "same",
    "different_despite_forename": "different",
    "one_name_at_home": "of one name",
    "one_surname_at_home": "of one surname",
    "odd": "in no list",
    "same_shared": "the same but not theirs alone",
}


def sentence(answer: str, reasons: Sequence[Rule], evidence: Evidence | None, ask: str) -> str:
    """The answer in words, without any value of either record: which fields agree, how, and why that is (not) enough."""
    why = ", and ".join(rule.words for rule in reasons)
    text = f"{_ANSWERS[answer]}: {why}."
    if ask:
        text += f" The {ask.replace('_', ' ')} is asked of the agency that sent it."
    if evidence and answer != "different":
        seen = [
            f"{line.field} {_SAID.get(line.level, line.level)}".replace("_", " ")
            for line in evidence.lines
            if line.level != ABSENT
        ]
        text += f" {'; '.join(seen).capitalize()}." if seen else ""
    return text
