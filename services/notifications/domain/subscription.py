"""Whether a subscription may be sent to: a mailbox only after somebody who reads it has agreed.

An agency chooses the address, so it may be mistyped, or somebody else's. What has not been confirmed is never active; what
the agency wants meanwhile is remembered by the reason: `unconfirmed` becomes active with the confirmation, a subscription
that the agency stopped itself does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

MAIL: Final = "mailto:"
UNCONFIRMED: Final = "unconfirmed"
REVOKED: Final = "revoked"

# How often confirmations may be asked for: whoever wants to molest a stranger must not find us willing.
BETWEEN: Final = timedelta(minutes=5)
WITHIN: Final = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """How many confirmations a mailbox may be asked for, and an agency may ask for, within a day."""

    to_a_mailbox: int = 5
    of_an_agency: int = 40


@dataclass(frozen=True)
class Standing:
    """Where a subscription sends and whether it does; `reason` is a code for why not, None if the agency stopped it."""

    url: str
    active: bool
    reason: str | None
    confirmed: bool


def begin(url: str) -> Standing:
    """Return a new subscription's standing: it is wanted, and a mailbox has yet to agree."""
    return _settled(Standing(url, active=True, reason=None, confirmed=not url.startswith(MAIL)))


def change(standing: Standing, url: str | None, *, active: bool | None) -> Standing:
    """Return the standing after an agency's change; None leaves it as it is. Another mailbox has to agree anew."""
    wanted = standing.active or standing.reason == UNCONFIRMED
    url = standing.url if url is None else url
    agreed = standing.confirmed and url == standing.url
    return _settled(
        Standing(
            url,
            wanted if active is None else active,
            None if standing.reason == UNCONFIRMED else standing.reason,
            agreed or not url.startswith(MAIL),
        )
    )


def revoke(standing: Standing) -> Standing:
    """Return the standing once its agency's access has ended; only the agency itself activates it again.

    What had been stopped before keeps its reason.
    """
    if standing.active or standing.reason == UNCONFIRMED:
        return replace(standing, active=False, reason=REVOKED)
    return standing


def confirm(standing: Standing) -> Standing:
    """Return the standing once the mailbox has agreed; the second time nothing changes."""
    if standing.confirmed:
        return standing
    wanted = standing.reason == UNCONFIRMED
    return replace(standing, confirmed=True, active=wanted, reason=None if wanted else standing.reason)


def _settled(wanted: Standing) -> Standing:
    """Return what is wanted as far as it may be."""
    if not wanted.active:
        return wanted
    if not wanted.confirmed:
        return replace(wanted, active=False, reason=UNCONFIRMED)
    return replace(wanted, reason=None)


def wait(
    now: datetime,
    last: datetime | None,
    mailbox: Sequence[datetime],
    agency: Sequence[datetime],
    limits: Limits,
) -> timedelta:
    """Return how long to wait before a confirmation may be asked for: zero, if it may be now.

    `last`: when this subscription asked; `mailbox`, `agency`: when this mailbox was asked, and this agency asked any, each
    the newest first, as many as the limits at most.
    """
    ends = [last + BETWEEN] if last else []
    for times, most in ((mailbox, limits.to_a_mailbox), (agency, limits.of_an_agency)):
        if len(times) >= most:
            ends.append(times[most - 1] + WITHIN)
    return max((end - now for end in ends if end > now), default=timedelta())
