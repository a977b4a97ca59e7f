"""How whoever gets a message answers it: its agency's desk, else that of the hub of the case, in the message's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import time

from shared.contracts.agencies import Desk
from shared.contracts.envelope import Hours


@dataclass(frozen=True)
class Reach:
    """Whom to ring or write to. `through`: the hub's name, if the desk is not that of the agency that writes."""

    desk: Desk = field(default_factory=Desk)
    through: str | None = None


@dataclass(frozen=True)
class _Words:
    """Days from Monday on, what stands between the first and the last of several, and whether clocks count to twelve."""

    days: tuple[str, ...]
    day_to: str
    time_to: str
    twelve: bool = True


_WORDS = {
    "en": _Words(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), " to ", " to "
    ),
    "cy": _Words(
        (
            "dydd Llun",
            "dydd Mawrth",
            "dydd Mercher",
            "dydd Iau",
            "dydd Gwener",
            "dydd Sadwrn",
            "dydd Sul",
        ),
        " i d",  # a day after `i` begins softly: dydd becomes ddydd
        " tan ",
    ),
    "pl": _Words(
        ("poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota", "niedziela"),
        "-",
        "-",
        twelve=False,
    ),
}


def printed(hours: Sequence[Hours], language: str) -> str:
    """Return opening hours as people read them: Monday to Friday, 9am to 5pm."""
    return "; ".join(_one(each, _WORDS[language]) for each in hours)


def _one(hours: Hours, words: _Words) -> str:
    start, until = _clock(hours.start, words), _clock(hours.until, words)
    return f"{_days(hours.days, words)}, {start}{words.time_to}{until}"


def _days(days: Sequence[int], words: _Words) -> str:
    """Three days and more that follow one another are a stretch; others are named one by one."""
    names = [words.days[day - 1] for day in days]
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:  # noqa: PLR2004 - two are named
        return f"{names[0]}{words.day_to}{names[-1]}"
    return ", ".join(names)


def _clock(at: time, words: _Words) -> str:
    if not words.twelve:
        return f"{at.hour}:{at.minute:02}"
    minutes = f":{at.minute:02}" if at.minute else ""
    return f"{(at.hour - 1) % 12 + 1}{minutes}{'am' if at.hour < 12 else 'pm'}"  # noqa: PLR2004 - noon
