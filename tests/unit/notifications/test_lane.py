"""A lane: given what happened, when a try ends, then what follows."""

from datetime import timedelta

import pytest

from services.notifications.domain import LaneState, lane
from services.notifications.domain.lane import Attempt
from services.notifications.settings import Settings
from shared.contracts.envelope import Payload
from shared.contracts.notifications import DeliveryFailed, DeliveryRedriven, DeliverySucceeded


def given(*events: Payload) -> LaneState:
    state = LaneState()
    for event in events:
        state = lane.evolve(state, event)
    return state


def tried(entry: int, attempts: int, reason: str | None = None, *, final: bool = False) -> Attempt:
    return Attempt("s", entry, attempts, reason, final=final)


def failed(entry: int) -> DeliveryFailed:
    return DeliveryFailed(subscription="s", entry=entry, attempts=3, reason="timeout")


def test_a_taken_entry_is_told_with_the_number_of_tries() -> None:
    assert lane.conclude(given(), tried(4, 2), 3) == [
        DeliverySucceeded(subscription="s", entry=4, attempts=2)
    ]


def test_a_failed_try_is_repeated_until_there_have_been_enough() -> None:
    assert lane.conclude(given(), tried(4, 2, "timeout"), 3) == []
    assert lane.conclude(given(), tried(4, 3, "timeout"), 3) == [failed(4)]


def test_what_cannot_get_better_fails_at_once() -> None:
    [event] = lane.conclude(given(), tried(4, 1, "gone", final=True), 3)
    assert isinstance(event, DeliveryFailed)


def test_an_answer_that_comes_after_the_lane_was_given_up_changes_nothing() -> None:
    assert lane.conclude(given(failed(4)), tried(4, 3), 3) == []


def test_a_redrive_needs_a_lane_that_waits_at_that_entry() -> None:
    assert lane.redrive(given(failed(4)), "s", 4) == [DeliveryRedriven(subscription="s", entry=4)]
    assert lane.redrive(given(failed(4)), "s", 5) == []
    assert lane.redrive(given(), "s", 4) == []


def test_a_redriven_entry_can_be_taken() -> None:
    state = given(failed(4), DeliveryRedriven(subscription="s", entry=4))
    [event] = lane.conclude(state, tried(4, 1), 3)
    assert lane.evolve(state, event) == LaneState(delivered=4)


def test_a_test_delivery_counts_as_entry_0() -> None:
    assert lane.conclude(given(), tried(0, 1), 3) == [
        DeliverySucceeded(subscription="s", entry=0, attempts=1)
    ]
    assert lane.redrive(given(failed(0)), "s", 0) == [DeliveryRedriven(subscription="s", entry=0)]


@pytest.mark.parametrize("attempts", [1, 2, 5, 12, 60])
def test_waiting_doubles_up_to_an_hour_and_keeps_at_least_half(attempts: int) -> None:
    full = timedelta(seconds=min(2**attempts, 3600))
    assert lane.wait(attempts, 0.0) == full / 2
    assert lane.wait(attempts, 1.0) == full


def test_cases_have_lanes_of_their_own() -> None:
    assert lane.lane_id("s", "case-1") != lane.lane_id("s", "case-2")
    assert lane.lane_id("s", None) == lane.lane_id("s", "")


def test_whoever_is_away_for_a_night_is_told_in_the_morning() -> None:
    most = Settings.model_fields["delivery_attempts"].default
    for jitter, least in ((0.0, 12), (1.0, 24)):
        waited = sum((lane.wait(attempts, jitter) for attempts in range(1, most)), timedelta())
        assert timedelta(hours=least) < waited < timedelta(hours=26)
