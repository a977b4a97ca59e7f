"""From pydantic's errors to sentences: the path of each bad field, what is wrong, what would be right.

Never a value: what was sent about people must not come back in an answer, or reach a log. A field's own name is shown only
if it looks like a field's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

_TAGS: Final = frozenset({"given", "none"})  # of the union in referral.PriorContact: no part of a path
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST: Final = 100  # faults in one answer: the rest shows once these are mended


class Fault(NamedTuple):
    """One bad field."""

    path: str
    what: str
    remedy: str


def _expected(context: Mapping[str, Any]) -> str:
    return f"one of {context['expected']}"


_TIME: Final = "send one that exists, like 2026-03-31T10:00:00Z"
_SENTENCES: Final[Mapping[str, tuple[str, str | Callable[[Mapping[str, Any]], str]]]] = {
    "missing": ("it is missing", "add it"),
    "extra_forbidden": ("no such field", "remove it, or look up its name in the API's description"),
    "literal_error": ("not one of the possible values", _expected),
    "union_tag_invalid": ("not one of the possible values", 'an object, or "none"'),
    "json_invalid": (
        "not JSON in UTF-8",
        "send one JSON document in UTF-8, without lone surrogates, nested less than 200 deep",
    ),
    "model_type": ("not an object", "send an object with the fields of the API's description"),
    "model_attributes_type": ("not an object", "send an object with the fields of the API's description"),
    "string_type": ("not text", "send text in quotes"),
    "string_unicode": ("not text in UTF-8", "send UTF-8 without lone surrogates"),
    "string_too_short": ("it is empty", "give a text, or leave the field out"),
    "string_too_long": ("too long", lambda c: f"at most {c['max_length']} characters"),
    "string_pattern_mismatch": ("not in its form", lambda c: f"it must match {c['pattern']}"),
    "too_short": ("too few", lambda c: f"at least {c['min_length']}"),
    "too_long": ("too many", lambda c: f"at most {c['max_length']}"),
    "int_type": ("not a whole number", "send a number without quotes"),
    "int_from_float": ("not a whole number", "send a number without a fraction"),
    "int_parsing": ("not a whole number", "send a number"),
    "int_parsing_size": ("too large a number", "send a smaller number"),
    "greater_than_equal": ("too small", lambda c: f"at least {c['ge']}"),
    "less_than_equal": ("too large", lambda c: f"at most {c['le']}"),
    "bool_type": ("neither true nor false", "send true or false, without quotes"),
    "bool_parsing": ("neither true nor false", "send true or false"),
    "tuple_type": ("not a list", "send a list in [ ]"),
    "date_type": ("not a date", "send a date like 2026-03-31"),
    "date_parsing": ("not a date", "send a date that exists, like 2026-03-31"),
    "date_from_datetime_parsing": ("not a date", "send a date that exists, like 2026-03-31"),
    "date_from_datetime_inexact": ("not a date but a moment", "send the date only, like 2026-03-31"),
    "greater_than": ("too small", lambda c: f"more than {c['gt']}"),
    "less_than": ("too large", lambda c: f"less than {c['lt']}"),
    "datetime_type": ("not a time with its zone", _TIME),
    "datetime_parsing": ("not a time with its zone", _TIME),
    "datetime_from_date_parsing": ("not a time with its zone", _TIME),
    "timezone_aware": ("not a time with its zone", _TIME),
    "time_type": ("not a time", "send a local time like 09:00"),
    "time_parsing": ("not a time", "send a local time like 09:00"),
}


NOT_JSON: Final = Fault("(the whole document)", *map(str, _SENTENCES["json_invalid"]))
_WHERE = re.compile(r" at line ([0-9]+) column ([0-9]+)$")


def _not_json(said: str) -> str:
    """Return where a document stops being JSON in UTF-8, without what stands there."""
    where = _WHERE.search(said)
    if where is None:
        return NOT_JSON.what
    line, column = where.groups()
    return f"{NOT_JSON.what}, at " + (f"line {line}, " if line != "1" else "") + f"character {column}"


def path_of(parts: tuple[int | str, ...]) -> str:
    """Return the path of a field, `parties[0].name`; of what looks like no field's name only that there is something."""
    shown = []
    for part in parts:
        if isinstance(part, int):
            shown.append(f"[{part}]")
        elif part not in _TAGS:
            shown.append(f".{part}" if _FIELD.fullmatch(part) else ".?")
    return "".join(shown).removeprefix(".") or "(the whole document)"


def faults(error: ValidationError) -> list[Fault]:
    """Return every bad field, in the order of the document, at most MOST of them."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        context = problem.get("ctx", {})
        if problem["type"] == "value":
            what, remedy = context["what"], context["remedy"]
        elif problem["type"] == "value_error":  # of a type that all services share, which says both in one
            what, _, remedy = str(context["error"]).partition(" Remedy: ")
        else:
            what, how = _SENTENCES.get(
                problem["type"], ("not valid", "see the API's description of this field")
            )
            remedy = how if isinstance(how, str) else how(context)
        if problem["type"] == "json_invalid":
            what = _not_json(context["error"])
        named = (*problem["loc"], context["field"]) if context.get("field") else problem["loc"]
        found.append(Fault(path_of(named), what, remedy))

    # A list whose items were all bad is also "too short": that would send the reader the wrong way.
    def of_its_items(fault: Fault) -> bool:
        return fault.what == "too few" and any(other.path.startswith(f"{fault.path}[") for other in found)

    return [fault for fault in found if not of_its_items(fault)][:MOST]
