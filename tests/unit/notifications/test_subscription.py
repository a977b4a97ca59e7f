"""A mailbox is told nothing before it has agreed, whatever an agency asks for meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain import subscription
from services.notifications.domain.subscription import UNCONFIRMED, Limits, Standing

HOOK, DESK, OTHER = "https://rj.example.org/hook", "mailto:desk@beacon.example", "mailto:other@beacon.example"
NOW = datetime(2026, 3, 3, 10, tzinfo=UTC)
AGREED = Standing(DESK, active=True, reason=None, confirmed=True)


def test_an_endpoint_is_told_at_once_and_a_mailbox_is_asked() -> None:
    assert subscription.begin(HOOK) == Standing(HOOK, active=True, reason=None, confirmed=True)
    assert subscription.begin(DESK) == Standing(DESK, active=False, reason=UNCONFIRMED, confirmed=False)


def test_it_begins_with_the_confirmation_and_a_second_one_changes_nothing() -> None:
    once = subscription.confirm(subscription.begin(DESK))
    assert once == AGREED
    assert subscription.confirm(once) == once


def test_a_confirmation_does_not_start_what_the_agency_has_stopped() -> None:
    stopped = subscription.change(subscription.begin(DESK), None, active=False)
    confirmed = subscription.confirm(stopped)
    assert confirmed == Standing(DESK, active=False, reason=None, confirmed=True)
    assert subscription.change(confirmed, None, active=True) == AGREED
    # Nor the other way: what was stopped before, and wanted again, begins with the confirmation.
    assert subscription.confirm(subscription.change(stopped, None, active=True)) == AGREED


def test_another_mailbox_has_to_agree_anew_and_so_has_the_first_one_then() -> None:
    moved = subscription.change(AGREED, OTHER, active=None)
    assert moved == Standing(OTHER, active=False, reason=UNCONFIRMED, confirmed=False)
    assert not subscription.change(moved, DESK, active=None).confirmed
    assert subscription.change(AGREED, DESK, active=None) == AGREED


def test_an_endpoint_instead_of_a_mailbox_needs_no_confirmation() -> None:
    assert subscription.change(subscription.begin(DESK), HOOK, active=None).active


def test_an_endpoint_that_is_gone_stays_so_until_it_is_wanted_again() -> None:
    gone = Standing(HOOK, active=False, reason="gone", confirmed=True)
    assert subscription.change(gone, None, active=None) == gone
    assert subscription.change(gone, None, active=True) == Standing(
        HOOK, active=True, reason=None, confirmed=True
    )


def test_what_is_paused_by_a_revocation_only_the_agency_resumes() -> None:
    paused = subscription.revoke(subscription.begin(HOOK))
    assert (paused.active, paused.reason) == (False, "revoked")
    assert subscription.revoke(paused) == paused
    assert subscription.change(paused, None, active=True).active
    # A mailbox that agrees meanwhile is told nothing, and one that has yet to agree has yet to agree afterwards.
    asked = subscription.revoke(subscription.begin(DESK))
    assert not subscription.confirm(asked).active
    assert subscription.change(asked, None, active=True) == subscription.begin(DESK)
    gone = Standing(HOOK, active=False, reason="gone", confirmed=True)
    assert subscription.revoke(gone) == gone


@given(
    st.lists(
        st.one_of(
            st.just("confirm"),
            st.tuples(st.sampled_from([None, HOOK, DESK, OTHER]), st.sampled_from([None, True, False])),
        )
    )
)
def test_whatever_is_done_a_mailbox_is_told_only_after_it_agreed(steps: list[object]) -> None:
    standing = subscription.begin(DESK)
    agreed = ""
    for step in steps:
        if isinstance(step, tuple):
            before = standing.url
            standing = subscription.change(standing, step[0], active=step[1])
            agreed = agreed if standing.url == before else ""
        else:
            standing, agreed = subscription.confirm(standing), standing.url
        if standing.active and standing.url != HOOK:
            assert agreed == standing.url
        assert standing.confirmed or not standing.active


def times(count: int, newest: timedelta) -> list[datetime]:
    return [NOW - newest - timedelta(minutes=n) for n in range(count)]


@pytest.mark.parametrize(
    ("last", "mailbox", "agency", "expected"),
    [
        (None, 0, 0, timedelta()),
        (timedelta(minutes=5), 1, 1, timedelta()),
        (timedelta(minutes=1), 1, 1, timedelta(minutes=4)),
        (timedelta(hours=1), 4, 4, timedelta()),
        (timedelta(hours=1), 5, 5, timedelta(hours=22, minutes=56)),
        (None, 0, 40, timedelta(hours=22, minutes=21)),
    ],
)
def test_how_soon_it_may_be_asked_again(
    last: timedelta | None, mailbox: int, agency: int, expected: timedelta
) -> None:
    hour = timedelta(hours=1)
    before = NOW - last if last else None
    assert subscription.wait(NOW, before, times(mailbox, hour), times(agency, hour), Limits()) == expected
