"""`onefriend stuck`, and `stuck show | redrive | skip | retell | acknowledge | resolve`: what waits for a person."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local import services, stuck
from deploy.local.asking import NotDone, ask, running
from deploy.local.processes import DidNotStart
from deploy.local.workers import Workers

app = typer.Typer(help="What waits for a person, whose it is, why, and what to type.")
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Id = Annotated[
    str, typer.Argument(metavar="ID", help="As the table has it: consent/12, delivery/..., message/...")
]
Json = Annotated[bool, typer.Option("--json", help="As JSON; asks nothing")]
ForReal = Annotated[bool, typer.Option("--for-real", help="Do not ask")]
Worker = Annotated[str, typer.Option(help="Who you are, as in olive.grant")]


OTHERS = ("outbox", "delivery", "message")  # what is no event of a service's quarantine


class Wrong(DidNotStart):
    """What was typed names nothing that is stuck; the message says what does."""


@app.callback(invoke_without_command=True)
def table(context: typer.Context, as_json: Json = False) -> None:
    """Show what waits for a person: parked keys, untold events, unreadable records, failed deliveries, unknown messages."""
    if context.invoked_subcommand:
        return
    found, untold = stuck.everything()
    if as_json:
        _print_json([asdict(one) | {"since": one.since.isoformat()} for one in found])
    elif found:
        # A line to type is never cut short; where nobody looks at the width, it is on one line.
        console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 300)
        shown = Table("what", "since", "whose", "why", "type next", box=None, padding=(0, 2, 0, 0))
        for column in shown.columns:
            column.overflow = "fold"
        for one in found:
            shown.add_row(one.kind, _ago(one.since), one.whose, one.why, one.next)
        console.print(shown)
    elif not untold:
        errors.print("Nothing waits for a person.")
    for sentence in untold:
        errors.print(f"[yellow]Not asked[/]: {escape(sentence)}")
    if untold:
        raise typer.Exit(1)


@app.command()
def show(name: Id, as_json: Json = False) -> None:
    """Look at one: everything that is known of it, and the ways out."""
    where, number = _split(name)
    if where == "message":
        found, ways = _message(number), [f"resolve {name} --outcome WHAT --worker YOU"]
    elif where == "delivery":
        found, ways = _delivery(number), [f"redrive {name}"]
    elif where == "outbox":
        found = {
            f"{row['topic']} {row['key']}": f"{row['type']}, {row['reason']}"
            for row in stuck.untold_events(number)
        }
        ways = [f"redrive {name}"]
    else:
        found = _entry(where, number)
        if found["key"] is None:
            ways = [f"retell {name}", f"acknowledge {name} --reason WHY --worker YOU"]
        else:
            ways = [f"redrive {name}", f"redrive {name} --original"]
            ways += [] if found["restrictive"] else [f"skip {name} --worker YOU"]
    if as_json:
        _print_json(found)
        return
    shown = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for field, value in found.items():
        shown.add_row(field, "-" if value is None else str(value))
    Console(highlight=False, markup=False).print(shown)
    for way in ways:
        sys.stdout.write(f"onefriend stuck {way}\n")


@app.command()
def redrive(
    name: Id,
    original: Annotated[
        bool, typer.Option("--original", help="As its source's journal has it, not as it arrived")
    ] = False,
    for_real: ForReal = False,
    as_json: Json = False,
) -> None:
    """Try again. A parked event is first tried without saving anything; all else goes out at once."""
    where, number = _split(name)
    if where == "delivery":
        _delivery(number)
        done = ask("notifications", "POST", f"/v1/deliveries/{number}/redrive").json()
        _say(done, "It is sent again, and those behind it follow.", as_json=as_json)
        return
    if where == "outbox":
        done = ask(number, "POST", "/v1/outbox/retry").json()
        _say(
            done,
            f"{done['retrying']} are tried again; `onefriend stuck` lists those that are refused again.",
            as_json=as_json,
        )
        return
    path = f"/v1/quarantine/{_number(where, number)}/redrive?original={str(original).lower()}"
    try:
        tried = ask(where, "POST", f"{path}&dry_run=true").json()
        if not _go_on("It can be handled now.", "Apply it?", for_real=for_real, as_json=as_json):
            if as_json:
                _print_json(tried)
            return
        done = ask(where, "POST", path).json()
    except NotDone as error:
        raise _with_remedy(error, where, name) from None
    _say(done, f"{done['applied']} events of its key are applied.", as_json=as_json)


@app.command()
def skip(
    name: Id,
    worker: Worker,
    for_real: ForReal = False,
    as_json: Json = False,
) -> None:
    """Pass over an event, once two operators have said so; never one that may forbid contact. It is never applied here."""
    where, number = _split(name)
    _operator(worker)
    path = f"/v1/quarantine/{_number(where, number)}/skip"
    warning = f"{worker} passes over {name}: what it says is never applied here."
    if not _go_on(warning, "Have you looked at it?", for_real=for_real, as_json=as_json):
        return
    done = ask(where, "POST", path, worker=worker).json()
    words = (
        f"Passed over; {done['applied']} events behind it are applied."
        if "applied" in done
        else f"Kept. It is passed over once another operator says the same: onefriend stuck skip {name} --worker THEM"
    )
    _say(done, words, as_json=as_json)


@app.command()
def retell(name: Id, as_json: Json = False) -> None:
    """Have the source of a record that nobody can read tell its topic again: at most once a minute."""
    where, number = _split(name)
    done = ask(where, "POST", f"/v1/quarantine/{_number(where, number)}/retelling").json()
    words = (
        "Its source tells the topic again."
        if done["telling"]
        else "It was told less than a minute ago: wait."
    )
    _say(done, words, as_json=as_json)


@app.command()
def acknowledge(
    name: Id,
    reason: Annotated[str, typer.Option(help="For the audit: why; nothing about a person")],
    worker: Worker,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="Those of its topic before it too, as after a flood")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put away a record that nobody can read, once everything that its source has is applied."""
    where, number = _split(name)
    _operator(worker)
    path = f"/v1/quarantine/{_number(where, number)}/acknowledge"
    done = ask(where, "POST", path, worker=worker, json={"reason": reason, "earlier": earlier}).json()
    _say(done, f"{done['acknowledged']} put away.", as_json=as_json)


@app.command()
def resolve(
    name: Id,
    outcome: Annotated[
        str, typer.Option(help="What you found out: delivered, returned, agreed, declined, ...")
    ],
    worker: Worker,
    not_before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Of not_now: the date that the person gave")
    ] = None,
    as_json: Json = False,
) -> None:
    """Record at consent what became of a message, once a person has found out. It is never sent again."""
    where, number = _split(name)
    if where != "message":
        raise Wrong(f"{name} is no message: `onefriend stuck` lists what waits")
    _operator(worker)
    permit = quote(_message(number)["permit"], safe="")
    there = ask("consent", "GET", f"/v1/unresolved-attempts/{permit}")
    said: dict[str, Any] = {"outcome": outcome} | ({"not_before": not_before} if not_before else {})
    done = ask(
        "consent",
        "POST",
        f"/v1/unresolved-attempts/{permit}/resolution",
        worker=worker,
        json=said,
        headers={"If-Match": there.headers["etag"]},
    ).json()
    _say(done, f"Recorded: {done['outcome']}.", as_json=as_json)


# ------------------------------------------------------------------------------------------------- what is named
def _split(name: str) -> tuple[str, str]:
    where, _, number = name.partition("/")
    known = services.existing()
    if not number or where not in {*known, *OTHERS} or (where == "outbox" and number not in known):
        raise Wrong(f"nothing stuck is called {name}: `onefriend stuck` lists what waits, by name")
    return where, number


def _number(where: str, number: str) -> int:
    if where in OTHERS or not number.isdecimal():
        raise Wrong(f"{where}/{number} is no event of a quarantine: those are named as in consent/12")
    return int(number)


def _entry(where: str, number: str) -> dict[str, Any]:
    wanted = _number(where, number)
    for entry in ask(where, "GET", f"/v1/quarantine?after={max(0, wanted - 1)}").json():
        if entry["id"] == wanted:
            return {"service": where, **entry}
    raise Wrong(f"{where}/{number} does not wait any more: `onefriend stuck` lists what does")


def _delivery(number: str) -> dict[str, Any]:
    for one in stuck.failed_deliveries():
        if one["id"] == number:
            return dict(one)
    raise Wrong(f"delivery/{number} has not failed: `onefriend stuck` lists what has")


def _message(number: str) -> dict[str, Any]:
    return dict(ask("notifications", "GET", f"/v1/messages/{quote(number, safe='')}").json())


def _operator(worker_id: str) -> None:
    """Raises Wrong unless this is somebody whom this place knows as an operator."""
    worker = Workers(running()).all().get(worker_id)
    if worker is None or worker.role != "operator":
        raise Wrong(
            f"{worker_id} is no operator here (`onefriend worker list`): "
            f"onefriend worker add {worker_id} --agency operator --role operator"
        )


# ---------------------------------------------------------------------------------------------- what is said
def _with_remedy(error: NotDone, where: str, name: str) -> NotDone:
    if error.kind != "still-failing":
        return error
    return NotDone(
        f"It still cannot be handled ({error.code}), and nothing has changed. `onefriend logs {where}` may say where; "
        f"`onefriend stuck redrive {name} --original` fetches it from its source; `onefriend stuck show {name}` names "
        "the other ways out"
    )


def _go_on(fact: str, question: str, *, for_real: bool, as_json: bool) -> bool:
    if for_real:
        return True
    if not as_json:
        errors.print(escape(fact))
    if as_json or not sys.stdin.isatty():
        errors.print("Nothing has changed: `--for-real` does it.")
        return False
    return typer.confirm(question, err=True)


def _say(answer: object, words: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(answer)
    else:
        errors.print(words)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _ago(since: datetime) -> str:
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    hours, days = minutes // 60, minutes // 1440
    ago = f"{days} d" if days > 1 else f"{hours} h" if hours > 1 else f"{max(0, minutes)} min"
    return f"{since:%d %b %H:%M} UTC, {ago}"
