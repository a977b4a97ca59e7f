"""Every event has a golden schema: a change that older readers could not read fails here.

Write new ones with `python -m tests.contract.golden`, and read the difference before committing it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import shared.contracts  # noqa: F401 - registers every event
from shared.contracts.envelope import REGISTER
from tests.contract.golden import FOLDER, breaking, schema_of


@pytest.mark.parametrize("name", sorted(REGISTER))
def test_the_schema_is_the_golden_one(name: str) -> None:
    path = FOLDER / f"{name}.json"
    assert path.exists(), f"{name} has no golden schema: run python -m tests.contract.golden"
    golden, now = json.loads(path.read_text()), schema_of(name)
    assert not breaking(golden, now), f"{name}: {breaking(golden, now)}: make it a new version of the event"
    assert golden == now, f"{name} has changed compatibly: run python -m tests.contract.golden"


def test_no_golden_schema_is_left_of_an_event_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(REGISTER)


def test_a_removed_field_a_new_required_one_and_another_type_are_breaking() -> None:
    old: dict[str, Any] = {
        "$defs": {"E": {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}}
    }
    removed = {"$defs": {"E": {"properties": {"a": {"type": "string"}}, "required": ["a"]}}}
    required = {"$defs": {"E": {**old["$defs"]["E"], "required": ["a", "b"]}}}
    retyped = {
        "$defs": {
            "E": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
        }
    }
    added = {"$defs": {"E": {"properties": {**old["$defs"]["E"]["properties"], "c": {}}, "required": ["a"]}}}
    assert breaking(old, removed)
    assert breaking(old, required)
    assert breaking(old, retyped)
    assert not breaking(old, added)


def test_no_event_has_a_field_for_personal_data() -> None:
    forbidden = (
        "forename",
        "surname",
        "address",
        "postcode",
        "birth",
        "telephone",
        "phone_number",
        "email_address",
        "note",
    )
    for name in REGISTER:
        for definition in schema_of(name)["$defs"].values():
            for field in definition.get("properties", {}):
                assert not any(word in field for word in forbidden), f"{name} has a field {field}"
