"""The agencies that a policy names: what they are, where they work, what they do not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.allocation.policy.model import Attribute, Partner
from services.allocation.policy.problems import Problem, nearest
from services.allocation.policy.rules import RuleReader
from services.allocation.policy.source import Node
from services.allocation.policy.vocabulary import Areas, Vocabulary

AGENCY_ID: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
FIELDS: Final = ("kind", "name", "areas", "facilitators", "excludes")


def read_partners(
    root: Node,
    vocabulary: Vocabulary,
    areas: Areas,
    attributes: Mapping[str, Attribute],
    problems: list[Problem],
) -> dict[str, Partner]:
    """Reads `agencies`. `attributes` are those that an exclusion may ask about."""
    node = (root.fields or {}).get("agencies")
    if node is None or not node.fields:
        remedy = "list them: `agencies: {beacon: {kind: victim_care, name: Beacon}}`"
        problems.append((node or root).problem("the policy names no agency", remedy))
        return {}
    partners = {}
    for agency_id, entry in node.fields.items():
        if not AGENCY_ID.fullmatch(agency_id):
            remedy = "use lower-case letters, digits and hyphens: victim-support"
            problems.append(entry.problem(f"'{agency_id}' is no agency id", remedy))
        if entry.fields is None:
            problems.append(
                entry.problem(f"nothing is said of '{agency_id}'", "write `{kind: police, name: …}`")
            )
            continue
        reader = RuleReader(entry.file, agency_id, vocabulary, attributes, {}, frozenset(), problems)
        partners[agency_id] = _partner(agency_id, entry, entry.fields, reader, areas)
    return partners


def _partner(
    agency_id: str, entry: Node, fields: Mapping[str, Node], reader: RuleReader, areas: Areas
) -> Partner:
    problems, kinds = reader.problems, reader.vocabulary.words["kinds"]
    for name in fields:
        if name not in FIELDS:
            problems.append(entry.problem(f"an agency has no '{name}'", nearest(name, FIELDS)))
    kind = fields["kind"].text if "kind" in fields else None
    if kind not in kinds:
        at = fields.get("kind", entry)
        problems.append(at.problem(f"'{kind}' is no kind of agency", nearest(kind or "", kinds)))
    where = fields["areas"].items or () if "areas" in fields else ()
    for item in where:
        if item.text not in areas.by_id:
            problems.append(
                item.problem(f"unknown area '{item.text}'", nearest(item.text or "", areas.by_id))
            )
    title = fields["name"].text if "name" in fields else None
    return Partner(
        id=agency_id,
        kind=kind or "",
        name=title or agency_id,
        line=entry.line,
        areas=frozenset(item.text for item in where if item.text),
        facilitators=_facilitators(fields.get("facilitators"), problems),
        excludes=reader.exclusions(fields.get("excludes")),
    )


def _facilitators(node: Node | None, problems: list[Problem]) -> int | None:
    if node is None:
        return None
    text = node.text or ""
    if not (text.isascii() and text.isdigit()):
        problems.append(node.problem(f"'{text}' is no number of facilitators", "write 0 or more"))
        return None
    return int(text)
