"""Policy files -> `Policies`, or every problem at once with file, line and remedy.

`load` reads a folder; `parse` takes the texts, so that a service can keep the published versions wherever it likes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.allocation.policy import checker
from services.allocation.policy.jurisdiction import BASES, Basis, Policies, holders_of
from services.allocation.policy.model import Attribute, Partner, Partnership, Rules
from services.allocation.policy.partners import read_partners
from services.allocation.policy.problems import PolicyErrors, Problem, nearest
from services.allocation.policy.rules import RuleReader
from services.allocation.policy.shapes import BY_NAME, SECTIONS
from services.allocation.policy.source import Node, read
from services.allocation.policy.vocabulary import Areas, Vocabulary, read_areas, read_vocabulary

VOCABULARY: Final = "vocabulary.yaml"
AREAS: Final = "areas.yaml"
NATIONAL: Final = "national.yaml"
HEAD: Final = ("policy", "name", "version", "source")
PARTNERSHIP_FIELDS: Final = (*HEAD, "areas", "agencies", "funds", "programmes")
NATIONAL_FIELDS: Final = (*HEAD, "jurisdiction", "agencies")
OTHER: Final = "other"


def load(folder: Path) -> Policies:
    """Every policy of a folder; `PolicyErrors` with all problems if any is wrong."""
    return parse({path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))})


def parse(files: Mapping[str, str]) -> Policies:
    """Policies of file names and their texts: vocabulary.yaml, areas.yaml, national.yaml and any number of partnerships."""
    problems = [
        Problem(needed, 1, "the file is missing", "put it beside the partnerships' policies")
        for needed in (VOCABULARY, AREAS, NATIONAL)
        if needed not in files
    ]
    roots = {name: read(name, text, problems) for name, text in files.items()}
    basics = (roots.get(VOCABULARY), roots.get(AREAS), roots.get(NATIONAL))
    if basics[0] is None or basics[1] is None or basics[2] is None:
        raise PolicyErrors(problems)
    vocabulary, areas = read_vocabulary(basics[0], problems), read_areas(basics[1], problems)
    if problems:  # every later message would only follow from these
        raise PolicyErrors(problems)
    inherited = "".join(files[name] for name in (VOCABULARY, AREAS, NATIONAL))
    nation = _Reader(vocabulary, areas, problems, inherited).national(basics[2])
    partnerships: dict[str, Partnership] = {}
    for name, root in roots.items():
        if root is None or name in {VOCABULARY, AREAS, NATIONAL}:
            continue
        reader = _Reader(vocabulary, areas, problems, inherited)
        partnership = reader.partnership(name, root, files[name], nation.rules)
        if partnership is not None:
            partnerships[partnership.id] = partnership
    if problems:
        raise PolicyErrors(problems)
    holders = holders_of(partnerships, areas)
    return Policies(partnerships, vocabulary, areas, holders, nation.order, nation.arbiter, nation.version)


@dataclass(frozen=True, slots=True)
class _Nation:
    version: str
    order: tuple[Basis, ...]
    arbiter: str
    rules: Mapping[str, Rules]


def _plan(own: Mapping[str, Rules], national: Mapping[str, Rules]) -> dict[str, Rules]:
    """Each section's rules in the order of evaluation: the nation's first where they bind, last where they are a default."""
    plan = {}
    for section in SECTIONS:
        mine, theirs = own.get(section.name, Rules()), national.get(section.name, Rules())
        if section.with_national in {"both", "only"}:
            plan[section.name] = Rules((*theirs, *mine))
        else:
            plan[section.name] = Rules((*mine, *theirs)) if section.with_national == "after" else mine
    return plan


class _Reader:
    """Reads one file."""

    def __init__(self, vocabulary: Vocabulary, areas: Areas, problems: list[Problem], inherited: str) -> None:
        self.vocabulary = vocabulary
        self.areas = areas
        self.problems = problems
        self.inherited = inherited

    def national(self, root: Node) -> _Nation:
        """national.yaml: who decides ties, in what order areas claim a case, and the rules that all inherit."""
        sections = [section.name for section in SECTIONS if section.with_national != "own"]
        head = self._head(NATIONAL, root, (*NATIONAL_FIELDS, *sections))
        nothing: dict[str, frozenset[str]] = dict.fromkeys(
            ("agencies", "partners", "programmes", "areas"), frozenset()
        )
        partners = read_partners(root, self.vocabulary, self.areas, {}, self.problems)
        rules = self._sections(NATIONAL, root, sections, self.vocabulary.for_policy(nothing), {}, frozenset())
        node = (root.fields or {}).get("jurisdiction")
        fields = (node.fields or {}) if node is not None else {}
        listed = [item.text for item in (fields["order"].items or ())] if "order" in fields else []
        order = tuple(basis for text in listed for basis in BASES if basis == text)
        arbiter = (fields["arbiter"].text or "") if "arbiter" in fields else ""
        if not order or len(order) != len(listed):
            at = fields.get("order", node or root)
            self.problems.append(
                at.problem("the order in which areas claim a case is not clear", f"list {', '.join(BASES)}")
            )
        if arbiter not in partners:
            at = fields.get("arbiter", node or root)
            self.problems.append(
                at.problem(f"the arbiter '{arbiter}' is not one of the agencies", nearest(arbiter, partners))
            )
        checker.check_national(rules, root, self.problems)
        return _Nation(head["version"], order, arbiter, rules)

    def partnership(
        self, file: str, root: Node, text: str, national: Mapping[str, Rules]
    ) -> Partnership | None:
        """One partnership, or None where it is too broken to go on; the problems say why."""
        before = len(self.problems)
        sections = [section.name for section in SECTIONS if section.with_national != "only"]
        head = self._head(file, root, (*PARTNERSHIP_FIELDS, *sections))
        if root.fields is None:
            return None
        covered = self._covered(root)
        within = {area.id: area for area in self.areas.by_id.values() if set(area.within) & set(covered)}
        programmes, funds = self._names(root, "programmes"), self._names(root, "funds")
        known: dict[str, frozenset[str]] = {
            "areas": frozenset(within),
            "programmes": frozenset({"none", OTHER, *programmes}),
            "agencies": frozenset(),
            "partners": frozenset(),
        }
        first = self.vocabulary.for_policy(known)  # exclusions of agencies cannot ask about agencies
        partners = read_partners(root, self.vocabulary, self.areas, first, self.problems)
        known["partners"] = frozenset(partners)
        known["agencies"] = frozenset({OTHER, *partners})
        attributes = self.vocabulary.for_policy(known)
        own = self._sections(file, root, sections, attributes, partners, frozenset(funds))
        self._national_names(own, national)
        digest = hashlib.sha256((self.inherited + text).encode()).hexdigest()[:12]
        partnership = Partnership(
            id=head["policy"], name=head["name"], version=head["version"], digest=digest, source=head["source"], file=file,
            areas=covered, partners=partners, funds=funds, programmes=programmes, rules=own, national=national,
            plan=_plan(own, national),
            places={alias: within[area] for alias, area in self.areas.alias.items() if area in within},
            domains={name: attribute.values for name, attribute in attributes.items()},
            scales={name: self.vocabulary.words[name] for name in self.vocabulary.scales},
        )  # fmt: skip
        if len(self.problems) == before:  # unreachable or missing rules of a half-read file would mislead
            checker.check(partnership, attributes, self.vocabulary, root, self.problems)
        return partnership

    def _head(self, file: str, root: Node, allowed: tuple[str, ...]) -> dict[str, str]:
        head = dict.fromkeys(HEAD, "")
        if root.fields is None:
            self.problems.append(
                root.problem("a policy is a map of sections", "begin with `policy:`, `name:`, `version:`")
            )
            return head
        for name in root.fields:
            if name not in allowed:
                line = root.key_lines[name]
                if name in BY_NAME:
                    what, remedy = f"'{name}' is decided by the national policy alone", "drop the section"
                    if BY_NAME[name].with_national == "own":
                        what, remedy = (
                            f"'{name}' is each partnership's own to decide",
                            "put it into the partnerships' files",
                        )
                else:
                    what, remedy = f"there is no section '{name}'", nearest(name, allowed)
                self.problems.append(Problem(file, line, what, remedy))
        for name in HEAD:
            node = root.fields.get(name)
            if node is None or not node.text:
                at = node or root
                self.problems.append(at.problem(f"'{name}' is missing", f"write `{name}: …` at the top"))
            else:
                head[name] = node.text
        if head["policy"] and head["policy"] != file.removesuffix(".yaml"):
            at = root.fields["policy"]
            self.problems.append(
                at.problem(
                    f"the policy '{head['policy']}' stands in {file}", f"name the file {head['policy']}.yaml"
                )
            )
        return head

    def _covered(self, root: Node) -> tuple[str, ...]:
        node = (root.fields or {}).get("areas")
        if node is None or not node.items:
            self.problems.append(
                (node or root).problem(
                    "the partnership covers no area", "list its police areas: `areas: [kent]`"
                )
            )
            return ()
        for item in node.items:
            if item.text not in self.areas.by_id:
                self.problems.append(
                    item.problem(f"unknown area '{item.text}'", nearest(item.text or "", self.areas.by_id))
                )
        return tuple(item.text for item in node.items if item.text in self.areas.by_id and item.text)

    def _names(self, root: Node, section: str) -> dict[str, str]:
        node = (root.fields or {}).get(section)
        if node is None:
            return {}
        if node.fields is None:
            self.problems.append(
                node.problem(f"'{section}' is a map of names", "write `name: what it is` on each line")
            )
            return {}
        return {name: value.text or "" for name, value in node.fields.items()}

    def _sections(
        self, file: str, root: Node, names: list[str], attributes: Mapping[str, Attribute],
        partners: Mapping[str, Partner], funds: frozenset[str],
    ) -> dict[str, Rules]:  # fmt: skip
        policy = file.removesuffix(".yaml")
        reader = RuleReader(file, policy, self.vocabulary, attributes, partners, funds, self.problems)
        return {name: reader.section(BY_NAME[name], (root.fields or {}).get(name)) for name in names}

    def _national_names(self, own: Mapping[str, Rules], national: Mapping[str, Rules]) -> None:
        for section, rules in own.items():
            taken = {rule.id for rule in national.get(section, ())}
            for rule in rules:
                if rule.id in taken:
                    self.problems.append(
                        Problem(
                            rule.file,
                            rule.line,
                            f"'{rule.id}' is a national rule",
                            "give your rule a name of its own",
                        )
                    )
