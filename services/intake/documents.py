"""JSON documents as clients send them: read once, strictly, and refused with the place of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from services.intake.remedies import NOT_JSON, Fault, faults, path_of

M = TypeVar("M", bound=BaseModel)
# PowerShell, .NET and Excel put it before UTF-8; RFC 8259 lets a reader pass over it.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class BadDocument(Exception):
    """A document that cannot be accepted; every bad field with its remedy."""

    def __init__(self, found: Sequence[Fault]) -> None:
        super().__init__("bad document")
        self.faults = list(found)


def read(model: type[M], raw: bytes, *, lax: bool = False) -> tuple[M, Any]:
    """Return the document as the model has it, and as it was sent. Raises BadDocument with every bad field.

    `lax` converts text to numbers, dates and truth values.
    """
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        found = model.model_validate_json(raw, strict=False if lax else None)
        sent = msgspec.json.decode(raw)
    except ValidationError as error:
        raise BadDocument(faults(error)) from None
    except msgspec.DecodeError:  # what only one of the two takes for JSON, such as NaN
        raise BadDocument([NOT_JSON]) from None
    # Of a field that is there twice a reader keeps one, and what the other said is lost without a word. Where no field is,
    # there are as many quotes in what was sent as in the same written anew: cheap enough for every referral.
    again = msgspec.json.encode(sent)
    if (raw.count(b'"') != again.count(b'"') or b"\\u0022" in raw) and (twice := list(_twice(raw))):
        raise BadDocument(twice)
    return found, sent


def _twice(raw: bytes) -> Iterator[Fault]:
    """Yield the fields that an object has more than once."""
    marked: list[tuple[dict[str, Any], list[str]]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            marked.append((found, [name for name in found if names.count(name) > 1]))
        return found

    whole = json.loads(raw, object_pairs_hook=keep)
    for within, names in marked:
        # One that stands in a value that was itself passed over has no place in what is left: its own name must do.
        place = next(_places(whole, within, ()), ())
        for name in names:
            yield Fault(
                path_of((*place, name)), "it is there twice", "send it once, with everything that it says"
            )


def _places(value: Any, wanted: object, place: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:  # noqa: ANN401 - JSON
    """Yield where the wanted object stands."""
    if value is wanted:
        yield place
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _places(one, wanted, (*place, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _places(one, wanted, (*place, number))
