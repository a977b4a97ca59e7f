"""Sets of cases as boxes: for each attribute the values it may have, every other attribute being free.

A rule takes one box; so "is a case left without a rule" and "can this rule ever be used" are subtractions of boxes, exact,
with no case generated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.allocation.policy.model import Attribute, Condition

Box = dict[str, frozenset[str]]


def box_of(conditions: Iterable[Condition]) -> Box:
    """The cases that satisfy all conditions."""
    box: Box = {}
    for condition in conditions:
        name = condition.attribute.name
        box[name] = box[name] & condition.allowed if name in box else condition.allowed
    return box


def subtract(boxes: list[Box], cut: Box, attributes: Mapping[str, Attribute]) -> list[Box]:
    """What is left of `boxes` without `cut`, as boxes that do not overlap where the given ones did not."""
    left: list[Box] = []
    for box in boxes:
        left.extend(_subtract_one(box, cut, attributes))
    return left


def overlap(box: Box, other: Box) -> bool:
    """Whether some case is in both."""
    return all(box[name] & other[name] for name in box.keys() & other.keys())


def _subtract_one(box: Box, cut: Box, attributes: Mapping[str, Attribute]) -> list[Box]:
    if not overlap(box, cut):
        return [box]
    left: list[Box] = []
    inside = dict(box)
    for name, values in cut.items():
        whole = inside.get(name, attributes[name].values)
        outside = whole - values
        if outside:
            left.append({**inside, name: outside})
        inside[name] = whole & values
    return left
