"""An event on the wire: CloudEvents 1.0 binary mode. Attributes are Kafka headers `ce_*`, the value is the JSON payload."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from shared.contracts.envelope import REGISTER, Actor, Contract, Envelope, Payload
from shared.runtime.errors import BadMessage, UnknownEvent
from shared.runtime.work import Recorded

Headers = list[tuple[str, bytes]]

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {}
# Past this the broker refuses the batch: the event stays in the outbox, by itself, and is reported.
MAX_BYTES: Final = 900_000
UNREAD: Final = Payload()
# What no column takes would fail at every attempt, and at that of putting it aside: for ever, and all others behind it.
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HIGHEST = 2**63 - 1
_LONGEST = 200


class Message(Protocol):
    """What is read of a Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def headers_of(envelope: Envelope) -> Headers:
    """Return the headers that carry an envelope's attributes; attributes that are None are left out."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", envelope.time.isoformat().encode()),
        ("ce_sequence", str(envelope.sequence).encode()),
        ("ce_agency", envelope.actor.agency.encode()),
        ("content-type", b"application/json"),
    ]
    optional = (
        ("ce_previous", envelope.previous),
        ("ce_causation", envelope.causation),
        ("ce_correlation", envelope.correlation),
        ("ce_worker", envelope.actor.worker),
        ("traceparent", envelope.traceparent),
    )
    headers.extend((name, value.encode()) for name, value in optional if value is not None)
    return headers


def decode(
    key: bytes | None,
    headers: Iterable[tuple[str, bytes]],
    value: bytes | None,
    wanted: Container[str] | None = None,
) -> Envelope:
    """Return the event in a Kafka record. The payload of a known type that is not `wanted` is left unread.

    Raises BadMessage if its key, sequence or attributes cannot be trusted, UnknownEvent if they can but its type, version
    or payload is not one that this release knows. Both carry a code, never the bytes.
    """
    attributes = dict(headers)
    try:
        subject = attributes["ce_subject"].decode()
        event_id, sequence = attributes["ce_id"].decode(), int(attributes["ce_sequence"])
        envelope_args: dict[str, Any] = {
            "source": attributes["ce_source"].decode(),
            "type": attributes["ce_type"].decode(),
            "time": datetime.fromisoformat(attributes["ce_time"].decode()),
            "actor": Actor(attributes["ce_agency"].decode(), _text(attributes, "ce_worker")),
            "previous": _text(attributes, "ce_previous"),
            "causation": _text(attributes, "ce_causation"),
            "correlation": _text(attributes, "ce_correlation"),
            "traceparent": _text(attributes, "traceparent"),
        }
    except (KeyError, ValueError, AttributeError) as error:  # the last: a header may be without a value
        raise BadMessage("attributes") from error
    if not _UUID.fullmatch(event_id) or len(subject) > _LONGEST or not subject.isprintable():
        raise BadMessage("attributes")
    if key is None or key.decode(errors="replace") != subject or not 1 <= sequence <= _HIGHEST:
        raise BadMessage("key")
    return Envelope(
        id=event_id,
        subject=subject,
        sequence=sequence,
        data=_data(envelope_args["type"], value or b"", wanted),
        **envelope_args,
    )


def _data(event_type: str, value: bytes, wanted: Container[str] | None) -> Any:  # noqa: ANN401 - as below
    if wanted is None or event_type in wanted or event_type not in REGISTER:
        return decode_payload(event_type, value)
    return UNREAD


def decode_payload(event_type: str, value: bytes | str) -> Any:  # noqa: ANN401 - the payload class of the type
    """Return the payload of a registered event type. Raises UnknownEvent with a code."""
    contract: Contract | None = REGISTER.get(event_type)
    if contract is None:
        raise UnknownEvent("type")
    decoder = _DECODERS.get(event_type)
    if decoder is None:
        decoder = _DECODERS[event_type] = msgspec.json.Decoder(contract.payload)
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownEvent("payload") from error


def _text(attributes: dict[str, bytes], name: str) -> str | None:
    value = attributes.get(name)
    return value.decode() if value is not None else None


def size(recorded: Recorded) -> int:
    """Return about how many bytes the event takes on the wire."""
    return len(recorded.value) + 600
