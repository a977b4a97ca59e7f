"""When something is due: working days by the bank holidays of England and Wales, and dates of the proceedings.

A working day ends at midnight in London; a due moment is the first instant that is too late, in UTC.
Source of the holidays: the `holidays` library. Source of the clocks: Code of Practice for Victims (2020), in each policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays
import msgspec

LONDON: Final = ZoneInfo("Europe/London")
SATURDAY: Final = 5
UNITS: Final = ("hours", "working days", "days", "weeks", "months")
_SPAN: Final = r"(\d{1,3}) (hour|working day|day|week|month)s?"
_DUE: Final = re.compile(rf"(?:{_SPAN}|by ([a-z0-9_]+)(?:, else {_SPAN})?)")
GRAMMAR: Final = (
    "write for example '5 working days', '4 weeks', 'by hearing' or 'by adjourned_to, else 4 weeks'"
)


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount of a unit, or a date of the proceedings with an amount for when that date is not known."""

    amount: int | None = None
    unit: str | None = None
    by: str | None = None

    def __str__(self) -> str:
        span = f"{self.amount} {self.unit}" if self.amount is not None else ""
        if self.by is None:
            return span
        return f"by {self.by}, else {span}" if span else f"by {self.by}"


def parse_due(text: str) -> Due | None:
    """The due that a policy wrote, or None if it is not in the grammar."""
    match = _DUE.fullmatch(text.strip())
    if match is None:
        return None
    amount, unit, by, other_amount, other_unit = match.groups()
    amount, unit = amount or other_amount, unit or other_unit
    return Due(amount=int(amount) if amount else None, unit=f"{unit}s" if unit else None, by=by)


def due_at(due: Due, start: datetime, deadlines: Mapping[str, date]) -> datetime | None:
    """The first instant that is too late, in UTC; None where it depends on a date that nobody knows yet."""
    if due.by is not None and due.by in deadlines:
        return _end_of(deadlines[due.by])
    if due.amount is None:
        return None
    if due.unit == "hours":
        return start.astimezone(UTC) + timedelta(hours=due.amount)
    return _end_of(_later(start.astimezone(LONDON).date(), due.amount, due.unit))


@lru_cache(maxsize=4096)
def _later(day: date, amount: int, unit: str | None) -> date:
    if unit == "working days":
        return add_working_days(day, amount)
    if unit == "weeks":
        return day + timedelta(weeks=amount)
    if unit == "months":
        return add_months(day, amount)
    return day + timedelta(days=amount)


def add_working_days(day: date, amount: int) -> date:
    """The day that is `amount` working days after `day` (which itself does not count)."""
    while amount:
        day += timedelta(days=1)
        amount -= is_working_day(day)
    return day


def is_working_day(day: date) -> bool:
    """Neither a weekend nor a bank holiday in England and Wales."""
    return day.weekday() < SATURDAY and day not in _bank_holidays(day.year)


def add_months(day: date, amount: int) -> date:
    """The same day of a later month, or that month's last day."""
    months = day.year * 12 + day.month - 1 + amount
    year, month = divmod(months, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day  # noqa: PLR2004 - December, counted from 0
    return date(year, month + 1, min(day.day, last))


@lru_cache(maxsize=32)
def _bank_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("GB", subdiv="ENG", years=year))


@lru_cache(maxsize=4096)
def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), LONDON).astimezone(UTC)
