from __future__ import annotations

from tests.unit.allocation.document import FILE, MARK, written


def test_the_document_of_partnerships_is_the_one_that_policies_and_scenarios_make() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert {match[1] for match in MARK.findall(text)} == {
        "sections",
        "conditions",
        "partnerships",
        "scenarios",
    }
    assert text == written(text), "run: python -m tests.unit.allocation.document"
