"""A neighbour's voice in a test: events on the real topics, as another service would tell them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Actor, Envelope, Payload, contract_of
from shared.runtime.identifiers import new_id
from shared.runtime.wire import headers_of


@dataclass
class Neighbours:
    """Publishes events on the topics of every service, with sequences that fit. `prefix` sets a test's topics apart."""

    producer: AIOKafkaProducer
    prefix: str
    previous: dict[tuple[str, str], str] = field(default_factory=dict, kw_only=True)
    sequences: Counter[tuple[str, str]] = field(default_factory=Counter, kw_only=True)

    def envelope(self, key: str, payload: Payload, at: datetime | None = None) -> Envelope:
        """Return the next event of a key, not published yet."""
        contract = contract_of(payload)
        stream = (contract.topic, key)
        self.sequences[stream] += 1
        made = Envelope(
            id=new_id(),
            source="/onefriend/test",
            type=contract.type,
            subject=key,
            time=at or datetime.now(UTC),
            sequence=self.sequences[stream],
            previous=self.previous.get(stream),
            causation=None,
            correlation=None,
            traceparent=None,
            actor=Actor("test"),
            data=payload,
        )
        self.previous[stream] = made.id
        return made

    async def publish(self, *events: Envelope) -> None:
        """Put events on their topics; done when the broker has them."""
        for event in events:
            await self.producer.send(
                self.prefix + contract_of(event.data).topic,
                msgspec.json.encode(event.data),
                key=event.subject.encode(),
                headers=headers_of(event),
            )
        await self.producer.flush()
