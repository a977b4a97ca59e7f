"""One section of a policy file -> its rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any, Final

import msgspec

from services.allocation.policy.model import Attribute, Condition, Effect, Partner, Rule, Rules
from services.allocation.policy.problems import Problem, nearest
from services.allocation.policy.shapes import Section
from services.allocation.policy.source import Node
from services.allocation.policy.values import CODE, ValueReader, Wrong
from services.allocation.policy.vocabulary import Vocabulary
from shared.contracts.envelope import Hours

RULE_FIELDS: Final = ("rule", "when", "because")


class RuleReader:
    """Reads rules of one policy. Problems are added to the list it was given; what is wrong is left out."""

    def __init__(
        self, file: str, policy: str, vocabulary: Vocabulary, attributes: Mapping[str, Attribute],
        partners: Mapping[str, Partner], funds: frozenset[str], problems: list[Problem],
    ) -> None:  # fmt: skip
        self.file, self.policy, self.vocabulary, self.attributes = file, policy, vocabulary, attributes
        self.problems = problems
        self.values = ValueReader(vocabulary, partners, funds, problems)

    def section(self, section: Section, node: Node | None) -> Rules:
        """The rules of one section, in the file's order."""
        if node is None:
            return Rules()
        if node.items is None:
            self.problems.append(
                node.problem(f"'{section.name}' is a list of rules", "begin each with `- rule: its-name`")
            )
            return Rules()
        rules: list[Rule] = []
        for item in node.items:
            rule = self._rule(section, item)
            if rule is None:
                continue
            if any(other.id == rule.id for other in rules):
                self.problems.append(
                    item.problem(f"there are two rules '{rule.id}' in {section.name}", "rename one of them")
                )
            rules.append(rule)
        return Rules(rules)

    def exclusions(self, node: Node | None) -> tuple[Rule, ...]:
        """What an agency does not take: a list of conditions, each entry a case that it excludes."""
        if node is None:
            return ()
        if node.items is None:
            self.problems.append(
                node.problem("'excludes' is a list", "write `excludes: [{sensitive: [sexual]}]`")
            )
            return ()
        about = frozenset({"decision", "party"})
        return tuple(
            Rule(f"{self.policy}-excludes-{index}", "excludes", self.policy, self.file, item.line,
                 self._conditions(item, frozenset(), about), "", Effect())
            for index, item in enumerate(node.items, start=1)
        )  # fmt: skip

    def _rule(self, section: Section, node: Node) -> Rule | None:
        if node.fields is None:
            self.problems.append(node.problem("a rule is a map", "begin it with `- rule: its-name`"))
            return None
        for key in node.fields:
            if key not in RULE_FIELDS and key not in section.fields:
                remedy = nearest(key, (*RULE_FIELDS, *section.fields))
                if " " in key:  # YAML took what follows a comma for the next field
                    remedy = "put quotes around the text before it, because it contains a comma"
                self.problems.append(
                    Problem(
                        self.file, node.key_lines[key], f"a rule of {section.name} has no '{key}'", remedy
                    )
                )
        name = node.fields["rule"].text if "rule" in node.fields else None
        if name is None or not CODE.fullmatch(name):
            at = node.fields.get("rule", node)
            self.problems.append(
                at.problem("the rule has no name", "write `rule: its-name` in lower case with hyphens")
            )
            return None
        because = node.fields["because"].text if "because" in node.fields else None
        if not because:
            self.problems.append(
                node.problem(
                    f"'{name}' gives no reason", "write `because:` and a sentence for those who ask why"
                )
            )
        when = node.fields.get("when")
        conditions = self._conditions(when, section.not_about, frozenset()) if when is not None else ()
        effect = self._effect(section, node, name)
        if effect is None:
            return None
        return Rule(name, section.name, self.policy, self.file, node.line, conditions, because or "", effect)

    def _conditions(
        self, node: Node, not_yet: frozenset[str], abouts: frozenset[str]
    ) -> tuple[Condition, ...]:
        if not node.fields:
            self.problems.append(
                node.problem("the conditions are no map", "write `{stage: [custody]}`, or leave `when` out")
            )
            return ()
        conditions = []
        for name, value in node.fields.items():
            attribute = self.attributes.get(name)
            if attribute is None:
                self.problems.append(
                    value.problem(f"there is no condition '{name}'", nearest(name, self.attributes))
                )
            elif name in not_yet or attribute.about in abouts:
                remedy = "use it in a later section, or another condition"
                self.problems.append(value.problem(f"'{name}' is not known here yet", remedy))
            else:
                conditions.append(self._condition(attribute, value))
        return tuple(conditions)

    def _condition(self, attribute: Attribute, value: Node) -> Condition:
        """A value, a list of values, or `{except: [values]}`."""
        name = attribute.name
        excepted = (
            value.fields["except"] if value.fields is not None and value.fields.keys() == {"except"} else None
        )
        listed = excepted if excepted is not None else value
        words = listed.items if listed.items is not None else (listed,)
        for word in words:
            if word.text is None:
                remedy = "write a value, `[one, other]` or `{except: [one, other]}`"
                self.problems.append(word.problem(f"'{name}' is not given by a list of words", remedy))
            elif word.text not in attribute.values:
                self.problems.append(
                    word.problem(
                        f"'{word.text}' is no value of '{name}'", nearest(word.text, attribute.values)
                    )
                )
        written = tuple(word.text or "" for word in words)
        if not written:
            self.problems.append(
                value.problem(f"'{name}' lists nothing", "list the values that the rule is for")
            )
        if attribute.values and set(written) >= attribute.values:
            self.problems.append(value.problem(f"'{name}' lists every value there is", "drop the condition"))
        if excepted is not None:
            return Condition(attribute, attribute.values - set(written), written, value.line, excepting=True)
        return Condition(attribute, frozenset(written), written, value.line)

    def _effect(self, section: Section, node: Node, rule: str) -> Effect | None:
        fields = node.fields or {}
        values: dict[str, Any] = {}
        for name, shape in section.fields.items():
            if name not in fields:
                if shape.required:
                    self.problems.append(node.problem(f"'{rule}' gives no '{name}'", f"add `{name}:`"))
                    return None
                continue
            try:
                values[name] = self.values.value(shape, name, fields[name])
            except Wrong:
                return None
        if section.name == "checks" and not self._one_of_asks(node, rule, values):
            return None
        return msgspec.convert(_settled(values), section.effect, strict=False)

    def _one_of_asks(self, node: Node, rule: str, values: dict[str, Any]) -> bool:
        one, each = values.pop("asks", None), values.pop("asks_each", None)
        if (one is None) == (each is None):
            self.problems.append(
                node.problem(
                    f"'{rule}' must say who is asked",
                    "give either `asks` (the first of them) or `asks_each` (all of them)",
                )
            )
            return False
        values["asks"] = each if each is not None else (one,)
        return True


def _settled(values: dict[str, Any]) -> dict[str, Any]:
    """Field names of the file -> those of the effect."""
    if "is" in values:
        values["word"] = values.pop("is")
    days = values.pop("days", None)
    span = values.pop("hours", None)
    if days is not None or span is not None:
        start, until = span or (time(9), time(20))
        values["hours"] = Hours(days=days or (1, 2, 3, 4, 5, 6, 7), start=start, until=until)
    return values
