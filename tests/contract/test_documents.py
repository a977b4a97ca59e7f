"""The committed documents of events are the generated ones, and say what really travels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.contracts.consent import ConsentWithdrawn
from shared.contracts.envelope import REGISTER, Actor, Envelope
from shared.runtime.wire import headers_of
from tests.contract.documents import ASYNCAPI, EVENTS, HEADERS, asyncapi, asyncapi_json, events_md, handled_by

STALE = "run python -m tests.contract.golden"


def test_events_md_is_the_generated_one() -> None:
    assert EVENTS.read_text() == events_md(), STALE


def test_asyncapi_is_the_generated_one() -> None:
    assert ASYNCAPI.read_text() == asyncapi_json(), STALE


def references(node: object) -> list[str]:
    """Return every $ref below a node."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = references(document)
    assert len(found) > len(REGISTER)
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_event_has_a_sentence() -> None:
    for message in asyncapi()["components"]["messages"].values():
        assert len(message["summary"]) > 10, message["name"]


def test_the_headers_are_those_that_are_sent() -> None:
    envelope = Envelope(
        id="1", source="s", type="t", subject="k", time=datetime.now(UTC), sequence=1, previous="0", causation="c",
        correlation="c", traceparent="t", actor=Actor("a", "w"),
        data=ConsentWithdrawn(scope="everything", by="person", via="a", withdrawal="w"),
    )  # fmt: skip
    assert {name for name, _ in headers_of(envelope)} == set(HEADERS)


def test_readers_are_read_from_the_handlers() -> None:
    assert handled_by("case.proposed.v1") == ["intake", "consent"]
