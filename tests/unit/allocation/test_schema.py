from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from services.allocation.policy import schema
from services.allocation.policy.source import read
from tests.unit.allocation.scenario import POLICIES

FILES = [
    path for path in sorted(POLICIES.glob("*.yaml")) if path.name not in {"vocabulary.yaml", "areas.yaml"}
]


def plain(text: str) -> object:
    root = read("a.yaml", text, [])
    assert root is not None
    return root.plain()


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    published = json.loads(schema.FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published)


def test_the_published_schema_is_the_one_that_the_loader_s_table_makes() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), (
        "run: python -m services.allocation.policy.schema"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_policy_fits_the_schema(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(plain(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ("stage: [custody]", "stage: [prison]"),
        ("due: 10 working days", "due: soon"),
        ("order: most_urgent_first", "order: loudest_first"),
        ("facilitators: 2", "facilitators: 99"),
        ("kind: crc", "kind: firm"),
    ],
)
def test_an_editor_sees_a_word_that_is_not_in_the_vocabulary(
    wrong: str, at: str, validator: jsonschema.Draft202012Validator
) -> None:
    text = (POLICIES / "hertfordshire.yaml").read_text(encoding="utf-8")
    text = text.replace("when: {programme: [c2]}\n    queue", "when: {stage: [custody]}\n    queue")
    assert validator.is_valid(plain(text))
    assert wrong in text
    assert not validator.is_valid(plain(text.replace(wrong, at)))
