"""YAML with its line numbers kept, and nothing but plain maps, lists and words.

PyYAML's composer gives nodes and never constructs an object, so a policy cannot run anything; scalars stay the text that
was written (`yes` is the word yes, never a boolean).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from services.allocation.policy.problems import Problem

LONGEST_FILE = 200_000
DEEPEST = 20
# Seven times as fast where PyYAML was built with libyaml; the messages and line numbers are the same.
LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
}


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a file: exactly one of `text`, `items` and `fields` is not None. `line` counts from 1."""

    file: str
    line: int
    text: str | None = None
    items: tuple[Node, ...] | None = None
    fields: dict[str, Node] | None = None
    key_lines: dict[str, int] = field(default_factory=dict)

    def problem(self, what: str, remedy: str) -> Problem:
        """A problem at this line."""
        return Problem(self.file, self.line, what, remedy)

    def plain(self) -> object:
        """The same as dicts, lists, strings and integers, as a JSON Schema sees it."""
        if self.fields is not None:
            return {key: value.plain() for key, value in self.fields.items()}
        if self.items is not None:
            return [item.plain() for item in self.items]
        text = self.text or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text  # noqa: PLR2004 - so many digits make no sensible number


def read(file: str, text: str, problems: list[Problem]) -> Node | None:
    """The file's content, or None with the reason added to `problems`."""
    if len(text) > LONGEST_FILE:
        problems.append(
            Problem(file, 1, f"the file is longer than {LONGEST_FILE} characters", "split or shorten it")
        )
        return None
    try:
        # Counted from the flat stream of events first: composing is recursive, and in C it would end the process.
        if _depth(text) > DEEPEST:
            problems.append(
                Problem(file, 1, "the file is nested too deeply", "a policy needs no more than six levels")
            )
            return None
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
        at = mark.line if mark is not None else text.count("\n", 0, odd.start()) if odd else 0
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        problems.append(
            Problem(
                file,
                at + 1,
                f"this is no YAML ({reason})",
                "check the indentation (spaces, never tabs), colons and quotes of this line",
            )
        )
        return None
    if root is None:
        problems.append(Problem(file, 1, "the file is empty", "begin with `policy:`, `name:` and `version:`"))
        return None
    return _convert(file, root, problems, ())


def _depth(text: str) -> int:
    depth = deepest = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEEPEST:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


def _convert(file: str, node: yaml.Node, problems: list[Problem], above: tuple[yaml.Node, ...]) -> Node:
    line = node.start_mark.line + 1
    if node.tag not in PLAIN_TAGS:
        problems.append(
            Problem(
                file,
                line,
                f"the tag {node.tag} is not allowed",
                "a policy is words, numbers, lists and maps: drop it",
            )
        )
        return Node(file, line, text="")
    if any(node is other for other in above):
        problems.append(Problem(file, line, "an alias contains itself", "write the value out"))
        return Node(file, line, text="")
    if isinstance(node, yaml.ScalarNode):
        return Node(file, line, text=node.value)
    within = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        return Node(file, line, items=tuple(_convert(file, item, problems, within) for item in node.value))
    fields: dict[str, Node] = {}
    key_lines: dict[str, int] = {}
    for key, value in _pairs(node):
        key_line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if not name:
            problems.append(Problem(file, key_line, "a field's name must be a word", "write `name: value`"))
        elif name in fields:
            problems.append(
                Problem(
                    file,
                    key_line,
                    f"'{name}' is given twice (first in line {key_lines[name]})",
                    "keep one of them",
                )
            )
        else:
            fields[name] = _convert(file, value, problems, within)
            key_lines[name] = key_line
    return Node(file, line, fields=fields, key_lines=key_lines)


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  a composed node is a scalar, a sequence or a mapping
    yield from node.value
