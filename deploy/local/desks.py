"""How people reach an agency: allocation keeps it, and messages to people say it."""

import re
from typing import Any

from deploy.local.asking import ask

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(rf"({'|'.join(DAYS)})(?:-({'|'.join(DAYS)}))? (\d\d?:\d\d)-(\d\d?:\d\d)")


class Invalid(Exception):
    """Hours that nobody can read; the message says what would be right."""


def hours(text: str) -> dict[str, Any]:
    """Hours as allocation takes them. Raises Invalid."""
    found = _HOURS.fullmatch(" ".join(text.lower().split()))
    if found is None:
        raise Invalid(f'{text} is not like "mon-fri 09:00-17:00" or "sat 10:00-12:00"')
    first, last, start, until = found.groups()
    days = list(range(DAYS.index(first) + 1, DAYS.index(last or first) + 2))
    if not days:
        raise Invalid(f"{text}: {last} comes before {first} in a week that begins with mon")
    return {"days": days, "start": start.rjust(5, "0"), "until": until.rjust(5, "0")}


def of(agency_id: str) -> dict[str, Any] | None:
    """How people reach an agency, None if nobody has said. Raises DidNotStart; NotDone if there is no such agency."""
    found: dict[str, Any] | None = ask("allocation", "GET", f"/v1/agencies/{agency_id}").json()["desk"]
    return found


def put(agency_id: str, desk: dict[str, Any] | None) -> dict[str, Any] | None:
    """Say how people reach an agency; None: no longer. The rest of it stays. Raises DidNotStart and NotDone, as above."""
    path = f"/v1/agencies/{agency_id}"
    there = ask("allocation", "GET", path)
    known = there.json()
    body = {name: known[name] for name in ("name", "kind", "areas", "sharing_agreement", "active")}
    match = {"If-Match": there.headers["etag"]}
    answer = ask("allocation", "PUT", path, json=body | {"desk": desk}, headers=match)
    saved: dict[str, Any] | None = answer.json()["desk"]
    return saved


def printed(desk: dict[str, Any] | None) -> str:
    """A desk in one line."""
    if desk is None:
        return "nobody has said: messages name the hub of the case, if that can be reached"
    parts = [desk.get("phone"), desk.get("email")]
    for row in desk.get("hours", ()):
        days = " ".join(DAYS[day - 1] for day in row["days"])
        parts.append(f"{days} {row['start'][:5]}-{row['until'][:5]}")
    return ", ".join(part for part in parts if part)
