"""The JSON Schema of a policy file, for editors: completion, and most mistakes marked while typing.

Generated from the same table that the loader reads. What only shows when rules are seen together (unreachable rules, cases
without one, national rules loosened) is the checker's. `python -m services.allocation.policy.schema` writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.allocation.policy.shapes import SECTIONS, SYMBOLS, Section, Shape
from services.allocation.policy.source import Node, read
from services.allocation.policy.values import CODE, DAYS, HOURS, LONGEST_TEXT
from services.allocation.policy.vocabulary import Areas, Vocabulary, read_areas, read_vocabulary

FOLDER: Final = Path(__file__).parent.parent / "policies"
FILE: Final = FOLDER / "policy.schema.json"
ID: Final = "https://onefriend.example/schemas/policy.schema.json"
ID_PATTERN: Final = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_SPAN: Final = r"\d{1,3} (hours?|(working )?days?|weeks?|months?)"
DUE_PATTERN: Final = rf"^({_SPAN}|by [a-z0-9_]+(, else {_SPAN})?)$"

MODES: Final = {"first": "the first rule that applies", "all": "every rule that applies"}
Schema = dict[str, Any]


def schema(vocabulary: Vocabulary, areas: Areas) -> Schema:
    """The schema for these words and areas."""
    sections = {section.name: _section(section, vocabulary) for section in SECTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "A partnership's policy: how a referral becomes a case that one agency holds",
        "type": "object",
        "required": ["policy", "name", "version", "source", "agencies"],
        "additionalProperties": False,
        "properties": {
            "policy": {
                "type": "string",
                "pattern": ID_PATTERN,
                "description": "the file's name without .yaml",
            },
            "name": {"type": "string"},
            "version": {
                "type": ["string", "integer"],
                "description": "raise it with every change that is published",
            },
            "source": {"type": "string", "description": "the document that the rules come from"},
            "areas": _list_of({"enum": sorted(areas.by_id)}),
            "agencies": _agencies(vocabulary, areas),
            "funds": {"type": "object", "additionalProperties": {"type": "string"}},
            "programmes": {"type": "object", "additionalProperties": {"type": "string"}},
            "jurisdiction": _jurisdiction(),
            **sections,
        },
        "$defs": {"when": _when(vocabulary, areas)},
    }


def text(folder: Path = FOLDER) -> str:
    """The schema of a folder's vocabulary and areas, as the file has it."""
    roots = {name: _root(folder / name) for name in ("vocabulary.yaml", "areas.yaml")}
    made = schema(read_vocabulary(roots["vocabulary.yaml"], []), read_areas(roots["areas.yaml"], []))
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def _root(path: Path) -> Node:
    root = read(path.name, path.read_text(encoding="utf-8"), [])
    if root is None:
        raise ValueError(f"{path.name} cannot be read: load the policies to see why")
    return root


def _section(section: Section, vocabulary: Vocabulary) -> Schema:
    fields = {name: _field(shape, vocabulary) for name, shape in section.fields.items()}
    return {
        "type": "array",
        "description": f"{section.says}: {MODES[section.mode]}",
        "items": {
            "type": "object",
            "required": [
                "rule",
                "because",
                *(name for name, shape in section.fields.items() if shape.required),
            ],
            "additionalProperties": False,
            "properties": {
                "rule": {"type": "string", "pattern": f"^{CODE.pattern}$"},
                "because": {
                    "type": "string",
                    "description": "a sentence for those who ask why",
                    "maxLength": LONGEST_TEXT,
                },
                "when": {"$ref": "#/$defs/when"},
                **fields,
            },
        },
    }


def _field(shape: Shape, vocabulary: Vocabulary) -> Schema:
    words = {"enum": sorted(vocabulary.words.get(shape.of, ()))}
    agency = {"anyOf": [{"enum": list(SYMBOLS.get(shape.of, ()))}, {"type": "string", "pattern": ID_PATTERN}]}
    agencies = {"anyOf": [agency, _list_of(agency)]}
    by_kind: Mapping[str, Schema] = {
        "text": {"type": "string", "maxLength": LONGEST_TEXT},
        "code": {"type": "string", "pattern": f"^{CODE.pattern}$"},
        "word": words,
        "words": {"anyOf": [words, _list_of(words)]},
        "number": {"type": "integer", "minimum": shape.low, "maximum": shape.high},
        "yes_no": {"enum": ["yes", "no"]},
        "agencies": agencies,
        "payer": agencies,
        "ask_each": _list_of(agencies),
        "groups": _list_of(agencies),
        "due": {"type": "string", "pattern": DUE_PATTERN},
        "hours": {"type": "string", "pattern": f"^{HOURS.pattern}$"},
        "days": {"type": "string", "pattern": f"^({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?$"},
    }
    return by_kind[shape.kind]


def _when(vocabulary: Vocabulary, areas: Areas) -> Schema:
    properties: Schema = {}
    for name, attribute in vocabulary.attributes.items():
        source = vocabulary.origin.get(name)
        value: Schema = {"enum": sorted(attribute.values)} if source is None else {"type": "string"}
        if source == "areas":
            value = {"enum": sorted(areas.by_id)}
        excepting = {
            "type": "object",
            "required": ["except"],
            "additionalProperties": False,
            "properties": {"except": _list_of(value)},
        }
        properties[name] = {
            "description": f"{attribute.says} …",
            "anyOf": [value, _list_of(value), excepting],
        }
    return {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}


def _agencies(vocabulary: Vocabulary, areas: Areas) -> Schema:
    agency = {
        "type": "object",
        "required": ["kind"],
        "additionalProperties": False,
        "properties": {
            "kind": {"enum": sorted(vocabulary.words["kinds"])},
            "name": {"type": "string"},
            "areas": _list_of({"enum": sorted(areas.by_id)}),
            "facilitators": {"type": "integer", "minimum": 0},
            "excludes": _list_of({"$ref": "#/$defs/when"}),
        },
    }
    return {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": agency,
        "propertyNames": {"pattern": ID_PATTERN},
    }


def _jurisdiction() -> Schema:
    bases = {"enum": ["offence", "harmed_home", "responsible_home"]}
    properties = {"order": _list_of(bases), "arbiter": {"type": "string"}}
    return {
        "type": "object",
        "required": ["order", "arbiter"],
        "additionalProperties": False,
        "properties": properties,
    }


def _list_of(item: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": item}


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
