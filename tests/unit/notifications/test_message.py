"""A message to a person: never sent twice, and never said to be not made when it may have been."""

import itertools

import pytest

from services.notifications.domain import MessageState, message
from services.notifications.domain.message import Result
from shared.contracts.envelope import Payload
from shared.contracts.notifications import (
    MessageAccepted,
    MessageNotMade,
    MessageSending,
    MessageSent,
    MessageUnknown,
)

ACCEPTED = MessageAccepted(permit="p", fence=1, agency="beacon", template="approach")
SENDING = MessageSending(permit="p", channel="letter", provider="file")
ENDS: list[Payload] = [
    MessageSent(permit="p", channel="letter", provider="file"),
    MessageUnknown(permit="p", channel="letter", provider="file", reason="timeout"),
    MessageNotMade(permit="p", channel="letter", reason="late"),
]


def given(*events: Payload) -> MessageState:
    state = MessageState()
    for event in events:
        state = message.evolve(state, event)
    return state


def test_it_is_accepted_once() -> None:
    assert message.accept(given(), ACCEPTED) == [ACCEPTED]
    assert message.accept(given(ACCEPTED), ACCEPTED) == []


def test_writing_begins_once_and_only_if_it_was_not_given_up() -> None:
    assert message.start(given(ACCEPTED), "letter", "file") == [SENDING]
    assert message.start(given(ACCEPTED, SENDING), "letter", "file") == []
    for end in ENDS:
        assert message.start(given(ACCEPTED, end), "letter", "file") == []


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_message_stays_as_it_ended(end: Payload) -> None:
    state = given(ACCEPTED, SENDING, end)
    for step in ("sent", "unknown", "not_made"):
        assert message.conclude(state, Result(step)) == []
    assert message.interrupted(state) == []


def test_a_message_that_never_began_cannot_have_been_sent() -> None:
    assert message.conclude(given(ACCEPTED), Result("sent")) == []
    assert message.conclude(given(ACCEPTED), Result("unknown", "x")) == []


def test_interrupted_before_the_write_it_was_certainly_not_made() -> None:
    [event] = message.interrupted(given(ACCEPTED))
    assert isinstance(event, MessageNotMade)


def test_interrupted_during_the_write_nobody_knows() -> None:
    [event] = message.interrupted(given(ACCEPTED, SENDING))
    assert event == MessageUnknown(permit="p", channel="letter", provider="file", reason="interrupted")


def test_whatever_happens_in_whatever_order_writing_begins_at_most_once_and_ends_at_most_once() -> None:
    commands = {
        "accept": lambda s: message.accept(s, ACCEPTED),
        "start": lambda s: message.start(s, "letter", "file"),
        "sent": lambda s: message.conclude(s, Result("sent")),
        "unknown": lambda s: message.conclude(s, Result("unknown", "x")),
        "not made": lambda s: message.conclude(s, Result("not_made", "x")),
        "interrupted": message.interrupted,
    }
    for names in itertools.product(commands, repeat=5):
        state, events = MessageState(), []
        for name in names:
            decided = commands[name](state)
            for event in decided:
                state = message.evolve(state, event)
            events += decided
        kinds = [type(event) for event in events]
        assert kinds.count(MessageSending) <= 1
        assert sum(kinds.count(type(end)) for end in ENDS) <= 1
        if MessageSent in kinds or MessageUnknown in kinds:
            assert kinds.index(MessageSending) < len(kinds) - 1
        if MessageSending in kinds:
            assert not any(type(end) in kinds[: kinds.index(MessageSending)] for end in ENDS)
