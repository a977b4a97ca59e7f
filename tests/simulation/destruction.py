"""What is destroyed just where it is hard to notice: records, key and all, and a topic while its owner reads it.

Of records of which nothing is left, key, headers and value are unreadable, so that nobody can say whose they were.
Where a record still bears its key, its source is asked about that key at once. Of these it is asked to tell the topic again,
at most once a minute. The gap at the key's next event would tell too, but that event may never come, and none is recorded
here for the sake of it.

A topic that is lost when a service that begins already knows where it ends: what it is about to read never comes.

One history in eight has such records, and one in eight such a topic. Both are drawn from generators of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.simulation.cluster import Cluster

SHARE = 1 / 8
HOLDS = frozenset({"person.held.v1", "person.hold_lifted.v1"})
"""Of a link both its people's keys tell; of a hold only one does."""
TARGETS: tuple[tuple[str, frozenset[str]], ...] = (
    ("people", HOLDS),
    ("people", HOLDS),
    ("people", frozenset()),
    ("consent", frozenset()),
)
"""A topic, and the types of event that are waited for: any, if there is none."""


class Destruction:
    """What is destroyed in the history of a seed. `tell` is told of each record."""

    def __init__(self, seed: int, cluster: Cluster, tell: Callable[[str, str], None]) -> None:
        self._random = Random(f"{seed} key destroyed")
        self._tell = tell
        self._left = self._drawn()
        if self._left:
            cluster.kafka.destroy = self._destroy

    def _drawn(self) -> list[tuple[float, str, frozenset[str]]]:
        """Draw from when on the next record of which topic and type is destroyed; mostly none."""
        if self._random.random() >= SHARE:
            return []
        return [
            (self._random.uniform(0.1, 8), *self._random.choice(TARGETS))
            for _ in range(self._random.choice([1, 1, 2]))
        ]

    def _destroy(self, topic: str, headers: Sequence[tuple[str, bytes]]) -> bytes | None:
        """Return what a record is overwritten with, None if it stays as it is."""
        attributes: Mapping[str, bytes] = dict(headers)
        kind, now = attributes["ce_type"].decode(), asyncio.get_running_loop().time()
        for one in self._left:
            since, where, kinds = one
            if now >= since and where == topic and (not kinds or kind in kinds):
                self._left.remove(one)
                key, sequence = attributes["ce_subject"].decode(), int(attributes["ce_sequence"])
                self._tell(
                    "records destroyed with their keys",
                    f"the record of {kind} of {key} (#{sequence}) is destroyed, key and all",
                )
                # No text that could be a key begins so.
                return b"\xff" + self._random.randbytes(15)
        return None

    def end(self) -> None:
        """Destroy nothing more."""
        self._left.clear()


class LostWhileRead:
    """A topic of intake is lost, at most once in the history of a seed, just while intake begins and reads it.

    Of intake's alone: its database is never an older copy, so that nothing is lost twice.
    """

    def __init__(self, seed: int, cluster: Cluster, tell: Callable[[str, str], None]) -> None:
        random = Random(f"{seed} lost while read")
        self._kafka, self._tell = cluster.kafka, tell
        self._left = {random.choice(["people", "referrals"])} if random.random() < SHARE else set[str]()
        if self._left:
            cluster.kafka.read = self._lose

    def _lose(self, topic: str) -> None:
        if topic in self._left and self._kafka.size(topic):
            self._left.discard(topic)
            self._tell("a topic lost while it is read", f"the topic {topic} is lost while its owner reads it")
            self._kafka.lose(topic)

    def end(self) -> None:
        """Lose nothing more."""
        self._left.clear()
