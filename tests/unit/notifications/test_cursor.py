"""Cursors of a feed: whoever reads on from one has every entry before it."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from services.notifications.domain import cursor
from services.notifications.domain.cursor import Cursor


def feed(events: str, end: int = 0) -> list[Cursor]:
    """Return the cursors of a feed of these events, written in one batch onto what ended with a witness."""
    marks = [cursor.mark(event, "beacon", "case.paused", "case", None) for event in events]
    last = (end + cursor.total(marks)) & cursor.MASK
    return [Cursor(number, witness) for number, witness in enumerate(cursor.witnesses(last, marks), 1)]


def test_nobody_reads_on_who_has_not_every_entry_before() -> None:
    """Of every two orders in which a feed can have been written: a cursor fits both only after the same entries."""
    orders = ["".join(order) for order in permutations("abcde")]
    for before, after in product(orders, orders):
        fits = [one == other for one, other in zip(feed(before), feed(after), strict=True)]
        assert fits == [set(before[:n]) == set(after[:n]) for n in range(1, 6)]


def test_batches_make_no_difference() -> None:
    whole, first = feed("abcd"), feed("ab")
    assert first[-1].witness is not None
    rest = [Cursor(c.number + 2, c.witness) for c in feed("cd", first[-1].witness)]
    assert [*first, *rest] == whole


def test_whom_an_entry_tells_of_what_is_in_its_mark() -> None:
    parts = ("event", "beacon", "case.paused", "case-1", "mary")
    others = [(*parts[:n], "x", *parts[n + 1 :]) for n in range(5)]
    assert len({cursor.mark(*each) for each in (parts, *others)}) == 6
    assert cursor.mark(*parts[:4], None) == cursor.mark(*parts[:4], "")


def test_a_cursor_is_read_as_it_was_written() -> None:
    for each in (Cursor(0), Cursor(7), *feed("abc"), Cursor(9, 0), Cursor(9, cursor.MASK)):
        assert Cursor.read(str(each)) == each
    for wrong in ("", "-1", "1.", "x", "1.g", "1.0.0", "\u0661", "1" * 19, "1\n"):
        with pytest.raises(ValueError, match="not a cursor"):
            Cursor.read(wrong)
