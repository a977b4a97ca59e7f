"""How a person may safely be contacted, merged from what several referrals say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from shared.contracts.envelope import Channel, Hours
from shared.contracts.people import Safety

CHANNELS: Final[tuple[Channel, ...]] = ("phone", "text", "email", "letter", "visit", "video")
_BARRED: Final[Mapping[str, Channel]] = {f"no_{channel}": channel for channel in CHANNELS}
_RECKONED: Final = frozenset(
    {"no_safe_channel", "no_safe_hour"}
)  # follow from the rest, so they are reckoned anew


def merge_safety(said: Iterable[Safety]) -> Safety:
    """Return how a person may be contacted, from what several referrals say.

    A channel is possible if one referral makes it so, and barred (flag `no_letter`) if one bars it; hours are those that all
    of them allow. Doubt always narrows: nobody was ever harmed by a call that was not made.
    """
    every = list(said)
    flags = {flag for one in every for flag in one.flags} - _RECKONED
    barred = {_BARRED[flag] for flag in flags if flag in _BARRED}
    possible = {channel for one in every for channel in one.channels} - barred
    hours: Hours | None = None
    for one in every:
        if one.hours is not None:
            hours = one.hours if hours is None else _both(hours, one.hours)
    if hours is not None and not hours.days:
        possible = set()
        flags.add("no_safe_hour")
    if not possible:
        flags.add("no_safe_channel")
    return Safety(
        channels=tuple(channel for channel in CHANNELS if channel in possible),
        hours=hours,
        minor=any(one.minor for one in every),
        flags=tuple(sorted(flags)),
    )


def _both(one: Hours, other: Hours) -> Hours:
    start, until = max(one.start, other.start), min(one.until, other.until)
    days = tuple(day for day in one.days if day in other.days)
    return Hours(days=days if start < until else (), start=start, until=until)
