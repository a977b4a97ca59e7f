"""The value of one field of a rule: a word, a number, agencies, a time to be due."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from typing import Final

from services.allocation.policy.clocks import GRAMMAR, Due, parse_due
from services.allocation.policy.model import Partner
from services.allocation.policy.problems import Problem, nearest
from services.allocation.policy.shapes import ALWAYS_FOUND, SYMBOLS, Kind, Shape
from services.allocation.policy.source import Node
from services.allocation.policy.vocabulary import Vocabulary

CODE: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_TEXT: Final = 400


class Wrong(Exception):
    """A value that is not what its field needs; the problem is already noted."""


class ValueReader:
    """Reads values of one policy. Problems are added to the list it was given."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        partners: Mapping[str, Partner],
        funds: frozenset[str],
        problems: list[Problem],
    ) -> None:
        self.vocabulary, self.partners, self.funds, self.problems = vocabulary, partners, funds, problems

    def value(self, shape: Shape, name: str, node: Node) -> object:
        """The value of any field; raises `Wrong` when the problem is noted."""
        if shape.kind == "payer" and name == "extras":
            return self._agency(shape, node)
        return READERS[shape.kind](self, shape, name, node)

    def words(self, shape: Shape, name: str, node: Node) -> tuple[str, ...]:
        """A list of words."""
        return tuple(self.word(self.vocabulary.words[shape.of], item) for item in self._list(name, node))

    def each(self, shape: Shape, name: str, node: Node) -> tuple[tuple[str, ...], ...]:
        """A list of lists of agencies."""
        return tuple(self.agencies(shape, item) for item in self._list(name, node))

    def _wrong(self, node: Node, what: str, remedy: str) -> Wrong:
        self.problems.append(node.problem(what, remedy))
        return Wrong()

    def _list(self, name: str, node: Node) -> tuple[Node, ...]:
        if node.items is None:
            return (node,)
        if not node.items:
            raise self._wrong(node, f"'{name}' lists nothing", "list at least one, or leave it out")
        return node.items

    def text(self, shape: Shape, name: str, node: Node) -> str:
        """A sentence or a code."""
        if not node.text or len(node.text) > LONGEST_TEXT:
            raise self._wrong(
                node, f"'{name}' is no text", f"write a sentence of at most {LONGEST_TEXT} characters"
            )
        if shape.kind == "code" and not CODE.fullmatch(node.text):
            raise self._wrong(
                node, f"'{node.text}' is no code", "use lower-case letters, digits, hyphens and underscores"
            )
        return node.text

    def word(self, allowed: tuple[str, ...], node: Node) -> str:
        """One of some words."""
        if node.text is None or node.text not in allowed:
            shown = f"'{node.text}'" if node.text is not None else "a list or map"
            raise self._wrong(node, f"{shown} cannot stand here", nearest(node.text or "", allowed))
        return node.text

    def number(self, shape: Shape, name: str, node: Node) -> int:
        """A whole number within bounds."""
        if (
            node.text is None
            or not (node.text.isascii() and node.text.isdigit())
            or not shape.low <= int(node.text) <= shape.high
        ):
            raise self._wrong(
                node, f"'{name}' is {node.text!r}", f"write a whole number from {shape.low} to {shape.high}"
            )
        return int(node.text)

    def due(self, node: Node) -> Due:
        """A time to be due."""
        due = parse_due(node.text or "")
        if due is None:
            raise self._wrong(node, f"'{node.text}' is no time to be due", GRAMMAR)
        if due.by is not None and due.by not in self.vocabulary.words["deadlines"]:
            raise self._wrong(
                node, f"there is no date '{due.by}'", nearest(due.by, self.vocabulary.words["deadlines"])
            )
        return due

    def hours(self, node: Node) -> tuple[time, time]:
        """A span of hours."""
        match = HOURS.fullmatch(node.text or "")
        if match is None or match.group(1, 2) >= match.group(3, 4):
            raise self._wrong(node, f"'{node.text}' is no span of hours", "write for example '09:00-19:00'")
        start, start_minute, until, until_minute = (int(part) for part in match.groups())
        return time(start, start_minute), time(until, until_minute)

    def days(self, node: Node) -> tuple[int, ...]:
        """A span of weekdays, Monday being 1."""
        first, _, last = (node.text or "").partition("-")
        if first not in DAYS or (last or first) not in DAYS or DAYS.index(first) > DAYS.index(last or first):
            raise self._wrong(node, f"'{node.text}' is no span of days", "write for example 'mon-fri'")
        return tuple(range(DAYS.index(first) + 1, DAYS.index(last or first) + 2))

    def agencies(self, shape: Shape, node: Node) -> tuple[str, ...]:
        """Agencies in order of preference."""
        refs = tuple(self._agency(shape, item) for item in self._list("agency", node))
        last = refs[-1]
        if shape.always and not self._always_found(last):
            raise self._wrong(
                node,
                f"'{last}' may be nobody, or may exclude the case",
                "add after it an agency that takes every case, or `coordinator`",
            )
        return refs

    def _agency(self, shape: Shape, node: Node) -> str:
        ref = node.text or ""
        if ref in SYMBOLS[shape.of] or ref in self.partners or (shape.kind == "payer" and ref in self.funds):
            return ref
        allowed = {*SYMBOLS[shape.of], *self.partners, *(self.funds if shape.kind == "payer" else ())}
        raise self._wrong(
            node, f"unknown agency '{ref}'", f"list it under `agencies`, or {nearest(ref, allowed)}"
        )

    def _always_found(self, ref: str) -> bool:
        partner = self.partners.get(ref)
        return ref in ALWAYS_FOUND or ref in self.funds or (partner is not None and not partner.excludes)


READERS: Final[Mapping[Kind, Callable[[ValueReader, Shape, str, Node], object]]] = {
    "text": ValueReader.text,
    "code": ValueReader.text,
    "word": lambda reader, shape, _, node: reader.word(reader.vocabulary.words[shape.of], node),
    "words": ValueReader.words,
    "number": ValueReader.number,
    "yes_no": lambda reader, _, __, node: reader.word(("yes", "no"), node) == "yes",
    "agencies": lambda reader, shape, _, node: reader.agencies(shape, node),
    "payer": lambda reader, shape, _, node: reader.agencies(shape, node),
    "ask_each": ValueReader.each,
    "groups": ValueReader.each,
    "due": lambda reader, _, __, node: reader.due(node),
    "hours": lambda reader, _, __, node: reader.hours(node),
    "days": lambda reader, _, __, node: reader.days(node),
}
