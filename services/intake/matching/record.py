"""What the matcher knows of one person in one referral, made comparable: `normalise` throws away whatever says nothing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

import phonenumbers
from rapidfuzz.distance import Hamming

from services.intake.matching import identifiers, names

NO_FIXED_ABODE = frozenset({"NF11NF", "NF11FA"})
_PLACEHOLDER_DATES = frozenset(
    {"19000101", "19700101", "00010101", "99991231", "18000101", "11111111", "00000000"}
)
_POSTCODE = re.compile(r"[A-Z][A-HJ-Y]?\d[A-Z\d]?\d[A-Z]{2}|GIR0AA")
# A for a letter and 0 for a digit: the forms that a postcode can have.
_FORMS = frozenset({"A00AA", "A000AA", "AA00AA", "AA000AA", "A0A0AA", "AA0A0AA"})
_FORM = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "A" * 26 + "0" * 10)
# A father and a son of one name, told apart by whoever knows both. Like a second forename: one has it, the other another.
_GENERATIONS = {
    "snr": "elder", "sr": "elder", "senior": "elder", "jnr": "younger", "jr": "younger", "junior": "younger"
}  # fmt: skip
_TITLED = {"mr": "m", "sir": "m", "mrs": "f", "miss": "f", "ms": "f", "lady": "f", "dame": "f"}
_NO_SURNAMES = frozenset(("jr", "jnr", "snr"))
_NO_PLACE = re.compile(
    r"\b(?:no fixed (?:abode|address)|nfa|not known|unknown|homeless|none|withheld)\b|^n a$"
)
# Where hundreds live, few of them for long, or letters go, as its sender may not have said: nobody's home in particular.
_INSTITUTION = re.compile(
    r"^(?:hmp|h\.?\s?m\.?\s?prison|hm\s?yoi|yoi|c/o|care of)\b"
    r"|\b(?:prison|hostel|refuge|night shelter|day centre|approved premises|young offenders? institution|removal centre"
    r"|hospital|police station|probation|probation (?:office|service)|solicitors)$"
)
# How such a line begins or ends: other lines are not looked at closely.
_FIRST = frozenset(("hmp", "hm", "h.m.", "h", "hmyoi", "yoi", "c/o", "care"))
_LAST = frozenset((
    "prison", "hostel", "refuge", "shelter", "centre", "premises", "institution", "hospital", "station",
    "probation", "office", "service", "solicitors",
))  # fmt: skip
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_NO_MAILBOX = frozenset(
    ("no", "none", "noemail", "nomail", "noreply", "na", "nil", "unknown", "notknown", "test", "donotreply")
)
_PHONE = re.compile(r"\+\d{8,15}")
_PLACEHOLDER_DIGITS = re.compile(r".*(?:(\d)\1{6}|1234567890?|987654321)")
_MANY = 8  # values of one field that are looked at


class Address(TypedDict, total=False):
    """Where somebody lives: free lines, and the postcode."""

    lines: Sequence[str]
    postcode: str


class Person(TypedDict, total=False):
    """One person of a referral as it was sent. Every field may be missing, empty or junk."""

    forenames: str | Sequence[str]
    surname: str
    full_name: str
    title: str
    aliases: Sequence[str]
    date_of_birth: str | date | None
    sex: str | None
    addresses: Sequence[Address]
    phones: Sequence[str]
    emails: Sequence[str]
    shared: Sequence[str]  # those telephones and addresses that are somebody else's, or not theirs alone
    identifiers: Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Record:
    """Comparable values only; empty means "says nothing". Tuples of strings, so that it encodes as plain JSON.

    `forenames` and `surnames` are tokens ("mary ann", "o'brien-macdonald" -> ("mary", "ann"), ("obrien", "mcdonald"));
    `former` are surnames borne before or as an alias; `date_of_birth` is eight digits, YYYYMMDD; `sex` is "f" or "m";
    `postcodes` have no space; `homes` are first lines of addresses; `phones` are E.164; `identifiers` are (kind, number);
    `shared` are those of the phones and emails that are said to be somebody else's too.
    """

    forenames: tuple[str, ...] = ()
    surnames: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    also_called: tuple[str, ...] = ()
    date_of_birth: str = ""
    sex: str = ""
    postcodes: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    identifiers: tuple[tuple[str, str], ...] = ()
    shared: tuple[str, ...] = ()


def normalise(person: Person) -> Record:
    """Make one person comparable. Never raises for odd values: what cannot be understood counts as absent."""
    forenames, surnames, former = _names(person)
    also_called: list[str] = []
    for alias in _texts(person.get("aliases"))[:_MANY]:
        parts = names.tokens(alias)
        also_called += parts[:1]
        former += parts[1:]
    addresses = [one for one in list(person.get("addresses") or ())[:_MANY] if not _institution(one)]
    return Record(
        forenames=forenames,
        surnames=surnames,
        former=_distinct(name for name in former if name not in surnames),
        also_called=_distinct(name for name in also_called if name not in forenames),
        date_of_birth=birth_date(person.get("date_of_birth")),
        sex=_sex(person.get("sex")) or _titled(person),
        postcodes=_distinct(postcode(_text(address.get("postcode"))) for address in addresses),
        homes=_distinct(_home(_texts(address.get("lines"))) for address in addresses),
        phones=_distinct(phone(number) for number in _texts(person.get("phones"))[:_MANY]),
        emails=_distinct(email(address) for address in _texts(person.get("emails"))[:_MANY]),
        identifiers=_identifiers(person.get("identifiers")),
        shared=_shared(_texts(person.get("shared"))[: 2 * _MANY]) if person.get("shared") else (),
    )


def _names(person: Person) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Forenames, surnames of now and surnames of before; "Smith, John" in one field is turned round."""
    given = " ".join(_texts(person.get("forenames")))
    now, before = names.maiden(_text(person.get("surname")))
    full = _text(person.get("full_name"))
    if full and not given and not now:
        whole, before = names.maiden(full)
        last, comma, first = whole.partition(",")
        if comma and not _GENERATIONS.keys() >= set(names.tokens(first)):
            given, now = first, last
        else:
            parts = names.tokens(whole)
            if len(parts) == 1 and _TITLED.keys() & set(_plain_words(whole)):
                return (), parts, list(names.tokens(before))  # "Mr Hill"
            given_, family = _generation(parts[:-1] or parts, parts[-1:] if parts[1:] else ())
            if not family and given_[2:]:  # "John Hill Jr"
                given_, family = (*given_[:-2], given_[-1]), given_[-2:-1]
            return given_, family, list(names.tokens(before))
    forenames, surnames = names.tokens(given), names.tokens(now)
    forenames, surnames = _generation(forenames, surnames)
    if surnames and not set(forenames) - names.NO_FORENAMES:
        forenames = ()  # "Lord Kerr", "Bishop de Salis"
    # "Caffieri, R. P." typed the other way round: one letter is an initial wherever it stands.
    initials = tuple(name for name in surnames if len(name) == 1 and name.isascii())
    if initials and forenames:
        forenames, surnames = forenames + initials, tuple(name for name in surnames if name not in initials)
    return forenames, surnames, list(names.tokens(before))


def _generation(
    forenames: tuple[str, ...], surnames: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the "Jnr" of "Hill Jnr" behind the forenames, as one word for all its forms. "John Senior" keeps his name."""
    if forenames and forenames[0] in _NO_SURNAMES:
        forenames = forenames[1:]
    if surnames and (surnames[-1] in _NO_SURNAMES or (surnames[1:] and surnames[-1] in _GENERATIONS)):
        forenames, surnames = (*forenames, surnames[-1]) if forenames else (), surnames[:-1]
    if forenames[1:] and forenames[-1] in _GENERATIONS:
        forenames = (*forenames[:-1], _GENERATIONS[forenames[-1]])
    return forenames, surnames


def birth_date(value: object) -> str:
    """Eight digits, or "" for a missing, partial or placeholder date. Impossible days are kept: they are slips."""
    if isinstance(value, date):
        digits = value.strftime("%Y%m%d")
    else:
        text = _text(value)[:10]
        parts = re.split(r"[-/. ]", text)
        if len(parts) == 3 and len(parts[2]) == 4:  # noqa: PLR2004 - day/month/year as people write it
            parts.reverse()
        digits = "".join(part.zfill(2) for part in parts) if len(parts) == 3 else text  # noqa: PLR2004 - year, month and day
    valid = len(digits) == 8 and digits.isascii() and digits.isdigit()  # noqa: PLR2004 - YYYYMMDD
    return digits if valid and digits not in _PLACEHOLDER_DATES else ""


def postcode(text: str) -> str:
    """Upper case without its space; "" for what is no postcode, and for the two that mean "no fixed abode".

    One letter where a digit belongs, or the other way round ("EH3 OEX"), is a slip of a postcode and kept.
    """
    text = "".join(text.upper().split())[:8]
    if text in NO_FIXED_ABODE:
        return ""
    return text if _POSTCODE.fullmatch(text) or _slipped(text) else ""


def _slipped(text: str) -> bool:
    form = text.translate(_FORM)
    return any(len(form) == len(right) and Hamming.distance(form, right) == 1 for right in _FORMS)


def phone(text: str) -> str:
    """E.164, read as a British number when no country is given; "" for what no telephone can have."""
    text = text.strip()[:32]
    if not _PHONE.fullmatch(text):
        try:
            parsed = phonenumbers.parse(text, "GB")
        except phonenumbers.NumberParseException:
            return ""
        if not phonenumbers.is_possible_number(parsed):
            return ""
        text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return "" if _PLACEHOLDER_DIGITS.fullmatch(text) else text


def email(text: str) -> str:
    """Lower case; "" for what is no address and for addresses that clerks type when there is none."""
    text = text.strip().casefold()[:254]
    mailbox, _, domain = text.partition("@")
    empty = mailbox in _NO_MAILBOX or domain.split(".")[0] in _NO_MAILBOX
    return "" if empty or not _EMAIL.fullmatch(text) else text


def _shared(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found for text in texts if (found := email(text) or phone(text))))


def _home(lines: Sequence[str]) -> str:
    text = " ".join(_plain_words(" ".join(lines[:1])))
    return "" if _NO_PLACE.search(text) else text[:60]


def _institution(address: Address) -> bool:
    lines = [line.strip(" .,").casefold() for line in _texts(address.get("lines"))[:_MANY]]
    near = [line for line in lines if line.partition(" ")[0] in _FIRST or line.rpartition(" ")[2] in _LAST]
    return any(_INSTITUTION.search(line) for line in near)


def _plain_words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in names.plain(text)).split()


def _sex(value: object) -> str:
    text = _text(value).strip().casefold()
    return {
        "f": "f",
        "female": "f",
        "woman": "f",
        "girl": "f",
        "m": "m",
        "male": "m",
        "man": "m",
        "boy": "m",
    }.get(text, "")


def _titled(person: Person) -> str:
    """The sex that a title says, where nobody has said it: Mr and Mrs Hill of one home are two."""
    if _text(person.get("sex")).casefold() == "other":
        return ""
    given = " ".join(_texts(person.get("forenames")))
    texts = (person.get("title"), given, person.get("surname"), person.get("full_name"))
    said = {_TITLED[word] for word in _plain_words(" ".join(map(_text, texts))) if word in _TITLED}
    return said.pop() if len(said) == 1 else ""


def _identifiers(given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, (dict, Mapping)):
        return ()
    pairs = [
        (str(kind).casefold(), text) for kind, values in given.items() for text in _texts(values)[:_MANY]
    ]
    found = [(kind, identifiers.canonical(kind, text)) for kind, text in pairs]
    return tuple(dict.fromkeys(pair for pair in found if pair[1]))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(
        value, (list, tuple)
    ):  # nearly always; asking an abstract class costs more than all the rest
        return [text for text in value if isinstance(text, str)]
    return [text for text in value if isinstance(text, str)] if isinstance(value, Sequence) else []


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))[:_MANY]
