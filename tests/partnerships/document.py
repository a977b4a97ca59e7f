"""Writes the generated parts of docs/partnerships.md: sections, conditions, partnerships, and which scenario proves what.

`python -m tests.partnerships.document` after a policy or a scenario has changed; a test holds the file to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from services.allocation import policy
from services.allocation.policy.shapes import SECTIONS
from tests.partnerships import scenario as flow
from tests.unit.allocation.scenario import policies, scenarios

FILE = Path(__file__).parents[2] / "docs" / "partnerships.md"
MARK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
INHERITS = {
    "own": "each partnership's own",
    "after": "the nation's rule stands where the partnership says nothing",
    "strictest": "the stricter of partnership and nation, field by field",
    "both": "the nation's rules and the partnership's, all of them",
    "only": "the nation's alone",
}


def written(text: str) -> str:
    """The document with its generated parts as they should be."""
    made = {
        "sections": _sections(),
        "conditions": _conditions(),
        "partnerships": _partnerships(),
        "kinds": _kinds(),
        "sources": _table(
            ("file", "what it is"), ((f"`{file}`", title) for file, title in flow.SOURCES.items())
        ),
        "flow": _flow(),
        "scenarios": _scenarios(),
    }
    return MARK.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _sections() -> str:
    rows = []
    for section in SECTIONS:
        counts = "the first that applies" if section.mode == "first" else "every one that applies"
        fields = ", ".join(f"`{field}`" for field in section.fields)
        rows.append((f"`{section.name}`", section.says, counts, INHERITS[section.with_national], fields))
    return _table(
        ("section", "decides", "of its rules counts", "with the national rules", "a rule gives"), rows
    )


def _conditions() -> str:
    vocabulary = policies().vocabulary
    rows = []
    for name, attribute in vocabulary.attributes.items():
        values = ", ".join(sorted(attribute.values)) or f"the policy's own {vocabulary.origin[name]}"
        rows.append((f"`{name}`", attribute.about, f"{attribute.says} …", values))
    return _table(("condition", "about", "reads", "values"), rows)


def _partnerships() -> str:
    rows = []
    for found in policies().partnerships.values():
        first = [_name(found, agency) for agency in _given(found, "lead_harmed", "agency")]
        payers = [_name(found, payer) for payer in _given(found, "fund", "payer")]
        checks = [check.replace("_", " ") for check in _given(found, "checks", "check")]
        file = f"[{found.file}](../services/allocation/policies/{found.file})"
        rows.append((found.name, file, *map(_joined, (first, payers, checks)), found.source))
    head = (
        "partnership",
        "policy",
        "who may speak first with the harmed person",
        "who pays",
        "checks of its own",
        "source",
    )
    return _table(head, rows)


def _given(found: policy.Partnership, section: str, field: str) -> list[str]:
    """What the rules of a section say in a field: a word, or several in the order of preference."""
    values = [getattr(rule.effect, field) for rule in found.rules[section]]
    return [word for value in values for word in (value if isinstance(value, tuple) else (value,))]


def _joined(words: list[str]) -> str:
    return "; ".join(dict.fromkeys(words)) or "the national ones"


def _name(found: policy.Partnership, agency: str) -> str:
    if agency in found.partners:
        return found.partners[agency].name
    return found.funds.get(agency, f"*the {agency.replace('-', ' ')}*")


def _kinds() -> str:
    """How many scenarios each partnership has of each kind."""
    rows = []
    for partnership, stories in _by_partnership().items():
        counts = (sum(story.kind == kind for story in stories) for kind in (*flow.KINDS, flow.OWN))
        rows.append((policies().partnerships[partnership].name, *map(str, counts), str(len(stories))))
    return _table(("partnership", *flow.KINDS, flow.OWN, "together"), rows)


def _flow() -> str:
    parts = []
    for partnership, stories in _by_partnership().items():
        file = f"[{partnership}.yaml](../tests/partnerships/scenarios/{partnership}.yaml)"
        parts.append(f"### {policies().partnerships[partnership].name}\n\n{file}\n")
        rows = ((story.name, story.kind, f"“{story.sentence}”", f"`{story.source}`") for story in stories)
        parts.append(_table(("scenario", "kind", "the sentence that it proves", "source"), rows))
    return "\n".join(parts)


def _by_partnership() -> dict[str, list[flow.Scenario]]:
    found: dict[str, list[flow.Scenario]] = {}
    for story in flow.scenarios():
        found.setdefault(story.partnership, []).append(story)
    return found


def _scenarios() -> str:
    parts = []
    for partnership in dict.fromkeys(scenario.partnership for scenario in scenarios()):
        known = policies().partnerships.get(partnership)
        parts.append(f"### {known.name if known is not None else 'In every partnership'}\n")
        rows = [(s.name, s.proves, s.source) for s in scenarios() if s.partnership == partnership]
        parts.append(_table(("scenario", "what it proves", "source"), rows))
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
