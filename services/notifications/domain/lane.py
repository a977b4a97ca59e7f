"""A lane: one subscription's deliveries about one case, in order. A failed one stops those behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from shared.contracts.envelope import Payload
from shared.contracts.notifications import DeliveryFailed, DeliveryRedriven, DeliverySucceeded

FIRST_RETRY: Final = timedelta(seconds=2)
LONGEST_RETRY: Final = timedelta(hours=1)
WITHOUT_CASE: Final = "agency"


@dataclass(frozen=True)
class LaneState:
    """`delivered`: the highest entry taken by the endpoint; `failed`: the entry that the lane waits at."""

    delivered: int = 0
    failed: int | None = None


@dataclass(frozen=True)
class Attempt:
    """One try at the head of the lane. `reason` is a code, None if the endpoint took it; `attempts` counts this one."""

    subscription: str
    entry: int
    attempts: int
    reason: str | None = None
    final: bool = False


def lane_id(subscription: str, case: str | None) -> str:
    """Return the key of the lane of a case in a subscription; what concerns no case shares one lane."""
    return f"{subscription}.{case or WITHOUT_CASE}"


def evolve(state: LaneState, payload: Payload) -> LaneState:
    """Return the lane after an event."""
    match payload:
        case DeliverySucceeded(entry=entry):
            return LaneState(max(state.delivered, entry), None if state.failed == entry else state.failed)
        case DeliveryFailed(entry=entry):
            return replace(state, failed=entry)
        case DeliveryRedriven():
            return replace(state, failed=None)
    return state


def conclude(state: LaneState, attempt: Attempt, most: int) -> list[Payload]:
    """Decide what a try means: taken, failed for good (after `most` tries, or `final`), or to be tried again ([])."""
    if state.failed == attempt.entry:
        return []  # a slow sender answers after the lane has been given up: a redrive tries again
    if attempt.reason is None:
        return [
            DeliverySucceeded(
                subscription=attempt.subscription, entry=attempt.entry, attempts=attempt.attempts
            )
        ]
    if attempt.final or attempt.attempts >= most:
        return [
            DeliveryFailed(
                subscription=attempt.subscription,
                entry=attempt.entry,
                attempts=attempt.attempts,
                reason=attempt.reason,
            )
        ]
    return []


def redrive(state: LaneState, subscription: str, entry: int) -> list[Payload]:
    """Decide to try a failed delivery again; nothing if the lane does not wait at it."""
    return [DeliveryRedriven(subscription=subscription, entry=entry)] if state.failed == entry else []


def wait(attempts: int, jitter: float) -> timedelta:
    """Return how long to wait after `attempts` tries: doubled each time, capped, spread by `jitter` (0 to 1).

    Spread over the upper half, so that endpoints that failed together are not asked again together.
    """
    full = min(FIRST_RETRY * (1 << min(attempts - 1, 20)), LONGEST_RETRY)
    return full / 2 + full / 2 * jitter
