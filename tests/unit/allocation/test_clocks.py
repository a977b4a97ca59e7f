from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.allocation.policy import Due, add_working_days, due_at
from services.allocation.policy.clocks import add_months, parse_due


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        (date(2026, 3, 2), 5, date(2026, 3, 9)),  # a Monday; the weekend does not count
        (
            date(2026, 4, 2),
            1,
            date(2026, 4, 7),
        ),  # Maundy Thursday; Good Friday and Easter Monday do not count
        (date(2026, 12, 24), 2, date(2026, 12, 30)),  # Boxing Day is a Saturday, its substitute a Monday
        (date(2027, 12, 23), 3, date(2027, 12, 30)),  # both holidays fall on the weekend and are substituted
        (date(2026, 3, 7), 1, date(2026, 3, 9)),  # received on a Saturday
    ],
)
def test_working_days_skip_weekends_and_bank_holidays(start: date, days: int, end: date) -> None:
    assert add_working_days(start, days) == end


def test_a_due_day_ends_at_midnight_in_london_also_in_summer() -> None:
    due = due_at(Due(amount=5, unit="days"), datetime(2026, 6, 1, 10, tzinfo=UTC), {})
    assert due == datetime(2026, 6, 6, 23, tzinfo=UTC)


def test_the_day_of_receipt_is_london_s_day() -> None:
    just_after_midnight_in_london = datetime(2026, 6, 1, 23, 30, tzinfo=UTC)
    due = due_at(Due(amount=1, unit="days"), just_after_midnight_in_london, {})
    assert due == datetime(2026, 6, 3, 23, tzinfo=UTC)


def test_hours_are_hours() -> None:
    start = datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert due_at(Due(amount=24, unit="hours"), start, {}) == datetime(2026, 6, 2, 10, tzinfo=UTC)


def test_a_court_date_counts_and_without_it_the_span() -> None:
    due = parse_due("by adjourned_to, else 4 weeks")
    assert due is not None
    start = datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert due_at(due, start, {"adjourned_to": date(2026, 3, 20)}) == datetime(2026, 3, 21, tzinfo=UTC)
    assert due_at(due, start, {}) == datetime(2026, 3, 30, 23, tzinfo=UTC)
    assert due_at(Due(by="hearing"), start, {}) is None


@pytest.mark.parametrize(
    ("day", "months", "end"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 12, 15), 12, date(2027, 12, 15)),
    ],
)
def test_a_month_ends_on_its_last_day(day: date, months: int, end: date) -> None:
    assert add_months(day, months) == end


@pytest.mark.parametrize(
    "text",
    ["5 working days", "1 working day", "24 hours", "3 months", "by hearing", "by sentence, else 3 months"],
)
def test_what_a_policy_writes_is_what_it_reads_back(text: str) -> None:
    due = parse_due(text)
    assert due is not None
    assert parse_due(str(due)) == due


@pytest.mark.parametrize(
    "text", ["", "soon", "5", "-1 days", "5  days", "by", "by Hearing", "1000 days", "5 fortnights"]
)
def test_anything_else_is_no_time_to_be_due(text: str) -> None:
    assert parse_due(text) is None
