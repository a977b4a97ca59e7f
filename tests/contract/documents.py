"""The documents of all events, generated from the contracts: docs/events.md for people, docs/asyncapi.json for tools.

Write them anew with `python -m tests.contract.documents`.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import shared.contracts  # noqa: F401 - registers every event
from shared.contracts.envelope import REGISTER, TOPICS, Contract
from shared.runtime.handlers import Handlers
from shared.runtime.settings import OWNERS, SERVICES

FOLDER = Path(__file__).parents[2] / "docs"
EVENTS = FOLDER / "events.md"
ASYNCAPI = FOLDER / "asyncapi.json"
_REFERENCE = "#/components/schemas/{name}"

# The Kafka headers of every event: CloudEvents 1.0, binary mode. See shared/runtime/wire.py.
HEADERS: dict[str, tuple[bool, str]] = {
    "ce_specversion": (True, "always 1.0"),
    "ce_id": (True, "the event's id, a UUID"),
    "ce_source": (True, "the service that published it: /onefriend/<name>"),
    "ce_type": (True, "its type, with the version"),
    "ce_subject": (True, "its key, which is the Kafka key too"),
    "ce_time": (True, "when it was committed, ISO 8601"),
    "ce_sequence": (True, "counts the events of one key of a topic from 1, without gaps"),
    "ce_previous": (False, "the id of the key's event before it; absent for the first"),
    "ce_causation": (False, "the event or command that caused it"),
    "ce_correlation": (False, "the first cause of them all"),
    "ce_agency": (True, "the agency, or the service, that did it"),
    "ce_worker": (False, "that agency's worker"),
    "traceparent": (False, "W3C trace context"),
    "content-type": (True, "application/json"),
}
_KEYS = {
    "people": "person_id", "referrals": "case_id", "cases": "case_id", "agencies": "agency_id",
    "consent": "person_id of the person spoken to", "notifications": "lane_id or message_id",
}  # fmt: skip


def of_topic(topic: str) -> list[Contract]:
    """Return a topic's events, in the order in which they are declared."""
    return [contract for contract in REGISTER.values() if contract.topic == topic]


def handled_by(name: str) -> list[str]:
    """Return the services that have a handler for an event type."""
    return [service for service in SERVICES if name in _handlers(service).events]


def _handlers(service: str) -> Handlers:
    handlers: Handlers = importlib.import_module(f"services.{service}.handlers").handlers
    return handlers


def described(payload: type) -> str:
    """Return a payload's docstring as one line."""
    return " ".join((inspect.getdoc(payload) or "").split())


# --- for people

_INTRODUCTION = """\
# Events

Generated from `shared/contracts/` by `python -m tests.contract.documents`. For tools: [asyncapi.json](asyncapi.json), and a
JSON Schema for each event in `shared/contracts/schemas/`.

CloudEvents 1.0 in binary mode on Kafka: attributes are headers, the value is JSON. Nothing in them identifies a person:
people are pseudonymous ids, reasons are codes. Any order *between* keys is right; *within* a key of a topic `ce_sequence`
counts from 1. ◆ marks a restrictive event: it narrows who may be contacted, and is applied at once even if its key is
parked.

"""


def events_md() -> str:
    """Return docs/events.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _INTRODUCTION.splitlines()
    yield "| header | always there | what it is |"
    yield "|---|---|---|"
    for header, (required, what) in HEADERS.items():
        yield f"| `{header}` | {'yes' if required else ''} | {what} |"
    for topic in TOPICS:
        yield ""
        yield f"## {topic}"
        yield ""
        yield f"Published by {OWNERS[topic]}. Key: {_KEYS[topic]}."
        for contract in of_topic(topic):
            yield from _event_lines(contract)


def _event_lines(contract: Contract) -> Iterator[str]:
    yield ""
    yield f"### {'◆ ' if contract.restrictive else ''}`{contract.type}`"
    yield ""
    yield described(contract.payload)
    readers = handled_by(contract.type)
    yield ""
    yield (
        f"Handled by {', '.join(readers)}."
        if readers
        else "Handled by no service: for agencies' systems and the audit trail."
    )
    fields = msgspec.structs.fields(contract.payload)
    if fields:
        yield ""
        shown = (
            f"`{field.encode_name}`" + ("" if field.required else " (may be absent)") for field in fields
        )
        yield "Fields: " + ", ".join(shown) + "."


# --- for tools


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document."""
    payloads = [contract.payload for contract in REGISTER.values()]
    references, schemas = msgspec.json.schema_components(payloads, ref_template=_REFERENCE)
    schema_of = {contract.type: ref for contract, ref in zip(REGISTER.values(), references, strict=True)}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Onefriend's events",
            "version": "0.1.0",
            "description": "CloudEvents 1.0 in binary mode on Kafka. No event identifies a person.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {
            "messages": {name: _message(contract, schema_of[name]) for name, contract in REGISTER.items()},
            "messageTraits": {"cloudEvent": {"headers": _headers()}},
            "schemas": schemas,
        },
    }
    return dict(json.loads(json.dumps(document)))


def _channel(topic: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": f"Published by {OWNERS[topic]}, kept for ever. Key: {_KEYS[topic]}.",
        "messages": {c.type: {"$ref": f"#/components/messages/{c.type}"} for c in of_topic(topic)},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1}}},
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in TOPICS:
        yield _operation(OWNERS[topic], "send", topic, of_topic(topic))
        for service in SERVICES:
            handled = [c for c in of_topic(topic) if service in handled_by(c.type)]
            if handled:
                yield _operation(service, "receive", topic, handled)


def _operation(
    service: str, action: str, topic: str, contracts: list[Contract]
) -> tuple[str, dict[str, Any]]:
    verb = "publishes" if action == "send" else "handles"
    return f"{service}.{action}.{topic}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": f"{service} {verb} these events of {topic}",
        "messages": [{"$ref": f"#/channels/{topic}/messages/{c.type}"} for c in contracts],
    }


def _message(contract: Contract, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": contract.type,
        "summary": described(contract.payload),
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "bindings": {"kafka": {"key": {"type": "string", "description": _KEYS[contract.topic]}}},
        "payload": schema,
        "x-restrictive": contract.restrictive,
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": what} for name, (_, what) in HEADERS.items()},
        "required": [name for name, (required, _) in HEADERS.items() if required],
    }


def asyncapi_json() -> str:
    """Return docs/asyncapi.json."""
    return json.dumps(asyncapi(), indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write both documents anew."""
    EVENTS.write_text(events_md())
    ASYNCAPI.write_text(asyncapi_json())


if __name__ == "__main__":
    write()
