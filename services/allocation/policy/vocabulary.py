"""The words that policies may use, and the areas: both are files beside the policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.allocation.policy.model import About, Area, Attribute
from services.allocation.policy.problems import Problem, nearest
from services.allocation.policy.shapes import CONSTANT_WORDS
from services.allocation.policy.source import Node

ABOUTS: Final[tuple[About, ...]] = ("case", "harmed", "responsible", "party", "decision")
LISTS: Final = (
    "kinds", "checks", "forms", "channels", "deadlines", "relations", "worker_roles", "specialisms", "queue_orders",
)  # fmt: skip
FROM_POLICY: Final = ("agencies", "partners", "programmes", "areas", "kinds")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`attributes` as the vocabulary has them (those with `origin` take their values from each policy); `words` by list."""

    attributes: Mapping[str, Attribute]
    origin: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
    scales: frozenset[str]

    def for_policy(self, values: Mapping[str, frozenset[str]]) -> dict[str, Attribute]:
        """The attributes with the values that this policy gives to those that take them from it."""
        return {
            name: Attribute(name, attribute.about, attribute.says, values[self.origin[name]])
            if name in self.origin
            else attribute
            for name, attribute in self.attributes.items()
        }

    def stricter(self, scale: str, left: str | None, right: str | None) -> str | None:
        """The more demanding of two words of a scale; None asks for nothing."""
        order = self.words[scale]
        given = [word for word in (left, right) if word is not None]
        return max(given, key=order.index) if given else None


@dataclass(frozen=True, slots=True)
class Areas:
    """Every area by id, and the names by which referrals may call it."""

    by_id: Mapping[str, Area]
    alias: Mapping[str, str] = field(default_factory=dict)

    def find(self, text: str | None) -> Area | None:
        """The area meant by an id, ONS code, force code or name; None if it is none of them."""
        if text is None:
            return None
        area = self.alias.get(text.strip().casefold())
        return self.by_id[area] if area is not None else None


def read_vocabulary(root: Node, problems: list[Problem]) -> Vocabulary:
    """Reads vocabulary.yaml."""
    fields = root.fields or {}
    words = {name: _words(fields.get(name), problems) for name in LISTS}
    scales = (fields["scales"].fields or {}) if "scales" in fields else {}
    words |= {name: _words(node, problems) for name, node in scales.items()}
    words |= CONSTANT_WORDS
    attributes: dict[str, Attribute] = {}
    origin: dict[str, str] = {}
    conditions = (fields["conditions"].fields or {}) if "conditions" in fields else {}
    if not conditions:
        problems.append(root.problem("there are no conditions", "list them under `conditions:`"))
    for name, node in conditions.items():
        parts = node.fields or {}
        about = parts["about"].text if "about" in parts else None
        if about not in ABOUTS:
            problems.append(
                node.problem(f"'{name}' is about nobody", f"give `about`, {nearest(about or '', ABOUTS)}")
            )
            continue
        values = frozenset(_words(parts["values"], problems)) if "values" in parts else frozenset()
        source = parts["from"].text if "from" in parts else None
        if source == "kinds":
            values = frozenset({*words["kinds"], "other"})
        elif source in FROM_POLICY:
            origin[name] = source or ""
        elif not values:
            problems.append(
                node.problem(
                    f"'{name}' has no values", "give `values: [...]`, or `from:` where they come from"
                )
            )
        says = parts["says"].text if "says" in parts else None
        attributes[name] = Attribute(name, about, says or f"{name} is", values)
        if about != "decision" and values:
            words.setdefault(name, tuple(sorted(values)))
    return Vocabulary(attributes, origin, words, frozenset(scales))


def read_areas(root: Node, problems: list[Problem]) -> Areas:
    """Reads areas.yaml."""
    entries = root.fields or {}
    by_id: dict[str, Area] = {}
    alias: dict[str, str] = {}
    for area_id, node in entries.items():
        parts = node.fields or {}
        name = (parts["name"].text if "name" in parts else None) or area_id
        within = parts["within"].text if "within" in parts else None
        if within is not None and (within not in entries or "within" in (entries[within].fields or {})):
            problems.append(
                node.problem(
                    f"'{area_id}' lies within '{within}', which is no police area", nearest(within, entries)
                )
            )
            within = None
        by_id[area_id] = Area(area_id, name, (area_id,) if within is None else (area_id, within))
        for key in ("ons", "force"):
            if key in parts:
                alias[(parts[key].text or "").casefold()] = area_id
        alias[name.casefold()] = area_id
        alias[area_id.casefold()] = area_id
    return Areas(by_id, alias)


def _words(node: Node | None, problems: list[Problem]) -> tuple[str, ...]:
    if node is None:
        return ()
    if node.items is None:
        problems.append(node.problem("a list of words is expected", "write `[one, other]`"))
        return ()
    return tuple(item.text for item in node.items if item.text)
