"""An attempt found after a restore: intake handed out details, and consent had forgotten. Its holder may still make it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.consent.domain import outcomes, permits
from services.consent.domain.decision import Decision
from services.consent.domain.facts import Attempted, Released, Report
from shared.contracts.consent import AttemptRecorded, Outcome, PermitEnded
from tests.unit.consent.world import World, granted, told, why

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def world() -> World:
    world = World()
    world.lead()
    return world


def find(world: World, **more: object) -> Decision:
    """Intake lists a release that is not known here."""
    use_by = world.now + HALF_AN_HOUR
    release = Released("lost", "vera", "c1", "beacon", "phone", world.now, fence=3, use_by=use_by)
    return world.apply(permits.find_released(world.at, replace(release, **more), world.context))  # type: ignore[arg-type]


def say(world: World, outcome: Outcome, service: str | None = None) -> Decision:
    """Its holder (or a service) tells what became of it."""
    command = Report("lost", "vera", 3, outcome, "beacon", service=service)
    attempted = Attempted("c1", "vera", "beacon", "phone", "approach")
    return world.apply(outcomes.heard(world.at, command, attempted, world.context))


def test_nobody_but_the_holder_can_say_how_it_ended_while_it_can_be_made(world: World) -> None:
    until = world.now + HALF_AN_HOUR
    find(world)
    assert why(world.ask()) == "unresolved"
    world.later(minutes=30)
    refusal = world.resolve("lost", "no_answer").refusal
    assert refusal is not None
    assert (refusal.reason, refusal.not_before) == ("too_early", until)
    assert why(world.ask()) == "unresolved", "its holder may be ringing her"
    world.later(seconds=1)
    assert why(world.resolve("lost", "no_answer")) is None
    world.later(days=2)
    assert granted(world.ask())


def test_where_intake_does_not_say_how_long_it_is_as_long_as_any(world: World) -> None:
    find(world, use_by=None)
    world.later(hours=25)
    assert why(world.resolve("lost", "no_answer")) == "too_early"
    world.later(seconds=1)
    assert why(world.resolve("lost", "no_answer")) is None


def test_the_holders_own_word_is_never_too_early(world: World) -> None:
    find(world)
    assert told(say(world, "no_answer"), AttemptRecorded)[0].outcome == "no_answer"
    assert outcomes.unheard(world.at, "vera", "lost") is None
    assert why(world.ask()) == "attempt_gap"
    world.later(days=2)
    assert granted(world.ask())
    world.redeem()
    assert world.people["vera"].permit.fence > 3, "fences count up, also past one that had been forgotten"  # type: ignore[union-attr]


def test_what_the_person_told_the_holder_counts(world: World) -> None:
    find(world)
    say(world, "declined")
    world.later(days=2)
    assert why(world.ask()) == "declined"


def test_the_hub_may_find_out_at_once_what_the_holder_does_not_know(world: World) -> None:
    find(world)
    say(world, "unknown")
    assert why(world.ask()) == "unresolved"
    assert why(world.resolve("lost", "no_answer")) is None


def test_that_nothing_was_begun_only_intake_can_say(world: World) -> None:
    """A service may be sending for the holder, and consent has forgotten which."""
    find(world)
    assert why(say(world, "not_made")) == "not_sender"
    assert told(say(world, "not_made", service="intake"), PermitEnded)[0].how == "not_made"
    assert (world.people["vera"].approaches, world.people["vera"].unresolved) == ((), ())
    assert granted(world.ask())
