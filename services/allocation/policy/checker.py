"""Whether a policy decides every case, uses every rule, and asks for no less than the nation does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from services.allocation.policy.boxes import Box, box_of, overlap, subtract
from services.allocation.policy.clocks import Due
from services.allocation.policy.model import (
    Attribute,
    ClockRule,
    LimitRule,
    Partnership,
    Rule,
    Rules,
    Team,
    Word,
    Worker,
)
from services.allocation.policy.problems import Problem
from services.allocation.policy.shapes import SECTIONS, Section
from services.allocation.policy.source import Node
from services.allocation.policy.vocabulary import Vocabulary

HOURS_IN: Final = {"hours": 1, "days": 24, "working days": 24, "weeks": 168, "months": 720}


def check_national(rules: Mapping[str, Rules], root: Node, problems: list[Problem]) -> None:
    """National rules end with one for every other case, since a partnership may say nothing of its own."""
    for section in SECTIONS:
        if section.with_national in {"only", "after", "strictest"} and section.mode == "first":
            own = rules[section.name]
            if not own or own[-1].conditions:
                at = root.fields[section.name] if root.fields and section.name in root.fields else root
                problems.append(
                    at.problem(
                        f"{section.name} has no rule for every other case",
                        "end it with a rule without `when`",
                    )
                )


def check(
    partnership: Partnership,
    attributes: Mapping[str, Attribute],
    vocabulary: Vocabulary,
    root: Node,
    problems: list[Problem],
) -> None:
    """Adds every problem of a partnership that only shows when its rules are seen together."""
    for section in SECTIONS:
        if section.with_national == "only":
            continue
        if section.mode == "first":
            _check_first_match(partnership, section, attributes, root, problems)
        if section.with_national == "strictest":
            problems.extend(_looser_rules(partnership, section, attributes, vocabulary))
    problems.extend(_later_clocks(partnership))
    problems.extend(_unused_names(partnership, root))


def _check_first_match(
    partnership: Partnership,
    section: Section,
    attributes: Mapping[str, Attribute],
    root: Node,
    problems: list[Problem],
) -> None:
    own = partnership.rules[section.name]
    left: list[Box] = [{}]
    for rule in own:
        box = box_of(rule.conditions)
        if not _cut_out(left, box):
            problems.append(_unreachable(rule, own))
        left = subtract(left, box, attributes)
    if section.complete and section.with_national == "own" and left:
        case = ", ".join(f"{name} {min(values)}" for name, values in sorted(left[0].items())) or "any case"
        at = root.fields.get(section.name, root) if root.fields else root
        problems.append(
            at.problem(
                f"{section.name} has no rule for a case with {case}",
                "add a rule for it, or end with one without `when`",
            )
        )


def _cut_out(left: list[Box], box: Box) -> bool:
    return any(overlap(remaining, box) for remaining in left)


def _unreachable(rule: Rule, rules: Rules) -> Problem:
    box = box_of(rule.conditions)
    before = [other for other in rules[: rules.index(rule)] if overlap(box_of(other.conditions), box)]
    named = ", ".join(f"'{other.id}' (line {other.line})" for other in before)
    return Problem(
        rule.file, rule.line, f"'{rule.id}' can never be used: {named} takes every case that it is for",
        "move it up, or narrow what stands before it",
    )  # fmt: skip


def _looser_rules(
    partnership: Partnership, section: Section, attributes: Mapping[str, Attribute], vocabulary: Vocabulary
) -> Iterator[Problem]:
    earlier: list[Box] = []
    for rule in partnership.rules[section.name]:
        regions: list[Box] = [box_of(rule.conditions)]
        for box in earlier:
            regions = subtract(regions, box, attributes)
        earlier.append(box_of(rule.conditions))
        for national in partnership.national[section.name]:
            box = box_of(national.conditions)
            if _cut_out(regions, box):
                for what in LOOSER[type(rule.effect)](rule.effect, national.effect, vocabulary):
                    yield Problem(
                        rule.file, rule.line, f"'{rule.id}' loosens the national rule '{national.id}': {what}",
                        "leave the field out or ask for at least as much; the national rule holds anyway",
                    )  # fmt: skip
            regions = subtract(regions, box, attributes)


def _looser_team(own: Team, national: Team, vocabulary: Vocabulary) -> Iterator[str]:
    if own.facilitators is not None and own.facilitators < (national.facilitators or 0):
        yield f"{own.facilitators} facilitator where the nation asks for {national.facilitators}"
    for scale in ("training", "experience", "supervision"):
        mine, theirs = getattr(own, scale), getattr(national, scale)
        if mine is not None and vocabulary.stricter(scale, mine, theirs) != mine:
            yield f"{scale} '{mine}' where the nation asks for '{theirs}'"
    if own.different_agencies is False and national.different_agencies:
        yield "facilitators of one agency where the nation asks for different agencies"


def _looser_worker(own: Worker, national: Worker, vocabulary: Vocabulary) -> Iterator[str]:
    more = set(own.roles) - set(national.roles)
    if more and national.roles:
        yield f"first contact by {', '.join(sorted(more))}, which the nation does not allow"
    if (
        own.training is not None
        and vocabulary.stricter("training", own.training, national.training) != own.training
    ):
        yield f"training '{own.training}' where the nation asks for '{national.training}'"


def _looser_duty(own: Word, national: Word, vocabulary: Vocabulary) -> Iterator[str]:
    if vocabulary.stricter("duty", own.word, national.word) != own.word:
        yield f"'{own.word}' where the nation asks for '{national.word}'"


def _looser_limits(own: LimitRule, national: LimitRule, _: Vocabulary) -> Iterator[str]:
    for field in ("attempts", "outcome_due_hours"):
        mine, theirs = getattr(own, field), getattr(national, field)
        if mine is not None and theirs is not None and mine > theirs:
            yield f"{field} {mine}, and the nation allows at most {theirs}"
    for field in ("gap_days", "approach_gap_days"):
        mine, theirs = getattr(own, field), getattr(national, field)
        if mine is not None and theirs is not None and mine < theirs:
            yield f"{field} {mine}, and the nation asks for at least {theirs}"
    if (
        own.channels is not None
        and national.channels is not None
        and set(own.channels) - set(national.channels)
    ):
        yield f"channels {', '.join(sorted(set(own.channels) - set(national.channels)))}, which the nation does not allow"
    if own.hours is not None and national.hours is not None:
        outside = own.hours.start < national.hours.start or own.hours.until > national.hours.until
        if outside or set(own.hours.days) - set(national.hours.days):
            yield "hours or days that the nation does not allow"


LOOSER: Final[Mapping[type, Callable[[Any, Any, Vocabulary], Iterator[str]]]] = {
    Team: _looser_team,
    Worker: _looser_worker,
    Word: _looser_duty,
    LimitRule: _looser_limits,
}


def _later_clocks(partnership: Partnership) -> Iterator[Problem]:
    national = {
        rule.effect.clock: rule
        for rule in partnership.national["clocks"]
        if isinstance(rule.effect, ClockRule)
    }
    for rule in partnership.rules["clocks"]:
        assert isinstance(rule.effect, ClockRule)  # noqa: S101 - the section's shape
        other = national.get(rule.effect.clock)
        if other is None:
            continue
        assert isinstance(other.effect, ClockRule)  # noqa: S101 - the section's shape
        if _hours(rule.effect.due) > _hours(other.effect.due):
            yield Problem(
                rule.file, rule.line, f"'{rule.id}' makes the national clock '{rule.effect.clock}' later",
                f"the nation gives {other.effect.due}: ask for that or less, or name another clock",
            )  # fmt: skip


def _hours(due: Due) -> int:
    return (due.amount or 0) * HOURS_IN[due.unit or "hours"]


def _unused_names(partnership: Partnership, root: Node) -> Iterator[Problem]:
    used = {word for rules in partnership.rules.values() for rule in rules for word in _words_of(rule)}
    for section, names in (("programmes", partnership.programmes), ("funds", partnership.funds)):
        for name in names:
            if name not in used:
                line = root.fields[section].key_lines[name] if root.fields else root.line
                yield Problem(
                    partnership.file,
                    line,
                    f"no rule uses '{name}' of {section}",
                    "drop it, or write the rule",
                )


def _words_of(rule: Rule) -> Iterator[str]:
    for condition in rule.conditions:
        yield from condition.allowed
    yield from getattr(rule.effect, "payer", ())
    yield getattr(rule.effect, "extras", None) or ""
