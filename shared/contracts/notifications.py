"""Events of deliveries (key lane_id) and of messages to people (key message_id), by notifications. Topic `notifications`."""

from __future__ import annotations

from shared.contracts.envelope import Channel, Payload, event


@event("notifications", "delivery.succeeded")
class DeliverySucceeded(Payload, frozen=True, kw_only=True):
    """A subscription's endpoint took the entry."""

    subscription: str
    entry: int
    attempts: int


@event("notifications", "delivery.failed")
class DeliveryFailed(Payload, frozen=True, kw_only=True):
    """A subscription's endpoint refused the entry for good; the lane waits for a redrive."""

    subscription: str
    entry: int
    attempts: int
    reason: str


@event("notifications", "message.sent")
class MessageSent(Payload, frozen=True, kw_only=True):
    """A provider took the message to a person."""

    permit: str
    channel: Channel
    provider: str


@event("notifications", "message.unknown")
class MessageUnknown(Payload, frozen=True, kw_only=True):
    """Nobody can say whether the message went: it counts as contacted and is never sent again."""

    permit: str
    channel: Channel
    provider: str
    reason: str


@event("notifications", "message.not_made")
class MessageNotMade(Payload, frozen=True, kw_only=True):
    """Certainly nothing was sent: refused before the socket write."""

    permit: str
    reason: str
    channel: Channel | None = None


@event("notifications", "delivery.redriven")
class DeliveryRedriven(Payload, frozen=True, kw_only=True):
    """A failed delivery was put back at the head of its lane, by its agency or an operator."""

    subscription: str
    entry: int


@event("notifications", "message.accepted")
class MessageAccepted(Payload, frozen=True, kw_only=True):
    """A message to a person was asked for, against a permit. Nothing is redeemed yet."""

    permit: str
    fence: int
    agency: str
    template: str
    language: str | None = None
    worker: str | None = None


@event("notifications", "message.sending")
class MessageSending(Payload, frozen=True, kw_only=True):
    """Committed before the first byte of the message is written: from here on nobody may send it again."""

    permit: str
    channel: Channel
    provider: str
