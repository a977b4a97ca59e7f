"""A doubt about several people: each beside the newer record, with how the matcher found that they compare."""

from typing import Any

from services.dashboard import words
from services.dashboard.api.common import _TEMPLATES
from services.dashboard.api.reviews import _pairs


def side(person: str, *shown: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "person": person,
        "records": [{"agency": "police" if sent else None, "sent": sent} for sent in shown],
    }


def table(**levels: str) -> list[dict[str, Any]]:
    return [{"field": field, "level": level, "bits": 2.5} for field, level in levels.items()]


def doubt(**others: list[dict[str, Any]]) -> dict[str, Any]:
    """Mary, who may be p1, whose record is shown, or p2, whose record is not."""
    mary = {"name": {"forenames": "Mary", "surname": "Wells"}}
    return {
        "id": "r", "kind": "identity", "version": 1, "person": "p0", "candidates": ["p1", "p2"],
        "sides": [side("p0", mary), side("p1", mary), side("p2", None)],
        "evidence": table(forename="same", surname="same"), "others": others,
        "reasons": ["several_candidates"], "sentence": "", "score": 7.0, "model": "2026",
        "answer": None, "asked_at": None, "may_decide": False,
    }  # fmt: skip


def shown(body: dict[str, Any]) -> str:
    return _TEMPLATES.get_template("review.html").render(
        worker=None, path="/reviews/r", review=body, pairs=_pairs(body), done=None, wrong={}, second=False,
        before=None, after=None, answers=words.ANSWERS, given=words.GIVEN, position=1, total=1, chosen={},
    )  # fmt: skip


def test_each_candidate_is_shown_with_its_own_evidence() -> None:
    body = doubt(p2=table(telephone="same_shared", date_of_birth="far_apart"))
    first, second = _pairs(body)
    assert [row.verdict for row in first["rows"]] == ["Agrees"]
    assert {row.label: row.verdict for row in second["rows"]} == {
        "Name": "Not known",
        "Date of birth": "Differs",
        "Telephone": "Nearly",
    }
    page = shown(body)
    assert page.rindex("side by side") < page.index("How the matcher weighed"), "evidence before score"
    assert "How the matcher weighed candidate 2" in page
    assert words.LEVELS["same_shared"] in page
    assert "Not shown" not in page


def test_a_review_from_before_has_that_of_the_first_alone_and_says_what_is_not_shown() -> None:
    page = shown(doubt())
    assert "How the matcher weighed candidate 1" in page
    assert "How the matcher weighed candidate 2" not in page
    assert "Not shown" in page
