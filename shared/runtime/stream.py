"""A stream: one kind of key whose events share a lock, a topic and a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from shared.contracts.envelope import Payload, Topic

S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Stream(Generic[S]):
    """The declaration of a stream.

    `state` is a frozen dataclass whose defaults are the initial state; it holds the facts that decisions need and no
    personal data. `evolve(state, payload)` is pure. `group(state)` names further keys of the same stream that must be
    locked with this one, transitively (linked people): deciding about one of them without the others would be blind.
    `payloads` are the events of this stream, needed only where two streams share a topic.
    """

    kind: str
    topic: Topic
    state: type[S]
    evolve: Callable[[S, Payload], S]
    group: Callable[[S], Iterable[str]] | None = None
    payloads: tuple[type[Payload], ...] = ()
    _decoder: msgspec.json.Decoder[S] = field(init=False, repr=False)
    _initial: S = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the decoder and the initial state once; states are frozen, so all new keys can begin with the same."""
        object.__setattr__(self, "_initial", self.state())
        object.__setattr__(self, "_decoder", msgspec.json.Decoder(self.state))

    def initial(self) -> S:
        """Return the state of a key that has no event yet."""
        return self._initial

    def decode(self, text: str | bytes) -> S:
        """Return the state stored as JSON. Raises msgspec.ValidationError if it does not fit the class."""
        return self._decoder.decode(text)

    def encode(self, state: S) -> str:
        """Return the JSON to store."""
        return msgspec.json.encode(state).decode()

    def fold(self, state: S, payloads: Iterable[Payload]) -> S:
        """Return the state after these events."""
        for payload in payloads:
            state = self.evolve(state, payload)
        return state


Ref = tuple[Stream[Any], str]
