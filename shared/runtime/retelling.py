"""A record in which nothing can be believed: whose event it was nobody can say, so its source is asked about its topic.

Telling everything again makes the topic whole once more, for every reader and for whoever is restored from it; readers skip
what they have. That everything was applied here is another question, which only the heads of the source's journal answer: it
is asked before such a record may be put away for good (see quarantine).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from shared.runtime.errors import Unavailable
from shared.runtime.outbox import doubt
from shared.runtime.settings import OWNERS

if TYPE_CHECKING:
    from shared.runtime.service import Service

log = logging.getLogger(__name__)

# Seconds between two tellings of a topic: a flood of rubbish must not have its source tell everything without end.
SELDOM = 60.0
PAGE = 2_000
_HEADS = """
SELECT key, version FROM stream AS s WHERE kind = ANY($2::text[]) AND key > $3 AND version > 0
AND NOT EXISTS (SELECT FROM outbox AS o WHERE (o.topic, o.key) = ($1, s.key) AND o.failed IS NOT NULL)
ORDER BY key LIMIT $4
"""
OK = 200


class Retelling:
    """At the source: begins to tell topics again, each at most once a minute."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Remember nothing of before: at its start a service compares its topics with its journal anyway."""
        self._pool = pool
        self._begun: dict[str, float] = {}

    async def begin(self, topic: str, age: float) -> bool:
        """Have whoever leads the outbox tell a topic again, unless that was begun within the last `age` seconds.

        `age`: how long ago the asker has read what it could not believe. Returns False if it has to ask again later.
        """
        now = asyncio.get_running_loop().time()
        last = self._begun.get(topic, -math.inf)
        if last > now - age:
            return True
        if last > now - SELDOM:
            log.warning(
                "a topic was told again only just now; not yet once more",
                extra={"topic": topic, "seconds": int(now - last)},
            )
            return False
        log.error("a record of a topic cannot be read; telling everything again", extra={"topic": topic})
        await doubt(self._pool, topic)
        self._begun[topic] = now
        return True


async def heads(service: Service, topic: str, after: str) -> list[tuple[str, int]]:
    """Return the keys of an own topic past a key, in order, each with its last sequence: PAGE of them at most.

    Not those of which an event cannot be published: nobody can have them, and that is reported where it is.
    """
    kinds = [stream.kind for stream in service.streams if stream.topic == topic]
    rows = await service.pool.fetch(_HEADS, topic, kinds, after, PAGE)
    return [(row["key"], row["version"]) for row in rows]


@dataclass(frozen=True)
class Sources:
    """What is asked of the owners of topics, over HTTP. Raises Unavailable if they do not answer."""

    service: Service

    async def tell_again(self, topic: str, age: float) -> bool:
        """Ask that a topic be told again; see Retelling.begin."""
        answer = await self.service.call(
            OWNERS[topic], "POST", f"/v1/outbox/{topic}/retelling", params={"age": age}
        )
        if answer.status_code != OK:
            raise Unavailable(f"the owner of {topic} refused to tell it again")
        return bool(answer.json()["telling"])

    async def heads(self, topic: str) -> AsyncIterator[dict[str, int]]:
        """Yield how many events each key of a topic has, some keys at a time."""
        after = ""
        while True:
            answer = await self.service.call(
                OWNERS[topic], "GET", f"/v1/outbox/{topic}/heads", params={"after": after}
            )
            if answer.status_code != OK:
                raise Unavailable(f"the owner of {topic} refused to say what it holds")
            page = dict(answer.json()["heads"])
            if not page:
                return
            yield page
            after = list(page)[-1]
