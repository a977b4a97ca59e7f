"""Codes as people read them: fields, levels of agreement, reasons, ages, dates. Templates use them as filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

LONDON: Final = ZoneInfo("Europe/London")
LEVELS: Final[Mapping[str, str]] = {
    "same": "the same",
    "same_short_form": "the same short form",
    "another_of_theirs": "another of their names",
    "form_of_it": "a form of it",
    "forms_of_one": "forms of one name",
    "form_of_another": "a form of another of their names",
    "misspelt_form": "a form of it, misspelt",
    "initial": "initial only",
    "typing_slip": "a typing slip",
    "one_letter": "one letter differs",
    "another_letter": "one letter for another",
    "two_slips": "two slips",
    "similar": "similar",
    "same_beginning": "the same beginning",
    "swapped": "names swapped",
    "odd": "a name that no list knows",
    "different": "different",
    "part_of_it": "part of it",
    "former_name": "a former name",
    "among_forenames": "among the forenames",
    "sounds_alike": "sounds alike",
    "different_woman": "different (a woman’s may change)",
    "same_first_of_january": "the same, but 1 January",
    "day_and_month_swapped": "day and month swapped",
    "impossible_digit": "one digit, impossible date",
    "one_digit": "one digit differs",
    "another_digit": "one digit differs, but not by a usual slip",
    "two_slips_first_of_january": "two slips, 1 January",
    "one_digit_first_of_january": "one digit differs, 1 January",
    "two_digits": "two digits differ",
    "other_year": "day and month the same, another year",
    "same_year": "only the year is the same",
    "far_apart": "years apart",
    "one_slip": "one slip",
    "same_sector": "the same few streets",
    "same_district": "the same district",
    "same_area": "the same area",
    "next_area": "the next area",
    "near": "not far away",
    "elsewhere": "elsewhere",
    "far": "far away",
    "one_name_at_home": "one name at one home",
    "one_surname_at_home": "one surname at one home",
    "same_shared": "the same, but not theirs alone",
    "same_mailbox": "the same mailbox, other provider",
    "same_and_different": "one the same, one different",
    "another_number": "another number",
    "same_as_forename": "the same, as the forename says",
    "different_despite_forename": "different, though the forename is the same",
    "absent": "not known on one side",
}
FIELDS: Final[Mapping[str, str]] = {
    "forename": "Forename",
    "other_forenames": "Other forenames",
    "surname": "Surname",
    "date_of_birth": "Date of birth",
    "sex": "Sex",
    "postcode": "Postcode",
    "address": "Address",
    "household": "Household",
    "telephone": "Telephone",
    "email": "E-mail",
    "identifier": "Numbers",
}
REASONS: Final[Mapping[str, str]] = {
    "name_and_birth_date_alone": "Only the name and the date of birth agree",
    "name_alone": "Only the name agrees",
    "no_name_in_common": "Something agrees, but no name does",
    "forenames_differ": "One number, but two forenames",
    "identifiers_differ": "A number that one has for life differs",
    "birth_dates_far_apart": "The dates of birth are years apart",
    "told_apart_before": "Told apart before, and there is new evidence",
    "named_beside": "One referral names both beside each other",
    "odd_forename": "One telephone, e-mail or home, and an unknown forename",
    "one_contact_two_forenames": "One telephone or e-mail and birth date, but two forenames",
    "two_forenames": "Two forenames, and no number that confirms one human",
    "two_surnames": "Two surnames, and no telephone, e-mail or home in common",
    "birth_dates_differ": "Two birth dates, and a name that differs",
    "sexes_differ": "One telephone, e-mail or home, but two sexes",
    "second_forenames_differ": "One telephone, e-mail or home, but two second forenames",
    "names_passed_on": "One telephone, e-mail or home, no birth date, and a forename that may be a parent’s",
    "forenames_begin_alike": "One telephone, e-mail or home, and two forenames that only begin alike",
    "initial_alone": "An initial that nothing of the person’s own confirms",
    "identity_incomplete": "No more than a name",
    "one_field_would_settle": "One missing field would settle it",
    "hot_key": "Too many people share what they could be found by",
    "several_candidates": "More than one person fits",
    "doubtful": "Neither enough to join nor to tell apart",
    "enough_evidence": "The evidence is strong and nobody else is as close",
}
# How a record came to be a person's, or another id of theirs.
JOINS: Final[Mapping[str | None, str]] = {
    "new": "Somebody new",
    "joined": "Joined by the machine",
    "linked": "Linked by the machine",
    "held": "In doubt",
    "kept": "A later version",
    "parted": "Parted by two people",
    "decided": "Decided by a person",
    None: "Not recorded",
}
ROLES: Final[Mapping[str, str]] = {
    "harmed": "The person harmed",
    "responsible": "The person responsible",
    "both": "Harmed and responsible",
    "contact": "Spoken to for somebody else",
}
# The reasons that a reviewer may give: codes, because what is kept for ever must hold nothing personal.
GIVEN: Final[Mapping[str, str]] = {
    "details_agree": "What both records say agrees",
    "agency_confirmed": "An agency confirmed it",
    "other_record": "Another record that I can see shows it",
    "relatives": "They are relatives, or share a home or a telephone",
    "details_differ": "What both records say differs",
    "too_little_known": "Too little is known",
    "other": "Another reason",
}
# Those for which one of two joined records may be somebody else's.
PARTING: Final[Mapping[str, str]] = {
    code: GIVEN[code] for code in ("agency_confirmed", "other_record", "relatives", "details_differ", "other")
}
# Those for which everything held about somebody may be destroyed.
ERASING: Final[Mapping[str, str]] = {
    "asked_by_person": "The person asked for it",
    "asked_for_person": "Somebody who may act for the person asked for it",
    "kept_long_enough": "It has been kept for as long as it may be",
    "never_to_be_held": "It should never have been held",
}
# What takes two people, as a list has it; and what became of it.
TWO_PEOPLE: Final[Mapping[str, str]] = {
    "split": "Part a record from a person",
    "unlink": "Undo a link of two ids",
    "erasure": "Destroy everything held about a person",
}
ENDED: Final[Mapping[str, str]] = {
    "done": "Confirmed, and done",
    "refused": "Refused",
    "taken_back": "Taken back by who asked",
    "lapsed": "Lapsed: nobody confirmed it",
}
ANSWERS: Final[Mapping[str, str]] = {
    "same": "Same person",
    "different": "Two people",
    "cannot_tell": "Cannot tell",
    "superseded": "No longer asked",
}
INCIDENT_ANSWERS: Final[Mapping[str, str]] = {
    **ANSWERS,
    "same": "Same incident",
    "different": "Two incidents",
}
# Why an agency's endpoint, mailbox or topic did not take what it was sent.
UNDELIVERED: Final[Mapping[str | None, str]] = {
    "timeout": "It did not answer in time",
    "connection": "It could not be reached",
    "redirect": "It answered with another address, which is not followed",
    "gone": "It said that it is gone for good",
    "forbidden-address": "Its address is one that nothing is sent to",
    "address-malformed": "Its mailbox’s address is not one",
    "topic-timeout": "The broker did not answer in time",
}
DEADLINES: Final[Mapping[str, str]] = {
    "plea": "plea",
    "hearing": "hearing",
    "adjourned_to": "adjourned hearing",
    "deferred_to": "deferred sentence",
    "sentence": "sentence",
    "licence_end": "end of licence",
    "turns_18": "18th birthday",
}
# The commissioner's figures whose codes do not read as words.
MEASURES: Final[Mapping[str, str]] = {
    "victims_offered": "Victims asked to take part",
    "victims_answers": "What victims answered",
    "conversion_percent": "Cases that led to a restorative outcome",
    "days_to_first_contact": "Days to the first contact",
    "days_to_allocation": "Days to a lead agency",
    "not_proceeding": "Cases that did not proceed",
    "near_the_clock": "Open cases whose date has passed",
    "feedback": "What others said",
}
# What such a figure is counted by, where the codes do not read as words.
GROUPS: Final[Mapping[str, str]] = {
    "prior_no": "A no from before the referral",
    "erased": "What was held was destroyed",
    "linked": "Became one with another case",
    "retracted": "The referral was taken back",
    "withdrawn": "Somebody withdrew",
    "true": "Yes",
    "false": "No",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SOON = 2  # of a unit, below which the next smaller one is told


def plain(code: str) -> str:
    """Return a code as words."""
    text = code.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def undelivered(code: str | None) -> str:
    """Return why a delivery failed."""
    how, _, number = (code or "").partition("-")
    if how == "status":
        return f"It answered with the error {number}"
    if how == "smtp":
        return f"The mail server refused it (answer {number})"
    return UNDELIVERED.get(code) or (plain(code.replace("-", " ")) if code else "Not recorded")


def entry(kind: str) -> str:
    """Return the kind of a feed's entry as words: case.needs_decision is "Case needs decision"."""
    return plain(kind.replace(".", " "))


def _table(table: Mapping[Any, str]) -> Callable[[str], str]:
    return lambda code: table[code] if code in table else plain(code)


def when(text: str | None) -> str:
    """Return a moment as people in Britain write it: 21 November 2026, 10:15."""
    if not text:
        return ""
    moment = datetime.fromisoformat(text).astimezone(LONDON)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def day(text: str | None) -> str:
    """Return a date as people write it; what is no date stays as it is."""
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return text or ""
    return f"{found.day} {found:%B %Y}"


def age(text: str, now: datetime | None = None) -> str:
    """Return how long ago a moment was: "3 hours"."""
    seconds = max(0.0, ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds())
    for size, unit in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size * (_SOON if unit != "minute" else 1):
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a minute"


def percent(share: float | None) -> str:
    """Return a share of one as per cent."""
    return "not yet known" if share is None else f"{share * 100:.0f}%"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "level": _table(LEVELS),
    "field": _table(FIELDS),
    "reason": _table(REASONS),
    "given": _table({**GIVEN, **ERASING}),
    "measure": _table(MEASURES),
    "group": _table(GROUPS),
    "two_people": _table(TWO_PEOPLE),
    "ended": _table(ENDED),
    "came": _table(JOINS),
    "role": _table(ROLES),
    "answer": _table(ANSWERS),
    "incident_answer": _table(INCIDENT_ANSWERS),
    "deadline": _table(DEADLINES),
    "undelivered": undelivered,
    "entry": entry,
    "plain": plain,
    "when": when,
    "day": day,
    "age": age,
    "percent": percent,
}
