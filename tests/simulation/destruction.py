"""Records of which nothing is left: key, headers and value are unreadable, so that nobody can say whose they were.

Where a record still bears its key, its source is asked about that key at once. Here only the gap tells, when the key's next
event comes: whoever applies that event all the same has lost the one before it. If no event follows, nobody can know before
the next one, or before the source starts again and misses the record among the last that it told. So nothing is asked of
such a key as it stands: one more event of it is recorded when the faults are over, and with that everybody must agree.

One history in eight has such records. They are drawn from a generator of their own: the others are what they would be
without this module, to the byte.
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
        self._cluster = cluster
        self._tell = tell
        self._left = self._drawn()
        self._destroyed: dict[tuple[str, str], int] = {}
        """Topic and key -> the highest sequence that was destroyed."""
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
                self._destroyed[topic, key] = max(sequence, self._destroyed.get((topic, key), 0))
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

    def last(self) -> list[tuple[str, str]]:
        """Return the topics and keys of which a record was destroyed, and no event has followed it."""
        owners = {"people": self._cluster.intake, "consent": self._cluster.consent}
        return [
            (topic, key)
            for (topic, key), sequence in self._destroyed.items()
            if not any(
                (row["topic"], row["key"]) == (topic, key) and row["sequence"] > sequence
                for row in owners[topic].tables["journal"].rows.values()
            )
        ]
