"""The golden JSON Schemas of all events, and what makes a change incompatible.

`python -m tests.contract.golden` writes them anew, and the documents made from the same contracts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

import shared.contracts  # noqa: F401 - registers every event
from shared.contracts.envelope import REGISTER
from tests.contract import documents

FOLDER = Path(__file__).parents[2] / "shared" / "contracts" / "schemas"


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a registered event's data."""
    contract = REGISTER[name]
    schema = msgspec.json.schema(contract.payload)
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "x-topic": contract.topic,
        "x-restrictive": contract.restrictive,
        **schema,
    }
    return dict(json.loads(json.dumps(described)))


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what a reader or writer of the old schema could not live with in the new one."""
    found = []
    for name, before in old.get("$defs", {}).items():
        after = new.get("$defs", {}).get(name)
        if after is None:
            found.append(f"{name} is gone")
            continue
        fields, now = before.get("properties", {}), after.get("properties", {})
        found += [f"{name}.{field} is gone" for field in fields if field not in now]
        found += [
            f"{name}.{f} is newly required"
            for f in after.get("required", [])
            if f not in before.get("required", [])
        ]
        found += [
            f"{name}.{field} has another type"
            for field in fields
            if field in now and _shape(fields[field]) != _shape(now[field])
        ]
        gone = set(map(str, before.get("enum", []))) - set(map(str, after.get("enum", [])))
        found += [f"{name} no longer allows {value}" for value in sorted(gone)]
    return found


def _shape(field: dict[str, Any]) -> object:
    return {key: field[key] for key in ("type", "$ref", "items", "anyOf", "format") if key in field}


def write() -> None:
    """Write all golden schemas anew."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name in REGISTER:
        (FOLDER / f"{name}.json").write_text(json.dumps(schema_of(name), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    write()
    documents.write()
