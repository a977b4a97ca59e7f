"""`onefriend worker list | add | password | remove`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import services
from deploy.local.clients import Clients
from deploy.local.issuer import WORKER
from deploy.local.place import Place
from deploy.local.workers import ROLES, Role, Workers

app = typer.Typer(help="People who sign in at the dashboard.", no_args_is_help=True)
console = Console(stderr=True, highlight=False, soft_wrap=True)
WorkerId = Annotated[str, typer.Argument(metavar="NAME", help="As in anna.hill")]


@app.command("list")
def list_() -> None:
    """Who can sign in, for which agency, in which role."""
    table = Table("name", "agency", "role", "password", box=None, padding=(0, 2))
    for worker in Workers(Place.default()).all().values():
        made = "made" if worker.password_sha256 else f"onefriend worker password {worker.id}"
        table.add_row(worker.id, worker.agency, worker.role, made)
    Console(highlight=False).print(table)


@app.command()
def add(
    worker_id: WorkerId,
    agency: Annotated[str, typer.Option(help="For which agency; operator for an operator")],
    role: Annotated[str, typer.Option(help=", ".join(ROLES))] = "co-ordinator",
) -> None:
    """Let somebody sign in, and show the password, once."""
    place = Place.default()
    if not WORKER.fullmatch(worker_id):
        raise typer.BadParameter("NAME: at most 64 letters, digits and ._@-, as in anna.hill")
    if role not in ROLES:
        raise typer.BadParameter(f"--role: one of {', '.join(ROLES)}")
    client = Clients(place).get(agency)
    chosen: Role = "operator" if role == "operator" else "co-ordinator"
    if (chosen == "operator") != (client.kind == "operator") or "hub" not in client.scopes:
        raise typer.BadParameter(
            "--agency: a co-ordinator works for an agency with a hub's access (`onefriend agency list`); "
            "an operator is added with --agency operator --role operator"
        )
    Workers(place).put(worker_id, agency, chosen)
    password(worker_id)


@app.command()
def password(worker_id: WorkerId) -> None:
    """Make somebody another password and show it, once; the old one ends now."""
    place = Place.default()
    sys.stdout.write(Workers(place).new_password(worker_id) + "\n")
    console.print(f"For {worker_id}, at {services.url(place, 'dashboard')}. Only its hash is stored.")


@app.command()
def remove(worker_id: WorkerId) -> None:
    """End somebody's access: out within five minutes."""
    Workers(Place.default()).remove(worker_id)
    console.print(f"{worker_id} signs in no more.")
