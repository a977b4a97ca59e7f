"""Names as tokens: cleaned of junk, comparable, with a phonetic code. Pure functions of text; no names are kept here."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rapidfuzz.distance import OSA

# What clerks type when they have no name, and what systems prefix. A record is not "like" another for sharing these.
_JUNK = re.compile(
    r"(?<![^\W_])(?:not[\s_]*(?:known|entered|given|stated|recorded|provided|applicable|disclosed|supplied)"
    r"|name[\s_]*(?:unknown|withheld)|un[\s_-]?known(?:[\s_]+(?:fe)?male)?|unk|anon(?:ymous)?|withheld|refused|n/[ak]|tb[ac]"
    r"|(?:victim|suspect|offender|complainant)(?:[\s_]*\d+)?"  # two of one home are not one for that
    r"|(?:baby|infant)(?![\s_]*\d)|see[\s_]*notes"
    r"|no[\s_]*(?:show|name|surname|forename)|duplicate|dupe|do[\s_]*not[\s_]*use|test[\s_]*(?:record|person)|delete[d]?"
    r"|surname|forename|first[\s_]*name|last[\s_]*name|null|none|nan|undefined)(?![^\W_])_*",
)
# "Twin 2", "Child 1": the number is all that tells one of them from the other.
_NUMBERED = re.compile(r"\b(child|baby|twin|boy|girl|son|daughter|sibling|juvenile|youth|person)[\s_]*(\d)\b")
_DIGIT = re.compile(r"\d")
_TITLES = frozenset((
    "mr", "mrs", "miss", "ms", "mx", "dr", "doctor", "sir", "dame", "lady", "rev", "reverend", "revd",
    "prof", "professor", "hon", "rt", "capt", "captain", "col", "colonel", "maj", "gen", "lt", "lieutenant",
    "sgt", "pc", "cllr", "admiral", "baronet", "bart", "bt", "viscount", "marquess", "esq", "obe", "mbe",
    "cbe", "qc", "kc", "jp", "aka", "ii", "iii", "countess", "marchioness", "duchess", "baroness",
    "venerable", "archdeacon", "commodore", "brigadier", "brig", "marquis", "rear",
))  # fmt: skip
# Titles that are names as well: dropped only beside another name.
_TITLES_OR_NAMES = frozenset(
    ("lord", "major", "earl", "duke", "baron", "master", "general", "bishop", "canon")
)
_PARTICLES = frozenset(
    (
        "de",
        "du",
        "da",
        "di",
        "la",
        "le",
        "van",
        "von",
        "der",
        "den",
        "of",
        "the",
        "bin",
        "ibn",
        "al",
        "el",
        "st",
        "saint",
    )
)
# What is left of a title when the surname stands elsewhere; "Earl", "Major" and "Al" are forenames as well.
NO_FORENAMES = frozenset(
    ("lord", "bishop", "canon", "of", "the", "de", "du", "von", "der", "den", "st", "and", "last")
)
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
_APOSTROPHES = str.maketrans("", "", "'\u2019\u2018`\u00b4\u02bc")
_ODD_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "\u0131": "i"}
)
_MAC = re.compile(r"^mac(?=[bcdfgjlmnpqrtvwxyz]|[aiou][a-z]{3})(?=[a-z]{4})")
_NEE = re.compile(r"\b(?:n[ée]e|formerly|previously|maiden name)\b")
_LONGEST = 40  # letters of one token: a name of 200 letters must cost no more than a long one


def plain(text: str) -> str:
    """Lower case, without accents and apostrophes; letters of every script are kept."""
    text = text[:400].casefold()
    if text.isascii():
        return text.translate(_APOSTROPHES)
    text = unicodedata.normalize("NFKD", text.translate(_ODD_LETTERS))
    return "".join(letter for letter in text if not unicodedata.combining(letter)).translate(_APOSTROPHES)


def tokens(text: str) -> tuple[str, ...]:
    """The parts of a name that tell people apart: "Dr. Mary MacDonald-O'Brien" -> ("mary", "mcdonald", "obrien")."""
    if not text:
        return ()
    text = _JUNK.sub(" ", plain(text.replace("_", " _ ")).replace(" _ ", "_"))
    if _DIGIT.search(text):
        text = _NUMBERED.sub(r"\1 no\2", text)
    if not text.isalnum():
        text = "".join([letter if letter.isalnum() else " " for letter in text])
    words = text.split()
    kept = [
        word for word in words if word not in _TITLES and not word.isdigit() and not _ORDINAL.fullmatch(word)
    ]
    # "de", "van", "Major": kept only where nothing else is left, because agencies drop them at will.
    for dispensable in (_TITLES_OR_NAMES, _PARTICLES):
        kept = [word for word in kept if word not in dispensable] or kept
    return tuple(
        [_MAC.sub("mc", word[:_LONGEST]) if word[:1] == "m" else word[:_LONGEST] for word in kept[:12]]
    )


def maiden(text: str) -> tuple[str, str]:
    """Split "Smith (née Herbert)" into the name borne now and the one borne before ("" if there is none)."""
    now, *before = _NEE.split(text.casefold(), maxsplit=1)
    return (now, before[0]) if before else (text, "")


# Consonants that are heard or written for one another share a code; vowels are not heard. Digits are slips of the keyboard.
_SOUNDS = str.maketrans(
    "bpfvwcgjkqxszdtlmnrhaeiouy0123456789",
    "1188822222233344556679" + "9" * 14,
)
_SPELLINGS = (
    ("ph", "f"),
    ("gh", ""),
    ("ck", "k"),
    ("sch", "s"),
    ("wr", "r"),
    ("kn", "n"),
    ("mb", "m"),
    ("mps", "ms"),
    ("dge", "j"),
    ("tch", "c"),
)


@lru_cache(maxsize=65_536)
def sound(token: str) -> str:
    """A phonetic code: smyth, smith, smythe alike; thompson, thomson alike. Other scripts keep their letters."""
    for spelling, heard in _SPELLINGS:
        if spelling in token:
            token = token.replace(spelling, heard)
    coded = token.translate(_SOUNDS)
    code = ""
    for mark in coded:
        if not code or mark != code[-1]:
            code += mark
    first = code[:1]
    return first + code[1:].replace("9", "")


def edits(a: str, b: str) -> int:
    """How many slips make the one of the other: 0, 1, 2, or 3 for "more". Two neighbours swapped are one slip."""
    return int(OSA.distance(a, b, score_cutoff=2))


_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_PLACE = {key: (row, column + row / 4) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}


@lru_cache(maxsize=65_536)
def neighbours(a: str, b: str, slips: int = 1) -> bool:
    """Whether two names of one length differ in so many letters for which the key beside was hit: seqell, sewell."""
    if len(a) != len(b):
        return False
    differing = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    if len(differing) != slips:
        return False
    places = [(_PLACE.get(x), _PLACE.get(y)) for x, y in differing]
    return all(one is not None and other is not None and _touching(one, other) for one, other in places)


def _touching(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return abs(one[0] - other[0]) <= 1 and abs(one[1] - other[1]) < 1.3  # noqa: PLR2004 - widths of a key


def joined(parts: Iterable[str]) -> str:
    """One canonical string of several tokens, whatever their order."""
    return " ".join(sorted(parts))
