"""What the SQL of consent, and of intake's half of the contact protocol, does in memory. See statements.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.consent import store as consent
from services.intake.store import following, releases
from services.intake.store import withdrawals as intake_withdrawals
from tests.simulation import statements
from tests.simulation.database import Row, Statement, Table, Transaction
from tests.simulation.statements import RUNTIME, knows, pick, zipped

CONSENT: dict[str, Statement] = {}
INTAKE: dict[str, Statement] = {}


def consent_tables() -> list[Table]:
    """Return consent's tables as its migrations leave them."""
    door = Table("door", ("single",))
    door.rows[True,] = {"single": True, "heard_at": None, "restored": False, "releases_after": None}
    live = {"permit_one_live": lambda r: r["person"] if r["status"] in ("granted", "redeemed") else None}
    return [
        *statements.tables(),
        Table("permit", ("id",), live),
        Table("lead", ("person",)),
        Table("agency", ("agency",)),
        Table("worker", ("worker",)),
        door,
    ]


def intake_tables() -> list[Table]:
    """Return those tables of intake's that the simulated part of it uses."""
    return [
        *statements.tables(),
        Table("contact_point", ("tag", "person")),
        Table("contact_claim", ("tag", "person")),
        Table("ledger", ("person",)),
        Table("release", ("permit",)),
        Table("withdrawal", ("id",)),
        Table("withdrawal_candidate", ("withdrawal", "person")),
        Table("case_status", ("case_id",)),
        Table("succession", ("agency",)),
        Table("read_log", ("number",)),
    ]


# ------------------------------------------------------------------------------------------------------------- consent


@knows(CONSENT, consent._INSERT)
async def insert_permits(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        row = dict(zip(consent._COLUMNS, values, strict=True))
        row["unresolved"] = bool(row["unresolved"])
        there = await t.insert("permit", row)
        if there is not None:
            await t.put("permit", there | pick(row, *consent._CHANGING))


@knows(CONSENT, consent._UPDATE)
async def update_permits(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        row = dict(zip(consent._COLUMNS, values, strict=True))
        changes = {name: row[name] for name in consent._CHANGING if row[name] is not None}
        if t.get("permit", row["id"]) is not None:
            there = await t.lock("permit", row["id"])
            assert there is not None  # permits are never deleted
            await t.put("permit", there | changes)


@knows(CONSENT, "DELETE FROM lead WHERE person = ANY($1::text[])")
async def delete_leads(t: Transaction, people: Sequence[str]) -> None:
    await t.delete("lead", lambda r: r["person"] in people)


@knows(
    CONSENT,
    """INSERT INTO lead (person, agency) SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT (person) DO UPDATE SET agency = excluded.agency WHERE lead.agency <> excluded.agency""",
)
async def save_leads(t: Transaction, people: Sequence[str], agencies: Sequence[str]) -> None:
    for person, agency in zipped(people, agencies):
        if await t.insert("lead", {"person": person, "agency": agency}) is not None:
            await t.put("lead", {"person": person, "agency": agency})


@knows(CONSENT, f"{consent._SELECT} WHERE id = $1")
async def permit_of(t: Transaction, permit: str) -> list[Row]:
    row = t.get("permit", permit)
    return [pick(row, *consent._COLUMNS)] if row else []


def _states(t: Transaction, kinds: Sequence[str], keys: Sequence[str]) -> str | None:
    rows = [row for ref in zipped(kinds, keys) if (row := t.get("stream", *ref))]
    found = [[row["kind"], row["key"], msgspec.Raw(row["state"].encode())] for row in rows]
    return msgspec.json.encode(found).decode() if found else None


@knows(CONSENT, consent._WITH_LEDGERS)
async def permit_with_ledgers(t: Transaction, permit: str) -> list[Row]:
    row = t.get("permit", permit)
    if row is None:
        return []
    around = _states(t, ("person", "person", "case"), (row["person"], row["party"], row["case_id"]))
    return [pick(row, *consent._COLUMNS) | {"around": around}]


@knows(CONSENT, consent._GLIMPSE)
async def glimpse(t: Transaction, kinds: Sequence[str], keys: Sequence[str]) -> list[Row]:
    return [{"json_agg": _states(t, kinds, keys)}]


@knows(CONSENT, f"{consent._SELECT} WHERE id = ANY($1::text[]) ORDER BY id")
async def permits_of(t: Transaction, ids: Sequence[str]) -> list[Row]:
    return [pick(row, *consent._COLUMNS) for one in sorted(ids) if (row := t.get("permit", one))]


@knows(CONSENT, "SELECT person FROM permit WHERE status = 'granted' ORDER BY person LIMIT $1")
async def granted_people(t: Transaction, limit: int) -> list[Row]:
    return [
        {"person": p}
        for p in sorted(r["person"] for r in t.rows("permit") if r["status"] == "granted")[:limit]
    ]


def _succeeded(t: Transaction, now: datetime) -> dict[str, str]:
    rows = t.rows("agency")
    return {r["agency"]: r["successor"] for r in rows if r["successor"] and r["since"] <= now}


@knows(CONSENT, consent._SURROUNDINGS)
async def surroundings(
    t: Transaction,
    now: datetime,
    workers: Sequence[str],
    deaf_seconds: float,
    people: Sequence[str],
    case: str,
    seen: Sequence[str],
) -> list[Row]:
    successors = _succeeded(t, now)
    deputies = {r["worker"]: r["deputy"] for w in workers if (r := t.get("worker", w)) and r["deputy"]}
    door = t.rows("door")[0]
    heard = door["heard_at"]
    inboxes = [t.get("inbox", "people", key) for key in people] + [t.get("inbox", "cases", case)]
    applied = {key: row["sequence"] for key in seen if (row := t.get("inbox", "people", key))}
    return [
        {
            "successors": msgspec.json.encode(successors).decode() if successors else None,
            "deputies": msgspec.json.encode(deputies).decode() if deputies else None,
            "restored": door["restored"],
            "deaf": heard is None or (t.now - heard).total_seconds() > deaf_seconds,
            "parked": any(row["held"] for row in inboxes if row),
            "applied": msgspec.json.encode(applied).decode() if applied else None,
        }
    ]


@knows(CONSENT, "SELECT agency, successor FROM agency WHERE successor IS NOT NULL AND since <= $1")
async def successions(t: Transaction, now: datetime) -> list[Row]:
    return [{"agency": a, "successor": s} for a, s in sorted(_succeeded(t, now).items())]


@knows(CONSENT, "UPDATE door SET heard_at = clock_timestamp()")
async def heard(t: Transaction) -> None:
    await t.update("door", lambda _: True, lambda _: {"heard_at": t.now})


@knows(CONSENT, "SELECT restored FROM door")
async def restored(t: Transaction) -> list[Row]:
    return [pick(row, "restored") for row in t.rows("door")]


@knows(CONSENT, "UPDATE door SET restored = true, releases_after = NULL")
async def close_door(t: Transaction) -> None:
    await t.update("door", lambda _: True, lambda _: {"restored": True, "releases_after": None})


@knows(CONSENT, "UPDATE door SET restored = false, releases_after = NULL")
async def open_door(t: Transaction) -> None:
    await t.update("door", lambda _: True, lambda _: {"restored": False, "releases_after": None})


@knows(CONSENT, "SELECT releases_after FROM door")
async def cursor(t: Transaction) -> list[Row]:
    return [pick(row, "releases_after") for row in t.rows("door")]


@knows(CONSENT, "UPDATE door SET releases_after = $1")
async def move_cursor(t: Transaction, at: str) -> None:
    await t.update("door", lambda _: True, lambda _: {"releases_after": at})


# -------------------------------------------------------------------------------------------------------------- intake


@knows(INTAKE, "SELECT state -> 'links' AS links FROM stream WHERE kind = 'person' AND key = ANY($1::text[])")
async def links_of(t: Transaction, people: Sequence[str]) -> list[Row]:
    rows = [row for person in people if (row := t.get("stream", "person", person))]
    links = (msgspec.json.decode(row["state"]).get("links") for row in rows)
    return [{"links": msgspec.json.encode(one).decode() if one is not None else None} for one in links]


def _stored(t: Transaction, people: Sequence[str], case: str, states: tuple[str, ...]) -> list[Row]:
    for c in t.rows("withdrawal_candidate"):
        w = t.get("withdrawal", c["withdrawal"])
        wide = w is not None and (w["scope"] == "everything" or c["case_id"] in (None, case))
        if c["person"] in people and w is not None and w["state"] in states and wide:
            return [{"true": True}]
    return []


@knows(INTAKE, releases._WITHDRAWN)
async def withdrawn(t: Transaction, people: Sequence[str], case: str) -> list[Row]:
    return _stored(t, people, case, ("recorded", "needs_person", "in_force"))


def _everyone(t: Transaction, *people: str) -> set[str]:
    found, todo = set(people), list(people)
    while todo:
        row = t.get("stream", "person", todo.pop())
        new = set(msgspec.json.decode(row["state"]).get("links") or ()) - found if row else set()
        found |= new
        todo += new
    return found


@knows(INTAKE, releases._LOCK_POINTS)
async def lock_points(t: Transaction, person: str, party: str, kind: int, stripes: int) -> list[Row]:
    own, people = _everyone(t, person), _everyone(t, person, party)
    points = {r["tag"] for r in t.rows("contact_point") if r["person"] in own}
    for stripe in sorted({int.from_bytes(tag[:4]) % stripes for tag in points}):
        await t.hold(("stripe", kind, stripe))
    return [{"own": sorted(own), "people": sorted(people), "points": sorted(points)}]


@knows(INTAKE, releases._LOOK)
async def look(t: Transaction, person: str, party: str, case: str, permit: str) -> list[Row]:
    """Look. Whoever is asked about is in the case, and nobody on the other side: the simulated cases have no parties."""
    own, people = _everyone(t, person), _everyone(t, person, party)
    points = {r["tag"] for r in t.rows("contact_point") if r["person"] in own}
    said = {r["person"] for r in t.rows("ledger") if r["live"] or r["refused"]}
    there = {r["person"] for r in t.rows("contact_point") if r["tag"] in points} & said
    there |= {r["person"] for r in t.rows("contact_claim") if r["tag"] in points and r["permit"] != permit}
    states = ("recorded", "needs_person", "in_force")
    return [
        {
            "own": sorted(own), "people": sorted(people), "points": sorted(points),
            "parties": msgspec.json.encode([[party, "harmed"]]).decode(), "unheard": [],
            "withdrawn": bool(_stored(t, sorted(people), case, states)), "elsewhere": bool(there - own),
        }
    ]  # fmt: skip


@knows(INTAKE, "SELECT true FROM ledger WHERE person = ANY($1::text[]) AND refused LIMIT 1")
async def refused_by(t: Transaction, people: Sequence[str]) -> list[Row]:
    return [{"true": True} for p in people if (r := t.get("ledger", p)) and r["refused"]][:1]


_RELEASE = ("permit", "fence", "person", "party", "case_id", "agency", "worker", "seen", "state", "asked_at")


@knows(INTAKE, releases._ASK)
async def ask(t: Transaction, *values: Any) -> list[Row]:
    *values_, now, before, points = values
    row: Row = dict(zip(_RELEASE, [*values_, "asked", now], strict=True))
    row |= {"reason": None, "told": True, "handed_out_at": None, "redeemed": None, "number": None}
    there = await t.insert("release", row)
    if there is not None:
        if there["state"] not in before:
            return []
        changed = pick(row, "seen", "fence", "asked_at", "worker", "state", "reason")
        await t.put("release", there | changed)
    person = there["person"] if there is not None else row["person"]
    for tag in points:
        claim = {"tag": tag, "person": person, "permit": row["permit"], "claimed_at": now}
        if await t.insert("contact_claim", claim) is not None:
            await t.put("contact_claim", claim)
    return [{"again": there is not None}]


@knows(INTAKE, releases._HAND_OUT)
async def hand_out(
    t: Transaction,
    numbering: int,
    permit: str,
    now: datetime,
    redeemed: str,
    before: Sequence[str],
    *by: str | None,
) -> list[Row]:
    row = t.get("release", permit)
    if row is None or row["state"] not in before:
        return []
    await t.hold(("number", numbering))
    changed = await t.update(
        "release",
        lambda r: r["permit"] == permit and r["state"] in before,
        lambda _: {
            "state": "handed_out",
            "handed_out_at": now,
            "redeemed": redeemed,
            "number": t.database.next("release"),
        },
    )
    for _ in changed:
        names = ("number", "agency", "worker", "what", "person", "permit")
        values = (t.database.next("read_log"), *by, "release", row["person"], permit)
        await t.insert_new("read_log", dict(zip(names, values, strict=True)))
    return [{"true": True} for _ in changed]


@knows(
    INTAKE,
    """UPDATE release SET state = 'given_up', reason = $2, told = NOT $3::boolean
       WHERE permit = $1 AND state = ANY($4::text[]) RETURNING true""",
)
async def give_up(t: Transaction, permit: str, reason: str, tell: bool, before: Sequence[str]) -> list[Row]:
    changed = await t.update(
        "release",
        lambda r: r["permit"] == permit and r["state"] in before,
        lambda _: {"state": "given_up", "reason": reason, "told": not tell},
    )
    return [{"true": True} for _ in changed]


@knows(INTAKE, "DELETE FROM contact_claim WHERE permit = $1")
async def unclaim(t: Transaction, permit: str) -> None:
    await t.delete("contact_claim", lambda r: r["permit"] == permit)


@knows(
    INTAKE, "SELECT permit FROM release WHERE state = 'asked' AND asked_at < $1 ORDER BY asked_at LIMIT 100"
)
async def in_doubt(t: Transaction, before: datetime) -> list[Row]:
    rows = [r for r in t.rows("release") if r["state"] == "asked" and r["asked_at"] < before]
    return [pick(r, "permit") for r in sorted(rows, key=lambda r: r["asked_at"])[:100]]


@knows(
    INTAKE,
    """UPDATE release SET state = 'refused', reason = $2
       WHERE permit = $1 AND state = ANY($3::text[]) RETURNING true""",
)
async def refused(t: Transaction, permit: str, reason: str, before: Sequence[str]) -> list[Row]:
    changed = await t.update(
        "release",
        lambda r: r["permit"] == permit and r["state"] in before,
        lambda _: {"state": "refused", "reason": reason},
    )
    return [{"true": True} for _ in changed]


@knows(INTAKE, "UPDATE release SET told = true WHERE permit = $1")
async def told(t: Transaction, permit: str) -> None:
    await t.update("release", lambda r: r["permit"] == permit, lambda _: {"told": True})


@knows(INTAKE, "SELECT permit, fence FROM release WHERE NOT told LIMIT 100")
async def untold(t: Transaction) -> list[Row]:
    return [pick(r, "permit", "fence") for r in t.rows("release") if not r["told"]][:100]


@knows(INTAKE, following.LINEAGE)
async def lineage(t: Transaction, agency: str) -> list[Row]:
    found, moment = [agency], t.now + t.database.shift
    for one in found:
        found += [
            r["agency"]
            for r in t.rows("succession")
            if r["successor"] == one and r["since"] <= moment and r["agency"] not in found
        ]
    return [{"agency": one} for one in found]


@knows(
    INTAKE,
    """SELECT number, permit, person, party, case_id AS "case", agency, worker,
              coalesce(handed_out_at, asked_at) AS handed_out_at, redeemed ->> 'channel' AS channel,
              fence, redeemed ->> 'use_by' AS use_by
       FROM ((SELECT * FROM release WHERE number > $1 ORDER BY number LIMIT $2)
             UNION ALL SELECT * FROM release WHERE state = 'asked') AS r
       ORDER BY number NULLS LAST""",
)
async def releases_after(t: Transaction, after: int, limit: int) -> list[Row]:
    numbered = sorted((r for r in t.rows("release") if (r["number"] or 0) > after), key=lambda r: r["number"])
    rows = [*numbered[:limit], *(r for r in t.rows("release") if r["state"] == "asked")]
    return [
        {
            **pick(r, "number", "permit", "person", "party"),
            "case": r["case_id"],
            **pick(r, "agency", "worker"),
            "handed_out_at": r["handed_out_at"] or r["asked_at"],
            **pick(
                msgspec.json.decode(r["redeemed"] or '{"channel": null, "use_by": null}'), "channel", "use_by"
            ),
            "fence": r["fence"],
        }
        for r in rows
    ]


# --- withdrawals

_W = intake_withdrawals._COLUMNS
_WITHDRAWAL = (
    "id",
    "state",
    "scope",
    "case_id",
    "by_whom",
    "agency",
    "person",
    "in_flight",
    "recorded_at",
    "in_force_at",
)


@knows(INTAKE, f"SELECT {_W} FROM withdrawal WHERE id = $1")  # noqa: S608 - constants
async def withdrawal(t: Transaction, number: str) -> list[Row]:
    row = t.get("withdrawal", number)
    return [pick(row, *_WITHDRAWAL)] if row else []


@knows(INTAKE, intake_withdrawals._BOUND)
async def withdrawal_and_bound(t: Transaction, number: str) -> list[Row]:
    people = sorted(r["person"] for r in t.rows("withdrawal_candidate") if r["withdrawal"] == number)
    found = await withdrawal(t, number)
    return [row | {"bound": people, "handed_out": _usable(t, row, people)} for row in found]


def _usable(t: Transaction, row: Row, people: list[str]) -> str | None:
    found = []
    for release in sorted(t.rows("release"), key=lambda r: r["permit"]):
        redeemed = msgspec.json.decode(release["redeemed"] or "{}")
        if (
            release["state"] == "handed_out"
            and (release["person"] in people or release["party"] in people)
            and datetime.fromisoformat(redeemed["use_by"]) > row["recorded_at"]
            and (
                row["scope"] == "everything"
                or release["case_id"] == row["case_id"]
                or redeemed["purpose"] == "approach"
            )
        ):
            found.append(
                {"permit": release["permit"], **{name: redeemed[name] for name in ("channel", "use_by")}}
            )
    return msgspec.json.encode(found).decode() if found else None


@knows(
    INTAKE,
    f"SELECT {_W} FROM withdrawal WHERE state = 'recorded' AND person IS NOT NULL ORDER BY id LIMIT $1",  # noqa: S608 - constants
)
async def due_withdrawals(t: Transaction, limit: int) -> list[Row]:
    rows = [pick(r, *_WITHDRAWAL) for r in t.rows("withdrawal") if r["state"] == "recorded" and r["person"]]
    return sorted(rows, key=lambda r: r["id"])[:limit]


@knows(INTAKE, intake_withdrawals._RECORD)
async def record_withdrawal(t: Transaction, *values: Any) -> None:
    names = (
        "id", "state", "scope", "case_id", "via", "by_whom", "agency", "worker", "person", "key", "sealed", "recorded_at",
    )  # fmt: skip
    *own, people = values
    row = dict(zip(names, own, strict=True))
    await t.insert_new("withdrawal", {**row, "in_flight": "[]", "in_force_at": None})
    for person in people:
        candidate = {"withdrawal": row["id"], "person": person, "case_id": row["case_id"]}
        await t.insert_new("withdrawal_candidate", candidate)


@knows(INTAKE, intake_withdrawals._IN_FORCE)
async def in_force(t: Transaction, number: str, in_flight: str) -> list[Row]:
    changed = await t.update(
        "withdrawal",
        lambda r: r["id"] == number and r["state"] == "recorded",
        lambda _: {"state": "in_force", "in_flight": in_flight, "in_force_at": t.now + t.database.shift},
    )
    return [pick(row, *_WITHDRAWAL) for row in changed]


# --- what follows consent's events


@knows(INTAKE, following._LEDGER)
async def save_ledger(
    t: Transaction,
    people: Sequence[str],
    live: Sequence[bool | None],
    refused: Sequence[bool | None],
    with_live: Sequence[str],
    with_refused: Sequence[str],
) -> None:
    for person, is_live, has_refused in zipped(people, live, refused):
        row = {"person": person, "live": bool(is_live), "refused": bool(has_refused)}
        there = await t.insert("ledger", row)
        if there is not None:
            changed = {"live": row["live"]} if person in with_live else {}
            changed |= {"refused": row["refused"]} if person in with_refused else {}
            await t.put("ledger", there | changed)


@knows(INTAKE, "DELETE FROM contact_claim WHERE person = ANY($1::text[])")
async def unclaim_people(t: Transaction, people: Sequence[str]) -> None:
    await t.delete("contact_claim", lambda r: r["person"] in people)


@knows(INTAKE, "DELETE FROM contact_claim WHERE permit = ANY($1::text[])")
async def unclaim_permits(t: Transaction, permits: Sequence[str]) -> None:
    await t.delete("contact_claim", lambda r: r["permit"] in permits)


@knows(INTAKE, following._CASE)
async def save_case_status(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        row = dict(zip(("case_id", "status", "reason", "until", "hubs"), values, strict=True))
        known = await t.insert("case_status", row)
        if known is not None:
            await t.put("case_status", row | {"hubs": row["hubs"] or known["hubs"]})


def of_consent() -> dict[str, Statement]:
    """Return everything that consent may run."""
    return RUNTIME | CONSENT


def of_intake() -> dict[str, Statement]:
    """Return everything that the simulated part of intake may run."""
    return RUNTIME | INTAKE
