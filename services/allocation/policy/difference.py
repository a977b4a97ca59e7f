"""What differs between two versions of a policy, rule by rule, in the words that an explanation uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from services.allocation.policy import explanation
from services.allocation.policy.model import Rule, Rules
from services.allocation.policy.shapes import SECTIONS


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that is new, gone, reads otherwise, or stands elsewhere in its list. None: it is not there."""

    section: str
    rule: str
    what: Literal["added", "removed", "changed", "moved"]
    before: str | None
    after: str | None


def differences(before: Mapping[str, Rules], after: Mapping[str, Rules]) -> tuple[Difference, ...]:
    """Return the rules that differ, section by section. Both are rules by section, as a partnership has them."""
    return tuple(
        difference
        for section in SECTIONS
        for difference in _of_section(before.get(section.name, Rules()), after.get(section.name, Rules()))
    )


def in_words(rule: Rule) -> str:
    """Return a rule in a sentence: `if the stage is custody or licence: agency london-crc, because …`."""
    conditions = " and ".join(
        f"{condition.attribute.says} {explanation.asked(condition)}" for condition in rule.conditions
    )
    when = f"if {conditions}: " if conditions else "always: "
    # What an explanation leaves out, since a decision names it anyhow.
    rest = [
        f"{name} {value}".replace("_", " ")
        for name in ("team", "choose")
        if (value := getattr(rule.effect, name, None)) not in (None, "in_order")
    ]
    return f"{when}{', '.join([explanation.outcome(rule.effect), *rest])}, because {rule.because}"


def _of_section(before: Rules, after: Rules) -> Iterator[Difference]:
    was = {rule.id: (place, in_words(rule)) for place, rule in enumerate(before)}
    is_now = {rule.id: (place, in_words(rule)) for place, rule in enumerate(after)}
    section = next((rule.section for rule in (*after, *before)), "")
    # A rule that others were put before has not moved: only the order among those that stayed counts.
    stayed = [name for name in was if name in is_now]
    moved = {
        name
        for name, other in zip(stayed, sorted(stayed, key=lambda name: is_now[name][0]), strict=True)
        if name != other
    }
    for name, (_, words) in was.items():
        if name not in is_now:
            yield Difference(section=section, rule=name, what="removed", before=words, after=None)
    for name, (_, words) in is_now.items():
        if name not in was:
            yield Difference(section=section, rule=name, what="added", before=None, after=words)
        elif was[name][1] != words:
            yield Difference(section=section, rule=name, what="changed", before=was[name][1], after=words)
        elif name in moved:
            yield Difference(section=section, rule=name, what="moved", before=words, after=words)
