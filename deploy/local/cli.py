"""The command line: `onefriend`, whose help lists the commands.

What a script needs (a token, an archive's name) goes to standard output, everything else to standard error.
"""

import asyncio
import errno
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from deploy.local.clients import Clients, Unknown
from deploy.local.issuer import Issuer, Refused
from deploy.local.place import Busy, Place
from deploy.local.processes import DidNotStart

app = typer.Typer(
    name="onefriend",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def onefriend() -> None:
    """Run Onefriend on one machine: database, broker, services, token issuer."""


def token(
    client: Annotated[str, typer.Argument(help="An agency (beacon, ...), operator, or a service")],
    worker: Annotated[str | None, typer.Option(help="Who acts for it, as in anna.hill")] = None,
    scope: Annotated[str, typer.Option(help="Only these scopes, separated by spaces; without, all")] = "",
) -> None:
    """Print an access token, good for five minutes: curl -H "Authorization: Bearer $(onefriend token beacon)" ..."""
    place = Place.default()
    sys.stdout.write(Issuer(place).token(Clients(place).get(client), scope=scope, worker=worker) + "\n")


def demo(
    people: Annotated[int, typer.Option(min=10, max=2000, help="How many people are referred")] = 320,
    seed: Annotated[int, typer.Option(help="Which people, and what each agency knows of them")] = 1876,
) -> None:
    """Watch referrals of several agencies become one approach for each person, on a stack of its own."""
    from deploy.local.demo.run import demonstrate  # noqa: PLC0415 -- imports what the other commands do not need

    place = Place.default().inner("demo")
    try:
        sys.exit(asyncio.run(demonstrate(place, people, seed)))
    except asyncio.CancelledError:
        sys.exit(130)  # as a shell says of what Ctrl-C ended


def simulate(
    agencies: Annotated[int, typer.Option(min=1, max=60, help="How many agencies refer")] = 6,
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="Referrals a second")] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="For how long")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed, the same load")] = 1,
) -> None:
    """Put a running stack under realistic load through its public API, and watch every stage (`onefriend up` first).

    Another stack is named by ONEFRIEND_INTAKE_URL, ..._CONSENT_URL, ..._ALLOCATION_URL, ..._NOTIFICATIONS_URL,
    ..._TOKEN_URL, and ONEFRIEND_CREDENTIALS (a JSON file of secrets by agency).
    """
    from deploy.local.simulate import simulate as run  # noqa: PLC0415 -- imports what the other commands do not need

    sys.exit(asyncio.run(run(Place.default(), agencies, rate, seconds, seed)))


def _add_all() -> None:
    from deploy.local import (  # noqa: PLC0415 - each takes time to import, and most calls want none of them
        commands_agency,
        commands_data,
        commands_identity,
        commands_policy,
        commands_run,
        commands_stuck,
        commands_worker,
    )

    # In the order in which the help shows them.
    commands_run.add_to(app)
    app.add_typer(commands_stuck.app, name="stuck")
    app.command()(token)
    app.add_typer(commands_agency.app, name="agency")
    app.add_typer(commands_worker.app, name="worker")
    app.add_typer(commands_policy.app, name="policy")
    app.add_typer(commands_identity.app, name="identity")
    app.command()(demo)
    app.command()(simulate)
    commands_data.add_to(app)


def main() -> None:
    """Run a command; what went wrong in a sentence, with status 1."""
    # A token is asked for in every line of a script: it need not wait for what the other commands import.
    if sys.argv[1:2] == ["token"]:
        app.command()(token)
    else:
        _add_all()
    try:
        app(prog_name="onefriend")
    except (DidNotStart, Busy, Unknown, Refused) as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror}{where}: {REMEDIES[error.errno]}")


# What the machine lacks may be met anywhere, and is nothing for which anybody needs to read where.
REMEDIES = {
    errno.ENOSPC: "free some of the disk, and start again; what was committed is not lost",
    errno.EDQUOT: "free some of your share of the disk, and start again",
    errno.EROFS: "name another folder by ONEFRIEND_HOME",
    errno.EACCES: "it belongs to another user: start as that one, or name another folder by ONEFRIEND_HOME",
    errno.EMFILE: "too few files may be open: `ulimit -n 4096`, and start again",
    errno.EAGAIN: "too few processes may run: `ulimit -u` says how many",
    errno.ENOMEM: "close some programs: it needs 1.2 GB",
}


def _fail(why: str) -> NoReturn:
    with suppress(OSError):
        Console(stderr=True, highlight=False).print(f"[red]onefriend[/]: {escape(why)}", soft_wrap=True)
    sys.exit(1)
