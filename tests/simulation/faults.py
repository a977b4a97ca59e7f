"""What goes wrong in a history: processes die, disks and topics are lost, records are damaged, clocks jump.

What is drawn at any await (cut connections, lost answers, slow messages) is in the parts themselves: see loop.Chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context
from datetime import timedelta

from tests.simulation.cluster import Cluster
from tests.simulation.database import Key, Row
from tests.simulation.destruction import Destruction, LostWhileRead
from tests.simulation.loop import Process
from tests.simulation.witness import Witness

UNTOLD = {"permit.granted.v1", "permit.redeemed.v1", "permit.refused.v1"}
"""Events of consent that may be lost with its disk, if nobody has heard of them."""
OF_PEOPLE = ("person.linked.v1", "person.unlinked.v1", "person.held.v1", "person.hold_lifted.v1")
OF_LEADS = ("lead.assigned.v1", "lead.refused.v1", "lead.ended.v1", "lead.handed_over.v1")
"""Events that consent, or allocation, cannot handle for a while."""
Copy = tuple[dict[str, dict[Key, Row]], dict[str, int]]


class Faults:
    """The faults of one history."""

    def __init__(self, seed: int, cluster: Cluster, witness: Witness) -> None:
        self.cluster = cluster
        self.witness = witness
        self.random = cluster.chance.random
        self.unheard, self.approached = asyncio.Event(), ("", "")
        """Set when consent's disk is lost and nobody has heard of a redemption: by which agency, of whom."""
        self._down: set[str] = set()
        self._put_in_place = False
        """Allocation's database came back from a copy."""
        self._forgotten: set[str] = set()
        """What a restored consent has yet to put back, if it is to be killed when that is done."""
        self.destruction = Destruction(seed, cluster, self._strike)
        self.lost_while_read = LostWhileRead(seed, cluster, self._strike)
        cluster.chance.kill = self._kill
        cluster.consent.watchers.append(self._put_back)

    def end(self) -> None:
        """No more of it."""
        self.cluster.chance.quiet = True
        self.cluster.chance.fuse.clear()
        self.cluster.poisoned.clear()
        self.cluster.kafka.damaged = 0
        self.cluster.kafka.refused = ""
        self.destruction.end()
        self.lost_while_read.end()
        self._forgotten.clear()

    def _strike(self, kind: str, line: str) -> None:
        """Count a fault and tell it."""
        self.cluster.chance.met[kind] += 1
        self.witness.say(f"({line})")

    def _kill(self, process: Process) -> None:
        self._strike("a process killed", f"kill -9 {process.name}")
        process.kill()
        if process.name not in self._down:
            self._down.add(process.name)
            # Not as a task of the process that has just died.
            asyncio.get_running_loop().create_task(self._back(process.name), context=Context())

    async def _back(self, name: str) -> None:
        await asyncio.sleep(self.random.uniform(0.1, 4))
        self._down.discard(name)
        self.witness.say(f"({name} starts again)")
        self.cluster.start(name)

    async def run(self) -> None:
        """Let things go wrong."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            *[self._kill_soon] * 3,
            self._lose_a_topic,
            self._rebalance,
            self._poison,
            self._jump,
            self._damage,
            self._poison_a_gap,
            self._restore,
            self._restore_unheard,
            self._restore_allocation,
        ]
        for _ in range(self.random.randrange(6)):
            await asyncio.sleep(self.random.uniform(0.1, 3))
            await self.random.choice(kinds)()

    async def _kill_soon(self) -> None:
        self.cluster.chance.fuse[self.random.choice(["consent", "intake", "allocation"])] = (
            self.random.randrange(150)
        )

    async def _lose_a_topic(self) -> None:
        name = self.random.choice(["people", "consent", "cases", "referrals"])
        if self.random.random() < 0.5:
            await self._until_told(name)
        if (name == "consent" and self.witness.restoring) or (name == "cases" and self._is_put_back()):
            return  # database and topic lost at once: nothing is promised then
        self._strike("a topic lost", f"the topic {name} is lost")
        self.cluster.kafka.lose(name)

    async def _until_told(self, name: str) -> None:
        """Wait until a record has been written to a topic, at most so long: nobody has read it yet."""
        kafka = self.cluster.kafka
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                before = kafka.size(name)
                while kafka.size(name) <= before:
                    await kafka.arrived.wait()

    async def _rebalance(self) -> None:
        """A second process of a service comes and goes; the first is a zombie meanwhile, or shares with it."""
        name = self.random.choice(["consent", "intake", "allocation"])
        self._strike("a second process", f"a second {name} joins")
        second = self.cluster.start(name)
        await asyncio.sleep(self.random.uniform(0.5, 4))
        members = self.cluster.kafka.groups.get(name, [])
        if members and self.random.random() < 0.5:
            self._strike("a zombie", f"a {name} is given up while it works")
            self.cluster.kafka.rebalance(name, without=members[0])
        await asyncio.sleep(self.random.uniform(0.5, 2))
        if self.cluster.living(name)[1:]:
            self.witness.say(f"(the second {name} is killed)")
            second.kill()

    async def _poison(self) -> None:
        event = self.random.choice([*OF_PEOPLE, *OF_LEADS])
        who = "consent" if event in OF_PEOPLE else "allocation"
        self._strike("an event that cannot be handled", f"{who} cannot handle {event} for a while")
        self.cluster.poisoned.add(event)
        await asyncio.sleep(self.random.uniform(1, 6))
        self.cluster.poisoned.discard(event)

    async def _damage(self) -> None:
        self._strike("damaged records", "the next records arrive damaged")
        self.cluster.kafka.damaged += self.random.choice([1, 2])

    async def _poison_a_gap(self) -> None:
        """What is fetched to close a gap cannot be handled either."""
        self.cluster.kafka.damaged, self.cluster.kafka.damaged_topic = 1, "people"
        self._strike("damaged records", "the next record about people arrives damaged")
        self._strike("an event that cannot be handled", "consent can handle nothing about people for a while")
        self.cluster.poisoned |= set(OF_PEOPLE)
        await asyncio.sleep(self.random.uniform(2, 6))
        self.cluster.poisoned -= set(OF_PEOPLE)
        self.cluster.kafka.damaged_topic = ""

    async def _restore(self) -> None:
        """Consent's disk is lost, and a copy is put in its place."""
        copy = self.cluster.consent.copy()
        await asyncio.sleep(self.random.uniform(0.5, 4))
        self._lose_disk(copy)

    async def _restore_unheard(self) -> None:
        """Consent's disk is lost just after a redemption of which nobody has heard: only intake's releases tell of it."""
        copy = self.cluster.consent.copy()
        await asyncio.sleep(self.random.uniform(0.5, 2))
        try:
            async with asyncio.timeout(4):
                await self.witness.release.wait()
                self._strike(
                    "records refused for a while", "the broker takes nothing from consent for a while"
                )
                self.cluster.kafka.refused = "consent"
                await self.witness.redemption.wait()
            permit = self.cluster.consent.tables["permit"].rows[self.witness.permit,]
            # Before the details are handed out, meanwhile, or when they have been.
            await asyncio.sleep(self.random.expovariate(1 / 0.04))
            if self._lose_disk(copy):
                self.approached = (permit["agency"], permit["person"])
                self.unheard.set()
        except TimeoutError:
            pass
        finally:
            self.cluster.kafka.refused = ""

    def _is_put_back(self) -> bool:
        """Say whether a restored allocation may yet lack what its topic has."""
        living = self.cluster.living("allocation")
        return self._put_in_place and not (living and all(s.reconciled.is_set() for _, s in living))

    async def _restore_allocation(self) -> None:
        """Allocation's disk is lost, and a copy is put in its place: what it lacks can all be read in its topic."""
        allocation = self.cluster.allocation
        copy = allocation.copy()
        await asyncio.sleep(self.random.uniform(0.5, 4))
        self._down.add("allocation")
        for process, _ in list(self.cluster.running["allocation"]):
            process.kill()
        self._strike("a process killed", "kill -9 allocation")
        topic = self.cluster.kafka.topics.get("cases")
        records = [m for log in topic.partitions for m in log] if topic else []
        readable = {dict(m.headers)["ce_id"].decode() for m in records if "ce_sequence" in dict(m.headers)}
        lacks = {
            r["event_id"]
            for key, r in allocation.tables["journal"].rows.items()
            if key not in copy[0]["journal"]
        }
        if lacks <= readable:
            allocation.restore(copy)
            self._put_in_place = True
            self._strike(
                "allocation restored", "allocation's disk is lost: an older copy is put in its place"
            )
        asyncio.get_running_loop().create_task(self._back("allocation"), context=Context())

    def _lose_disk(self, copy: Copy) -> bool:
        """Put a copy in the place of consent's database; say whether that was done.

        Only what was published survives: where more than that is lost, nothing is promised (the synchronous standby is there
        for that), so then the disk is not lost here. There is no wait in this: whoever ends the task that does it must find
        consent either whole or on its way back.
        """
        consent = self.cluster.consent
        self._down.add("consent")
        for process, _ in list(self.cluster.running["consent"]):
            process.kill()
        self._strike("a process killed", "kill -9 consent")
        forgotten = self._forgets(copy[0]["journal"])
        lost = not self.witness.restoring and forgotten is not None
        if lost:
            self.cluster.adopted |= {key[0] for key in consent.tables["permit"].rows}
            consent.restore(copy)
            self.witness.restored = self.witness.restoring = True
            self._strike("consent restored", "consent's disk is lost: an older copy is put in its place")
            kind = self.random.random()
            if kind < 0.25:
                # Killed again while it recovers.
                self.cluster.chance.fuse["consent"] = self.random.randrange(80)
            elif kind < 0.65:
                self._forgotten = forgotten or set()
        asyncio.get_running_loop().create_task(self._back("consent"), context=Context())
        return lost

    def _put_back(self, written: Mapping[tuple[str, Key], Row | None]) -> None:
        """Kill a restored consent just when its journal is complete again: nothing in it shows any more that it was not."""
        if self._forgotten:
            self._forgotten -= {
                row["event_id"] for (table, _), row in written.items() if row and table == "journal"
            }
            if not self._forgotten:
                self.cluster.chance.fuse["consent"] = self.random.randrange(6)

    def _forgets(self, copied: Mapping[Key, Row]) -> set[str] | None:
        """Return which events the copy lacks that can be read in their topic; None if more is lost than may be.

        Lost may be, at the end of a person's journal, grants, redemptions and refusals that nobody has heard of. An event
        whose record in the topic is damaged, or went with the topic, is lost with the disk: both copies at once. And a
        redemption may be lost only where something else is missing that can be read: from what else should anybody know
        that the database is a copy?
        """
        topic = self.cluster.kafka.topics.get("consent")
        records = [m for log in topic.partitions for m in log] if topic else []
        readable = {dict(m.headers)["ce_id"].decode() for m in records if "ce_sequence" in dict(m.headers)}
        heard: dict[str, int] = {}
        for reader in (self.cluster.intake, self.cluster.allocation):
            for table in ("inbox", "waiting"):
                for row in reader.tables[table].rows.values():
                    if row["topic"] == "consent":
                        heard[row["key"]] = max(heard.get(row["key"], 0), row["sequence"])
        lost: set[str] = set()
        forgotten: set[str] = set()
        redeemed = False
        rows = [row for key, row in self.cluster.consent.tables["journal"].rows.items() if key not in copied]
        for row in sorted(rows, key=lambda row: row["sequence"]):
            if row["event_id"] not in readable:
                lost.add(row["key"])
                redeemed |= row["type"] == "permit.redeemed.v1"
                told = max(heard.get(row["key"], 0), self.cluster.answered.get(row["key"], 0))
                if row["type"] not in UNTOLD or row["sequence"] <= told:
                    return None
            elif row["key"] in lost:
                return None
            else:
                forgotten.add(row["event_id"])
        return None if redeemed and not forgotten else forgotten

    async def _jump(self) -> None:
        """Let the clocks jump ahead; sometimes just when a permit is redeemed, and intake has yet to hand out."""
        if self.random.random() < 0.5:
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self.witness.redemption.wait()
        minutes = self.random.choice([3, 20, 45, 2880])
        self._strike("the clock jumps", f"{minutes} minutes pass")
        self.cluster.pass_time(timedelta(minutes=minutes))
