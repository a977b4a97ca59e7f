"""`onefriend reset | backup | restore`."""

import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.local import backup as archives
from deploy.local.backup import BackupFailed
from deploy.local.commands_run import down
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import SERVICES, Stack
from deploy.local.supervisor import supervisor_of

console = Console(stderr=True, highlight=False, soft_wrap=True)

# What `reset` deletes, by name: ONEFRIEND_HOME may be a folder that holds other things too.
OURS = (
    *("postgres", "kafka", "issuer", "keys", "identity", "mail", "messages", "logs", "training"),
    *("ports.json", "secrets.json", "ready", "*-secrets.key"),
)

KeysFile = Annotated[
    Path | None, typer.Option(help="A file of their own for the keys, to be kept in other hands")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    for command in (reset, backup, restore):
        app.command()(command)


def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    keep_jars: Annotated[bool, typer.Option(help="Keep the downloads")] = True,
) -> None:
    """Stop everything and delete all data: databases, topics, keys, credentials, logs, mail."""
    place = Place.default()
    if not yes:
        typer.confirm(
            f"Delete everything in {place.home}, the keys too? There is no way back without a backup.",
            abort=True,
        )
    down()
    postgres = place.home / "postgres"
    if postgres.is_symlink():
        shutil.rmtree(postgres.resolve(), ignore_errors=True)
        postgres.unlink()
    for pattern in [*OURS, *([] if keep_jars else ["jars"])]:
        for path in place.home.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    console.print("All data is gone. The next `onefriend up` begins anew.")


def backup(
    archive: Annotated[
        Path | None, typer.Argument(help="The file to write; named by the time without")
    ] = None,
    keys: KeysFile = None,
) -> None:
    """Save all databases as they were at one instant, and the keys, while everything goes on."""
    place = Place.default()
    stack = Stack(place)
    archives.need_servers(stack)
    target = archive or Path(f"onefriend-{datetime.now().astimezone():%Y%m%dT%H%M%S}.tar")
    for folder in {path.parent for path in (target, keys) if path}:
        if not folder.is_dir():
            raise DidNotStart(f"there is no folder {folder} to write into")
    try:
        archives.back_up(place, stack, target, keys, _tell)
    except BackupFailed as error:
        raise DidNotStart(str(error)) from None
    sys.stdout.write(f"{target}\n")
    if keys is None:
        console.print(
            "The archive has the master key in it: whoever has it can read everything. Guard it, or use --keys."
        )
    else:
        console.print(
            f"The master key is in {keys}. Without it the personal data in the archive is lost for ever."
        )


def restore(
    archive: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What `onefriend backup` wrote")
    ],
    keys: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Its keys, if they are in a file of their own"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="One service's database, and nothing else (may be repeated)")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Replace all databases and keys by those of a backup. Afterwards each service reconciles before it opens."""
    place = Place.default()
    if supervisor_of(place):
        raise DidNotStart("Onefriend runs here: `onefriend down` first")
    if unknown := sorted(set(only or ()) - set(SERVICES)):
        raise DidNotStart(f"there is no service {', '.join(unknown)}: {', '.join(SERVICES)}")
    if not yes:
        what = f"the database of {' and '.join(only)}" if only else "all databases and keys"
        typer.confirm(f"Replace {what} of {place.home} by those of {archive}?", abort=True)
    stack = Stack(place)
    stack.start_database(_tell)
    stack.ensure_databases()
    try:
        taken = archives.restore(place, stack, archive, keys, _tell, only or ())
    except BackupFailed as error:
        raise DidNotStart(str(error)) from None
    finally:
        stack.stop()
    restored = f"The database of {' and '.join(only)}" if only else "Everything"
    console.print(f"{restored} is as it was at {taken:%Y-%m-%d %H:%M:%S} UTC.")
    console.print("At the next `onefriend up` each service compares itself with the topics before it opens.")


def _tell(part: str, doing: str) -> None:
    console.print(f"  {part:<14} {doing}")
