"""What the runtime's SQL does, statement by statement, on the database in memory.

A statement is known by its text as it stands in the code. SQL that changes is not found any more, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from shared.runtime import (
    inbox,
    journal,
    outbox,
    quarantine,
    restoration,
    saving,
    timers,
    unit_of_work,
    unreadable,
    work,
)
from tests.simulation.database import Row, Statement, Table, Transaction, normal

Known = dict[str, Statement]
RUNTIME: Known = {}


def _open_entry(row: Row) -> Any:
    return (row["topic"], row["key"], row["sequence"]) if row["resolved"] is None and row["key"] else None


def tables() -> list[Table]:
    """Return the runtime's tables, empty."""
    return [
        Table("stream", ("kind", "key")),
        Table("journal", ("position",), {"journal_topic_key_sequence_key": lambda r: (r["topic"], r["key"], r["sequence"])}),
        Table("outbox", ("position",)),
        Table("inbox", ("topic", "key")),
        Table("waiting", ("topic", "key", "sequence")),
        Table(
            "quarantine", ("id",),
            {"quarantine_open": _open_entry},
        ),
        Table("consumer_offset", ("topic", "partition")),
        Table("topic_seen", ("topic",)),
        Table("timer", ("name", "key")),
        Table("command", ("id",)),
    ]  # fmt: skip


def knows(into: Known, *texts: str) -> Callable[[Statement], Statement]:
    """Register what these statements do."""

    def register(function: Statement) -> Statement:
        for text in texts:
            into[normal(text)] = function
        return function

    return register


def zipped(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """`unnest` of several arrays."""
    return list(zip(*columns, strict=True))


def pick(row: Row, *names: str) -> Row:
    """Return some columns of a row."""
    return {name: row[name] for name in names}


# --- locking and reading


@knows(RUNTIME, work._LOCK)
async def lock(t: Transaction, kinds: Sequence[str], keys: Sequence[str]) -> list[Row]:
    # What there is to lock is decided when the statement begins; what it says, when the lock is held.
    there = [ref for ref in sorted(zipped(kinds, keys)) if t.get("stream", *ref) is not None]
    names = ("kind", "key", "version", "last_event", "state")
    found = [row for ref in there if (row := await t.lock("stream", *ref)) is not None]
    rows = [pick(row, *names) for row in found] or [dict.fromkeys(names)]
    return [row | {"now": t.now + t.database.shift} for row in rows]


@knows(RUNTIME, work._NOW)
async def now(t: Transaction) -> list[Row]:
    return [{"now": t.now + t.database.shift}]


@knows(RUNTIME, inbox._READ)
async def read_inbox(t: Transaction, topics: Sequence[str], keys: Sequence[str]) -> list[Row]:
    rows = [t.get("inbox", *ref) for ref in zipped(topics, keys)]
    return [pick(row, "topic", "key", "sequence", "event_id", "held") for row in rows if row]


@knows(RUNTIME, inbox._WAIT)
async def wait(t: Transaction, *columns: Sequence[Any]) -> None:
    names = ("topic", "key", "sequence", "event_id", "headers", "value")
    for values in zipped(*columns):
        await t.insert("waiting", {**dict(zip(names, values, strict=True)), "since": t.now})


# --- saving


@knows(RUNTIME, saving._SAVE)
async def save(t: Transaction, told: Sequence[int], *columns: Sequence[Any]) -> list[Row]:
    states, events, advances = zipped(*columns[:6]), zipped(*columns[6:20]), zipped(*columns[20:26])
    offsets, ended, begun = zipped(*columns[26:30]), zipped(*columns[30:32]), zipped(*columns[32:36])
    command, fingerprint, answer = columns[36:]
    if command is not None:
        await t.insert_new("command", {"id": command, "fingerprint": fingerprint, "answer": answer})
    gone = set(told)
    if gone:
        await t.delete("outbox", lambda r: r["position"] in gone)
    saved = [
        await _over(t, "stream", ("kind", "key", "version", "base", "last_event", "state"), s, "version")
        for s in states
    ]
    positions = [await _journal(t, event) for event in events]
    names = ("topic", "key", "sequence", "base", "event_id", "held")
    taken = [await _over(t, "inbox", names, advance, "sequence") for advance in advances]
    for topic, partition, topic_id, following in offsets:
        await _move(t, topic, partition, topic_id, following)
    over = set(ended)
    if over:
        await t.delete("timer", lambda r: (r["name"], r["key"]) in over)
    for name, key, due_at, data in begun:
        row = {"name": name, "key": key, "due_at": due_at, "data": data, "attempts": 0}
        await t.hold(("timer", (name, key)))
        await t.put("timer", row)
    return [
        {"remembered": command is not None, "saved": sum(saved), "taken": sum(taken), "positions": positions}
    ]


async def _over(
    t: Transaction, table: str, names: tuple[str, ...], values: tuple[Any, ...], guard: str
) -> bool:
    row = dict(zip(names, values, strict=True))
    there = await t.insert(table, row)
    if there is None:
        return True
    if there[guard] != row["base"]:
        return False
    await t.put(table, there | row)
    return True


_EVENT = ("event_id", "topic", "key", "sequence", "previous", "type", "data", "agency", "worker", "command_id",
          "causation", "correlation", "trace", "recorded_at")  # fmt: skip


async def _journal(t: Transaction, event: tuple[Any, ...]) -> int:
    position = t.database.next("journal_position")
    row = {"position": position, **dict(zip(_EVENT, event, strict=True))}
    await t.insert_new("journal", row)
    await t.insert_new("outbox", {**pick(row, "position", "topic", "key"), "failed": None})
    return position


async def _move(t: Transaction, topic: str, partition: int, topic_id: str, following: int) -> None:
    row = {"topic": topic, "partition": partition, "topic_id": topic_id, "next_offset": following}
    there = await t.insert("consumer_offset", row)
    if there is not None and (there["topic_id"] != topic_id or there["next_offset"] < following):
        await t.put("consumer_offset", row)


@knows(RUNTIME, "SELECT fingerprint, answer FROM command WHERE id = $1")
async def remembered(t: Transaction, command: str) -> list[Row]:
    row = t.get("command", command)
    return [pick(row, "fingerprint", "answer")] if row else []


@knows(RUNTIME, unit_of_work._CLAIM)
async def claim_command(t: Transaction, command: str) -> list[Row]:
    free, row = t.database.locks.try_take(("command", command), t), t.get("command", command)
    answered = pick(row, "fingerprint", "answer") if row else {"fingerprint": None, "answer": None}
    return [{"free": free, "done": row is not None} | answered]


# --- the outbox


@knows(RUNTIME, "SELECT pg_try_advisory_lock($1)")
async def try_lead(t: Transaction, number: int) -> list[Row]:
    return [{"led": t.database.locks.try_take(("leader", number), t.session.kept)}]


@knows(RUNTIME, "SELECT pg_advisory_unlock($1)")
async def stop_leading(t: Transaction, number: int) -> list[Row]:
    t.database.locks.let_go(t.session.kept, ("leader", number))
    return [{"unlocked": True}]


@knows(RUNTIME, "SELECT 1")
async def ping(t: Transaction) -> list[Row]:
    return [{"one": 1}]


@knows(RUNTIME, outbox._SEEN)
async def topics_seen(t: Transaction) -> list[Row]:
    return [pick(row, "topic", "topic_id") for row in t.rows("topic_seen")]


@knows(RUNTIME, outbox._RETELL)
async def retell(t: Transaction, topic: str, topic_id: str) -> None:
    for row in [row for row in t.rows("journal") if row["topic"] == topic]:
        await t.insert("outbox", {**pick(row, "position", "topic", "key"), "failed": None})
    await t.hold(("topic_seen", (topic,)))
    await t.put("topic_seen", {"topic": topic, "topic_id": topic_id})


@knows(RUNTIME, outbox._DOUBT)
async def doubt(t: Transaction, topic: str) -> None:
    await t.update("topic_seen", lambda r: r["topic"] == topic, lambda _: {"topic_id": ""})


@knows(RUNTIME, "SELECT DISTINCT topic, key FROM outbox WHERE failed IS NOT NULL")
async def blocked(t: Transaction) -> list[Row]:
    refs = {(row["topic"], row["key"]) for row in t.rows("outbox") if row["failed"] is not None}
    return [{"topic": topic, "key": key} for topic, key in sorted(refs)]


@knows(RUNTIME, outbox._BEHIND)
async def left_behind(t: Transaction, after: int) -> list[Row]:
    rows = (r for r in t.rows("outbox") if r["failed"] is None and r["position"] <= after)
    return [pick(row, "position", "topic", "key") for row in rows]


@knows(RUNTIME, journal._UNTOLD)
async def untold(t: Transaction, after: int, limit: int) -> list[Row]:
    waiting = sorted(r["position"] for r in t.rows("outbox") if r["failed"] is None and r["position"] > after)
    rows = [t.get("journal", position) for position in waiting[:limit]]
    return [row for row in rows if row is not None]


@knows(RUNTIME, journal._OF_KEY)
async def of_key(t: Transaction, topic: str, key: str, after: int, limit: int) -> list[Row]:
    rows = [r for r in t.rows("journal") if (r["topic"], r["key"]) == (topic, key) and r["sequence"] > after]
    return sorted(rows, key=lambda r: r["sequence"])[:limit]


@knows(RUNTIME, "DELETE FROM outbox WHERE position = ANY($1::bigint[])")
async def delete_told(t: Transaction, told: Sequence[int]) -> None:
    await t.delete("outbox", lambda r: r["position"] in told)


@knows(RUNTIME, "UPDATE outbox SET failed = $2 WHERE position = $1")
async def fail(t: Transaction, position: int, reason: str) -> None:
    await t.update("outbox", lambda r: r["position"] == position, lambda _: {"failed": reason})


# --- the consumer, and what waits


@knows(
    RUNTIME,
    "SELECT topic, partition, topic_id, next_offset FROM consumer_offset",
    "SELECT topic, partition, next_offset FROM consumer_offset",
)
async def offsets(t: Transaction) -> list[Row]:
    return [dict(row) for row in t.rows("consumer_offset")]


@knows(RUNTIME, quarantine._QUARANTINE)
async def put_aside(t: Transaction, *values: Any) -> None:
    names = (
        "topic",
        "partition",
        "offset",
        "key",
        "sequence",
        "event_id",
        "headers",
        "value",
        "reason",
        "how",
    )
    row = dict(zip(names, values, strict=True))
    ref = (row["topic"], row["key"], row["sequence"])
    if row["key"]:
        await t.hold(("quarantine", "quarantine_open", ref))
        if any(
            (r["topic"], r["key"], r["sequence"]) == ref and r["resolved"] is None
            for r in t.rows("quarantine")
        ):
            return
    await t.insert_new(
        "quarantine",
        {"id": t.database.next("quarantine"), **row, "since": t.now, "resolved": None},
    )


def _open(t: Transaction, topic: str, key: str) -> list[Row]:
    rows = [
        r for r in t.rows("quarantine") if (r["topic"], r["key"]) == (topic, key) and r["resolved"] is None
    ]
    return sorted(rows, key=lambda r: r["sequence"])[:1]


@knows(RUNTIME, f"SELECT sequence FROM ({quarantine._OPEN}) AS q")  # noqa: S608 - a constant
async def parked_at(t: Transaction, topic: str, key: str) -> list[Row]:
    return [pick(row, "sequence") for row in _open(t, topic, key)]


@knows(RUNTIME, "SELECT sequence FROM inbox WHERE topic = $1 AND key = $2")
async def sequence_of(t: Transaction, topic: str, key: str) -> list[Row]:
    row = t.get("inbox", topic, key)
    return [pick(row, "sequence")] if row else []


def _waiting(t: Transaction, topic: str, key: str) -> list[Row]:
    rows = [r for r in t.rows("waiting") if (r["topic"], r["key"]) == (topic, key)]
    return sorted(rows, key=lambda r: r["sequence"])


@knows(RUNTIME, "SELECT min(sequence) FROM waiting WHERE topic = $1 AND key = $2")
async def first_waiting(t: Transaction, topic: str, key: str) -> list[Row]:
    return [{"min": min((r["sequence"] for r in _waiting(t, topic, key)), default=None)}]


@knows(RUNTIME, quarantine._WAITING)
async def waiting(t: Transaction, topic: str, key: str) -> list[Row]:
    return [pick(r, "sequence", "headers", "value") for r in _waiting(t, topic, key)[:200]]


@knows(RUNTIME, "DELETE FROM waiting WHERE topic = $1 AND key = $2 AND sequence <= $3")
async def worked_off(t: Transaction, topic: str, key: str, sequence: int) -> None:
    await t.delete("waiting", lambda r: (r["topic"], r["key"]) == (topic, key) and r["sequence"] <= sequence)


@knows(RUNTIME, "SELECT 1 FROM inbox WHERE topic = $1 AND key = $2 FOR UPDATE")
async def lock_inbox(t: Transaction, topic: str, key: str) -> list[Row]:
    if t.get("inbox", topic, key) is None:
        return []
    await t.lock("inbox", topic, key)
    return [{"one": 1}]


def _unreadable(t: Transaction, topic: str) -> int:
    return sum((r["topic"], r["key"]) == (topic, None) for r in t.rows("quarantine"))


@knows(RUNTIME, quarantine._UNREADABLE)
async def count_unreadable(t: Transaction, topic: str) -> list[Row]:
    return [{"count": _unreadable(t, topic)}]


@knows(RUNTIME, quarantine._BUSY)
async def is_busy(t: Transaction, topic: str, key: str, known: int) -> list[Row]:
    more = _unreadable(t, topic) > known
    return [{"busy": bool(_waiting(t, topic, key) or _open(t, topic, key) or more)}]


@knows(
    RUNTIME,
    """SELECT i.topic, i.key,
      (SELECT min(w.since) FROM waiting AS w WHERE (w.topic, w.key) = (i.topic, i.key)) AS since
    FROM inbox AS i WHERE i.held AND NOT EXISTS
      (SELECT 1 FROM quarantine AS q WHERE (q.topic, q.key) = (i.topic, i.key) AND q.resolved IS NULL) LIMIT $1""",
)
async def held_keys(t: Transaction, limit: int) -> list[Row]:
    held = [r for r in t.rows("inbox") if r["held"] and not _open(t, r["topic"], r["key"])]
    return [
        {
            **pick(r, "topic", "key"),
            "since": min((w["since"] for w in _waiting(t, r["topic"], r["key"])), default=None),
        }
        for r in held[:limit]
    ]


@knows(RUNTIME, "SELECT * FROM quarantine WHERE id = $1 AND resolved IS NULL")
async def entry(t: Transaction, number: int) -> list[Row]:
    row = t.get("quarantine", number)
    return [row] if row and row["resolved"] is None else []


@knows(RUNTIME, "UPDATE quarantine SET resolved = clock_timestamp(), how = $2 WHERE id = $1")
async def resolve(t: Transaction, number: int, how: str) -> None:
    await t.update("quarantine", lambda r: r["id"] == number, lambda _: {"resolved": t.now, "how": how})


@knows(RUNTIME, unreadable._UNASKED)
async def unasked(t: Transaction) -> list[Row]:
    open_ = [r for r in t.rows("quarantine") if (r["key"], r["resolved"], r["how"]) == (None, None, None)]
    found = []
    for topic in sorted({r["topic"] for r in open_}):
        of_topic = [r for r in open_ if r["topic"] == topic]
        age = (t.now - max(r["since"] for r in of_topic)).total_seconds()
        found.append({"topic": topic, "ids": [r["id"] for r in of_topic], "age": age})
    return found


@knows(RUNTIME, unreadable._ASKED)
async def asked(t: Transaction, ids: Sequence[int]) -> None:
    await t.update(
        "quarantine", lambda r: r["id"] in ids and r["resolved"] is None, lambda _: {"how": "told again"}
    )


# --- timers


@knows(RUNTIME, timers._DUE)
async def due(t: Transaction, names: Sequence[str], limit: int, soon: timedelta) -> list[Row]:
    moment = t.now + t.database.shift
    rows = [
        dict(r) | {"seconds": (r["due_at"] - moment).total_seconds()}
        for r in t.rows("timer")
        if r["due_at"] <= moment + soon and r["name"] in names
    ]
    return sorted(rows, key=lambda r: r["due_at"])[:limit]


@knows(RUNTIME, timers._TAKE)
async def take(t: Transaction, name: str, key: str, due_at: Any) -> list[Row]:
    gone = await t.delete("timer", lambda r: (r["name"], r["key"], r["due_at"]) == (name, key, due_at))
    return [{"one": 1}] * gone


@knows(RUNTIME, timers._PUT_OFF)
async def put_off(t: Transaction, name: str, key: str, due_at: Any) -> None:
    await t.update(
        "timer",
        lambda r: (r["name"], r["key"], r["due_at"]) == (name, key, due_at),
        lambda r: {
            "attempts": r["attempts"] + 1,
            "due_at": max(r["due_at"], t.now + t.database.shift)
            + timedelta(seconds=min(2 ** min(r["attempts"], 10), 300)),
        },
    )


# --- after a restore


@knows(RUNTIME, restoration._ALONE)
async def alone(t: Transaction, name: str) -> list[Row]:
    await t.hold(("advisory", name))
    return [{"alone": None}]


@knows(RUNTIME, restoration._TOLD_LATELY)
async def told_lately(t: Transaction, topic: str, limit: int) -> list[Row]:
    return _told(t, sorted(t.rows("journal"), key=lambda r: -r["position"])[: 4 * limit], topic, limit)


@knows(RUNTIME, restoration._TOLD)
async def told(t: Transaction, topic: str, limit: int) -> list[Row]:
    return _told(t, t.rows("journal"), topic, limit)


def _told(t: Transaction, journal: Iterable[Row], topic: str, limit: int) -> list[Row]:
    untold_ones = {r["position"] for r in t.rows("outbox")}
    rows = [r for r in journal if r["topic"] == topic and r["position"] not in untold_ones]
    rows.sort(key=lambda r: -r["position"])
    return [{"id": r["event_id"], "key": r["key"]} for r in rows[:limit]]


@knows(RUNTIME, restoration._KNOWN)
async def known(t: Transaction, topic: str, keys: Sequence[str], sequences: Sequence[int]) -> list[Row]:
    at = {(r["key"], r["sequence"]): r["event_id"] for r in t.rows("journal") if r["topic"] == topic}
    return [{"id": at.get(place)} for place in zip(keys, sequences, strict=True)]


@knows(RUNTIME, "SELECT kind, key, version FROM stream WHERE key = ANY($1::text[])")
async def versions(t: Transaction, keys: Sequence[str]) -> list[Row]:
    return [pick(r, "kind", "key", "version") for r in t.rows("stream") if r["key"] in keys]


@knows(RUNTIME, restoration._ADOPT)
async def adopt(t: Transaction, *values: Any) -> None:
    names = tuple(name for name in _EVENT if name != "command_id")
    row = {
        "position": t.database.next("journal_position"),
        "command_id": None,
        **dict(zip(names, values, strict=True)),
    }
    await t.insert_new("journal", row)


@knows(RUNTIME, restoration._SAVE)
async def save_state(t: Transaction, *values: Any) -> None:
    row = dict(zip(("kind", "key", "version", "base", "last_event", "state"), values, strict=True))
    await t.hold(("stream", (row["kind"], row["key"])))
    await t.put("stream", row)
