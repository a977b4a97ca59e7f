"""What waits for a person, over all services.

Parked keys, events that the broker refused, records that nobody can read, failed deliveries, messages of which nobody knows
what became.
Each is named by where it is and its number there: `consent/12`, `outbox/consent`, `delivery/<subscription>.<entry>`,
`message/<id>`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from deploy.local import services
from deploy.local.asking import ask, running
from deploy.local.processes import DidNotStart

Row = Mapping[str, Any]
Kind = Literal["parked key", "untold events", "unreadable", "failed delivery", "unknown message"]
PAGE = 200  # entries that one answer of a quarantine has
# Beginnings of the codes under which a service puts something aside.
REASONS = {
    "UnknownEvent:type": "a type or version that this release does not know",
    "UnknownEvent": "its contents are not what its type says",
    "BadMessage": "damaged",
    "Fork": "another event with its number was applied before",
}


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """One thing that waits. `whose`: pseudonymous ids; `next`: the line to type."""

    id: str
    kind: Kind
    whose: str
    since: datetime
    why: str
    next: str


def everything() -> tuple[list[Stuck], list[str]]:
    """What is stuck, the oldest first; and, in a sentence each, what could not be asked.

    Raises:
        DidNotStart: if nothing runs.
    """
    running()
    found: list[Stuck] = []
    untold = []
    for name in services.existing():
        try:
            found += of_quarantine(name, quarantine(name))
            found += of_outbox(name, untold_events(name))
            if name == "notifications":
                found += of_deliveries(failed_deliveries())
                found += of_messages(*unknown_messages())
        except DidNotStart as error:
            untold.append(f"{name}: {error}")
    return sorted(found, key=lambda one: one.since), untold


# ------------------------------------------------------------------------------------------- what is asked
def quarantine(service: str) -> list[Row]:
    """Everything unresolved in a service's quarantine, the oldest first."""
    found: list[Row] = []
    while True:
        after = found[-1]["id"] if found else 0
        page = ask(service, "GET", f"/v1/quarantine?after={after}").json()
        found += page
        if len(page) < PAGE:
            return found


def untold_events(service: str) -> list[Row]:
    """Events of a service that the broker refused, the oldest first."""
    found: list[Row] = ask(service, "GET", "/v1/outbox/failed").json()
    return found


def failed_deliveries() -> list[Row]:
    """Deliveries that were given up: each stops those behind it in its lane."""
    return list(_pages("notifications", "/v1/deliveries?state=failed&limit=500", "deliveries", "cursor"))


def unknown_messages() -> tuple[list[Row], list[Row]]:
    """Messages that a person has to find out about, and the attempts that consent still waits to hear of."""
    messages = list(_pages("notifications", "/v1/messages?limit=500", "messages", "after"))
    waits = _pages("consent", "/v1/unresolved-attempts?", "attempts", "cursor") if messages else ()
    return messages, list(waits)


def _pages(service: str, path: str, rows: str, cursor: str) -> Iterator[Row]:
    following = None
    while True:
        more = f"&{cursor}={following}" if following else ""
        page = ask(service, "GET", path + more).json()
        yield from page[rows]
        following = page["next"]
        if not following:
            return


# -------------------------------------------------------------------------------------------- what it means
def of_quarantine(service: str, entries: Iterable[Row]) -> Iterator[Stuck]:
    """One line for each parked key, by its first event, and one for the unreadable records of each topic."""
    keys: dict[tuple[str, str], list[Row]] = defaultdict(list)
    unreadable: dict[str, list[Row]] = defaultdict(list)
    for entry in entries:
        if entry["key"] is None:
            unreadable[entry["topic"]].append(entry)
        else:
            keys[entry["topic"], entry["key"]].append(entry)
    for parked in keys.values():
        yield _parked(service, sorted(parked, key=lambda entry: int(entry["sequence"])))
    for records in unreadable.values():
        yield _unreadable(service, records)


def _parked(service: str, parked: list[Row]) -> Stuck:
    first = parked[0]
    behind = len(parked) - 1 + first["waiting"]
    why = f"{first['type'] or 'an event'}: {reason(first['reason'])}"
    name = f"{service}/{first['id']}"
    damaged = first["reason"].startswith(("BadMessage", "UnknownEvent:payload"))
    return Stuck(
        id=name,
        kind="parked key",
        whose=f"{first['topic']} {first['key']}, event {first['sequence']}",
        since=min(_at(entry["since"]) for entry in parked),
        why=f"{why}; {behind} wait behind it" if behind else why,
        # Of two histories of one key none is better for being tried again.
        next=f"onefriend stuck show {name}"
        if first["reason"] == "Fork"
        else f"onefriend stuck redrive {name}" + (" --original" if damaged else ""),
    )


def _unreadable(service: str, records: list[Row]) -> Stuck:
    last = records[-1]
    name = f"{service}/{last['id']}"
    told = last["how"] is not None
    return Stuck(
        id=name,
        kind="unreadable",
        whose=f"{last['topic']}, nobody can say whose",
        since=_at(records[0]["since"]),
        why=f"{len(records)} records; "
        + ("its source has been asked" if told else "its source is yet to be asked"),
        next=f"onefriend stuck acknowledge {name}{' --earlier' if len(records) > 1 else ''}"
        if told
        else f"onefriend stuck retell {name}",
    )


def of_outbox(service: str, events: list[Row]) -> Iterator[Stuck]:
    """One line for all that the broker refused of a service: they are tried again together."""
    if events:
        first = events[0]
        name = f"outbox/{service}"
        more = f" and {len(events) - 1} more" if len(events) > 1 else ""
        yield Stuck(
            id=name,
            kind="untold events",
            whose=f"{first['topic']} {first['key']}, event {first['sequence']}{more}",
            since=_at(first["since"]),
            why=f"the broker refused {first['type']} ({first['reason']}); later ones of its key wait",
            next=f"onefriend stuck redrive {name}",
        )


def of_deliveries(deliveries: Iterable[Row]) -> Iterator[Stuck]:
    """One line for each delivery that was given up."""
    for one in deliveries:
        name = f"delivery/{one['id']}"
        yield Stuck(
            id=name,
            kind="failed delivery",
            whose=f"agency {one['agency']}" + (f", case {one['case_id']}" if one["case_id"] else ""),
            since=_at(one["updated_at"]),
            why=f"{one['reason']} after {one['attempts']} tries; the next of its case wait",
            next=f"onefriend stuck redrive {name}",
        )


def of_messages(messages: Iterable[Row], waits: Iterable[Row]) -> Iterator[Stuck]:
    """One line for each message of which consent has yet to be told what became.

    Consent's list decides: it ends with what the holder or a hub has found out. Notifications' own never shortens.
    """
    attempts = {one["permit"]: one for one in waits}
    for one in messages:
        attempt = attempts.get(one["permit"])
        if attempt is None:
            continue
        name = f"message/{one['message']}"
        yield Stuck(
            id=name,
            kind="unknown message",
            whose=f"person {attempt['person']}, agency {attempt['agency']}",
            since=_at(one["updated_at"]),
            why=f"{one['channel'] or 'message'}: {one['reason'] or 'nobody knows whether it came'}",
            next=f"onefriend stuck show {name}",
        )


def reason(code: str) -> str:
    """A code of the quarantine in words, with the code where it says more."""
    for begins, words in REASONS.items():
        if code.startswith(begins):
            return words
    return f"its handler fails ({code})"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
