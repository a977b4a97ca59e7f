"""Events of deliveries (key lane_id) and of messages to people (key message_id), by notifications. Topic `notifications`."""

from __future__ import annotations

from shared.contracts.envelope import Channel, Payload, event


@event("notifications", "delivery.succeeded")
class DeliverySucceeded(Payload):
    """A subscription's endpoint took the entry."""

    subscription: str
    entry: int
    attempts: int


@event("notifications", "delivery.failed")
class DeliveryFailed(Payload):
    """A subscription's endpoint refused the entry for good; the lane waits for a redrive."""

    subscription: str
    entry: int
    attempts: int
    reason: str


@event("notifications", "message.sent")
class MessageSent(Payload):
    """A provider took the message to a person."""

    permit: str
    channel: Channel
    provider: str


@event("notifications", "message.unknown")
class MessageUnknown(Payload):
    """Nobody can say whether the message went: it counts as contacted and is never sent again."""

    permit: str
    channel: Channel
    provider: str
    reason: str


@event("notifications", "message.not_made")
class MessageNotMade(Payload):
    """Certainly nothing was sent: refused before the socket write."""

    permit: str
    channel: Channel
    reason: str
