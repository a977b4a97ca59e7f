"""When people may be rung: for whoever shifts the services' clocks, as a demonstration, a benchmark or a test does."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

TUESDAY = 1


def until_tuesday(weeks: int = 0) -> timedelta:
    """Return how far ahead the next Tuesday is (or so many weeks after it), 10:00 in London: nobody is rung at night."""
    now = datetime.now(ZoneInfo("Europe/London"))
    ten = now.replace(hour=10, minute=0, second=0, microsecond=0)
    return ten + timedelta(days=(TUESDAY - now.weekday()) % 7 or 7, weeks=weeks) - now
