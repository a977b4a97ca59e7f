"""A message to a person, against one permit: sent at most once, and what nobody can know goes to a person.

accepted -> sending -> sent | unknown | not_made, and accepted -> not_made. `sending` is committed before the first byte is
written. So whoever finds a message after a crash knows: not yet `sending` means that certainly nothing was sent; `sending`
means that nobody can say. Neither is ever sent again, because the contact details lived only in the memory that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from shared.contracts.envelope import Channel, Payload
from shared.contracts.notifications import (
    MessageAccepted,
    MessageNotMade,
    MessageSending,
    MessageSent,
    MessageUnknown,
)

Step = Literal["new", "accepted", "sending", "sent", "unknown", "not_made"]
Outcome = Literal["delivered", "unknown", "not_made"]
CONCLUDED: frozenset[Step] = frozenset({"sent", "unknown", "not_made"})
OUTCOMES: dict[Step, Outcome] = {"sent": "delivered", "unknown": "unknown", "not_made": "not_made"}


@dataclass(frozen=True)
class MessageState:
    """How far the message got, and by which channel and provider once that is known."""

    step: Step = "new"
    permit: str = ""
    channel: Channel | None = None
    provider: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """What became of sending. `reason` is a code; `channel` is what the release named, if it came so far."""

    step: Literal["sent", "unknown", "not_made"]
    reason: str = ""
    channel: Channel | None = None


def evolve(state: MessageState, payload: Payload) -> MessageState:
    """Return the message after an event."""
    match payload:
        case MessageAccepted(permit=permit):
            return replace(state, step="accepted", permit=permit)
        case MessageSending(channel=channel, provider=provider):
            return replace(state, step="sending", channel=channel, provider=provider)
        case MessageSent():
            return replace(state, step="sent")
        case MessageUnknown(reason=reason):
            return replace(state, step="unknown", reason=reason)
        case MessageNotMade(reason=reason):
            return replace(state, step="not_made", reason=reason)
    return state


def accept(state: MessageState, accepted: MessageAccepted) -> list[Payload]:
    """Decide to take the message on; nothing if it was taken on before."""
    return [accepted] if state.step == "new" else []


def start(state: MessageState, channel: Channel, provider: str) -> list[Payload]:
    """Decide that the write may begin: only from `accepted`, so a message given up meanwhile is not sent ([])."""
    if state.step != "accepted":
        return []
    return [MessageSending(permit=state.permit, channel=channel, provider=provider)]


def conclude(state: MessageState, result: Result) -> list[Payload]:
    """Decide the end of a message; nothing if it has ended, or if a message that never began claims to have been sent."""
    if state.step in CONCLUDED or state.step == "new":
        return []
    if result.step == "not_made":
        return [
            MessageNotMade(permit=state.permit, channel=state.channel or result.channel, reason=result.reason)
        ]
    if state.step != "sending" or state.channel is None:
        return []
    if result.step == "sent":
        return [MessageSent(permit=state.permit, channel=state.channel, provider=state.provider)]
    return [
        MessageUnknown(
            permit=state.permit, channel=state.channel, provider=state.provider, reason=result.reason
        )
    ]


def interrupted(state: MessageState) -> list[Payload]:
    """Decide about a message whose sender died: certain or not, by how far it got."""
    if state.step == "sending":
        return conclude(state, Result("unknown", "interrupted"))
    return conclude(state, Result("not_made", "interrupted"))
