"""What a service does about each incoming event and each timer: declared beside the function that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from shared.contracts.envelope import REGISTER, Envelope, Payload
from shared.runtime.stream import Ref
from shared.runtime.work import Work

P = TypeVar("P", bound=Payload)
Q = TypeVar("Q", bound=Payload)
EventFunction = Callable[[Work, Envelope[P]], Awaitable[None]]
Locks = Callable[[Envelope[P]], Iterable[Ref]]
Registers = Callable[[EventFunction[P]], EventFunction[P]]
TimerFunction = Callable[[Work, str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class EventHandler:
    """One function for one event type, and which keys to lock for an event."""

    function: EventFunction[Any]
    locks: Locks[Any]


@dataclass(frozen=True, slots=True)
class TimerHandler:
    """One function for one timer name, and which keys to lock."""

    function: TimerFunction
    locks: Callable[[str, dict[str, Any]], Iterable[Ref]]


class Handlers:
    """The handlers of one service."""

    def __init__(self) -> None:
        """Begin with none."""
        self.events: dict[str, EventHandler] = {}
        self.restored: dict[str, EventFunction[Any]] = {}
        self.timers: dict[str, TimerHandler] = {}

    @overload
    def event(self, one: type[P], /, *, locks: Locks[P]) -> Registers[P]: ...
    @overload
    def event(self, one: type[P], other: type[Q], /, *, locks: Locks[P | Q]) -> Registers[P | Q]: ...
    @overload
    def event(self, *payloads: type[Payload], locks: Locks[Payload]) -> Registers[Payload]: ...
    def event(self, *payloads: type[Payload], locks: Locks[Any]) -> Registers[Any]:
        """Handle these event types with the decorated function, the keys of `locks(event)` being held."""

        def register(function: EventFunction[Any]) -> EventFunction[Any]:
            for name in _types_of(payloads):
                if name in self.events:
                    message = f"{name} has two handlers"
                    raise ValueError(message)
                self.events[name] = EventHandler(function, locks)
            return function

        return register

    @overload
    def restore(self, one: type[P], /) -> Registers[P]: ...
    @overload
    def restore(self, one: type[P], other: type[Q], /) -> Registers[P | Q]: ...
    @overload
    def restore(self, *payloads: type[Payload]) -> Registers[Payload]: ...
    def restore(self, *payloads: type[Payload]) -> Registers[Any]:
        """After a restore of the database: rebuild the rows of an own event that only the topic still has.

        The state has evolved already; the function stages rows with `work.write`, and must bear being run twice.
        """

        def register(function: EventFunction[Any]) -> EventFunction[Any]:
            for name in _types_of(payloads):
                self.restored[name] = function
            return function

        return register

    def timer(
        self, name: str, *, locks: Callable[[str, dict[str, Any]], Iterable[Ref]]
    ) -> Callable[[TimerFunction], TimerFunction]:
        """Handle the timers of this name, the keys of `locks(key, data)` being held."""

        def register(function: TimerFunction) -> TimerFunction:
            self.timers[name] = TimerHandler(function, locks)
            return function

        return register


def _types_of(payloads: tuple[type[Payload], ...]) -> list[str]:
    names = [contract.type for contract in REGISTER.values() if contract.payload in payloads]
    if len(names) != len(payloads):
        message = "a payload class is not a registered event"
        raise ValueError(message)
    return names
